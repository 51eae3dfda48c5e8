"""Who must go for a claim: the cheapest borrowers in the narrowest domain, and how each leaves."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.moves import bits, share_of
from dure.core.placement import domain_of, shape_of, span_of, suits, widest_level

DISTURBED = 4096  # a milli-second of work lost weighs as much as this many borrowers sent away
OFTEN = 2  # who was called back so often is called back only if nobody else will do
SPARED = 1 << 50
MOVED = 1 << 52  # moving an own gang is dearer than sending any borrowers away
(MARKING, MOVING) = (1, 2)


@inner
def leave_by(c: Columns, asked_at_s: int) -> int:
    """Return the last moment at which a borrower may stop for a claim asked at ``asked_at_s``."""
    p = c.policy
    return int(asked_at_s + p[P_RETURN_S] - p[P_DRAIN_S] - p[P_CLEANING_S] - p[P_START_S])


@inner
def last_checkpoint(c: Columns, job: int, at_s: int) -> int:
    """Return when the running job last had all its work saved; its start of running if never."""
    every_s, since_s = c.jobs[J_CKPT_EVERY, job], c.jobs[J_RUN_SINCE, job]
    if every_s <= 0 or at_s < since_s:
        return int(since_s)
    return int(since_s + (at_s - since_s) // every_s * every_s)


@inner
def felt(c: Columns, job: int) -> int:
    """Return how much a borrower feels being sent away, in milli-s: the less, the longer it has
    still to run by its own word.

    It is once a job, not once a GPU: those who wait are people. Who outlived its word, or declared
    nothing, may be expected to run as long again as it has.
    """
    jobs, felt_s = c.jobs, c.policy[P_FELT_S]
    ran_s = jobs[J_SAVED, job] + max(0, c.scalars[S_NOW] - jobs[J_RUN_SINCE, job])
    left_s = jobs[J_ESTIMATE, job] - ran_s
    if left_s <= 0:
        left_s = ran_s
    return int(WHOLE * felt_s * felt_s // max(1, felt_s + left_s))


@inner
def way_out(c: Columns, job: int, latest_s: int) -> tuple[int, int, int]:
    """Choose how a borrower leaves by ``latest_s``: (stop_at_s, 1 if it saves, price in milli-s).

    The price is the work that is lost, the time its devices stand still, what it feels, and more
    for each time it was reclaimed before.
    """
    now_s, jobs = c.scalars[S_NOW], c.jobs
    # Its devices stand still while they are handed over, all of them, however few are needed.
    idle_s = c.policy[P_DRAIN_S] + c.policy[P_CLEANING_S] + c.policy[P_START_S]
    dearer = (c.policy[P_DEARER_S] * jobs[J_RECLAIMS, job] + idle_s) * jobs[J_USED, job]
    dearer += felt(c, job)
    if jobs[J_STOP_AT, job] >= 0:
        return int(jobs[J_STOP_AT, job]), int(jobs[J_STOP_SAVES, job]), 0
    takes_s, every_s = jobs[J_CKPT_TAKES, job], jobs[J_CKPT_EVERY, job]
    if takes_s >= 0 and now_s + takes_s <= latest_s:
        return int(now_s + takes_s), 1, int(dearer)
    saved_at_s = last_checkpoint(c, job, now_s)
    if every_s > 0:
        next_s = saved_at_s if saved_at_s >= now_s else saved_at_s + every_s
        if next_s <= latest_s:
            return int(next_s), 1, int(dearer)
    return int(now_s), 0, int(dearer + max(0, now_s - saved_at_s) * jobs[J_USED, job])


@inner
def _may_leave(c: Columns, job: int, claimant: int, latest_s: int, ways: int) -> bool:
    """Tell whether a job is a borrower that can be gone by ``latest_s``, or may be moved by then.

    Only an own gang that is smaller than the claimant and than a node is moved (a move may ask
    for another, of a smaller one still, so they come to an end), and only where it does no more
    GPU-seconds twice than the claimant's GPUs have waited already, or would at most.
    """
    jobs = c.jobs
    if jobs[J_STATE, job] != RUNNING:
        return False
    if jobs[J_CLASS, job] == OWN and jobs[J_STOP_AT, job] < 0:
        if ways & MOVING == 0 or jobs[J_PREEMPTIBLE, job] == 0:
            return False
        asked = jobs[J_GPUS, claimant] * jobs[J_MILLI, claimant]
        if jobs[J_USED, job] >= asked:
            return False
        node = c.rows[R_NODE, jobs[J_ROWS, job]]
        if jobs[J_USED, job] >= c.nodes[N_GPUS, node] * WHOLE:
            return False
        saves = way_out(c, job, latest_s)[1]
        now_s = c.scalars[S_NOW]
        waits_s = max(c.policy[P_RETURN_S], now_s - jobs[J_QUEUED_SINCE, claimant])
        unsaved = (now_s - last_checkpoint(c, job, now_s)) * jobs[J_USED, job]
        return bool(saves == 1 or unsaved <= waits_s * asked)
    return bool(jobs[J_STOP_AT, job] < 0 or jobs[J_STOP_AT, job] <= latest_s)


@inner
def _healthy_devices(c: Columns, node: int) -> int:
    """Return the mask of devices that are healthy and unheld; what stands on them is not asked."""
    devices, first, mask = c.devices, c.nodes[N_FIRST, node], 0
    if c.nodes[N_CORDONED, node] > 0 or c.nodes[N_PROBATION, node] > 0:
        return 0
    if c.nodes[N_SPARE, node] == IS_SPARE:
        return 0
    for d in range(c.nodes[N_GPUS, node]):
        if devices[D_DOWN, first + d] == 0 and devices[D_HOLD, first + d] == 0:
            mask |= 1 << d
    return mask


@inner
def _opened(c: Columns, job: int, node: int, each: int, healthy: int, leaves: int) -> int:
    """Return which healthy devices are empty once everyone marked ``leaves`` is gone.

    It is 0 if ``each`` devices, with the job's CPU and memory, could not be had even then.
    """
    nodes, jobs, mask = c.nodes, c.jobs, healthy
    cpu, memory = nodes[N_CPU_FREE, node], nodes[N_MEMORY_FREE, node]
    row = nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        if c.scratch[X_LEAVES, other] >= leaves:
            used = bits(c.rows[R_MASK, row])
            cpu += share_of(jobs[J_CPU, other], used, jobs[J_GPUS, other])
            memory += share_of(jobs[J_MEMORY, other], used, jobs[J_GPUS, other])
        else:
            mask &= ~c.rows[R_MASK, row]
        row = c.rows[R_NEXT_OF_NODE, row]
    gpus = jobs[J_GPUS, job]
    if nodes[N_CPU, node] > 0 and jobs[J_CPU, job] > 0:
        mask = mask if share_of(jobs[J_CPU, job], each, gpus) <= cpu else 0
    if nodes[N_MEMORY, node] > 0 and jobs[J_MEMORY, job] > 0:
        mask = mask if share_of(jobs[J_MEMORY, job], each, gpus) <= memory else 0
    return mask if bits(mask) >= each else 0


@inner
def _price_of(c: Columns, borrower: int, latest_s: int, stamp: int) -> int:
    """Return what it costs to send a borrower away; nothing if it leaves anyway.

    Each borrower counts, the work lost counts for more: two that lose nothing are worse than one.
    """
    if c.marks[borrower] == stamp or c.jobs[J_STOP_AT, borrower] >= 0:
        return 0
    price = way_out(c, borrower, latest_s)[2] * DISTURBED + 1
    if c.jobs[J_RECLAIMS, borrower] >= OFTEN:
        price += SPARED
    return int(price + MOVED if c.jobs[J_CLASS, borrower] == OWN else price)


@inner
def _dearest(c: Columns, node: int, latest_s: int, stamp: int, leaves: int) -> int:
    """Return the dearest borrower on the node that is not tried yet, the oldest on a tie, or -1."""
    best, best_price, row = -1, -1, c.nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        if c.scratch[X_LEAVES, other] == leaves:
            price = _price_of(c, other, latest_s, stamp)
            if price > best_price or (price == best_price and other < best):
                best, best_price = other, price
        row = c.rows[R_NEXT_OF_NODE, row]
    return int(best)


@inner
def _free_on_node(
    c: Columns, job: int, node: int, each: int, latest_s: int, stamp: int, ways: int
) -> tuple[int, int]:
    """Find ``each`` devices of a node that can be had: (price, mask), price -1 if there are not.

    At first everyone who may leave is thought away, then whoever need not go stays, the dearest
    first: nobody is sent away in vain.

    Args:
        ways: ``MARKING``: those who must go are marked; ``MOVING``: own gangs may be moved.
    """
    healthy = _healthy_devices(c, node)
    if bits(healthy) < each:
        return -1, 0
    c.memo[M_STAMP, STAMP_MARKS] += 2
    leaves, must = c.memo[M_STAMP, STAMP_MARKS], c.memo[M_STAMP, STAMP_MARKS] + 1
    row = c.nodes[N_ROWS, node]
    usable = _opened(c, job, node, each, healthy, leaves)
    if usable == 0:
        while row >= 0:
            if _may_leave(c, c.rows[R_JOB, row], job, latest_s, ways):
                c.scratch[X_LEAVES, c.rows[R_JOB, row]] = leaves
            row = c.rows[R_NEXT_OF_NODE, row]
        usable = _opened(c, job, node, each, healthy, leaves)
        if usable == 0:
            return -1, 0
    price = 0
    while True:
        other = _dearest(c, node, latest_s, stamp, leaves)
        if other < 0:
            break
        c.scratch[X_LEAVES, other] = 0
        without = _opened(c, job, node, each, healthy, leaves)
        if without != 0:
            usable = without
            continue
        c.scratch[X_LEAVES, other] = must
        price += _price_of(c, other, latest_s, stamp)
        if ways & MARKING:
            c.marks[other] = stamp
    price, mask = _take_devices(c, node, each, usable, must, price)
    return price, mask


@inner
def _take_devices(
    c: Columns, node: int, each: int, usable: int, must: int, price: int
) -> tuple[int, int]:
    """Choose usable devices, some of everyone who must go (it may be for its CPU alone)."""
    mask, row = 0, c.nodes[N_ROWS, node]
    while row >= 0:
        if c.scratch[X_LEAVES, c.rows[R_JOB, row]] == must and not mask & c.rows[R_MASK, row]:
            theirs = usable & c.rows[R_MASK, row]
            if theirs == 0:
                return -1, 0
            mask |= theirs & -theirs
        row = c.rows[R_NEXT_OF_NODE, row]
    if bits(mask) > each:
        return -1, 0
    while bits(mask) < each:
        others = usable & ~mask
        mask |= others & -others
    return price, mask


@inner
def _offers_segment(
    c: Columns, job: int, shelf: int, each: int, span: int, latest_s: int, stamp: int
) -> bool:
    """Tell whether a shelf has the nodes for one more segment, whatever they cost."""
    left = span
    for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
        if c.scratch[X_NODE, node] == stamp or c.nodes[N_DOWN, node] > 0:
            continue
        left -= 1 if _free_on_node(c, job, node, each, latest_s, stamp, 0)[0] >= 0 else 0
        if left == 0:
            return True
    return False


@inner
def _price_domain(
    c: Columns, job: int, group: int, level: int, domain: int, latest_s: int, ways: int
) -> tuple[int, int]:
    """Pick nodes of a domain one by one at the least further price: (price, nodes) or (-1, 0)."""
    need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
    total = need + (1 if extra > 0 else 0)
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, price, home = c.memo[M_STAMP, STAMP_MARKS], 0, -1
    span = span_of(c, job, each)
    for at in range(total):
        want = each if at < need else extra
        if at % span == 0:
            home = -1
        best_node, best_price = -1, 1 << 62
        for shelf in range(c.groups[G_FROM, group], c.groups[G_TO, group]):
            if domain_of(c, shelf, level) != domain or not suits(c, job, shelf):
                continue
            is_begun = shelf == home or span == 1
            if not is_begun and (
                home >= 0 or not _offers_segment(c, job, shelf, each, span, latest_s, stamp)
            ):
                continue
            for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
                if c.scratch[X_NODE, node] == stamp or c.nodes[N_DOWN, node] > 0:
                    continue
                cost, mask = _free_on_node(c, job, node, want, latest_s, stamp, ways)
                if cost >= 0 and cost < best_price:
                    best_node, best_price = node, cost
                if best_price == 0:
                    break
            if best_price == 0:
                break
        if best_node < 0:
            return -1, 0
        cost, mask = _free_on_node(c, job, best_node, want, latest_s, stamp, ways | MARKING)
        c.scratch[X_NODE, best_node] = stamp
        home = c.nodes[N_SHELF, best_node]
        c.picks[at, 0], c.picks[at, 1], c.picks[at, 2] = best_node, mask, c.jobs[J_MILLI, job]
        price += cost
    if total > 1:
        _spare_the_needless(c, job, total, need, each, extra, latest_s, ways)
    return price, total


@inner
def _spare_the_needless(
    c: Columns, job: int, total: int, need: int, each: int, extra: int, latest_s: int, ways: int
) -> None:
    """Look at the picked nodes once more: who leaves several of them may make others needless."""
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp = c.memo[M_STAMP, STAMP_MARKS]
    for at in range(total):
        row = c.nodes[N_ROWS, c.picks[at, 0]]
        while row >= 0:
            other = c.rows[R_JOB, row]
            is_wide = c.rows[R_NEXT_OF_JOB, c.jobs[J_ROWS, other]] >= 0
            if is_wide and c.rows[R_MASK, row] & c.picks[at, 1]:
                c.marks[other] = stamp
            row = c.rows[R_NEXT_OF_NODE, row]
    for at in range(total):
        want = each if at < need else extra
        cost, mask = _free_on_node(c, job, c.picks[at, 0], want, latest_s, stamp, ways | MARKING)
        if cost >= 0:
            c.picks[at, 1] = mask


@inner
def choose_victims(c: Columns, job: int, types: int, latest_s: int, ways: int) -> int:
    """Fill ``picks`` with the cheapest devices of the narrowest domain; return how many rows.

    With ``MOVING`` as the way, small own gangs may be asked to move as well.
    """
    for group in range(c.groups.shape[1]):
        if not types >> c.groups[G_TYPE, group] & 1:
            continue
        need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
        if each > c.groups[G_GPUS, group] or span_of(c, job, each) == 0:
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
                price, _ = _price_domain(c, job, group, level, domain, latest_s, ways)
                if price >= 0 and price < best_price:
                    best_domain, best_price = domain, price
            if best_domain >= 0:
                return int(_price_domain(c, job, group, level, best_domain, latest_s, ways)[1])
    return 0
