"""Who is entitled to what now, and who holds which leaf: recounted when an allocation turns."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner


@inner
def count_rights(c: Columns, now_s: int) -> None:
    """Recount every account's entitlement from the allocations that are active at ``now_s``."""
    allocs, rights = c.allocs, c.rights
    before = rights[E_ENTITLED].copy()
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
    if (rights[E_ENTITLED] != before).any():
        c.scalars[S_FREED] |= FREED_RIGHTS
    count_cells(c, now_s)


@inner
def count_cells(c: Columns, now_s: int) -> None:
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
