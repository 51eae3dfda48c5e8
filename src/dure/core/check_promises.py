"""What must hold of loans and their return (DESIGN section 5, 6): claims, holds, notices, times."""

import numpy as np

from dure.core import columns as col
from dure.core.checked import Checked

GRACE_S = 30


def promises_broken(k: Checked) -> list[str]:
    """Return a sentence for each broken rule about claims."""
    return _claims(k) + _holds(k) + _borrowers(k)


def _claims(k: Checked) -> list[str]:
    """Claims are of waiting jobs, counted against their owners, and not overdue."""
    c, s = k.state.c, k.state.c.scalars
    claimants, kind = c.claims[: s[col.S_CLAIMS]].T
    jobs = c.jobs[:, : s[col.S_JOBS]]
    found = []
    if not np.array_equal(np.sort(claimants), np.flatnonzero(jobs[col.J_CLAIM_DUE] >= 0)):
        found.append("a claim is listed twice, or not at all")
    if (c.jobs[col.J_STATE, claimants] != col.PENDING).any():
        found.append("a claim of a job that does not wait")
    claimed = np.zeros_like(c.rights[col.E_CLAIMED])
    milli = c.jobs[col.J_SIZE, claimants] * c.jobs[col.J_MILLI, claimants]
    np.add.at(claimed, (c.jobs[col.J_OWNER, claimants], kind), milli)
    if (claimed != c.rights[col.E_CLAIMED]).any():
        found.append("what an account claims is not what its claims add up to")
    overdue = c.jobs[col.J_CLAIM_DUE, claimants] + GRACE_S < s[col.S_NOW]
    if overdue.any() and k.state.policy.instant_stop:
        name = k.state.job_names[int(claimants[overdue][0])]
        found.append(f"job {name} was promised its GPUs and is still without")
    return found


def _holds(k: Checked) -> list[str]:
    """A hold is for a claim, as large as its gang, on healthy devices of the claim's type and its
    job's data grade.
    """
    c, s = k.state.c, k.state.c.scalars
    claimants, kind = c.claims[: s[col.S_CLAIMS]].T
    node, job, count = k.holds
    held = np.bincount(job, count, c.jobs.shape[1]).astype(np.int64)
    found = []
    if not np.array_equal(np.flatnonzero(held), np.unique(claimants)):
        found.append("a hold without a claim, or a claim without a hold")
    elif (held[claimants] != c.jobs[col.J_SIZE, claimants]).any():
        found.append("a claim holds more or fewer devices than its gang needs")
    type_of = np.full(c.jobs.shape[1], -1)
    type_of[claimants] = kind
    if (type_of[job] != c.nodes[col.N_TYPE, node]).any():
        found.append("a claim holds another accelerator than it is booked for")
    if (c.jobs[col.J_GRADE, job] > c.shelves[col.H_GRADE, c.nodes[col.N_SHELF, node]]).any():
        found.append("a claim holds a device at a site below its job's data grade")
    on = c.devices[col.D_HOLD] > 0
    if (c.devices[col.D_DOWN, on] > 0).any() or (c.nodes[col.N_CORDONED, node] > 0).any():
        found.append("a claim holds a device that takes no work")
    return found


def _borrowers(k: Checked) -> list[str]:
    """Whoever stands on a hold was told and leaves in time; nobody else is; nobody stays on."""
    c, s, policy = k.state.c, k.state.c.scalars, k.state.policy
    holder = c.devices[col.D_HOLD, k.device]
    on = holder > 0
    borrower, claimant = c.rows[col.R_JOB, k.row_of_device[on]], holder[on] - 1
    is_running = c.jobs[col.J_STATE, borrower] == col.RUNNING
    stop_at_s = c.jobs[col.J_STOP_AT, borrower]
    reserve_s = policy.drain_s + policy.cleaning_s + policy.start_s
    latest_s = c.jobs[col.J_CLAIM_DUE, claimant] - reserve_s
    # A reservation waits until whoever stands there has ended; nobody is told to leave.
    is_claim = c.jobs[col.J_CLAIM_DUE, claimant] < col.FOREVER_S
    found = []
    row = k.row_of_device[on]
    place = k.device[on] - c.nodes[col.N_FIRST, c.rows[col.R_NODE, row]]
    is_own = (c.jobs[col.J_CLASS, borrower] == col.OWN) & (
        c.rows[col.R_LENT, row] >> place & 1 == 0
    )
    # Whoever makes room may be struck on its way out, by a fault, say: it leaves all the same.
    is_moved = ~is_running | (c.jobs[col.J_STOP_CAUSE, borrower] == col.BY_MOVE)
    if (is_claim & is_own & ~is_moved).any():
        found.append("a claim holds devices on which an owner's own gang runs")
    if (is_claim & is_running & ((stop_at_s < 0) | (stop_at_s > latest_s))).any():
        found.append("a borrower on a claimed device was not told to leave, or leaves too late")
    running = c.running[: s[col.S_RUNNING]]
    running = running[c.jobs[col.J_STATE, running] == col.RUNNING]
    stop_at_s = c.jobs[col.J_STOP_AT, running]
    told = (stop_at_s >= 0) & np.isin(
        c.jobs[col.J_STOP_CAUSE, running], (col.BY_RECLAIM, col.BY_MOVE)
    )
    if not np.isin(running[told], borrower).all():
        found.append("a borrower is told to leave and nobody needs its devices")
    late = (stop_at_s >= 0) & (stop_at_s < s[col.S_NOW])
    if late.any() and policy.instant_stop:
        name = k.state.job_names[int(running[late][0])]
        found.append(f"job {name} runs on after its time to leave")
    return found
