"""The command line beside a real ``dure up``: a job runs as a process, and prints."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT

DURE = str(Path(sys.executable).parent / "dure")
# The first start on a machine compiles the engine.
START_S_MAX = 300
COMMAND_S_MAX = 120


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that runs in a folder of its own, and its first accounts."""

    folder: Path
    environment: dict[str, str]
    passwords: dict[str, str]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DURE, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
        )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


def greeting(process: subprocess.Popen[str], log: Path) -> str:
    """Wait until the platform has told its accounts; the administrator's is the last."""
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until:
        told = log.read_text()
        if re.search(r"admin +admin +\S+\n", told):
            return told
        assert process.poll() is None, told
        time.sleep(0.1)
    raise AssertionError(f"dure up did not start within {START_S_MAX} s: {log.read_text()}")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("live")
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DURE_")}
    environment = {
        **kept,
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "DURE_URL": f"http://127.0.0.1:{port}",
        "DURE_LANG": "en",
    }
    log = folder / "up.log"
    command = [DURE, "up", "--scenario", "empty", "--data", str(folder / "data"), "--slots", "4",
               "--port", str(port)]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True
        )
        try:
            told = greeting(process, log)
            found = re.findall(r"^ +\w+ +(\S+) +([a-z0-9]+(?:-[a-z0-9]+)+)$", told, re.M)
            yield Platform(folder, environment, dict(found))
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def member(platform: Platform) -> Platform:
    password = platform.passwords["kang.min"]
    done = platform.run("login", "kang.min", "--password-stdin", stdin=password)
    assert done.returncode == 0, done.stderr
    return platform


def test_a_job_goes_from_its_file_to_its_output(member: Platform) -> None:
    done = member.run("submit", str(ROOT / "examples" / "hello.yaml"), "--wait")
    job = done.stdout.strip()
    printed = member.run("output", job)
    listed = json.loads(member.run("jobs", "-o", "json").stdout)

    assert done.returncode == 0, done.stderr
    assert printed.stdout.startswith(f"Hello from {job}, attempt 1")
    assert [row["state"] for row in listed if row["job"] == job] == ["COMPLETED"]


def test_a_batch_script_is_followed_to_its_end_and_finds_what_lies_beside_it(
    member: Platform,
) -> None:
    (member.folder / "data.txt").write_text("what lies beside it\n")
    script = '#!/bin/bash\n#SBATCH --gpus=2\ncat "$SLURM_SUBMIT_DIR/data.txt"\nexit 3\n'
    (member.folder / "job.sbatch").write_text(script)
    done = member.run("submit", "job.sbatch", "--follow")

    assert (done.returncode, done.stdout) == (1, "what lies beside it\n"), done.stderr
    assert done.stderr.splitlines()[-1].endswith("Failed")


def test_one_wish_sent_twice_is_one_job(member: Platform) -> None:
    (member.folder / "once.yaml").write_text("run: echo once\n")
    first = member.run("submit", "once.yaml", "--key", "once")
    again = member.run("submit", "once.yaml", "--key", "once")

    assert first.stdout == again.stdout != ""


def test_a_running_job_is_cancelled(member: Platform) -> None:
    (member.folder / "long.yaml").write_text("run: |\n  echo begun\n  sleep 600\n")
    job = member.run("submit", "long.yaml").stdout.strip()
    until = time.monotonic() + COMMAND_S_MAX
    while "begun" not in member.run("output", job).stdout and time.monotonic() < until:
        time.sleep(0.2)
    cancelled = member.run("cancel", job)
    followed = member.run("output", job, "--follow")

    assert cancelled.returncode == 0, cancelled.stderr
    assert (followed.returncode, followed.stdout) == (1, "begun\n")
    assert "Cancelled" in followed.stderr


def test_a_job_that_can_never_fit_is_refused_at_once_with_the_reason(member: Platform) -> None:
    (member.folder / "large.yaml").write_text("dure: {gpus: 999}\nrun: echo\n")
    done = member.run("submit", "large.yaml")
    why = member.run("why", done.stdout.strip())

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no place for this job. Ask for less" in done.stderr
    assert "Refused" in why.stdout and "Ask for less" in why.stdout


def test_a_job_that_cannot_be_read_is_wrong_usage_with_its_line(member: Platform) -> None:
    (member.folder / "bad.yaml").write_text("run: echo\nfoo: 1\n")
    done = member.run("submit", "bad.yaml")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "line 2: found 'foo'" in done.stderr


@pytest.mark.parametrize(
    "line",
    ["pool", "nodes", "jobs", "loans", "call list", "award list", "allocation list", "waitlist",
     "supply list", "usage", "whoami", "report public --month 2026-04 --out -"],
)  # fmt: skip
def test_every_listing_answers_on_a_fresh_platform(member: Platform, line: str) -> None:
    done = member.run(*line.split())

    assert done.returncode == 0, done.stderr


def test_signing_out_ends_it(platform: Platform) -> None:
    password = platform.passwords["noh.dain"]
    platform.run("login", "noh.dain", "--password-stdin", stdin=password)

    assert platform.run("whoami").returncode == 0
    assert platform.run("logout").returncode == 0
    assert platform.run("whoami").returncode == 1
