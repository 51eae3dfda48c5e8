"""What must always hold of a state (DESIGN section 5), checked from scratch, not from counters."""

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.moves import bits_of
from dure.core.state import State


def violations(state: State) -> list[str]:
    """Return a sentence for each invariant that the state breaks; empty if it is sound."""
    rows = _live_rows(state)
    found: list[str] = []
    for part in (_devices, _kinds, _rights, _jobs, _books, _claims):
        found += part(state, rows)
    return found


def _live_rows(state: State) -> IntArray:
    """Return the indices of the placement rows in use."""
    c = state.c
    running = c.running[: c.scalars[col.S_RUNNING]]
    row = c.jobs[col.J_ROWS, running]
    found = []
    while (row := row[row >= 0]).size:
        found.append(row)
        row = c.rows[col.R_NEXT_OF_JOB, row]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _spread(state: State, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return (device, row) pairs for every device of every row."""
    c = state.c
    node, mask = c.rows[col.R_NODE, rows], c.rows[col.R_MASK, rows]
    width = int(c.nodes[col.N_GPUS].max())
    device, of = np.nonzero((mask[None, :] >> np.arange(width)[:, None]) & 1)
    return c.nodes[col.N_FIRST, node[of]] + device, rows[of]


def _devices(state: State, rows: IntArray) -> list[str]:
    """1: one placement per device share. 15: none on a device that is dirty, down or another's
    hold.
    """
    c = state.c
    device, row = _spread(state, rows)
    used = np.zeros(c.devices.shape[1], dtype=np.int64)
    np.add.at(used, device, c.rows[col.R_MILLI, row])
    found = []
    free = c.devices[col.D_FREE]
    if (used + free != col.WHOLE).any() or (free < 0).any():
        bad = int(np.flatnonzero((used + free != col.WHOLE) | (free < 0))[0])
        found.append(f"device {bad}: {used[bad]} milli placed, {free[bad]} free, of {col.WHOLE}")
    for name, column in (("down", col.D_DOWN), ("being cleaned", col.D_CLEANING)):
        if (c.devices[column, device] > 0).any():
            bad = int(device[np.flatnonzero(c.devices[column, device] > 0)[0]])
            found.append(f"device {bad} is {name} and has a placement")
    return found


def _kinds(state: State, rows: IntArray) -> list[str]:
    """5: every milli-GPU is of exactly one kind, now and in the books."""
    c, s = state.c, state.c.scalars
    capacity = int(c.nodes[col.N_GPUS].sum()) * col.WHOLE
    now = s[col.S_KIND : col.S_KIND + 7]
    found = []
    if int(now.sum()) != capacity or (now < 0).any():
        found.append(f"kinds add up to {now.sum()} milli ({now.tolist()}), the pool has {capacity}")
    milli = c.rows[col.R_MILLI, rows] * bits_of(c.rows[col.R_MASK, rows])
    kind = c.jobs[col.J_CLASS, c.rows[col.R_JOB, rows]]
    for k in (col.OWN, col.LOAN, col.SCAVENGE):
        if int(milli[kind == k].sum()) != int(now[k]):
            found.append(
                f"{col.KINDS[k]}: placements hold {milli[kind == k].sum()}, count {now[k]}"
            )
    passed_s = int(s[col.S_NOW] - s[col.S_STARTED_AT])
    booked = int(s[col.S_SUM : col.S_SUM + 7].sum())
    if s[col.S_NOW] >= 0 and booked != capacity * passed_s:
        found.append(f"booked {booked} milli-s, capacity x time is {capacity * passed_s}")
    return found


def _rights(state: State, rows: IntArray) -> list[str]:
    """2: own use and claims of an account stay within its entitlement, once shrinks are settled."""
    c = state.c
    own = np.zeros_like(c.rights[col.E_OWN])
    job = c.rows[col.R_JOB, rows]
    is_own = c.jobs[col.J_CLASS, job] == col.OWN
    milli = c.rows[col.R_MILLI, rows] * bits_of(c.rows[col.R_MASK, rows])
    kind = c.nodes[col.N_TYPE, c.rows[col.R_NODE, rows]]
    np.add.at(own, (c.jobs[col.J_OWNER, job[is_own]], kind[is_own]), milli[is_own])
    found = []
    if (own != c.rights[col.E_OWN]).any():
        found.append("an account's own use is not what its placements hold")
    if state.policy.name == "dure":
        over = (c.rights[col.E_OWN] > c.rights[col.E_ENTITLED]) & (c.rights[col.E_ENTITLED] >= 0)
        if over.any():
            account, kind_over = (int(i) for i in np.argwhere(over)[0])
            found.append(
                f"account {state.accounts[account].name!r} uses "
                f"{c.rights[col.E_OWN, account, kind_over]} milli of "
                f"{state.pool.types[kind_over]} as its own, more than its entitlement "
                f"{c.rights[col.E_ENTITLED, account, kind_over]}"
            )
    return found


def _jobs(state: State, rows: IntArray) -> list[str]:
    """4 and 13: running jobs are whole, on suitable nodes; nobody else has a placement."""
    c, s = state.c, state.c.scalars
    jobs = c.jobs[:, : s[col.S_JOBS]]
    active = (jobs[col.J_STATE] == col.RUNNING) | (jobs[col.J_STATE] == col.STOPPING)
    used = np.zeros(jobs.shape[1], dtype=np.int64)
    milli = c.rows[col.R_MILLI, rows] * bits_of(c.rows[col.R_MASK, rows])
    job = c.rows[col.R_JOB, rows]
    np.add.at(used, job, milli)
    found = []
    want = np.where(active, jobs[col.J_GPUS] * jobs[col.J_MILLI], 0)
    if (used != want).any():
        bad = int(np.flatnonzero(used != want)[0])
        found.append(f"job {state.job_names[bad]}: {used[bad]} milli placed, {want[bad]} due")
    if int(active.sum()) != int(s[col.S_RUNNING]):
        found.append(f"{active.sum()} jobs run, {s[col.S_RUNNING]} are listed")
    shelf = c.nodes[col.N_SHELF, c.rows[col.R_NODE, rows]]
    if (jobs[col.J_GRADE, job] > c.shelves[col.H_GRADE, shelf]).any():
        found.append("a job's data grade is above its node's")
    types = jobs[col.J_TYPES, job] >> c.nodes[col.N_TYPE, c.rows[col.R_NODE, rows]] & 1
    if (types == 0).any():
        found.append("a job stands on an accelerator that it does not accept")
    return found


def _books(state: State, rows: IntArray) -> list[str]:
    """14: counters by node and shelf are what the devices say; waiting jobs stand in the line
    once.
    """
    c, s = state.c, state.c.scalars
    whole = (
        (c.devices[col.D_FREE] == col.WHOLE)
        & (c.devices[col.D_DOWN] == 0)
        & (c.devices[col.D_CLEANING] == 0)
        & (c.devices[col.D_HOLD] == 0)
    )
    first = c.nodes[col.N_FIRST]
    free = np.add.reduceat(whole.astype(np.int64), first)
    free[c.nodes[col.N_CORDONED] > 0] = 0
    found = []
    if (free != c.nodes[col.N_FREE]).any():
        found.append("a node's count of free devices is wrong")
    hist = np.zeros_like(c.hist)
    np.add.at(hist, (c.nodes[col.N_SHELF], free), 1)
    if (hist != c.hist).any():
        found.append("a leaf's count of free nodes is wrong")
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]]
    line = line[c.jobs[col.J_STATE, line] == col.PENDING]
    waiting = np.flatnonzero(c.jobs[col.J_STATE, : s[col.S_JOBS]] == col.PENDING)
    if not np.array_equal(np.sort(line), waiting):
        found.append(f"{waiting.size} jobs wait, {line.size} stand in the line")
    return found


def _claims(state: State, rows: IntArray) -> list[str]:
    """6: holds belong to claims of waiting jobs, each large enough, and no borrower stays past its
    time.
    """
    c, s = state.c, state.c.scalars
    holder = c.devices[col.D_HOLD]
    claimants = c.claims[: s[col.S_CLAIMS], 0]
    found = []
    held = np.bincount(holder[holder > 0] - 1, minlength=int(s[col.S_JOBS]))
    if set(np.flatnonzero(held).tolist()) != set(claimants.tolist()):
        found.append("a hold without a claim, or a claim without a hold")
    elif (held[claimants] != c.jobs[col.J_GPUS, claimants]).any():
        found.append("a claim holds more or fewer devices than its gang needs")
    if (c.jobs[col.J_STATE, claimants] != col.PENDING).any():
        found.append("a claim of a job that does not wait")
    running = c.running[: s[col.S_RUNNING]]
    stop = c.jobs[col.J_STOP_AT, running]
    late = (stop >= 0) & (stop < s[col.S_NOW]) & (c.jobs[col.J_STATE, running] == col.RUNNING)
    if late.any() and state.policy.instant_stop:
        found.append(f"job {state.job_names[running[late][0]]} runs on after its time to leave")
    return found
