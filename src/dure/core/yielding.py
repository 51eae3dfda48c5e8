"""Giving way: an owner's long work makes room, once it has saved, for its work that is soon done.

Where an owner's entitlement is full of its own work, the one of its waiting gangs that stands first
may take the place of one that has much longer to run: that one runs on as a loan, its part of the
entitlement passes to the other, and the other claims its devices, as it would from any borrower.
Nobody else is disturbed, and who was ever sent away gives way no more.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic
from dure.core.entitled import has_room, may_borrow, start_own
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.leaving import leave_by, left_s, way_out
from dure.core.lending import find_claim, make_claim
from dure.core.line import SAID_S_MAX, first_of, next_of, order_heads, replace_head
from dure.core.moves import skip_dead
from dure.core.victims import yielded_by

YIELDS_MOST = 16  # a pass; the others have theirs in the next


@inner
def _without_claim(c: Columns, job: int) -> int:
    """Return a gang, or the next of its cohort that has no claim; -1 if there is none."""
    while job >= 0 and c.jobs[J_CLAIM_DUE, job] >= 0:
        job = next_of(c, job)
    return job


@inner
def _open_declared(c: Columns) -> None:
    """Gather the first of every cohort that may run as own and declares how long."""
    s, count = c.scalars, 0
    for i in range(s[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        if cohort[C_FLAGS] & IS_ODD or not cohort[C_FLAGS] & MAY_OWN:
            continue
        job = _without_claim(c, first_of(c, c.standing[i]))
        is_known = job >= 0 and c.jobs[J_ESTIMATE, job] >= 0
        if is_known and c.accounts[A_KIND, cohort[C_OWNER]] != ACCOUNT_POOL:
            count += 1
            c.heads[count] = job
    order_heads(c, count)


@inner
def _who_may_yield(c: Columns) -> np.ndarray:
    """Return the own gangs that may run on as loans and save in time, by owner, then number."""
    s, jobs, count = c.scalars, c.jobs, 0
    latest_s = leave_by(c, s[S_NOW])
    found = np.empty(s[S_RUNNING], dtype=np.int64)
    for i in range(s[S_RUNNING]):
        job = c.running[i]
        if jobs[J_CLASS, job] != OWN or jobs[J_RECLAIMS, job] > 0 or jobs[J_STOP_AT, job] >= 0:
            continue
        if jobs[J_STATE, job] != RUNNING or is_elastic(jobs, job) or not may_borrow(jobs, job):
            continue
        if way_out(c, job, latest_s)[1] == 1:
            found[count] = job
            count += 1
    found = np.sort(found[:count])
    return found[np.argsort(jobs[J_OWNER][found], kind="mergesort")]


@inner
def _longer(c: Columns, yielding: np.ndarray, job: int) -> int:
    """Return where the gang stands that gives way to a job: of its owner, with room enough and
    much longer to run, the smallest of them, of equal ones the longest; -1 if there is none.
    """
    jobs, owner = c.jobs, c.jobs[J_OWNER, job]
    milli, ratio = jobs[J_SIZE, job] * jobs[J_MILLI, job], c.policy[P_YIELD_RATIO]
    asks_s = max(0, min(jobs[J_ESTIMATE, job], SAID_S_MAX) - jobs[J_SAVED, job])
    owners = jobs[J_OWNER][yielding]
    best, best_s = -1, 0
    for i in range(np.searchsorted(owners, owner), yielding.size):
        other = yielding[i]
        if jobs[J_OWNER, other] != owner:
            break
        kind, used = jobs[J_PLACED_TYPE, other], jobs[J_USED, other]
        if jobs[J_STOP_AT, other] >= 0 or not jobs[J_TYPES, job] >> kind & 1:
            continue
        # Each of several that give way waits as long as the gang runs, and so does a larger one.
        stays_s = left_s(c, other)
        is_longer = stays_s >= ratio * asks_s and stays_s * used >= ratio * asks_s * milli
        if not is_longer or has_room(c, owner, kind, milli):
            continue
        if not has_room(c, owner, kind, milli - used):
            continue
        is_better = best < 0 or used < jobs[J_USED, yielding[best]]
        if is_better or (used == jobs[J_USED, yielding[best]] and stays_s > best_s):
            best, best_s = i, stays_s
    return int(best)


@inner
def _take_place(c: Columns, job: int, other: int) -> bool:
    """Have a running gang run on as a loan so that a waiting one of its owner starts, or claims
    its devices; tell whether it could.
    """
    types = 1 << c.jobs[J_PLACED_TYPE, other]
    count = find_claim(c, job, types, yielded_by(other))
    if count == 0:
        return False
    emit(c, K_RECLASSED, other, c.jobs[J_ATTEMPT, other] + 1, LOAN, 0, 0, 0)
    # Who may not borrow may have stood beside idle devices for want of the entitlement alone.
    if c.scalars[S_KIND + IDLE] > 0:
        if start_own(c, job, types):
            return True
        count = find_claim(c, job, types, yielded_by(other))
    make_claim(c, job, types, count)
    return True


@inner
def give_way(c: Columns) -> bool:
    """Let long own work make room for short work of the same owner; tell whether any does."""
    if c.policy[P_YIELD_RATIO] == 0:
        return False
    skip_dead(c)
    _open_declared(c)
    if c.heads[0] == 0:
        return False
    yielding, yields = _who_may_yield(c), 0
    while c.heads[0] > 0 and yielding.size > 0 and yields < YIELDS_MOST:
        job = c.heads[1]
        following, at = _without_claim(c, next_of(c, job)), _longer(c, yielding, job)
        if at >= 0 and _take_place(c, job, yielding[at]):
            yields += 1
        else:
            following = -1
        replace_head(c, following)
    return yields > 0
