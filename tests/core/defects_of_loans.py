"""Defects of loans, claims and entitlements to plant in a state (see ``tests.core.defects``)."""

import numpy as np

from dure.core import columns as col
from dure.core.state import State
from tests.core.defects import DEFECTS, claimed, defect, running, waiting

__all__ = ["DEFECTS"]


@defect
def a_claim_twice(state: State) -> bool:
    claims, s = state.c.claims, state.c.scalars
    if claimed(state):
        claims[s[col.S_CLAIMS]] = claims[0]
        s[col.S_CLAIMS] += 1
        return True
    return False


@defect
def a_claim_forgotten(state: State) -> bool:
    if claimed(state):
        state.c.scalars[col.S_CLAIMS] -= 1
        return True
    return False


@defect
def a_hold_forgotten(state: State) -> bool:
    held = np.flatnonzero(state.c.devices[col.D_HOLD] > 0)
    if held.size:
        state.c.devices[col.D_HOLD, held[0]] = 0
    return bool(held.size)


@defect
def a_hold_for_another(state: State) -> bool:
    held = np.flatnonzero(state.c.devices[col.D_HOLD] > 0)
    if held.size and waiting(state):
        others = [job for job in waiting(state) if job not in claimed(state)]
        if others:
            state.c.devices[col.D_HOLD, held[0]] = others[0] + 1
            return True
    return False


@defect
def a_hold_at_a_site_below_the_grade(state: State) -> bool:
    c = state.c
    for device in np.flatnonzero(c.devices[col.D_HOLD] > 0).tolist():
        shelf = c.nodes[col.N_SHELF, np.searchsorted(c.nodes[col.N_FIRST], device, "right") - 1]
        if c.shelves[col.H_GRADE, shelf] < col.GRADE_MAX:
            c.jobs[col.J_GRADE, c.devices[col.D_HOLD, device] - 1] = col.GRADE_MAX
            return True
    return False


@defect
def a_loan_not_returned(state: State) -> bool:
    """The borrower on a claimed device is told nothing."""
    for job in running(state):
        told = state.c.jobs[col.J_STOP_AT, job] >= 0
        if told and state.c.jobs[col.J_STOP_CAUSE, job] == col.BY_RECLAIM:
            state.c.jobs[col.J_STOP_AT, job] = -1
            return True
    return False


@defect
def a_loan_returned_too_late(state: State) -> bool:
    for job in running(state):
        told = state.c.jobs[col.J_STOP_AT, job] >= 0
        if told and state.c.jobs[col.J_STOP_CAUSE, job] == col.BY_RECLAIM:
            state.c.jobs[col.J_STOP_AT, job] += 100_000
            return True
    return False


@defect
def a_borrower_told_for_nothing(state: State) -> bool:
    for job in running(state):
        if state.c.jobs[col.J_STOP_AT, job] < 0 and not claimed(state):
            state.c.jobs[col.J_STOP_AT, job] = state.now_s + 50
            state.c.jobs[col.J_STOP_CAUSE, job] = col.BY_RECLAIM
            return True
    return False


@defect
def a_borrower_that_stays_on(state: State) -> bool:
    for job in running(state):
        state.c.jobs[col.J_STOP_AT, job] = state.now_s - 1
        return state.now_s > 0
    return False


@defect
def a_promise_overdue(state: State) -> bool:
    for job in claimed(state):
        state.c.jobs[col.J_CLAIM_DUE, job] = max(0, state.now_s - 31)
        return state.now_s > 31
    return False


@defect
def a_leaf_held_by_nobody_who_was_promised_it(state: State) -> bool:
    state.c.shelves[col.H_HOLDER, 0] += 1
    return True


@defect
def an_entitlement_to_cells_without_a_cell(state: State) -> bool:
    state.c.rights[col.E_CELLS, 1, 0] += col.WHOLE
    return True


@defect
def a_claim_on_a_cordoned_node(state: State) -> bool:
    held = np.flatnonzero(state.c.nodes[col.N_HELD] > 0)
    if held.size:
        state.c.nodes[col.N_CORDONED, held[0]] = 1
    return bool(held.size)


@defect
def a_borrower_that_asked_to_borrow_runs_as_own(state: State) -> bool:
    for job in running(state):
        if state.c.jobs[col.J_CLASS, job] == col.OWN:
            state.c.jobs[col.J_CLASS_ASKED, job] = 1 + col.LOAN
            return True
    return False


@defect
def an_allocation_overspent(state: State) -> bool:
    """An allocation is cut and its entitlement with it, but nobody is demoted."""
    c = state.c
    for i in range(int(c.scalars[col.S_ALLOCS])):
        account, kind = int(c.allocs[col.L_ACCOUNT, i]), int(c.allocs[col.L_TYPE, i])
        active = c.allocs[col.L_FROM, i] <= state.now_s < c.allocs[col.L_TO, i]
        milli = int(c.allocs[col.L_MILLI, i])
        left = int(c.rights[col.E_ENTITLED, account, kind]) - milli
        if active and milli and int(c.rights[col.E_OWN, account, kind]) > left:
            c.allocs[col.L_MILLI, i] = 0
            c.rights[col.E_ENTITLED, account, kind] = left
            c.types[col.T_ENTITLED, kind] -= milli
            return True
    return False


@defect
def an_allocation_that_outlives_its_end(state: State) -> bool:
    c = state.c
    for i in range(int(c.scalars[col.S_ALLOCS])):
        if (
            c.allocs[col.L_FROM, i] <= state.now_s < c.allocs[col.L_TO, i]
            and c.allocs[col.L_MILLI, i]
        ):
            c.allocs[col.L_TO, i] = state.now_s
            return True
    return False


@defect
def claims_booked_to_nobody(state: State) -> bool:
    found = np.argwhere(state.c.rights[col.E_CLAIMED] > 0)
    if len(found):
        state.c.rights[col.E_CLAIMED, found[0][0], found[0][1]] -= 1000
    return bool(len(found))


@defect
def own_use_booked_to_another(state: State) -> bool:
    found = np.argwhere(state.c.rights[col.E_OWN] > 0)
    if len(found):
        state.c.rights[col.E_OWN, found[0][0], found[0][1]] -= 1000
        state.c.rights[col.E_OWN, (found[0][0] + 1) % len(state.accounts), found[0][1]] += 1000
    return bool(len(found))


@defect
def a_lent_device_forgotten(state: State) -> bool:
    """What an own gang borrows is counted as own."""
    rows = state.c.rows
    for job in running(state):
        row = int(state.c.jobs[col.J_ROWS, job])
        while row >= 0:
            if rows[col.R_LENT, row]:
                rows[col.R_LENT, row] &= rows[col.R_LENT, row] - 1
                return True
            row = int(rows[col.R_NEXT_OF_JOB, row])
    return False


@defect
def a_borrower_that_lends(state: State) -> bool:
    for job in running(state):
        if state.c.jobs[col.J_CLASS, job] != col.OWN:
            row = int(state.c.jobs[col.J_ROWS, job])
            state.c.rows[col.R_LENT, row] = state.c.rows[col.R_MASK, row]
            return True
    return False


@defect
def a_gang_below_its_minimum(state: State) -> bool:
    jobs = state.c.jobs
    for job in running(state):
        if jobs[col.J_USED, job] < jobs[col.J_GPUS, job] * jobs[col.J_MILLI, job]:
            jobs[col.J_SIZE, job] = jobs[col.J_GPUS, job]
            return True
    return False


@defect
def a_right_that_begins_unseen(state: State) -> bool:
    if len(state.accounts) > 1:
        state.c.rights[col.E_SOON, 1, 0] += 1000
    return len(state.accounts) > 1


@defect
def a_hurried_job_that_kept_its_place(state: State) -> bool:
    """The last of the line got the key of a job whose time nears, and was not moved."""
    found = waiting(state)
    if len(found) > 1 and not (state.c.jobs[col.J_KEY, found] < 0).any():
        state.c.jobs[col.J_KEY, found[-1]] = 1 - col.FOREVER_S
        return True
    return False
