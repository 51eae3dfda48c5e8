"""Launched exactly once at Slurm: crashes at every step, silence, a race of two, state lost.

On the model of Slurm by the thousand, on a real Slurm whose commands die or hang by the dozen.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dure.core.errors import DriverError
from dure.core.orders import LOST_REASONS, Receipt, Recipe, StartOrder
from dure.drivers import files
from dure.drivers.slurm.commands import Answer, SlurmCommands
from dure.drivers.slurm.driver import SlurmDriver
from tests.drivers.polling import until
from tests.drivers.slurm_model import Killed, SlurmModel
from tests.slurm_cluster import SlurmCluster

STEPS = ("write", "sync", "sync_folder", "create_exclusively", "remove", "write_durably")


def order(job: str, node: str = "n0", script: str = "true") -> StartOrder:
    return StartOrder(f"here:{job}~1", job, 1, ((node, 0),), 1000, Recipe(script=script))


@pytest.fixture
def fast_root() -> Iterator[Path]:
    """Return a folder in memory, where syncing thousands of files costs nothing."""
    folder = tempfile.mkdtemp(prefix="dure-", dir="/dev/shm" if os.access("/dev/shm", 7) else None)
    yield Path(folder)
    shutil.rmtree(folder)


@contextmanager
def dying_in_files(chance: random.Random, pct: float) -> Iterator[None]:
    """Kill the driver now and then before or after a step on its files."""
    plain = {name: getattr(files, name) for name in STEPS}

    def dying(name: str):  # type: ignore[no-untyped-def]
        def step(*arguments, **options):  # type: ignore[no-untyped-def]
            if chance.random() * 100 < pct:
                if chance.random() < 0.5:
                    plain[name](*arguments, **options)
                raise Killed
            return plain[name](*arguments, **options)

        return step

    for name in STEPS:
        setattr(files, name, dying(name))
    try:
        yield
    finally:
        for name in STEPS:
            setattr(files, name, plain[name])


class Engines:
    """Two engines on one folder, each repeating its orders, each killed now and then."""

    def __init__(self, root: Path, model: SlurmModel, chance: random.Random, jobs: int) -> None:
        self._root, self._model, self._chance = root, model, chance
        self._now_s = 0.0
        self._drivers: list[SlurmDriver | None] = [None, None]
        self._busy = False
        self.wanted = [f"job-{number}" for number in range(jobs)]
        self.receipts: dict[str, Receipt] = {}
        model.between = self._other_acts

    def turn(self, which: int) -> None:
        """Let one engine order what stands, and look; a kill leaves it to start anew."""
        self._now_s += self._chance.choice([0.1, 1.0, 3.0])
        with suppress(Killed):
            driver = self._drivers[which] or self._started(which)
            if driver is None:
                return
            standing = [job for job in self.wanted if job not in self.receipts]
            for job in standing[: 1 + self._chance.randrange(60)]:
                driver.start(order(job))
            found = driver.observe()
            for receipt in found:
                self.receipts.setdefault(receipt.job, receipt)
            driver.acknowledge(found)
            return
        self._drivers[which] = None

    def forget(self, which: int) -> None:
        """End an engine, as a power cut does."""
        self._drivers[which] = None

    def _started(self, which: int) -> SlurmDriver | None:
        """Return a new driver; none while a Slurm that was never asked before is silent."""
        with suppress(DriverError):
            driver = SlurmDriver(self._root, self._model, monotone_s=lambda: self._now_s)
            self._drivers[which] = driver
            return driver
        return None

    def _other_acts(self) -> None:
        """Have the other engine take a turn in the middle of a command of this one."""
        if not self._busy and self._chance.random() < 0.05:
            self._busy = True
            try:
                self.turn(1)
            finally:
                self._busy = False


def run_to_the_end(engines: Engines, model: SlurmModel, turns_max: int) -> int:
    """Turn until every job has its receipt; then let what came late be seen and be cancelled."""
    turns = 0
    while len(engines.receipts) < len(engines.wanted):
        engines.turn(0)
        turns += 1
        assert turns < turns_max, f"{len(engines.wanted) - len(engines.receipts)} are lost"
    model.silent_pct = model.killed_pct = model.garbled_pct = 0
    for _ in range(20):
        engines.turn(0)
    return turns


def launched(root: Path, *, jobs: int, seed: int) -> tuple[Engines, SlurmModel]:
    chance = random.Random(seed)
    model = SlurmModel(chance, silent_pct=20, late_pct=30, killed_pct=1, garbled_pct=5)
    engines = Engines(root, model, chance, jobs)
    with dying_in_files(chance, 0.1):
        run_to_the_end(engines, model, turns_max=20 * jobs)
    return engines, model


def check_once(engines: Engines, model: SlurmModel) -> None:
    # By Slurm's own book: of each mark one job was ever released, and its work began once.
    assert {mark: ids for mark, ids in model.released.items() if len(ids) > 1} == {}
    assert sorted(model.begun.values()) == [1] * len(engines.wanted)
    assert {one.kind for one in engines.receipts.values()} == {"ended"}
    assert {one.exit_code for one in engines.receipts.values()} == {0}
    # Nothing held is left behind.
    assert [one for one in model.jobs.values() if one.is_held] == []


def test_four_hundred_launches_start_once_each(fast_root: Path) -> None:
    engines, model = launched(fast_root, jobs=400, seed=4711)

    check_once(engines, model)
    # More was submitted than released, or the test has tried nothing.
    assert len(model.jobs) > 420


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_launches_start_once_each(fast_root: Path, seed: int) -> None:
    engines, model = launched(fast_root, jobs=1_000, seed=seed)

    check_once(engines, model)


def test_a_launch_converges_within_three_looks_after_a_kill_and_silence(fast_root: Path) -> None:
    model = SlurmModel(random.Random(1), silent_pct=100)
    with suppress(Exception):
        SlurmDriver(fast_root, model)
    model.silent_pct = 0
    now_s = [0.0]
    driver = SlurmDriver(fast_root, model, monotone_s=lambda: now_s[0])
    driver.observe()
    model.silent_pct = 100
    for number in range(10):
        driver.start(order(f"job-{number}"))
    driver.observe()
    assert len(model.jobs) > 0, "some of the silent submissions were taken"

    model.silent_pct = 0
    driver = SlurmDriver(fast_root, model, monotone_s=lambda: now_s[0])
    ends = []
    for _ in range(3):
        now_s[0] += 5.0
        ends = list(driver.observe())

    assert [one.kind for one in ends] == ["ended"] * 10
    assert sorted(model.begun.values()) == [1] * 10
    assert [one for one in model.jobs.values() if one.is_held] == []


def test_a_job_that_slurm_forgot_is_explained_and_never_begins_later(fast_root: Path) -> None:
    model = SlurmModel(random.Random(1))
    now_s = [0.0]
    driver = SlurmDriver(fast_root, model, monotone_s=lambda: now_s[0])
    driver.observe()
    driver.start(order("lost"))
    plain, model._release = model._release, lambda number: None  # type: ignore[method-assign]
    driver.observe()
    (held,) = model.jobs.values()

    model.lose_state()
    ends: list[Receipt] = []
    for _ in range(4):
        now_s[0] += 3.0
        ends = list(driver.observe())
    # The controller finds its state again, and the old job with it.
    model._release = plain  # type: ignore[method-assign]
    model.jobs[held.id] = held
    model._release(held.id)

    assert [(one.kind, one.reason) for one in ends] == [("ended", "JobVanished")]
    assert ends[0].reason in LOST_REASONS
    assert model.begun == {}


def test_a_held_job_that_nobody_ordered_is_cancelled_and_a_strangers_is_not(
    fast_root: Path,
) -> None:
    model = SlurmModel(random.Random(1))
    now_s = [0.0]
    driver = SlurmDriver(fast_root, model, monotone_s=lambda: now_s[0])
    driver.observe()
    driver.start(order("one"))
    driver.observe()
    submitted = next(iter(model.jobs.values()))
    twin = model.jobs[50] = type(submitted)(50, submitted.mark, fast_root, "one", "1")
    theirs = model.jobs[51] = type(submitted)(51, "dure:other:one~1", fast_root, "one", "1")
    spoilt = model.jobs[52] = type(submitted)(52, f"{submitted.mark}/../x", fast_root, "one", "1")

    now_s[0] += 5.0
    driver.observe()

    assert [one.state for one in (twin, theirs, spoilt)] == ["CANCELLED", "PENDING", "PENDING"]


def test_what_slurm_refuses_is_a_failure_with_its_words(fast_root: Path) -> None:
    model = SlurmModel(random.Random(1))
    now_s = [0.0]
    driver = SlurmDriver(fast_root, model, monotone_s=lambda: now_s[0])
    driver.observe()
    model._submit = lambda argv: Answer(1, "", "sbatch: error: Invalid qos")  # type: ignore[method-assign]
    driver.start(order("refused"))

    ends: list[Receipt] = []
    for _ in range(6):
        now_s[0] += 3.0
        ends = list(driver.observe())

    assert [(one.kind, one.reason) for one in ends] == [
        ("failed", "SlurmRefused: sbatch: error: Invalid qos")
    ]


def test_torn_files_double_nothing_and_lose_nothing(fast_root: Path) -> None:
    chance = random.Random(99)
    model = SlurmModel(chance, silent_pct=20, late_pct=30)
    engines = Engines(fast_root, model, chance, 300)
    torn = turns = 0
    while len(engines.receipts) < len(engines.wanted):
        turns += 1
        assert turns < 3_000, f"{len(engines.wanted) - len(engines.receipts)} are lost"
        engines.turn(0)
        # What has been gone for two looks is explained, so an engine must live that long.
        if torn >= 1_000 or chance.random() < 0.5:
            continue
        places = [*(fast_root / "open").iterdir(), *(fast_root / "done").iterdir()]
        places += (fast_root / "control").glob("*/*")
        for path in chance.sample(places, min(len(places), 24)):
            # Cut short, as a power cut leaves what was not synced.
            path.write_bytes(path.read_bytes()[: chance.randrange(1 + path.stat().st_size)])
            torn += 1
        engines.forget(0)

    assert torn >= 500
    assert {mark: ids for mark, ids in model.released.items() if len(ids) > 1} == {}
    assert max(model.begun.values()) == 1


def test_a_name_on_the_site_that_is_spoilt_stops_the_start(fast_root: Path) -> None:
    SlurmDriver(fast_root, SlurmModel(random.Random(1)))
    (fast_root / "site-id").write_text("")

    with pytest.raises(DriverError, match="damaged"):
        SlurmDriver(fast_root, SlurmModel(random.Random(1)))


def test_a_node_that_slurm_has_no_more_or_has_less_of_is_closed(fast_root: Path) -> None:
    expected = {"n0": 8, "n1": 16, "gone": 8}
    driver = SlurmDriver(fast_root, SlurmModel(random.Random(1)), expected=expected)

    assert driver.nodes() == (), "nothing is said before Slurm spoke"
    driver.observe()

    states = {one.node: (one.state, one.who) for one in driver.nodes()}
    assert states["n0"] == ("open", "")
    assert states["n1"] == states["gone"] == ("closed", "health")


# --- on a real Slurm -----------------------------------------------------------------------------

WRAPPER = """\
#!/bin/bash
# Every fifth call dies after its work is done, every eleventh hangs before or after it.
count=$(($(cat "{state}" 2>/dev/null || echo 0) + 1))
echo "$count" >"{state}"
((count % 11 == 0)) && ((count % 2)) && sleep 30
if ((count % 5 == 0)); then "{real}" "$@" >/dev/null; exit 1; fi
if ((count % 11 == 0)); then "{real}" "$@" >/dev/null; sleep 30; fi
exec "{real}" "$@"
"""


@pytest.mark.slurm
def test_on_a_real_slurm_whose_commands_die_and_hang_each_job_runs_once(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    wrappers = tmp_path / "wrappers"
    wrappers.mkdir()
    for name in ("sbatch", "scontrol"):
        words = {"state": wrappers / f"{name}.count", "real": shutil.which(name)}
        (wrappers / name).write_text(WRAPPER.format(**words))
        (wrappers / name).chmod(0o755)
    environment = slurm_cluster.environment
    faulty = environment | {"PATH": f"{wrappers}:{environment['PATH']}"}
    root = tmp_path / "here"
    # The site itself is read by commands that work.
    SlurmDriver(root, SlurmCommands(environment))
    jobs = [f"job-{number}" for number in range(20)]
    drivers = [SlurmDriver(root, SlurmCommands(faulty, answer_s=0.5), queue_s=0.2) for _ in "ab"]
    for place, job in enumerate(jobs):
        for driver in drivers:
            node = slurm_cluster.names[place % len(slurm_cluster.names)]
            driver.start(order(job, node, "echo start >> starts"))

    def ended() -> bool:
        found = [driver.observe() for driver in drivers]
        return all(len(one) == len(jobs) for one in found)

    until(ended, within_s=120)
    drivers = [SlurmDriver(root, SlurmCommands(environment), queue_s=0.2)]

    def held() -> str:
        drivers[0].observe()
        return slurm_cluster.ask("squeue", "-h", "-t", "PENDING", "-o", "%i %r %k")

    until(lambda: "JobHeldUser" not in held())
    starts = [(root / "jobs" / job / "work" / "starts").read_text() for job in jobs]
    assert starts == ["start\n"] * len(jobs)
