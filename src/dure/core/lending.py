"""Reclaim: an owner's gang names the GPUs that come back to it, and their borrowers get notice.

A claim holds concrete devices from the moment it is made. Each borrower on them leaves by itself
(its work ended), at its next checkpoint, on notice, or at once, whichever loses least and still
lets the claimant start within the promise. So a claim that was made is always served in time,
unless one
of its nodes fails; then it is made anew.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.facts import emit
from dure.core.kernel import inner, inner_of_ints
from dure.core.moves import bits
from dure.core.placement import domain_of, find_place, shape_of, suits, widest_level
from dure.core.starting import start


@inner
def leave_by(c: Columns, asked_at_s: int) -> int:
    """Return the last moment at which a borrower may stop for a claim asked at ``asked_at_s``."""
    p = c.policy
    return int(asked_at_s + p[P_RETURN_S] - p[P_DRAIN_S] - p[P_CLEANING_S] - p[P_START_S])


@inner
def last_checkpoint(c: Columns, job: int, at_s: int) -> int:
    """Return when the running job last had all its work saved; its start of running if never."""
    every_s, since_s = c.jobs[J_CKPT_EVERY, job], c.jobs[J_RUN_SINCE, job]
    if every_s <= 0:
        return int(since_s)
    return int(since_s + (at_s - since_s) // every_s * every_s)


@inner
def way_out(c: Columns, job: int, latest_s: int) -> tuple[int, int, int]:
    """Choose how a borrower leaves by ``latest_s``: (stop_at_s, 1 if it saves, price in milli-s).

    The price is the work that is lost, and more for each time it was reclaimed before.
    """
    now_s, jobs = c.scalars[S_NOW], c.jobs
    dearer = c.policy[P_DEARER_S] * jobs[J_RECLAIMS, job] * jobs[J_USED, job]
    if jobs[J_STOP_AT, job] >= 0:
        return int(jobs[J_STOP_AT, job]), int(jobs[J_STOP_SAVES, job]), 0
    takes_s, every_s = jobs[J_CKPT_TAKES, job], jobs[J_CKPT_EVERY, job]
    if takes_s >= 0 and now_s + takes_s <= latest_s:
        return int(now_s + takes_s), 1, int(dearer)
    saved_at_s = last_checkpoint(c, job, now_s)
    if every_s > 0:
        next_s = saved_at_s if saved_at_s == now_s else saved_at_s + every_s
        if next_s <= latest_s:
            return int(next_s), 1, int(dearer)
    return int(now_s), 0, int(dearer + (now_s - saved_at_s) * jobs[J_USED, job])


@inner
def _may_leave(c: Columns, job: int, latest_s: int) -> bool:
    """Tell whether a job is a borrower that can be gone by ``latest_s``."""
    jobs = c.jobs
    if jobs[J_STATE, job] != RUNNING or jobs[J_CLASS, job] == OWN:
        return False
    return bool(jobs[J_STOP_AT, job] < 0 or jobs[J_STOP_AT, job] <= latest_s)


@inner
def _open_devices(c: Columns, node: int) -> int:
    """Return the mask of devices that are healthy, unheld and empty (being cleaned counts)."""
    devices, first, mask = c.devices, c.nodes[N_FIRST, node], 0
    if c.nodes[N_CORDONED, node] > 0:
        return 0
    for d in range(c.nodes[N_GPUS, node]):
        i = first + d
        if devices[D_DOWN, i] == 0 and devices[D_HOLD, i] == 0 and devices[D_FREE, i] == WHOLE:
            mask |= 1 << d
    return mask


@inner
def _free_on_node(
    c: Columns, node: int, each: int, latest_s: int, stamp: int, mark: int
) -> tuple[int, int]:
    """Find ``each`` devices of a node that can be had: (price, mask), price -1 if there are not.

    Borrowers are added cheapest first; one that leaves anyway (marked, or under notice) costs
    nothing.
    With ``mark`` the borrowers needed are marked.
    """
    mask, price = _open_devices(c, node), 0
    devices, first = c.devices, c.nodes[N_FIRST, node]
    while bits(mask) < each:
        best_row, best_price, best_mask = -1, 1 << 62, 0
        row = c.nodes[N_ROWS, node]
        while row >= 0:
            job, useful = c.rows[R_JOB, row], c.rows[R_MASK, row] & ~mask
            for d in range(c.nodes[N_GPUS, node]):
                i = first + d
                shared = c.rows[R_MILLI, row] + devices[D_FREE, i] < WHOLE
                if useful >> d & 1 and (shared or devices[D_HOLD, i] > 0 or devices[D_DOWN, i] > 0):
                    useful &= ~(1 << d)
            if useful and _may_leave(c, job, latest_s):
                cost = 0 if c.marks[job] == stamp else way_out(c, job, latest_s)[2]
                if cost < best_price or (cost == best_price and job < c.rows[R_JOB, best_row]):
                    best_row, best_price, best_mask = row, cost, useful
            row = c.rows[R_NEXT_OF_NODE, row]
        if best_row < 0:
            return -1, 0
        mask |= best_mask
        price += best_price
        if mark > 0:
            c.marks[c.rows[R_JOB, best_row]] = stamp
    while bits(mask) > each:
        mask &= ~_highest(mask)
    return price, mask


@inner
def _highest(mask: int) -> int:
    bit = 1
    while mask > 1:
        mask >>= 1
        bit <<= 1
    return bit


@inner
def _price_domain(
    c: Columns, job: int, group: int, level: int, domain: int, latest_s: int
) -> tuple[int, int]:
    """Pick nodes of a domain one by one at the least further price: (price, nodes) or (-1, 0)."""
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    total = need + (1 if extra > 0 else 0)
    c.memo[M_STAMP, 1] += 1
    stamp, price = c.memo[M_STAMP, 1], 0
    for at in range(total):
        want = each if at < need else extra
        best_node, best_price = -1, 1 << 62
        for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
            if domain_of(c, shelf, level) != domain or not suits(c, job, shelf):
                continue
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                if c.scratch[X_NODE, node] == stamp or c.nodes[N_DOWN, node] > 0:
                    continue
                cost, mask = _free_on_node(c, node, want, latest_s, stamp, 0)
                if cost >= 0 and cost < best_price:
                    best_node, best_price = node, cost
                if best_price == 0:
                    break
            if best_price == 0:
                break
        if best_node < 0:
            return -1, 0
        cost, mask = _free_on_node(c, best_node, want, latest_s, stamp, 1)
        c.scratch[X_NODE, best_node] = stamp
        c.picks[at, 0], c.picks[at, 1], c.picks[at, 2] = best_node, mask, WHOLE
        price += cost
    return price, total


@inner
def _choose_victims(c: Columns, job: int, types: int, latest_s: int) -> int:
    """Fill ``picks`` with the cheapest devices of the narrowest domain; return how many rows."""
    for group in range(c.groups.shape[1]):
        if not types >> c.groups[G_TYPE, group] & 1:
            continue
        need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
        if each > c.groups[G_GPUS, group] or c.jobs[J_MILLI, job] < WHOLE:
            continue
        spread = need > 1 or extra > 0
        widest = widest_level(c, job) if spread else AT_ANY
        for level in range(AT_LEAF if spread else AT_ANY, widest + 1):
            best_domain, best_price, seen = -1, 1 << 62, -1
            for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
                domain = domain_of(c, shelf, level)
                if domain == seen:
                    continue
                seen = domain
                price, _ = _price_domain(c, job, group, level, domain, latest_s)
                if price >= 0 and price < best_price:
                    best_domain, best_price = domain, price
            if best_domain >= 0:
                return _price_domain(c, job, group, level, best_domain, latest_s)[1]
    return 0


@inner
def claim(c: Columns, job: int, types: int) -> bool:
    """Hold devices for an entitled gang and give notice to whoever borrows them.

    Returns:
        False if no set of borrowers would make room: owners' own work is in the way, or faults.
    """
    s = c.scalars
    now_s = s[S_NOW]
    latest_s = leave_by(c, now_s)
    count = _choose_victims(c, job, types, latest_s)
    if count == 0:
        return False
    due_at_s = now_s + c.policy[P_RETURN_S]
    emit(c, K_CLAIMED, job, due_at_s, 0, 0, 0, 0)
    for i in range(count):
        emit(c, K_HELD, job, c.picks[i, 0], c.picks[i, 1], 0, 0, 0)
    c.memo[M_STAMP, 1] += 1
    for i in range(count):
        row = c.nodes[N_ROWS, c.picks[i, 0]]
        while row >= 0:
            borrower, following = c.rows[R_JOB, row], c.rows[R_NEXT_OF_NODE, row]
            if c.rows[R_MASK, row] & c.picks[i, 1] and c.marks[borrower] != c.memo[M_STAMP, 1]:
                c.marks[borrower] = c.memo[M_STAMP, 1]
                stop_at_s, saves, _ = way_out(c, borrower, latest_s)
                milli = c.jobs[J_USED, borrower]
                emit(c, K_NOTICED, borrower, job, stop_at_s, saves, milli, due_at_s)
            row = following
    return True


@inner_of_ints(3)
def stop_borrower(c: Columns, job: int, cause: int, saves: int) -> None:
    """Stop a running job now; without ``saves`` it falls back to its last checkpoint."""
    jobs, now_s = c.jobs, c.scalars[S_NOW]
    if c.policy[P_INSTANT] == 0 and jobs[J_LEFT, job] == 0:
        if jobs[J_STATE, job] == RUNNING:
            emit(c, K_STOP_ORDERED, job, jobs[J_ATTEMPT, job], cause, 0, 0, 0)
        return
    kept_s = (now_s if saves > 0 else last_checkpoint(c, job, now_s)) - jobs[J_RUN_SINCE, job]
    lost_s = now_s - jobs[J_RUN_SINCE, job] - kept_s
    lost = lost_s * jobs[J_USED, job]
    emit(c, K_STOPPED, job, jobs[J_ATTEMPT, job], cause, jobs[J_SAVED, job] + kept_s, lost, 0)


@inner
def stop_due(c: Columns) -> None:
    """Stop whoever's time has come, and book whoever has left by itself."""
    s, jobs = c.scalars, c.jobs
    for i in range(s[S_DUE]):
        if c.due[i, 1] != ALARM_STOP:
            continue
        job = c.due[i, 2]
        active = jobs[J_STATE, job] == RUNNING or jobs[J_STATE, job] == STOPPING
        if not active:
            continue
        if jobs[J_LEFT, job] > 0:
            asked = jobs[J_STOP_AT, job] >= 0 or jobs[J_STATE, job] == STOPPING
            cause = jobs[J_STOP_CAUSE, job] if asked else BY_PREEMPTION
            stop_borrower(c, job, cause, jobs[J_LEFT, job] - 1)
        elif 0 <= jobs[J_STOP_AT, job] <= s[S_NOW]:
            stop_borrower(c, job, jobs[J_STOP_CAUSE, job], jobs[J_STOP_SAVES, job])


@inner
def stop_noticed_now(c: Columns) -> None:
    """Stop the borrowers of this cycle's claims that had no reason to run on."""
    s, jobs = c.scalars, c.jobs
    i = s[S_RUNNING] - 1
    while i >= 0:
        job = c.running[i]
        if jobs[J_STATE, job] == RUNNING and 0 <= jobs[J_STOP_AT, job] <= s[S_NOW]:
            stop_borrower(c, job, jobs[J_STOP_CAUSE, job], jobs[J_STOP_SAVES, job])
        i = min(i - 1, s[S_RUNNING] - 1)


@inner
def _held_rows(c: Columns, job: int) -> int:
    """Write the devices held for a job to ``picks``; return how many rows, or -1 if some are not
    free.
    """
    count = 0
    devices, nodes = c.devices, c.nodes
    for node in range(nodes.shape[1]):
        if nodes[N_HELD, node] == 0:
            continue
        first, mask = nodes[N_FIRST, node], 0
        for d in range(nodes[N_GPUS, node]):
            i = first + d
            if devices[D_HOLD, i] == job + 1:
                mask |= 1 << d
                if devices[D_FREE, i] < WHOLE or devices[D_CLEANING, i] > 0:
                    return -1
        if mask:
            c.picks[count, 0], c.picks[count, 1], c.picks[count, 2] = node, mask, WHOLE
            count += 1
    return count


@inner
def _borrowers_on_holds(c: Columns, job: int) -> int:
    """Write who still runs, under notice, on devices held for a job; return how many."""
    victims, count = c.scratch[X_VICTIM], 0
    c.memo[M_STAMP, 1] += 1
    for node in range(c.nodes.shape[1]):
        if c.nodes[N_HELD, node] == 0:
            continue
        first, row = c.nodes[N_FIRST, node], c.nodes[N_ROWS, node]
        while row >= 0:
            other = c.rows[R_JOB, row]
            for d in range(c.nodes[N_GPUS, node]):
                mine = c.devices[D_HOLD, first + d] == job + 1 and c.rows[R_MASK, row] >> d & 1
                if mine and c.marks[other] != c.memo[M_STAMP, 1]:
                    c.marks[other] = c.memo[M_STAMP, 1]
                    victims[count] = other
                    count += 1
            row = c.rows[R_NEXT_OF_NODE, row]
    return count


@inner
def _is_held_from(c: Columns, borrower: int) -> bool:
    """Tell whether any device the borrower uses is held for some claim."""
    row = c.jobs[J_ROWS, borrower]
    while row >= 0:
        first = c.nodes[N_FIRST, c.rows[R_NODE, row]]
        for d in range(c.nodes[N_GPUS, c.rows[R_NODE, row]]):
            if c.rows[R_MASK, row] >> d & 1 and c.devices[D_HOLD, first + d] > 0:
                return True
        row = c.rows[R_NEXT_OF_JOB, row]
    return False


@inner_of_ints(2)
def end_claim(c: Columns, job: int, outcome: int) -> None:
    """Release what is held for a job and withdraw the notices that nobody else needs."""
    count = _borrowers_on_holds(c, job)
    victims = c.scratch[X_VICTIM, :count].copy()
    emit(c, K_CLAIM_ENDED, job, outcome, 0, 0, 0, 0)
    for i in range(count):
        waits = c.jobs[J_STATE, victims[i]] == RUNNING and c.jobs[J_STOP_AT, victims[i]] >= 0
        waits = waits and c.jobs[J_STOP_CAUSE, victims[i]] == BY_RECLAIM
        if waits and not _is_held_from(c, victims[i]):
            emit(c, K_WITHDRAWN, victims[i], job, 0, 0, 0, 0)


@inner
def serve_claims(c: Columns) -> None:
    """Start claimants whose devices are all there, or that fit elsewhere sooner; oldest claim
    first.
    """
    waiting = np.empty(c.scalars[S_CLAIMS], dtype=np.int64)
    for i in range(waiting.size):
        waiting[i] = c.claims[i, 0]
    for i in range(waiting.size):
        job = waiting[i]
        count = _held_rows(c, job)
        if count > 0:
            start(c, job, OWN, count, 1)
            end_claim(c, job, CLAIM_SERVED)
            continue
        if c.scalars[S_FREED] > 0 and c.scalars[S_KIND + IDLE] > 0:
            held_type = c.claims[_position(c, job), 1]
            count = find_place(c, job, c.jobs[J_TYPES, job] & (1 << held_type))
            if count > 0:
                start(c, job, OWN, count, 0)
                end_claim(c, job, CLAIM_ELSEWHERE)


@inner
def _position(c: Columns, job: int) -> int:
    for i in range(c.scalars[S_CLAIMS]):
        if c.claims[i, 0] == job:
            return i
    return -1
