"""Try to start waiting jobs: the memo of what failed in this pass, plain orders (fifo, greedy,
sjf).
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner, inner_of_ints
from dure.core.line import first_of, next_of, order_heads, replace_head
from dure.core.moves import bits, skip_dead
from dure.core.placement import find_place


@inner
def lend_beyond(c: Columns, job: int, count: int) -> None:
    """Have an own gang borrow what it has in ``picks`` beyond its size: the last devices."""
    own = c.jobs[J_SIZE, job]
    if own == c.jobs[J_GPUS, job]:
        return
    for i in range(count):
        lent = c.picks[i, 1]
        while own > 0 and lent:
            lent &= lent - 1
            own -= 1
        if lent:
            emit(c, K_LENT, job, c.picks[i, 0], lent, 0, 0, 0)


@inner_of_ints(4)
def start(c: Columns, job: int, kind: int, count: int, held: int) -> None:
    """Start a job on the ``count`` rows of ``picks``."""
    jobs, fewer = c.jobs, 0
    if jobs[J_SIZE, job] < jobs[J_GPUS, job]:
        for i in range(count):
            fewer += bits(c.picks[i, 1])
        fewer = fewer if fewer < jobs[J_GPUS, job] else 0
    emit(c, K_STARTED, job, jobs[J_ATTEMPT, job] + 1, kind, held, fewer, 0)
    for i in range(count):
        emit(c, K_PLACED, job, c.picks[i, 0], c.picks[i, 1], c.picks[i, 2], 0, 0)
    if kind == OWN:
        lend_beyond(c, job, count)


@inner
def new_stamp(c: Columns) -> None:
    """Open a pass of its own: what failed before it counts no more."""
    c.memo[M_STAMP, STAMP_LAST] += 1
    c.memo[M_STAMP, STAMP_PASS] = c.memo[M_STAMP, STAMP_LAST]


@inner
def begin_pass(c: Columns) -> None:
    """Forget what failed, if anything became free since it did."""
    if c.scalars[S_FREED] & FREED_ROOM:
        new_stamp(c)
        c.memo[M_LEAST, :FAMILIES] = 1 << 60
    if c.scalars[S_FREED] > 0:
        c.memo[M_STAMP, STAMP_CLAIMS] += 1


@inner
def failed_already(jobs: IntArray, memo: IntArray, job: int) -> bool:
    """Tell whether this shape, or a smaller one of its family, failed since anything became free.

    It takes two matrices, not all columns: it is asked of every waiting job in every pass.
    """
    shape, family = jobs[J_SHAPE, job], jobs[J_FAMILY, job]
    if shape > 0 and memo[M_FAILED, shape] == memo[M_STAMP, STAMP_PASS]:
        return True
    return bool(family >= 0 and jobs[J_SIZE, job] >= memo[M_LEAST, family])


@inner
def remember_failure(c: Columns, job: int) -> None:
    """Keep in mind that the job's shape fits nowhere until something becomes free."""
    shape, family = c.jobs[J_SHAPE, job], c.jobs[J_FAMILY, job]
    c.memo[M_FAILED, shape] = c.memo[M_STAMP, STAMP_PASS]
    if family >= 0:
        c.memo[M_LEAST, family] = min(c.memo[M_LEAST, family], c.jobs[J_SIZE, job])


@inner
def is_hopeful(cohort: IntArray, memo: IntArray) -> bool:
    """Tell whether a cohort may still fit somewhere: the same question, of all of it at once."""
    shape, family = cohort[C_SHAPE], cohort[C_FAMILY]
    if cohort[C_FLAGS] & IS_ODD:
        return True
    if shape > 0 and memo[M_FAILED, shape] == memo[M_STAMP, STAMP_PASS]:
        return False
    return bool(family < 0 or cohort[C_GPUS] < memo[M_LEAST, family])


@inner
def open_hopeful(c: Columns) -> None:
    """Gather the first of every cohort whose shape has not failed since anything became free."""
    heads, count = c.heads, 0
    for i in range(c.scalars[S_STANDING]):
        cohort = c.standing[i]
        if is_hopeful(c.cohorts[cohort], c.memo):
            count += 1
            heads[count] = first_of(c, cohort)
    order_heads(c, count)


@inner
def is_ready(c: Columns, job: int) -> bool:
    """Tell whether the job that this one comes after, if any, has ended well."""
    after = c.jobs[J_AFTER, job]
    if after < 0:
        return True
    # It may be a job that is submitted later.
    return bool(after < c.scalars[S_JOBS] and c.jobs[J_STATE, after] == COMPLETED)


@inner
def try_start(c: Columns, job: int, kind: int) -> bool:
    """Start a job anywhere it fits now; remember it if it does not."""
    if not is_ready(c, job) or c.scalars[S_KIND + IDLE] == 0 or failed_already(c.jobs, c.memo, job):
        return False
    count = find_place(c, job, c.jobs[J_TYPES, job])
    if count == 0:
        remember_failure(c, job)
        return False
    start(c, job, kind, count, 0)
    return True


@inner
def start_in_order(c: Columns) -> int:
    """Start from the head of the line until one does not fit; return it, or -1 (policy fifo).

    Who waits for another job does not stand in the way: that job may be behind it in the line.
    """
    s = c.scalars
    begin_pass(c)
    skip_dead(c)
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        job = c.queue[i]
        if c.jobs[J_STATE, job] != PENDING or not is_ready(c, job):
            continue
        if not try_start(c, job, OWN):
            return int(job)
    return -1


@inner
def start_what_fits(c: Columns) -> None:
    """Go through the whole line, start what fits (policies greedy, sjf, siloed)."""
    s = c.scalars
    begin_pass(c)
    if s[S_FREED] == 0 and c.policy[P_POLICY] != SJF:
        for i in range(s[S_FRESH]):
            if c.jobs[J_STATE, c.fresh[i]] == PENDING:
                try_start(c, c.fresh[i], OWN)
        return
    skip_dead(c)
    open_hopeful(c)
    while c.heads[0] > 0 and s[S_KIND + IDLE] > 0:
        job = c.heads[1]
        following = next_of(c, job)
        if try_start(c, job, OWN) or c.jobs[J_ODD, job] == 1:
            replace_head(c, following)
        else:
            replace_head(c, -1)
