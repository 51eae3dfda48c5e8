"""A platform that works is kept in one file, by the words of the manual, and goes on from it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.doc_commands import typed
from tests.cli.up_process import DURE, UpProcess
from tests.postgres import programs, shared_server


@pytest.fixture
def up(tmp_path: Path) -> Iterator[UpProcess]:
    process = UpProcess(tmp_path / "data")
    yield process
    process.close()


def typing(line: str, folder: Path) -> str:
    """Type a line into a shell in a folder, where ``dure`` is ours."""
    program = folder / "bin" / "dure"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {DURE[0]} {DURE[1]} "{DURE[2]}" "$@"\n')
        program.chmod(0o700)
    path = f"{program.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True
    )
    assert done.returncode == 0, (line, done.stderr, done.stdout)
    return done.stdout.decode()


def replayed(*place: str) -> dict[str, Any]:
    words = [*DURE, "replay", "1..", "--in", "here", "-o", "json", *place]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    return {name: value for name, value in found.items() if name not in ("ledger", "wall_s")}


def heads(folder: Path, words: str) -> set[tuple[str, int]]:
    rows = json.loads(typing(f"dure ledger verify -o json {words}", folder))["ledgers"]
    return {(row["head"], row["records"]) for row in rows}


@pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")
def test_a_working_platform_is_kept_and_goes_on_on_files_and_from_a_database(
    up: UpProcess, tmp_path: Path
) -> None:
    keep, look, bring_back, _ = typed("Backup, restore, moving")
    # The folder ``data`` of the manual is where the shell stands.
    up.start()
    project = up.data / "here" / "projects" / "team-a"
    project.mkdir(parents=True)
    (project / "corpus.txt").write_text("가나다")
    first = up.submit("echo first")
    up.wait_for(first, "COMPLETED")
    go = tmp_path / "go"
    waiting = [up.submit(f"until test -e {go}; do sleep 0.1; done") for _ in range(3)]

    typing(f"{keep} --projects", tmp_path)
    assert "whole" in typing(look, tmp_path)
    up.stop()
    go.touch()
    (kept,) = tmp_path.glob("kept-*.zip")
    again = re.sub(r"kept-\S+", kept.name, bring_back).replace("[", "").replace("]", "")
    typing(again, tmp_path)
    db = shared_server().new_database()
    typing(f"dure restore {kept.name} --data moved --db '{db}'", tmp_path)

    assert heads(tmp_path, "") == heads(tmp_path, f"--data moved --db '{db}'")
    decided = replayed("--data", str(up.data))
    assert decided == replayed("--data", str(tmp_path / "moved"), "--db", db)
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
