"""What screens ask of the office: calls being made, stages, drafts, files, requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dure.core.calls.stages import Outcome
from dure.core.events.applying import RequestKind
from dure.services.access import PUBLIC_ACTOR, Actor
from dure.services.office_views import (
    AttachmentRow,
    BoardRow,
    DraftRow,
    Possible,
    RequestRow,
    StageSum,
    WrittenRow,
)
from dure.services.programme_views import FieldProblem
from dure.services.refusing import Refused


@dataclass(frozen=True, slots=True)
class Applied:
    """The application is in the ledger under this number."""

    application: str
    is_repeat: bool = False


class OfficeDesk(Protocol):
    """The making of calls, and applications on their way through the stages.

    Every change asks the access matrix; what is read is for the screen to show to whom it may.
    """

    def drafts(self) -> Sequence[DraftRow]: ...

    def is_published(self, call: str) -> bool: ...

    def call_file(self, call: str, *, newest: bool) -> str | None: ...

    def draft_call(self, text: str, *, by: Actor) -> DraftRow | Refused:
        """Keep a call's file as a draft. Raises InputError on text that is no YAML."""
        ...

    def copy_call(self, call: str, name: str, *, by: Actor) -> DraftRow | Refused: ...

    def publish_call(self, call: str, *, by: Actor) -> DraftRow | Refused: ...

    def board(self, call: str) -> Sequence[BoardRow] | None: ...

    def way(self, application: str, *, by: Actor = PUBLIC_ACTOR) -> BoardRow | None:
        """Return an application's way; ``by`` learns what they may do in it."""
        ...

    def awaited(self, by: Actor) -> Sequence[BoardRow]:
        """Return the applications in which something waits for this person, but for marks."""
        ...

    def stages(self, call: str) -> Sequence[StageSum]:
        """Return a call's stages in order, with how many applications are where."""
        ...

    def close_stage(self, call: str, stage: str, *, by: Actor) -> int | Refused: ...

    def decide(self, call: str, *, by: Actor) -> int | Refused: ...

    def tick(
        self, application: str, stage: str, items: Mapping[str, bool], *, note: str, by: Actor
    ) -> BoardRow | Refused: ...

    def vote(
        self, application: str, stage: str, *, recognises: bool, cause: str, by: Actor
    ) -> BoardRow | Refused: ...

    def conclude(
        self, application: str, stage: str, *, outcome: Outcome, cause: str, by: Actor
    ) -> BoardRow | Refused: ...

    def withdraw(self, application: str, *, by: Actor) -> BoardRow | Refused: ...


class PaperDesk(Protocol):
    """Drafts with their files, and requests; a draft is shown to whoever wrote it alone."""

    def drafts(self, by: Actor) -> Sequence[WrittenRow]: ...

    def draft(self, draft: str, by: Actor) -> WrittenRow | None: ...

    def save(
        self, call: str, fields: Mapping[str, Any], *, draft: str, by: Actor
    ) -> WrittenRow | Refused: ...

    def begin(self, application: str, *, call: str, by: Actor) -> WrittenRow | Refused: ...

    def attach(
        self, draft: str, content: bytes, *, name: str, field: str, by: Actor
    ) -> WrittenRow | Refused: ...

    def check(self, draft: str, by: Actor) -> Sequence[FieldProblem] | Refused: ...

    def submit(self, draft: str, *, key: str, by: Actor) -> Applied | Refused: ...

    def discard(self, draft: str, by: Actor) -> WrittenRow | Refused: ...

    def content(
        self, attachment: str, *, by: Actor, draft: str = "", application: str = ""
    ) -> tuple[AttachmentRow, bytes] | None: ...

    def attachments(self, application: str, by: Actor) -> Sequence[AttachmentRow]: ...

    def possible(self, application: str, by: Actor) -> Possible:
        """Return what a person may do with an application now."""
        ...

    def requests(self, by: Actor) -> Sequence[RequestRow]: ...

    def file_request(
        self,
        application: str,
        kind: RequestKind,
        *,
        gpus: int,
        months: int,
        to_project: str,
        cause: str,
        by: Actor,
    ) -> RequestRow | Refused: ...

    def decide_request(
        self, request: str, *, grants: bool, cause: str, by: Actor
    ) -> RequestRow | Refused: ...
