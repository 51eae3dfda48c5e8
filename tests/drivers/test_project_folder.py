"""The folder that jobs of a project share, as the local backend gives it to them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dure.core.orders import StartOrder
from dure.drivers.local import LocalDriver
from tests.drivers.local_bench import driver_at, end_all, end_of, order, said


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LocalDriver]:
    made = driver_at(tmp_path)
    yield made
    end_all(made)


def test_jobs_of_a_project_share_its_folder_and_no_other(driver: LocalDriver) -> None:
    def of(job: str, project: str, script: str) -> StartOrder:
        asked = order(job, script)
        return replace(asked, recipe=replace(asked.recipe, project=project))

    driver.start(of("writes", "p-1", 'echo 가 > "$DURE_PROJECT_DIR/a"; echo b >> project/a'))
    end_of(driver, "writes")
    driver.start(of("reads", "p-1", "cat project/a"))
    end_of(driver, "reads")
    driver.start(of("other", "p-2", "ls project/; echo ${DURE_PROJECT_DIR##*/}"))
    end_of(driver, "other")
    driver.start(order("nobodys", "ls; echo ${DURE_PROJECT_DIR-none}"))
    end_of(driver, "nobodys")

    assert said(driver, "reads") == "가\nb\n"
    assert said(driver, "other") == "p-2\n"
    assert said(driver, "nobodys") == "none\n"


def test_what_a_job_called_project_itself_stays_over_attempts(driver: LocalDriver) -> None:
    for attempt in (1, 2):
        asked = order("own", "cat project/x; rm -f project; mkdir -p project; echo 1 > project/x",
                      attempt=attempt)  # fmt: skip
        driver.start(replace(asked, recipe=replace(asked.recipe, project="p-1")))
        end_of(driver, "own", attempt=attempt)

    assert said(driver, "own", attempt=2) == "1\n"
