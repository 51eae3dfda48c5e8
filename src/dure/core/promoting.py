"""Which running gangs are their owner's own: loans are promoted while the entitlement lasts, gangs
beyond it run on as loans, and who was called back often changes places with who never was.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic, pick_kept
from dure.core.entitled import could_be_own, has_room
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

    Nobody moves. Whoever runs on as a loan instead was never called back, and can save its work:
    the next reclaim, if there is one, disturbs another than the last ones did. Elastic gangs do not
    change places: they give up a part.
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
            other = _spared_so_far(c, running, job)
            if other >= 0:
                emit(c, K_RECLASSED, other, jobs[J_ATTEMPT, other] + 1, LOAN, 0, 0, 0)
                emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, OWN, 0, 0, 0)


@inner
def _spared_so_far(c: Columns, running: np.ndarray, job: int) -> int:
    """Return the smallest own gang whose part of the entitlement is enough for a job of its owner.

    Of equal ones it is the earliest; -1 if there is none that may give way.
    """
    jobs, rights, best = c.jobs, c.rights, -1
    owner, kind = jobs[J_OWNER, job], jobs[J_PLACED_TYPE, job]
    taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
    least = taken + jobs[J_USED, job] - rights[E_ENTITLED, owner, kind]
    # With room enough it is promoted, and nobody need give way.
    if c.accounts[A_KIND, owner] == ACCOUNT_POOL or least <= 0:
        return -1
    if stands_on_spare(c, job) or not stands_open(c, job):
        return -1
    for other in running:
        if jobs[J_OWNER, other] != owner or jobs[J_CLASS, other] != OWN:
            continue
        if is_elastic(jobs, other):
            continue
        may_borrow = jobs[J_PREEMPTIBLE, other] == 1 and jobs[J_CLASS_ASKED, other] != 1 + OWN
        saves = jobs[J_CKPT_EVERY, other] > 0 or jobs[J_CKPT_TAKES, other] >= 0
        if (
            not may_borrow
            or not saves
            or jobs[J_RECLAIMS, other] > 0
            or jobs[J_STOP_AT, other] >= 0
        ):
            continue
        enough = jobs[J_PLACED_TYPE, other] == kind and jobs[J_USED, other] >= least
        is_smaller = best < 0 or jobs[J_USED, other] < jobs[J_USED, best]
        if enough and is_smaller and jobs[J_STATE, other] == RUNNING:
            best = other
    return int(best)


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
            may_borrow = jobs[J_PREEMPTIBLE, job] == 1 and jobs[J_CLASS_ASKED, job] != 1 + OWN
            if firm == 0 and not may_borrow:
                continue
            if rights[E_OWN, owner, kind] > rights[E_ENTITLED, owner, kind]:
                emit(c, K_RECLASSED, job, jobs[J_ATTEMPT, job] + 1, LOAN, 0, 0, 0)
