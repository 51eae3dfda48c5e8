"""A call's capacity shared out by its rule, as the committee set it, ready to be put before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from dure.core.awards import (
    Award,
    Candidate,
    Reason,
    award_by_rank,
    below_line,
    is_eligible,
    places,
)
from dure.core.calls.model import Call
from dure.core.share_optimum import Optimum, find_optimum, settle_likes
from dure.core.share_options import Pick, Space, keeps_band, space_of, total_value, walk_by_rank
from dure.core.share_reasons import Standing, cheapest_swap, explain_pick, explain_wait

# Swaps are looked for anew so many times at most; each raises the total, so few are ever found.
POLISHES_MAX = 20


@dataclass(frozen=True, slots=True)
class Moves:
    """What the committee sets. ``line_milli`` 0 leaves the call's own; ``excluded``: reasons."""

    line_milli: int = 0
    pinned: frozenset[str] = frozenset()
    excluded: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShareOut:
    """Awards in order of rank, and what they are worth.

    Attributes:
        value: sum of comparable score x size of all selected (x months, if the call dates awards),
            thousandths of a point x GPUs; in exchange units if the call has them.
        bound: no share-out under the same rules and moves is worth more: proven.
        rank_value: what the plain walk down the order is worth under the same rules and moves.
    """

    awards: tuple[Award, ...]
    value: int
    bound: int
    rank_value: int


def share_out(candidates: Sequence[Candidate], call: Call, moves: Moves | None = None) -> ShareOut:
    """Decide on every application by the call's rule and the committee's moves.

    Raises:
        PolicyError: if floors add up to more than 100 percent.
    """
    moves = moves or Moves()
    if moves.line_milli:
        call = msgspec.structs.replace(call, score_min_milli=moves.line_milli)
    admitted = [
        replace(one, is_pinned=one.application in moves.pinned)
        for one in candidates
        if one.application not in moves.excluded
    ]
    excluded = [_excluded(one) for one in candidates if one.application in moves.excluded]
    shared = _by_rank(admitted, call) if call.rule == "rank" else _by_optimum(admitted, call)
    place = places(candidates)
    awards = [replace(one, rank=place[one.application]) for one in (*shared.awards, *excluded)]
    awards.sort(key=lambda one: one.rank)
    return replace(shared, awards=_with_positions(awards))


def unplaced(shared: ShareOut, moves: Moves) -> tuple[str, ...]:
    """Return the pinned applications for which there was no room, not even before all others."""
    placed = {one.application for one in shared.awards if one.decision == "selected"}
    return tuple(sorted(moves.pinned - placed))


def _by_rank(candidates: Sequence[Candidate], call: Call) -> ShareOut:
    """Walk down the order; the optimum of the very same rules says what that costs."""
    call = msgspec.structs.replace(call, start_months=(0,), scaled_min_percent=100)
    plain = [replace(one, accepts=()) for one in candidates]
    space = space_of(plain, call)
    value = total_value(walk_by_rank(space))
    return ShareOut(award_by_rank(plain, call), value, find_optimum(space).bound, value)


def _by_optimum(candidates: Sequence[Candidate], call: Call) -> ShareOut:
    space = space_of(candidates, call)
    found = find_optimum(space)
    standing = _polished(space, found)
    awards = [
        explain_pick(space, standing.picks[one.application])
        if one.application in standing.picks
        else explain_wait(standing, one)
        for one in space.candidates
    ]
    awards += [below_line(one, call) for one in candidates if not is_eligible(one, call)]
    value = total_value(standing.picks)
    return ShareOut(tuple(awards), value, max(found.bound, value), found.rank_value)


def _polished(space: Space, found: Optimum) -> Standing:
    """Carry out every swap that we would otherwise have to name as a better share-out."""
    standing = Standing(space, found.picks, found.kept)
    banded = keeps_band(space, found.picks)
    for _ in range(POLISHES_MAX):
        for one in space.candidates:
            if one.application in standing.picks:
                continue
            swap = cheapest_swap(standing, space.options[one.application])
            if swap is not None and swap.score_needed_milli <= one.score_milli:
                break
        else:
            return standing
        gone = {pick.option.candidate.application for pick in swap.leaving}
        picks = {name: pick for name, pick in standing.picks.items() if name not in gone}
        picks = settle_likes(space, picks | {one.application: Pick(swap.option, swap.gpus)})
        if banded and not keeps_band(space, picks):
            return standing
        standing = Standing(space, picks, found.kept)
    return standing


def _excluded(one: Candidate) -> Award:
    numbers = {"asked_gpus": one.asked_gpus, "score_milli": one.score_milli}
    reason = Reason.EXCLUDED_BY_COMMITTEE
    return Award(one.application, one.accelerator, "rejected", 0, 0, 0, reason, numbers)


def _with_positions(awards: Sequence[Award]) -> tuple[Award, ...]:
    """Number the waiting of each accelerator in order of rank."""
    waiting: dict[str, int] = {}
    placed = []
    for one in awards:
        position = 0
        if one.decision == "waitlisted":
            position = waiting[one.accelerator] = waiting.get(one.accelerator, 0) + 1
        placed.append(replace(one, position=position))
    return tuple(placed)
