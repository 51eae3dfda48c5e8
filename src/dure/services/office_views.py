"""What screens see of calls being made, of stages, drafts, files and requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        items: of a checklist, whether each is in order; ``item_names`` are their words.
        mine: what the person who asks may do here now: ``tick``, ``vote``, ``conclude``.
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
    item_names: tuple[Name, ...] = ()
    mine: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StageSum:
    """A stage of a call over all its applications; of who is in it, what they lack in all."""

    stage: str
    kind: str
    name: Name | None
    role: str
    passes: str
    ahead: int
    open: int
    passed: int
    failed: int
    missing: tuple[tuple[str, int], ...]
    acts: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """A file; ``attachment`` is the SHA-256 of its content, ``kind`` what the content is."""

    attachment: str
    name: str
    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """A draft as its writer sees it. ``status``: open, submitted or discarded."""

    draft: str
    call: str
    lead: str
    title: str
    version: int
    saved_at_s: int
    status: str
    application: str
    previous: str
    changes: bool
    fields: Mapping[str, Any]
    attachments: tuple[AttachmentRow, ...]


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request about an award or a decision. ``status``: open, granted or refused."""

    request: str
    kind: str
    application: str
    project: str
    allocation: str
    gpus: int
    months: int
    to_project: str
    cause: str
    filed_at_s: int
    filed_by: str
    status: str
    answer: str


@dataclass(frozen=True, slots=True)
class Possible:
    """What a person may do with an application now.

    Attributes:
        change: hand it in anew under its number, until the deadline.
        withdraw: take it back.
        again: begin a draft from it, for a call that is open.
        requests: kinds of request that could be filed.
    """

    change: bool = False
    withdraw: bool = False
    again: bool = False
    requests: tuple[str, ...] = ()
