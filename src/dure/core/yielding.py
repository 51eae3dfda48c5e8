"""Giving way: an owner's long work makes room, once it has saved, for its work that is soon done.

Where an owner's entitlement is full of its own work, the one of its waiting gangs that stands first
may take the place of one that has much longer to run: that one runs on as a loan, its part of the
entitlement passes to the other, and the other claims its devices, as it would from any borrower.
Nobody else is disturbed, and who was ever sent away gives way no more.

A gang looks for such a place when it comes to wait; all who stand first look again in the first
cycle of a minute.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic
from dure.core.entitled import has_room, may_borrow, start_own
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.leaving import leave_by, left_s, saves_at
from dure.core.lending import find_claim, make_claim
from dure.core.line import SAID_S_MAX, first_of, next_of, order_heads, replace_head
from dure.core.moves import skip_dead
from dure.core.victims import yielded_by

YIELDS_MOST = 16  # a pass; the others have theirs a minute later
LOOK_S = 60


@inner
def _without_claim(c: Columns, job: int) -> int:
    """Return a gang, or the next of its cohort that has no claim; -1 if there is none."""
    while job >= 0 and c.jobs[J_CLAIM_DUE, job] >= 0:
        job = next_of(c, job)
    return job


@inner
def _add_head(c: Columns, place: int, count: int) -> int:
    """Add the first of a cohort to the heads if it may run as own and declares how long; return
    how many there are.
    """
    cohort = c.cohorts[place]
    if cohort[C_FLAGS] & IS_ODD or not cohort[C_FLAGS] & MAY_OWN:
        return count
    if c.accounts[A_KIND, cohort[C_OWNER]] == ACCOUNT_POOL:
        return count
    job = _without_claim(c, first_of(c, place))
    if job < 0 or c.jobs[J_ESTIMATE, job] < 0:
        return count
    c.heads[count + 1] = job
    c.scratch[X_HEAD, cohort[C_OWNER]] = 0
    return count + 1


@inner
def _open_heads(c: Columns) -> None:
    """Gather who looks for a place now, and mark their owners in ``X_HEAD``: 0, the others -1."""
    s, count = c.scalars, 0
    c.scratch[X_HEAD, : s[S_ACCOUNTS]] = -1
    skip_dead(c)
    if s[S_NOW] // LOOK_S > s[S_EARLIER] // LOOK_S:
        for i in range(s[S_STANDING]):
            count = _add_head(c, c.standing[i], count)
    else:
        c.memo[M_STAMP, STAMP_MARKS] += 1
        for i in range(s[S_FRESH]):
            job = c.fresh[i]
            place = c.jobs[J_COHORT, job]
            is_seen = c.jobs[J_STATE, job] != PENDING
            if not is_seen and c.cohorts[place, C_STAMP] != c.memo[M_STAMP, STAMP_MARKS]:
                c.cohorts[place, C_STAMP] = c.memo[M_STAMP, STAMP_MARKS]
                count = _add_head(c, place, count)
    order_heads(c, count)


@inner
def _who_may_yield(c: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Return the own gangs of the marked owners that may run on as loans and save in time, by
    owner; and where each owner's begin, one more than there are owners.
    """
    s, jobs, count = c.scalars, c.jobs, 0
    latest_s = leave_by(c, s[S_NOW])
    found = np.empty(s[S_RUNNING], dtype=np.int64)
    begins = np.zeros(s[S_ACCOUNTS] + 1, dtype=np.int64)
    for i in range(s[S_RUNNING]):
        job = c.running[i]
        if c.scratch[X_HEAD, jobs[J_OWNER, job]] < 0 or jobs[J_CLASS, job] != OWN:
            continue
        if jobs[J_RECLAIMS, job] > 0 or jobs[J_STOP_AT, job] >= 0 or jobs[J_STATE, job] != RUNNING:
            continue
        if is_elastic(jobs, job) or not may_borrow(jobs, job) or saves_at(c, job, latest_s) < 0:
            continue
        found[count] = job
        count += 1
        begins[jobs[J_OWNER, job] + 1] += 1
    for owner in range(s[S_ACCOUNTS]):
        begins[owner + 1] += begins[owner]
    yielding, at = np.empty(count, dtype=np.int64), begins.copy()
    for i in range(count):
        owner = jobs[J_OWNER, found[i]]
        yielding[at[owner]] = found[i]
        at[owner] += 1
    return yielding, begins


@inner
def _longer(c: Columns, theirs: np.ndarray, job: int) -> int:
    """Return which of its owner's gangs gives way to a job: with room enough and much longer to
    run, the smallest of them, of equal ones the longest, then the first; -1 if there is none.
    """
    jobs, owner = c.jobs, c.jobs[J_OWNER, job]
    milli, ratio = jobs[J_SIZE, job] * jobs[J_MILLI, job], c.policy[P_YIELD_RATIO]
    asks_s = max(0, min(jobs[J_ESTIMATE, job], SAID_S_MAX) - jobs[J_SAVED, job])
    best, best_s = -1, 0
    for other in theirs:
        kind, used = jobs[J_PLACED_TYPE, other], jobs[J_USED, other]
        if best >= 0 and used > jobs[J_USED, best]:
            continue
        if jobs[J_STOP_AT, other] >= 0 or not jobs[J_TYPES, job] >> kind & 1:
            continue
        # One that gave way in this pass, to a gang that needed no claim, has nothing left to give.
        if jobs[J_CLASS, other] != OWN:
            continue
        # Each of several that give way waits as long as the gang runs, and so does a larger one.
        stays_s = left_s(c, other)
        if stays_s < ratio * asks_s or stays_s * used < ratio * asks_s * milli:
            continue
        is_equal = best >= 0 and used == jobs[J_USED, best]
        if is_equal and (stays_s < best_s or (stays_s == best_s and other > best)):
            continue
        is_full = not has_room(c, owner, kind, milli)
        if is_full and has_room(c, owner, kind, milli - used):
            best, best_s = other, stays_s
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
    _open_heads(c)
    if c.heads[0] == 0:
        return False
    (yielding, begins), yields = _who_may_yield(c), 0
    while c.heads[0] > 0 and yields < YIELDS_MOST:
        job = c.heads[1]
        owner, following = c.jobs[J_OWNER, job], _without_claim(c, next_of(c, job))
        other = _longer(c, yielding[begins[owner] : begins[owner + 1]], job)
        if other >= 0 and _take_place(c, job, other):
            yields += 1
        else:
            following = -1
        replace_head(c, following)
    return yields > 0
