"""An own small reference: schedules of gangs of whole, equal nodes, for which a counter is exact.

Independent of the engine on purpose: plain lists, plain loops, no shared code.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gang:
    """A gang of whole nodes; ``limit_s`` is what its owner said it would take at most."""

    submit_at_s: int
    nodes: int
    duration_s: int
    limit_s: int


def starts(gangs: list[Gang], nodes: int, *, backfill: bool) -> list[int]:
    """Return when each gang starts: first come, first served; with strict EASY backfill if asked.

    At a moment, ends come before submissions. A gang that outlives its limit is expected to end
    one second from now. Of gangs expected to end together the one submitted first counts first
    towards the head's room: ``gangs`` may stand in any order, as rows of a file may.
    """
    start: dict[int, int] = {}
    arrivals = sorted(range(len(gangs)), key=lambda i: (gangs[i].submit_at_s, i))
    line: list[int] = []
    now_s = -1
    while len(start) < len(gangs):
        moments = [gangs[i].submit_at_s for i in arrivals[:1]]
        moments += [start[i] + gangs[i].duration_s for i in start]
        now_s = min(at_s for at_s in moments if at_s > now_s)
        while arrivals and gangs[arrivals[0]].submit_at_s <= now_s:
            line.append(arrivals.pop(0))
        here = [i for i in start if start[i] + gangs[i].duration_s > now_s]
        free = nodes - sum(gangs[i].nodes for i in here)
        while line and gangs[line[0]].nodes <= free:
            free -= gangs[line[0]].nodes
            here.append(line[0])
            start[line.pop(0)] = now_s
        if backfill and line:
            for i in _backfilled(gangs, line, here, start, free, now_s):
                line.remove(i)
                start[i] = now_s
    return [start[i] for i in range(len(gangs))]


def _backfilled(
    gangs: list[Gang],
    line: list[int],
    here: list[int],
    start: dict[int, int],
    free: int,
    now_s: int,
) -> list[int]:
    """Return who may start behind the head of the line without delaying it."""
    ends = sorted(
        (max(start[i] + gangs[i].limit_s, now_s + 1), gangs[i].submit_at_s, i) for i in here
    )
    room, shadow_s = free, now_s
    for end_s, _, i in ends:
        if room >= gangs[line[0]].nodes:
            break
        room, shadow_s = room + gangs[i].nodes, end_s
    spare = room - gangs[line[0]].nodes
    chosen = []
    for i in line[1:]:
        is_short = now_s + gangs[i].limit_s <= shadow_s
        if gangs[i].nodes <= free and (is_short or gangs[i].nodes <= spare):
            free -= gangs[i].nodes
            spare -= 0 if is_short else gangs[i].nodes
            chosen.append(i)
    return chosen
