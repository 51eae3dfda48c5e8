"""What puts a job before others in the line, smaller first; of equals, the earlier number.

Who must start soon for its deadline goes before all others of its owner (``core.laxity``). Else,
under ``dure``, an owner's gangs let others pass by what they declare: their key is the submission
plus so many times the declared GPU-time left, so what is soon done goes before what came earlier,
but not before what came early enough. Who waited ``passed_s`` stands by its submission from then
on, and so before everyone who did not: nobody is passed for ever. Who draws on the whole pool
stands by its submission from the start: dates (``core.dating``) rest on it.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.laxity import key_by_laxity
from dure.core.line import declared_left
from dure.core.moves import enqueue, move_in_line


@inner
def key_of(c: Columns, job: int) -> int:
    """Return a job's key as it is now, whatever its deadline."""
    jobs, p = c.jobs, c.policy
    if p[P_POLICY] == SJF:
        return int(jobs[J_WORK, job])
    if p[P_POLICY] != DURE:
        return 0
    submit_s, patience_s = jobs[J_SUBMIT, job], p[P_PASSED_S]
    is_impatient = patience_s > 0 and submit_s <= c.scalars[S_NOW] - patience_s
    # A job comes into the line before it is looked at: it may name anyone until it is refused.
    is_known = 0 <= jobs[J_OWNER, job] < c.scalars[S_ACCOUNTS]
    if is_impatient or not is_known or c.accounts[A_KIND, jobs[J_OWNER, job]] == ACCOUNT_POOL:
        return int(submit_s)
    return int(submit_s + p[P_ESTIMATE_WEIGHT] * declared_left(c, job))


@inner
def key_now(c: Columns, job: int) -> int:
    """Return a waiting job's key as it is now; a deadline that nears comes before all else."""
    urgent = key_by_laxity(c, job)
    return urgent if urgent < 0 else key_of(c, job)


@inner
def _leave_line(c: Columns, job: int) -> None:
    """Take out the entry that a job which no longer waits left in the line."""
    s, queue = c.scalars, c.queue
    if c.jobs[J_IN_QUEUE, job] == 0:
        return
    at = s[S_Q_HEAD]
    while queue[at] != job:
        at += 1
    for i in range(at, s[S_Q_TAIL] - 1):
        queue[i] = queue[i + 1]
    s[S_Q_TAIL] -= 1
    s[S_Q_DEAD] -= 1
    c.jobs[J_IN_QUEUE, job] = 0


@inner
def stand_in_line(c: Columns, job: int, key: int) -> None:
    """Put a job that comes to wait in its place, which may be another than it had before."""
    if key != c.jobs[J_KEY, job]:
        _leave_line(c, job)
        c.jobs[J_KEY, job] = key
    enqueue(c, job)


@inner
def lose_patience(c: Columns) -> None:
    """Have those who waited ``passed_s`` by now stand by their submission."""
    s, jobs = c.scalars, c.jobs
    if c.policy[P_POLICY] != DURE or c.policy[P_PASSED_S] == 0:
        return
    since_s = s[S_NOW] - c.policy[P_PASSED_S]
    while s[S_IMPATIENT] < s[S_JOBS] and jobs[J_SUBMIT, s[S_IMPATIENT]] <= since_s:
        job = s[S_IMPATIENT]
        s[S_IMPATIENT] = job + 1
        # A gang that was moved for another stands before all of them already.
        if jobs[J_STATE, job] == PENDING and jobs[J_KEY, job] > jobs[J_SUBMIT, job]:
            move_in_line(c, job, jobs[J_SUBMIT, job])
