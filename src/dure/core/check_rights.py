"""What must hold of rights: they are what allocations give, and own use stays within them."""

import numpy as np

from dure.core import columns as col
from dure.core.checked import Checked
from dure.core.columns import IntArray


def rights_broken(k: Checked) -> list[str]:
    """2: own use and claims stay within the entitlement, which is what active allocations give."""
    c, s, state = k.state.c, k.state.c.scalars, k.state
    entitled, found = np.zeros_like(c.rights[col.E_OWN]), []
    allocs, now_s = c.allocs[:, : s[col.S_ALLOCS]], s[col.S_NOW]
    active = allocs[:, (allocs[col.L_FROM] <= now_s) & (now_s < allocs[col.L_TO])]
    np.add.at(entitled, (active[col.L_ACCOUNT], active[col.L_TYPE]), active[col.L_MILLI])
    pool = c.accounts[col.A_KIND] == col.ACCOUNT_POOL
    pool[s[col.S_ACCOUNTS] :] = False
    entitled[pool] = c.rights[col.E_ENTITLED, pool]
    if (entitled != c.rights[col.E_ENTITLED]).any():
        found.append("an entitlement is not what the active allocations add up to")
    if (_soon(k, entitled) != c.rights[col.E_SOON]).any():
        found.append("an entitlement that begins soon is not what allocations will add up to")
    if (entitled[~pool].sum(axis=0) != c.types[col.T_ENTITLED]).any():
        found.append("a type's entitlements do not add up")
    found += _cells(k)
    over = c.rights[col.E_OWN] + c.rights[col.E_CLAIMED] > c.rights[col.E_SOON]
    over |= c.rights[col.E_OWN] > c.rights[col.E_ENTITLED]
    if state.policy.name == "dure" and over[~pool].any():
        account, bad = (int(i) for i in np.argwhere(over & ~pool[:, None])[0])
        found.append(
            f"account {state.accounts[account].name!r} uses or claims "
            f"{c.rights[col.E_OWN, account, bad] + c.rights[col.E_CLAIMED, account, bad]} milli of "
            f"{state.pool.types[bad]} as its own, more than its entitlement "
            f"{c.rights[col.E_ENTITLED, account, bad]}"
        )
    return found


def _cells(k: Checked) -> list[str]:
    """2: a cell is whole for its holder; no other's own work stands there."""
    c, s = k.state.c, k.state.c.scalars
    index, shelf, nodes = c.cells[: s[col.S_CELLS]].T
    now_s = s[col.S_NOW]
    on = (c.allocs[col.L_FROM, index] <= now_s) & (now_s < c.allocs[col.L_TO, index])
    index, shelf, nodes = index[on], shelf[on], nodes[on]
    account, kind = c.allocs[col.L_ACCOUNT, index], c.allocs[col.L_TYPE, index]
    holder, shaped = np.zeros_like(c.shelves[0]), np.zeros_like(c.rights[col.E_CELLS])
    holder[shelf] = account + 1
    np.add.at(shaped, (account, kind), nodes * c.shelves[col.H_GPUS, shelf] * col.WHOLE)
    found = []
    if np.unique(shelf).size != shelf.size:
        found.append("a leaf is promised to two")
    if (holder != c.shelves[col.H_HOLDER]).any() or (shaped != c.rights[col.E_CELLS]).any():
        found.append("who holds a leaf is not what the active allocations say")
    if k.state.policy.name != "dure":
        return found
    placed = (c.jobs[col.J_CLASS, k.job] == col.OWN) & (c.jobs[col.J_STATE, k.job] == col.RUNNING)
    node = np.concatenate((k.node[placed], k.holds[0]))
    owner = c.jobs[col.J_OWNER, np.concatenate((k.job[placed], k.holds[1]))]
    at, type_ = c.nodes[col.N_SHELF, node], c.nodes[col.N_TYPE, node]
    if (holder[at] != np.where(shaped[owner, type_] > 0, owner + 1, 0)).any():
        found.append("an owner's own work stands in, or claims, a cell that is not its own")
    return found


def _soon(k: Checked, entitled: IntArray) -> IntArray:
    """Return the most that every account is entitled to until a claim made now is due; cells count
    from when they begin.
    """
    c, s, now_s = k.state.c, k.state.c.scalars, int(k.state.c.scalars[col.S_NOW])
    until_s = now_s + k.state.policy.return_s
    allocs = c.allocs[:, : s[col.S_ALLOCS]]
    shaped = np.isin(np.arange(s[col.S_ALLOCS]), c.cells[: s[col.S_CELLS], col.Z_ALLOCATION])
    allocs = allocs[:, ~shaped | (allocs[col.L_FROM] <= now_s)]
    begins_s, soon = allocs[col.L_FROM], entitled.copy()
    for at_s in np.unique(begins_s[(begins_s > now_s) & (begins_s <= until_s)]).tolist():
        active = allocs[:, (allocs[col.L_FROM] <= at_s) & (at_s < allocs[col.L_TO])]
        then = np.zeros_like(entitled)
        np.add.at(then, (active[col.L_ACCOUNT], active[col.L_TYPE]), active[col.L_MILLI])
        soon = np.maximum(soon, then)
    return soon
