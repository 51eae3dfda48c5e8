"""What a team does with what it holds: gives part of it back, answers a notice of recall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dure.core.programme import Refusal
from dure.services.access import Actor, may
from dure.services.programme import Programme
from dure.services.programme_views import RecallRow
from dure.services.recall_rows import recall_row
from dure.services.refusing import Refused, refused

RecallAnswer = Literal["accepted", "objected"]
RECALL_ANSWERS: tuple[RecallAnswer, ...] = ("accepted", "objected")


@dataclass(frozen=True, slots=True)
class Returned:
    """What is left of an allocation after part of it was given back."""

    allocation: str
    gpus: int
    gpus_left: int


class HoldingDesk:
    """Allocations and recalls, as their team may act on them."""

    def __init__(self, programme: Programme) -> None:
        self._programme, self._tables = programme, programme.tables

    def give_back(self, allocation: str, gpus: int, *, cause: str, by: Actor) -> Returned | Refused:
        """Give GPUs of an allocation back; the next in line has them at once."""
        answer = self._programme.return_part(by, allocation, gpus=gpus, cause=cause)
        if isinstance(answer, Refusal):
            held = self._tables.allocations.get(allocation)
            call = self._tables.calls.get(held.granted.call) if held else None
            return refused(answer, asked_gpus=gpus, node_gpus=call.node_gpus if call else 1)
        return Returned(allocation, gpus, self._tables.allocations[allocation].gpus)

    def recalls(self, by: Actor) -> Sequence[RecallRow]:
        """Return the recalls of the caller's projects; all for the office and the audit."""
        return [
            recall_row(name, state)
            for name, state in list(self._tables.recalls.items())
            if may(by, "project.read", owner=state.noticed.project)
        ]

    def answer_recall(
        self, recall: str, answer: RecallAnswer, *, text: str, by: Actor
    ) -> RecallRow | Refused:
        """Accept a recall, which then comes at once, or object, and say why."""
        done = self._programme.answer_recall(by, recall, answer, text=text)
        if isinstance(done, Refusal):
            return refused(done)
        return recall_row(recall, self._tables.recalls[recall])
