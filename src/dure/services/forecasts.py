"""How long gangs waited beside what was foreseen, and what that says of those that wait now.

A gang that still waits after its first cycle is looked at once: the gate that binds, and how long
the estimates say that it will take. When it starts, the two are compared. What was learned is
whole numbers that follow from the ledger alone, so every start finds the same.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.foresee import expected_start_s, idle_by_type
from dure.core.gates import W_GATE, W_JOB
from dure.core.state import CycleRecord, State
from dure.core.why import explain_some
from dure.services.standing import Follower
from dure.services.views import NEVER_S

# Of each kind of gang so many waits are remembered, the latest.
PAST_MAX = 1000
# With fewer waits than this the next wider kind of gang is asked.
ENOUGH = 40
# Half of all waits lie between the second and the third, nine tenths between the first and fourth.
# Where a pool's days differ, the parts of the past that are taken move with every miss, so far.
PARTS = (5_000, 25_000, 75_000, 95_000)
PARTS_MIN = (0, 5_000, 55_000, 85_000)
PARTS_MAX = (15_000, 45_000, 95_000, 150_000)
ALL = 100_000
# Past all that was seen, the longest wait grows by as much again for each such part.
BEYOND = 10_000
# How far a part moves at most after one wait: 2 in 100.
STEP = 50
# A wait is compared with the wait foreseen after so much is added to both: seconds decide nothing.
SLACK_S = 60
# A wait beside the one foreseen is counted in millionths.
ONE = 1_000_000
# An assumption, used until enough is known: a wait foreseen takes a tenth to eight times as long,
# and one that nobody can foresee a minute to a day.
PRIOR = (ONE // 10, ONE // 2, 2 * ONE, 8 * ONE)
PRIOR_S = (60, 600, 4 * 3600, 24 * 3600)
PRIOR_MEDIAN, PRIOR_MEDIAN_S = ONE, 3600
# A gang is looked at again when it waits for something else: after a claim, after a reclaim.
LOOKS_MAX = 4
_SIZES = (1, 7, 8, 64)
_AGAIN = (col.K_STOPPED, col.K_CLAIMED, col.K_CLAIM_ENDED)
_GONE = (col.K_REFUSED, col.K_CANCELLED)

# gate, size; -1 stands for any; then whether a wait was foreseen
Kind = tuple[int, int, bool]
Ends = tuple[int, int, int, int]


class Look(NamedTuple):
    """What was foreseen of a gang at one moment: the ends of both intervals are moments."""

    at_s: int
    gate: int
    size: int
    foreseen_s: int
    ends_s: Ends


class Interval(NamedTuple):
    """When a gang starts: half of its kind in the inner, nine in ten in the outer interval.

    Attributes:
        even_s: with even odds it has started by then.
        learned_from: waits that it rests on, 0 for the assumption.
    """

    ends_s: Ends
    even_s: int
    learned_from: int


class Coverage(NamedTuple):
    """Of so many starts foreseen, how many came within the inner and the outer interval."""

    looks: int = 0
    within_half: int = 0
    within_most: int = 0

    def plus(self, other: "Coverage") -> "Coverage":
        return Coverage(*(one + more for one, more in zip(self, other, strict=True)))


class _Memory(NamedTuple):
    looks: dict[int, tuple[Look, ...]]
    past: list[tuple[Kind, list[int]]]
    parts: list[tuple[tuple[int, bool], Ends]]
    fresh: list[int]
    covered: list[tuple[int, Coverage]]


class Known(NamedTuple):
    """What past waits say, at one moment."""

    looks: Mapping[int, tuple[Look, ...]]
    past: Mapping[Kind, Iterable[int]]
    parts: Mapping[tuple[int, bool], Ends]

    def interval(self, job: int, now_s: int) -> Interval | None:
        """Return when a waiting job starts, from the last look at it; None before the first look.

        What its kind did by ``now_s`` is behind it: of the waits remembered only longer ones count.
        """
        looks = self.looks.get(job)
        if not looks:
            return None
        last = looks[-1]
        return self.foresee(last.gate, last.size, last.foreseen_s, last.at_s, now_s)

    def foresee(self, gate: int, size: int, foreseen_s: int, at_s: int, now_s: int) -> Interval:
        is_foreseen = foreseen_s != NEVER_S
        base_s, waited_s = foreseen_s + SLACK_S, now_s - at_s
        least = waited_s
        if is_foreseen:
            least = (waited_s + SLACK_S) * ONE // base_s if waited_s > 0 else 0
        parts = self.parts.get((gate, is_foreseen), PARTS)
        for kind in _kinds(gate, size, is_foreseen):
            known = list(self.past.get(kind, ()))
            longer = sorted(one for one in known if one >= least)
            if len(known) >= ENOUGH and 4 * len(longer) >= ENOUGH:
                ends = [_part_of(longer, part) for part in (*parts, ALL // 2)]
                break
        else:
            longer = []
            assumed = (*PRIOR, PRIOR_MEDIAN) if is_foreseen else (*PRIOR_S, PRIOR_MEDIAN_S)
            ends = [max(one, least) for one in assumed]
        if is_foreseen:
            # Rounded so that a wait that is always the same lies within.
            first, second, third, last, even = ends
            lower = [one * base_s // ONE for one in (first, second)]
            upper = [-(-one * base_s // ONE) for one in (third + 1, last + 1, even + 1)]
            ends = [max(0, one - SLACK_S) for one in (*lower, *upper)]
        a_s, b_s, c_s, d_s, even_s = (max(at_s + end, now_s + 1) for end in ends)
        return Interval((a_s, b_s, c_s, d_s), even_s, len(longer))


class Forecasts(Follower):
    """Learns from waits that are over. Readers in other threads see whole tuples.

    Attributes:
        covered: by gate, what became of every start that was foreseen.
    """

    def reset(self) -> None:
        self._looks: dict[int, tuple[Look, ...]] = {}
        self._past: dict[Kind, deque[int]] = {}
        self._parts: dict[tuple[int, bool], Ends] = {}
        self._fresh: set[int] = set()
        self.covered: dict[int, Coverage] = {}

    def follow(self, state: State, record: CycleRecord) -> None:
        for facts in (record.observed, record.decided):
            for kind, at_s, job, *_ in facts.tolist():
                if kind == col.K_SUBMITTED or kind in _AGAIN:
                    self._fresh.add(job)
                elif kind == col.K_STARTED:
                    self._learn(job, at_s)
                elif kind in _GONE:
                    self._looks.pop(job, None)
        if record.planned and self._fresh:
            jobs = state.c.jobs
            waiting = [job for job in self._fresh if jobs[col.J_STATE, job] == col.PENDING]
            if waiting:
                self._look_at(state, sorted(waiting))
            self._fresh = set()

    def keep(self) -> bytes:
        past = [(kind, list(waits)) for kind, waits in self._past.items()]
        memory = _Memory(
            self._looks,
            past,
            list(self._parts.items()),
            sorted(self._fresh),
            list(self.covered.items()),
        )
        return msgspec.msgpack.encode(memory)

    def begin_from(self, state: State, kept: bytes) -> None:
        memory = msgspec.msgpack.decode(kept, type=_Memory)
        self.begin_at(state)
        self._looks, self._fresh = memory.looks, set(memory.fresh)
        self._past = {kind: deque(waits, maxlen=PAST_MAX) for kind, waits in memory.past}
        self._parts, self.covered = dict(memory.parts), dict(memory.covered)

    def interval(self, job: int, now_s: int) -> Interval | None:
        """Return when a waiting job starts by what is known at this moment."""
        return self.known().interval(job, now_s)

    def known(self) -> "Known":
        """Return what is known now; it stays as it is while we learn on."""
        past = {kind: tuple(waits) for kind, waits in self._past.items()}
        return Known(dict(self._looks), past, dict(self._parts))

    def _look_at(self, state: State, waiting: list[int]) -> None:
        lore = Known({}, self._past, self._parts)
        found, idle = explain_some(state.c, waiting), idle_by_type(state.c)
        now_s = int(state.c.scalars[col.S_NOW])
        for column in found.T:
            job, gate = int(column[W_JOB]), int(column[W_GATE])
            expected_s = expected_start_s(state.c, column, idle)
            foreseen_s = NEVER_S if expected_s == NEVER_S else max(0, expected_s - now_s)
            size = int(np.searchsorted(_SIZES, state.c.jobs[col.J_GPUS, job]))
            interval = lore.foresee(gate, size, foreseen_s, now_s, now_s)
            look = Look(now_s, gate, size, foreseen_s, interval.ends_s)
            self._looks[job] = (*self._looks.get(job, ())[1 - LOOKS_MAX :], look)

    def _learn(self, job: int, start_s: int) -> None:
        for look in self._looks.pop(job, ()):
            wait_s, is_foreseen = start_s - look.at_s, look.foreseen_s != NEVER_S
            part = (wait_s + SLACK_S) * ONE // (look.foreseen_s + SLACK_S)
            for kind in _kinds(look.gate, look.size, is_foreseen):
                past = self._past.setdefault(kind, deque(maxlen=PAST_MAX))
                past.append(part if is_foreseen else wait_s)
            self._move_parts((look.gate, is_foreseen), look.ends_s, start_s)
            first, second, third, last = look.ends_s
            one = Coverage(1, second <= start_s <= third, first <= start_s <= last)
            self.covered[look.gate] = self.covered.get(look.gate, Coverage()).plus(one)

    def _move_parts(self, kind: tuple[int, bool], ends_s: Ends, start_s: int) -> None:
        """Take a part further out after a miss, a little further in after a hit."""
        moved = []
        for i, part in enumerate(self._parts.get(kind, PARTS)):
            is_before = start_s < ends_s[i] if i < 2 else start_s <= ends_s[i]
            step = (PARTS[i] - ALL * is_before) // STEP
            moved.append(min(max(part + step, PARTS_MIN[i]), PARTS_MAX[i]))
        first, second, third, last = moved
        self._parts[kind] = (first, second, third, last)


def _part_of(waits: list[int], part: int) -> int:
    """Return the wait that a part of all does not exceed; beyond all of them, the longest grows."""
    if part <= ALL:
        return waits[(len(waits) - 1) * part // ALL]
    return waits[-1] * (BEYOND + part - ALL) // BEYOND


def _kinds(gate: int, size: int, is_foreseen: bool) -> Iterable[Kind]:
    """Return what a gang is compared with, the closest first."""
    return ((gate, size, is_foreseen), (gate, -1, is_foreseen), (-1, -1, is_foreseen))
