"""Forgetting jobs that are over, so that a long run holds only what is under way.

A job has a number for ever, which records and all who read them know it by, and a column for as
long as it matters. What is forgotten changes no decision and no record: columns keep the order of
the numbers, and what plans remember for speed is found again, as after a fold. So it is nobody's
fact; a state may forget at any moment between two cycles, or never.
"""

from dataclasses import dataclass

import numpy as np

from dure.core import columns as col
from dure.core.columns import AFTER_DONE, Columns, IntArray
from dure.core.line import gather_cohorts
from dure.core.shapes import spread_examples

_OF_JOBS = (col.ALARM_STOP, col.ALARM_RETRY, col.ALARM_LAXITY)


@dataclass(frozen=True)
class JobRows:
    """Jobs as they stand, or stood last: ``columns`` is of shape (J_COUNT, job), by number."""

    numbers: IntArray
    names: list[str]
    columns: IntArray


def kept_jobs(c: Columns) -> IntArray:
    """Return the columns of jobs that still matter: not over, or something refers to them."""
    s, count = c.scalars, int(c.scalars[col.S_JOBS])
    keep = c.jobs[col.J_STATE, :count] <= col.STOPPING
    after = c.jobs[col.J_AFTER, :count][keep]
    keep[after[(after >= 0) & (after < count)]] = True
    keep[c.fresh[: s[col.S_FRESH]]] = True
    # Whoever has devices held has a claim.
    keep[c.claims[: s[col.S_CLAIMS], 0]] = True
    keep[c.booked[: s[col.S_BOOKED], col.B_JOB]] = True
    # An alarm wakes the pool, whatever became of its job.
    alarms = c.alarms[: s[col.S_ALARMS]]
    keep[alarms[np.isin(alarms[:, 1], _OF_JOBS), 2]] = True
    return np.flatnonzero(keep)


def close_ranks(c: Columns, kept: IntArray) -> None:
    """Move the kept jobs together, in their order, and have all that refers to them follow."""
    s, count = c.scalars, int(c.scalars[col.S_JOBS])
    place = np.full(count, -1, dtype=np.int64)
    place[kept] = np.arange(kept.size)
    _close_line(c, place)
    c.jobs[:, : kept.size] = c.jobs[:, kept]
    c.jobs[:, kept.size : count] = 0
    after = c.jobs[col.J_AFTER, : kept.size]
    later, there = after >= count, (after >= 0) & (after < count)
    after[later] -= count - kept.size
    at = place[after[there]]
    # Only who is over may come after somebody who is forgotten, and nobody asks it any more.
    after[there] = np.where(at >= 0, at, AFTER_DONE)
    for listed in (
        c.running[: s[col.S_RUNNING]],
        c.fresh[: s[col.S_FRESH]],
        c.claims[: s[col.S_CLAIMS], 0],
        c.booked[: s[col.S_BOOKED], col.B_JOB],
        c.rows[col.R_JOB, : s[col.S_ROWS_TOP]],
    ):
        # A placement row that nobody uses keeps what stood there last.
        listed[:] = np.where(listed >= 0, place[listed], -1)
    alarms = c.alarms[: s[col.S_ALARMS]]
    of_jobs = np.isin(alarms[:, 1], _OF_JOBS)
    alarms[of_jobs, 2] = place[alarms[of_jobs, 2]]
    held = c.devices[col.D_HOLD] > 0
    c.devices[col.D_HOLD, held] = place[c.devices[col.D_HOLD, held] - 1] + 1
    s[col.S_IMPATIENT] = kept.searchsorted(s[col.S_IMPATIENT])
    s[col.S_JOBS] = kept.size
    s[col.S_ELASTIC] = (c.jobs[col.J_SIZE, : kept.size] < c.jobs[col.J_GPUS, : kept.size]).sum()
    s[col.S_SHARED_ROWS] = shared_rows(c.jobs[:, : kept.size], c.nodes.shape[1])
    _renumber(c, col.J_SHAPE, col.S_SHAPES)
    _renumber(c, col.J_COHORT, col.S_COHORTS)
    recognise_again(c)


def shared_rows(jobs: IntArray, nodes: int) -> int:
    """Return how many placement rows jobs on shares of devices may need, at most."""
    shared = jobs[col.J_MILLI] < col.WHOLE
    return int(np.clip(jobs[col.J_GPUS, shared], 0, nodes).sum())


def _close_line(c: Columns, place: IntArray) -> None:
    s = c.scalars
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]]
    waits = c.jobs[col.J_STATE, line] == col.PENDING
    c.jobs[col.J_IN_QUEUE, line[~waits]] = 0
    line = place[line[waits]]
    c.queue[: line.size] = line
    s[col.S_Q_HEAD], s[col.S_Q_TAIL], s[col.S_Q_DEAD] = 0, line.size, 0


def _renumber(c: Columns, row: int, count: int) -> None:
    """Count shapes or cohorts anew, those of the jobs that are left; 0 is none and stays."""
    numbers = c.jobs[row, : c.scalars[col.S_JOBS]]
    found = np.unique(numbers[numbers > 0])
    c.jobs[row, : c.scalars[col.S_JOBS]] = np.where(
        numbers > 0, np.searchsorted(found, numbers) + 1, 0
    )
    c.scalars[count] = found.size


def forget_passes(c: Columns) -> None:
    """Empty what passes only remember for speed."""
    c.memo[:], c.marks[:], c.scratch[:] = 0, 0, 0
    c.memo[col.M_STAMP, :5] = 1, col.MARKS_FROM, 1, 1, col.MARKS_FROM
    c.memo[col.M_LEAST] = 1 << 60


def recognise_again(c: Columns) -> None:
    """Fill what is only for speed: the first job of each shape and cohort stands for it, and who
    waits stands in its cohort.
    """
    count, examples = int(c.scalars[col.S_JOBS]), []
    for row in (col.J_SHAPE, col.J_COHORT):
        found, first = np.unique(c.jobs[row, :count], return_index=True)
        examples.append(first[found > 0].astype(np.int64))
    shapes, alike = np.full_like(c.shapes, -1), np.full_like(c.alike, -1)
    spread_examples(c.but(shapes=examples[0], alike=examples[1]), shapes, alike)
    c.shapes[:], c.alike[:] = shapes, alike
    for matrix in (c.cohorts, c.tree, c.standing, c.heads):
        matrix[:] = 0
    forget_passes(c)
    gather_cohorts(c)
