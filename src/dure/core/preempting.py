"""Preemptive orders with known durations (srtf, srsf): at every change the pool is filled anew.

Jobs keep their progress and move for nothing: these are yardsticks from the literature (Muri,
SIGCOMM'22), not something to run a pool by.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.pace import work_s_of
from dure.core.placement import find_place
from dure.core.starting import begin_pass, is_ready, start, try_start


@inner
def _in_order(c: Columns) -> np.ndarray:
    """Return running and waiting jobs by remaining time (srsf: times GPUs), then by submission."""
    s, jobs = c.scalars, c.jobs
    active = np.empty(s[S_RUNNING] + s[S_Q_TAIL] - s[S_Q_HEAD], dtype=np.int64)
    count = s[S_RUNNING]
    active[:count] = c.running[:count]
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        if jobs[J_STATE, c.queue[i]] == PENDING and is_ready(c, c.queue[i]):
            active[count] = c.queue[i]
            count += 1
    active = np.sort(active[:count])
    left = np.empty(count, dtype=np.int64)
    for i in range(count):
        job = active[i]
        left[i] = jobs[J_WORK, job] - jobs[J_SAVED, job]
        if jobs[J_STATE, job] == RUNNING:
            left[i] -= work_s_of(c, job, s[S_NOW] - jobs[J_RUN_SINCE, job])
        if c.policy[P_POLICY] == SRSF:
            left[i] *= jobs[J_GPUS, job]
    return active[np.argsort(left, kind="mergesort")]


@inner
def preempt(c: Columns, job: int) -> None:
    """Stop a job that keeps all its progress."""
    done_s = work_s_of(c, job, c.scalars[S_NOW] - c.jobs[J_RUN_SINCE, job])
    saved_s = c.jobs[J_SAVED, job] + done_s
    emit(c, K_STOPPED, job, c.jobs[J_ATTEMPT, job], BY_PREEMPTION, saved_s, 0, 0)


@inner
def _stop_the_rest(c: Columns, order: np.ndarray, chosen: np.ndarray) -> None:
    for i in range(order.size):
        if chosen[i] == 0 and c.jobs[J_STATE, order[i]] == RUNNING:
            preempt(c, order[i])


@inner
def _start_chosen(c: Columns, order: np.ndarray, chosen: np.ndarray) -> bool:
    """Start the chosen jobs that wait, the largest first; tell whether all could stand."""
    waiting = np.empty(order.size, dtype=np.int64)
    count = 0
    for i in range(order.size):
        if chosen[i] == 1 and c.jobs[J_STATE, order[i]] == PENDING:
            waiting[count] = order[i]
            count += 1
    waiting = waiting[:count]
    waiting = waiting[np.argsort(-c.jobs[J_GPUS][waiting], kind="mergesort")]
    complete = True
    for i in range(count):
        found = find_place(c, waiting[i], c.jobs[J_TYPES, waiting[i]])
        if found > 0:
            start(c, waiting[i], OWN, found, 0)
        else:
            complete = False
    return complete


@inner
def refill(c: Columns) -> None:
    """Choose jobs in order while GPUs last, skip what is too large, stop and start accordingly."""
    s, jobs = c.scalars, c.jobs
    if s[S_FREED] == 0 and s[S_FRESH] == 0:
        return
    order = _in_order(c)
    chosen = np.zeros(order.size, dtype=np.int64)
    room = s[S_KIND + OWN] + s[S_KIND + IDLE]
    for i in range(order.size):
        need = jobs[J_GPUS, order[i]] * jobs[J_MILLI, order[i]]
        if need <= room:
            chosen[i] = 1
            room -= need
    _stop_the_rest(c, order, chosen)
    if not _start_chosen(c, order, chosen):
        # Enough GPUs, but scattered: set every chosen gang down anew, the largest first.
        for i in range(order.size):
            if jobs[J_STATE, order[i]] == RUNNING:
                preempt(c, order[i])
        _start_chosen(c, order, chosen)
    s[S_FREED] |= FREED_ROOM
    begin_pass(c)
    for i in range(order.size):
        if jobs[J_STATE, order[i]] == PENDING:
            try_start(c, order[i], OWN)
