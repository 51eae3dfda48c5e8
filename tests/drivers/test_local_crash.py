"""kill -9 of the pool's programme at any moment: nothing runs twice, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest

from dure.core.orders import Receipt
from dure.drivers import launcher, processes
from dure.drivers.attempt import Attempt
from dure.drivers.launch import plan_launch
from dure.drivers.local import LocalDriver
from dure.drivers.places import Places
from tests.drivers.local_bench import driver_at, end_all, end_of, four_slots, order, said
from tests.drivers.polling import until

REPOSITORY = Path(__file__).resolve().parents[2]
COUNTING = "echo start >> starts; "


@contextmanager
def programme(root: Path, *, count: int, script: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process that starts jobs; whatever happens, it is killed in the end."""
    command = [sys.executable, "-m", "tests.drivers.start_jobs", str(root), str(count), script]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def starts(driver: LocalDriver, job: str) -> int:
    written = driver.root / "jobs" / job / "work" / "starts"
    return len(written.read_text().split()) if written.exists() else 0


def test_what_ran_when_the_programme_was_killed_runs_on_and_is_taken_up(tmp_path: Path) -> None:
    script = COUNTING + "trap 'exit 85' USR1; echo up; while true; do sleep 0.01; done"
    with programme(tmp_path, count=2, script=script) as running:
        assert running.stdout is not None
        assert [running.stdout.readline().strip() for _ in range(2)] == ["job-0", "job-1"]
        outputs = [tmp_path / "jobs" / job / "attempt-1.out" for job in ("job-0", "job-1")]
        until(lambda: all(path.exists() for path in outputs))
        running.kill()
        running.wait()

    driver = driver_at(tmp_path)
    until(lambda: all(said(driver, job) == "up\n" for job in ("job-0", "job-1")))
    assert driver.observe() == []
    driver.notify("job-0", 1, stop_by_s=1_900_000_000)
    saved = end_of(driver, "job-0")
    driver.stop("job-1", 1)
    stopped = end_of(driver, "job-1")

    assert (saved.kind, saved.saved) == ("stopped", True)
    assert stopped.kind == "stopped"
    assert [starts(driver, job) for job in ("job-0", "job-1")] == [1, 1]


def test_an_end_that_nobody_saw_is_reported_later(tmp_path: Path) -> None:
    script = "echo up; while [ ! -e go ]; do sleep 0.01; done; exit 9"
    with programme(tmp_path, count=1, script=script) as running:
        until(lambda: (tmp_path / "control" / "job-0" / "attempt-1.run").exists())
        running.kill()
        running.wait()
    (tmp_path / "jobs" / "job-0" / "work" / "go").touch()
    until(lambda: (tmp_path / "control" / "job-0" / "attempt-1.exit").exists())
    seen_after_s = time.time()

    driver = driver_at(tmp_path)
    ended = end_of(driver, "job-0")
    driver.acknowledge([ended])

    assert (ended.kind, ended.exit_code) == ("ended", 9)
    assert ended.at_s <= seen_after_s
    assert driver_at(tmp_path).observe() == []


@pytest.mark.parametrize("wait_ms", [0, 1, 2, 5, 10, 20, 35, 50])
def test_killed_while_starting_each_job_starts_exactly_once(tmp_path: Path, wait_ms: int) -> None:
    count = 12
    with programme(tmp_path, count=count, script=COUNTING) as running:
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(wait_ms / 1000)
        running.kill()
        running.wait()

    driver = driver_at(tmp_path)
    for number in range(count):
        # The ledger still holds the orders; a restarted engine gives them all again.
        driver.start(order(f"job-{number}", COUNTING))
    ends = [end_of(driver, f"job-{number}") for number in range(count)]

    assert [one.kind for one in ends] == ["ended"] * count
    assert [starts(driver, one.job) for one in ends] == [1] * count


def test_twenty_races_for_one_attempt_have_one_winner_each(tmp_path: Path) -> None:
    drivers = [driver_at(tmp_path), driver_at(tmp_path)]
    for number in range(20):
        barrier = Barrier(len(drivers))

        def race(driver: LocalDriver, job: str, barrier: Barrier = barrier) -> None:
            barrier.wait()
            driver.start(order(job, COUNTING))

        threads = [Thread(target=race, args=(one, f"race-{number}")) for one in drivers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    ends = [[end_of(driver, f"race-{number}") for number in range(20)] for driver in drivers]

    assert ends[0] == ends[1]
    assert [starts(drivers[0], f"race-{number}") for number in range(20)] == [1] * 20


def test_a_written_intent_is_carried_out_after_a_restart(tmp_path: Path) -> None:
    driver_at(tmp_path)
    wanted = order("written", COUNTING)
    places = Places(tmp_path, "written", 1)
    launch = plan_launch(wanted, places, four_slots())
    Attempt.write_intent(places, launch, action_id=wanted.action_id, grace_s=1)
    (tmp_path / "open" / "half~1.77-abc.new").write_text("{")

    driver = driver_at(tmp_path)
    ended = end_of(driver, "written")

    assert ended.kind == "ended"
    assert starts(driver, "written") == 1
    assert os.listdir(tmp_path / "open") == ["written~1"]


def test_an_intent_spoilt_on_disk_is_a_named_failure(tmp_path: Path) -> None:
    driver_at(tmp_path)
    (tmp_path / "jobs" / "spoilt").mkdir()
    (tmp_path / "open" / "spoilt~1").write_text("{no json")

    failed = end_of(driver_at(tmp_path), "spoilt")

    # It never began: at its end, in the words of receipts.
    assert failed == Receipt(
        "failed", "spoilt", 1, failed.at_s, reason="IntentUnreadable", began_at_s=failed.at_s
    )


def test_a_job_of_an_earlier_boot_is_ended_by_it(tmp_path: Path) -> None:
    driver = driver_at(tmp_path)
    driver.start(order("old", "sleep 600"))
    places = Places(tmp_path, "old", 1)
    until(lambda: driver.observe() or places.of_attempt("run").exists())
    lock = places.of_attempt("lock")
    os.kill(int(json.loads(lock.read_text())["launcher"].split(":")[0]), signal.SIGKILL)
    for path in (lock, places.of_attempt("run")):
        # The same pids and starts, another boot: the machine went down under it.
        path.write_text(path.read_text().replace(processes.boot_id(), "another-boot"))

    ended = end_of(driver, "old")

    assert (ended.kind, ended.reason) == ("ended", "LauncherVanished")


def test_a_launcher_that_is_killed_before_the_command_is_a_named_failure(tmp_path: Path) -> None:
    driver = driver_at(tmp_path)
    driver.start(order("gone", "true"))
    places = Places(tmp_path, "gone", 1)
    until(lambda: places.of_attempt("exit").exists())
    for what in ("exit", "run"):
        places.of_attempt(what).unlink()

    failed = end_of(driver, "gone")

    assert (failed.kind, failed.reason) == ("failed", "LauncherVanished")


def test_the_launcher_brings_no_heavy_library() -> None:
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOADED, str(REPOSITORY / "src")],
        check=True,
        capture_output=True,
        text=True,
    )
    modules = set(loaded.stdout.split())

    assert launcher.__name__ in modules
    assert (
        modules & {"asyncio", "dataclasses", "msgspec", "pathlib", "subprocess", "typer"} == set()
    )


LOADED = (
    "import sys; sys.path.append(sys.argv[1]); import dure.drivers.launcher; "
    "print(*sorted(sys.modules))"
)


def test_signals_to_the_programme_do_not_reach_its_jobs(tmp_path: Path) -> None:
    with programme(tmp_path, count=1, script="echo up; sleep 600") as running:
        until(lambda: (tmp_path / "control" / "job-0" / "attempt-1.run").exists())
        running.send_signal(signal.SIGINT)
        running.wait()

    driver = driver_at(tmp_path)

    assert driver.observe() == []
    assert driver.running() == [("job-0", 1)]
    end_all(driver)
