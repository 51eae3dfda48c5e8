"""How much stands idle beside a queue: what one first-fit pass could still give to who waits."""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.placement import shape_of, suits
from dure.core.sharing import entitled_types
from dure.core.starting import failed_already, is_ready


@inner
def _may_run(c: Columns, job: int) -> bool:
    """Tell whether nothing but room keeps the job waiting."""
    jobs = c.jobs
    if jobs[J_STATE, job] != PENDING or jobs[J_CLAIM_DUE, job] >= 0:
        return False
    if not is_ready(c, job):
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
        if found < need or c.jobs[J_LOCALITY, job] != LOCALITY_ANY:
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
        return int(c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job])
    return 0


@inner
def measure_beside(c: Columns) -> None:
    """Write down a change of the idle (and the held) milli-GPUs that stand beside a queue."""
    s = c.scalars
    idle, waits = 0, False
    free = s[S_KIND + IDLE]
    if s[S_Q_HEAD] < s[S_Q_TAIL] and (free > 0 or s[S_KIND + RESERVED] > 0):
        hist = c.hist.copy()
        is_fruitful = 1 if c.policy[P_POLICY] == EASY else 0
        least = np.full(FAMILIES + 1, 1 << 60)
        for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
            job = c.queue[i]
            if c.jobs[J_STATE, job] != PENDING:
                continue
            if waits and is_fruitful == 0 and failed_already(c.jobs, c.memo, job):
                continue
            if not _may_run(c, job):
                continue
            waits = True
            family = c.jobs[J_FAMILY, job]
            if free < c.jobs[J_MILLI, job]:
                continue
            if family >= 0 and c.jobs[J_GPUS, job] >= least[family]:
                continue
            if c.policy[P_POLICY] != EASY and failed_already(c.jobs, c.memo, job):
                continue
            got = _take(c, job, hist)
            idle, free = idle + got, free - got
            if got == 0 and family >= 0:
                least[family] = c.jobs[J_GPUS, job]
    reserved = s[S_KIND + RESERVED] if waits else 0
    if idle != s[S_BESIDE] or reserved != s[S_RESERVED_BESIDE]:
        emit(c, K_BESIDE, -1, idle, reserved, 0, 0, 0)
