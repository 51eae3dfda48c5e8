"""kill -9 of agent or engine at any step, lines that break: nothing runs twice, nothing is lost."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dure.core.errors import DriverError
from dure.core.orders import Receipt
from dure.core.site_words import Answer, Push
from dure.drivers.agent_memory import AgentMemory
from dure.drivers.local import LocalDriver
from dure.drivers.remote.desk import SiteDesk
from dure.drivers.remote.driver import pool_name
from dure.drivers.remote.kept import KeptFiles
from dure.drivers.spool import Spool
from tests.drivers.local_bench import SLOTS, driver_at, order
from tests.drivers.polling import until
from tests.sites.line import SITE, AgentSide, CentreSide, Line, node_named

OWN = "here-0001"
# So many jobs stand at a time: whoever dies in the middle of more would never come to the last.
STAND = 20
COUNTING = "echo start >> starts"
# Every step at which somebody touches a disk, a process or the line, and how often of a thousand
# times it is the last one, before it as often as after it. What stands is ordered again and again.
STEPS: tuple[tuple[type, str, int], ...] = (
    (LocalDriver, "start", 100),
    (LocalDriver, "clean", 100),
    (LocalDriver, "acknowledge", 100),
    (Spool, "append", 100),
    (Spool, "drop", 100),
    (AgentMemory, "learn_generation", 50),
    (SiteDesk, "start", 1),
    (SiteDesk, "acknowledge", 50),
    (SiteDesk, "exchange", 20),
    (KeptFiles, "write", 50),
    (KeptFiles, "acknowledge", 50),
    (KeptFiles, "remove", 50),
)


class Killed(BaseException):
    """A process ended here."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, chance: random.Random) -> Iterator[Counter[str]]:
    """Kill whoever comes to a step: the first before it, the second after it, then by chance."""
    killed: Counter[str] = Counter()

    def wrapped(name: str, step: Callable[..., Any], often: int) -> Callable[..., Any]:
        visits = count(1)

        def run(*args: Any, **more: Any) -> Any:
            drawn = {1: 0, 2: 999}.get(next(visits), chance.randrange(1000))
            if drawn < often:
                killed[f"before {name}"] += 1
                raise Killed
            done = step(*args, **more)
            if drawn >= 1000 - often:
                killed[f"after {name}"] += 1
                raise Killed
            return done

        return run

    with monkeypatch.context() as patched:
        for owner, name, often in STEPS:
            step = wrapped(f"{owner.__name__}.{name}", getattr(owner, name), often)
            patched.setattr(owner, name, step)
        yield killed


class Race:
    """An engine's part, played by its rules, over a centre and an agent that die."""

    def __init__(self, folder: Path, jobs: int, chance: random.Random) -> None:
        self._folder, self._chance = folder, chance
        devices = ((pool_name(SITE, OWN), 0),)
        self.orders = [
            replace(order(f"job-{number}", COUNTING), devices=devices) for number in range(jobs)
        ]
        self.booked: dict[tuple[str, int], Receipt] = {}
        self.told_again: list[Receipt] = []
        self.centre = CentreSide(folder / "centre", {OWN: SLOTS})
        self.line = Line(self.centre, self.centre.key)
        self._lossy(self.line)
        nodes = [node_named(OWN, SLOTS)]
        self.agent = AgentSide(
            folder / "site", self.line, lambda: driver_at(folder / "site"), nodes
        )

    def _lossy(self, line: Line) -> None:
        """A fifth of all questions or answers is lost on the way."""
        plain = line.exchange

        def exchange(push: Push) -> Answer:
            line.is_cut = self._chance.random() < 0.1
            line.loses_answers = self._chance.random() < 0.1
            return plain(push)

        line.exchange = exchange  # type: ignore[method-assign]

    def engine_turn(self) -> None:
        """Look, book, acknowledge, order what stands: as ``DriverHands`` does."""
        for receipt in self.centre.driver.observe():
            key = (receipt.job, receipt.attempt)
            assert self.centre.driver.clean(*key)["is_clean"]
            if key in self.booked:
                self.told_again.append(receipt)
            # The ledger holds it: it is durable whoever dies now.
            self.booked[key] = receipt
            self.centre.driver.acknowledge([receipt])
        for one in [one for one in self.orders if (one.job, one.attempt) not in self.booked][
            :STAND
        ]:
            with suppress(DriverError):
                self.centre.driver.start(one)

    def step(self) -> None:
        """One turn of one of the two; whoever dies begins anew."""
        if self._chance.random() < 0.5:
            self._or_anew(self.engine_turn, self.centre.begin)
        else:
            self._or_anew(self.agent.agent.turn, self.agent.begin)

    def _or_anew(self, turn: Callable[[], object], begin: Callable[[], None]) -> None:
        try:
            turn()
        except Killed:
            # The engine's process serves the agents, so its end ends the question at hand as well.
            self._begin(self.centre.begin)
            self._begin(begin)

    @staticmethod
    def _begin(begin: Callable[[], None]) -> None:
        while True:
            try:
                return begin()
            except Killed:
                continue

    def is_over(self) -> bool:
        return len(self.booked) == len(self.orders)

    def is_quiet(self) -> bool:
        """Tell whether neither side keeps anything of what is over."""
        kept = self._folder / "centre" / "sites" / SITE
        left = [*(kept / "open").iterdir(), *(kept / "told").iterdir()]
        return not left and not self.agent.spooled()

    def starts(self, job: str) -> int:
        written = self._folder / "site" / "jobs" / job / "work" / "starts"
        return len(written.read_text().split()) if written.exists() else 0


@pytest.mark.parametrize(("jobs", "seed"), [(40, 1), pytest.param(200, 2, marks=pytest.mark.slow)])
def test_killed_at_any_step_each_job_runs_once_and_is_booked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, seed: int
) -> None:
    race = Race(tmp_path, jobs, random.Random(seed))

    with dying(monkeypatch, random.Random(seed + 100)) as killed:
        until(lambda: race.step() or race.is_over(), within_s=60 + 2 * jobs)
        # Nobody waits for anything now, and both sides come to know it.
        until(lambda: race.step() or race.is_quiet(), within_s=60)
    for _ in range(20):
        race.step()

    assert Counter(race.starts(one.job) for one in race.orders) == {1: jobs}
    assert {receipt.kind for receipt in race.booked.values()} == {"ended"}
    # What the engine booked and could not say that it had is told again, and booked no second time.
    assert len(race.told_again) <= sum(killed.values())
    assert race.centre.driver.observe() == []
    assert race.is_quiet()
    assert sum(killed.values()) > jobs
    names = [f"{one.__name__}.{name}" for one, name, _ in STEPS]
    assert set(killed) == {f"{when} {name}" for name in names for when in ("before", "after")}
