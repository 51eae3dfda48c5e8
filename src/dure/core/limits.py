"""The longest limit with which a waiting gang could start now, where only its length is in the way.

EASY keeps the nodes that the head of the line will need for gangs that end before it starts; under
``dure`` what is held for a gang with a reservation is lent to those that end before the last of its
nodes is ready.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.easy import soonest
from dure.core.fitting import fits_now
from dure.core.kernel import inner
from dure.core.moves import refresh_node
from dure.core.pace import ends_by_word_s
from dure.core.starting import is_ready


@inner
def before_head_s(c: Columns, p: Columns, job: int, types: int) -> int:
    """Return how long the probe's gang 0 may run before the head of the line starts (easy), -1 if
    that would not help.

    Args:
        c: with scratch of its own.
    """
    for i in range(c.scalars[S_Q_HEAD], c.scalars[S_Q_TAIL]):
        head = c.queue[i]
        if c.jobs[J_STATE, head] == PENDING and is_ready(c, head):
            if head == job or not fits_now(p, 0, types):
                return -1
            at_s, _ = soonest(c, head)
            return int(at_s - c.scalars[S_NOW]) if at_s > c.scalars[S_NOW] else -1
    return -1


@inner
def _ready_s(c: Columns, holder: int) -> int:
    """Return when the last node that is held for a gang is ready, by what those there declared."""
    ready_s = c.scalars[S_NOW]
    for i in range(c.scalars[S_RUNNING]):
        job = c.running[i]
        row, end_s = c.jobs[J_ROWS, job], ends_by_word_s(c, job)
        while row >= 0 and end_s > ready_s:
            first = c.nodes[N_FIRST, c.rows[R_NODE, row]]
            for d in range(c.nodes[N_GPUS, c.rows[R_NODE, row]]):
                if c.rows[R_MASK, row] >> d & 1 and c.devices[D_HOLD, first + d] == holder + 1:
                    ready_s = end_s
            row = c.rows[R_NEXT_OF_JOB, row]
    return int(ready_s)


@inner
def _show_held(p: Columns, holder: int) -> None:
    """Count what is held for a gang and stands idle as free, in a pool of the probe's own."""
    for node in range(p.nodes.shape[1]):
        if p.nodes[N_HELD, node] > 0:
            first = p.nodes[N_FIRST, node]
            for d in range(first, first + p.nodes[N_GPUS, node]):
                is_idle = p.devices[D_FREE, d] == WHOLE and p.devices[D_CLEANING, d] == 0
                if p.devices[D_HOLD, d] == holder + 1 and is_idle:
                    p.devices[D_HOLD, d] = 0
            refresh_node(p, node)


@inner
def on_reserved_s(c: Columns, u: Columns, types: int) -> int:
    """Return how long the probe's gang 0 may run on what reservations hold, -1 if there is no room.

    Args:
        u: a pool of the probe's own; what is held for reservations counts as free in it afterwards.
    """
    count, holders = c.scalars[S_CLAIMS], np.empty(c.scalars[S_CLAIMS], dtype=np.int64)
    ready = np.empty(count, dtype=np.int64)
    for i in range(count):
        holders[i], ready[i] = c.claims[i, 0], -1
        if c.jobs[J_CLAIM_DUE, holders[i]] == FOREVER_S:
            ready[i] = _ready_s(c, holders[i])
    # The reservation that is ready last leaves most time.
    for i in np.argsort(-ready, kind="mergesort"):
        within_s = ready[i] - c.scalars[S_NOW] - c.policy[P_CLEANING_S]
        if within_s <= 0:
            return -1
        _show_held(u, holders[i])
        if fits_now(u, 0, types):
            return int(within_s)
    return -1
