"""Room that is only scattered is brought together: small gangs that just saved move, on a budget.

An owner's gang that fits nowhere, though as many devices are free, and for which no borrower could
be called back, may have small gangs moved out of its way: such as have passed a checkpoint a moment
ago, stand on one node, and find a place on another at once. What they left is held for it as for
any claim, so it starts as soon as it is clean. A move costs what is not saved and the time its
devices stand still; together no more than the policy grants in an hour.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.leaving import last_checkpoint
from dure.core.moves import bits, move_cost, moved_this_hour
from dure.core.pace import work_s_of
from dure.core.placement import is_plain, mask_on, shape_of, suits
from dure.core.starting import start

FRESH_S = 60  # a checkpoint so young counts as just reached
MOVERS_MOST = 64


@inner
def _lost(c: Columns, job: int) -> int:
    """Return the milli-GPU-s of work that a job would lose if it stopped now."""
    now_s = c.scalars[S_NOW]
    return int((now_s - last_checkpoint(c, job, now_s)) * c.jobs[J_USED, job])


@inner
def _may_move(c: Columns, job: int) -> bool:
    """Tell whether a job is small, saved a moment ago, and was not moved lately."""
    jobs, now_s = c.jobs, c.scalars[S_NOW]
    if jobs[J_STATE, job] != RUNNING or jobs[J_STOP_AT, job] >= 0:
        return False
    if jobs[J_PREEMPTIBLE, job] == 0 or jobs[J_CKPT_EVERY, job] <= 0 or not is_plain(c, job):
        return False
    if is_elastic(jobs, job) or jobs[J_MOVABLE_AT, job] > now_s:
        return False
    if c.rows[R_NEXT_OF_JOB, jobs[J_ROWS, job]] >= 0:
        return False
    saved_at_s = last_checkpoint(c, job, now_s)
    return bool(saved_at_s > jobs[J_RUN_SINCE, job] and now_s - saved_at_s <= FRESH_S)


@inner
def _is_open(c: Columns, node: int) -> bool:
    """Tell whether all of a node's devices work and none is held."""
    closed = c.nodes[N_CORDONED, node] + c.nodes[N_PROBATION, node] + c.nodes[N_HELD, node]
    return bool(closed + c.nodes[N_DOWN_MILLI, node] + c.nodes[N_DRAINING, node] == 0)


@inner
def _home_of(c: Columns, job: int, group: int, room: np.ndarray) -> int:
    """Return the node with least to spare that has room for a gang that moves, or -1."""
    best, need = -1, c.jobs[J_GPUS, job]
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        if not suits(c, job, shelf):
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if room[node] >= need and (best < 0 or room[node] < room[best]):
                best = node
    return best


@inner
def _clear(
    c: Columns, node: int, each: int, group: int, room: np.ndarray, plan: np.ndarray, count: int
) -> int:
    """Plan where those go who must leave a node for ``each`` of its devices; add (job, home) to the
    plan.

    Returns:
        How many are planned in all, or -1 if one of them must stay; ``room`` is only then unsound.
    """
    free, row = c.nodes[N_FREE, node], c.nodes[N_ROWS, node]
    room[node] = 0
    while row >= 0 and free < each:
        job = c.rows[R_JOB, row]
        home = _home_of(c, job, group, room) if count < MOVERS_MOST and _may_move(c, job) else -1
        if home >= 0:
            room[home] -= c.jobs[J_GPUS, job]
            plan[count, 0], plan[count, 1] = job, home
            count += 1
            free += bits(c.rows[R_MASK, row])
        row = c.rows[R_NEXT_OF_NODE, row]
    return count if free >= each else -1


@inner
def _plan(
    c: Columns, job: int, group: int, budget: int, plan: np.ndarray, targets: np.ndarray
) -> int:
    """Choose nodes for a gang, those with room first, then those with most; return how many move.

    It is 0 if it cannot be done, or not for ``budget`` milli-GPU-s.
    """
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    if extra > 0 or each > c.groups[G_GPUS, group]:
        return 0
    room, got, count = np.zeros(c.nodes.shape[1], dtype=np.int64), 0, 0
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            room[node] = c.nodes[N_FREE, node]
            if suits(c, job, shelf) and room[node] >= each and got < need:
                targets[got], room[node] = node, 0
                got += 1
    for free in range(each - 1, 0, -1):
        for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
            if not suits(c, job, shelf):
                continue
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                is_next = got < need and room[node] == free and c.nodes[N_FREE, node] == free
                if not is_next or not _is_open(c, node):
                    continue
                trial = room.copy()
                moved = _clear(c, node, each, group, trial, plan, count)
                if moved >= 0:
                    room[:], count, targets[got] = trial, moved, node
                    got += 1
    cost = 0
    for i in range(count):
        cost += move_cost(c, plan[i, 0], _lost(c, plan[i, 0]))
    return count if got == need and cost <= budget else 0


@inner
def _move(c: Columns, job: int, home: int) -> None:
    """Stop a gang that has just saved and start it elsewhere, in its class."""
    jobs, now_s = c.jobs, c.scalars[S_NOW]
    kind, lost = jobs[J_CLASS, job], _lost(c, job)
    kept_s = last_checkpoint(c, job, now_s) - jobs[J_RUN_SINCE, job]
    saved_s = jobs[J_SAVED, job] + work_s_of(c, job, kept_s)
    emit(c, K_STOPPED, job, jobs[J_ATTEMPT, job], BY_MOVE, saved_s, lost, 0)
    c.picks[0, 0], c.picks[0, 2] = home, WHOLE
    c.picks[0, 1] = mask_on(c, job, home, jobs[J_GPUS, job])
    start(c, job, kind, 1, 0)


@inner
def _hold(c: Columns, job: int, node: int, each: int) -> None:
    """Hold ``each`` of a node's devices that are free, or free once they are clean."""
    first, mask = c.nodes[N_FIRST, node], 0
    for d in range(c.nodes[N_GPUS, node]):
        is_whole = c.devices[D_FREE, first + d] == WHOLE and c.devices[D_DOWN, first + d] == 0
        if is_whole and c.devices[D_HOLD, first + d] == 0 and bits(mask) < each:
            mask |= 1 << d
    emit(c, K_HELD, job, node, mask, 0, 0, 0)


@inner
def make_room(c: Columns, job: int, types: int) -> bool:
    """Move small gangs together for an entitled gang, if that makes room; tell whether it did."""
    s, jobs = c.scalars, c.jobs
    budget = c.policy[P_CONSOLIDATE] * WHOLE - moved_this_hour(c)
    if budget <= 0 or c.policy[P_INSTANT] == 0 or not is_plain(c, job):
        return False
    if jobs[J_LOCALITY, job] != LOCALITY_ANY or jobs[J_SEGMENT, job] > 0:
        return False
    if s[S_KIND + IDLE] < jobs[J_SIZE, job] * jobs[J_MILLI, job]:
        return False
    plan = np.empty((MOVERS_MOST, 2), dtype=np.int64)
    targets = np.empty(c.nodes.shape[1], dtype=np.int64)
    for group in range(c.groups.shape[1]):
        count = 0
        if types >> c.groups[G_TYPE, group] & 1:
            count = _plan(c, job, group, budget, plan, targets)
        if count > 0:
            for i in range(count):
                _move(c, plan[i, 0], plan[i, 1])
            need, each, _ = shape_of(c, job, c.groups[G_GPUS, group])
            emit(c, K_CLAIMED, job, s[S_NOW] + c.policy[P_RETURN_S], 0, 0, 0, 0)
            for i in range(need):
                _hold(c, job, targets[i], each)
            return True
    return False
