"""How many whole nodes of a kind are free from when on, by what everyone declared and was promised.

The *profile* of a kind is a list of steps: whole nodes free from a moment on, less those of gangs
with a date (``core.bookings``). Whoever starts must leave it at zero or more at every moment until
its own declared end: then every date can be kept. Only the least so far matters for a start now;
these *stairs* are all that a pass looks at.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.moves import lasts_s, stands_aside
from dure.core.pairs import push_pair, sink_pair
from dure.core.placement import shape_of

# A pass looks at so many of the next dates; what lies beyond counts as taken. It is made up for by
# the dates that those behind get, and a pass stays cheap however many there are.
DATES_AHEAD = 32
# Once nothing is free at some moment, nobody else can start: only these many are brought forward.
DATES_FORWARD = 8
# A date is brought forward by an eighth of the time until then at least, or to now: each such step
# is a fact, so there are few of them in a gang's wait.
FORWARD_PARTS = 8


@inner
def ready_s(c: Columns, node: int, soon: bool) -> int:
    """Return when a node is whole and free by what was declared, or ``FOREVER_S``.

    Args:
        soon: whether what is being cleaned after the pool's own gangs counts as free: dates are of
            such gangs, and they may follow each other uncleaned.
    """
    now_s, nodes, devices = c.scalars[S_NOW], c.nodes, c.devices
    gpus, first, at_s = nodes[N_GPUS, node], nodes[N_FIRST, node], now_s
    # What stands aside, or is promised whole to a holder, is for nobody who draws on the pool.
    is_closed = nodes[N_CORDONED, node] > 0 or stands_aside(c, node)
    if is_closed or c.shelves[H_HOLDER, nodes[N_SHELF, node]] > 0:
        return FOREVER_S
    if nodes[N_FREE, node] == gpus:
        return int(now_s)
    if nodes[N_DOWN, node] + nodes[N_DOWN_MILLI, node] > 0:
        return FOREVER_S
    if nodes[N_ROWS, node] >= 0:
        # Who outlived its word ends any moment.
        at_s = max(nodes[N_ENDS, node], now_s + 1 + c.policy[P_CLEANING_S])
    if nodes[N_DRAINING, node] > 0:
        for d in range(first, first + gpus):
            if devices[D_CLEANING, d] > 0 and not (soon and devices[D_OWNER, d] == 1):
                at_s = max(at_s, devices[D_CLEAN_AT, d])
    if nodes[N_HELD, node] > 0:
        for d in range(first, first + gpus):
            holder = devices[D_HOLD, d] - 1
            if holder >= 0:
                due_s = c.jobs[J_CLAIM_DUE, holder] + lasts_s(c, holder)
                at_s = max(at_s, max(due_s, now_s + 1))
    return int(min(at_s, FOREVER_S))


@inner
def _is_plain(nodes: np.ndarray, node: int) -> bool:
    """Tell whether a node is free as soon as those on it end: nothing else is the matter."""
    matters = nodes[N_CORDONED, node] + nodes[N_PROBATION, node] + nodes[N_SPARE, node]
    matters += nodes[N_DOWN, node] + nodes[N_DOWN_MILLI, node]
    matters += nodes[N_DRAINING, node] + nodes[N_HELD, node]
    return bool(matters == 0 and nodes[N_ROWS, node] >= 0)


@inner
def _gather_ends(
    c: Columns,
    group: int,
    between_s: tuple[int, int],
    soon: bool,
    ends: np.ndarray,
    counts: np.ndarray,
    busy: int,
) -> tuple[int, int]:
    """Add to a heap of (when, how many nodes more) what is free after one moment and up to another.

    Returns:
        How many nodes are free now, and how many pairs the heap has then.
    """
    idle, gpus, nodes = 0, c.groups[G_GPUS, group], c.nodes
    after_s, until_s = between_s
    free, ends_s = nodes[N_FREE], nodes[N_ENDS]
    now_s, late_s = c.scalars[S_NOW], c.scalars[S_NOW] + 1 + c.policy[P_CLEANING_S]
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        is_held = c.shelves[H_HOLDER, shelf] > 0
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if free[node] == gpus and not is_held:
                idle += 1
                continue
            if ends_s[node] > until_s:
                continue
            if _is_plain(nodes, node) and not is_held:
                at_s = max(ends_s[node], late_s)
            else:
                at_s = ready_s(c, node, soon)
            if at_s == now_s:
                idle += 1
            elif busy > 0 and ends[busy - 1] == at_s:
                counts[busy - 1] += 1
            elif after_s < at_s <= until_s:
                ends[busy], counts[busy] = at_s, 1
                busy += 1
    for at in range(busy // 2 - 1, -1, -1):
        sink_pair(ends, counts, at, busy)
    return idle, busy


@inner
def _date_s(c: Columns, group: int, rank: int) -> int:
    """Return when the date of a rank among those of a kind is, the first being 0; else for ever."""
    left = rank
    for i in range(c.scalars[S_BOOKED]):
        if c.booked[i, B_GROUP] == group:
            if left == 0:
                return int(max(c.booked[i, B_DATE], c.scalars[S_NOW]))
            left -= 1
    return FOREVER_S - 1


@inner
def take(
    times: np.ndarray, free: np.ndarray, count: int, first: int, nodes: int, lasts: int
) -> int:
    """Take nodes out of a profile for a time; return how many steps it has then."""
    until_s, at = times[first] + lasts, count
    while at > 0 and times[at - 1] > until_s:
        times[at], free[at] = times[at - 1], free[at - 1]
        at -= 1
    if times[at - 1] < until_s:
        times[at], free[at] = until_s, free[at - 1]
        count, at = count + 1, at + 1
    else:
        # There was a step at that moment: close the gap again.
        for i in range(at, count):
            times[i], free[i] = times[i + 1], free[i + 1]
    for i in range(first, at - 1):
        free[i] -= nodes
    return count


@inner
def _bring_forward(
    c: Columns, i: int, times: np.ndarray, free: np.ndarray, last: int
) -> tuple[int, int]:
    """Look whether a date, reached at step ``last``, can be earlier: (step, moment) it gets.

    What the profile holds so far are earlier dates and what they leave. Later dates are not asked:
    it only leaves more to them.
    """
    now_s, nodes = c.scalars[S_NOW], c.booked[i, B_NODES]
    at_s, at = max(c.booked[i, B_DATE], now_s), last
    while at > 0 and free[last] >= nodes and free[at - 1] >= nodes:
        at -= 1
    is_little = at > 0 and (at_s - times[at]) * FORWARD_PARTS < at_s - now_s
    if at == last or is_little:
        return last, int(at_s)
    emit(c, K_BOOKED, c.booked[i, B_JOB], times[at], c.booked[i, B_GROUP], 0, 0, 0)
    return at, int(times[at])


@inner
def lay_out(c: Columns, group: int, whole: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the profile of a kind of node: (moments, free nodes from each on, how many steps).

    Args:
        whole: with all dates, for a promise; else only as far as a start now needs it.
    """
    s, booked, size = c.scalars, c.booked, c.nodes.shape[1] + 2 * DATES_MAX + 2
    ends, counts = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    times, free = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    near_s, far_s = FOREVER_S - 1, FOREVER_S - 1
    if not whole:
        # Mostly the first dates take all there is; the nodes that are free later are asked if not.
        near_s, far_s = _date_s(c, group, DATES_FORWARD), _date_s(c, group, DATES_AHEAD)
    idle, busy = _gather_ends(c, group, (s[S_NOW], near_s), not whole, ends, counts, 0)
    times[0], free[0], last, i, least, seen = s[S_NOW], idle, 0, 0, idle, 0
    while True:
        # Ends first, then dates: what comes free at a moment serves who starts at it.
        while i < s[S_BOOKED] and booked[i, B_GROUP] != group:
            i += 1
        end_s, from_s = FOREVER_S, FOREVER_S
        if busy > 0:
            end_s = ends[0]
        if i < s[S_BOOKED]:
            from_s = max(booked[i, B_DATE], s[S_NOW])
        at_s = min(end_s, from_s)
        is_enough = least <= 0 and (seen >= DATES_FORWARD or from_s == FOREVER_S)
        if is_enough and not whole:
            return times, free, last + 1
        if at_s > near_s and near_s < far_s:
            _, busy = _gather_ends(c, group, (near_s, far_s), not whole, ends, counts, busy)
            near_s = far_s
            continue
        if at_s == FOREVER_S:
            return times, free, last + 1
        if at_s > times[last]:
            last += 1
            times[last], free[last] = at_s, free[last - 1]
        if end_s == at_s:
            free[last] += counts[0]
            busy -= 1
            ends[0], counts[0] = ends[busy], counts[busy]
            sink_pair(ends, counts, 0, busy)
            continue
        if not whole and seen == DATES_AHEAD:
            free[last] = 0
            return times, free, last + 1
        nodes, lasts = booked[i, B_NODES], booked[i, B_LASTS]
        at, from_s = _bring_forward(c, i, times, free, last)
        if from_s + lasts <= times[last]:
            # Brought forward by more than it lasts: it is over before it was to begin.
            last = take(times, free, last + 1, at, nodes, lasts) - 1
        else:
            for k in range(at, last + 1):
                free[k] -= nodes
            push_pair(ends, counts, busy, from_s + lasts, nodes)
            busy += 1
        for k in range(at, last + 1):
            least = min(least, free[k])
        i, seen = i + 1, seen + 1


@inner
def _build_stairs(c: Columns, group: int) -> None:
    times, free, count = lay_out(c, group, False)
    stairs, row, least, steps = c.stairs, 2 * group, FOREVER_S, 0
    for i in range(count):
        if free[i] < least:
            least = free[i]
            stairs[row, steps], stairs[row + 1, steps] = times[i], least
            steps += 1
    stairs[row, steps], stairs[row + 1, steps] = FOREVER_S, -FOREVER_S


@inner
def _is_settled(c: Columns) -> bool:
    """Tell whether nobody can start now who could not before: nothing came free, and who is new
    finds too little.
    """
    s, room = c.scalars, c.scalars[S_KIND + IDLE] + c.scalars[S_KIND + DRAINING]
    if s[S_KIND + LOAN] + s[S_KIND + SCAVENGE] > 0:
        return False
    if room == 0 or s[S_FREED] > 0:
        return bool(room == 0)
    for i in range(s[S_FRESH]):
        if c.jobs[J_SIZE, c.fresh[i]] * c.jobs[J_MILLI, c.fresh[i]] <= room:
            return False
    return True


@inner
def open_stairs(c: Columns) -> bool:
    """Work out anew for how long how many nodes may be taken now; tell whether anyone can start."""
    s, stairs, kinds = c.scalars, c.stairs, c.groups.shape[1]
    stairs[2 * kinds, 0] = 0
    if s[S_BOOKED] == 0:
        return True
    is_settled = _is_settled(c)
    for group in range(kinds):
        # Of kinds without a date anything may be taken.
        stairs[2 * group, 0] = s[S_NOW] if is_settled else FOREVER_S
        stairs[2 * group, 1] = FOREVER_S
        stairs[2 * group + 1, :2] = -FOREVER_S
    for group in range(0 if is_settled else kinds):
        for i in range(s[S_BOOKED]):
            if c.booked[i, B_GROUP] == group:
                _build_stairs(c, group)
                break
    return not is_settled


@inner
def are_stale(c: Columns) -> bool:
    """Tell whether a gang with a date started since, so that more may be free than the stairs
    say.
    """
    return bool(c.stairs[2 * c.groups.shape[1], 0] > 0)


@inner
def may_take_s(c: Columns, group: int, nodes: int) -> int:
    """Return for how many seconds so many nodes of a kind may be taken from now on; up to the first
    date, anything may.
    """
    stairs, row, at, now_s = c.stairs, 2 * group, 0, c.scalars[S_NOW]
    while stairs[row + 1, at] >= nodes:
        at += 1
    if stairs[row, at] == FOREVER_S:
        return FOREVER_S
    return int(max(stairs[row, at], c.booked[0, B_DATE]) - now_s)


@inner
def _takes_s(c: Columns, job: int, group: int) -> int:
    """Return how long a gang takes its nodes from others: to its end, or to its own date."""
    if c.jobs[J_DATE, job] >= 0 and c.jobs[J_DATE_GROUP, job] == group:
        left_s = max(c.jobs[J_DATE, job] - c.scalars[S_NOW], 0)
        return int(min(lasts_s(c, job), left_s))
    return lasts_s(c, job)


@inner
def may_keep_dates(c: Columns, job: int, types: int) -> bool:
    """Tell cheaply whether a gang might start on some kind of node and delay nobody's date."""
    if c.scalars[S_BOOKED] == 0:
        return True
    for group in range(c.groups.shape[1]):
        if types >> c.groups[G_TYPE, group] & 1:
            need, each, _ = shape_of(c, job, c.groups[G_GPUS, group])
            # On part of a node it may stand beside others that stay longer.
            if each < c.groups[G_GPUS, group]:
                return True
            if may_take_s(c, group, need) >= _takes_s(c, job, group):
                return True
    return False


@inner
def keep_dates(c: Columns, job: int, count: int) -> bool:
    """Tell whether a start on the ``count`` rows of ``picks`` delays nobody's date; if so, count
    it.
    """
    if c.scalars[S_BOOKED] == 0:
        return True
    group, now_s, nodes = c.shelves[H_GROUP, c.nodes[N_SHELF, c.picks[0, 0]]], c.scalars[S_NOW], 0
    takes_s = _takes_s(c, job, group)
    for i in range(count):
        nodes += 1 if ready_s(c, c.picks[i, 0], True) < now_s + takes_s else 0
    if may_take_s(c, group, nodes) < takes_s:
        return False
    stairs, row, at, left = c.stairs, 2 * group, 0, FOREVER_S
    while stairs[row, at] < FOREVER_S:
        if stairs[row, at] < now_s + takes_s:
            left = stairs[row + 1, at] - nodes
        stairs[row + 1, at] = min(left, stairs[row + 1, at])
        at += 1
    if c.jobs[J_DATE, job] >= 0:
        stairs[2 * c.groups.shape[1], 0] = 1
    return True


@inner
def can_spare(c: Columns, group: int, chosen: np.ndarray) -> bool:
    """Tell whether these nodes of a kind can be taken for good and every date be kept."""
    if c.scalars[S_BOOKED] == 0:
        return True
    ready = np.empty(chosen.size, dtype=np.int64)
    for i in range(chosen.size):
        ready[i] = ready_s(c, chosen[i], False)
    ready = np.sort(ready)
    times, free, count = lay_out(c, group, True)
    taken = 0
    for i in range(count):
        while taken < ready.size and ready[taken] <= times[i]:
            taken += 1
        if free[i] < taken:
            return False
    return True


@inner
def may_run_on_loan(c: Columns, cohort: np.ndarray) -> bool:
    """Tell whether gangs of a cohort are worth trying as borrowers.

    Those that draw on the pool and just could not start as own are not while there are dates: only
    dates keep them from it.
    """
    if cohort[C_FLAGS] & MAY_BORROW == 0:
        return False
    is_pool = c.accounts[A_KIND, cohort[C_OWNER]] == ACCOUNT_POOL
    return not (c.scalars[S_BOOKED] > 0 and is_pool and cohort[C_FLAGS] & MAY_OWN > 0)
