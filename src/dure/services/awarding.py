"""From the decision to the allocation, and giving it back."""

from dure.core.applications import ends_at_s
from dure.core.awards import award_by_rank
from dure.core.calendar import months_later_s
from dure.core.calls.model import Call
from dure.core.events import Event
from dure.core.events.programme import (
    AgreementSigned,
    AllocationChanged,
    AllocationEnded,
    AllocationGranted,
    AwardDeclined,
    Decided,
    ReturnedByProject,
)
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.allocation_state import AllocationState
from dure.services.office import Office
from dure.services.programme_tables import ApplicationState
from dure.services.scoring import judged


class Awarding(Office):
    """The use cases from the last review to the end of an allocation."""

    def decide(self, actor: Actor, call: str) -> tuple[Decided, ...] | Refusal:
        """Decide on every application of a call by its published rules, in order of rank.

        Where the call is rolling, on those that passed their stages by now; the rest goes on.
        """
        require(actor, "award.decide")
        with self._reading() as tables:
            now_s = self.clock.now_s()
            found = judged(tables, call, now_s=now_s, sizing=self.sizing)
            if isinstance(found, Refusal):
                return found
            if found.call.rule != "rank":
                # The optimum is put before the committee first.
                return Refusal.RULE_NEEDS_MINUTES
            awards = award_by_rank(found.candidates, found.call)
            events = found.decided(awards, at_s=now_s, by=actor.user)
            self._write(events)
            return events

    def sign(self, actor: Actor, application: str) -> AgreementSigned | Refusal:
        """Sign the agreement on an award."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "award.sign", state)
            event = self._signature(actor, state)
            if isinstance(event, AgreementSigned):
                self._write([event])
            return event

    def sign_all(self, actor: Actor, call: str) -> tuple[AgreementSigned, ...] | Refusal:
        """Note the agreements of a call that were signed on paper; for the office."""
        require(actor, "award.sign")
        with self._reading() as tables:
            if call not in tables.decided_at_s:
                return Refusal.CALL_IS_NOT_DECIDED
            answers = [
                self._signature(actor, tables.applications[name]) for name in tables.of_call[call]
            ]
            events = tuple(one for one in answers if isinstance(one, AgreementSigned))
            self._write(events)
            return events

    def decline(
        self, actor: Actor, application: str, *, cause: str = ""
    ) -> AwardDeclined | Refusal:
        """Give an award up before it is granted; its GPUs wait for the next in line."""
        with self._reading() as tables:
            state = tables.applications.get(application)
            if state is None:
                return Refusal.APPLICATION_IS_UNKNOWN
            self._require_team(actor, "award.decline", state)
            if state.decided is None or state.status not in ("selected", "signed"):
                return Refusal.AWARD_IS_NOT_OFFERED
            submitted = state.submitted
            event = AwardDeclined(
                application,
                submitted.call,
                submitted.project,
                state.decided.accelerator,
                state.decided.gpus,
                cause,
                at_s=self.clock.now_s(),
                by=actor.user,
            )
            self._write([event])
            return event

    def grant(self, actor: Actor, call: str) -> tuple[AllocationGranted, ...] | Refusal:
        """Grant an allocation for each signed award, from its first month at the earliest."""
        require(actor, "allocation.grant")
        with self._reading() as tables:
            if call not in tables.decided_at_s:
                return Refusal.CALL_IS_NOT_DECIDED
            terms = tables.calls[call]
            now_s = self.clock.now_s()
            events = tuple(
                granted(
                    state,
                    terms,
                    state.decided.gpus,
                    max(months_later_s(terms.starts_at_s, state.decided.from_month), now_s),
                    "award",
                    now_s,
                    actor.user,
                )
                for name in tables.of_call[call]
                if (state := tables.applications[name]).status == "signed"
                and state.decided is not None
            )
            self._write(events)
            return events

    def return_part(
        self, actor: Actor, allocation: str, *, gpus: int, cause: str = ""
    ) -> tuple[Event, ...] | Refusal:
        """Give part or all of one's allocation back; the next in line gets it."""
        with self._reading() as tables:
            state = tables.allocations.get(allocation)
            if state is None:
                return Refusal.ALLOCATION_IS_UNKNOWN
            application = tables.applications[state.granted.application]
            self._require_team(actor, "allocation.return", application)
            if state.gpus == 0:
                return Refusal.ALLOCATION_IS_OVER
            node_gpus = tables.calls[state.granted.call].node_gpus
            if not 0 < gpus <= state.gpus:
                return Refusal.RETURN_IS_TOO_LARGE
            if gpus % node_gpus and gpus != state.gpus:
                return Refusal.SIZE_IS_NOT_WHOLE_NODES
            now_s = self.clock.now_s()
            returned = ReturnedByProject(
                state.granted.call,
                state.granted.project,
                allocation,
                state.granted.accelerator,
                gpus,
                state.gpus - gpus,
                cause,
                at_s=now_s,
                by=actor.user,
            )
            events = (returned, resized(state, gpus, "return", now_s, actor.user))
            self._write(events)
            return events

    def end_terms(self, actor: Actor) -> tuple[AllocationEnded, ...]:
        """End the allocations whose term is over."""
        require(actor, "allocation.end")
        with self._reading() as tables:
            now_s = self.clock.now_s()
            over = [
                state
                for state in tables.allocations.values()
                if state.gpus > 0 and state.granted.to_s <= now_s
            ]
            events = tuple(
                ended
                for state in over
                if isinstance(
                    ended := resized(state, state.gpus, "term", now_s, actor.user), AllocationEnded
                )
            )
            self._write(events)
            return events

    def _signature(self, actor: Actor, state: ApplicationState) -> AgreementSigned | Refusal:
        if state.signed_at_s is not None:
            return Refusal.AGREEMENT_IS_SIGNED
        if state.decided is None or state.status != "selected":
            return Refusal.AWARD_IS_NOT_OFFERED
        submitted = state.submitted
        return AgreementSigned(
            submitted.application,
            submitted.call,
            submitted.project,
            state.decided.gpus,
            at_s=self.clock.now_s(),
            by=actor.user,
        )


def granted(
    state: ApplicationState, call: Call, gpus: int, from_s: int, cause: str, now_s: int, by: str
) -> AllocationGranted:
    """Make the event of an allocation for as long as its application asked."""
    submitted, decided = state.submitted, state.decided
    assert decided is not None and cause in ("award", "handover")
    return AllocationGranted(
        f"a-{submitted.application}",
        submitted.call,
        submitted.application,
        submitted.project,
        decided.accelerator,
        gpus,
        from_s,
        ends_at_s(submitted, call, from_s=from_s),
        cause="award" if cause == "award" else "handover",
        at_s=now_s,
        by=by,
    )


def resized(
    state: AllocationState, less_gpus: int, cause: str, now_s: int, by: str
) -> AllocationChanged | AllocationEnded:
    """Make the event of an allocation that shrinks, or ends when nothing is left."""
    granted, before = state.granted, state.gpus
    assert 0 < less_gpus <= before, f"{granted.allocation}: {less_gpus} of {before} GPUs"
    if less_gpus == before:
        return AllocationEnded(
            granted.allocation,
            granted.call,
            granted.project,
            granted.accelerator,
            before,
            cause,
            at_s=now_s,
            by=by,
        )
    return AllocationChanged(
        granted.allocation,
        granted.call,
        granted.project,
        granted.accelerator,
        before,
        before - less_gpus,
        cause,
        at_s=now_s,
        by=by,
    )
