"""Elastic gangs grow into what stands idle when everyone else was served.

A gang grows when it has saved, at its next checkpoint or on notice, whichever comes first; what is
idle at that moment it gets, and until then nothing is kept for it. It grows at once, and loses what
it did not save, if by that moment it will have done more work even so.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import extend, is_elastic, move_to_more, pick_kept, picked
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.leaving import last_checkpoint
from dure.core.moves import stands_aside
from dure.core.pace import run_s_of
from dure.core.placement import seek_own
from dure.core.stopping import resize, stop_borrower


@inner
def grow(c: Columns, is_changed: bool) -> None:
    """Let gangs grow whose time has come, and choose who is next, the first in the line first.

    Args:
        is_changed: whether this pass looked for room at all.
    """
    s = c.scalars
    if s[S_ELASTIC] == 0:
        return
    for i in range(s[S_DUE]):
        if c.due[i, 1] == ALARM_STOP and _is_due(c, c.due[i, 2]):
            _grow_now(c, c.due[i, 2])
    if not is_changed or s[S_KIND + IDLE] == 0 or s[S_BOOKED] > 0:
        return
    running = np.sort(c.running[: s[S_RUNNING]])
    for job in running:
        if is_elastic(c.jobs, job) and s[S_KIND + IDLE] > 0 and _may_grow(c, job):
            _plan_growth(c, job)


@inner
def _is_due(c: Columns, job: int) -> bool:
    """Tell whether a gang that was chosen to grow has saved, or has left its devices for it."""
    jobs, state = c.jobs, c.jobs[J_STATE, job]
    if jobs[J_STOP_CAUSE, job] != BY_RESIZE:
        return False
    if state == STOPPING:
        return bool(jobs[J_LEFT, job] > 0)
    is_chosen = state == RUNNING and jobs[J_STOP_AT, job] >= 0
    return bool(is_chosen and (jobs[J_LEFT, job] > 0 or jobs[J_STOP_AT, job] <= c.scalars[S_NOW]))


@inner
def _grow_now(c: Columns, job: int) -> None:
    """Resize a gang that has saved; if nothing is idle any more it runs on as it was."""
    jobs, left = c.jobs, c.jobs[J_LEFT, job]
    if left > 0 and picked(c, pick_kept(c, job)) < jobs[J_SIZE, job]:
        # Devices failed while it left.
        stop_borrower(c, job, BY_RESIZE, left - 1)
        return
    count = _pick_more(c, job)
    has_more = picked(c, count) * jobs[J_MILLI, job] > jobs[J_USED, job]
    if left == 0 and not has_more:
        emit(c, K_WITHDRAWN, job, job, 0, 0, 0, 0)
    elif left == 0 and c.policy[P_INSTANT] == 0:
        stop_borrower(c, job, BY_RESIZE, 1)
    else:
        resize(c, job, count, left - 1 if left > 0 else 1)


@inner
def _pick_more(c: Columns, job: int) -> int:
    """Fill ``picks`` with what a gang has and what it could take in addition, or with another node
    where it would have more; return how many rows.
    """
    kept = pick_kept(c, job)
    if _must_stay(c, job):
        return int(kept)
    # An owner's gang stays where it may be its own with any of its devices.
    seek_own(c, c.jobs[J_CLASS, job] == OWN)
    count = extend(c, job, kept, c.jobs[J_GPUS, job])
    if move_to_more(c, job, picked(c, count)):
        count = 1
    seek_own(c, False)
    return int(count)


@inner
def _must_stay(c: Columns, job: int) -> bool:
    """Tell whether a gang may not grow now: somebody's date may rest on when it ends, or a node of
    its own is closed to new work.
    """
    if c.scalars[S_BOOKED] > 0:
        return True
    row = c.jobs[J_ROWS, job]
    while row >= 0:
        if c.nodes[N_CORDONED, c.rows[R_NODE, row]] != 0:
            return True
        row = c.rows[R_NEXT_OF_JOB, row]
    return False


@inner
def _may_grow(c: Columns, job: int) -> bool:
    """Tell whether a gang is below all its devices, was not resized lately and has far to go."""
    jobs, ran_s = c.jobs, c.scalars[S_NOW] - c.jobs[J_RUN_SINCE, job]
    whole = jobs[J_GPUS, job] * jobs[J_MILLI, job]
    if jobs[J_STATE, job] != RUNNING or jobs[J_STOP_AT, job] >= 0:
        return False
    if jobs[J_USED, job] == whole or ran_s < c.policy[P_GROW_S]:
        return False
    # Who is tried on a node that stands aside stays small.
    if stands_aside(c, c.rows[R_NODE, jobs[J_ROWS, job]]):
        return False
    if jobs[J_ESTIMATE, job] < 0:
        return True
    left_s = run_s_of(c, job, max(0, jobs[J_ESTIMATE, job] - jobs[J_SAVED, job])) - ran_s
    return bool(left_s > c.policy[P_CLEANING_S] + c.policy[P_START_S])


@inner
def _plan_growth(c: Columns, job: int) -> None:
    """Choose when a gang grows, if anything that it could take stands idle."""
    jobs, now_s = c.jobs, c.scalars[S_NOW]
    count = _pick_more(c, job)
    if picked(c, count) * jobs[J_MILLI, job] <= jobs[J_USED, job]:
        return
    at_s, saved_at_s = FOREVER_S, last_checkpoint(c, job, now_s)
    if jobs[J_CKPT_TAKES, job] >= 0:
        at_s = now_s + jobs[J_CKPT_TAKES, job]
    if jobs[J_CKPT_EVERY, job] > 0:
        next_s = saved_at_s if saved_at_s == now_s else saved_at_s + jobs[J_CKPT_EVERY, job]
        at_s = min(at_s, next_s)
    used, more = jobs[J_USED, job], picked(c, count) * jobs[J_MILLI, job] - jobs[J_USED, job]
    lost, saves = (now_s - saved_at_s + c.policy[P_START_S]) * used, 1 if at_s <= now_s else 0
    pays = saves == 1 or more * (at_s - now_s) > lost
    if not pays:
        if at_s > now_s:
            emit(c, K_RESIZE_DUE, job, at_s, 0, 0, 0, 0)
    elif c.policy[P_INSTANT] == 1:
        resize(c, job, count, saves)
    else:
        stop_borrower(c, job, BY_RESIZE, saves)
