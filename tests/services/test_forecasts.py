"""What past waits say of those that wait now: learned from the ledger alone, in whole numbers."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from dure.core import columns as col
from dure.core.state import CycleRecord, State
from dure.services.forecasts import ENOUGH, PRIOR, PRIOR_S, SLACK_S, Coverage, Forecasts
from tests.core.bench import Bench, flat_pool
from tests.core.driving import Drive
from tests.core.worlds import random_world
from tests.services.live_bench import LiveBench


def test_before_anything_is_known_an_interval_is_the_stated_assumption() -> None:
    bench = LiveBench(slots=1)
    bench.submit("estimate: 1000s")
    bench.turn()
    first, second = bench.submit("estimate: 50s"), bench.submit("estimate: 50s")
    bench.turn()
    now_s = bench.clock.at_s

    foreseen, unforeseen = bench.why(first), bench.why(second)

    # 1,000 s of work and a second of cleaning.
    ends_s = [(part * (1001 + SLACK_S)) // 1_000_000 - SLACK_S for part in PRIOR]
    assert foreseen.half is not None and foreseen.most is not None
    assert (foreseen.half.from_s, foreseen.most.from_s) == (now_s + ends_s[1], now_s + ends_s[0])
    assert abs(foreseen.half.to_s - now_s - ends_s[2]) <= 1
    assert unforeseen.most is not None
    assert (unforeseen.most.from_s - now_s, unforeseen.most.to_s - now_s) == (
        PRIOR_S[0],
        PRIOR_S[3],
    )
    assert (foreseen.learned_from, unforeseen.learned_from) == (0, 0)


def waits_of(wait_s: int, count: int) -> Forecasts:
    """Let ``count`` gangs wait equally long, one after the other, for a device without estimate."""
    bench, forecasts = Bench(flat_pool(1), cleaning_s=0, start_s=0), Forecasts()
    running, now_s = bench.submit(), 0
    for _ in range(count + 1):
        observed = list(bench._facts)
        bench.at(now_s)
        listen(forecasts, bench, observed)
        waiting = bench.submit()
        observed = list(bench._facts)
        bench.at(now_s + 1)
        listen(forecasts, bench, observed)
        now_s += 1 + wait_s
        bench.end(running)
        running = waiting
    return forecasts


def listen(forecasts: Forecasts, bench: Bench, observed: list[tuple[int, ...]]) -> None:
    facts = [[*fact, *[0] * (col.FACT_WIDTH - len(fact))] for fact in observed]
    record = CycleRecord(bench.state.now_s, True)
    record.observed = np.array(facts, dtype=np.int64).reshape(-1, col.FACT_WIDTH)
    record.decided = np.array(bench.decided, dtype=np.int64).reshape(-1, col.FACT_WIDTH)
    forecasts.listen(bench.state, record)


def test_waits_that_are_always_the_same_are_foreseen_to_the_second() -> None:
    forecasts = waits_of(300, ENOUGH + 5)
    last = max(forecasts._looks)
    look = forecasts._looks[last][-1]

    interval = forecasts.interval(last, look.at_s)

    assert interval is not None and interval.learned_from >= ENOUGH
    assert set(interval.ends_s) == {look.at_s + 300} and interval.even_s == look.at_s + 300


def test_a_start_never_lies_behind_us() -> None:
    forecasts = waits_of(300, ENOUGH + 5)
    last = max(forecasts._looks)
    late_s = forecasts._looks[last][-1].at_s + 5_000

    interval = forecasts.interval(last, late_s)

    # Nobody waited so long: nothing is known any more.
    assert interval is not None and interval.learned_from == 0
    assert min(interval.ends_s) == late_s + 1


def followed(seed: int) -> Iterator[tuple[State, CycleRecord]]:
    run = Drive(random_world(seed), fold_too=False)
    for record in run.cycles():
        yield run.state, record


@pytest.mark.parametrize("seed", range(3))
def test_what_is_learned_follows_from_the_ledger_also_after_a_restart(seed: int) -> None:
    whole, cut, folded = Forecasts(), Forecasts(), Forecasts()
    records = []
    for count, (state, record) in enumerate(followed(seed)):
        whole.listen(state, record)
        cut.listen(state, record)
        records.append(record)
        if count == 40:
            kept = cut.keep()
            cut = Forecasts()
            cut.begin_from(state, kept)
    world = random_world(seed)
    again = State(world.pool, world.policy)
    for record in records:
        again.fold(record)
        folded.listen(again, record)

    assert whole.covered
    assert sum(one.looks for one in whole.covered.values()) > 0
    assert cut.keep() == whole.keep() == folded.keep()
    assert msgspec.msgpack.decode(whole.keep())


def test_hits_are_counted_by_what_the_gang_waited_for() -> None:
    forecasts = waits_of(300, ENOUGH + 20)

    (covered,) = forecasts.covered.values()

    # Until enough was known, the assumption: 300 s lie in its outer interval alone.
    assert covered == Coverage(ENOUGH + 20, 20, ENOUGH + 20)
