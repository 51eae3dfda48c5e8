"""Who can never run is refused by name before the pass: what stands in one job's columns stops no
cycle, whatever it is.

Files and forms are read more strictly, and say where the mistake stands (``twin.tables``,
``services.requests``). This is the last gate: no kernel after it meets a value that it was not
made for.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.fitting import could_ever_fit
from dure.core.kernel import inner

(
    NO_REASON,
    NOTHING_ASKED,
    SHAPE_IS_WRONG,
    NEVER_FITS,
    UNKNOWN_TYPE,
    DEPENDENCY_FAILED,
    VALUE_IS_WRONG,
    CONTRADICTION,
) = range(8)
# Every product with milli-GPU stays below 63 bits.
MOST = 1 << 53


def _bounds() -> tuple[IntArray, IntArray]:
    """Return the least and the most of each column that a submission brings."""
    least, most = np.zeros(BROUGHT, dtype=np.int64), np.full(BROUGHT, MOST, dtype=np.int64)
    for column in (J_PROVIDER, J_ESTIMATE, J_CKPT_TAKES, J_DEADLINE):
        least[column] = -1
    least[J_AFTER] = AFTER_DONE
    most[J_CLASS_ASKED], most[J_PREEMPTIBLE] = 1 + SCAVENGE, 1
    most[J_LOCALITY], most[J_LEVEL], most[J_GRADE] = LOCALITY_REQUIRED, AT_ANY, GRADE_MAX
    # A bit each; which of them the pool has is asked apart.
    most[J_TYPES] = (1 << 62) - 1
    most[J_PREFERRED] = (1 << PREFERRED_BITS * PREFERRED_MOST) - 1
    return least, most


_LEAST, _MOST = _bounds()


@inner
def _is_within_bounds(c: Columns, job: int) -> bool:
    """Tell whether every column of a job holds a value that it can have."""
    jobs, accounts = c.jobs, c.scalars[S_ACCOUNTS]
    for column in range(_LEAST.size):
        if jobs[column, job] < _LEAST[column] or jobs[column, job] > _MOST[column]:
            return False
    if jobs[J_OWNER, job] >= accounts or jobs[J_PROJECT, job] >= accounts:
        return False
    preferred, types = jobs[J_PREFERRED, job], c.types.shape[1]
    while preferred > 0:
        if preferred & PREFERRED_MASK > types:
            return False
        preferred >>= PREFERRED_BITS
    return bool(jobs[J_TYPES, job] >> types == 0)


@inner
def _is_made_of_segments(jobs: IntArray, job: int) -> bool:
    """Tell whether the gang, and what it puts on each node if it says so, are whole segments."""
    gpus, nodes, each = jobs[J_GPUS, job], jobs[J_NODES, job], jobs[J_GPN, job]
    segment = jobs[J_SEGMENT, job]
    if segment == 0:
        return True
    each = gpus // nodes if nodes > 0 else each
    return bool(gpus % segment == 0 and (each == 0 or segment % each == 0 or each % segment == 0))


@inner
def _contradicts_itself(jobs: IntArray, job: int) -> bool:
    """Tell whether a job wishes for two things of which each excludes the other."""
    if jobs[J_MIN_GPUS, job] > jobs[J_GPUS, job]:
        return True
    # What is borrowed is called back.
    return bool(jobs[J_CLASS_ASKED, job] > 1 + OWN and jobs[J_PREEMPTIBLE, job] == 0)


@inner
def _is_orphan(c: Columns, job: int) -> bool:
    """Tell whether the job can never become ready: what it waits for ended badly, or is itself."""
    after = c.jobs[J_AFTER, job]
    if after < 0 or after >= c.scalars[S_JOBS]:
        return False
    return bool(after == job or c.jobs[J_STATE, after] > COMPLETED)


@inner
def refuse_orphans(c: Columns) -> None:
    """Refuse whoever comes after a job that ended badly in this cycle, and after those, too."""
    s = c.scalars
    while s[S_BADLY] > 0:
        s[S_BADLY] = 0
        if s[S_AFTERS] == 0:
            return
        for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
            job = c.queue[i]
            if c.jobs[J_STATE, job] == PENDING and _is_orphan(c, job):
                emit(c, K_REFUSED, job, DEPENDENCY_FAILED, 0, 0, 0, 0)


@inner
def _verdict(c: Columns, job: int) -> int:
    """Return why a job can never run here, or ``NO_REASON``."""
    jobs = c.jobs
    gpus, nodes, each = jobs[J_GPUS, job], jobs[J_NODES, job], jobs[J_GPN, job]
    if gpus <= 0 or jobs[J_MILLI, job] <= 0 or jobs[J_MILLI, job] > WHOLE:
        return NOTHING_ASKED
    if not _is_within_bounds(c, job):
        return VALUE_IS_WRONG
    if jobs[J_TYPES, job] == 0:
        return UNKNOWN_TYPE
    if nodes > 0 and (gpus % nodes != 0 or (each > 0 and nodes * each != gpus)):
        return SHAPE_IS_WRONG
    if nodes <= 0 and each > 0 and gpus % each != 0:
        return SHAPE_IS_WRONG
    if not _is_made_of_segments(jobs, job):
        return SHAPE_IS_WRONG
    if _contradicts_itself(jobs, job):
        return CONTRADICTION
    if _is_orphan(c, job):
        return DEPENDENCY_FAILED
    shape = jobs[J_SHAPE, job]
    if shape == 0:
        return NO_REASON if could_ever_fit(c, job) else NEVER_FITS
    if c.memo[M_EVER, shape] == 0:
        c.memo[M_EVER, shape] = 1 if could_ever_fit(c, job) else 2
    return NO_REASON if c.memo[M_EVER, shape] == 1 else NEVER_FITS


@inner
def refuse_impossible(c: Columns) -> None:
    """Refuse at once what can never fit."""
    s, jobs = c.scalars, c.jobs
    for i in range(s[S_FRESH]):
        job = c.fresh[i]
        if jobs[J_STATE, job] != PENDING:
            continue
        reason = _verdict(c, job) if jobs[J_ATTEMPT, job] == 0 else NO_REASON
        if reason != NO_REASON:
            emit(c, K_REFUSED, job, reason, 0, 0, 0, 0)
