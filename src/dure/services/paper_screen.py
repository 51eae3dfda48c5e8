"""Drafts, attachments and requests as screens use them."""

from collections.abc import Mapping, Sequence
from typing import Any

from dure.core.applications import check_moment
from dure.core.events.applying import (
    AttachmentAdded,
    DraftDiscarded,
    DraftSaved,
    RequestFiled,
    RequestKind,
)
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Refusal
from dure.services.access import Actor, may, may_any, require
from dure.services.attachments import kind_of, name_of
from dure.services.desks import Applied
from dure.services.office_views import AttachmentRow, Possible, RequestRow, WrittenRow
from dure.services.paper_tables import DraftState, RequestState
from dure.services.ports import Files
from dure.services.programme import Programme
from dure.services.programme_views import FieldProblem
from dure.services.refusing import Refused, refused
from dure.services.requesting import CAUSE_LENGTH_MAX
from dure.services.staging import judges
from dure.services.taking import check_change


class PaperScreen:
    """Answers the ``PaperDesk`` of ``desks`` for one programme.

    Args:
        files: keeps what is attached.
    """

    def __init__(self, programme: Programme, files: Files) -> None:
        self._programme, self._files = programme, files
        self._papers = programme.papers

    def drafts(self, by: Actor) -> Sequence[WrittenRow]:
        """Return the caller's own drafts that are open."""
        return [
            _written(state)
            for state in list(self._papers.drafts.values())
            if state.saved.lead == by.user and state.is_open
        ]

    def draft(self, draft: str, by: Actor) -> WrittenRow | None:
        state = self._papers.drafts.get(draft)
        is_own = state is not None and state.saved.lead == by.user
        return _written(state) if state is not None and is_own else None

    def save(
        self, call: str, fields: Mapping[str, Any], *, draft: str, by: Actor
    ) -> WrittenRow | Refused:
        return self._saved(self._programme.save_draft(by, call, fields, draft=draft))

    def begin(self, application: str, *, call: str, by: Actor) -> WrittenRow | Refused:
        """Begin a draft from an earlier application."""
        return self._saved(self._programme.draft_from(by, application, call=call))

    def attach(
        self, draft: str, content: bytes, *, name: str, field: str, by: Actor
    ) -> WrittenRow | Refused:
        """Keep a file with a draft; with ``field`` it becomes the answer to that question."""
        kind = kind_of(content, name)
        if isinstance(kind, Refusal):
            return Refused((FieldProblem(field, kind.value, {}),))
        state = self._papers.drafts.get(draft)
        require(by, "draft.write", owner=by.user)
        if state is None or state.saved.lead != by.user:
            return refused(Refusal.DRAFT_IS_UNKNOWN)
        key = name_of(content)
        # The content before the event: what the ledger names is there, whatever moment power goes.
        self._files.put(key, content)
        event = AttachmentAdded(draft, key, name, kind, len(content), at_s=0, by="")
        answer = self._programme.attach(by, draft, event)
        if isinstance(answer, Refusal):
            return refused(answer)
        if field:
            fields = {**state.saved.fields, field: key}
            return self.save(state.saved.call, fields, draft=draft, by=by)
        return _written(state)

    def check(self, draft: str, by: Actor) -> Sequence[FieldProblem] | Refused:
        answer = self._programme.check_draft(by, draft)
        if isinstance(answer, Refusal):
            return refused(answer)
        return refused(answer).problems

    def submit(self, draft: str, *, key: str, by: Actor) -> Applied | Refused:
        answer = self._programme.submit_draft(by, draft, key=key)
        if isinstance(answer, ApplicationSubmitted):
            return Applied(answer.application)
        return refused(answer)

    def discard(self, draft: str, by: Actor) -> WrittenRow | Refused:
        answer = self._programme.discard_draft(by, draft)
        if isinstance(answer, DraftDiscarded):
            return _written(self._papers.drafts[draft])
        return refused(answer)

    def content(
        self, attachment: str, *, by: Actor, draft: str = "", application: str = ""
    ) -> tuple[AttachmentRow, bytes] | None:
        """Return a file to its writer, or one of an application to the office and its reviewers."""
        for one in self._readable(by, draft, application):
            if one.attachment == attachment:
                content = self._files.get(attachment)
                return None if content is None else (_attachment(one), content)
        return None

    def attachments(self, application: str, by: Actor) -> Sequence[AttachmentRow]:
        return [_attachment(one) for one in self._readable(by, "", application)]

    def possible(self, application: str, by: Actor) -> Possible:
        """Return what a person may do with an application now."""
        state = self._programme.tables.applications.get(application)
        if state is None:
            return Possible()
        submitted = state.submitted
        call = self._programme.tables.calls[submitted.call]
        is_lead = may(by, "draft.write", owner=submitted.lead) and by.user == submitted.lead
        is_open = check_moment(call, at_s=self._programme.clock.now_s()) is None
        owners = (submitted.lead, submitted.project)
        asks = may_any(by, "request.file", owners)
        is_alive = not state.is_withdrawn and state.decided is None
        return Possible(
            change=is_lead and is_open and check_change(state, by.user) is None,
            withdraw=is_alive and may_any(by, "application.withdraw", owners),
            again=is_lead,
            requests=self._programme.possible_requests(application) if asks else (),
        )

    def requests(self, by: Actor) -> Sequence[RequestRow]:
        """Return the requests of the caller's projects; all for the office and the audit."""
        rows = [_request(state) for state in list(self._papers.requests.values())]
        tables = self._programme.tables
        return [
            row
            for row in rows
            if may(by, "request.read", owner=tables.applications[row.application].submitted.lead)
            or may(by, "request.read", owner=row.project)
        ]

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
    ) -> RequestRow | Refused:
        answer = self._programme.file_request(
            by, application, kind, gpus=gpus, months=months, to_project=to_project, cause=cause
        )
        if isinstance(answer, RequestFiled):
            return _request(self._papers.requests[answer.request])
        state = self._programme.tables.applications.get(application)
        call = self._programme.tables.calls[state.submitted.call] if state else None
        return refused(
            answer,
            asked_gpus=gpus,
            node_gpus=call.node_gpus if call else 1,
            asked_months=months,
            months_max=call.months_max if call else 0,
            length_max=CAUSE_LENGTH_MAX,
        )

    def decide_request(
        self, request: str, *, grants: bool, cause: str, by: Actor
    ) -> RequestRow | Refused:
        answer = self._programme.decide_request(by, request, grants=grants, cause=cause)
        if isinstance(answer, Refusal):
            return refused(answer, **self._asked(request))
        return _request(self._papers.requests[request])

    def _asked(self, request: str) -> dict[str, int | str]:
        """Return the numbers of a request that a refusal's sentence may need."""
        state, tables = self._papers.requests.get(request), self._programme.tables
        held = tables.allocations.get(state.filed.allocation) if state else None
        if state is None or held is None:
            return {}
        kind = held.granted.accelerator
        cap_gpus = tables.calls[state.filed.call].caps.get(kind, 0)
        gpus = state.filed.gpus + held.gpus
        return {"asked_gpus": gpus, "cap_gpus": cap_gpus, "accelerator": kind}

    def _saved(self, answer: DraftSaved | Refusal) -> WrittenRow | Refused:
        if isinstance(answer, DraftSaved):
            return _written(self._papers.drafts[answer.draft])
        return refused(answer)

    def _readable(self, by: Actor, draft: str, application: str) -> Sequence[AttachmentAdded]:
        if draft:
            state = self._papers.drafts.get(draft)
            is_own = state is not None and state.saved.lead == by.user
            return state.attachments if state is not None and is_own else ()
        applied = self._programme.tables.applications.get(application)
        if applied is None:
            return ()
        is_read = may(by, "application.read", owner=applied.submitted.lead)
        if is_read or judges(by, self._programme.tables, applied):
            return self._papers.attached_to(application)
        return ()


def _attachment(one: AttachmentAdded) -> AttachmentRow:
    return AttachmentRow(one.attachment, one.name, one.kind, one.size_bytes)


def _written(state: DraftState) -> WrittenRow:
    saved = state.saved
    status = "submitted" if state.became else "discarded" if state.is_discarded else "open"
    return WrittenRow(
        saved.draft,
        saved.call,
        saved.lead,
        str(saved.fields.get("title_ko") or ""),
        saved.version,
        saved.at_s,
        status,
        state.became,
        saved.previous,
        saved.changes,
        dict(saved.fields),
        tuple(_attachment(one) for one in state.attachments),
    )


def _request(state: RequestState) -> RequestRow:
    filed, decided = state.filed, state.decided
    return RequestRow(
        filed.request,
        filed.kind,
        filed.application,
        filed.project,
        filed.allocation,
        filed.gpus,
        filed.months,
        filed.to_project,
        filed.cause,
        filed.at_s,
        filed.by,
        decided.outcome if decided else "open",
        decided.cause if decided else "",
    )
