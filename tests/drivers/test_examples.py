"""The examples run as a newcomer would run them, and the training loses nothing when stopped."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from dure.cli.workdir import pack
from dure.core.orders import StartOrder
from dure.drivers.local import LocalDriver
from dure.drivers.machine import NODE
from dure.drivers.workdirs import LocalWorkdirs
from dure.services.requests import JobRequest, parse_job
from tests.drivers.local_bench import driver_at, end_all, end_of, said, until_it_says
from tests.drivers.polling import until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROBOT = EXAMPLES / "robot"


def request(name: str) -> JobRequest:
    return parse_job((EXAMPLES / name).read_text(), name)


def start(driver: LocalDriver, asked: JobRequest, *, attempt: int = 1) -> None:
    recipe = replace(asked.recipe(), submit_dir=str(EXAMPLES))
    order = StartOrder(f"a-{attempt}", "job", attempt, ((NODE, 0),), 1000, recipe)
    driver.start(order)


def test_hello_says_where_it_runs(tmp_path: Path) -> None:
    driver = driver_at(tmp_path)
    start(driver, request("hello.yaml"))
    end_of(driver, "job")

    assert said(driver, "job") == "Hello from job, attempt 1, on here-0001:0\n"


@pytest.mark.parametrize("name", ["train.yaml", "train.sbatch"])
def test_the_training_saves_on_notice_and_goes_on_where_it_stopped(
    tmp_path: Path, name: str
) -> None:
    driver = driver_at(tmp_path)
    text = (EXAMPLES / name).read_text().replace("--step-s 0.1", "--step-s 0.005")
    asked = parse_job(text, name)

    start(driver, asked)
    until_it_says(driver, "job", "step 10 of 600")
    driver.notify("job", 1, stop_by_s=1_900_000_000)
    saved = end_of(driver, "job")
    driver.acknowledge([saved])
    start(driver, asked, attempt=2)
    done = end_of(driver, "job", attempt=2)

    assert (saved.kind, saved.saved) == ("stopped", True)
    stopped_at = int(said(driver, "job").rsplit("saved on notice at step ", 1)[1])
    first_line = said(driver, "job", attempt=2).splitlines()[0]
    assert first_line == f"attempt 2 goes on from step {stopped_at}"
    assert (done.kind, done.exit_code) == ("ended", 0)
    assert "done: y = 3.0" in said(driver, "job", attempt=2)
    end_all(driver)


def sent_along(driver: LocalDriver, folder: Path) -> str:
    """Send a folder as ``dure submit`` does; return its name in a recipe."""
    archive = BytesIO()
    sha256 = pack(folder, archive)
    LocalWorkdirs(driver.root, bytes_max=1 << 20).keep("kim", sha256, [archive.getvalue()])
    return f"kim/{sha256}"


def test_the_robots_programme_goes_along_from_any_machine(tmp_path: Path) -> None:
    driver = driver_at(tmp_path)
    asked = request("robot/walk.yaml")
    recipe = replace(asked.recipe(), script="cat walk.py", setup="")
    recipe = replace(recipe, workdir=sent_along(driver, ROBOT / asked.workdir))
    driver.start(StartOrder("a-1", "job", 1, ((NODE, 0),), 1000, recipe))
    end_of(driver, "job")

    assert said(driver, "job") == (ROBOT / "walk.py").read_text()
    end_all(driver)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["walk.yaml", "walk.sbatch"])
def test_a_robot_learns_the_same_whether_it_was_stopped_or_not(tmp_path: Path, name: str) -> None:
    """It brings MuJoCo itself, as the job of a person does."""
    text = (ROBOT / name).read_text()
    text = text.replace("ROUNDS: 60", "ROUNDS: 6").replace("--rounds 60", "--rounds 6")
    asked = parse_job(text, name)
    recipe = replace(asked.recipe(), submit_dir=str(ROBOT))
    driver = driver_at(tmp_path)
    if asked.workdir:
        recipe = replace(recipe, workdir=sent_along(driver, ROBOT / asked.workdir))

    def run(job: str, attempt: int) -> None:
        driver.start(StartOrder(f"{job}-{attempt}", job, attempt, ((NODE, 0),), 1000, recipe))

    run("whole", 1)
    driver.acknowledge(until(driver.observe, within_s=600))
    run("stopped", 1)
    until(lambda: driver.observe() or "round 2 of" in said(driver, "stopped"), within_s=600)
    driver.notify("stopped", 1, stop_by_s=1_900_000_000)
    saved = end_of(driver, "stopped")
    driver.acknowledge([saved])
    run("stopped", 2)
    done = end_of(driver, "stopped", attempt=2)

    assert (saved.kind, saved.saved) == ("stopped", True)
    assert (done.kind, done.exit_code) == ("ended", 0)
    stopped = said(driver, "stopped") + said(driver, "stopped", attempt=2)
    rounds = [line for line in stopped.splitlines() if line.startswith("round ")]
    whole = said(driver, "whole").splitlines()
    assert len(rounds) == 6
    assert rounds == [line for line in whole if line.startswith("round ")]
    assert stopped.splitlines()[-1] == whole[-1]
    end_all(driver)
