"""An engine's thread: it survives what a turn raises, wakes at once, and stops in order."""

import threading
import time

import pytest

from dure.app import engine as engine_room
from dure.app.engine import FAILURES_MAX, Engine, Pace, SteppedTime
from dure.core.errors import DureError
from dure.services.cycle import BrokenInvariantError
from tests.drivers.polling import until
from tests.services.live_bench import LiveBench
from tests.services.test_publishing import Imagined, nation


class Turns:
    """Turns that a test scripts."""

    def __init__(self, *, rest_s: float = 0.0, failing: int = 0) -> None:
        self.count, self.failures = 0, list[int]()
        self._rest_s, self._failing = rest_s, failing

    def turn(self) -> float:
        self.count += 1
        if self.count <= self._failing:
            raise DureError("not yet")
        return self._rest_s

    def failed(self, wrong: Exception, count: int) -> None:
        self.failures.append(count)
        raise DureError("nor this")


def test_a_turn_that_fails_is_followed_by_the_next() -> None:
    turns = Turns(failing=2)
    engine = Engine("paper", turns)

    engine.start()
    until(lambda: turns.count > 3)
    engine.stop()

    assert turns.failures == [1, 2]
    assert engine.failures == 0


def test_waking_brings_the_next_turn_at_once_and_stopping_ends_the_thread() -> None:
    turns = Turns(rest_s=3600)
    engine = Engine("paper", turns)
    engine.start()
    until(lambda: turns.count == 1)

    engine.wake()
    until(lambda: turns.count == 2)
    engine.stop()

    assert "dure-paper" not in [thread.name for thread in threading.enumerate()]


def test_stopping_what_never_started_is_no_mistake() -> None:
    Engine("paper", Turns()).stop()


def test_views_come_at_once_after_a_change_and_else_now_and_then() -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    pool = LiveBench()

    assert pace.is_due(changed=True)
    pace.publish(pool.publisher, pool.runtime.state, pool.clock.at_s)
    assert not pace.is_due(changed=True)
    now[0] += 0.2
    assert pace.is_due(changed=True)
    assert not pace.is_due(changed=False)
    now[0] += 5.0
    assert pace.is_due(changed=False)


def test_a_cycle_that_fails_leaves_the_state_as_the_ledger_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = LiveBench()
    job = bench.submit()

    def broken(*_: object, **__: object) -> None:
        bench.runtime.state.c.jobs[:] = 7
        raise BrokenInvariantError("half a plan")

    with monkeypatch.context() as patch:
        patch.setattr(engine_room, "run_once", broken)
        with pytest.raises(BrokenInvariantError) as raised:
            bench.turns.turn()
        bench.turns.failed(raised.value, 1)
    bench.turn()

    assert bench.state(job) == "RUNNING"


def test_jobs_that_no_plan_can_bear_are_set_aside_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = LiveBench()
    good = bench.submit()
    bench.turn()
    real = engine_room.run_once

    def fragile(pool, now_s):  # type: ignore[no-untyped-def]
        pool.catch_up()
        columns = pool.gather(now_s).jobs.columns
        if columns.size and columns[4].max() > 0:
            raise BrokenInvariantError("a job that breaks every plan")
        return real(pool, now_s)

    bad = bench.submit()
    with monkeypatch.context() as patch:
        patch.setattr(engine_room, "run_once", fragile)
        for count in range(1, FAILURES_MAX + 1):
            with pytest.raises(BrokenInvariantError):
                bench.turns.turn()
            bench.turns.failed(BrokenInvariantError("as above"), count)
        bench.turn()

    assert (bench.state(bad), bench.story(bad).row.reason) == ("REFUSED", "NothingAsked")
    bench.end(good)
    bench.turn(3)
    assert bench.state(good) == "COMPLETED"


class Kept:
    """A pool that counts how often it was kept."""

    count = 0

    def keep(self) -> None:
        self.count += 1


class Hour:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at_s = 0

    def now_s(self) -> int:
        return self.at_s


def test_an_imagined_pool_is_brought_to_where_its_clock_stands() -> None:
    pool = Imagined(nation(8), 40, 1)
    reached: list[int] = []

    class Stepped(Kept):
        runtime = pool.runtime

        def run_to(self, until_s: int) -> None:
            reached.append(until_s)
            pool.runtime.state.stand_still_until(until_s)

    clock, begun_s = Hour(), pool.runtime.state.now_s
    clock.at_s = begun_s + 1000
    lock = threading.RLock()
    stepped = Stepped()
    turns = SteppedTime(stepped, pool.publisher, clock, lock, step_s=300, poll_s=0.2)

    rest_s = turns.turn()
    turns.turn()

    assert reached == [begun_s + 300, begun_s + 600, begun_s + 900, begun_s + 1000]
    assert rest_s == 0.2
    assert pool.publisher.view().now_s == begun_s + 1000
    assert stepped.count == 1


def test_a_pool_that_nobody_looks_at_rests_and_goes_on_when_somebody_does() -> None:
    pool = Imagined(nation(8), 40, 1)

    class Stepped(Kept):
        runtime = pool.runtime

        def run_to(self, until_s: int) -> None:
            pool.runtime.state.stand_still_until(until_s)

    state, clock, seconds = pool.runtime.state, Hour(), [0.0]
    clock.at_s = begun_s = state.now_s
    turns = SteppedTime(
        Stepped(),
        pool.publisher,
        clock,
        threading.RLock(),
        step_s=300,
        poll_s=0.2,
        monotone_s=lambda: seconds[0],
    )

    for seconds[0], clock.at_s in ((599.0, begun_s + 100), (601.0, begun_s + 900)):
        turns.turn()
    assert state.now_s == begun_s + 100
    pool.publisher.view()
    clock.at_s = begun_s + 950
    turns.turn()

    assert state.now_s == begun_s + 150


def test_a_pool_that_falls_behind_gives_the_book_away_between_slices() -> None:
    pool = Imagined(nation(8), 40, 1)

    class Slow(Kept):
        runtime = pool.runtime

        def run_to(self, until_s: int) -> None:
            time.sleep(0.06)
            pool.runtime.state.stand_still_until(until_s)

    clock = Hour()
    clock.at_s = pool.runtime.state.now_s + 10_000
    turns = SteppedTime(Slow(), pool.publisher, clock, threading.RLock(), step_s=100, poll_s=0.2)

    assert turns.turn() < 0.2
    assert pool.runtime.state.now_s < clock.at_s
