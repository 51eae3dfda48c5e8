"""Strict EASY backfill: one reservation, for the head of the line; others must not delay it.

On whole-node gangs of one kind this is exactly the textbook's counter (see ``docs/engine.md``): the
head's reservation prefers nodes that are busy now, short jobs prefer reserved nodes, so that the
unreserved free nodes are always min(free, extra).
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.line import first_of, first_within, limit_of, next_of, replace_head
from dure.core.moves import bits
from dure.core.pace import next_choice, run_s_of
from dure.core.pairs import sink_pair
from dure.core.placement import is_plain, mask_on, place_in_group, shape_of, suits
from dure.core.starting import (
    failed_already,
    is_ready,
    open_hopeful,
    remember_failure,
    start,
    start_in_order,
)


@inner
def _end_s(c: Columns, job: int) -> int:
    """Return when a running job is expected to end; an overdue one ends in a second."""
    jobs = c.jobs
    estimate_s = jobs[J_ESTIMATE, job] if jobs[J_ESTIMATE, job] >= 0 else UNKNOWN_S
    return int(max(jobs[J_STARTED, job] + run_s_of(c, job, estimate_s), c.scalars[S_NOW] + 1))


@inner
def _free_for(c: Columns, head: int, group: int, each: int) -> int:
    """Write how many devices of each node are free to the shadow; return how many nodes suffice."""
    shadow, fitting = c.scratch[X_SHADOW], 0
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        is_suited = suits(c, head, shelf)
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            shadow[node] = c.nodes[N_FREE, node] if is_suited else 0
            fitting += 1 if shadow[node] >= each else 0
    return fitting


@inner
def _shadow(c: Columns, head: int, group: int) -> int:
    """Fill the shadow (devices free on each node when the head can start); return that moment, or
    -1.
    """
    shadow = c.scratch[X_SHADOW]
    need, each, extra = shape_of(c, head, c.groups[G_GPUS, group])
    need += 1 if extra > 0 else 0
    first, last = c.groups[G_FROM, group], c.groups[G_TO, group]
    fitting = _free_for(c, head, group, each)
    if fitting >= need:
        return int(c.scalars[S_NOW])
    count = c.scalars[S_RUNNING]
    running, ends = c.running[:count].copy(), np.empty(count, dtype=np.int64)
    for i in range(count):
        ends[i] = _end_s(c, running[i])
    for at in range(count // 2 - 1, -1, -1):
        sink_pair(ends, running, at, count)
    while count > 0:
        row = c.jobs[J_ROWS, running[0]]
        while row >= 0:
            node = c.rows[R_NODE, row]
            shelf = c.nodes[N_SHELF, node]
            if first <= shelf < last and suits(c, head, shelf):
                before = shadow[node]
                shadow[node] += bits(c.rows[R_MASK, row])
                fitting += 1 if before < each <= shadow[node] else 0
            row = c.rows[R_NEXT_OF_JOB, row]
        if fitting >= need:
            return int(ends[0])
        count -= 1
        ends[0], running[0] = ends[count], running[count]
        sink_pair(ends, running, 0, count)
    return -1


@inner
def _reserve(c: Columns, head: int, group: int) -> None:
    """Reserve the head's nodes in the shadow, those that are busy now first."""
    shadow, reserved = c.scratch[X_SHADOW], c.scratch[X_RESERVED]
    need, each, extra = shape_of(c, head, c.groups[G_GPUS, group])
    need += 1 if extra > 0 else 0
    reserved[: c.nodes.shape[1]] = 0
    first = c.shelves[H_FROM, c.groups[G_FROM, group]]
    last = c.shelves[H_TO, c.groups[G_TO, group] - 1]
    for busy in (1, 0):
        for node in range(first, last):
            is_busy = c.nodes[N_FREE, node] < each
            if need > 0 and shadow[node] >= each and is_busy == (busy == 1) and reserved[node] == 0:
                reserved[node] = each
                need -= 1


@inner
def _room(c: Columns, node: int, short: bool) -> int:
    free = c.nodes[N_FREE, node]
    if short:
        return int(free)
    return int(min(free, c.scratch[X_SHADOW, node] - c.scratch[X_RESERVED, node]))


@inner
def _pick_pass(
    c: Columns, job: int, group: int, devices: int, short: bool, reserved: bool, at: int, to: int
) -> int:
    """Pick nodes with room for ``devices`` that are not picked yet, in order; return how many now.

    Args:
        reserved: whether a short job takes reserved nodes in this pass, or the others.
        at: how many are picked already.
        to: how many are wanted in all.
    """
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        if not suits(c, job, shelf):
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if at == to:
                return at
            if c.nodes[N_FREE, node] < devices:
                continue
            if short and (c.scratch[X_RESERVED, node] > 0) != reserved:
                continue
            if c.scratch[X_NODE, node] == 0 and _room(c, node, short) >= devices:
                c.picks[at, 0], c.picks[at, 2] = node, WHOLE
                c.picks[at, 1] = mask_on(c, job, node, devices)
                c.scratch[X_NODE, node] = 1
                at += 1
    return at


@inner
def _pick_room(c: Columns, job: int, group: int, short: bool) -> int:
    """Pick nodes for a backfilled job, reserved ones first if it is short: how many, or 0."""
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    got, total = 0, need + (1 if extra > 0 else 0)
    for devices, upto in ((each, need), (extra, total)):
        if short and got < upto:
            got = _pick_pass(c, job, group, devices, True, True, got, upto)
        if got < upto:
            got = _pick_pass(c, job, group, devices, short, False, got, upto)
        if got < upto:
            break
    for i in range(got):
        c.scratch[X_NODE, c.picks[i, 0]] = 0
    return got if got == total else 0


@inner
def _leaves_room(c: Columns, count: int) -> bool:
    """Tell whether the picks leave the head's reservation alone."""
    for i in range(count):
        node, whole = c.picks[i, 0], 0
        for d in range(c.nodes[N_GPUS, node]):
            is_whole = c.devices[D_FREE, c.nodes[N_FIRST, node] + d] == WHOLE
            whole += 1 if is_whole and c.picks[i, 1] >> d & 1 else 0
        if whole > _room(c, node, False):
            return False
    return True


@inner
def _backfill(c: Columns, job: int, group: int, shadow_s: int) -> bool:
    """Start a job where it does not delay the head; tell whether it could."""
    jobs = c.jobs
    short = c.scalars[S_NOW] + limit_of(c, job) <= shadow_s
    simple = (
        is_plain(c, job) and jobs[J_LOCALITY, job] == LOCALITY_ANY and jobs[J_SEGMENT, job] == 0
    )
    other = next_choice(c, job, jobs[J_TYPES, job], -1)
    while other >= 0:
        # Another kind of node cannot delay the head.
        is_free = short or other != group
        if simple:
            count = _pick_room(c, job, other, is_free)
        else:
            count = place_in_group(c, job, other)
            if not is_free and not _leaves_room(c, count):
                count = 0
        if count > 0:
            start(c, job, OWN, count, 0)
            if not short:
                for i in range(count):
                    c.scratch[X_SHADOW, c.picks[i, 0]] -= bits(c.picks[i, 1])
            return True
        other = next_choice(c, job, jobs[J_TYPES, job], other)
    return False


@inner
def _backfill_line(c: Columns, head: int, group: int, shadow_s: int) -> None:
    """Go through the line behind its head: of each cohort the first, and once that would delay the
    head, the first that is short enough not to.
    """
    s, memo, within_s = c.scalars, c.memo, shadow_s - c.scalars[S_NOW]
    memo[M_STAMP, STAMP_LAST] += 1
    stamp = memo[M_STAMP, STAMP_LAST]
    memo[M_LEAST_LONG, :FAMILIES] = 1 << 60
    open_hopeful(c)
    while c.heads[0] > 0 and s[S_KIND + IDLE] > 0:
        job = c.heads[1]
        cohort, family = c.jobs[J_COHORT, job], c.jobs[J_FAMILY, job]
        is_long = limit_of(c, job) > within_s
        if c.jobs[J_ODD, job] == 1:
            following = next_of(c, job)
            if job != head and is_ready(c, job):
                _backfill(c, job, group, shadow_s)
            replace_head(c, following)
        elif job == head or failed_already(c.jobs, c.memo, job):
            replace_head(c, -1)
        elif is_long and family >= 0 and c.jobs[J_GPUS, job] >= memo[M_LEAST_LONG, family]:
            c.cohorts[cohort, C_STAMP] = stamp
            replace_head(c, first_within(c, cohort, within_s))
        elif _backfill(c, job, group, shadow_s):
            if c.cohorts[cohort, C_STAMP] == stamp:
                replace_head(c, first_within(c, cohort, within_s))
            else:
                replace_head(c, first_of(c, cohort))
        elif not is_long:
            remember_failure(c, job)
            replace_head(c, -1)
        else:
            if family >= 0:
                memo[M_LEAST_LONG, family] = min(memo[M_LEAST_LONG, family], c.jobs[J_GPUS, job])
            c.cohorts[cohort, C_STAMP] = stamp
            replace_head(c, first_within(c, cohort, within_s))


@inner
def soonest(c: Columns, head: int) -> tuple[int, int]:
    """Return when the head of the line can start, and on which kind of node (whose shadow is left
    in scratch); -1 and -1 if nobody's end makes room for it.
    """
    best_s, best_group, last_group = -1, -1, -1
    for group in range(c.groups.shape[1]):
        if c.jobs[J_TYPES, head] >> c.groups[G_TYPE, group] & 1:
            shadow_s, last_group = _shadow(c, head, group), group
            if shadow_s >= 0 and (best_s < 0 or shadow_s < best_s):
                best_s, best_group = shadow_s, group
    if best_group >= 0 and last_group != best_group:
        _shadow(c, head, best_group)
    return best_s, best_group


@inner
def start_easy(c: Columns) -> None:
    """Start in order; reserve for the first that does not fit; backfill behind it (policy easy)."""
    s = c.scalars
    head = start_in_order(c)
    if head < 0 or s[S_KIND + IDLE] == 0:
        return
    best_s, best_group = soonest(c, head)
    if best_group < 0:
        # Nobody's end makes room for the head (nodes are down, say): nobody can delay it.
        best_s = FOREVER_S
        c.scratch[X_RESERVED, : c.nodes.shape[1]] = 0
    else:
        _reserve(c, head, best_group)
    _backfill_line(c, head, best_group, best_s)
