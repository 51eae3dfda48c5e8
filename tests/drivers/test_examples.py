"""The examples run as a newcomer would run them, and the training loses nothing when stopped."""

from dataclasses import replace
from pathlib import Path

import pytest

from dure.core.orders import StartOrder
from dure.drivers.local import LocalDriver
from dure.drivers.machine import NODE
from dure.services.requests import JobRequest, parse_job
from tests.drivers.local_bench import driver_at, end_all, end_of, said, until_it_says

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


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
