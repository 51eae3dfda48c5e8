"""A pool at work while faults befall it: people submit, the engine plans, all is kept."""

import os
import random
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from dure.core.events import Event
from dure.core.events.work import JobRequested
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.drivers.imagined import ImaginedHands
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.ledger.sqlite import SqliteLedger
from dure.services.asked import Demand
from dure.services.cycle import run_once
from dure.services.keeping import Keeper
from dure.services.kept_book import KeptBook
from dure.services.pools import PoolRuntime
from dure.services.ports import Ledger
from dure.services.publishing import Publisher, Title
from dure.services.reading import EventReader
from dure.services.standing import Standing
from dure.services.views import Name
from tests.faults.victim import Tell

START_S = 1_000_000
ROUNDS, TOGETHER, CYCLES_MAX = 6, 4, 400
REQUEST = '{"name":"train","run":"true","estimate_s":%d,"gpus":%d,"preemptible":true}'


def small_pool() -> Pool:
    """Return two nodes of four GPUs."""
    nodes, zeros = ["n1", "n2"], np.zeros(2, dtype=np.int64)
    same = ["p"] * 2
    return Pool(
        node=nodes,
        provider=same,
        cluster=same,
        leaf=same,
        pod=same,
        site=same,
        accelerator=["slot"] * 2,
        gpus=np.array([4, 4], dtype=np.int64),
        cpu_milli=zeros,
        memory_mib=zeros,
        grade=["C"] * 2,
        use=["public"] * 2,
        in_service_at_s=zeros,
    )


class Bench:
    """A whole pool over a ledger, with imagined machines."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.demand = ledger, Demand()
        decode = self.demand.reading(decode_events)
        self.book = KeptBook(ledger, encode=encode_events, decode=decode)
        self.book.attach(self.demand)
        self.hands = ImaginedHands()
        self.runtime = PoolRuntime(
            ledger, self.hands, reader=EventReader(self.demand), decode=decode
        )
        self.views = Publisher(Title("here", Name("여기", "Here")), self.demand)
        followers = {"hands": Standing(), "views": self.views}
        self.keeper = Keeper(self.runtime, self.book, followers)
        if ledger.head()[0] == 0:
            policy = Policy(cleaning_s=1, start_s=1, instant_stop=False)
            self.runtime.found(small_pool(), policy, at_s=START_S)
        self.keeper.begin()
        self.hands.resume(self.runtime.state)

    def submit(self, number: int, user: str = "kim") -> str:
        """Submit a job as a desk does; the answer is its name, once it is for good."""

        def take(before: Sequence[Event]) -> tuple[list[Event], str]:
            job = f"here-{len(self.demand.jobs) + len(before) + 1}"
            request = REQUEST % (20 + number % 50, 1 + number % 4)
            key = f"{user}:{number}"
            event = JobRequested(at_s=START_S, by=user, job=job, request=request, key=key)
            return [event], job

        return self.book.decide(take)

    def cycle(self, now_s: int) -> None:
        with self.book.lock:
            run_once(self.runtime, now_s)

    def run_out(self) -> None:
        """Let everything that waits or runs come to its end, which it does in bounded time."""
        now_s = max(self.runtime.state.now_s, START_S)
        for _ in range(CYCLES_MAX):
            now_s += 10
            self.cycle(now_s)
            if self.ended() == len(self.demand.jobs):
                return
        raise AssertionError(f"{self.ended()} of {len(self.demand.jobs)} jobs came to an end")

    def ended(self) -> int:
        return self.views.stories.ended_count


class _Dying:
    """A ledger, or hands, whose process dies before or after a chosen call."""

    def __init__(self, real: Any, points: list[int], names: Sequence[str]) -> None:
        self._real, self._points, self._names = real, points, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self._names:
            return found

        def call(*values: Any, **named: Any) -> Any:
            _pass(self._points)
            answer = found(*values, **named)
            _pass(self._points)
            return answer

        return call


def _pass(points: list[int]) -> None:
    points[0] -= 1
    if points[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def warm() -> None:
    """Load the kernels once, before children are forked."""
    bench = Bench(MemoryLedger())
    for number in range(12):
        bench.submit(number)
    bench.run_out()
    bench.keeper.keep()


def run(path: Path, tell: Tell, at: int) -> None:
    """Begin or take up a pool, submit from threads, plan, keep; ``at`` is when to die, 0 never.

    Tells the number of each job whose submission was answered; without a death, at last how many
    points there are.
    """
    points = [at]
    with closing(SqliteLedger(path)) as real:
        ledger = _Dying(real, points, ("append", "put_projection"))
        bench = Bench(ledger)  # type: ignore[arg-type]
        bench.runtime.hands = _Dying(bench.hands, points, ("carry_out", "acknowledge"))
        chance = random.Random(at)
        first = len(bench.demand.jobs)
        now_s = max(bench.runtime.state.now_s, START_S)
        for turn in range(ROUNDS):
            numbers = [first + turn * TOGETHER + one for one in range(TOGETHER)]
            threads = [
                Thread(target=lambda n=n: tell(int(bench.submit(n).partition("-")[2])))  # type: ignore[misc]
                for n in numbers
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            now_s += chance.randint(1, 30)
            bench.cycle(now_s)
            if turn % 2:
                bench.keeper.keep()
    if at == 0:
        tell(-points[0])
