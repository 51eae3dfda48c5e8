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
    waiting = list(line)
    tracks, homes = dict(room.track_gpus), dict(room.organisation_gpus)
    free, came = room.free_gpus, dict.fromkeys(SOURCES, 0)
    # What those hold who hold something now; what comes before its time does not come again.
    held, since_held = sum(one.gpus for one in coming if one.source == "term"), 0
    moments = [one.soonest_s if times > 1 else one.at_s for one in coming]
    queue = [
        (max(at_s, now_s), place, one)
        for place, (at_s, one) in enumerate(zip(moments, coming, strict=True))
    ]
    step_s = flow.days * DAY_S * flow.chunk_gpus // (flow.gpus * times) if flow.gpus * times else 0
    if step_s:
        chunk = Coming(max(now_s, flow.from_s) + step_s, flow.chunk_gpus, "flow")
        queue.append((chunk.at_s, len(queue), chunk))
    heapq.heapify(queue)
    served: dict[str, tuple[int | None, dict[str, int]]] = {}
    number = first = len(queue)
    while waiting and queue:
        at_s, place, one = heapq.heappop(queue)
        if at_s > now_s + HORIZON_S:
            break
        # A walk's own awards end by themselves; what is held now never comes twice.
        is_flow = one.source == "flow"
        is_own = place >= first and not is_flow
        before = 0 if is_own else min(one.gpus, held)
        since = min(one.gpus - before, since_held) if is_own or is_flow else 0
        held, since_held, gpus = held - before, since_held - since, before + since
        free, came[one.source] = free + gpus, came[one.source] + gpus
        tracks[one.track] = max(0, tracks.get(one.track, 0) - gpus)
        homes[one.organisation] = max(0, homes.get(one.organisation, 0) - gpus)
        if is_flow and held + since_held:
            number += 1
            heapq.heappush(queue, (at_s + step_s, number, replace(one, at_s=at_s + step_s)))
        while waiting and free >= min(other.gpus for other in waiting):
            now = replace(room, free_gpus=free, track_gpus=tracks, organisation_gpus=homes)
            chosen = next_in_line(waiting, now)
            if isinstance(chosen, Refusal):
                break
            next_ = chosen.waiting
            waiting.remove(next_)
            served[next_.application] = at_s, {name: sum_ for name, sum_ in came.items() if sum_}
            free, since_held = free - next_.gpus, since_held + next_.gpus
            tracks[next_.track] = tracks.get(next_.track, 0) + next_.gpus
            homes[next_.organisation] = homes.get(next_.organisation, 0) + next_.gpus
            number += 1
            end = Coming(at_s + term_s[next_.application], next_.gpus, "term", next_.track,
                         next_.organisation)  # fmt: skip
            heapq.heappush(queue, (end.at_s, number, end))
    return served
