"""Where a claim finds its devices: the cheapest nodes of the narrowest domain.

What a node costs is found once in a plan and kept. It is asked again where something was decided
since, and where somebody stands who leaves another node of the same choice already.
"""

from typing import NamedTuple

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_elastic
from dure.core.kernel import inner
from dure.core.pairs import sink_pair
from dure.core.placement import domain_of, is_plain, shape_of, span_of, suits, widest_level
from dure.core.victims import MARKING, YIELDER, YIELDING, free_on_node, given_by

_NONE = 1 << 62  # dearer than any price


class Claim(NamedTuple):
    """Who claims, until when whoever must leave has left, and in which ways room is made."""

    job: int
    latest_s: int
    ways: int


class Want(NamedTuple):
    """How many devices of one node, and the stamp (``_question``) under which they are asked."""

    devices: int
    asked: int


class Shelves(NamedTuple):
    """The shelves of a domain, which stand together: from ``begin`` to before ``end``."""

    begin: int
    end: int


@inner
def _price_on(c: Columns, claim: Claim, want: Want, node: int, stamp: int) -> int:
    """Return what devices of a node cost, or -1.

    Args:
        stamp: of this choice of nodes, in which some are told to leave already.
    """
    x, devices = c.scratch, want.devices
    slot = devices >> 1 if devices in (1, 2, 4) else PRICES - 1
    if x[X_TOUCHED, node] == stamp:
        return _price_now(c, claim, want, node, stamp)
    if x[X_PRICED + slot, node] != want.asked:
        x[X_PRICED + slot, node] = want.asked
        x[X_PRICE + slot, node] = _price_now(c, claim, want, node, stamp)
    return int(x[X_PRICE + slot, node])


@inner
def _price_now(c: Columns, claim: Claim, want: Want, node: int, stamp: int) -> int:
    job, latest_s, ways = claim
    return int(free_on_node(c, job, node, want.devices, latest_s, stamp, ways)[0])


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
def _touch(
    c: Columns, node: int, domain: Shelves, stamp: int, touched: np.ndarray, count: int
) -> int:
    """Have every node be asked again on which somebody stands who must leave this one.

    Returns:
        How many nodes of the domain are ``touched`` then; they stand in their order.
    """
    shelf_of = c.nodes[N_SHELF]
    row = c.nodes[N_ROWS, node]
    while row >= 0:
        other = c.rows[R_JOB, row]
        if c.marks[other] == stamp or given_by(c, other, stamp) > 0:
            place = c.jobs[J_ROWS, other]
            while place >= 0:
                there = c.rows[R_NODE, place]
                is_new = c.scratch[X_TOUCHED, there] != stamp
                c.scratch[X_TOUCHED, there] = stamp
                if is_new and domain.begin <= shelf_of[there] < domain.end:
                    at = count
                    while at > 0 and touched[at - 1] > there:
                        touched[at] = touched[at - 1]
                        at -= 1
                    touched[at], count = there, count + 1
                place = c.rows[R_NEXT_OF_JOB, place]
        row = c.rows[R_NEXT_OF_NODE, row]
    return count


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
    c: Columns, claim: Claim, want: Want, shelf: int, span: int, stamp: int
) -> bool:
    """Tell whether a shelf has the nodes for one more segment, whatever they cost."""
    left = span
    for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
        if _is_left(c, node, stamp):
            left -= 1 if _price_on(c, claim, want, node, stamp) >= 0 else 0
        if left == 0:
            return True
    return False


@inner
def _cheapest(
    c: Columns, claim: Claim, want: Want, domain: Shelves, span: int, home: int, stamp: int
) -> int:
    """Return the node of a domain that costs least, the first on a tie, or -1.

    Args:
        home: the shelf on which a segment was begun, or -1.
    """
    best_node, best_price = -1, _NONE
    for shelf in range(domain.begin, domain.end):
        if not suits(c, claim.job, shelf) or not _is_asked(c, shelf, claim.ways):
            continue
        is_elsewhere = span > 1 and shelf != home
        if is_elsewhere and home >= 0:
            continue
        if is_elsewhere and not _offers_segment(c, claim, want, shelf, span, stamp):
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if not _is_left(c, node, stamp):
                continue
            price = _price_on(c, claim, want, node, stamp)
            if 0 <= price < best_price:
                best_node, best_price = node, price
            if best_price == 0:
                return int(best_node)
    return int(best_node)


@inner
def _gather_offers(
    c: Columns,
    claim: Claim,
    want: Want,
    domain: Shelves,
    stamp: int,
    prices: np.ndarray,
    nodes: np.ndarray,
) -> int:
    """Make a heap of what each node of a domain costs, if it can be had; return how many can."""
    count = 0
    for shelf in range(domain.begin, domain.end):
        if not suits(c, claim.job, shelf) or not _is_asked(c, shelf, claim.ways):
            continue
        for node in range(c.shelves[H_FROM, shelf], c.shelves[H_TO, shelf]):
            if c.nodes[N_DOWN, node] > 0:
                continue
            price = _price_on(c, claim, want, node, stamp)
            if price >= 0:
                prices[count], nodes[count] = price, node
                count += 1
    for at in range(count // 2 - 1, -1, -1):
        sink_pair(prices, nodes, at, count)
    return count


@inner
def _drop_stale(c: Columns, stamp: int, prices: np.ndarray, nodes: np.ndarray, offers: int) -> int:
    """Take chosen and touched nodes off the top of a heap of offers; return how many are left."""
    x = c.scratch
    while offers > 0 and stamp in (x[X_NODE, nodes[0]], x[X_TOUCHED, nodes[0]]):
        offers -= 1
        prices[0], nodes[0] = prices[offers], nodes[offers]
        sink_pair(prices, nodes, 0, offers)
    return offers


@inner
def _cheapest_of(
    c: Columns,
    claim: Claim,
    want: Want,
    stamp: int,
    offered: tuple[int, int],
    touched: np.ndarray,
) -> tuple[int, int]:
    """Return the cheaper, the first on a tie, of an offer (price, node) and those touched since."""
    best_price, best_node = offered
    for node in touched:
        shelf = c.nodes[N_SHELF, node]
        is_asked = suits(c, claim.job, shelf) and _is_asked(c, shelf, claim.ways)
        if not is_asked or not _is_left(c, node, stamp):
            continue
        price = _price_now(c, claim, want, node, stamp)
        if 0 <= price < best_price or (price == best_price and node < best_node):
            best_price, best_node = price, node
        if price == 0:
            # They are in their order: no other is before it.
            break
    return int(best_price), int(best_node)


@inner
def _price_domain(
    c: Columns, claim: Claim, domain: Shelves, gpus: int, want: Want, rest: Want
) -> tuple[int, int]:
    """Pick nodes of a domain one by one at the least further price: (price, nodes) or (-1, 0).

    Args:
        gpus: devices of one of its nodes.
        rest: what the last node gives, if the gang does not come out even.
    """
    job, latest_s, ways = claim
    need, each, extra = shape_of(c, job, gpus)
    total = need + (1 if extra > 0 else 0)
    c.memo[M_STAMP, STAMP_MARKS] += 1
    stamp, price, home = c.memo[M_STAMP, STAMP_MARKS], 0, -1
    span, offers, shown = span_of(c, job, each), 0, 0
    is_heap = span == 1 and need > 1
    room = c.shelves[H_TO, domain.end - 1] - c.shelves[H_FROM, domain.begin]
    prices, nodes = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    touched = np.empty(room, dtype=np.int64)
    if is_heap:
        offers = _gather_offers(c, claim, want, domain, stamp, prices, nodes)
        if offers < need:
            # Whoever leaves one of them makes no other free that could not be had before.
            return -1, 0
    for at in range(total):
        part = want if at < need else rest
        if span == 1 or at % span == 0:
            home = -1
        if is_heap and at < need:
            offers = _drop_stale(c, stamp, prices, nodes, offers)
            first = (prices[0], nodes[0]) if offers > 0 else (_NONE, -1)
            _, node = _cheapest_of(c, claim, part, stamp, first, touched[:shown])
        else:
            node = _cheapest(c, claim, part, domain, span, home, stamp)
        if node < 0:
            return -1, 0
        cost, mask = free_on_node(c, job, node, part.devices, latest_s, stamp, ways | MARKING)
        c.scratch[X_NODE, node] = stamp
        shown = _touch(c, node, domain, stamp, touched, shown)
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
def _choose_at(c: Columns, claim: Claim, group: int, level: int, want: Want, rest: Want) -> int:
    """Fill ``picks`` from the cheapest domain of a level; return how many rows, or 0."""
    gpus, begin, last = c.groups[G_GPUS, group], c.groups[G_FROM, group], c.groups[G_TO, group]
    best, best_price, looked_at, total = Shelves(-1, -1), _NONE, -1, 0
    while begin < last:
        domain = Shelves(begin, _end_of_domain(c, begin, last, level))
        price, count = _price_domain(c, claim, domain, gpus, want, rest)
        if 0 <= price < best_price:
            best, best_price, total = domain, price, count
        looked_at, begin = begin, domain.end
    if 0 <= best.begin < looked_at:
        # Those of a domain behind it were written over its picks.
        return int(_price_domain(c, claim, best, gpus, want, rest)[1])
    return int(total)


@inner
def choose_victims(c: Columns, job: int, types: int, latest_s: int, ways: int) -> int:
    """Fill ``picks`` with the cheapest devices of the narrowest domain; return how many rows.

    With ``MOVING`` as the way, small own gangs may be asked to move as well.
    """
    claim = Claim(job, latest_s, ways)
    for group in range(c.groups.shape[1]):
        if not types >> c.groups[G_TYPE, group] & 1:
            continue
        need, each, extra = shape_of(c, job, c.groups[G_GPUS, group])
        if each > c.groups[G_GPUS, group] or span_of(c, job, each) == 0:
            continue
        want = Want(each, _question(c, job, each, ways))
        rest = Want(extra, _question(c, job, extra, ways) if extra > 0 else 0)
        spread = need > 1 or extra > 0
        widest = widest_level(c, job) if spread else AT_ANY
        for level in range(AT_LEAF if spread else AT_ANY, widest + 1):
            count = _choose_at(c, claim, group, level, want, rest)
            if count > 0:
                return int(count)
    return 0
