"""A platform that works is kept in one file, and goes on from it elsewhere, on files or not."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.up_process import DURE, UpProcess
from tests.postgres import programs, shared_server


@pytest.fixture
def up(tmp_path: Path) -> Iterator[UpProcess]:
    process = UpProcess(tmp_path / "data")
    yield process
    process.close()


def dure(*words: str | Path) -> str:
    done = subprocess.run([*DURE, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def replayed(*place: str | Path) -> dict[str, Any]:
    found = json.loads(dure("replay", "1..", "--in", "here", "-o", "json", *place))
    return {name: value for name, value in found.items() if name not in ("ledger", "wall_s")}


def heads(*place: str | Path) -> set[tuple[str, int]]:
    rows = json.loads(dure("ledger", "verify", "-o", "json", *place))["ledgers"]
    return {(row["head"], row["records"]) for row in rows}


@pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")
def test_a_working_platform_is_kept_and_goes_on_from_a_database(
    up: UpProcess, tmp_path: Path
) -> None:
    up.start()
    project = up.data / "here" / "projects" / "team-a"
    project.mkdir(parents=True)
    (project / "corpus.txt").write_text("가나다")
    first = up.submit("echo first")
    up.wait_for(first, "COMPLETED")
    waiting = [up.submit("sleep 0.2; echo again") for _ in range(5)]

    kept, db = tmp_path / "kept.zip", shared_server().new_database()
    dure("backup", kept, "--projects", "--data", up.data)
    up.stop()
    dure("restore", kept, "--data", tmp_path / "files")
    dure("restore", kept, "--data", tmp_path / "moved", "--db", db)

    assert heads("--data", tmp_path / "files") == heads("--data", tmp_path / "moved", "--db", db)
    decided = replayed("--data", tmp_path / "files")
    assert decided == replayed("--data", tmp_path / "moved", "--db", db)
    assert decided["cycles"] > 0
    moved = UpProcess(tmp_path / "moved")
    try:
        moved.passwords = up.passwords
        moved.start("--db", db)
        moved.sign_in()
        assert moved.state(first) == "COMPLETED"
        for job in waiting:
            moved.wait_for(job, "COMPLETED")
    finally:
        moved.close()
    corpus = tmp_path / "moved" / "here" / "projects" / "team-a" / "corpus.txt"
    assert (corpus.read_text(), os.stat(corpus).st_mode & 0o777) == ("가나다", 0o600)
