"""Calls before they open: written as drafts, copied, published."""

import msgspec

from dure.core.calls.model import Call
from dure.core.calls.rules import check_call
from dure.core.events.calls import CallDrafted
from dure.core.events.programme import CallPublished
from dure.core.programme import Problem, Refusal
from dure.services.access import Actor, require
from dure.services.office import Office

FILE = "file"


class Calling(Office):
    """The use cases from a call's file to its opening."""

    def draft_call(
        self, actor: Actor, call: Call, *, source: str = FILE
    ) -> CallDrafted | tuple[Problem, ...]:
        """Keep a call, or another version of it, that nobody can apply to yet.

        Its version is set here: one more than the draft before.
        """
        require(actor, "call.draft")
        problems = check_call(call)
        if problems:
            return problems
        with self._reading() as tables:
            published = tables.calls.get(call.call)
            if published is not None and self.clock.now_s() >= published.opens_at_s:
                edges: dict[str, int | str] = {"opens_at_s": published.opens_at_s}
                return (Problem("call", Refusal.CALL_OPENED_ALREADY, edges),)
            drafts = tables.drafts.get(call.call, [])
            version = 1 + max((one.version for one in drafts), default=0)
            terms = msgspec.structs.replace(call, version=version)
            event = CallDrafted(
                call.call, version, terms, source, at_s=self.clock.now_s(), by=actor.user
            )
            self._write([event])
            return event

    def copy_call(
        self, actor: Actor, call: str, name: str
    ) -> CallDrafted | tuple[Problem, ...] | Refusal:
        """Draft a call with the rules and, until somebody changes them, the dates of another."""
        require(actor, "call.draft")
        terms = self.call_terms(call)
        if terms is None:
            return Refusal.CALL_IS_UNKNOWN
        if name in self.tables.calls or name in self.tables.drafts:
            return Refusal.CALL_EXISTS
        copied = msgspec.structs.replace(terms, call=name, version=1)
        return self.draft_call(actor, copied, source=call)

    def publish_call(self, actor: Actor, call: str) -> CallPublished | Refusal:
        """Announce the newest draft of a call; until it opens, a newer draft may replace it."""
        require(actor, "call.publish")
        with self._reading() as tables:
            drafts = tables.drafts.get(call)
            if not drafts:
                return Refusal.CALL_IS_UNKNOWN
            terms, now_s = drafts[-1].terms, self.clock.now_s()
            published = tables.calls.get(call)
            if published is not None and published.version == terms.version:
                return Refusal.CALL_IS_PUBLISHED
            if published is not None and now_s >= published.opens_at_s:
                return Refusal.CALL_OPENED_ALREADY
            if now_s >= terms.closes_at_s:
                return Refusal.CALL_IS_CLOSED
            event = CallPublished(call, terms=terms, at_s=now_s, by=actor.user)
            self._write([event])
            return event

    def call_terms(self, call: str) -> Call | None:
        """Return a call's newest rules, published or not."""
        drafts = self.tables.drafts.get(call)
        return drafts[-1].terms if drafts else self.tables.calls.get(call)
