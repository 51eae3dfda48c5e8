"""Offers: until when one may be accepted, and who is next in line for what came free."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dure.core.calendar import DAY_S, civil, moment_s
from dure.core.calls.model import Call
from dure.core.events.offers import AwardOffered
from dure.core.events.programme import Decided
from dure.core.programme import Refusal


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry of the waitlist: a size, and its place in the line of one accelerator."""

    application: str
    gpus: int
    position: int
    track: str = ""
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """What a call has free of one accelerator, and what the rules of its share-out leave of it.

    Attributes:
        track_gpus, organisation_gpus: what each track and lead institution holds.
        floors: GPUs that are kept for a track as long as those who wait in it can use them.
        organisation_cap_gpus: most that one institution may hold; None for no cap.
    """

    free_gpus: int
    track_gpus: Mapping[str, int] = field(default_factory=dict)
    floors: Mapping[str, int] = field(default_factory=dict)
    organisation_gpus: Mapping[str, int] = field(default_factory=dict)
    organisation_cap_gpus: int | None = None

    def open_gpus(self, one: Waiting, waited_gpus: Mapping[str, int]) -> int:
        """Return the largest size that one who waits may get while floors are kept.

        Args:
            waited_gpus: what is waited for, by track.
        """
        kept = 0
        for track, floor in self.floors.items():
            held = self.track_gpus.get(track, 0)
            if track != one.track:
                kept += max(0, min(floor, held + waited_gpus.get(track, 0)) - held)
        return min(self.free_gpus - kept, self.most_gpus(one))

    def most_gpus(self, one: Waiting) -> int:
        """Return the largest size that one who waits may get, floors or not."""
        if self.organisation_cap_gpus is None:
            return self.free_gpus
        held = self.organisation_gpus.get(one.organisation, 0)
        return min(self.free_gpus, self.organisation_cap_gpus - held)


@dataclass(frozen=True, slots=True)
class Next:
    """Who gets freed capacity, and who before it wants more than there is for them."""

    waiting: Waiting
    skipped: tuple[str, ...]


def offer_due_at_s(call: Call, at_s: int) -> int:
    """Return the end of the last day, in Korea, on which an offer may be accepted; 0: for ever."""
    if not call.answer_days:
        return 0
    return moment_s(str(civil(at_s).date())) + (call.answer_days + 1) * DAY_S


def offers_of(call: Call, decided: Iterable[Decided]) -> tuple[AwardOffered, ...]:
    """Return the offers that come with decisions; those on providers are agreed on otherwise."""
    if call.kind == "supply":
        return ()
    return tuple(
        AwardOffered(
            one.application,
            one.call,
            one.project,
            one.accelerator,
            one.gpus,
            offer_due_at_s(call, one.at_s),
            at_s=one.at_s,
            by=one.by,
        )
        for one in decided
        if one.decision == "selected"
    )


def floor_gpus(call: Call, accelerator: str) -> dict[str, int]:
    """Return the floor of each track of a call, in whole nodes."""
    capacity, node = call.capacity.get(accelerator, 0), call.node_gpus
    return {
        track: capacity * percent // 100 // node * node for track, percent in call.shares.items()
    }


def next_in_line(waiting: Sequence[Waiting], room: Room) -> Next | Refusal:
    """Choose who gets freed capacity: the first in line whose whole size fits.

    Freed capacity does not stand idle until it is enough for somebody further up: those before
    keep their place, and are named as skipped. The rules are those of the share-out: what a track
    lacks of its floor is kept from others, unless nobody who waits in it can use it; nobody passes
    the cap of an institution.
    """
    if not waiting:
        return Refusal.NOBODY_WAITS
    line = sorted(waiting, key=lambda one: (one.position, one.application))
    waited: dict[str, int] = {}
    for one in line:
        waited[one.track] = waited.get(one.track, 0) + one.gpus
    for keeps_floors in (True, False):
        skipped: list[str] = []
        for one in line:
            most = room.open_gpus(one, waited) if keeps_floors else room.most_gpus(one)
            if one.gpus <= most:
                return Next(one, tuple(skipped))
            skipped.append(one.application)
    return Refusal.NOBODY_FITS
