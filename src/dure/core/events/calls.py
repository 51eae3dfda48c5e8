"""Named events of calls before they open, and of the stages that applications go through."""

from typing import Literal

from dure.core.calls.model import Call
from dure.core.events.base import Event


class CallDrafted(Event, frozen=True):
    """The office wrote a call, or another version of it; nobody can apply yet.

    Attributes:
        version: of its rules, one more than the draft before.
        source: ``file`` or the call that it was copied from.
    """

    call: str
    version: int
    terms: Call
    source: str = "file"


class ChecklistFilled(Event, frozen=True):
    """Whoever answers for a stage went through its checklist.

    Attributes:
        items: by name, whether it is in order; those not named stay as they were.
        note: what the applicant should mend.
    """

    application: str
    call: str
    stage: str
    items: dict[str, bool]
    note: str = ""


class VoteCast(Event, frozen=True):
    """A member of the committee recognised an application, or did not."""

    application: str
    call: str
    stage: str
    voter: str
    recognises: bool
    cause: str = ""


class StageConcluded(Event, frozen=True):
    """An application left a stage.

    Attributes:
        rule: how it was decided: the stage's pass rule, or ``decision`` by whoever answers for it.
        score_milli: its score in this stage, 0 where none is given.
        numbers: what the rule compared: the line, the place, votes.
        cause: a person's reason.
    """

    application: str
    call: str
    stage: str
    outcome: Literal["passed", "failed"]
    rule: str
    score_milli: int = 0
    numbers: dict[str, int] = {}
    cause: str = ""


EVENTS: tuple[type[Event], ...] = (CallDrafted, ChecklistFilled, VoteCast, StageConcluded)
