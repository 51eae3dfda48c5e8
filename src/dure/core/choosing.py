"""Where a claim finds its devices: the cheapest nodes of the narrowest domain.

What a node costs is found once in a plan and kept. It is asked again where something was decided
since, and where somebody stands who leaves another node of the same choice already.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic
from dure.core.kernel import inner
from dure.core.placement import domain_of, is_plain, shape_of, span_of, suits, widest_level
from dure.core.victims import MARKING, YIELDER, YIELDING, free_on_node, given_by

_NONE = 1 << 62  # dearer than any price


@inner
def _price_on(
    c: Columns,
    job: int,
    node: int,
    want: int,
    latest_s: int,
    stamp: int,
    ways: int,
    asked: int,
) -> int:
    """Return what ``want`` devices of a node cost, or -1.

    Args:
        stamp: of this choice of nodes, in which some are told to leave already.
        asked: of the question (``_question``).
    """
    x, slot = c.scratch, (want >> 1 if want in (1, 2, 4) else PRICES - 1)
    if x[X_TOUCHED, node] == stamp:
        return int(free_on_node(c, job, node, want, latest_s, stamp, ways)[0])
    if x[X_PRICED + slot, node] != asked:
        x[X_PRICED + slot, node] = asked
        x[X_PRICE + slot, node] = free_on_node(c, job, node, want, latest_s, stamp, ways)[0]
    return int(x[X_PRICE + slot, node])


@inner
def _question(c: Columns, job: int, want: int, ways: int) -> int:
    """Return the stamp under which ``want`` devices of a node are asked for a claim.

    It is one for all claims of a plan that ask for whole devices alone and may have nobody moved:
    what they pay is the same. ``ask_again`` sees to it that what changes is asked anew.
    """
    if ways == 0 and is_plain(c, job) and c.memo[M_PRICED, want] > c.memo[M_STAMP, STAMP_PLAN]:
        return int(c.memo[M_PRICED, want])
    c.memo[M_STAMP, STAMP_MARKS] += 1
    if ways == 0 and is_plain(c, job):
        c.memo[M_PRICED, want] = c.memo[M_STAMP, STAMP_MARKS]
    return int(c.memo[M_STAMP, STAMP_MARKS])


@inner
def _touch(c: Columns, node: int, stamp: int) -> None:
    """Have every node be asked again on which somebody stands who must leave this one."""
    row = c.nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        if c.marks[other] == stamp or given_by(c, other, stamp) > 0:
            place = c.jobs[J_ROWS, other]
            while place >= 0:
                c.scratch[X_TOUCHED, c.rows[R_NODE, place]] = stamp
                place = c.rows[R_NEXT_OF_JOB, place]
        row = c.rows[R_NEXT_OF_NODE, row]


@inner
def _is_asked(c: Columns, shelf: int, ways: int) -> bool:
    """Tell whether a shelf is looked at: of one gang that gives way, only where it stands."""
    if ways & YIELDING == 0:
        return True
    row = c.jobs[J_ROWS, ways >> YIELDER]
    while row >= 0 and c.nodes[N_SHELF, c.rows[R_NODE, row]] != shelf:
        row = c.rows[R_NEXT_OF_JOB, row]
    return bool(row >= 0)


@inner
def _is_left(c: Columns, node: int, stamp: int) -> bool:
    """Tell whether a node is up and not chosen yet."""
    return bool(c.scratch[X_NODE, node] != stamp and c.nodes[N_DOWN, node] == 0)


@inner
def _offers_segment(
    c: Columns,
    job: int,
    shelf: int,
    each: int,
    span: int,
    latest_s: int,
    stamp: int,
    ways: int,
    asked: int,
) -> bool:
    """Tell whether a shelf has the nodes for one more segment, whatever they cost."""
    left = span
    for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
        if _is_left(c, node, stamp):
            price = _price_on(c, job, node, each, latest_s, stamp, ways, asked)
            left -= 1 if price >= 0 else 0
        if left == 0:
            return True
    return False


@inner
def _cheapest(
    c: Columns,
    job: int,
    begin: int,
    end: int,
    want: int,
    span: int,
    home: int,
    latest_s: int,
    stamp: int,
    ways: int,
    asked: int,
) -> int:
    """Return the node of these shelves that costs least, the first on a tie, or -1.

    Args:
        home: the shelf on which a segment was begun, or -1.
    """
    best_node, best_price = -1, _NONE
    for shelf in range(begin, end):
        if not suits(c, job, shelf) or not _is_asked(c, shelf, ways):
            continue
        if span > 1 and shelf != home:
            if home >= 0:
                continue
            if not _offers_segment(c, job, shelf, want, span, latest_s, stamp, ways, asked):
                continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if not _is_left(c, node, stamp):
                continue
            price = _price_on(c, job, node, want, latest_s, stamp, ways, asked)
            if 0 <= price < best_price:
                best_node, best_price = node, price
            if best_price == 0:
                return int(best_node)
    return int(best_node)


@inner
def _price_domain(
    c: Columns,
    job: int,
    begin: int,
    end: int,
    gpus: int,
    latest_s: int,
    ways: int,
    asked: int,
    asked_rest: int,
) -> tuple[int, int]:
    """Pick nodes of a domain, the shelves from ``begin`` to before ``end``, one by one at the least
    further price: (price, nodes) or (-1, 0).
    """
    need, each, extra = shape_of(c, job, gpus)
    total = need + (1 if extra > 0 else 0)
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, price, home = c.memo[M_STAMP, STAMP_MARKS], 0, -1
    span = span_of(c, job, each)
    for at in range(total):
        want, question = (each, asked) if at < need else (extra, asked_rest)
        if span == 1 or at % span == 0:
            home = -1
        node = _cheapest(c, job, begin, end, want, span, home, latest_s, stamp, ways, question)
        if node < 0:
            return -1, 0
        cost, mask = free_on_node(c, job, node, want, latest_s, stamp, ways | MARKING)
        _touch(c, node, stamp)
        c.scratch[X_NODE, node] = stamp
        home = c.nodes[N_SHELF, node]
        c.picks[at, 0], c.picks[at, 1], c.picks[at, 2] = node, mask, c.jobs[J_MILLI, job]
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
            is_rigid = not is_elastic(c.jobs, other)
            if is_wide and is_rigid and c.rows[R_MASK, row] & c.picks[at, 1]:
                c.marks[other] = stamp
            row = c.rows[R_NEXT_OF_NODE, row]
    for at in range(total):
        want = each if at < need else extra
        cost, mask = free_on_node(c, job, c.picks[at, 0], want, latest_s, stamp, ways | MARKING)
        if cost >= 0:
            c.picks[at, 1] = mask


@inner
def _end_of_domain(c: Columns, begin: int, last: int, level: int) -> int:
    """Return the shelf after the last of the domain in which ``begin`` is: they stand together."""
    end = begin + 1
    while end < last and domain_of(c, end, level) == domain_of(c, begin, level):
        end += 1
    return end


@inner
def _choose_at(
    c: Columns,
    job: int,
    group: int,
    level: int,
    latest_s: int,
    ways: int,
    asked: int,
    asked_rest: int,
) -> int:
    """Fill ``picks`` from the cheapest domain of a level; return how many rows, or 0."""
    gpus, last = c.groups[G_GPUS, group], c.groups[G_TO, group]
    best_begin, best_end, best_price = -1, -1, _NONE
    begin = c.groups[G_FROM, group]
    while begin < last:
        end = _end_of_domain(c, begin, last, level)
        price, _ = _price_domain(c, job, begin, end, gpus, latest_s, ways, asked, asked_rest)
        if 0 <= price < best_price:
            best_begin, best_end, best_price = begin, end, price
        begin = end
    if best_begin < 0:
        return 0
    return int(
        _price_domain(c, job, best_begin, best_end, gpus, latest_s, ways, asked, asked_rest)[1]
    )


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
        asked = _question(c, job, each, ways)
        asked_rest = _question(c, job, extra, ways) if extra > 0 else 0
        spread = need > 1 or extra > 0
        widest = widest_level(c, job) if spread else AT_ANY
        for level in range(AT_LEAF if spread else AT_ANY, widest + 1):
            count = _choose_at(c, job, group, level, latest_s, ways, asked, asked_rest)
            if count > 0:
                return int(count)
    return 0
