"""Files of a project in a real service: sent over a kill, found by its job, fetched again."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.up_process import UpProcess

FILES = "/projects/owner/files"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[UpProcess]:
    process = UpProcess(tmp_path / "data", "--allocate", "owner=2", "--project-quota", "1M")
    yield process.start()
    process.close()


@pytest.fixture
def member(up: UpProcess) -> Iterator[httpx.Client]:
    words = {"user": "kang.min", "password": up.passwords["member"]}
    token = up.http.post("/login", json=words).json()["token"]
    with httpx.Client(
        base_url=up.http.base_url, trust_env=False, headers={"authorization": f"Bearer {token}"}
    ) as client:
        yield client


def test_a_file_sent_over_a_kill_is_found_by_the_job_whose_result_is_fetched(
    up: UpProcess, member: httpx.Client
) -> None:
    content = os.urandom(300_000)
    query = {"sha256": hashlib.sha256(content).hexdigest()}
    span = {"content-range": "bytes 0-199999/300000"}
    member.put(f"{FILES}/set.bin", params=query, content=content[:200_000], headers=span)
    up.kill()
    up.start()
    asked = member.put(
        f"{FILES}/set.bin", params=query, headers={"content-range": "bytes */300000"}
    )
    member.put(f"{FILES}/set.bin", params=query, content=content).raise_for_status()
    job = up.submit('sha256sum < project/set.bin > "$DURE_PROJECT_DIR/sum"', project="owner")
    up.wait_for(job, "COMPLETED")

    assert asked.json()["offset"] == 200_000
    assert member.get(f"{FILES}/sum").text.split()[0] == query["sha256"]
    assert up.http.get(f"{FILES}/sum").status_code == 403


def test_a_folder_goes_along_and_a_quota_is_the_services(
    up: UpProcess, member: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "say.sh").write_text("echo from the folder\n")
    (tmp_path / "job.yaml").write_text("workdir: code\nrun: bash say.sh\n")
    submitted = up.run("submit", "job.yaml", "--wait", cwd=tmp_path)
    large = member.put(
        f"{FILES}/a", params={"sha256": "0" * 64}, headers={"content-range": "bytes */1048577"}
    )

    assert submitted.returncode == 0, submitted.stderr
    assert up.run("output", submitted.stdout.split()[0]).stdout == "from the folder\n"
    assert large.json()["errors"][0]["numbers"]["free_bytes"] == 1 << 20
