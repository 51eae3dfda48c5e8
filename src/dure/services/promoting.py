"""Who waits is next as soon as something comes free: handed over, or offered."""

from collections import defaultdict
from collections.abc import Sequence

from dure.core.calls.stages import track_of
from dure.core.events import Event
from dure.core.events.offers import AwardOffered, HandedOver
from dure.core.offers import Next, Room, Waiting, floor_gpus, next_in_line, offer_due_at_s
from dure.core.programme import Refusal
from dure.services.access import Actor, require
from dure.services.granting import granted
from dure.services.office import Office
from dure.services.programme_tables import ProgrammeTables

BY_RULE = "rule:handover"


class Promoting(Office):
    """What every use case does that sets GPUs free: it lets the next in line have them."""

    def hand_over_all(self, actor: Actor) -> tuple[Event, ...]:
        """Give what every decided call has free to those who wait for it.

        What comes free by an event is given with that event; this is for what a call offers more.
        """
        require(actor, "handover.carry_out")
        with self._reading() as tables:
            return self._write_and_promote((), *sorted(tables.decided_at_s))

    def _write_and_promote(self, events: Sequence[Event], *calls: str) -> tuple[Event, ...]:
        """Write events that may set GPUs of calls free, and what follows for those who wait."""
        self._write(events)
        decided = [call for call in calls if call in self.tables.decided_at_s]
        return (
            *events,
            *(
                event
                for call in decided
                for accelerator in sorted(self.tables.calls[call].capacity)
                for event in self._promote(call, accelerator)
            ),
        )

    def _promote(self, call: str, accelerator: str) -> list[Event]:
        events: list[Event] = []
        while True:
            chosen = next_in_line(
                line_of(self.tables, call, accelerator), room_of(self.tables, call, accelerator)
            )
            if isinstance(chosen, Refusal):
                return events
            promoted = self._promoted(chosen)
            # Written one by one: the next turn sees what this one took.
            self._write(promoted)
            events += promoted

    def _promoted(self, chosen: Next) -> tuple[Event, ...]:
        """Hand over to one that has signed ahead; offer to one that has not."""
        tables, now_s = self.tables, self.clock.now_s()
        state = tables.applications[chosen.waiting.application]
        submitted, decided, gpus = state.submitted, state.decided, chosen.waiting.gpus
        assert decided is not None
        call, accelerator = tables.calls[submitted.call], decided.accelerator
        from_s = max(now_s, call.starts_at_s)
        allocation = granted(state, call, gpus, from_s, "handover", now_s, BY_RULE)
        handed = HandedOver(
            submitted.call,
            submitted.application,
            submitted.project,
            accelerator,
            gpus,
            allocation.allocation,
            tuple(tables.sources((submitted.call, accelerator), gpus)),
            chosen.waiting.position,
            chosen.skipped,
            at_s=now_s,
            by=BY_RULE,
        )
        if state.has_signed:
            return handed, allocation
        offered = AwardOffered(
            submitted.application,
            submitted.call,
            submitted.project,
            accelerator,
            gpus,
            offer_due_at_s(call, now_s),
            "handover",
            at_s=now_s,
            by=BY_RULE,
        )
        return handed, offered


def line_of(tables: ProgrammeTables, call: str, accelerator: str) -> list[Waiting]:
    """Return the waitlist as the rule of promotion reads it."""
    terms = tables.calls[call]
    return [
        Waiting(
            state.submitted.application,
            state.decided.gpus,
            place,
            track_of(terms, state.answers),
            state.submitted.organisation,
        )
        for place, state in enumerate(tables.waitlist(call, accelerator), start=1)
        if state.decided is not None
    ]


def room_of(tables: ProgrammeTables, call: str, accelerator: str) -> Room:
    """Return what a call has free of a type, and what its rules leave of it to whom."""
    terms = tables.calls[call]
    tracks: dict[str, int] = defaultdict(int)
    organisations: dict[str, int] = defaultdict(int)
    for name, gpus in list(tables.held_gpus[call, accelerator].items()):
        # Capacity that the operator gave by hand stems from no application.
        state = tables.applications.get(name)
        if state is not None:
            tracks[track_of(terms, state.answers)] += gpus
            organisations[state.submitted.organisation] += gpus
    return Room(
        tables.free_gpus(call, accelerator),
        tracks,
        floor_gpus(terms, accelerator),
        organisations,
        terms.organisation_caps.get(accelerator),
    )
