"""How much stands idle beside a queue: what one first-fit pass could still give to who waits."""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import entitled_types
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.line import first_of, next_of, replace_head
from dure.core.placement import shape_of, suits
from dure.core.profile import may_keep_dates
from dure.core.starting import is_ready, open_hopeful


@inner
def _may_run(c: Columns, job: int) -> bool:
    """Tell whether nothing but room keeps the job waiting."""
    jobs = c.jobs
    if jobs[J_STATE, job] != PENDING or jobs[J_CLAIM_DUE, job] >= 0:
        return False
    if not is_ready(c, job) or not may_keep_dates(c, job, jobs[J_TYPES, job]):
        return False
    if c.policy[P_POLICY] != DURE:
        return True
    if jobs[J_PREEMPTIBLE, job] == 1 and jobs[J_CLASS_ASKED, job] != 1 + OWN:
        return True
    return entitled_types(c, job) != 0


@inner
def _take(c: Columns, job: int, hist: np.ndarray) -> int:
    """Take the job's shape out of a histogram of free devices; return the milli it got, or 0."""
    for group in range(c.groups.shape[1]):
        if not c.jobs[J_TYPES, job] >> c.groups[G_TYPE, group] & 1:
            continue
        need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
        need += 1 if extra > 0 else 0
        first, last, found = c.groups[G_FROM, group], c.groups[G_TO, group], 0
        for shelf in range(first, last):
            if suits(c, job, shelf):
                for k in range(each, c.shelves[H_GPUS, shelf] + 1):
                    found += hist[shelf, k]
        if found < need or c.jobs[J_LOCALITY, job] != LOCALITY_ANY or c.jobs[J_SEGMENT, job] > 0:
            continue
        left = need
        for shelf in range(first, last):
            if not suits(c, job, shelf):
                continue
            for k in range(each, c.shelves[H_GPUS, shelf] + 1):
                got = min(left, hist[shelf, k])
                hist[shelf, k] -= got
                hist[shelf, k - each] += got
                left -= got
        return int(c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job])
    return 0


@inner
def _anyone_waits(c: Columns) -> bool:
    """Tell whether nothing but room keeps anybody waiting."""
    for i in range(c.scalars[S_STANDING]):
        job = first_of(c, c.standing[i])
        while job >= 0:
            if _may_run(c, job):
                return True
            if c.jobs[J_ODD, job] == 0 and c.jobs[J_CLAIM_DUE, job] < 0:
                break
            job = next_of(c, job)
    return False


@inner
def _beside_line(c: Columns) -> int:
    """Return the milli-GPUs that a first-fit pass over the line would take."""
    s, memo = c.scalars, c.memo
    hist, idle, free = c.hist.copy(), 0, s[S_KIND + IDLE]
    memo[M_STAMP, STAMP_LAST] += 1
    stamp = memo[M_STAMP, STAMP_LAST]
    open_hopeful(c)
    while c.heads[0] > 0 and free > 0:
        job = c.heads[1]
        shape, is_odd = c.jobs[J_SHAPE, job], c.jobs[J_ODD, job] == 1
        following = next_of(c, job)
        got = 0
        if not _may_run(c, job):
            # A claim is one job's own; all else holds for the whole cohort.
            goes_on = is_odd or c.jobs[J_CLAIM_DUE, job] >= 0
        else:
            if free >= c.jobs[J_MILLI, job] and (shape == 0 or memo[M_BESIDE, shape] != stamp):
                got = _take(c, job, hist)
            if got == 0:
                memo[M_BESIDE, shape] = stamp
            goes_on = is_odd or got > 0
        idle, free = idle + got, free - got
        replace_head(c, following if goes_on else -1)
    return idle


@inner
def measure_beside(c: Columns) -> None:
    """Write down a change of the idle (and the held) milli-GPUs that stand beside a queue."""
    s = c.scalars
    idle, reserved = 0, 0
    if s[S_STANDING] > 0:
        if s[S_KIND + IDLE] > 0:
            idle = _beside_line(c)
        held = s[S_KIND + RESERVED]
        # What stands idle for a date is held for whoever has it, on no node in particular.
        held += s[S_KIND + IDLE] - idle if s[S_BOOKED] > 0 else 0
        if held > 0 and (idle > 0 or s[S_BOOKED] > 0 or _anyone_waits(c)):
            reserved = held
    if idle != s[S_BESIDE] or reserved != s[S_RESERVED_BESIDE]:
        emit(c, K_BESIDE, -1, idle, reserved, 0, 0, 0)
