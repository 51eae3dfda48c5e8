"""A gang that has waited long enough and may not stand anywhere, or draws on its own entitlement,
holds nodes before they are free, so that nobody passes it for ever. (Who may have any nodes of the
pool gets a date instead: ``core.dating``.)

Its *reservation* is a claim without borrowers: of the narrowest domain that is ready soonest by
what the gangs there declared, it holds the nodes; each is kept as its last gang ends. Meanwhile
gangs whose declared limit ends before the last of these nodes is ready may run on the others.
"""

import numpy as np

from dure.core.bookings import nodes_of
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.entitled import entitled_types, has_begun, is_covered, start_as, start_own
from dure.core.facts import emit
from dure.core.kernel import inner
from dure.core.lending import claim, end_claim
from dure.core.line import first_of, first_within, order_heads, replace_head
from dure.core.moves import refresh_node, stands_aside
from dure.core.pace import ends_by_word_s
from dure.core.placement import (
    domain_of,
    find_own_place,
    is_plain,
    seek_own,
    shape_of,
    suits,
    widest_level,
)
from dure.core.profile import can_spare, keep_dates, may_take_s
from dure.core.starting import is_hopeful, new_stamp, start
from dure.core.turns import is_lendable


@inner
def reserved_for(c: Columns) -> int:
    """Return the gang that has the reservation, or -1."""
    for i in range(c.scalars[S_CLAIMS]):
        if c.jobs[J_CLAIM_DUE, c.claims[i, 0]] == FOREVER_S:
            return int(c.claims[i, 0])
    return -1


@inner
def is_datable(c: Columns, job: int) -> bool:
    """Tell whether any nodes of a kind would do for a gang that draws on the whole pool."""
    jobs = c.jobs
    if c.accounts[A_KIND, jobs[J_OWNER, job]] != ACCOUNT_POOL or jobs[J_GRADE, job] > 0:
        return False
    if not is_plain(c, job) or jobs[J_CLASS_ASKED, job] > 1 + OWN or jobs[J_SEGMENT, job] > 0:
        return False
    return bool(jobs[J_CLAIM_DUE, job] < 0 and widest_level(c, job) == AT_ANY)


@inner
def longest_waiting(c: Columns) -> int:
    """Return the entitled gang without hope of a date that waits longest beyond its patience, or
    -1.
    """
    oldest, since_s = -1, c.scalars[S_NOW] - c.policy[P_RESERVE_S]
    for i in range(c.scalars[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        if cohort[C_FLAGS] & IS_ODD or not is_covered(cohort, c.rights):
            continue
        job = first_of(c, c.standing[i])
        waits_s = c.jobs[J_SUBMIT, job]
        if waits_s > since_s or c.jobs[J_CLAIM_DUE, job] >= 0 or not is_plain(c, job):
            continue
        if is_datable(c, job) or c.jobs[J_SEGMENT, job] > 0:
            continue
        is_older = oldest < 0 or waits_s < c.jobs[J_SUBMIT, oldest]
        if is_older or (waits_s == c.jobs[J_SUBMIT, oldest] and job < oldest):
            oldest = job
    return oldest


@inner
def _ready_s(c: Columns, node: int, each: int) -> int:
    """Return when a node has ``each`` devices by what its gangs declared, or ``FOREVER_S``."""
    now_s, devices, first = c.scalars[S_NOW], c.devices, c.nodes[N_FIRST, node]
    if c.nodes[N_FREE, node] >= each:
        return int(now_s)
    is_closed = c.nodes[N_CORDONED, node] > 0 or stands_aside(c, node)
    if is_closed or c.nodes[N_HELD, node] > 0:
        return FOREVER_S
    healthy = 0
    for d in range(first, first + c.nodes[N_GPUS, node]):
        healthy += 1 if devices[D_DOWN, d] == 0 else 0
    if healthy < each:
        return FOREVER_S
    ready_s, row = now_s + c.policy[P_CLEANING_S], c.nodes[N_ROWS, node]
    while row >= 0:
        job = c.rows[R_JOB, row]
        # What is lent comes back by a claim; it is nothing to wait for.
        if c.jobs[J_CLASS, job] != OWN:
            return FOREVER_S
        ready_s = max(ready_s, ends_by_word_s(c, job))
        row = c.rows[R_NEXT_OF_NODE, row]
    return int(ready_s)


@inner
def _best_domain(
    c: Columns, job: int, group: int, total: int, ready: np.ndarray
) -> tuple[int, int, int]:
    """Return (when, level, domain) of the narrowest domain that is ready soonest, or -1."""
    best_s, best_level, best_domain = -1, -1, -1
    first, last = c.groups[G_FROM, group], c.groups[G_TO, group]
    spread = total > 1
    for level in range(AT_LEAF, (widest_level(c, job) if spread else AT_ANY) + 1):
        seen = -1
        for shelf_from in range(first, last):
            domain = domain_of(c, shelf_from, level)
            if domain == seen:
                continue
            seen, found, count = domain, np.empty(ready.size, dtype=np.int64), 0
            for shelf in range(shelf_from, last):
                if domain_of(c, shelf, level) != domain or not suits(c, job, shelf):
                    continue
                for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                    if ready[node] < FOREVER_S:
                        found[count] = ready[node]
                        count += 1
            if count >= total:
                at_s = np.sort(found[:count])[total - 1]
                if best_s < 0 or at_s < best_s:
                    best_s, best_level, best_domain = at_s, level, domain
            if level == AT_ANY:
                break
    return best_s, best_level, best_domain


@inner
def _mask_of(c: Columns, node: int, count: int) -> int:
    """Choose healthy devices of a node, free ones first."""
    first, mask, left = c.nodes[N_FIRST, node], 0, count
    for wants_free in (1, 0):
        for d in range(c.nodes[N_GPUS, node]):
            i = first + d
            is_free = c.devices[D_FREE, i] == WHOLE and c.devices[D_CLEANING, i] == 0
            if left > 0 and c.devices[D_DOWN, i] == 0 and is_free == (wants_free == 1):
                mask |= 1 << d
                left -= 1
    return mask


@inner
def _reserve(c: Columns, job: int, types: int) -> bool:
    """Hold nodes for a gang in the first kind of node that will ever have room, if every date can
    do without them.
    """
    for group in range(c.groups.shape[1]):
        need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
        total = need + (1 if extra > 0 else 0)
        if not types >> c.groups[G_TYPE, group] & 1 or each > c.groups[G_GPUS, group]:
            continue
        ready = np.full(c.nodes.shape[1], FOREVER_S)
        for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                ready[node] = _ready_s(c, node, each)
        at_s, level, domain = _best_domain(c, job, group, total, ready)
        if at_s < 0:
            continue
        # The last ones to be ready first: a node that stands idle for it longest costs most.
        order, got = np.argsort(-ready, kind="mergesort"), 0
        chosen = np.empty(total, dtype=np.int64)
        for node in order:
            shelf = c.nodes[N_SHELF, node]
            if got == total or ready[node] > at_s or not suits(c, job, shelf):
                continue
            in_group = c.groups[G_FROM, group] <= shelf < c.groups[G_TO, group]
            if in_group and domain_of(c, shelf, level) == domain:
                chosen[got] = node
                got += 1
        if not can_spare(c, group, chosen):
            return False
        emit(c, K_CLAIMED, job, FOREVER_S, 0, 0, 0, 0)
        for i in range(total):
            mask = _mask_of(c, chosen[i], each if i < need else extra)
            emit(c, K_HELD, job, chosen[i], mask, 0, 0, 0)
        return True
    return False


@inner
def reserve_for_longest(c: Columns) -> None:
    """Start whoever's patience is out, by a claim if need be; the first who cannot gets the
    reservation, unless another has it.
    """
    if c.policy[P_RESERVE_S] == 0 or c.scalars[S_FREED] == 0:
        return
    if reserved_for(c) >= 0:
        return
    job = longest_waiting(c)
    while job >= 0:
        types = entitled_types(c, job)
        if not start_own(c, job, types) and not claim(c, job, types, 0):
            seek_own(c, True)
            _reserve(c, job, types)
            seek_own(c, False)
            return
        job = longest_waiting(c)


# --- who may run on what is held, until the last of it is there ----------------------------------
@inner
def _show_held(c: Columns, job: int, nodes: np.ndarray, masks: np.ndarray, shown: int) -> None:
    before, after = (job + 1, 0) if shown == 1 else (0, job + 1)
    for i in range(nodes.size):
        first = c.nodes[N_FIRST, nodes[i]]
        for d in range(c.nodes[N_GPUS, nodes[i]]):
            if masks[i] >> d & 1 and c.devices[D_HOLD, first + d] == before:
                c.devices[D_HOLD, first + d] = after
        refresh_node(c, nodes[i])


@inner
def _free_and_ready(c: Columns, job: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the nodes held for a gang, which of its devices there are free, and when all are."""
    count, ready_s = 0, c.scalars[S_NOW]
    nodes = np.empty(c.nodes.shape[1], dtype=np.int64)
    masks = np.empty(c.nodes.shape[1], dtype=np.int64)
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_HELD, node] == 0:
            continue
        first, held, free = c.nodes[N_FIRST, node], 0, 0
        for d in range(c.nodes[N_GPUS, node]):
            if c.devices[D_HOLD, first + d] == job + 1:
                held |= 1 << d
                is_clean = c.devices[D_CLEANING, first + d] == 0
                if is_clean and c.devices[D_FREE, first + d] == WHOLE:
                    free |= 1 << d
        row = c.nodes[N_ROWS, node]
        while row >= 0:
            if c.rows[R_MASK, row] & held:
                ready_s = max(ready_s, ends_by_word_s(c, c.rows[R_JOB, row]))
            row = c.rows[R_NEXT_OF_NODE, row]
        if free:
            nodes[count], masks[count] = node, free
            count += 1
    return nodes[:count], masks[:count], ready_s


@inner
def start_reserved(c: Columns) -> None:
    """Start the gang with the reservation as soon as what is held and what is idle are enough."""
    s = c.scalars
    job = reserved_for(c) if s[S_FREED] > 0 else -1
    milli = c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]
    if job < 0 or s[S_KIND + IDLE] == 0 or s[S_KIND + IDLE] + s[S_KIND + RESERVED] < milli:
        return
    freed, held_type = s[S_FREED], 0
    for i in range(s[S_CLAIMS]):
        if c.claims[i, 0] == job:
            held_type = c.claims[i, 1]
    if not has_begun(c, job, held_type):
        return
    nodes, masks, _ = _free_and_ready(c, job)
    _show_held(c, job, nodes, masks, 1)
    count = find_own_place(c, job, c.jobs[J_TYPES, job] & (1 << held_type))
    _show_held(c, job, nodes, masks, 2)
    s[S_FREED] = freed
    if count > 0 and keep_dates(c, job, count):
        start(c, job, OWN, count, 1)
        end_claim(c, job, CLAIM_ELSEWHERE)


@inner
def _first_short(c: Columns, cohort: int, within_s: int) -> int:
    """Return a cohort's first gang that ends soon enough and before it is in a date's way, or
    -1.
    """
    may_s = within_s
    if c.scalars[S_BOOKED] > 0:
        may_s, example = -1, first_of(c, cohort)
        for group in range(c.groups.shape[1]):
            if c.cohorts[cohort, C_TYPES] >> c.groups[G_TYPE, group] & 1:
                most_s = may_take_s(c, group, nodes_of(c, example, group))
                may_s = max(may_s, min(within_s, most_s - c.policy[P_CLEANING_S]))
    return first_within(c, cohort, may_s)


@inner
def start_short(c: Columns, within_s: int) -> None:
    """Start whoever may, fits and is short enough, in the line's order."""
    jobs, heads, count = c.jobs, c.heads, 0
    for i in range(c.scalars[S_STANDING]):
        cohort = c.cohorts[c.standing[i]]
        may = cohort[C_FLAGS] & MAY_BORROW > 0 and c.policy[P_LEND] > 0
        if cohort[C_FLAGS] & IS_ODD or not is_hopeful(cohort, c.memo):
            continue
        if cohort[C_MILLI] <= c.scalars[S_KIND + IDLE] and (may or is_covered(cohort, c.rights)):
            job = _first_short(c, c.standing[i], within_s)
            if job >= 0:
                count += 1
                heads[count] = job
    order_heads(c, count)
    while heads[0] > 0 and c.scalars[S_KIND + IDLE] > 0:
        job = heads[1]
        cohort, started = jobs[J_COHORT, job], False
        if jobs[J_CLAIM_DUE, job] < 0:
            types = entitled_types(c, job)
            started = types != 0 and start_own(c, job, types)
            if not started and c.policy[P_LEND] > 0 and is_lendable(jobs, job, c.scalars[S_NOW]):
                started = start_as(c, job, LOAN)
        goes_on = started and c.cohorts[cohort, C_ROOT] > 0
        replace_head(c, _first_short(c, cohort, within_s) if goes_on else -1)


@inner
def fill_reserved(c: Columns) -> None:
    """Let short gangs run on what is held for the reservation and stands idle."""
    s = c.scalars
    job = reserved_for(c) if s[S_KIND + RESERVED] > 0 and s[S_STANDING] > 1 else -1
    if job < 0:
        return
    nodes, masks, ready_s = _free_and_ready(c, job)
    within_s = ready_s - s[S_NOW] - c.policy[P_CLEANING_S]
    if nodes.size == 0 or within_s <= 0:
        return
    freed, stamp = s[S_FREED], c.memo[M_STAMP, STAMP_PASS]
    least = c.memo[M_LEAST, :FAMILIES].copy()
    _show_held(c, job, nodes, masks, 1)
    new_stamp(c)
    c.memo[M_LEAST, :FAMILIES] = 1 << 60
    start_short(c, within_s)
    _show_held(c, job, nodes, masks, 2)
    c.memo[M_STAMP, STAMP_PASS], s[S_FREED] = stamp, freed
    c.memo[M_LEAST, :FAMILIES] = least
