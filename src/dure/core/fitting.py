"""Whether a gang fits, now or ever, without choosing where: it stops at the first room it sees."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.moves import share_of
from dure.core.placement import domain_of, is_plain, shape_of, slots, span_of, suits, widest_level


@inner
def _nodes_on(c: Columns, job: int, shelf: int, each: int, enough: int) -> int:
    """Count a shelf's nodes with ``each`` usable devices for the job, up to ``enough`` or more."""
    count = 0
    if is_plain(c, job):
        for k in range(each, c.shelves[H_GPUS, shelf] + 1):
            count += c.hist[shelf, k]
        return int(count)
    for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
        if slots(c, job, node) >= each:
            count += 1
            if count == enough:
                break
    return count


@inner
def _has_room(c: Columns, job: int, group: int) -> bool:
    """Tell whether ``place_in_group`` would find a place."""
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    if each > c.groups[G_GPUS, group]:
        return False
    widest, span = widest_level(c, job), span_of(c, job, each)
    if need == 1 and extra == 0:
        widest, span = AT_ANY, 1
    if widest == AT_NODE or span == 0:
        return False
    domain, fit, rest, total = -1, 0, 0, need + (1 if extra > 0 else 0)
    # The shelves of a domain stand side by side, at every level.
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        if domain_of(c, shelf, widest) != domain:
            domain, fit, rest = domain_of(c, shelf, widest), 0, 0
        if not suits(c, job, shelf):
            continue
        fit += _nodes_on(c, job, shelf, each, total) // span
        rest += _nodes_on(c, job, shelf, extra, total) if extra > 0 else 0
        if fit >= need // span and (extra == 0 or rest >= total):
            return True
    return False


@inner
def fits_now(c: Columns, job: int, types: int) -> bool:
    """Tell whether ``find_place`` would find a place."""
    for group in range(c.groups.shape[1]):
        if types >> c.groups[G_TYPE, group] & 1 and _has_room(c, job, group):
            return True
    return False


@inner
def _could_hold(c: Columns, job: int, shelf: int, each: int) -> int:
    """Count a shelf's nodes that would take ``each`` devices of the job, were they empty."""
    jobs, nodes, count = c.jobs, c.nodes, 0
    gpus = jobs[J_GPUS, job]
    for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
        cpu, memory = nodes[N_CPU, node], nodes[N_MEMORY, node]
        if cpu > 0 and share_of(jobs[J_CPU, job], each, gpus) > cpu:
            continue
        if memory > 0 and share_of(jobs[J_MEMORY, job], each, gpus) > memory:
            continue
        count += 1
    return count


@inner
def could_ever_fit(c: Columns, job: int) -> bool:
    """Tell whether the job would fit on the whole pool, empty and healthy."""
    for group in range(c.groups.shape[1]):
        if not c.jobs[J_TYPES, job] >> c.groups[G_TYPE, group] & 1:
            continue
        need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
        if each > c.groups[G_GPUS, group]:
            continue
        widest, span = AT_ANY, span_of(c, job, each)
        if c.jobs[J_LOCALITY, job] == LOCALITY_REQUIRED:
            widest = int(c.jobs[J_LEVEL, job])
        if span == 0 or (widest == AT_NODE and (need > 1 or extra > 0)):
            continue
        sums = c.scratch[X_DOMAIN]
        sums[:] = 0
        level = max(widest, AT_LEAF)
        for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
            if suits(c, job, shelf):
                sums[domain_of(c, shelf, level)] += _could_hold(c, job, shelf, each) // span
        if sums.max() >= need // span + (1 if extra > 0 else 0):
            return True
    return False
