"""Elastic gangs: what one may give up and still go on, and what it could take in addition.

An elastic gang starts with its size (``J_SIZE``, its minimum in its own shape) and takes up to all
its GPUs. One attempt has one set of devices, so a change of size ends it (cause ``resized``) and
opens the next at once. Of an own gang the size is own, always, and what it has beyond is on loan
(``R_LENT``): whoever is entitled may call that back, and only that. See docs/decisions/0008.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.moves import bits, stands_aside
from dure.core.nearness import nearest_with
from dure.core.placement import find_place, mask_on, widest_level
from dure.core.shapes import each_of


@inner
def is_elastic(jobs: IntArray, job: int) -> bool:
    """Tell whether a job may run with fewer devices than it asked for."""
    return bool(jobs[J_SIZE, job] < jobs[J_GPUS, job])


@inner
def is_told(jobs: IntArray, job: int) -> bool:
    """Tell whether a running job must leave devices; one that is only to grow need not."""
    return bool(jobs[J_STOP_AT, job] >= 0 and jobs[J_STOP_CAUSE, job] != BY_RESIZE)


@inner
def _called_on(c: Columns, node: int) -> int:
    """Return the devices of a node that claims hold, or that failed: nobody may stay on them."""
    first, mask = c.nodes[N_FIRST, node], 0
    for d in range(c.nodes[N_GPUS, node]):
        holder = c.devices[D_HOLD, first + d] - 1
        # A reservation waits until whoever stands there has ended.
        is_claimed = holder >= 0 and c.jobs[J_CLAIM_DUE, holder] < FOREVER_S
        if is_claimed or c.devices[D_DOWN, first + d] > 0:
            mask |= 1 << d
    return mask


@inner
def _kept_of(c: Columns, job: int, row: int) -> int:
    """Return which devices of a placement row the gang may keep; a part of its own shape is kept
    whole or not at all.
    """
    mask = c.rows[R_MASK, row]
    kept = mask & ~_called_on(c, c.rows[R_NODE, row])
    if kept != mask and each_of(c.jobs, job) > 0:
        return 0
    return int(kept)


@inner
def spare_devices(c: Columns, job: int) -> int:
    """Return how many devices nobody has called yet a gang has beyond its size; below 0 it cannot
    go on when the called ones go.
    """
    row, left = c.jobs[J_ROWS, job], -c.jobs[J_SIZE, job]
    while row >= 0:
        left += bits(_kept_of(c, job, row))
        row = c.rows[R_NEXT_OF_JOB, row]
    return int(left)


@inner
def goes_on(c: Columns, job: int) -> bool:
    """Tell whether a running gang goes on, smaller, when it leaves the devices called from it."""
    return is_elastic(c.jobs, job) and spare_devices(c, job) >= 0


@inner
def shed_on(c: Columns, job: int, row: int, given: int) -> int:
    """Return the devices of a placement row that a gang could give up and go on.

    Args:
        given: how many of its devices, on other nodes, are thought given up already.
    """
    if not is_elastic(c.jobs, job):
        return 0
    kept = _kept_of(c, job, row)
    if c.jobs[J_CLASS, job] == OWN:
        return int(kept & c.rows[R_LENT, row])
    spare = max(0, spare_devices(c, job) - given)
    if each_of(c.jobs, job) > 0:
        return int(kept) if bits(kept) <= spare else 0
    while bits(kept) > spare:
        kept &= kept - 1
    return int(kept)


@inner
def pick_kept(c: Columns, job: int) -> int:
    """Fill ``picks`` with what a running gang keeps, in the order it was placed; return how many
    rows.
    """
    count, row = 0, c.jobs[J_ROWS, job]
    while row >= 0:
        kept = _kept_of(c, job, row)
        if kept:
            c.picks[count, 0], c.picks[count, 1] = c.rows[R_NODE, row], kept
            c.picks[count, 2] = c.jobs[J_MILLI, job]
            count += 1
        row = c.rows[R_NEXT_OF_JOB, row]
    for i in range(count // 2):
        for k in range(3):
            other = c.picks[count - 1 - i, k]
            c.picks[count - 1 - i, k], c.picks[i, k] = c.picks[i, k], other
    return count


@inner
def idle_beyond_need(c: Columns, job: int) -> int:
    """Return the idle devices that are left when everyone who waits, the job too, has its size."""
    s, left = c.scalars, c.scalars[S_KIND + IDLE]
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        other = c.queue[i]
        if c.jobs[J_STATE, other] == PENDING and c.jobs[J_CLAIM_DUE, other] < 0:
            left -= c.jobs[J_SIZE, other] * c.jobs[J_MILLI, other]
        if left <= 0:
            return 0
    return int(left // WHOLE)


@inner
def _idle_on(c: Columns, node: int, but: int, most: int) -> int:
    """Return up to ``most`` devices of a node that anyone could use, the lowest, ``but`` these."""
    devices, first, mask = c.devices, c.nodes[N_FIRST, node], 0
    if c.nodes[N_CORDONED, node] > 0 or stands_aside(c, node):
        return 0
    for d in range(c.nodes[N_GPUS, node]):
        i = first + d
        is_free = devices[D_FREE, i] == WHOLE and devices[D_DOWN, i] == 0
        is_open = devices[D_HOLD, i] == 0 and devices[D_CLEANING, i] != 1
        if most > 0 and is_free and is_open and not but >> d & 1:
            mask |= 1 << d
            most -= 1
    return mask


@inner
def extend(c: Columns, job: int, count: int, most: int) -> int:
    """Add up to ``most`` idle devices to the ``count`` rows of ``picks`` that a gang has, up to all
    it asked for.

    First on its own nodes, then whole nodes (parts of its own shape), the nearest first, then a
    remainder.

    Returns:
        How many rows there are now.
    """
    want, each, home = c.jobs[J_GPUS, job], each_of(c.jobs, job), c.picks[0, 0]
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, size = c.memo[M_STAMP, STAMP_MARKS], c.nodes[N_GPUS, home]
    for i in range(count):
        c.scratch[X_NODE, c.picks[i, 0]] = stamp
        want -= bits(c.picks[i, 1])
    want = min(want, most)
    is_free_form = each == 0
    if is_free_form:
        each = size
        for i in range(count):
            more = _idle_on(c, c.picks[i, 0], c.picks[i, 1], want)
            c.picks[i, 1] |= more
            want -= bits(more)
        if c.jobs[J_GPUS, job] <= size:
            return count
    widest = widest_level(c, job)
    while want > 0:
        part = min(each, want)
        if part < each and not is_free_form:
            return count
        node = nearest_with(c, job, home, part, widest, stamp)
        if node < 0:
            return count
        c.scratch[X_NODE, node] = stamp
        c.picks[count, 0], c.picks[count, 1] = node, mask_on(c, job, node, part)
        c.picks[count, 2] = c.jobs[J_MILLI, job]
        count, want = count + 1, want - part
    return count


@inner
def place_larger(c: Columns, job: int, types: int, most: int) -> int:
    """Find a place for an elastic gang with up to ``most`` devices more than its size; return how
    many rows of ``picks``.
    """
    jobs, size, each = c.jobs, c.jobs[J_SIZE, job], each_of(c.jobs, job)
    want = min(jobs[J_GPUS, job], size + most)
    if each > 0:
        want -= want % each
    if want == size:
        return 0
    jobs[J_SIZE, job] = want
    count = find_place(c, job, types)
    jobs[J_SIZE, job] = size
    return int(count)


@inner
def move_to_more(c: Columns, job: int, least: int) -> bool:
    """Fill ``picks`` with another node on which a gang of one node would have more than ``least``
    devices, the most first, the nearest first; tell whether there is one.
    """
    home, want = c.picks[0, 0], c.jobs[J_GPUS, job]
    if want > c.nodes[N_GPUS, home] or each_of(c.jobs, job) > 0:
        return False
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp = c.memo[M_STAMP, STAMP_MARKS]
    c.scratch[X_NODE, home] = stamp
    while want > least:
        node = nearest_with(c, job, home, want, AT_ANY, stamp)
        if node >= 0:
            c.picks[0, 0], c.picks[0, 1] = node, mask_on(c, job, node, want)
            c.picks[0, 2] = c.jobs[J_MILLI, job]
            return True
        want -= 1
    return False


@inner
def picked(c: Columns, count: int) -> int:
    """Return how many devices ``count`` rows of ``picks`` name."""
    devices = 0
    for i in range(count):
        devices += bits(c.picks[i, 1])
    return devices
