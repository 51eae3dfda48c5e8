"""Why the optimum left an application out, in numbers that can be checked by hand.

Each answer is a swap: these awards make room, this score pays for them. A swap that is named keeps
every rule and raises the total; it need not be the cheapest that exists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dure.core.awards import Award, Candidate, Reason, why_selected
from dure.core.review import MARK_MAX
from dure.core.share_options import (
    NOBODY_MILLI,
    Edge,
    Option,
    Pick,
    Picks,
    Room,
    Share,
    Space,
    edges,
    group_of,
)

SCORE_MAX_MILLI = 1000 * MARK_MAX


@dataclass(frozen=True, slots=True)
class Swap:
    """Who would have to leave for an option at a size, and the score that pays for them."""

    option: Option
    gpus: int
    leaving: tuple[Pick, ...]
    score_needed_milli: int


def explain_pick(space: Space, pick: Pick) -> Award:
    """Say what an application gets, and what made it so."""
    option, one = pick.option, pick.option.candidate
    numbers = _numbers(one) | {"gpus": pick.gpus, "value_points": pick.value // 1000}
    if option.accelerator != one.accelerator:
        reason = Reason.SELECTED_LATER if option.from_month else why_selected(one, one.asked_gpus)
    elif pick.gpus < option.most_gpus:
        reason = Reason.SELECTED_SCALED
        numbers["size_most_gpus"] = option.most_gpus
    elif option.from_month:
        reason = Reason.SELECTED_LATER
    else:
        reason = why_selected(one, pick.gpus)
    if one.is_pinned:
        reason = Reason.SELECTED_BY_COMMITTEE
    if space.months > 1:
        numbers["from_month"] = option.from_month
    return Award(one.application, option.accelerator, "selected", pick.gpus, 0, 0, reason, numbers,
                 option.from_month)  # fmt: skip


class Standing:
    """A share-out as it stands: what it leaves free, and what an exchange must not break.

    Args:
        kept: GPU-months that each track keeps of its floor.
    """

    def __init__(self, space: Space, picks: Picks, kept: Mapping[Share, int]) -> None:
        self.space, self.picks, self.kept = space, picks, kept
        self.room = Room(space).put(picks.values())
        self._edges = edges(space, picks)

    def edge(self, one: Candidate) -> Edge:
        """Return where selected and waiting meet in a candidate's group."""
        return self._edges.get(group_of(one), Edge(NOBODY_MILLI, NOBODY_MILLI))


def explain_wait(standing: Standing, one: Candidate) -> Award:
    """Say why an application waits: what was left for it, which swap would have served it."""
    space, room = standing.space, standing.room
    options = space.options[one.application]
    numbers = _numbers(one)
    if not options:
        numbers["gpus"] = numbers["open_gpus"] = numbers["size_fitting_gpus"] = 0
        return _waits(one, Reason.WAITS_FOR_SIZE, numbers)
    first = options[0]
    numbers["gpus"] = first.most_gpus
    free = [room.fitting_gpus(option, caps_organisations=False) for option in options]
    fitting = [room.fitting_gpus(option) for option in options]
    numbers["open_gpus"] = max(free)
    numbers["size_fitting_gpus"] = max(fitting)
    cap = space.call.organisation_caps.get(first.accelerator)
    if cap is not None:
        held = room.organisations[first.accelerator, one.organisation]
        numbers |= {"organisation_gpus": max(held), "organisation_cap_gpus": cap}
    swap = cheapest_swap(standing, options)
    if swap is not None:
        numbers["leaving"] = len(swap.leaving)
        numbers["leaving_points"] = sum(pick.value for pick in swap.leaving) // 1000
        numbers["own_points"] = swap.option.value(swap.gpus) // 1000
        numbers["swap_gpus"] = swap.gpus
        if swap.score_needed_milli <= SCORE_MAX_MILLI:
            numbers["score_needed_milli"] = swap.score_needed_milli
    fits = any(gpus >= option.least_gpus for gpus, option in zip(free, options, strict=True))
    if fits and cap is not None:
        return _waits(one, Reason.WAITS_FOR_ORGANISATION, numbers)
    if swap is not None and not swap.leaving:
        numbers["band_milli"] = space.call.band_milli
        return _waits(one, Reason.WAITS_FOR_ORDER, numbers)
    if swap is not None:
        payable = swap.score_needed_milli <= SCORE_MAX_MILLI
        reason = Reason.OUTWEIGHED if payable else Reason.OUTWEIGHED_AT_ANY_SCORE
        return _waits(one, reason, numbers)
    without_floors = cheapest_swap(Standing(space, standing.picks, {}), options)
    reason = Reason.WAITS_FOR_SIZE if without_floors is None else Reason.WAITS_FOR_FLOOR
    return _waits(one, reason, numbers)


def cheapest_swap(standing: Standing, options: Sequence[Option]) -> Swap | None:
    """Find the lowest score at which an exchange would raise the total; None if none is found.

    For each option at its least size, awards leave in order of their worth a GPU-month until it
    fits; pinned ones stay, those that their track's floor needs, and those whose leaving would
    break the band.
    """
    found: Swap | None = None
    for option in options:
        leaving = _make_room(standing, option)
        if leaving is None:
            continue
        lost = sum(pick.value for pick in leaving)
        # The least score of which score x weight // 1000 is more than what is lost.
        needed = max(-(-(lost + 1) * 1000 // option.least_weight), _least_milli(standing, option))
        if leaving:
            out = max(pick.option.candidate.score_milli for pick in leaving)
            needed = max(needed, out - (standing.space.call.band_milli or out) + 1)
        if found is None or needed < found.score_needed_milli:
            found = Swap(option, option.least_gpus, leaving, needed)
    return found


def _least_milli(standing: Standing, option: Option) -> int:
    """Return the score below which somebody who waits would be passed over by the band."""
    band, edge = standing.space.call.band_milli, standing.edge(option.candidate)
    return edge.waiting_milli - band + 1 if band and edge.waiting_milli >= 0 else 0


def _make_room(standing: Standing, option: Option) -> tuple[Pick, ...] | None:
    """Return who would leave so that an option fits at its least size; the room stays as it is."""
    room, gone = standing.room, list[Pick]()
    for pick in _movable(standing, option):
        if room.fitting_gpus(option) >= option.least_gpus:
            break
        if _is_kept(standing, pick, option):
            continue
        room.take(pick.option, -pick.gpus)
        gone.append(pick)
    fits = room.fitting_gpus(option) >= option.least_gpus
    if fits:
        # Whoever left early, before a larger one did, may stay after all: the worthiest first.
        for pick in sorted(gone, key=lambda pick: (-pick.value, pick.option.candidate.application)):
            room.take(pick.option, pick.gpus)
            if room.fitting_gpus(option) < option.least_gpus or _overdrawn(room, pick):
                room.take(pick.option, -pick.gpus)
                continue
            gone.remove(pick)
    for pick in gone:
        room.take(pick.option, pick.gpus)
    return tuple(gone) if fits else None


def _movable(standing: Standing, option: Option) -> list[Pick]:
    """Return the awards in an option's way, those worth least a GPU-month first."""
    band = standing.space.call.band_milli
    in_the_way = []
    for pick in standing.picks.values():
        other, one = pick.option, pick.option.candidate
        meets = other.from_month < option.to_month and option.from_month < other.to_month
        if other.accelerator != option.accelerator or not meets or one.is_pinned:
            continue
        edge = standing.edge(one)
        if band and edge.lowest_milli >= 0 and one.score_milli - edge.lowest_milli >= band:
            continue
        in_the_way.append(pick)
    return sorted(
        in_the_way,
        key=lambda pick: (
            pick.value // (pick.gpus * pick.option.months),
            pick.option.candidate.application,
        ),
    )


def _is_kept(standing: Standing, pick: Pick, option: Option) -> bool:
    """Tell whether a track's floor needs an award that another would replace."""
    track = pick.option.candidate.track
    less = pick.gpus * pick.option.months
    if track == option.candidate.track:
        # Its place stays in the track.
        less -= option.least_gpus * option.months
    share = track, pick.option.accelerator
    return sum(standing.room.given[share]) - less < standing.kept.get(share, 0)


def _overdrawn(room: Room, pick: Pick) -> bool:
    free = room.free[pick.option.accelerator]
    return any(free[month] < 0 for month in range(pick.option.from_month, pick.option.to_month))


def _numbers(one: Candidate) -> dict[str, int]:
    numbers = {"asked_gpus": one.asked_gpus, "score_milli": one.score_milli}
    return numbers | ({"evidence_gpus": one.evidence_gpus} if one.evidence_gpus else {})


def _waits(one: Candidate, reason: Reason, numbers: dict[str, int]) -> Award:
    return Award(one.application, one.accelerator, "waitlisted", numbers["gpus"], 0, 0, reason,
                 numbers)  # fmt: skip
