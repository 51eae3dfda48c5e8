"""What a share-out may choose from: options of each application, and the room they compete for.

Time has months of its own here: a call that starts all awards at once has a single month, one that
dates them has as many as its longest term, and everything then counts in GPU-months.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dure.core.awards import Candidate, check_floors, in_turn, is_eligible, sized_gpus
from dure.core.calls.model import Call

Share = tuple[str, str]  # track, accelerator
NOBODY_MILLI = -1


@dataclass(frozen=True, slots=True)
class Option:
    """One way to serve an application: a type, a first month, whole nodes between two sizes.

    Attributes:
        months: how many it takes, of ``Space.months``.
        least_weight: GPUs (in exchange units) x months x 1000 at the smallest size.
        node_weight: what each further node adds.
    """

    candidate: Candidate
    accelerator: str
    from_month: int
    months: int
    node_gpus: int
    least_gpus: int
    most_gpus: int
    least_weight: int
    node_weight: int

    @property
    def to_month(self) -> int:
        """Return the month after its last."""
        return self.from_month + self.months

    @property
    def key(self) -> tuple[str, int, int, int, int]:
        """Return all but the candidate: options of one key are served by the same room."""
        return self.accelerator, self.from_month, self.months, self.least_gpus, self.most_gpus

    def weight(self, gpus: int) -> int:
        """Return what a size counts for before the score is known, in thousandths."""
        return self.least_weight + (gpus - self.least_gpus) // self.node_gpus * self.node_weight

    def value(self, gpus: int) -> int:
        """Return score x weight: thousandths of a point x GPU (or GPU-month)."""
        return self.candidate.score_milli * self.weight(gpus) // 1000


@dataclass(frozen=True, slots=True)
class Pick:
    """An option taken at a size."""

    option: Option
    gpus: int

    @property
    def value(self) -> int:
        """Return what the option is worth at this size."""
        return self.option.value(self.gpus)


Picks = Mapping[str, Pick]


@dataclass(frozen=True, slots=True)
class Space:
    """A call's eligible candidates in turn, the options of each, and the floors in GPUs."""

    call: Call
    months: int
    candidates: tuple[Candidate, ...]
    options: Mapping[str, tuple[Option, ...]]
    floors: Mapping[Share, int]

    def compares(self, one: Candidate) -> bool:
        """Tell whether a candidate's place may be held against others' scores.

        Not one that was pinned, that has no option, or whose organisation's cap may bind.
        """
        capped = any(
            kind in self.call.organisation_caps for kind in (one.accelerator, *one.accepts)
        )
        return not (one.is_pinned or capped or not self.options[one.application])


def group_of(one: Candidate) -> Share:
    """Return with whom a candidate competes: its track and preferred accelerator."""
    return one.track, one.accelerator


def space_of(candidates: Sequence[Candidate], call: Call) -> Space:
    """Lay out what a call's rules allow.

    Raises:
        PolicyError: if floors add up to more than 100 percent.
    """
    check_floors(call)
    months = call.months_max if len(call.start_months) > 1 else 1
    eligible = in_turn([one for one in candidates if is_eligible(one, call)])
    floors = {}
    for accelerator, capacity in sorted(call.capacity.items()):
        for track, percent in sorted(call.shares.items()):
            wanted = sum(
                sized_gpus(one, call)
                for one in eligible
                if (one.track, one.accelerator) == (track, accelerator)
            )
            floor = _whole(capacity * percent // 100, call.node_gpus)
            # A floor that nobody claims must not keep capacity from the others.
            floors[track, accelerator] = min(floor, wanted)
    options = {one.application: _options(one, call, months) for one in eligible}
    return Space(call, months, tuple(eligible), options, floors)


def _options(one: Candidate, call: Call, horizon: int) -> tuple[Option, ...]:
    """Return a candidate's options: by type in its order, then by first month."""
    most_gpus = sized_gpus(one, call)
    least_gpus = most_gpus
    if call.scaled_min_percent < 100:
        least_gpus = max(-(-most_gpus * call.scaled_min_percent // 100), one.least_gpus)
        least_gpus = min(_whole(least_gpus + call.node_gpus - 1, call.node_gpus), most_gpus)
    own_units = call.exchange_units.get(one.accelerator, 1)
    term = min(one.months or horizon, horizon)
    starts = [start for start in sorted(call.start_months) if start + term <= horizon]
    found = []
    for accelerator in dict.fromkeys((one.accelerator, *one.accepts)):
        if accelerator not in call.capacity:
            continue
        units = call.exchange_units.get(accelerator, 1)
        most, least = most_gpus, least_gpus
        if accelerator != one.accelerator:
            most, least = _exchanged(one, call, accelerator, most_gpus, least_gpus)
        # A node is the least there is; units beyond those wanted are worth nothing.
        least_units = min(least * units, most_gpus * own_units)
        more_weight = call.node_gpus * units * term * call.extra_milli
        for start in starts if horizon > 1 else [0]:
            found.append(
                Option(one, accelerator, start, term, call.node_gpus, least, most,
                       least_units * term * 1000, more_weight)
            )  # fmt: skip
    return tuple(found)


def _exchanged(
    one: Candidate, call: Call, accelerator: str, most_gpus: int, least_gpus: int
) -> tuple[int, int]:
    """Return (most, least) GPUs of another type that are worth what was asked, in whole nodes."""
    own = call.exchange_units.get(one.accelerator, 1)
    units = call.exchange_units.get(accelerator, 1)
    asked = max(_whole(most_gpus * own // units, call.node_gpus), call.node_gpus)
    other = replace(one, accelerator=accelerator, asked_gpus=asked, evidence_gpus=0)
    most = sized_gpus(other, call)
    least = _whole(-(-least_gpus * own // units) + call.node_gpus - 1, call.node_gpus)
    return most, min(most, max(least, call.node_gpus))


def _whole(gpus: int, node_gpus: int) -> int:
    return gpus // node_gpus * node_gpus


@dataclass(slots=True)
class Room:
    """What is left of each accelerator in each month, and who has what of it."""

    space: Space
    free: dict[str, list[int]] = field(default_factory=dict)
    given: dict[Share, list[int]] = field(default_factory=dict)
    organisations: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        months = self.space.months
        self.free = {kind: [gpus] * months for kind, gpus in self.space.call.capacity.items()}
        self.given = defaultdict(lambda: [0] * months)
        self.organisations = defaultdict(lambda: [0] * months)

    def put(self, picks: Iterable[Pick]) -> "Room":
        """Take room for each pick; return this room."""
        for pick in picks:
            self.take(pick.option, pick.gpus)
        return self

    def take(self, option: Option, gpus: int) -> None:
        """Take room; a negative size gives it back."""
        one = option.candidate
        given = self.given[one.track, option.accelerator]
        held = self.organisations[option.accelerator, one.organisation]
        free = self.free[option.accelerator]
        for month in range(option.from_month, option.to_month):
            free[month] -= gpus
            given[month] += gpus
            held[month] += gpus

    def fitting_gpus(
        self, option: Option, *, keeps_floors: bool = False, caps_organisations: bool = True
    ) -> int:
        """Return the most GPUs, in whole nodes, that still fit an option; may be below its least.

        Args:
            keeps_floors: leave what other tracks lack of their floors.
            caps_organisations: hold the organisation to its cap.
        """
        one, kind = option.candidate, option.accelerator
        cap = self.space.call.organisation_caps.get(kind) if caps_organisations else None
        held = self.organisations[kind, one.organisation]
        fitting = option.most_gpus
        for month in range(option.from_month, option.to_month):
            fitting = min(fitting, self.free[kind][month])
            if cap is not None:
                fitting = min(fitting, cap - held[month])
            if keeps_floors:
                fitting = min(fitting, self.free[kind][month] - self._lacking(one, kind, month))
        return max(0, _whole(fitting, option.node_gpus))

    def kept(self, share: Share) -> int:
        """Return what a track has of its floor, in GPU-months."""
        floor = self.space.floors.get(share, 0)
        return sum(min(floor, gpus) for gpus in self.given[share])

    def _lacking(self, one: Candidate, kind: str, month: int) -> int:
        return sum(
            max(0, floor - self.given[track, accelerator][month])
            for (track, accelerator), floor in self.space.floors.items()
            if accelerator == kind and track != one.track
        )


def walk_by_rank(space: Space) -> dict[str, Pick]:
    """Go down the order: whoever fits gets its whole size, in its first option that has room.

    What a track lacks of its floor is kept from the others; what floors could not use goes, in the
    same order, to those passed over. With one start and one type each it is ``award_by_rank``.
    """
    room, picks = Room(space), dict[str, Pick]()
    for keeps_floors in (True, False):
        for one in space.candidates:
            if one.application in picks:
                continue
            for option in space.options[one.application]:
                if room.fitting_gpus(option, keeps_floors=keeps_floors) == option.most_gpus:
                    room.take(option, option.most_gpus)
                    picks[one.application] = Pick(option, option.most_gpus)
                    break
    return picks


def total_value(picks: Picks) -> int:
    """Add up what a share-out is worth, in thousandths of a point x GPU (or GPU-month)."""
    return sum(pick.value for pick in picks.values())


@dataclass(frozen=True, slots=True)
class Edge:
    """The lowest score selected and the highest that waits; ``NOBODY_MILLI`` if there is none."""

    lowest_milli: int
    waiting_milli: int


def edges(space: Space, picks: Picks) -> dict[Share, Edge]:
    """Return where selected and waiting meet in each group, of those who may be compared."""
    selected: dict[Share, list[int]] = defaultdict(list)
    waiting: dict[Share, list[int]] = defaultdict(list)
    for one in space.candidates:
        if space.compares(one):
            side = selected if one.application in picks else waiting
            side[group_of(one)].append(one.score_milli)
    return {
        group: Edge(
            min(selected[group], default=NOBODY_MILLI), max(waiting[group], default=NOBODY_MILLI)
        )
        for group in {*selected, *waiting}
    }


def keeps_band(space: Space, picks: Picks) -> bool:
    """Tell whether nobody waits who scores the call's band more than somebody selected."""
    band = space.call.band_milli
    return band == 0 or all(
        NOBODY_MILLI in (edge.lowest_milli, edge.waiting_milli)
        or edge.waiting_milli - edge.lowest_milli < band
        for edge in edges(space, picks).values()
    )


def broken_rules(space: Space, picks: Picks, *, kept: Mapping[Share, int]) -> list[str]:
    """Name every rule that a share-out breaks; empty for a sound one.

    Args:
        kept: GPU-months of its floor that each track must have.
    """
    broken = []
    room = Room(space).put(picks.values())
    for name, pick in picks.items():
        option = pick.option
        sized = option.least_gpus <= pick.gpus <= option.most_gpus
        if option not in space.options[name] or not sized or pick.gpus % option.node_gpus:
            broken.append(f"{name}: {pick.gpus} GPUs of {option.key} is no option of it")
    for kind, free in room.free.items():
        broken += [f"{kind}: {-left} GPUs over in month {at}" for at, left in enumerate(free)
                   if left < 0]  # fmt: skip
    for (kind, organisation), held in room.organisations.items():
        cap = space.call.organisation_caps.get(kind)
        if cap is not None and max(held) > cap:
            broken.append(f"{organisation}: {max(held)} {kind} GPUs, its cap is {cap}")
    for share, least in kept.items():
        given = sum(room.given[share])
        if given < least:
            broken.append(f"{share}: {given} GPU-months, its floor keeps {least}")
    return broken
