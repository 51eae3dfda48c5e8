"""An owner's next gangs on the devices that its last ones just left: they need no cleaning."""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import is_covered, start_as
from dure.core.groups import may_go_on
from dure.core.kernel import inner
from dure.core.line import next_of
from dure.core.moves import refresh_node
from dure.core.profile import may_run_on_loan
from dure.core.starting import is_ready, new_stamp
from dure.core.turns import chain_cohort, is_lendable, next_turn, pass_turn


@inner
def _show_cleaning(c: Columns, nodes: np.ndarray, owner: int, shown: int) -> None:
    """Let an owner see the devices of these nodes that are being cleaned after its own gangs, or
    hide them again.
    """
    devices = c.devices
    before, after = (1, 2) if shown == 1 else (2, 1)
    for node in nodes:
        first = c.nodes[N_FIRST, node]
        for d in range(first, first + c.nodes[N_GPUS, node]):
            mine = devices[D_OWNER, d] == owner + 1 and devices[D_HOLD, d] == 0
            if mine and devices[D_CLEANING, d] == before:
                devices[D_CLEANING, d] = after
        refresh_node(c, node)


@inner
def _cleaned_after(c: Columns) -> np.ndarray:
    """Return (owner, node) wherever a device is being cleaned after an owner's gang, in order."""
    nodes, devices, accounts = c.nodes, c.devices, c.scalars[S_ACCOUNTS]
    pairs, count = np.empty(c.scalars[S_KIND + DRAINING] // WHOLE + nodes.shape[1], np.int64), 0
    for node in range(nodes.shape[1]):
        if nodes[N_DRAINING, node] == 0:
            continue
        first, last = nodes[N_FIRST, node], -1
        for d in range(first, first + nodes[N_GPUS, node]):
            owner = devices[D_OWNER, d]
            is_new = devices[D_CLEANING, d] == 1 and 0 < owner <= accounts and owner != last
            if is_new and devices[D_HOLD, d] == 0:
                pairs[count], last = (owner - 1) * nodes.shape[1] + node, owner
                count += 1
    return np.unique(pairs[:count])


@inner
def succeed(c: Columns, kind: int) -> None:
    """Start an owner's next gangs on devices its last ones just left: the same owner needs no
    cleaning. A borrower may go on so until it has had too much more than others who wait.

    Args:
        kind: ``OWN`` for entitled gangs, ``LOAN`` for those that borrow.
    """
    s, head = c.scalars, c.scratch[X_HEAD]
    if s[S_KIND + DRAINING] == 0 or s[S_STANDING] == 0 or (kind == LOAN and c.policy[P_LEND] == 0):
        return
    freed, stamp = s[S_FREED], c.memo[M_STAMP, STAMP_PASS]
    least = c.memo[M_LEAST, :FAMILIES].copy()
    pairs, count = _cleaned_after(c), c.nodes.shape[1]
    owners = np.zeros(s[S_ACCOUNTS], dtype=np.int64)
    for pair in pairs:
        owners[pair // count] = 1
    if kind == LOAN:
        owners *= may_go_on(c)
    _chain_of(c, owners, kind)
    at, has_shared = 0, False
    while at < pairs.size:
        owner, end = pairs[at] // count, at + 1
        while end < pairs.size and pairs[end] // count == owner:
            end += 1
        if head[owner] >= 0:
            nodes = pairs[at:end] % count
            _show_cleaning(c, nodes, owner, 1)
            new_stamp(c)
            c.memo[M_LEAST, :FAMILIES] = 1 << 60
            has_shared = _succeed_as(c, owner, kind) or has_shared
            _show_cleaning(c, nodes, owner, 2)
        at = end
    s[S_FREED] = freed
    if has_shared:
        # The rest of a device that is shared is open to anyone.
        new_stamp(c)
        c.memo[M_LEAST, :FAMILIES] = 1 << 60
        return
    # What others could see did not grow meanwhile, so what failed for them still fails.
    c.memo[M_STAMP, STAMP_PASS] = stamp
    c.memo[M_LEAST, :FAMILIES] = least


@inner
def _chain_of(c: Columns, owners: np.ndarray, kind: int) -> None:
    """Chain the cohorts of the marked owners that may start as ``kind``."""
    c.scratch[X_HEAD, : owners.size] = -1
    for i in range(c.scalars[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        if owners[cohort[C_OWNER]] == 0:
            continue
        if kind == LOAN:
            may = may_run_on_loan(c, cohort)
        else:
            may = cohort[C_FLAGS] & IS_ODD > 0 or is_covered(cohort, c.rights)
        if may:
            chain_cohort(c, c.standing[i])


@inner
def _succeed_as(c: Columns, owner: int, kind: int) -> bool:
    """Start every gang of the owner that fits, in the line's order; tell whether any of them takes
    shares of devices.
    """
    jobs, has_shared = c.jobs, False
    job = next_turn(c, owner)
    while job >= 0:
        cohort, following = jobs[J_COHORT, job], next_of(c, job)
        is_next = jobs[J_CLAIM_DUE, job] < 0 and is_ready(c, job)
        if kind == LOAN:
            is_next = is_next and is_lendable(jobs, job, c.scalars[S_NOW])
        placed = is_next and start_as(c, job, kind)
        has_shared = has_shared or (placed and jobs[J_MILLI, job] < WHOLE)
        goes_on = placed or not is_next or jobs[J_ODD, job] == 1
        pass_turn(c, cohort, following if goes_on else -1)
        job = next_turn(c, owner)
    return has_shared
