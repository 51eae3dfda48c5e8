"""Strict EASY backfill: one reservation, for the head of the line; others must not delay it.

On whole-node gangs of one kind this is exactly the textbook's counter (see ``docs/engine.md``): the
head's reservation prefers nodes that are busy now, short jobs prefer reserved nodes, so that the
unreserved free nodes are always min(free, extra).
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.moves import bits
from dure.core.placement import is_plain, mask_on, place_in_group, shape_of, suits
from dure.core.starting import is_ready, start, start_in_order


@inner
def _expected_ends(c: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Return running jobs and their expected ends, earliest first; an overdue job ends in a
    second.
    """
    s, jobs = c.scalars, c.jobs
    count = s[S_RUNNING]
    running = np.sort(c.running[:count])
    ends = np.empty(count, dtype=np.int64)
    for i in range(count):
        job = running[i]
        estimate_s = jobs[J_ESTIMATE, job] if jobs[J_ESTIMATE, job] >= 0 else UNKNOWN_S
        ends[i] = max(jobs[J_STARTED, job] + estimate_s, s[S_NOW] + 1)
    order = np.argsort(ends, kind="mergesort")
    return running[order], ends[order]


@inner
def _shadow(c: Columns, head: int, group: int, running: np.ndarray, ends: np.ndarray) -> int:
    """Fill the shadow (devices free on each node when the head can start); return that moment, or
    -1.
    """
    shadow = c.scratch[X_SHADOW]
    need, each, extra = shape_of(c, head, c.groups[G_GPUS, group])
    need += 1 if extra > 0 else 0
    fitting = 0
    first, last = c.groups[G_FROM, group], c.groups[G_TO, group]
    shadow[: c.nodes.shape[1]] = 0
    for shelf in range(first, last):
        if suits(c, head, shelf):
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                shadow[node] = c.nodes[N_FREE, node]
                fitting += 1 if shadow[node] >= each else 0
    if fitting >= need:
        return int(c.scalars[S_NOW])
    for i in range(running.size):
        row = c.jobs[J_ROWS, running[i]]
        while row >= 0:
            node = c.rows[R_NODE, row]
            shelf = c.nodes[N_SHELF, node]
            if first <= shelf < last and suits(c, head, shelf):
                before = shadow[node]
                shadow[node] += bits(c.rows[R_MASK, row])
                fitting += 1 if before < each <= shadow[node] else 0
            row = c.rows[R_NEXT_OF_JOB, row]
        if fitting >= need:
            return int(ends[i])
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
def _pick_next(
    c: Columns, job: int, group: int, count: int, short: bool, reserved: bool, at: int
) -> bool:
    """Pick the first node with ``count`` devices of room that is not picked yet."""
    for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
        if not suits(c, job, shelf):
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if short and (c.scratch[X_RESERVED, node] > 0) != reserved:
                continue
            if c.scratch[X_NODE, node] == 0 and _room(c, node, short) >= count:
                c.picks[at, 0], c.picks[at, 2] = node, WHOLE
                c.picks[at, 1] = mask_on(c, job, node, count)
                c.scratch[X_NODE, node] = 1
                return True
    return False


@inner
def _pick_room(c: Columns, job: int, group: int, short: bool) -> int:
    """Pick nodes for a backfilled job, reserved ones first if it is short: how many, or 0."""
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    total = need + (1 if extra > 0 else 0)
    got = 0
    while got < total:
        count = each if got < need else extra
        found = short and _pick_next(c, job, group, count, short, True, got)
        if not found and not _pick_next(c, job, group, count, short, False, got):
            break
        got += 1
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
def _backfill(c: Columns, job: int, group: int, shadow_s: int) -> None:
    jobs = c.jobs
    estimate_s = jobs[J_ESTIMATE, job] if jobs[J_ESTIMATE, job] >= 0 else UNKNOWN_S + 1
    short = c.scalars[S_NOW] + estimate_s <= shadow_s
    simple = is_plain(c, job) and jobs[J_LOCALITY, job] == LOCALITY_ANY
    for other in range(c.groups.shape[1]):
        if not jobs[J_TYPES, job] >> c.groups[G_TYPE, other] & 1:
            continue
        # Another kind of node cannot delay the head.
        is_free = short or other != group
        if simple:
            count = _pick_room(c, job, other, is_free)
        else:
            count = place_in_group(c, job, other)
            if not is_free and not _leaves_room(c, count):
                continue
        if count > 0:
            start(c, job, OWN, count, 0)
            if not short:
                for i in range(count):
                    c.scratch[X_SHADOW, c.picks[i, 0]] -= bits(c.picks[i, 1])
            return


@inner
def start_easy(c: Columns) -> None:
    """Start in order; reserve for the first that does not fit; backfill behind it (policy easy)."""
    s = c.scalars
    head = start_in_order(c)
    if head < 0 or s[S_KIND + IDLE] == 0:
        return
    running, ends = _expected_ends(c)
    best_s, best_group = -1, -1
    for group in range(c.groups.shape[1]):
        if c.jobs[J_TYPES, head] >> c.groups[G_TYPE, group] & 1:
            shadow_s = _shadow(c, head, group, running, ends)
            if shadow_s >= 0 and (best_s < 0 or shadow_s < best_s):
                best_s, best_group = shadow_s, group
    if best_group < 0:
        # Nobody's end makes room for the head (nodes are down, say): nobody can delay it.
        best_s = FOREVER_S
        c.scratch[X_RESERVED, : c.nodes.shape[1]] = 0
    else:
        _shadow(c, head, best_group, running, ends)
        _reserve(c, head, best_group)
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        job = c.queue[i]
        if s[S_KIND + IDLE] == 0:
            return
        if job != head and c.jobs[J_STATE, job] == PENDING and is_ready(c, job):
            _backfill(c, job, best_group, best_s)
