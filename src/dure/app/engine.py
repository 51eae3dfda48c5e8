"""A pool's engine: one thread that looks, plans, carries out and publishes until it is stopped."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, RLock, Thread
from typing import Protocol

from dure.core.state import State
from dure.services.cycle import run_once
from dure.services.driver_hands import DriverHands
from dure.services.keeping import Keeper
from dure.services.late_news import book_past
from dure.services.pools import PoolRuntime
from dure.services.ports import Clock
from dure.services.publishing import Publisher
from dure.services.reading import EventReader

log = logging.getLogger("dure.engine")

# A view takes at most this part of the engine's time.
PUBLISH_SHARE = 20
PUBLISH_S_MIN, PUBLISH_S_MAX = 0.1, 5.0
# A pool that never stands still need not be shown more often than people can read.
PUBLISH_STEPPED_S_MIN = 0.5
# After so many failures in a row the jobs that came last are refused.
FAILURES_MAX = 3
REST_S_MAX = 10.0
# A stepped pool gives the book away so often, for people who write to it.
SLICE_S = 0.05
# An imagined pool that nobody looks at would fill the disk with history for nobody.
UNWATCHED_S = 600.0
# Between two slices of a pool that is behind its clock.
BREATH_S = 0.005
STOP_S_MAX = 30.0
# What ended longer ago than this is booked at its own moment: we were away meanwhile.
LATE_S = 5


class Turns(Protocol):
    """What an engine does, one turn at a time."""

    def turn(self) -> float:
        """Do what is to be done now; return in how many seconds to come again."""
        ...

    def failed(self, wrong: Exception, count: int) -> None:
        """A turn raised for the ``count``-th time in a row; make the next one possible."""
        ...


@dataclass(slots=True)
class Pulse:
    """How an engine's turns go, for the metrics.

    Attributes:
        turns: that ended well. failures: all that did not. turn_s_sum: seconds of the former.
        turn_s_max: of the longest so far.
    """

    turns: int = 0
    failures: int = 0
    turn_s_sum: float = 0.0
    turn_s_max: float = 0.0

    def took(self, turn_s: float) -> None:
        self.turns += 1
        self.turn_s_sum += turn_s
        self.turn_s_max = max(self.turn_s_max, turn_s)


class Engine:
    """Gives a pool its turns in a thread of its own; survives whatever a turn raises."""

    def __init__(self, name: str, turns: Turns) -> None:
        self.name, self._turns = name, turns
        self._wake, self._stop = Event(), Event()
        self._thread = Thread(target=self._run, name=f"dure-{name}", daemon=True)
        self.failures = 0
        self.pulse = Pulse()

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the next turn come at once."""
        self._wake.set()

    def stop(self) -> None:
        """Let the turn at hand finish, then end."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S_MAX)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            begin_s = time.monotonic()
            try:
                rest_s = self._turns.turn()
                self.failures = 0
                self.pulse.took(time.monotonic() - begin_s)
            except Exception as wrong:
                self.failures += 1
                self.pulse.failures += 1
                log.exception("pool %s: a turn of its engine failed", self.name)
                rest_s = min(REST_S_MAX, 0.2 * 2 ** min(self.failures, 8))
                self._recover(wrong)
            self._wake.wait(rest_s)

    def _recover(self, wrong: Exception) -> None:
        try:
            self._turns.failed(wrong, self.failures)
        except Exception:
            log.exception("pool %s: its state cannot be read anew yet", self.name)


class Pace:
    """When the next view is due: at once after a change, but never so often that it costs much."""

    def __init__(
        self,
        monotone_s: Callable[[], float] = time.monotonic,
        *,
        least_s: float = PUBLISH_S_MIN,
    ) -> None:
        self._monotone_s, self._least_s = monotone_s, least_s
        self._next_s, self._last_s = 0.0, 0.0

    def is_due(self, *, changed: bool) -> bool:
        now_s = self._monotone_s()
        return now_s >= (self._next_s if changed else self._last_s + PUBLISH_S_MAX)

    def publish(self, publisher: Publisher, state: State, now_s: int) -> None:
        begin_s = self._monotone_s()
        publisher.publish(state, now_s)
        self._last_s = self._monotone_s()
        took_s = self._last_s - begin_s
        self._next_s = self._last_s + max(self._least_s, PUBLISH_SHARE * took_s)


class RealTime:
    """The turns of a pool of real machines: a cycle when there is something to decide.

    Args:
        lock: of the pool's book, so that people's writes and ours take turns.
    """

    def __init__(
        self,
        runtime: PoolRuntime,
        hands: DriverHands,
        reader: EventReader,
        publisher: Publisher,
        clock: Clock,
        lock: RLock,
        keeper: Keeper,
        *,
        cycle_s: float,
        poll_s: float,
    ) -> None:
        self._runtime, self._hands, self._reader = runtime, hands, reader
        self._publisher, self._clock, self._lock = publisher, clock, lock
        self._keeper, self._cycle_s, self._poll_s = keeper, cycle_s, poll_s
        self._pace = Pace()
        self._repeat_at_s = 0.0
        self._changed = True

    def turn(self) -> float:
        has_news = self._hands.look()
        if self._is_due(has_news):
            now_s = self._clock.now_s()
            with self._lock:
                book_past(self._runtime, self._hands, now_s - LATE_S)
                run_once(self._runtime, now_s)
                self._keeper.keep_now_and_then()
            self._changed = True
        elif time.monotonic() >= self._repeat_at_s:
            self._hands.repeat(self._runtime.state)
            self._repeat_at_s = time.monotonic() + self._cycle_s
        self._hands.settle()
        if self._pace.is_due(changed=self._changed):
            self._pace.publish(self._publisher, self._runtime.state, self._clock.now_s())
            self._changed = False
        return self._poll_s

    def failed(self, wrong: Exception, count: int) -> None:
        if count >= FAILURES_MAX and (jobs := self._reader.set_aside()):
            log.error("jobs set aside and refused, since no plan with them is sound: %s", jobs)
        with self._lock:
            # A plan that failed half way leaves a state that is nobody's.
            self._runtime.refold()

    def _is_due(self, has_news: bool) -> bool:
        runtime, state = self._runtime, self._runtime.state
        alarm_s = state.next_alarm_s
        return (
            has_news
            or runtime.has_news()
            or (alarm_s is not None and alarm_s <= self._clock.now_s())
            or self._hands.has_unheard(state)
        )


class Stepped(Protocol):
    """An imagined pool that can be brought forward in time; ``runtime`` is its only state."""

    @property
    def runtime(self) -> PoolRuntime: ...

    def run_to(self, until_s: int) -> None:
        """Run every cycle up to ``until_s``, a moment of its own clock."""
        ...

    def keep(self) -> None:
        """Write down where everything stands, so that the next start is quick."""
        ...


class SteppedTime:
    """The turns of an imagined pool: brought to where its clock stands, a slice at a time.

    One that nobody has looked at for ``UNWATCHED_S`` rests, and goes on when somebody does.

    Args:
        clock: the imagined pool's own.
        lock: of the pool's book, so that people's writes and its cycles take turns.
        step_s: how much of its time is run in one piece.
    """

    def __init__(
        self,
        pool: Stepped,
        publisher: Publisher,
        clock: Clock,
        lock: RLock,
        *,
        step_s: int,
        poll_s: float,
        monotone_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool, self._publisher, self._clock, self._lock = pool, publisher, clock, lock
        self._step_s, self._poll_s = max(1, step_s), poll_s
        self._at_s, self._shown_s = pool.runtime.state.now_s, -1
        self._pace, self._monotone_s = Pace(least_s=PUBLISH_STEPPED_S_MIN), monotone_s
        self._looks, self._looked_at_s = publisher.looks, monotone_s()
        self._clock_s, self._rested_s = clock.now_s(), 0
        self._is_kept = False

    def turn(self) -> float:
        with self._lock:
            if not self._is_kept:
                # This start may have folded a long history; the next one, be it after a kill,
                # shall not have to.
                self._pool.keep()
                self._is_kept = True
            begin_s = time.monotonic()
            target_s = self._target_s()
            while self._at_s < target_s and time.monotonic() - begin_s < SLICE_S:
                next_s = min(self._at_s + self._step_s, target_s)
                self._pool.run_to(next_s)
                self._at_s = next_s
            has_moved = self._at_s > self._shown_s
            if self._pace.is_due(changed=has_moved):
                self._shown_s = self._at_s
                self._pace.publish(self._publisher, self._pool.runtime.state, self._at_s)
        return BREATH_S if self._at_s < target_s else self._poll_s

    def _target_s(self) -> int:
        """Return where the pool should stand: its clock's moment, less what it rested."""
        before_s, self._clock_s = self._clock_s, self._clock.now_s()
        if self._publisher.looks != self._looks:
            self._looks, self._looked_at_s = self._publisher.looks, self._monotone_s()
        if self._monotone_s() - self._looked_at_s > UNWATCHED_S:
            self._rested_s += self._clock_s - before_s
        return self._clock_s - self._rested_s

    def failed(self, wrong: Exception, count: int) -> None:
        with self._lock:
            self._pool.runtime.refold()
            self._at_s = max(self._at_s, self._pool.runtime.state.now_s)
