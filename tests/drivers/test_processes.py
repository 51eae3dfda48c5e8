"""Processes are told apart by start and boot, not by a pid that may be reused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dure.drivers import processes
from tests.drivers.polling import until

NAME = 'print("up", flush=True); import time; time.sleep(600)'


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "DURE_JOB_DIR": "/a/b", "DURE_ATTEMPT": "12"}
    with subprocess.Popen([sys.executable, "-c", NAME], env=env, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running
        running.kill()


def test_a_process_is_running_until_it_ends_even_if_nobody_reaps_it(
    sleeper: subprocess.Popen[bytes],
) -> None:
    mine = processes.identity(sleeper.pid)
    assert processes.is_running(mine)

    os.kill(sleeper.pid, signal.SIGKILL)

    until(lambda: not processes.is_running(mine))
    found = processes.seen(sleeper.pid)
    assert found is not None and found.state == "Z"


def test_another_start_or_another_boot_is_another_process() -> None:
    pid, started, boot = processes.identity(os.getpid()).split(":")

    assert processes.is_running(f"{pid}:{started}:{boot}")
    assert not processes.is_running(f"{pid}:{int(started) + 1}:{boot}")
    assert not processes.is_running(f"{pid}:{started}:another-boot")
    assert [processes.is_running(text) for text in ("", "0:0:", "x:y:z", "1")] == [False] * 4


def test_all_marks_must_match(sleeper: subprocess.Popen[bytes]) -> None:
    def found(*marks: str) -> list[int]:
        return [one.pid for one in processes.belonging(marks)]

    assert found("DURE_JOB_DIR=/a/b", "DURE_ATTEMPT=12") == [sleeper.pid]
    assert found("DURE_JOB_DIR=/a/b", "DURE_ATTEMPT=1") == []
    assert found("DURE_JOB_DIR=/a") == []
    assert found() == []


def test_a_signal_never_reaches_a_process_with_a_reused_pid(
    sleeper: subprocess.Popen[bytes],
) -> None:
    now = processes.seen(sleeper.pid)
    assert now is not None

    assert not processes.send(now._replace(started=now.started - 1), signal.SIGKILL)
    assert sleeper.poll() is None
    assert processes.send(now, signal.SIGKILL)
    sleeper.wait()
    assert not processes.send(now, signal.SIGKILL)


def test_who_has_a_handler_catches() -> None:
    before = processes.catches(os.getpid(), signal.SIGUSR2)
    old = signal.signal(signal.SIGUSR2, lambda *_: None)
    during = processes.catches(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, old)

    assert (before, during) == (False, True)
    assert not processes.catches(0, signal.SIGUSR2)
