"""A state laid out for checking: what its placements and devices say, found once for all checks."""

from dataclasses import dataclass

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.moves import bits_of
from dure.core.state import State


@dataclass(frozen=True)
class Checked:
    """What the checks share.

    Attributes:
        rows: indices of the placement rows of running jobs, with each row's ``job``, ``node``,
            ``milli`` (in all), ``lent`` (the part an own gang borrows).
        device, row_of_device: a pair for every device of every row.
        free: free milli by node: idle, reserved, draining, down; shape (4, node).
        holds: (node, job, devices) for each node and job that devices are held for.
        submitted: shape (job,), whether the job was handed in (one may be listed before).
    """

    state: State
    rows: IntArray
    job: IntArray
    node: IntArray
    milli: IntArray
    lent: IntArray
    device: IntArray
    row_of_device: IntArray
    free: IntArray
    holds: tuple[IntArray, IntArray, IntArray]
    submitted: IntArray


def checked(state: State) -> Checked:
    """Lay a state out."""
    c = state.c
    rows = _live_rows(state)
    node, mask = c.rows[col.R_NODE, rows], c.rows[col.R_MASK, rows]
    width = int(c.nodes[col.N_GPUS].max())
    device, of = np.nonzero((mask[None, :] >> np.arange(width)[:, None]) & 1)
    device = np.minimum(c.nodes[col.N_FIRST, node[of]] + device, c.devices.shape[1] - 1)
    jobs = c.jobs[:, : c.scalars[col.S_JOBS]]
    # Only a submission gives a job its shape, its place in the line or its end.
    seen = (jobs[col.J_SHAPE] > 0) | (jobs[col.J_LOCALITY] == col.LOCALITY_PREFERRED)
    return Checked(
        state,
        rows,
        c.rows[col.R_JOB, rows],
        node,
        c.rows[col.R_MILLI, rows] * bits_of(mask),
        c.rows[col.R_MILLI, rows] * bits_of(c.rows[col.R_LENT, rows]),
        device,
        rows[of],
        _free_by_node(state),
        _holds(state),
        seen,
    )


def _live_rows(state: State) -> IntArray:
    """Return the indices of the placement rows of running jobs, doubled where a list is broken."""
    c = state.c
    running = c.running[: c.scalars[col.S_RUNNING]]
    row = c.jobs[col.J_ROWS, running]
    found: list[IntArray] = []
    while (row := row[row >= 0]).size and len(found) <= c.nodes.shape[1]:
        found.append(row)
        row = c.rows[col.R_NEXT_OF_JOB, row]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _free_by_node(state: State) -> IntArray:
    """Return the free milli by node of each kind: idle, reserved, draining, down."""
    c = state.c
    free, devices = c.devices[col.D_FREE], c.devices
    cordoned = np.repeat(c.nodes[col.N_CORDONED] > 0, c.nodes[col.N_GPUS])
    down = devices[col.D_DOWN] > 0
    draining = ~down & ((devices[col.D_CLEANING] > 0) | cordoned)
    reserved = ~down & ~draining & (devices[col.D_HOLD] > 0)
    idle = ~(down | draining | reserved)
    kinds = np.stack([free * part for part in (idle, reserved, draining, down)])
    by_node: IntArray = np.add.reduceat(kinds, c.nodes[col.N_FIRST], axis=1)
    return by_node


def _holds(state: State) -> tuple[IntArray, IntArray, IntArray]:
    c = state.c
    held = np.flatnonzero(c.devices[col.D_HOLD] > 0)
    node = np.searchsorted(c.nodes[col.N_FIRST], held, side="right") - 1
    size = c.jobs.shape[1]
    pair, count = np.unique(node * size + c.devices[col.D_HOLD, held] - 1, return_counts=True)
    return pair // size, pair % size, count
