"""Which running gangs are their owner's own: loans are promoted while the entitlement lasts, gangs
beyond it run on as loans, and who was called back often changes places with who never was.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic, pick_kept
from dure.core.entitled import could_be_own, has_room, may_borrow
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.placement import stands_open
from dure.core.sparing import stands_on_spare
from dure.core.starting import lend_beyond
from dure.core.victims import OFTEN


@inner
def _running_in_order(c: Columns) -> np.ndarray:
    return np.sort(c.running[: c.scalars[S_RUNNING]])


@inner
def promote(c: Columns) -> None:
    """Turn running loans into own while their owner's entitlement lasts.

    First who was called back most often, then the earliest submission.
    """
    jobs = c.jobs
    if c.scalars[S_KIND + LOAN] + c.scalars[S_KIND + SCAVENGE] == 0:
        return
    running, count = np.empty(c.scalars[S_RUNNING], dtype=np.int64), 0
    for i in range(c.scalars[S_RUNNING]):
        job = c.running[i]
        if jobs[J_STATE, job] != RUNNING or jobs[J_CLASS, job] == OWN or jobs[J_STOP_AT, job] >= 0:
            continue
        if jobs[J_CLASS_ASKED, job] == 1 + LOAN or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE:
            continue
        if could_be_own(jobs, c.rights, job) and not stands_on_spare(c, job):
            running[count] = job
            count += 1
    running = np.sort(running[:count])
    running = running[np.argsort(-jobs[J_RECLAIMS][running], kind="mergesort")]
    for i in range(count):
        job = running[i]
        milli = jobs[J_SIZE, job] * jobs[J_MILLI, job]
        has = has_room(c, jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job], milli)
        if has and stands_open(c, job):
            emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, OWN, 0, 0, 0)
            if is_elastic(jobs, job):
                lend_beyond(c, job, pick_kept(c, job))


@inner
def exchange(c: Columns) -> None:
    """Let gangs that were called back twice run as own in place of others of their owner.

    Nobody moves. Whoever runs on as a loan instead, one or several, was called back less often, and
    can save its work: the next reclaim, if there is one, disturbs another than the last ones did.
    Elastic gangs do not change places: they give up a part.
    """
    jobs = c.jobs
    if c.scalars[S_KIND + LOAN] + c.scalars[S_KIND + SCAVENGE] == 0:
        return
    called, count = np.empty(c.scalars[S_RUNNING], dtype=np.int64), 0
    for i in range(c.scalars[S_RUNNING]):
        job, asked = c.running[i], jobs[J_CLASS_ASKED, c.running[i]]
        if jobs[J_CLASS, job] == OWN or jobs[J_RECLAIMS, job] < OFTEN or jobs[J_STOP_AT, job] >= 0:
            continue
        if is_elastic(jobs, job):
            continue
        if jobs[J_STATE, job] == RUNNING and asked != 1 + LOAN and asked != 1 + SCAVENGE:
            called[count] = job
            count += 1
    if count > 0:
        running = _running_in_order(c)
        for job in np.sort(called[:count]):
            giving = _who_changes(c, running, job)
            for i in range(giving):
                other = c.scratch[X_VICTIM, i]
                emit(c, K_RECLASSED, other, jobs[J_ATTEMPT, other] + 1, LOAN, 0, 0, 0)
            if giving > 0:
                emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, OWN, 0, 0, 0)


@inner
def _may_change(c: Columns, other: int, job: int) -> bool:
    """Tell whether an own gang may run on as a loan so that another of its owner runs as own."""
    jobs = c.jobs
    if jobs[J_OWNER, other] != jobs[J_OWNER, job] or jobs[J_CLASS, other] != OWN:
        return False
    if is_elastic(jobs, other) or jobs[J_STATE, other] != RUNNING or jobs[J_STOP_AT, other] >= 0:
        return False
    if jobs[J_PLACED_TYPE, other] != jobs[J_PLACED_TYPE, job]:
        return False
    saves = jobs[J_CKPT_EVERY, other] > 0 or jobs[J_CKPT_TAKES, other] >= 0
    is_fresher = jobs[J_RECLAIMS, other] < jobs[J_RECLAIMS, job]
    return bool(may_borrow(jobs, other) and saves and is_fresher)


@inner
def _who_changes(c: Columns, running: np.ndarray, job: int) -> int:
    """Write own gangs whose parts of the entitlement are enough for a job of its owner to
    X_VICTIM: the smallest that is enough alone, else the largest and so on; return how many, or 0.
    """
    jobs, rights, chosen = c.jobs, c.rights, c.scratch[X_VICTIM]
    owner, kind = jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job]
    taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
    least = taken + jobs[J_USED, job] - rights[E_ENTITLED, owner, kind]
    # With room enough it is promoted, and nobody need give way.
    if c.accounts[A_KIND, owner] == ACCOUNT_POOL or least <= 0:
        return 0
    if stands_on_spare(c, job) or not stands_open(c, job):
        return 0
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, count = c.memo[M_STAMP, STAMP_MARKS], 0
    while least > 0:
        best = -1
        for other in running:
            if c.marks[other] == stamp or not _may_change(c, other, job):
                continue
            if best < 0 or _gives_better(jobs, other, best, least):
                best = other
        if best < 0:
            return 0
        c.marks[best] = stamp
        chosen[count] = best
        count += 1
        least -= jobs[J_USED, best]
    return count


@inner
def _gives_better(jobs: IntArray, one: int, other: int, least: int) -> bool:
    """Tell whether one of two own gangs is the better to give up at least so much; the earlier
    one stays of equals.
    """
    has, has_other = jobs[J_USED, one], jobs[J_USED, other]
    if (has >= least) != (has_other >= least):
        return bool(has >= least)
    if jobs[J_RECLAIMS, one] != jobs[J_RECLAIMS, other]:
        return bool(jobs[J_RECLAIMS, one] < jobs[J_RECLAIMS, other])
    return bool(has < has_other if has >= least else has > has_other)


@inner
def _leave_cells(c: Columns) -> None:
    """Own work in a leaf that others hold from now on runs on as a loan: it may be called back."""
    if c.scalars[S_FREED] & FREED_CELLS == 0:
        return
    jobs = c.jobs
    for job in _running_in_order(c):
        if jobs[J_STATE, job] == RUNNING and jobs[J_CLASS, job] == OWN and not stands_open(c, job):
            emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, LOAN, 0, 0, 0)


@inner
def demote(c: Columns) -> None:
    """An entitlement shrank: the youngest gangs beyond it run on as loans (the promise is gone).

    Those that may not borrow go last; they run on too, but an owner may call their GPUs back.
    """
    jobs, rights, over = c.jobs, c.rights, False
    _leave_cells(c)
    for a in range(1, c.scalars[S_ACCOUNTS]):
        for kind in range(rights.shape[2]):
            over = over or rights[E_OWN, a, kind] > rights[E_ENTITLED, a, kind]
    if not over:
        return
    running = _running_in_order(c)
    for firm in (0, 1):
        for i in range(running.size - 1, -1, -1):
            job = running[i]
            owner, kind = jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job]
            if jobs[J_CLASS, job] != OWN or c.accounts[A_KIND, owner] == ACCOUNT_POOL:
                continue
            if firm == 0 and not may_borrow(jobs, job):
                continue
            if rights[E_OWN, owner, kind] > rights[E_ENTITLED, owner, kind]:
                emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, LOAN, 0, 0, 0)
