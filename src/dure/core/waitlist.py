"""When those who wait get their turn: the rule of promotion, walked through what is known to come.

Three walks give a date and its interval. The latest counts on ends of terms alone; the expected one
adds recalls that were noticed, and as much as came free before its time so far; the earliest takes
twice that, that recalls are accepted and offers declined at once, and that warnings change nothing.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dure.core.calendar import DAY_S
from dure.core.offers import Room, Waiting, next_in_line
from dure.core.programme import Refusal

Source = Literal["term", "offer", "recall", "warning", "flow"]
SOURCES: tuple[Source, ...] = ("term", "offer", "recall", "warning", "flow")
# Nobody is told a date further away than this.
HORIZON_S = 5 * 365 * DAY_S
FLOW = ("term", "recall", "flow")
WALKS: tuple[tuple[tuple[str, ...], int], ...] = (
    (SOURCES, 2),
    (FLOW, 1),
    (("term",), 0),
)


@dataclass(frozen=True, slots=True)
class Coming:
    """GPUs that come free at a moment, and who holds them until then."""

    at_s: int
    gpus: int
    source: Source
    track: str = ""
    organisation: str = ""

    @property
    def soonest_s(self) -> int:
        """Return when it may come free at the earliest; 0 for at once."""
        return 0 if self.source in ("offer", "recall") else self.at_s


@dataclass(frozen=True, slots=True)
class Flow:
    """What came free before its time, over so many days; ``chunk_gpus`` at once, >= 1.

    Attributes:
        from_s: before this moment nothing is in use, so nothing comes free before its time.
    """

    gpus: int
    days: int
    chunk_gpus: int
    from_s: int = 0


@dataclass(frozen=True, slots=True)
class Expected:
    """When one who waits gets its turn; a moment is None beyond the horizon.

    Attributes:
        before, before_gpus: how many stand before it, and how much they want.
        early_s, at_s, late_s: by the three walks.
        by_source: GPUs that came free by ``at_s`` in the walk that gave it.
    """

    before: int
    before_gpus: int
    early_s: int | None
    at_s: int | None
    late_s: int | None
    by_source: Mapping[str, int]


def expect(
    line: Sequence[Waiting],
    room: Room,
    coming: Sequence[Coming],
    flow: Flow,
    *,
    term_s: Mapping[str, int],
    now_s: int,
) -> dict[str, Expected]:
    """Return by application when each in a line is expected to get its turn.

    Args:
        term_s: for how long each of the line would hold what it waits for.
    """
    early, likely, late = (
        _walk(line, room, [one for one in coming if one.source in sources], flow, times,
              term_s=term_s, now_s=now_s)
        for sources, times in WALKS
    )  # fmt: skip
    found: dict[str, Expected] = {}
    before_gpus = 0
    for before, one in enumerate(sorted(line, key=lambda one: (one.position, one.application))):
        name = one.application
        at_s, by_source = likely.get(name, (None, {}))
        # The walks are greedy, so more capacity may in rare cases serve somebody later.
        moments = [at for at, _ in (early.get(name, (None, {})), late.get(name, (None, {})))]
        known = [at for at in (*moments, at_s) if at is not None]
        is_late_known = moments[1] is not None and at_s is not None
        found[name] = Expected(
            before,
            before_gpus,
            min(known) if known else None,
            at_s,
            max(known) if is_late_known else None,
            by_source,
        )
        before_gpus += one.gpus
    return found


def _walk(
    line: Sequence[Waiting],
    room: Room,
    coming: Sequence[Coming],
    flow: Flow,
    times: int,
    *,
    term_s: Mapping[str, int],
    now_s: int,
) -> dict[str, tuple[int | None, dict[str, int]]]:
    """Walk through what comes free; return for each who is served when, and what had come by then.

    Args:
        times: so many times the flow of the past.
    """
    moments = [one.soonest_s if times > 1 else one.at_s for one in coming]
    arrivals = [
        (max(at_s, now_s), place, one)
        for place, (at_s, one) in enumerate(zip(moments, coming, strict=True))
    ]
    step_s = flow.days * DAY_S * flow.chunk_gpus // (flow.gpus * times) if flow.gpus * times else 0
    if step_s:
        chunk = Coming(max(now_s, flow.from_s) + step_s, flow.chunk_gpus, "flow")
        arrivals.append((chunk.at_s, len(arrivals), chunk))
    heapq.heapify(arrivals)
    held = sum(one.gpus for one in coming if one.source == "term")
    walk = _Walk(list(line), room, arrivals, step_s, term_s, held)
    while walk.waiting and arrivals and arrivals[0][0] <= now_s + HORIZON_S:
        walk.serve(walk.arrive())
    return walk.served


class _Walk:
    """A walk through what comes free, as far as it has come.

    Attributes:
        arrivals: a heap of what comes free: moment, number, what.
        step_s: between two arrivals of the flow.
        held, since_held: GPUs of those who hold something now, and of those served on the walk.
        served: who was served when, and what had come by then.
    """

    def __init__(
        self,
        waiting: list[Waiting],
        room: Room,
        arrivals: list[tuple[int, int, Coming]],
        step_s: int,
        term_s: Mapping[str, int],
        held: int,
    ) -> None:
        self.waiting, self.arrivals, self.step_s, self.term_s = waiting, arrivals, step_s, term_s
        self.room, self.free = room, room.free_gpus
        self.tracks, self.homes = dict(room.track_gpus), dict(room.organisation_gpus)
        self.held, self.since_held = held, 0
        self.came: dict[str, int] = dict.fromkeys(SOURCES, 0)
        self.served: dict[str, tuple[int | None, dict[str, int]]] = {}
        # Arrivals from this number on are the walk's own.
        self.first = self.number = len(arrivals)

    def arrive(self) -> int:
        """Let the next arrival come free, as far as anybody holds it then; return its moment."""
        at_s, number, one = heapq.heappop(self.arrivals)
        # A walk's own awards end by themselves; what is held now never comes twice.
        is_flow = one.source == "flow"
        is_own = number >= self.first and not is_flow
        before = 0 if is_own else min(one.gpus, self.held)
        since = min(one.gpus - before, self.since_held) if is_own or is_flow else 0
        self.held, self.since_held = self.held - before, self.since_held - since
        self.came[one.source] += before + since
        self._hold(one.track, one.organisation, -before - since)
        if is_flow and self.held + self.since_held:
            self._await(replace(one, at_s=at_s + self.step_s))
        return at_s

    def serve(self, at_s: int) -> None:
        """Give what is free to those whose turn it is; it comes back when their terms end."""
        while self.waiting and self.free >= min(one.gpus for one in self.waiting):
            now = replace(
                self.room,
                free_gpus=self.free,
                track_gpus=self.tracks,
                organisation_gpus=self.homes,
            )
            chosen = next_in_line(self.waiting, now)
            if isinstance(chosen, Refusal):
                return
            one = chosen.waiting
            self.waiting.remove(one)
            came = {source: gpus for source, gpus in self.came.items() if gpus}
            self.served[one.application] = at_s, came
            self.since_held += one.gpus
            self._hold(one.track, one.organisation, one.gpus)
            end_s = at_s + self.term_s[one.application]
            self._await(Coming(end_s, one.gpus, "term", one.track, one.organisation))

    def _hold(self, track: str, organisation: str, gpus: int) -> None:
        """Count GPUs as held by a track and an institution, no longer held if negative."""
        self.free -= gpus
        self.tracks[track] = max(0, self.tracks.get(track, 0) + gpus)
        self.homes[organisation] = max(0, self.homes.get(organisation, 0) + gpus)

    def _await(self, one: Coming) -> None:
        self.number += 1
        heapq.heappush(self.arrivals, (one.at_s, self.number, one))
