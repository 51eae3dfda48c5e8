"""What became of one application, one allocation, one recall, as its events tell."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dure.core.calls.model import Call
from dure.core.calls.stages import StageFacts
from dure.core.events import calls as stage_ev
from dure.core.events import offers as offer_ev
from dure.core.events import programme as ev
from dure.core.review import weighted_milli
from dure.core.supply.measures import computed_marks


@dataclass(slots=True)
class ApplicationState:
    """An application and all that became of it.

    Attributes:
        answers: as conditions ask for them.
        asked: (stage, reviewer) of each review or vote asked for.
        due_at_s: until when each of them is awaited; 0 for no deadline.
        notes: by stage, what the applicant should mend.
        offer: the award as it was offered; none in ledgers of earlier versions.
        signed: the agreement; of one that waits, signed ahead of its turn.
    """

    submitted: ev.ApplicationSubmitted
    answers: dict[str, Any] = field(default_factory=dict)
    is_withdrawn: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    due_at_s: dict[tuple[str, str], int] = field(default_factory=dict)
    reviews: list[ev.ReviewGiven] = field(default_factory=list)
    ticked: dict[str, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    votes: dict[str, dict[str, bool]] = field(default_factory=lambda: defaultdict(dict))
    concluded: dict[str, stage_ev.StageConcluded] = field(default_factory=dict)
    touched_at_s: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    decided: ev.Decided | None = None
    offer: offer_ev.AwardOffered | None = None
    signed: offer_ev.AgreementSigned | None = None
    declined_at_s: int | None = None
    lapsed_at_s: int | None = None
    allocation: str = ""

    @property
    def status(self) -> str:
        """Return one stable word: ``status.WORD`` is its name on screens."""
        if self.is_withdrawn:
            return "withdrawn"
        if self.declined_at_s is not None:
            return "declined"
        if self.lapsed_at_s is not None:
            return "lapsed"
        if self.allocation:
            return "allocated"
        if self.offer is not None:
            return "offered"
        if self.decided is not None:
            is_signed = self.signed is not None and self.decided.decision == "selected"
            return "signed" if is_signed else self.decided.decision
        if any(one.outcome == "failed" for one in self.concluded.values()):
            return "stage_failed"
        return "in_review" if self.asked or self.touched_at_s else "submitted"

    @property
    def waits(self) -> bool:
        return self.status == "waitlisted"

    @property
    def has_signed(self) -> bool:
        """Tell whether the agreement is signed on the size decided on."""
        if self.decided is None or self.signed is None:
            return False
        return self.signed.gpus == self.decided.gpus

    @property
    def awarded_gpus(self) -> int:
        """Return the size of its award, 0 while there is none."""
        is_awarded = self.decided is not None and self.decided.decision == "selected"
        return self.decided.gpus if self.decided and (is_awarded or self.offer) else 0

    def asked_in(self, stage: str) -> list[str]:
        """Return who was asked to review or vote in a stage, in the order of asking."""
        return [reviewer for name, reviewer in self.asked if name == stage]

    def stage_facts(self, call: Call) -> dict[str, StageFacts]:
        """Return what happened to it, by stage, as the stage machine reads it."""
        facts, computed = {}, computed_marks(call, self.answers)
        for stage in call.stages:
            name, rubric = stage.stage, call.criteria_of(stage)
            end = self.concluded.get(name)
            facts[name] = StageFacts(
                len(self.asked_in(name)),
                tuple(weighted_milli({**one.marks, **computed}, rubric) for one in self.reviews
                      if one.stage == name),
                tuple(self.votes[name].values()) if name in self.votes else (),
                frozenset(item for item, is_ok in self.ticked.get(name, {}).items() if is_ok),
                end.outcome if end else None,
                self.touched_at_s.get(name, 0),
            )  # fmt: skip
        return facts


@dataclass(slots=True)
class AllocationState:
    """An allocation; ``steps`` are the sizes it had, each from its moment on."""

    granted: ev.AllocationGranted
    gpus: int
    steps: list[tuple[int, int]]
    ended_at_s: int | None = None

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield (from_s, to_s, gpus) for each size that lasted."""
        ends = [*(at_s for at_s, _ in self.steps[1:]), self.granted.to_s]
        for (from_s, gpus), to_s in zip(self.steps, ends, strict=True):
            to_s = min(to_s, self.granted.to_s)
            if gpus > 0 and to_s > from_s:
                yield from_s, to_s, gpus

    def entitled_gpu_s(self, from_s: int, to_s: int) -> int:
        """Return GPUs x time within an interval, as the size was then."""
        return sum(
            gpus * max(0, min(end_s, to_s) - max(start_s, from_s))
            for start_s, end_s, gpus in self.spans()
        )

    def held_s(self, from_s: int, to_s: int) -> int:
        """Return how long it held any GPU within an interval."""
        return sum(
            max(0, min(end_s, to_s) - max(start_s, from_s)) for start_s, end_s, _ in self.spans()
        )

    def is_active(self, at_s: int) -> bool:
        return self.gpus > 0 and self.granted.from_s <= at_s < self.granted.to_s


@dataclass(slots=True)
class RecallState:
    """A recall from its notice on. ``outcome``: "" while open, then recalled or withdrawn."""

    noticed: ev.RecallNoticed
    answer: str = ""
    returned_gpus: int = 0
    outcome: str = ""
    handed_to: list[str] = field(default_factory=list)
