"""What meters bring, and which of it can be believed.

A meter's source may be wrong in any way: a node that nobody owns, a clock that is ahead, a counter
that began anew. One bad record is set aside with its reason and counted; the rest goes on.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

HOST = -1  # the device of a sample that is of a job's processes, not of a GPU
# What a sample may hold, a row each: gauges as they stand, then counters since some start.
# GPU utilisation in thousandths, memory in MiB (a GPU's, or a job's on its host), power in mW.
GAUGES = ("busy_milli", "memory_mib", "power_mw")
# Energy in mJ, processor time in ms.
COUNTERS = ("energy_mj", "cpu_ms")
METRICS = (*GAUGES, *COUNTERS)
(BUSY, MEMORY, POWER, ENERGY, CPU) = range(len(METRICS))
_MOST = np.array([1_000, 1 << 24, 100_000_000, 1 << 53, 1 << 53], dtype=np.float64)
NOT_MEASURED = -1

# A clock may be ahead by so much before we call it wrong.
AHEAD_S_MAX = 60
# Raw samples are kept for so long; what is older has been rolled up for good.
KEPT_S = 172_800
# A gap longer than this is no period of measurement: nobody looked.
COVERS_S_MAX = 60
# Jobs come and go, and their units with them: those not heard of for so long are forgotten when
# there are many.
FORGOTTEN_S = 3_600
UNITS_KEPT = 65_536
EXAMPLES_MAX = 100


class Aside(Enum):
    """Why a record was set aside. The values are stable: metrics count them."""

    UNKNOWN_NODE = "UnknownNode"
    UNKNOWN_DEVICE = "UnknownDevice"
    UNREADABLE = "Unreadable"
    FUTURE_TIME = "FutureTime"
    TOO_OLD = "TooOld"
    REPEATED = "Repeated"
    NOT_A_NUMBER = "NotANumber"
    NEGATIVE = "Negative"
    TOO_LARGE = "TooLarge"
    COUNTER_RESET = "CounterReset"


class Unit(NamedTuple):
    """What a series of samples is about: a GPU, or (``device`` ``HOST``) a job's processes.

    Attributes:
        job: what the source says runs there, "" if it says nothing.
    """

    node: str
    device: int
    job: str = ""


class Signal(NamedTuple):
    """A device reported an error: an XID of the driver."""

    at_s: int
    node: str
    device: int
    xid: int
    job: str = ""


class SetAside(NamedTuple):
    """One bad record: why, and what it said, for a person."""

    reason: Aside
    what: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples as a meter brought them; nothing is checked yet.

    Attributes:
        units: what the samples are about.
        unit: index into ``units``, shape (sample,).
        at_s: when, on the source's clock, shape (sample,).
        values: by ``METRICS``; only where ``given``, shape (metric, sample).
        given: whether the source had a value, shape (metric, sample).
        signals: errors, oldest first. aside: what could not even be read.
        upto_s: everything up to this moment was asked for.
    """

    units: Sequence[Unit]
    unit: IntArray
    at_s: IntArray
    values: FloatArray
    given: BoolArray
    upto_s: int
    signals: Sequence[Signal] = ()
    aside: Sequence[SetAside] = ()


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples that can be believed.

    Attributes:
        units, unit, at_s: as in ``Measured``.
        covers_s: since the unit's sample before, 0 for the first and after a gap, shape (sample,).
        values: gauges, and what counters grew by since the sample before; ``NOT_MEASURED`` where
            there is none, shape (metric, sample).
        signals: of nodes and devices that exist.
    """

    units: Sequence[Unit]
    unit: IntArray
    at_s: IntArray
    covers_s: IntArray
    values: IntArray
    signals: Sequence[Signal] = ()


@dataclass(slots=True)
class _Last:
    """The newest sample of each unit known so far."""

    at_s: IntArray = field(default_factory=lambda: np.full(1024, -1, dtype=np.int64))
    counts: FloatArray = field(default_factory=lambda: np.full((len(COUNTERS), 1024), -1.0))

    def make_room(self, size: int) -> None:
        """Grow until there is a place for each of ``size`` units."""
        more = max(size, 2 * self.at_s.size) - self.at_s.size
        if size > self.at_s.size:
            self.at_s = np.concatenate([self.at_s, np.full(more, -1, dtype=np.int64)])
            wider = np.full((len(COUNTERS), more), -1.0)
            self.counts = np.concatenate([self.counts, wider], axis=1)


class Sieve:
    """Remembers the newest sample of each unit, so that the next can be held against it.

    Args:
        nodes: how many GPUs each node of the pool has.

    Attributes:
        aside: how many records were set aside, by reason.
        examples: the last of them.
    """

    def __init__(self, nodes: Mapping[str, int]) -> None:
        self._nodes = nodes
        self._slots: dict[Unit, int] = {}
        self._last = _Last()
        self._forget_at = UNITS_KEPT
        self.aside: Counter[Aside] = Counter()
        self.examples: deque[SetAside] = deque(maxlen=EXAMPLES_MAX)

    def sift(self, measured: Measured, *, now_s: int) -> Samples:
        """Keep what can be believed, in the order of unit and moment; count the rest."""
        for reason, what in measured.aside:
            self._set_aside(reason, 1, what)
        if len(self._slots) > self._forget_at:
            self._forget(now_s)
        order = np.lexsort((measured.at_s, measured.unit))
        unit, at_s = measured.unit[order], measured.at_s[order]
        values, given = measured.values[:, order], measured.given[:, order].copy()
        keep = self._of_known_units(measured.units, unit)
        keep &= self._in_time(measured.units, unit, at_s, keep, now_s)
        unit, at_s, values, given = unit[keep], at_s[keep], values[:, keep], given[:, keep]
        slots = self._slots_of(measured.units, unit)
        fresh = at_s > np.where(_is_first(unit), self._last.at_s[slots], np.roll(at_s, 1))
        self._count(Aside.REPEATED, ~fresh, measured.units, unit)
        unit, at_s, slots = unit[fresh], at_s[fresh], slots[fresh]
        values, given = values[:, fresh], given[:, fresh]
        self._believe(measured.units, unit, values, given)
        return Samples(
            measured.units,
            unit,
            at_s,
            *self._grown(measured.units, unit, at_s, slots, values, given),
            self._known_signals(measured.signals, now_s),
        )

    def _forget(self, now_s: int) -> None:
        kept = {
            unit: slot
            for unit, slot in self._slots.items()
            if self._last.at_s[slot] > now_s - FORGOTTEN_S
        }
        slots = np.array(list(kept.values()), dtype=np.int64)
        at_s, counts = self._last.at_s[slots], self._last.counts[:, slots]
        self._slots, self._last = {unit: place for place, unit in enumerate(kept)}, _Last()
        self._last.make_room(slots.size)
        self._last.at_s[: slots.size], self._last.counts[:, : slots.size] = at_s, counts
        self._forget_at = max(UNITS_KEPT, 2 * slots.size)

    def _set_aside(self, reason: Aside, count: int, what: str) -> None:
        self.aside[reason] += count
        self.examples.append(SetAside(reason, what[:200]))

    def _count(self, reason: Aside, bad: BoolArray, units: Sequence[Unit], unit: IntArray) -> None:
        found = np.flatnonzero(bad)
        if found.size:
            self._set_aside(reason, int(found.size), _name(units[unit[found[0]]]))

    def _reason_of(self, unit: Unit) -> Aside | None:
        gpus = self._nodes.get(unit.node)
        if gpus is None:
            return Aside.UNKNOWN_NODE
        return None if unit.device == HOST or 0 <= unit.device < gpus else Aside.UNKNOWN_DEVICE

    def _of_known_units(self, units: Sequence[Unit], unit: IntArray) -> BoolArray:
        fine = np.ones(len(units), dtype=np.bool_)
        counts = np.bincount(unit, minlength=len(units))
        for place, one in enumerate(units):
            if (reason := self._reason_of(one)) is not None:
                fine[place] = False
                self._set_aside(reason, int(counts[place]), _name(one))
        return fine[unit]

    def _in_time(
        self,
        units: Sequence[Unit],
        unit: IntArray,
        at_s: IntArray,
        keep: BoolArray,
        now_s: int,
    ) -> BoolArray:
        ahead, old = at_s > now_s + AHEAD_S_MAX, at_s <= now_s - KEPT_S
        self._count(Aside.FUTURE_TIME, ahead & keep, units, unit)
        self._count(Aside.TOO_OLD, old & keep, units, unit)
        return ~(ahead | old)

    def _slots_of(self, units: Sequence[Unit], unit: IntArray) -> IntArray:
        slot_of = np.full(len(units), -1, dtype=np.int64)
        for place in np.unique(unit).tolist():
            slot_of[place] = self._slots.setdefault(units[place], len(self._slots))
        self._last.make_room(len(self._slots))
        return slot_of[unit]

    def _believe(
        self, units: Sequence[Unit], unit: IntArray, values: FloatArray, given: BoolArray
    ) -> None:
        """Take single values that cannot be out of ``given``; the rest of their sample stays."""
        with np.errstate(invalid="ignore"):
            for reason, bad in (
                (Aside.NOT_A_NUMBER, ~np.isfinite(values)),
                (Aside.NEGATIVE, values < 0),
                (Aside.TOO_LARGE, values > _MOST[:, None]),
            ):
                bad &= given
                for row in np.flatnonzero(bad.any(axis=1)).tolist():
                    self._count(reason, bad[row], units, unit)
                given &= ~bad

    def _grown(
        self,
        units: Sequence[Unit],
        unit: IntArray,
        at_s: IntArray,
        slots: IntArray,
        values: FloatArray,
        given: BoolArray,
    ) -> tuple[IntArray, IntArray]:
        """Return how long each sample covers, and the values with counters turned into growth."""
        first = _is_first(unit)
        before_s = np.where(first, self._last.at_s[slots], np.roll(at_s, 1))
        covers_s = np.where((before_s >= 0) & (at_s - before_s <= COVERS_S_MAX), at_s - before_s, 0)
        out = np.full(values.shape, NOT_MEASURED, dtype=np.int64)
        for row in range(len(GAUGES)):
            out[row, given[row]] = np.rint(values[row, given[row]]).astype(np.int64)
        for place in range(len(COUNTERS)):
            row = len(GAUGES) + place
            has = np.flatnonzero(given[row])
            count, own = values[row, has], slots[has]
            is_first = _is_first(own)
            before = np.where(is_first, self._last.counts[place, own], np.roll(count, 1))
            is_reset = (before >= 0) & (count < before)
            self._count(Aside.COUNTER_RESET, is_reset, units, unit[has])
            grew = (before >= 0) & ~is_reset & (covers_s[has] > 0)
            out[row, has[grew]] = np.rint(count[grew] - before[grew]).astype(np.int64)
            self._last.counts[place, own] = count  # the last of equal places stays
        self._last.at_s[slots] = at_s
        return covers_s, out

    def _known_signals(self, signals: Sequence[Signal], now_s: int) -> list[Signal]:
        known = []
        for one in signals:
            reason = self._reason_of(Unit(one.node, one.device))
            if one.at_s > now_s + AHEAD_S_MAX:
                reason = Aside.FUTURE_TIME
            if reason is None:
                known.append(one)
            else:
                self._set_aside(reason, 1, f"XID {one.xid} of {one.node}:{one.device}")
        return known


def _is_first(unit: IntArray) -> BoolArray:
    """Tell for each of sorted units whether it is the first of its run."""
    first = np.ones(unit.size, dtype=np.bool_)
    first[1:] = unit[1:] != unit[:-1]
    return first


def _name(unit: Unit) -> str:
    what = "processes" if unit.device == HOST else f"gpu {unit.device}"
    return f"{unit.node} {what}" + (f" of {unit.job}" if unit.job else "")
