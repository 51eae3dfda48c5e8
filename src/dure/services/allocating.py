"""Allocations: released after an interim stage, given back, ended."""

from dure.core.applications import ends_at_s
from dure.core.calls.stages import interim_of
from dure.core.events import Event
from dure.core.events.programme import AllocationEnded, AllocationGranted, ReturnedByProject
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.granting import resized, shrunk
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.promoting import Promoting


class Allocating(Promoting):
    """The use cases of an allocation, up to its end."""

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
        """Give part or all of one's allocation back; the next in line gets it at once."""
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
            return self._write_and_promote(events, state.granted.call)

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
            self._write_and_promote(events, *sorted({one.call for one in events}))
            return events
