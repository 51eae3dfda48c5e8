"""Allocations: granted for awards, released after an interim stage, given back, ended."""

from dure.core.applications import ends_at_s
from dure.core.calendar import months_later_s
from dure.core.calls.model import Call, Hold
from dure.core.calls.stages import interim_of
from dure.core.events import Event
from dure.core.events.programme import (
    AllocationChanged,
    AllocationEnded,
    AllocationGranted,
    ReturnedByProject,
)
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.office import Office
from dure.services.programme_states import AllocationState, ApplicationState
from dure.services.programme_tables import ProgrammeTables


class Allocating(Office):
    """The use cases from a signed award to the end of its allocation."""

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

    def release(self, actor: Actor) -> tuple[AllocationGranted, ...]:
        """Grant what interim stages held back of the awards that have passed them."""
        require(actor, "allocation.grant")
        with self._reading() as tables:
            events = tuple(
                event
                for state in tables.applications.values()
                if (event := self._released(tables, state, actor.user)) is not None
            )
            self._write(events)
            return events

    def _released(
        self, tables: ProgrammeTables, state: ApplicationState, by: str
    ) -> AllocationGranted | None:
        held, call = tables.allocations.get(state.allocation), tables.calls[state.submitted.call]
        stage = interim_of(call, state.answers)
        if stage is None or stage.hold is None or held is None or state.decided is None:
            return None
        end, now_s = state.concluded.get(stage.stage), self.clock.now_s()
        if end is None or end.outcome != "passed" or held.granted.cause == "release":
            return None
        if held.gpus == 0:
            # Passed too late, or given back: nothing is left to go on with.
            return None
        whole_to_s = ends_at_s(state.submitted, call, from_s=held.granted.from_s)
        from_s = held.granted.to_s if stage.hold.after_months else max(now_s, held.granted.from_s)
        # Half of the GPUs at once, half after the report: what is missing to the whole award.
        gpus = held.gpus if stage.hold.after_months else state.decided.gpus - held.granted.gpus
        if gpus <= 0 or from_s >= whole_to_s:
            return None
        return AllocationGranted(
            f"{held.granted.allocation}-{stage.stage}",
            held.granted.call,
            held.granted.application,
            held.granted.project,
            held.granted.accelerator,
            gpus,
            from_s,
            whole_to_s,
            held.granted.shape,
            held.granted.lendable,
            "release",
            at_s=now_s,
            by=by,
        )

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
            events = (returned, *shrunk(tables, state, gpus, "return", now_s, actor.user))
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


def _held_back(state: ApplicationState, call: Call) -> Hold | None:
    """Return what an interim stage holds back of an award that it has not passed."""
    stage = interim_of(call, state.answers)
    if stage is None or stage.stage in state.concluded:
        return None
    return stage.hold


def granted(
    state: ApplicationState, call: Call, gpus: int, from_s: int, cause: str, now_s: int, by: str
) -> AllocationGranted:
    """Make the event of an allocation for as long as its application asked."""
    submitted, decided = state.submitted, state.decided
    assert decided is not None and cause in ("award", "handover")
    to_s = ends_at_s(submitted, call, from_s=from_s)
    hold = _held_back(state, call)
    if hold is not None:
        gpus = max(gpus * hold.gpus_percent // 100 // call.node_gpus, 1) * call.node_gpus
        if hold.after_months:
            to_s = min(to_s, months_later_s(from_s, hold.after_months))
    return AllocationGranted(
        f"a-{submitted.application}",
        submitted.call,
        submitted.application,
        submitted.project,
        decided.accelerator,
        gpus,
        from_s,
        to_s,
        cause="award" if cause == "award" else "handover",
        at_s=now_s,
        by=by,
    )


def shrunk(
    tables: ProgrammeTables,
    state: AllocationState,
    less_gpus: int,
    cause: str,
    now_s: int,
    by: str,
) -> tuple[AllocationChanged | AllocationEnded, ...]:
    """Make the events of an allocation that shrinks, and of those that follow on it."""
    left = state.gpus - less_gpus
    return (
        resized(state, less_gpus, cause, now_s, by),
        *(
            resized(one, one.gpus - left, cause, now_s, by)
            for one in tables.followers(state)
            if one.gpus > left
        ),
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
