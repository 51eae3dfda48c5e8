"""Applications before they are handed in: kept right or wrong, begun from earlier ones, changed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dure.core.applications import check_moment
from dure.core.calls.form import questions_of
from dure.core.calls.model import Call
from dure.core.events.applying import AttachmentAdded, DraftDiscarded, DraftSaved
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Problem, Refusal
from dure.services.access import Actor, require
from dure.services.intake import Intake
from dure.services.paper_tables import DraftState
from dure.services.taking import Arrival

DRAFTS_MAX = 20
VERSIONS_MAX = 500
FIELDS_BYTES_MAX = 256 * 1024
ATTACHMENTS_MAX = 10
ATTACHED_BYTES_MAX = 50 * 1024 * 1024


class Drafting(Intake):
    """The use cases of drafts. Only the person who began a draft sees and changes it."""

    def save_draft(
        self,
        actor: Actor,
        call: str,
        fields: Mapping[str, Any],
        *,
        draft: str = "",
        previous: str = "",
        changes: bool = False,
    ) -> DraftSaved | Refusal:
        """Keep what was typed, whatever it is; with ``draft`` as its next version."""
        require(actor, "draft.write", owner=actor.user)
        with self._reading() as tables:
            if call not in tables.calls:
                return Refusal.CALL_IS_UNKNOWN
            if len(msgspec.json.encode(fields)) > FIELDS_BYTES_MAX:
                return Refusal.DRAFT_IS_TOO_LARGE
            version = 1
            if draft:
                state = self._own_draft(actor, draft)
                if isinstance(state, Refusal):
                    return state
                if state.saved.call != call:
                    return Refusal.DRAFT_IS_UNKNOWN
                if state.saved.version >= VERSIONS_MAX:
                    return Refusal.DRAFTS_ARE_TOO_MANY
                version = state.saved.version + 1
                previous, changes = state.saved.previous, state.saved.changes
            else:
                own = [one for one in self.papers.drafts.values()
                       if one.saved.lead == actor.user]  # fmt: skip
                if sum(one.is_open for one in own) >= DRAFTS_MAX:
                    return Refusal.DRAFTS_ARE_TOO_MANY
                draft = f"d-{len(self.papers.drafts) + 1:05d}"
            event = DraftSaved(
                draft,
                call,
                actor.user,
                version,
                dict(fields),
                previous,
                changes,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def draft_from(self, actor: Actor, application: str, *, call: str = "") -> DraftSaved | Refusal:
        """Begin a draft from an earlier application: to change it, or to apply to another call.

        Args:
            application: the actor's own.
            call: another call takes over the answers to the questions that it has, too; "" changes
                the application itself, or hands it in anew if it was withdrawn.
        """
        state = self.tables.applications.get(application)
        if state is None:
            return Refusal.APPLICATION_IS_UNKNOWN
        require(actor, "draft.write", owner=state.submitted.lead)
        target = self.tables.calls.get(call or state.submitted.call)
        if target is None:
            return Refusal.CALL_IS_UNKNOWN
        # What was taken back is not changed any more: it is handed in anew, under a new number.
        changes = call in ("", state.submitted.call) and not state.is_withdrawn
        fields = _fields_of(state.answers, target)
        if not actor.owns(str(fields.get("project", ""))):
            # It would be a new project; only who belongs to one goes on with it.
            fields.pop("project", None)
        saved = self.save_draft(actor, target.call, fields, previous=application, changes=changes)
        if not isinstance(saved, DraftSaved):
            return saved
        # What was attached then is attached now; the content is kept once.
        before = self.papers.attached_to(application)
        self._write(
            [
                msgspec.structs.replace(
                    one, draft=saved.draft, at_s=self.clock.now_s(), by=actor.user
                )
                for one in before
            ]
        )
        return saved

    def attach(
        self, actor: Actor, draft: str, attachment: AttachmentAdded
    ) -> AttachmentAdded | Refusal:
        """Note a file whose content is kept already; ``at_s`` and ``by`` are set here."""
        with self._reading():
            state = self._own_draft(actor, draft)
            if isinstance(state, Refusal):
                return state
            others = [one for one in state.attachments if one.attachment != attachment.attachment]
            size = attachment.size_bytes + sum(one.size_bytes for one in others)
            if len(others) >= ATTACHMENTS_MAX or size > ATTACHED_BYTES_MAX:
                return Refusal.ATTACHMENTS_ARE_TOO_MANY
            event = msgspec.structs.replace(
                attachment, draft=draft, at_s=self.clock.now_s(), by=actor.user
            )
            self._write([event])
            return event

    def check_draft(self, actor: Actor, draft: str) -> tuple[Problem, ...] | Refusal:
        """Return what would be refused if the draft were handed in now, the moment included."""
        state = self._own_draft(actor, draft)
        if isinstance(state, Refusal):
            return state
        call = self.tables.calls[state.saved.call]
        moment = check_moment(call, at_s=self.clock.now_s())
        edges = {"opens_at_s": call.opens_at_s, "closes_at_s": call.closes_at_s}
        return (
            *(() if moment is None else (Problem("", moment, edges),)),
            *self.check_form(state.saved.call, state.saved.fields),
            *self._check_files(state),
        )

    def submit_draft(
        self, actor: Actor, draft: str, *, key: str = ""
    ) -> ApplicationSubmitted | tuple[Problem, ...] | Refusal:
        """Hand a draft in; where it is refused it stays as it was."""
        with self._reading():
            state = self._own_draft(actor, draft)
            if isinstance(state, Refusal):
                return state
            saved = state.saved
            problems = self._check_files(state)
            if problems:
                return problems
            arrival = Arrival(
                self.clock.now_s(),
                actor,
                saved.fields,
                key,
                draft,
                saved.previous,
                changes=saved.changes,
            )
            (answer,) = self.apply_many(saved.call, [arrival])
            return answer

    def discard_draft(self, actor: Actor, draft: str) -> DraftDiscarded | Refusal:
        """Throw a draft away; an application that came of it stays."""
        with self._reading():
            state = self._own_draft(actor, draft)
            if isinstance(state, Refusal):
                return state
            event = DraftDiscarded(
                draft, state.saved.call, actor.user, at_s=self.clock.now_s(), by=actor.user
            )
            self._write([event])
            return event

    def _own_draft(self, actor: Actor, draft: str) -> DraftState | Refusal:
        state = self.papers.drafts.get(draft)
        if state is None or state.saved.lead != actor.user:
            # Whose it is, nobody else learns.
            require(actor, "draft.write", owner=actor.user)
            return Refusal.DRAFT_IS_UNKNOWN
        require(actor, "draft.write", owner=state.saved.lead)
        return state if state.is_open else Refusal.DRAFT_IS_OVER

    def _check_files(self, state: DraftState) -> tuple[Problem, ...]:
        """Tell which answers name a file that is not attached."""
        attached = {one.attachment for one in state.attachments}
        call = self.tables.calls[state.saved.call]
        return tuple(
            Problem(one.field, Refusal.FILE_IS_UNKNOWN)
            for one in questions_of(call)
            if one.kind == "file"
            and (name := str(state.saved.fields.get(one.field) or "").strip())
            and name not in attached
        )


def _fields_of(answers: Mapping[str, Any], call: Call) -> dict[str, Any]:
    """Return the answers that another call asks for, too; empty ones are left out."""
    asked = {one.field for one in questions_of(call)}
    return {
        name: answer
        for name, answer in answers.items()
        if name in asked and answer not in ("", 0, [], None)
    }
