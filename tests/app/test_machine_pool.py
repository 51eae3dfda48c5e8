"""The pool of this machine, assembled: its rights, its limits, its lock."""

import os
from pathlib import Path

import pytest
from litestar.testing import TestClient

from dure.api.application import make_app
from dure.app.assemble import assemble
from dure.app.data_lock import DataLock
from dure.app.settings import Settings
from dure.core.errors import InputError
from dure.ledger.sqlite import SqliteLedger
from dure.services.access import Actor, Role
from dure.services.desks import Submission, Submitted, WorkForm
from tests.drivers.polling import until

ADMIN = Actor("admin", frozenset({Role.ADMIN}))


def settings(data: Path, **changes: object) -> Settings:
    return Settings(data, scenario="empty", slots=2, **changes)  # type: ignore[arg-type]


def test_a_full_disk_is_told_and_the_same_key_brings_the_job_once_it_has_room(
    tmp_path: Path,
) -> None:
    platform = assemble(settings(tmp_path / "data"))
    here = next(one for one in platform.ledgers if one.head()[0] > 0)
    assert isinstance(here, SqliteLedger) and here._writer is not None
    admin, token = platform.services.people, "a-long-password"
    admin.add("admin", token, roles=[Role.ADMIN], by="test")
    text, _ = admin.issue_token("admin", label="test", days=1, by="test")
    headers = {"authorization": f"Bearer {text}", "idempotency-key": "once"}
    body = {"form": "yaml", "text": f"run: 'echo {os.urandom(9_000).hex()}'", "project": ""}
    here._writer.pragma("max_page_count", here._writer.pragma("page_count"))
    with TestClient(make_app(platform.services)) as client:
        refused = client.post("/api/v1/pools/here/jobs", json=body, headers=headers)
        here._writer.pragma("max_page_count", 10**6)
        taken = client.post("/api/v1/pools/here/jobs", json=body, headers=headers)
    platform.close()

    assert (refused.status_code, refused.json()["code"]) == (503, "not-written")
    assert refused.headers["retry-after"] == "5"
    assert (taken.status_code, taken.json()["job"]) == (201, "here-1")


def test_a_job_goes_from_the_desk_to_a_process_and_back(tmp_path: Path) -> None:
    platform = assemble(settings(tmp_path / "data"))
    platform.start()
    desk = platform.services.pools["here"]

    answer = desk.submit(Submission(WorkForm.YAML, "run: echo done", "", "k"), by=ADMIN)
    assert isinstance(answer, Submitted)

    def ended() -> bool:
        story = desk.view().story(answer.job)
        return story is not None and story.row.state == "COMPLETED"

    until(ended)
    output = desk.output(answer.job, offset=0)
    platform.close()
    assert output is not None
    assert output.text == "done\n"
    evidence = (tmp_path / "data" / "here" / "cleaned.jsonl").read_text().splitlines()
    assert len(evidence) == 1
    assert '"is_clean": true' in evidence[0]


def test_allocations_stay_until_they_are_changed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assemble(settings(data, allocations={"a": 2, "b": 0})).close()
    assemble(settings(data)).close()

    platform = assemble(settings(data, allocations={"a": 1}))
    rights = platform.here.demand.rights
    platform.close()

    assert {name: right.gpus for name, right in rights.items()} == {"here-a": 1, "here-b": 0}


def test_no_more_than_the_machine_is_allocated_over_all_starts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assemble(settings(data, allocations={"a": 1})).close()

    with pytest.raises(InputError, match="at most the 2"):
        assemble(settings(data, allocations={"b": 2}))

    # The refusal let go of everything.
    assemble(settings(data, allocations={"b": 1})).close()


def test_one_service_a_data_directory(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)

    with pytest.raises(InputError, match="in use by process"):
        DataLock(tmp_path)
    lock.release()

    DataLock(tmp_path).release()


@pytest.mark.parametrize("changes", [{"scenario": "utopia"}, {"speed": -1}, {"speed": 10**9}])
def test_settings_that_cannot_be_meant_are_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        Settings(tmp_path, **changes)  # type: ignore[arg-type]


def test_a_meter_that_is_none_is_refused_and_the_built_in_one_measures(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(InputError, match="a Prometheus' http address"):
        assemble(settings(data, meter="ftp://x"))
    platform = assemble(settings(data, sample_s=0.05))
    platform.start()
    desk = platform.services.care["here"]

    until(lambda: desk.figures().samples >= 2)
    platform.close()

    assert desk.figures().set_aside.keys() <= {"Repeated"}
    assert list((data / "here" / "telemetry" / "samples").rglob("*.parquet"))
