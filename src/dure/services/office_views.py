"""What screens see of a call's making and of applications on their way through its stages."""

from dataclasses import dataclass

from dure.services.views import NEVER_S, Name


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A call as the office keeps it. ``status``: draft, changed (since published) or published."""

    call: str
    name: Name
    asks: str
    version: int
    status: str
    source: str
    at_s: int


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage that an application goes through.

    Attributes:
        name: None where the catalogues' word for its kind is enough (``stage.KIND``).
        state: ``passed``, ``failed``, ``open`` or ``ahead``.
        missing: what it lacks, with how many of it; ``stage_need.WORD`` is the sentence.
        may: what may be done, and by which role; ``stage_act.WORD``.
        due_at_s: ``NEVER_S`` without a deadline, or before it is open.
        items: of a checklist, whether each is in order.
    """

    stage: str
    kind: str
    name: Name | None
    role: str
    passes: str
    state: str
    missing: tuple[tuple[str, int], ...] = ()
    may: tuple[tuple[str, str], ...] = ()
    due_at_s: int = NEVER_S
    items: tuple[tuple[str, bool], ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """An application on the operator's board, with all its stages in order."""

    application: str
    call: str
    title: str
    team: str
    owner: str
    status: str
    stages: tuple[StageRow, ...]
