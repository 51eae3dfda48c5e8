"""When a waiting gang starts at the earliest if every running one ends as it estimated."""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.gates import (
    AFTER_RECLAIM,
    FOR_JOB,
    FOR_RETURN,
    NEVER_S,
    NO_ALLOCATION,
    RIGHTS_IN_USE,
    TOO_LARGE,
    W_GATE,
    W_HAVE,
    W_JOB,
    W_TYPES,
    W_UNTIL,
)
from dure.core.kernel import inner, kernel
from dure.core.pace import run_s_of


@inner
def _need_before(c: Columns, job: int, types: int) -> int:
    """Return the milli-GPU that gangs before this one ask for on the same types."""
    need = 0
    for i in range(c.scalars[S_Q_HEAD], c.scalars[S_Q_TAIL]):
        other = c.queue[i]
        if other == job:
            return need
        if c.jobs[J_STATE, other] == PENDING and c.jobs[J_TYPES, other] & types:
            need += c.jobs[J_SIZE, other] * c.jobs[J_MILLI, other]
    return need


@kernel
def _expected(c: Columns, w: np.ndarray, idle: IntArray) -> int:
    """Return the moment at which a gang explained by ``w`` finds enough free, or ``NEVER_S``."""
    s, jobs, job = c.scalars, c.jobs, w[W_JOB]
    gate, types, owner = w[W_GATE], w[W_TYPES], jobs[J_OWNER, w[W_JOB]]
    if gate in (FOR_RETURN, AFTER_RECLAIM, NO_ALLOCATION):
        return int(w[W_UNTIL])
    if gate in (FOR_JOB, TOO_LARGE):
        return NEVER_S
    need = jobs[J_SIZE, job] * jobs[J_MILLI, job]
    if gate == RIGHTS_IN_USE:
        # It waits for its own project's jobs alone.
        have = w[W_HAVE]
    else:
        have = 0
        for kind in range(idle.size):
            have += idle[kind] if types >> kind & 1 else 0
        need += _need_before(c, job, types)
    if have >= need:
        return NEVER_S
    ends, frees = (
        np.empty(s[S_RUNNING], dtype=np.int64),
        np.empty(s[S_RUNNING], dtype=np.int64),
    )
    count = 0
    for i in range(s[S_RUNNING]):
        other = c.running[i]
        if jobs[J_ESTIMATE, other] < 0 or not types >> jobs[J_PLACED_TYPE, other] & 1:
            continue
        if gate == RIGHTS_IN_USE and (jobs[J_OWNER, other] != owner or jobs[J_CLASS, other] != OWN):
            continue
        ends[count] = jobs[J_STARTED, other] + run_s_of(c, other, jobs[J_ESTIMATE, other])
        frees[count] = jobs[J_USED, other]
        count += 1
    for i in np.argsort(ends[:count], kind="mergesort"):
        have += frees[i]
        if have >= need:
            # A job that has run longer than it said may end at any moment.
            return int(max(ends[i] + c.policy[P_CLEANING_S], s[S_NOW] + 1))
    return NEVER_S


@kernel
def declared_ends_s(c: Columns, running: IntArray) -> IntArray:
    """Return when running gangs end by what they declared, ``FOREVER_S`` of those that did not."""
    ends = np.full(running.size, FOREVER_S)
    for i in range(running.size):
        estimate_s = c.jobs[J_ESTIMATE, running[i]]
        if estimate_s >= 0:
            end_s = c.jobs[J_STARTED, running[i]] + run_s_of(c, running[i], estimate_s)
            ends[i] = max(end_s, c.scalars[S_NOW] + 1)
    return ends


@kernel
def idle_by_type(c: Columns) -> IntArray:
    """Return the free milli-GPU of each accelerator type."""
    idle = np.zeros(c.types.shape[1], dtype=np.int64)
    for node in range(c.nodes.shape[1]):
        idle[c.nodes[N_TYPE, node]] += c.nodes[N_IDLE, node]
    return idle


def expected_start_s(c: Columns, found: IntArray, idle: IntArray | None = None) -> int:
    """Return the earliest start of a gang that is explained, or ``NEVER_S`` if nothing says when.

    Args:
        found: one gang's column of ``core.why.explain_all``.
        idle: of ``idle_by_type``, if it is at hand.
    """
    return int(_expected(c, np.ascontiguousarray(found), idle_by_type(c) if idle is None else idle))
