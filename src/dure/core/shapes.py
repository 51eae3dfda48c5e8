"""Equal gangs share a shape: what failed for one in a pass need not be tried for the next.

Shape 0 is for jobs whose demand changes while they wait (preferred locality): never remembered. A
*family* is all plain gangs (whole devices, any locality) for the same kinds of node: among them,
what fails for a small gang fails for every larger one.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner, kernel

# The columns that decide where a job fits.
_ASKED = np.array(
    [
        J_GPUS,
        J_MILLI,
        J_NODES,
        J_GPN,
        J_TYPES,
        J_LOCALITY,
        J_LEVEL,
        J_GRADE,
        J_CPU,
        J_MEMORY,
        J_PROVIDER,
    ],
    dtype=np.int64,
)


@inner
def _mix(c: Columns, job: int) -> int:
    mixed = np.uint64(1469598103934665603)
    for column in _ASKED:
        mixed ^= np.uint64(c.jobs[column, job] + 1)
        mixed *= np.uint64(1099511628211)
        mixed ^= mixed >> np.uint64(29)
    return int(np.int64(mixed >> np.uint64(1)))


@inner
def _same(c: Columns, a: int, b: int) -> bool:
    same = True
    for column in _ASKED:
        same = same and c.jobs[column, a] == c.jobs[column, b]
    return same


@inner
def _family(c: Columns, job: int) -> int:
    jobs, families, s = c.jobs, c.families, c.scalars
    plain = jobs[J_MILLI, job] == WHOLE and jobs[J_NODES, job] <= 0 and jobs[J_GPN, job] <= 0
    if not plain or jobs[J_CPU, job] > 0 or jobs[J_MEMORY, job] > 0:
        return -1
    if jobs[J_LOCALITY, job] != LOCALITY_ANY:
        return -1
    count = s[S_FAMILIES]
    for i in range(count):
        same = families[0, i] == jobs[J_TYPES, job] and families[1, i] == jobs[J_GRADE, job]
        if same and families[2, i] == jobs[J_PROVIDER, job]:
            return int(i)
    if count == FAMILIES:
        return -1
    families[0, count], families[1, count] = jobs[J_TYPES, job], jobs[J_GRADE, job]
    families[2, count] = jobs[J_PROVIDER, job]
    s[S_FAMILIES] = count + 1
    return int(count)


@inner
def recognise(c: Columns, job: int) -> None:
    """Give a new job its shape and family; the table has room (the caller of a cycle sees to
    that).
    """
    jobs, shapes, s = c.jobs, c.shapes, c.scalars
    jobs[J_FAMILY, job] = _family(c, job)
    jobs[J_SHAPE, job] = 0
    if jobs[J_LOCALITY, job] == LOCALITY_PREFERRED:
        return
    size = shapes.shape[0]
    at = _mix(c, job) % size
    while shapes[at] >= 0:
        if _same(c, shapes[at], job):
            jobs[J_SHAPE, job] = jobs[J_SHAPE, shapes[at]]
            return
        at = (at + 1) % size
    shapes[at] = job
    s[S_SHAPES] += 1
    jobs[J_SHAPE, job] = s[S_SHAPES]


@kernel
def spread_shapes(c: Columns, larger: np.ndarray) -> None:
    """Copy the table of shapes into a larger one, filled with -1."""
    size = larger.shape[0]
    for i in range(c.shapes.shape[0]):
        job = c.shapes[i]
        if job >= 0:
            at = _mix(c, job) % size
            while larger[at] >= 0:
                at = (at + 1) % size
            larger[at] = job
