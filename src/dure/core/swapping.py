"""Swap inside the gang: a fault takes a node, the rest of the gang goes on with a substitute.

The attempt ends as at any fault (what was not saved is lost), but where a substitute is free the
next one begins in the same cycle: on the devices that still work and on the nearest others, of the
same node, then leaf, then pod, then as far as the gang agrees to spread. Its owner had the
survivors all along, so they need no cleaning, and nobody can take them in between. Who finds none
is *stranded*: first among its class whenever room comes free, be it the node that was repaired.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_told
from dure.core.entitled import entitled_types, start_as
from dure.core.facts import is_stranded
from dure.core.kernel import inner
from dure.core.lending import claim, end_claim
from dure.core.moves import bits
from dure.core.nearness import nearest_at
from dure.core.placement import (
    find_own_place,
    mask_on,
    seek_own,
    slots,
    suits,
    widest_level,
)
from dure.core.sparing import idle_spare, pass_on_spares
from dure.core.starting import start
from dure.core.stopping import stop_borrower
from dure.core.turns import is_lendable


@inner
def _hurt_devices(c: Columns, i: int) -> int:
    """Return the mask of devices that the cycle's ``i``-th fault took: the last ones of a node."""
    affected, gpus = c.hurt[i, 1], c.nodes[N_GPUS, c.hurt[i, 0]]
    return int(((1 << affected) - 1) << (gpus - affected))


@inner
def _struck(c: Columns) -> np.ndarray:
    """Return the gangs on devices that failed in this cycle, each once, in the line's order."""
    struck, count = np.empty(c.scalars[S_RUNNING], dtype=np.int64), 0
    c.memo[M_STAMP, STAMP_MARKS] += 1
    for i in range(c.scalars[S_HURT]):
        row, mask = c.nodes[N_ROWS, c.hurt[i, 0]], _hurt_devices(c, i)
        while row >= 0:
            job = c.rows[R_JOB, row]
            if c.rows[R_MASK, row] & mask and c.marks[job] != c.memo[M_STAMP, STAMP_MARKS]:
                c.marks[job] = c.memo[M_STAMP, STAMP_MARKS]
                struck[count] = job
                count += 1
            row = c.rows[R_NEXT_OF_NODE, row]
    return np.sort(struck[:count])


@inner
def swap_struck(c: Columns) -> None:
    """Stop the gangs on devices that failed and swap whom we can; claims on them start over."""
    if c.scalars[S_HURT] == 0:
        return
    for i in range(c.scalars[S_HURT]):
        first, mask = c.nodes[N_FIRST, c.hurt[i, 0]], _hurt_devices(c, i)
        for d in range(c.nodes[N_GPUS, c.hurt[i, 0]]):
            holder = c.devices[D_HOLD, first + d]
            if mask >> d & 1 and holder > 0 and c.devices[D_DOWN, first + d] > 0:
                end_claim(c, holder - 1, CLAIM_FAULT)
    for job in _struck(c):
        # Machines that take their time are told to stop first; the rest comes with their receipt.
        is_over = c.policy[P_INSTANT] == 1
        if is_over and c.policy[P_SWAP] == 1 and not is_told(c.jobs, job):
            _swap(c, job, 0)
        else:
            stop_borrower(c, job, BY_FAULT, 0)


@inner
def swap_departed(c: Columns) -> None:
    """Swap the gangs that were told to stop because of a fault and have now left."""
    if c.policy[P_INSTANT] == 1 or c.policy[P_SWAP] == 0:
        return
    jobs = c.jobs
    for i in range(c.scalars[S_DUE]):
        job = c.due[i, 2]
        if c.due[i, 1] != ALARM_STOP or jobs[J_STATE, job] != STOPPING or jobs[J_LEFT, job] == 0:
            continue
        if jobs[J_STOP_CAUSE, job] == BY_FAULT and jobs[J_STOP_AT, job] < 0:
            _swap(c, job, jobs[J_LEFT, job] - 1)


@inner
def start_stranded(c: Columns, kind: int) -> None:
    """Start the gangs that a fault stopped before all others of a class, in the line's order.

    Args:
        kind: ``OWN`` for entitled gangs, ``LOAN`` for those that borrow.
    """
    s, jobs = c.scalars, c.jobs
    if c.policy[P_SWAP] == 0 or (kind == LOAN and c.policy[P_LEND] == 0):
        return
    left, i = s[S_STRANDED], s[S_Q_HEAD]
    while left > 0 and i < s[S_Q_TAIL] and s[S_KIND + IDLE] > 0:
        job = c.queue[i]
        i += 1
        if not is_stranded(jobs, job):
            continue
        left -= 1
        if jobs[J_CLAIM_DUE, job] < 0 and (kind == OWN or is_lendable(jobs, job, s[S_NOW])):
            start_as(c, job, kind)


@inner
def _swap(c: Columns, job: int, saves: int) -> None:
    """End a struck gang's attempt and open the next, if there is room for it in its old class.

    Where only its process was struck it starts again on the devices it had: a fault, no swap.
    """
    kind = c.jobs[J_CLASS, job]
    seek_own(c, kind == OWN)
    count, is_moved = _places_after(c, job)
    seek_own(c, False)
    pass_on_spares(c, job, count)
    stop_borrower(c, job, BY_SWAP if is_moved else BY_FAULT, saves)
    if count > 0:
        start(c, job, kind, count, 0)
    elif kind == OWN:
        _claim_the_rest(c, job)


@inner
def _claim_the_rest(c: Columns, job: int) -> None:
    """Call borrowers back for an owner's gang without a substitute, before anyone takes what it
    left: its own devices cost a claim nothing.
    """
    types = entitled_types(c, job)
    if types != 0 and find_own_place(c, job, types) == 0:
        claim(c, job, types, 0)


@inner
def _places_after(c: Columns, job: int) -> tuple[int, bool]:
    """Fill ``picks`` with what a struck gang keeps and its substitutes.

    Returns:
        How many rows, 0 if it cannot go on at once; and whether any device is another one.
    """
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, is_moved, parts = c.memo[M_STAMP, STAMP_MARKS], False, 0
    row = c.jobs[J_ROWS, job]
    while row >= 0:
        c.scratch[X_NODE, c.rows[R_NODE, row]] = stamp
        parts += 1
        row = c.rows[R_NEXT_OF_JOB, row]
    widest = widest_level(c, job) if parts > 1 else AT_ANY
    if c.jobs[J_SEGMENT, job] > c.jobs[J_GPUS, job] // max(parts, 1):
        # Each of its segments stays on one leaf.
        widest = min(widest, AT_LEAF)
    row = c.jobs[J_ROWS, job]
    for at in range(parts):
        node, mask = c.rows[R_NODE, row], c.rows[R_MASK, row]
        kept = _kept_on(c, job, node, mask)
        if kept < 0:
            return 0, False
        lacks = bits(mask) - bits(kept)
        if lacks > 0 and not _has_spare(c, job, node, kept, lacks):
            large = parts > 1
            node, kept, lacks = _substitute(c, job, node, lacks + bits(kept), widest, stamp, large)
            if node < 0:
                return 0, False
            c.scratch[X_NODE, node] = stamp
        if lacks > 0:
            kept, is_moved = kept | mask_on(c, job, node, lacks), True
        c.picks[at, 0], c.picks[at, 1], c.picks[at, 2] = node, kept, c.jobs[J_MILLI, job]
        row = c.rows[R_NEXT_OF_JOB, row]
    return parts, is_moved


@inner
def _kept_on(c: Columns, job: int, node: int, mask: int) -> int:
    """Return which of a gang's devices on a node it may keep; -1 if they must be cleaned first."""
    devices, first, kept = c.devices, c.nodes[N_FIRST, node], 0
    if c.nodes[N_CORDONED, node] > 0 or not suits(c, job, c.nodes[N_SHELF, node]):
        return 0
    for d in range(c.nodes[N_GPUS, node]):
        if not mask >> d & 1 or devices[D_DOWN, first + d] > 0:
            continue
        # Somebody else had a share of it meanwhile.
        if devices[D_OWNER, first + d] != c.jobs[J_OWNER, job] + 1:
            return -1
        kept |= 1 << d
    return kept


@inner
def _has_spare(c: Columns, job: int, node: int, kept: int, lacks: int) -> bool:
    """Tell whether a node has other devices for those that failed under the gang."""
    # The rest of a shared device that it keeps would count as another one.
    if kept > 0 and c.jobs[J_MILLI, job] < WHOLE:
        return False
    return bool(slots(c, job, node) >= lacks and suits(c, job, c.nodes[N_SHELF, node]))


@inner
def _substitute(
    c: Columns, job: int, lost: int, each: int, widest: int, stamp: int, may_use_spares: bool
) -> tuple[int, int, int]:
    """Return (node, 0, ``each``) for the nearest node to the lost one with room, or -1 for none.

    Among the nearest it is the one with least to spare, then the one that failed least, then a
    spare.
    """
    home = c.nodes[N_SHELF, lost]
    for level in range(AT_LEAF, widest + 1):
        best = nearest_at(c, job, home, level, each, stamp)
        if best < 0 and may_use_spares:
            best = idle_spare(c, job, home, level, each, stamp)
        if best >= 0:
            return best, 0, each
    return -1, 0, each
