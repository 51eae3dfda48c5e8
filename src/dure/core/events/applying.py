"""Named events of drafts and attachments, and of requests about what was awarded."""

from typing import Any, Literal

from dure.core.events.base import Event

RequestKind = Literal["renewal", "extension", "supplement", "transfer", "advance", "appeal"]


class DraftSaved(Event, frozen=True):
    """An applicant kept an application that is not handed in yet, right or wrong.

    Attributes:
        draft: its id; each save is another version of it.
        fields: what was typed, as it was typed.
        previous: the application that it was begun from, or changes.
        changes: it changes ``previous`` instead of being another application.
    """

    draft: str
    call: str
    lead: str
    version: int
    fields: dict[str, Any]
    previous: str = ""
    changes: bool = False


class DraftDiscarded(Event, frozen=True):
    """An applicant threw a draft away."""

    draft: str
    call: str
    lead: str


class AttachmentAdded(Event, frozen=True):
    """A file came with a draft; its content is kept under its SHA-256, outside of the ledger.

    Attributes:
        attachment: SHA-256 of the content, 64 hexadecimal digits.
        name: as the applicant called it.
        kind: what the content is, by its first bytes: ``pdf``, ``hwp`` ...
    """

    draft: str
    attachment: str
    name: str
    kind: str
    size_bytes: int


class RequestFiled(Event, frozen=True):
    """A project asked for something about its award or, as an appeal, about its decision.

    Attributes:
        allocation: which it concerns; "" for an appeal.
        gpus: more GPUs (supplement), or those to be had early (advance).
        months: more months (renewal, extension).
        to_project: who gets the rest (transfer).
    """

    request: str
    kind: RequestKind
    application: str
    call: str
    project: str
    allocation: str = ""
    gpus: int = 0
    months: int = 0
    to_project: str = ""
    cause: str = ""


class RequestDecided(Event, frozen=True):
    """The office granted or refused a request; what it changes stands in the events beside it."""

    request: str
    kind: RequestKind
    application: str
    project: str
    outcome: Literal["granted", "refused"]
    cause: str = ""


EVENTS: tuple[type[Event], ...] = (
    DraftSaved,
    DraftDiscarded,
    AttachmentAdded,
    RequestFiled,
    RequestDecided,
)
