"""``dure up`` as people meet it: real processes, real jobs, killed at bad moments."""

import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.up_process import DURE, UpProcess
from tests.drivers.polling import until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[UpProcess]:
    process = UpProcess(tmp_path / "data", "--allocate", "owner=2")
    yield process
    process.close()


def test_a_job_of_a_file_runs_and_what_it_printed_can_be_read(up: UpProcess) -> None:
    up.start()

    submitted = up.run("submit", str(EXAMPLES / "hello.yaml"), "--wait")
    output = up.run("output", "here-1")

    assert (submitted.returncode, submitted.stdout.split()[0]) == (0, "here-1")
    assert output.stdout == "Hello from here-1, attempt 1, on here-0001:0\n"


def test_a_job_that_fails_says_so_with_its_exit_code(up: UpProcess) -> None:
    up.start()

    job = up.submit("echo oh >&2\nexit 3")
    story = up.wait_for(job, "FAILED")

    assert story["asked"]["exit_code"] == "3"
    assert up.http.get(f"/jobs/{job}/output").json()["text"] == "oh\n"


def test_idle_slots_are_lent_called_back_and_the_borrower_resumes(up: UpProcess) -> None:
    """The issue's demonstration, with the example that people are given."""
    up.start()
    train = EXAMPLES / "train.yaml"
    text = train.read_text().replace("gpus: 1", "gpus: 2").replace("STEPS: 600", "STEPS: 120")
    job_file = up.data.with_name("train.yaml")
    job_file.write_text(text)
    submitted = up.run("submit", str(job_file), "--project", "guest", cwd=EXAMPLES)
    borrower = submitted.stdout.strip()
    until(lambda: "step 20 of" in up.run("output", borrower).stdout)
    assert up.attempts(borrower) == [("loan", "")]

    owner = up.submit("sleep 1", "gpus: 2", project="owner")
    up.wait_for(owner, "COMPLETED")
    up.wait_for(borrower, "COMPLETED")

    assert up.attempts(borrower) == [("loan", "reclaimed"), ("loan", "done")]
    printed = up.run("output", borrower).stdout
    saved = next(line for line in printed.splitlines() if line.startswith("saved on notice"))
    assert f"attempt 2 goes on from step {saved.split()[-1]}\n" in printed
    assert "done: y = " in printed
    lending = up.http.get("/pools/here/overview").json()["lending"]
    assert (lending["reclaims"], lending["returned"], lending["late"]) == (1, 1, 0)
    # The notice said when to be gone; saving took less, so the owner waited for seconds.
    assert lending["return_s_max"] <= 10


def test_what_was_acknowledged_survives_a_kill_and_runs_once(up: UpProcess, tmp_path: Path) -> None:
    chance = random.Random(4711)
    ran = tmp_path / "ran"
    up.start()
    jobs: list[str] = []
    for _ in range(4):
        until(lambda: len(jobs) % 6 or not jobs or up.state(jobs[-1]) != "")
        for _ in range(6):
            script = f"sleep 0.{chance.randrange(10)}\necho $DURE_JOB >> {ran}"
            jobs.append(up.submit(script))
            time.sleep(chance.random() / 20)
        up.kill()
        up.start()
    for job in jobs:
        up.wait_for(job, "COMPLETED")

    assert sorted(ran.read_text().split()) == sorted(jobs)
    assert all(up.attempts(job) == [("own", "done")] for job in jobs)
    assert up.stop() == 0
    for command in (["ledger", "verify"], ["replay", "1..", "--in", "here"]):
        checked = subprocess.run(
            [*DURE, *command, "--data", str(up.data)], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stderr + checked.stdout


def test_a_second_submission_with_one_key_is_the_same_job_after_a_kill(up: UpProcess) -> None:
    up.start()
    job = up.submit("true", key="once")
    up.kill()
    up.start()

    again = up.submit("true", key="once")

    assert again == job
    assert up.wait_for(job, "COMPLETED")["row"]["job"] == job


def test_a_job_that_runs_is_taken_up_again_by_the_next_start(up: UpProcess, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    up.start()
    job = up.submit(f"until test -e {go_on}; do sleep 0.02; done\necho went on")
    up.wait_for(job, "RUNNING")
    assert up.stop() == 0
    up.start()

    assert up.state(job) == "RUNNING"
    go_on.touch()
    up.wait_for(job, "COMPLETED")

    assert up.run("output", job).stdout == "went on\n"
    assert up.attempts(job) == [("own", "done")]


def test_a_running_job_can_be_cancelled(up: UpProcess) -> None:
    up.start()
    job = up.submit("sleep 600")
    up.wait_for(job, "RUNNING")

    assert up.run("cancel", job).returncode == 0
    up.wait_for(job, "CANCELLED", within_s=20)

    assert up.attempts(job) == [("own", "cancelled")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_it_in_order(up: UpProcess, number: int) -> None:
    up.start()

    assert up.stop(number) == 0

    for pool in ("here", "people"):
        assert not (up.data / pool / "ledger.db-wal").exists()


def test_the_second_start_is_quick_and_keeps_the_accounts(up: UpProcess) -> None:
    up.start()
    assert set(up.passwords) >= {"applicant", "member", "operator", "provider", "auditor", "admin"}
    assert up.stop() == 0
    before = dict(up.passwords)
    up.passwords = {}

    begin_s = time.monotonic()
    up.start()
    took_s = time.monotonic() - begin_s

    assert up.passwords == {}
    assert "dure passwd" in up.printed
    assert took_s < 10, "a warm start takes a second or two; this machine may be busy"
    assert before["admin"] not in up.printed
    assert up.http.get("/me").json()["user"] == "admin"


def test_a_new_password_works_in_a_service_that_runs(up: UpProcess) -> None:
    up.start()

    renewed = up.run("passwd", "operator", "--data", str(up.data))
    user, password = renewed.stdout.split()

    body = {"user": user, "password": password}
    until(lambda: up.http.post("/login", json=body).status_code == 200, within_s=10)


def test_a_second_service_over_the_same_data_is_refused_in_one_line(up: UpProcess) -> None:
    up.start()

    second = subprocess.run(
        [*DURE, "up", "--data", str(up.data), "--port", "0", "--scenario", "empty"],
        capture_output=True,
        text=True,
    )
    other = UpProcess(up.data)
    third = subprocess.run(
        [*DURE, "up", "--data", str(up.data), "--port", str(other.port), "--scenario", "empty"],
        capture_output=True,
        text=True,
    )

    assert second.returncode == 2
    assert third.returncode == 1
    assert f"in use by process {up.child.pid}" in third.stderr
    assert len(third.stderr.splitlines()) == 1
    assert httpx.get(f"{up.url}/healthz", trust_env=False).status_code == 200


def test_a_taken_port_is_told_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        refused = subprocess.run(
            [*DURE, "up", "--data", str(tmp_path / "data"), "--port", str(port)],
            capture_output=True,
            text=True,
        )

    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "--port" in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--slots", "0"], "slots"),
        (["--slots", "64"], "--slots"),
        (["--allocate", "owner"], "--allocate"),
        (["--allocate", "../x=1"], "--allocate"),
        (["--slots", "2", "--allocate", "a=2", "--allocate", "b=1"], "at most the 2"),
        (["--scenario", "utopia"], "--scenario"),
        (["--speed", "-1"], "--speed"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(
    tmp_path: Path, options: list[str], says: str
) -> None:
    words = ["--data", str(tmp_path / "data"), "--port", str(UpProcess(tmp_path).port)]

    refused = subprocess.run(
        [*DURE, "up", *words, "--scenario", "empty", *options], capture_output=True, text=True
    )

    assert refused.returncode in (1, 2)
    assert says in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_other_slots_than_at_the_first_start_are_refused(up: UpProcess) -> None:
    up.start()
    up.stop()

    words = ["--data", str(up.data), "--port", str(up.port), "--scenario", "empty"]
    refused = subprocess.run([*DURE, "up", *words, "--slots", "3"], capture_output=True, text=True)

    assert refused.returncode == 1
    assert "a pool of 2 slot" in refused.stderr


def test_only_this_machine_is_listened_to(up: UpProcess) -> None:
    up.start()

    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {row.split()[1] for row in table if row.split()[3] == "0A"}
    ours = {address for address in listening if int(address.split(":")[1], 16) == up.port}

    assert ours == {f"0100007F:{up.port:04X}"}
