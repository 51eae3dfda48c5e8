"""Faults of a pool as a whole: kills at every commit point, clocks that jump."""

import random
from contextlib import closing
from functools import cache
from pathlib import Path

from dure.core import columns as col
from dure.core.check import violations
from dure.drivers.clock import SystemClock
from dure.ledger.memory import MemoryLedger
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify import verify
from dure.services.asked import Demand
from dure.services.pools import NoHands, PoolRuntime
from dure.services.ports import Ledger
from tests.faults.plan import Fault
from tests.faults.pool_works import START_S, Bench
from tests.faults.victim import victim

WORKS = "tests.faults.pool_works"
SIGKILL = 9
DEVICES = 8


@cache
def points(place: Path) -> int:
    """Return at how many points the whole work commits or orders something."""
    status, told = victim(WORKS).work("run", place / "counted.db", at=0)
    assert status == 0 and told[-1] > 40, (status, told)
    return told[-1]


def books_balance(bench: Bench) -> None:
    """See that the seconds of all GPUs are accounted for, and that nothing is against the rules."""
    state = bench.runtime.state
    assert violations(state) == []
    s = state.c.scalars
    total = int(s[col.S_SUM : col.S_SUM + 7].sum())
    since_s = state.now_s - int(s[col.S_STARTED_AT])
    assert total == since_s * DEVICES * col.WHOLE, (total, since_s)


def folded(ledger: Ledger) -> bytes:
    """Return the state that the records alone give, without anything that was kept."""
    from dure.ledger.codec import decode_events

    runtime = PoolRuntime(ledger, NoHands(), decode=Demand().reading(decode_events))
    runtime.refold()
    return runtime.state.digest()


def kill(place: Path, chance: random.Random) -> None:
    """Kill a pool twice in a row, then let it come to its end."""
    path = place / "ledger.db"
    acknowledged: set[int] = set()
    for _ in range(2):
        at = chance.randint(1, points(place.parent))
        status, told = victim(WORKS).work("run", path, at=at)
        assert status in (-SIGKILL, 0)
        assert not acknowledged & set(told), "a number was given twice"
        acknowledged |= set(told)
    assert verify(path) == []
    with closing(SqliteLedger(path)) as ledger:
        bench = Bench(ledger)
        assert bench.runtime.state.digest() == folded(ledger)
        known = {int(job.partition("-")[2]) for job in bench.demand.jobs}
        assert acknowledged <= known
        assert known == set(range(1, len(known) + 1))
        bench.run_out()
        books_balance(bench)
        assert bench.runtime.state.digest() == folded(ledger)


def jump(place: Path, chance: random.Random) -> None:
    """Plan by a clock that jumps an hour, a year, back, or stands still."""
    source_s = [float(START_S)]
    clock = SystemClock(lambda: source_s[0])
    bench = Bench(MemoryLedger())
    steps = (1, 1, 7, 60, 3_600, -3_600, 86_400 * 365, -86_400 * 365, 0)
    before_s = START_S
    for number in range(30):
        source_s[0] = max(0.0, source_s[0] + chance.choice(steps))
        if chance.random() < 0.4:
            bench.submit(number)
        now_s = clock.now_s()
        assert now_s >= before_s
        before_s = now_s
        bench.cycle(now_s)
        books_balance(bench)
    bench.run_out()
    books_balance(bench)


FAULTS = (
    Fault("pool: kill -9 at a commit point, twice", kill, often=1_000, seldom=25),
    Fault("pool: clocks that jump", jump, often=1_000, seldom=25),
)
