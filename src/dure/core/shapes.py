"""Equal gangs share a shape: what failed for one in a pass need not be tried for the next.

Shape 0 is for jobs whose demand changes while they wait (preferred locality): never remembered. A
*family* is all plain gangs (whole devices, any locality, no segments, no form of their own but
whole nodes) for the same kinds of node: among them, what fails for a small gang fails for every
larger one. A *cohort* (``core.line``) is all gangs of a
shape that also have one owner and may run as the same classes.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner, kernel

# The columns that decide where a job fits.
_ASKED = np.array(
    [
        J_GPUS,
        J_SIZE,
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
        J_SEGMENT,
    ],
    dtype=np.int64,
)


# The columns that decide, besides its order, when a job's turn comes.
_ALIKE = np.array([J_SHAPE, J_OWNER, J_CLASS_ASKED, J_PREEMPTIBLE, J_ODD], dtype=np.int64)


@inner
def _mix(c: Columns, job: int, columns: np.ndarray) -> int:
    mixed = np.uint64(1469598103934665603)
    for column in columns:
        mixed ^= np.uint64(c.jobs[column, job] + 1)
        mixed *= np.uint64(1099511628211)
        mixed ^= mixed >> np.uint64(29)
    return int(np.int64(mixed >> np.uint64(1)))


@inner
def _same(c: Columns, a: int, b: int, columns: np.ndarray) -> bool:
    same = True
    for column in columns:
        same = same and c.jobs[column, a] == c.jobs[column, b]
    return same


@inner
def _place_in(c: Columns, table: np.ndarray, job: int, columns: np.ndarray) -> int:
    """Return where a job like this one stands in a table of examples, or the gap for it."""
    size = table.shape[0]
    at = _mix(c, job, columns) % size
    while table[at] >= 0 and not _same(c, table[at], job, columns):
        at = (at + 1) % size
    return int(at)


@inner
def _takes_whole_nodes(c: Columns, job: int) -> bool:
    """Tell whether a gang that says how it stands asks for whole nodes of every kind it accepts."""
    jobs = c.jobs
    each = jobs[J_GPN, job]
    if jobs[J_NODES, job] > 0:
        each = jobs[J_GPUS, job] // jobs[J_NODES, job]
        if each * jobs[J_NODES, job] != jobs[J_GPUS, job]:
            return False
    for group in range(c.groups.shape[1]):
        takes = jobs[J_TYPES, job] >> c.groups[G_TYPE, group] & 1
        if takes and (c.groups[G_GPUS, group] != each or jobs[J_SIZE, job] % each > 0):
            return False
    return True


@inner
def each_of(jobs: IntArray, job: int) -> int:
    """Return how many devices a gang takes on each of its nodes, 0 if it does not say."""
    if jobs[J_NODES, job] > 0:
        return int((jobs[J_GPUS, job] + jobs[J_NODES, job] - 1) // jobs[J_NODES, job])
    return int(max(0, jobs[J_GPN, job]))


@inner
def size_at_start(c: Columns, job: int) -> int:
    """Return the devices a gang needs to start: all, or its minimum if it can be resized.

    It can if it agrees to borrow what it has beyond the minimum and saves, so that a resize costs
    no work; its devices are whole, in no segments, and nothing else is limited with them.
    """
    jobs = c.jobs
    gpus, least, each = jobs[J_GPUS, job], jobs[J_MIN_GPUS, job], each_of(c.jobs, job)
    borrows = jobs[J_PREEMPTIBLE, job] == 1 and jobs[J_CLASS_ASKED, job] != 1 + OWN
    saves = jobs[J_CKPT_EVERY, job] > 0 or jobs[J_CKPT_TAKES, job] >= 0
    is_plain = jobs[J_MILLI, job] == WHOLE and jobs[J_CPU, job] == 0 and jobs[J_MEMORY, job] == 0
    is_plain = is_plain and jobs[J_SEGMENT, job] == 0
    lends = c.policy[P_POLICY] == DURE and c.policy[P_LEND] == 1
    if least <= 0 or not (lends and borrows and saves and is_plain):
        return int(gpus)
    if each > 0:
        if gpus % each > 0:
            return int(gpus)
        least = (least + each - 1) // each * each
    return int(min(gpus, least))


@inner
def _family(c: Columns, job: int) -> int:
    jobs, families, s = c.jobs, c.families, c.scalars
    if jobs[J_MILLI, job] != WHOLE or jobs[J_CPU, job] > 0 or jobs[J_MEMORY, job] > 0:
        return -1
    is_formed = jobs[J_NODES, job] > 0 or jobs[J_GPN, job] > 0
    if is_formed and (jobs[J_GPUS, job] <= 0 or not _takes_whole_nodes(c, job)):
        return -1
    if jobs[J_LOCALITY, job] != LOCALITY_ANY or jobs[J_SEGMENT, job] > 0:
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
    """Give a new job its shape, family and cohort; the tables have room (the caller of a cycle sees
    to that).
    """
    jobs, shapes, alike, s = c.jobs, c.shapes, c.alike, c.scalars
    is_vague = jobs[J_LOCALITY, job] == LOCALITY_PREFERRED
    jobs[J_SIZE, job] = size_at_start(c, job)
    if jobs[J_SIZE, job] < jobs[J_GPUS, job]:
        s[S_ELASTIC] += 1
    jobs[J_FAMILY, job], jobs[J_SHAPE, job] = _family(c, job), 0
    jobs[J_ODD, job] = 1 if is_vague or jobs[J_AFTER, job] != -1 else 0
    if not is_vague:
        at = _place_in(c, shapes, job, _ASKED)
        if shapes[at] < 0:
            shapes[at] = job
            s[S_SHAPES] += 1
            jobs[J_SHAPE, job] = s[S_SHAPES]
        else:
            jobs[J_SHAPE, job] = jobs[J_SHAPE, shapes[at]]
    at = _place_in(c, alike, job, _ALIKE)
    if alike[at] < 0:
        alike[at] = job
        s[S_COHORTS] += 1
        jobs[J_COHORT, job] = s[S_COHORTS]
    else:
        jobs[J_COHORT, job] = jobs[J_COHORT, alike[at]]


@kernel
def spread_examples(c: Columns, shapes: np.ndarray, alike: np.ndarray) -> None:
    """Copy the tables of shapes and of cohorts into others, filled with -1."""
    for i in range(c.shapes.shape[0]):
        if c.shapes[i] >= 0:
            shapes[_place_in(c, shapes, c.shapes[i], _ASKED)] = c.shapes[i]
    for i in range(c.alike.shape[0]):
        if c.alike[i] >= 0:
            alike[_place_in(c, alike, c.alike[i], _ALIKE)] = c.alike[i]
