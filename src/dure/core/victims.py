"""Who must go for a claim on one node: the cheapest borrowers, and nobody in vain.

An elastic gang that gives up some devices and goes on is not disturbed as one that is sent away: it
costs the work that it loses by starting again, which is none if it saves first.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import goes_on, is_elastic, is_told, shed_on
from dure.core.kernel import inner
from dure.core.leaving import disturbance, last_checkpoint, leave_by, way_out
from dure.core.moves import bits, share_of
from dure.core.shapes import each_of

DISTURBED = 4096  # a milli-second of work lost weighs as much as this many borrowers disturbed
OFTEN = 2  # who was called back so often is called back only if nobody else will do
SPARED = 1 << 50
MOVED = 1 << 52  # moving an own gang is dearer than sending any borrowers away
(MARKING, MOVING, YIELDING) = (1, 2, 4)
YIELDER = 3  # bits of the ways; above them stands the one gang that may leave, if it yields
# What is thought of somebody on a node: gone, must go, gives up what it can, must give that up.
(GONE, MUST_GO, LESS, MUST_LESS) = range(4)
_SHED = 20  # bits for how many devices a gang gives up, below the stamp of the pricing


@inner
def yielded_by(job: int) -> int:
    """Return the way in which one gang alone makes room for another."""
    return YIELDING | job << YIELDER


@inner
def _may_be_moved(c: Columns, job: int, claimant: int, latest_s: int) -> bool:
    """Tell whether an own gang may be moved for a larger one.

    It is smaller than the claimant and than a node (a move may ask for another, of a smaller one
    still, so they come to an end), and it does no more GPU-seconds twice than the claimant's GPUs
    have waited already, or would at most.
    """
    jobs, now_s = c.jobs, c.scalars[S_NOW]
    asked = jobs[J_SIZE, claimant] * jobs[J_MILLI, claimant]
    node = c.rows[R_NODE, jobs[J_ROWS, job]]
    if jobs[J_PREEMPTIBLE, job] == 0 or jobs[J_USED, job] >= asked:
        return False
    if jobs[J_USED, job] >= c.nodes[N_GPUS, node] * WHOLE:
        return False
    saves = way_out(c, job, latest_s)[1]
    waits_s = max(c.policy[P_RETURN_S], now_s - jobs[J_QUEUED_SINCE, claimant])
    unsaved = (now_s - last_checkpoint(c, job, now_s)) * jobs[J_USED, job]
    return bool(saves == 1 or unsaved <= waits_s * asked)


@inner
def _may_leave(c: Columns, job: int, claimant: int, latest_s: int, ways: int) -> bool:
    """Tell whether a job borrows anything and can have left that by ``latest_s``, or, if it is own,
    may be moved by then.
    """
    jobs = c.jobs
    if jobs[J_STATE, job] != RUNNING:
        return False
    if ways & YIELDING:
        return bool(job == ways >> YIELDER)
    is_firm = jobs[J_CLASS, job] == OWN and not is_elastic(jobs, job)
    if is_told(jobs, job):
        is_leaving = not is_firm or jobs[J_STOP_CAUSE, job] == BY_MOVE
        return bool(is_leaving and jobs[J_STOP_AT, job] <= latest_s)
    return bool(not is_firm or (ways & MOVING and _may_be_moved(c, job, claimant, latest_s)))


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
def _gone_from(c: Columns, row: int, leaves: int, stamp: int) -> int:
    """Return which devices of a placement row are thought empty in the search ``leaves``."""
    other = c.rows[R_JOB, row]
    thought = c.scratch[X_LEAVES, other] - leaves
    if thought < 0:
        return 0
    if thought >= LESS:
        return shed_on(c, other, row, given_by(c, other, stamp))
    return int(c.rows[R_MASK, row])


@inner
def given_by(c: Columns, job: int, stamp: int) -> int:
    """Return how many devices a gang gives up already in this pricing."""
    given = c.scratch[X_SHED, job]
    return int(given & ((1 << _SHED) - 1)) if given >> _SHED == stamp else 0


@inner
def _opened(
    c: Columns, job: int, node: int, each: int, healthy: int, leaves: int, stamp: int
) -> int:
    """Return which healthy devices are empty once everyone has left as is thought of them.

    It is 0 if ``each`` devices, with the job's CPU and memory, could not be had even then.
    """
    mask, row = healthy, c.nodes[N_ROWS, node]
    while row >= 0:
        mask &= ~(c.rows[R_MASK, row] & ~_gone_from(c, row, leaves, stamp))
        row = c.rows[R_NEXT_OF_NODE, row]
    if bits(mask) < each or not _has_limits(c, job, node, each, leaves, stamp):
        return 0
    return mask


@inner
def _has_limits(c: Columns, job: int, node: int, each: int, leaves: int, stamp: int) -> bool:
    """Tell whether a node has the job's CPU and memory for ``each`` devices once they have left."""
    nodes, jobs = c.nodes, c.jobs
    asks_cpu = nodes[N_CPU, node] > 0 and jobs[J_CPU, job] > 0
    asks_memory = nodes[N_MEMORY, node] > 0 and jobs[J_MEMORY, job] > 0
    if not asks_cpu and not asks_memory:
        return True
    cpu, memory = nodes[N_CPU_FREE, node], nodes[N_MEMORY_FREE, node]
    row = nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        # Gangs that give up a part have no CPU or memory to themselves.
        gone = bits(_gone_from(c, row, leaves, stamp))
        cpu += share_of(jobs[J_CPU, other], gone, jobs[J_GPUS, other])
        memory += share_of(jobs[J_MEMORY, other], gone, jobs[J_GPUS, other])
        row = c.rows[R_NEXT_OF_NODE, row]
    gpus = jobs[J_GPUS, job]
    has_cpu = not asks_cpu or share_of(jobs[J_CPU, job], each, gpus) <= cpu
    return has_cpu and (not asks_memory or share_of(jobs[J_MEMORY, job], each, gpus) <= memory)


@inner
def _cost_of(c: Columns, borrower: int, latest_s: int) -> int:
    """Return what it costs that a borrower leaves (``way_out``), found once in a plan."""
    x, plan = c.scratch, c.memo[M_STAMP, STAMP_PLAN]
    if is_elastic(c.jobs, borrower) or latest_s != leave_by(c, c.scalars[S_NOW]):
        return int(way_out(c, borrower, latest_s)[2])
    if x[X_COSTED, borrower] != plan:
        x[X_COSTED, borrower], x[X_COST, borrower] = plan, way_out(c, borrower, latest_s)[2]
    return int(x[X_COST, borrower])


@inner
def _price_of(c: Columns, borrower: int, latest_s: int, stamp: int) -> int:
    """Return what it costs to send a borrower away; nothing if it leaves anyway.

    Each borrower counts, the work lost counts for more: two that lose nothing are worse than one,
    and one that gives up a part and goes on is better than either.
    """
    if c.marks[borrower] == stamp or (is_told(c.jobs, borrower) and not goes_on(c, borrower)):
        return 0
    price = _cost_of(c, borrower, latest_s) * DISTURBED + 2
    if c.jobs[J_RECLAIMS, borrower] >= OFTEN:
        price += SPARED
    return int(price + MOVED if c.jobs[J_CLASS, borrower] == OWN else price)


@inner
def _price_of_less(c: Columns, borrower: int, latest_s: int, stamp: int) -> int:
    """Return what it costs to have a gang give up a part; nothing if it does so already."""
    is_less_already = c.scratch[X_SHED, borrower] >> _SHED == stamp
    if is_told(c.jobs, borrower) or is_less_already or c.marks[borrower] == stamp:
        return 0
    lost = way_out(c, borrower, latest_s)[2] - disturbance(c, borrower)
    return int(lost * DISTURBED + 1)


@inner
def _dearest(c: Columns, node: int, latest_s: int, stamp: int, leaves: int) -> int:
    """Return the dearest borrower on the node that is not tried yet, the oldest on a tie, or -1."""
    best, best_price, row = -1, -1, c.nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        thought = c.scratch[X_LEAVES, other] - leaves
        if thought in (GONE, LESS):
            price = _price_of(c, other, latest_s, stamp)
            if thought == LESS:
                price = _price_of_less(c, other, latest_s, stamp)
            if price > best_price or (price == best_price and other < best):
                best, best_price = other, price
        row = c.rows[R_NEXT_OF_NODE, row]
    return int(best)


@inner
def _stays_full(c: Columns, node: int, each: int, ways: int) -> bool:
    """Tell at a glance that those who stay, whoever is asked, leave too few devices of a node."""
    if ways & (MOVING | YIELDING) or c.scalars[S_ELASTIC] > 0:
        return False
    rows, jobs = c.rows, c.jobs
    left, row = c.nodes[N_GPUS, node], c.nodes[N_ROWS, node]
    while row >= 0:
        other = rows[R_JOB, row]
        stays = jobs[J_CLASS, other] == OWN and jobs[J_STOP_AT, other] < 0
        # Those who share devices stand on the same ones.
        if stays and rows[R_MILLI, row] == WHOLE:
            left -= bits(rows[R_MASK, row])
        row = rows[R_NEXT_OF_NODE, row]
    return bool(left < each)


@inner
def _think_away(c: Columns, claimant: int, node: int, latest_s: int, ways: int, leaves: int) -> int:
    """Think everyone away who may leave a node; return who, if it is one and leaves it whole."""
    thoughts, row, alone, count = c.scratch[X_LEAVES], c.nodes[N_ROWS, node], -1, 0
    while row >= 0:
        other = c.rows[R_JOB, row]
        if _may_leave(c, other, claimant, latest_s, ways):
            is_part = c.jobs[J_CLASS, other] == OWN and is_elastic(c.jobs, other)
            thoughts[other] = leaves + (LESS if is_part else GONE)
            alone, count = other, count + 1
        row = c.rows[R_NEXT_OF_NODE, row]
    return int(alone) if count == 1 and not is_elastic(c.jobs, alone) else -1


@inner
def _must_go(c: Columns, other: int, latest_s: int, stamp: int, ways: int, leaves: int) -> int:
    """Have a borrower go, whole; return what that costs."""
    c.scratch[X_LEAVES, other] = leaves + MUST_GO
    price = _price_of(c, other, latest_s, stamp)
    if ways & MARKING:
        c.marks[other] = stamp
    return price


@inner
def free_on_node(
    c: Columns, job: int, node: int, each: int, latest_s: int, stamp: int, ways: int
) -> tuple[int, int]:
    """Find ``each`` devices of a node that can be had: (price, mask), price -1 if there are not.

    At first everyone who may leave is thought away, then whoever need not go stays (elastic gangs:
    gives up a part, then stays), the dearest first: nobody is sent away in vain.

    Args:
        ways: ``MARKING``: those who must go are marked; ``MOVING``: own gangs may be moved;
            ``yielded_by``: one gang alone makes room, where it stands.
    """
    if _stays_full(c, node, each, ways):
        return -1, 0
    healthy = _healthy_devices(c, node)
    if bits(healthy) < each:
        return -1, 0
    c.memo[M_STAMP, STAMP_MARKS] += 4
    leaves, price, alone = c.memo[M_STAMP, STAMP_MARKS], 0, -1
    thoughts = c.scratch[X_LEAVES]
    usable = _opened(c, job, node, each, healthy, leaves, stamp)
    if usable == 0:
        alone = _think_away(c, job, node, latest_s, ways, leaves)
        usable = _opened(c, job, node, each, healthy, leaves, stamp)
        if usable == 0:
            return -1, 0
    if alone >= 0:
        # There is no room while it stays.
        price = _must_go(c, alone, latest_s, stamp, ways, leaves)
    while alone < 0:
        other = _dearest(c, node, latest_s, stamp, leaves)
        if other < 0:
            break
        thought = thoughts[other] - leaves
        is_whole = thought == GONE and is_elastic(c.jobs, other)
        thoughts[other] = leaves + LESS if is_whole else 0
        without = _opened(c, job, node, each, healthy, leaves, stamp)
        if without != 0:
            usable = without
        elif thought == LESS:
            thoughts[other] = leaves + MUST_LESS
            price += _price_of_less(c, other, latest_s, stamp)
        else:
            price += _must_go(c, other, latest_s, stamp, ways, leaves)
    price, mask = _take_devices(c, node, each, usable, leaves, price)
    if ways & MARKING:
        _note_given(c, node, mask, leaves, stamp)
    return price, mask


@inner
def _note_given(c: Columns, node: int, mask: int, leaves: int, stamp: int) -> None:
    """Remember, in this pricing, how many devices those on a node give up who go on."""
    row = c.nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        if c.scratch[X_LEAVES, other] == leaves + MUST_LESS:
            given = bits(c.rows[R_MASK, row] & mask)
            if each_of(c.jobs, other) > 0:
                given = bits(c.rows[R_MASK, row])
            c.scratch[X_SHED, other] = (stamp << _SHED) + given_by(c, other, stamp) + given
        row = c.rows[R_NEXT_OF_NODE, row]


@inner
def _take_devices(
    c: Columns, node: int, each: int, usable: int, leaves: int, price: int
) -> tuple[int, int]:
    """Choose usable devices, some of everyone who must go (it may be for its CPU alone)."""
    mask, row = 0, c.nodes[N_ROWS, node]
    while row >= 0:
        thought = c.scratch[X_LEAVES, c.rows[R_JOB, row]] - leaves
        must = thought in (MUST_GO, MUST_LESS)
        if must and not mask & c.rows[R_MASK, row]:
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
