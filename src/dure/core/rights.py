"""Who is entitled to what, now and until a claim made now is due, and who holds which leaf:
recounted when an allocation turns, or soon will.
"""

import numpy as np

from dure.core.alarms import push_alarm
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner


@inner
def allocate(c: Columns, f: np.ndarray) -> None:
    """Write an allocation down, or a change of one (``K_ALLOCATED``)."""
    index = f[3]
    allocs = c.allocs
    allocs[L_ACCOUNT, index], allocs[L_TYPE, index], allocs[L_MILLI, index] = f[4], f[5], f[6]
    allocs[L_FROM, index], allocs[L_TO, index], allocs[L_LENDABLE, index] = f[7], f[2], 1
    c.scalars[S_ALLOCS] = max(c.scalars[S_ALLOCS], index + 1)
    now_s = c.scalars[S_NOW]
    push_alarm(c, max(f[7], now_s), ALARM_RIGHTS, index)
    soon_s = f[7] - c.policy[P_RETURN_S]
    if soon_s > now_s:
        push_alarm(c, soon_s, ALARM_RIGHTS, index)
    if f[2] < FOREVER_S:
        push_alarm(c, max(f[2], now_s), ALARM_RIGHTS, index)
    # An allocation that changes is seated anew, by facts that follow.
    kept = 0
    for i in range(c.scalars[S_CELLS]):
        if c.cells[i, Z_ALLOCATION] != index:
            c.cells[kept] = c.cells[i]
            kept += 1
    c.scalars[S_CELLS] = kept
    count_rights(c, now_s)


@inner
def count_rights(c: Columns, now_s: int) -> None:
    """Recount every account's entitlement from the allocations that are active at ``now_s``."""
    allocs, rights = c.allocs, c.rights
    before = rights.copy()
    for account in range(c.scalars[S_ACCOUNTS]):
        if c.accounts[A_KIND, account] != ACCOUNT_POOL:
            rights[E_ENTITLED, account] = 0
    for i in range(c.scalars[S_ALLOCS]):
        if allocs[L_FROM, i] <= now_s < allocs[L_TO, i]:
            rights[E_ENTITLED, allocs[L_ACCOUNT, i], allocs[L_TYPE, i]] += allocs[L_MILLI, i]
    for t in range(c.types.shape[1]):
        c.types[T_ENTITLED, t] = 0
        for account in range(1, c.scalars[S_ACCOUNTS]):
            c.types[T_ENTITLED, t] += rights[E_ENTITLED, account, t]
    _count_cells(c, now_s)
    _count_soon(c, now_s)
    c.scalars[S_RISING] = (rights[E_SOON] > rights[E_ENTITLED]).sum()
    for row in (E_ENTITLED, E_SOON):
        if (rights[row] != before[row]).any():
            c.scalars[S_FREED] |= FREED_RIGHTS
    for i in range(c.scalars[S_CLAIMS]):
        wake_when_due(c, c.claims[i, 0])


@inner
def wake_when_due(c: Columns, claimant: int) -> None:
    """Look again when a claim is due, where rights rise: its own may be over by then."""
    due_s = c.jobs[J_CLAIM_DUE, claimant]
    if c.scalars[S_RISING] > 0 and c.scalars[S_NOW] < due_s < FOREVER_S:
        push_alarm(c, due_s, ALARM_RETRY, claimant)


@inner
def _shaped(c: Columns) -> np.ndarray:
    """Tell of every allocation whether it is of cells."""
    shaped = np.zeros(c.scalars[S_ALLOCS], dtype=np.bool_)
    for i in range(c.scalars[S_CELLS]):
        shaped[c.cells[i, Z_ALLOCATION]] = True
    return shaped


@inner
def _count_soon(c: Columns, now_s: int) -> None:
    """Recount the most that every account is entitled to until ``now_s`` + G: a right grows only
    where an allocation begins. Cells are claimed when they begin: only then their leaves are known
    to be the holder's.
    """
    allocs, rights, until_s = c.allocs, c.rights, now_s + c.policy[P_RETURN_S]
    rights[E_SOON] = rights[E_ENTITLED]
    count, near, shaped = 0, np.empty(c.scalars[S_ALLOCS], dtype=np.int64), _shaped(c)
    for i in range(near.size):
        is_new = now_s < allocs[L_FROM, i]
        if allocs[L_FROM, i] <= until_s and now_s < allocs[L_TO, i] and not (is_new and shaped[i]):
            near[count] = i
            count += 1
    for i in near[:count]:
        from_s, account, kind = allocs[L_FROM, i], allocs[L_ACCOUNT, i], allocs[L_TYPE, i]
        if from_s <= now_s:
            continue
        milli = 0
        for j in near[:count]:
            is_same = allocs[L_ACCOUNT, j] == account and allocs[L_TYPE, j] == kind
            if is_same and allocs[L_FROM, j] <= from_s < allocs[L_TO, j]:
                milli += allocs[L_MILLI, j]
        rights[E_SOON, account, kind] = max(rights[E_SOON, account, kind], milli)


@inner
def _count_cells(c: Columns, now_s: int) -> None:
    """Recount which leaves are held, by the cells of the allocations that are active."""
    before = c.shelves[H_HOLDER].copy()
    c.rights[E_CELLS] = 0
    c.shelves[H_HOLDER] = 0
    for i in range(c.scalars[S_CELLS]):
        index, shelf, nodes = c.cells[i]
        if c.allocs[L_FROM, index] <= now_s < c.allocs[L_TO, index]:
            account, kind = c.allocs[L_ACCOUNT, index], c.allocs[L_TYPE, index]
            c.rights[E_CELLS, account, kind] += nodes * c.shelves[H_GPUS, shelf] * WHOLE
            c.shelves[H_HOLDER, shelf] = account + 1
    if (c.shelves[H_HOLDER] != before).any():
        c.scalars[S_FREED] |= FREED_RIGHTS | FREED_CELLS
