"""Sizes and line by rank: who gets how much of a call's capacity, each cut explained in numbers.

The rule, for each accelerator by itself: go down the comparable order; whoever fits gets its size.
What a track still lacks of its floor is kept from the others. Afterwards whatever floors could not
use goes to those passed over, in the same order. Whom the committee pinned comes before all others.
``core.share_out`` has the other rule, and puts both before the committee.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction

from dure.core.calls.model import Call
from dure.core.errors import PolicyError
from dure.core.events.programme import Outcome
from dure.core.review import ranks


class Reason(Enum):
    """Why a decision is as it is; the numbers beside it fill its sentence."""

    SELECTED = "Selected"
    SELECTED_BY_EVIDENCE = "SelectedByEvidence"
    SELECTED_BELOW_LARGE = "SelectedBelowLarge"
    SELECTED_FROM_FLOOR = "SelectedFromFloor"
    SELECTED_SCALED = "SelectedScaled"
    SELECTED_IN_PROPORTION = "SelectedInProportion"
    SELECTED_LATER = "SelectedLater"
    SELECTED_BY_COMMITTEE = "SelectedByCommittee"
    WAITS_FOR_CAPACITY = "WaitsForCapacity"
    WAITS_FOR_SCORE = "WaitsForScore"
    WAITS_FOR_SIZE = "WaitsForSize"
    WAITS_FOR_ORGANISATION = "WaitsForOrganisation"
    OUTWEIGHED = "Outweighed"
    OUTWEIGHED_AT_ANY_SCORE = "OutweighedAtAnyScore"
    WAITS_FOR_FLOOR = "WaitsForFloor"
    WAITS_FOR_ORDER = "WaitsForOrder"
    BELOW_SCORE_LINE = "BelowScoreLine"
    EXCLUDED_BY_COMMITTEE = "ExcludedByCommittee"
    STAGE_FAILED = "StageFailed"
    PEER_REVIEW_LATE = "PeerReviewLate"
    SELECTED_AT_ONCE = "SelectedAtOnce"
    APPEAL_UPHELD = "AppealUpheld"
    SUPPLY_SELECTED = "SupplySelected"
    SUPPLY_CUT = "SupplyCut"
    WAITS_FOR_BUDGET = "WaitsForBudget"
    CALL_FAILED = "CallFailed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An application as the share-out sees it.

    Attributes:
        accelerator: the one preferred; all sizes are of it.
        evidence_gpus: what the stated work needs; 0: none could be derived.
        is_preferred: goes before others of an equal score.
        months: term asked; 0 is the longest that the call allows.
        accepts: other accelerators that would do, the preferred first.
        least_gpus: smallest useful size; 0 leaves it to the call.
        is_pinned: the committee selects it whatever its score.
        order_milli: the score by which it is served where a lot was drawn; -1: its own score.
        lot: its place among those of one ``order_milli``, the lowest first.
    """

    application: str
    track: str
    organisation: str
    accelerator: str
    asked_gpus: int
    evidence_gpus: int
    score_milli: int
    is_preferred: bool = False
    months: int = 0
    accepts: tuple[str, ...] = ()
    least_gpus: int = 0
    is_pinned: bool = False
    order_milli: int = -1
    lot: int = 0

    @property
    def serves_milli(self) -> int:
        """Return the score by which it is served."""
        return self.score_milli if self.order_milli < 0 else self.order_milli


@dataclass(frozen=True, slots=True)
class Award:
    """What the rules say about one application; fields as in ``Decided``."""

    application: str
    accelerator: str
    decision: Outcome
    gpus: int
    rank: int
    position: int
    reason: Reason
    numbers: Mapping[str, int]
    from_month: int = 0


def check_floors(call: Call) -> None:
    """Raise PolicyError if floors add up to more than 100 percent."""
    if sum(call.shares.values()) > 100:
        raise PolicyError(
            f"the floors of call {call.call} add up to {sum(call.shares.values())} percent; "
            "expected 100 or less. Lower one of `shares`."
        )


def in_turn(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates as they are served: pinned ones, then by score, lot, identifier.

    Of an equal score, those whom the call prefers come first.
    """
    return sorted(
        candidates,
        key=lambda one: (
            not one.is_pinned,
            -one.serves_milli,
            one.lot,
            not one.is_preferred,
            one.application,
        ),
    )


def places(candidates: Sequence[Candidate]) -> dict[str, int]:
    """Number the candidates from the best score, 1; lots and pins change no rank."""
    preferred = frozenset(one.application for one in candidates if one.is_preferred)
    return ranks({one.application: one.score_milli for one in candidates}, preferred=preferred)


def is_eligible(candidate: Candidate, call: Call) -> bool:
    """Tell whether a candidate is at the score line or above, or pinned."""
    return candidate.is_pinned or candidate.score_milli >= call.score_min_milli


def sized_gpus(candidate: Candidate, call: Call) -> int:
    """Cut the wish to evidence, cap and, below the large line, to less than a large project.

    Returns:
        Whole nodes, at least one, in GPUs.
    """
    node, kind = call.node_gpus, candidate.accelerator
    gpus = min(candidate.asked_gpus, call.caps.get(kind, candidate.asked_gpus))
    if candidate.evidence_gpus:
        # A part of a node that is needed is a node that is needed.
        gpus = min(gpus, -(-candidate.evidence_gpus // node) * node)
    large_from = call.large_from.get(kind, gpus + 1)
    if gpus >= large_from and candidate.score_milli < call.large_score_min_milli:
        gpus = large_from - 1
    return max(gpus // node, 1) * node


def scaled_gpus(sizes: Mapping[str, int], capacity_gpus: int, call: Call) -> dict[str, int]:
    """Cut all sizes in the same proportion, so that they fit; sizes that fit stay as they are.

    What rounding leaves, or lacks, is given to or taken from whoever has the smallest or largest
    part of its size, the lower identifier on a tie.

    Returns:
        Whole nodes, at least one, and no less of a size than ``scaled_min_percent`` where that is
        below 100; so they may still be more than there is.
    """
    node, capacity = call.node_gpus, capacity_gpus // call.node_gpus
    whole = {name: gpus // node for name, gpus in sorted(sizes.items())}
    wanted = sum(whole.values())
    if wanted <= capacity:
        return dict(sizes)
    percent = call.scaled_min_percent if call.scaled_min_percent < 100 else 0
    least = {name: max(nodes * percent // 100, 1) for name, nodes in whole.items()}
    given = {name: max(n * capacity // wanted, least[name]) for name, n in whole.items()}

    def part(name: str) -> Fraction:
        """Return how much of its whole size one is given."""
        return Fraction(given[name], whole[name])

    while sum(given.values()) > capacity:
        more = [name for name in given if given[name] > least[name]]
        if not more:
            break
        given[max(more, key=part)] -= 1
    while sum(given.values()) < capacity:
        given[min(given, key=part)] += 1
    return {name: nodes * node for name, nodes in given.items()}


def award_by_rank(candidates: Sequence[Candidate], call: Call) -> tuple[Award, ...]:
    """Decide on every application of a call, each for its preferred accelerator, from month 0.

    Returns:
        Awards in order of rank. Selected sizes never exceed the capacity, a project's cap or an
        organisation's. A waitlisted award's numbers say what would have changed it, the others
        being equal: ``score_needed_milli`` for the same size (absent if none would),
        ``size_fitting_gpus`` (0 if none would).

    Raises:
        PolicyError: if floors add up to more than 100 percent.
    """
    check_floors(call)
    place = places(candidates)
    order = in_turn(candidates)
    awards: list[Award] = []
    for accelerator in sorted({one.accelerator for one in candidates}):
        line = _Line(call, accelerator, [one for one in order if one.accelerator == accelerator])
        awards += line.decide()
    ranked = [replace(one, rank=place[one.application]) for one in awards]
    return tuple(sorted(ranked, key=lambda one: one.rank))


@dataclass(slots=True)
class _Turn:
    """What was open to an application when its turn came, and to every track before it."""

    candidate: Candidate
    gpus: int
    open_gpus: int
    fitting_gpus: int
    taken: bool
    before: dict[str, int]


@dataclass(slots=True)
class _Line:
    """The walk down one accelerator's order."""

    call: Call
    accelerator: str
    order: Sequence[Candidate]
    given: dict[str, int] = field(default_factory=dict)
    organisations: dict[str, int] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)
    whole: dict[str, int] = field(default_factory=dict)
    free_gpus: int = 0

    def decide(self) -> list[Award]:
        """Return the awards of one accelerator, in the order of the candidates."""
        eligible = [one for one in self.order if is_eligible(one, self.call)]
        self.free_gpus = self.call.capacity.get(self.accelerator, 0)
        self.whole = {one.application: sized_gpus(one, self.call) for one in eligible}
        sizes = self.whole
        if self.call.scales_awards:
            sizes = scaled_gpus(self.whole, self.free_gpus, self.call)
        for track, percent in self.call.shares.items():
            wanted = sum(sizes[one.application] for one in eligible if one.track == track)
            floor = self.free_gpus * percent // 100 // self.call.node_gpus * self.call.node_gpus
            # A floor that nobody claims must not keep capacity from the others.
            self.floors[track] = min(floor, wanted)
        turns = [self._turn(one, sizes[one.application]) for one in eligible]
        awards = []
        for turn in turns:
            late = not turn.taken and self._takes(turn, open_gpus=self.free_gpus)
            awards.append(self._award(turn, turns, from_floor=late))
        waiting = [one.application for one in awards if one.decision == "waitlisted"]
        position = {name: place for place, name in enumerate(waiting, start=1)}
        awards = [replace(one, position=position.get(one.application, 0)) for one in awards]
        return awards + [
            below_line(one, self.call) for one in self.order if not is_eligible(one, self.call)
        ]

    def _turn(self, candidate: Candidate, gpus: int) -> _Turn:
        tracks = {one.track for one in self.order}
        before = {track: self._open(track) for track in tracks}
        turn = _Turn(candidate, gpus, before[candidate.track], 0, False, before)
        turn.taken = self._takes(turn, open_gpus=turn.open_gpus)
        return turn

    def _open(self, track: str) -> int:
        """Return what this track may take now: what is free less what others' floors lack."""
        lacking = sum(
            max(0, floor - self.given.get(other, 0))
            for other, floor in self.floors.items()
            if other != track
        )
        return self.free_gpus - lacking

    def _room(self, used_gpus: int) -> int:
        cap = self.call.organisation_caps.get(self.accelerator)
        return self.free_gpus if cap is None else max(0, cap - used_gpus)

    def _takes(self, turn: _Turn, *, open_gpus: int) -> bool:
        one = turn.candidate
        used = self.organisations.get(one.organisation, 0)
        fitting_gpus = min(open_gpus, self._room(used))
        if turn.gpus > fitting_gpus:
            turn.open_gpus = max(turn.open_gpus, open_gpus)
            turn.fitting_gpus = max(turn.fitting_gpus, fitting_gpus)
            return False
        self.free_gpus -= turn.gpus
        self.given[one.track] = self.given.get(one.track, 0) + turn.gpus
        self.organisations[one.organisation] = used + turn.gpus
        return True

    def _award(self, turn: _Turn, turns: Sequence[_Turn], *, from_floor: bool) -> Award:
        one = turn.candidate
        numbers = {"asked_gpus": one.asked_gpus, "gpus": turn.gpus, "score_milli": one.score_milli}
        if one.evidence_gpus:
            numbers["evidence_gpus"] = one.evidence_gpus
        if turn.taken or from_floor:
            reason = Reason.SELECTED_FROM_FLOOR if from_floor else why_selected(one, turn.gpus)
            if turn.gpus < self.whole[one.application]:
                reason = Reason.SELECTED_IN_PROPORTION
                numbers["size_most_gpus"] = self.whole[one.application]
            return Award(
                one.application, one.accelerator, "selected", turn.gpus, 0, 0, reason, numbers
            )
        node = self.call.node_gpus
        used = self.organisations.get(one.organisation, 0)
        cap = self.call.organisation_caps.get(self.accelerator)
        held_by_cap = cap is not None and turn.gpus <= turn.open_gpus
        numbers["open_gpus"] = turn.open_gpus
        numbers["size_fitting_gpus"] = turn.fitting_gpus // node * node
        if cap is not None:
            numbers |= {"organisation_gpus": used, "organisation_cap_gpus": cap}
        needed = _score_needed_milli(turn, turns, cap)
        if needed is not None:
            numbers["score_needed_milli"] = needed
        if held_by_cap:
            reason = Reason.WAITS_FOR_ORGANISATION
        elif needed is None:
            reason = Reason.WAITS_FOR_SIZE
        elif turn.fitting_gpus < node:
            reason = Reason.WAITS_FOR_SCORE
        else:
            reason = Reason.WAITS_FOR_CAPACITY
        return Award(
            one.application, one.accelerator, "waitlisted", turn.gpus, 0, 0, reason, numbers
        )


def below_line(one: Candidate, call: Call) -> Award:
    """Refuse an application whose score is below the line."""
    numbers = {
        "asked_gpus": one.asked_gpus,
        "score_milli": one.score_milli,
        "score_needed_milli": call.score_min_milli,
    }
    reason = Reason.BELOW_SCORE_LINE
    return Award(one.application, one.accelerator, "rejected", 0, 0, 0, reason, numbers)


def why_selected(one: Candidate, gpus: int) -> Reason:
    """Tell what cut a size that was selected."""
    if one.is_pinned:
        return Reason.SELECTED_BY_COMMITTEE
    if gpus >= one.asked_gpus:
        return Reason.SELECTED
    by_evidence = 0 < one.evidence_gpus <= gpus
    return Reason.SELECTED_BY_EVIDENCE if by_evidence else Reason.SELECTED_BELOW_LARGE


def _score_needed_milli(turn: _Turn, turns: Sequence[_Turn], cap: int | None) -> int | None:
    """Find a score that would have been enough for this size; None if none would.

    What is open to a track never grows on the way down the order, so it is a thousandth of a point
    more than whoever stood at the last place where the size still fitted.
    """
    one, used, needed = turn.candidate, 0, None
    for other in turns:
        if other is turn:
            break
        if turn.gpus > other.before[one.track] or (cap is not None and used + turn.gpus > cap):
            break
        if not other.candidate.is_pinned:
            # No score comes before whom the committee pinned.
            needed = other.candidate.serves_milli + 1
        if other.taken and other.candidate.organisation == one.organisation:
            used += other.gpus
    return needed
