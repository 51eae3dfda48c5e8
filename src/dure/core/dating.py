"""Who waited long enough, or is large, gets a date: the first moment from which on so many nodes
are free for all its declared time, by what everyone declared and was promised before.

With honest limits, and but for faults and owners who call back what they lent, nobody starts later
than its first date (docs/policies.md states the bound). The rest backfills: whoever ends before it
is in a date's way may start.
"""

import numpy as np

from dure.core.bookings import nodes_of
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.moves import lasts_s
from dure.core.placement import find_own_place, shape_of
from dure.core.profile import are_stale, lay_out, open_stairs, take
from dure.core.reserving import is_datable, longest_waiting, reserved_for, start_short
from dure.core.starting import is_ready, start

# So many gangs get a date in one pass: each costs a look along the profile.
DATES_A_PASS = 128


@inner
def start_dated(c: Columns) -> None:
    """Start whose date has come, or was brought forward to now, in the order of dates.

    What is free stays the same by it: the profile had them start now.
    """
    s, booked = c.scalars, c.booked
    while s[S_BOOKED] > 0 and booked[0, B_DATE] <= s[S_NOW]:
        job, group, nodes = booked[0, B_JOB], booked[0, B_GROUP], booked[0, B_NODES]
        count = find_own_place(c, job, 1 << c.groups[G_TYPE, group])
        if count > 0:
            start(c, job, OWN, count, 0)
            continue
        if c.jobs[J_PROMISED, job] >= s[S_NOW]:
            # Brought forward, and its nodes are being cleaned still.
            return
        _, free, steps = lay_out(c, group, True)
        if free[steps - 1] >= nodes:
            # A fault, or someone outlived its word: what comes free is for it first.
            return
        # So many nodes are down that nobody knows when: it gets a date anew after that.
        emit(c, K_BOOKED, job, -1, group, 0, 0, 0)


@inner
def backfill(c: Columns) -> None:
    """Start, in the line's order, whoever ends before it is in a date's way."""
    if c.scalars[S_BOOKED] == 0 or c.scalars[S_KIND + IDLE] == 0:
        return
    if are_stale(c):
        open_stairs(c)
        start_dated(c)
    start_short(c, FOREVER_S)


@inner
def _is_large(c: Columns, job: int) -> bool:
    for group in range(c.groups.shape[1]):
        if c.jobs[J_TYPES, job] >> c.groups[G_TYPE, group] & 1:
            nodes = 0
            for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
                nodes += c.shelves[H_TO, shelf] - c.shelves[H_FROM, shelf]
            if 100 * nodes_of(c, job, group) >= c.policy[P_LARGE_PCT] * nodes:
                return True
    return False


@inner
def _candidates(c: Columns) -> tuple[np.ndarray, int]:
    """Return who should get a date, in the line's order."""
    s, jobs, count = c.scalars, c.jobs, 0
    found = np.empty(DATES_A_PASS, dtype=np.int64)
    since_s, at = s[S_NOW] - c.policy[P_RESERVE_S], s[S_Q_HEAD]
    # Those who draw on the whole pool stand by their submissions (``core.keys``).
    while at < s[S_Q_TAIL] and count < DATES_A_PASS and jobs[J_KEY, c.queue[at]] <= since_s:
        job = c.queue[at]
        waits = jobs[J_STATE, job] == PENDING and jobs[J_SUBMIT, job] <= since_s
        if waits and jobs[J_DATE, job] < 0 and is_datable(c, job):
            found[count] = job
            count += 1
        at += 1
    large_pct = c.policy[P_LARGE_PCT]
    for i in range(s[S_FRESH] if large_pct > 0 else 0):
        job = c.fresh[i]
        is_new = jobs[J_STATE, job] == PENDING and jobs[J_DATE, job] < 0
        is_new = is_new and jobs[J_SUBMIT, job] > since_s and is_datable(c, job)
        if count < DATES_A_PASS and is_new and _is_large(c, job):
            found[count] = job
            count += 1
    return found, count


@inner
def _earliest(times: np.ndarray, free: np.ndarray, count: int, nodes: int, lasts: int) -> int:
    """Return the first step from which on so many nodes are free so long, or -1."""
    first = 0
    for i in range(count):
        if times[i] >= times[first] + lasts and first < i:
            return first
        if free[i] < nodes:
            first = i + 1
            if first < count:
                continue
            return -1
    return first


@inner
def _fits_kind(c: Columns, job: int, group: int) -> bool:
    _, each, _ = shape_of(c, job, c.groups[G_GPUS, group])
    is_accepted = c.jobs[J_TYPES, job] >> c.groups[G_TYPE, group] & 1
    return bool(is_accepted and each <= c.groups[G_GPUS, group])


@inner
def plan_dates(c: Columns) -> None:
    """Give dates in the line's order, in the first kind of node that will ever have room."""
    s, now_s = c.scalars, c.scalars[S_NOW]
    if c.policy[P_RESERVE_S] == 0 or s[S_BOOKED] + DATES_A_PASS > DATES_MAX:
        return
    if s[S_ELASTIC] > 0:
        # When such a gang ends changes with its size: no date could rest on it.
        return
    found, wanted = _candidates(c)
    if wanted == 0:
        return
    # Who must hold nodes of a domain is not passed for ever by those who get dates.
    barrier = longest_waiting(c) if reserved_for(c) < 0 else -1
    laid, count = -1, 0
    times, free = found, found
    for i in range(wanted):
        job = found[i]
        if (barrier >= 0 and job > barrier) or not is_ready(c, job):
            continue
        is_patient = c.jobs[J_SUBMIT, job] > now_s - c.policy[P_RESERVE_S]
        for group in range(c.groups.shape[1]):
            if not _fits_kind(c, job, group):
                continue
            if laid != group:
                times, free, count = lay_out(c, group, True)
                laid = group
            nodes, lasts = nodes_of(c, job, group), lasts_s(c, job)
            first = _earliest(times, free, count, nodes, lasts)
            # A large gang gets a date at once only if there is one.
            if first < 0 or (is_patient and times[first] - now_s > UNKNOWN_S // 2):
                continue
            emit(c, K_BOOKED, job, times[first], group, 0, 0, 0)
            count = take(times, free, count, first, nodes, lasts)
            break
