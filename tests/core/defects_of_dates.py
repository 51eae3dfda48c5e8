"""Defects of dates to plant in a state (see ``tests.core.defects``)."""

import numpy as np

from dure.core import columns as col
from dure.core.state import State
from tests.core.defects import defect, running
from tests.core.defects_of_loans import DEFECTS

__all__ = ["DEFECTS"]


def dates(state: State) -> int:
    return int(state.c.scalars[col.S_BOOKED])


@defect
def a_date_forgotten(state: State) -> bool:
    if dates(state):
        state.c.scalars[col.S_BOOKED] -= 1
        return True
    return False


@defect
def a_date_put_off(state: State) -> bool:
    last = dates(state) - 1
    if last >= 0:
        job = state.c.booked[last, col.B_JOB]
        later_s = int(state.c.jobs[col.J_PROMISED, job]) + 1
        state.c.booked[last, col.B_DATE] = state.c.jobs[col.J_DATE, job] = later_s
        return True
    return False


@defect
def a_date_kept_for_a_running_job(state: State) -> bool:
    """A job starts and its date stays in the way of others."""
    for job in running(state):
        if dates(state) < col.DATES_MAX:
            row = state.c.booked[dates(state)]
            row[:] = job, col.FOREVER_S, 0, 1, 0
            state.c.jobs[col.J_DATE, job] = state.c.jobs[col.J_PROMISED, job] = col.FOREVER_S
            state.c.scalars[col.S_BOOKED] += 1
            return True
    return False


@defect
def dates_out_of_order(state: State) -> bool:
    if dates(state) > 1:
        state.c.booked[:2] = state.c.booked[1::-1].copy()
        return True
    return False


@defect
def a_node_that_ends_too_soon(state: State) -> bool:
    busy = np.flatnonzero(state.c.nodes[col.N_ROWS] >= 0)
    if busy.size:
        state.c.nodes[col.N_ENDS, busy[0]] -= 1
    return bool(busy.size)
