"""Interactive sessions on the real machine: a real shell, a real Jupyter, real sockets."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure.drivers.interactive.jupyter import PROGRAMS
from dure.drivers.interactive.lines import SOCKET, Line, LocalLines, listen
from dure.drivers.interactive.websocket import CLOSE, PING, PONG
from dure.drivers.local import LocalDriver
from dure.drivers.places import Places
from tests.drivers.local_bench import driver_at, end_of, order, said
from tests.drivers.polling import until
from tests.drivers.web_socket import TEXT, WebSocket

LONG_S = 600


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    # Deeper than the name of a unix socket may be long.
    return tmp_path / ("deep" * 20) / ("deeper" * 10) / "here"


@pytest.fixture
def driver(deep: Path) -> Iterator[LocalDriver]:
    driver = driver_at(deep)
    yield driver
    for job, attempt in driver.running():
        driver.stop(job, attempt)
        end_of(driver, job, attempt=attempt)


def stream_to(driver: LocalDriver, job: str) -> socket.socket:
    """Wait until a session listens; return a stream to it."""
    lines = LocalLines(driver.root)

    def look() -> Line | None:
        driver.observe()
        return lines.reach(job, 1)

    return socket.socket(fileno=until(look).descriptor)


def begin(
    driver: LocalDriver, job: str, kind: str, seconds: int = LONG_S, **recipe: object
) -> None:
    recipe = {"notice_signal": "none", **recipe}
    driver.start(order(job, interactive=kind, interactive_s=seconds, **recipe))


def terminal(driver: LocalDriver, job: str) -> WebSocket:
    return WebSocket(stream_to(driver, job), "/tty", {"Host": "a"})


def test_a_shell_computes_and_its_exit_ends_the_job_well(driver: LocalDriver) -> None:
    begin(driver, "here-1", "shell", setup="echo ready > setup.txt")
    page = terminal(driver, "here-1")

    page.send(b"cat setup.txt; echo $((6*7)) 42; echo $DURE_JOB $TERM; pwd\n")

    text = page.until(b"/work\r\n")
    assert b"ready\r\n42 42\r\nhere-1 xterm-256color\r\n" in text
    page.send(b"false; exit\n")
    told = page.until(b"is_over", TEXT)
    assert json.loads(told[told.rindex(b"{") :]) == {"is_over": True}
    receipt = end_of(driver, "here-1")
    assert (receipt.kind, receipt.exit_code) == ("ended", 0)


def test_a_page_opened_again_sees_what_was_printed_and_both_see_what_comes(
    driver: LocalDriver,
) -> None:
    begin(driver, "here-1", "shell")
    first = terminal(driver, "here-1")
    first.send(b"echo be''fore\n")
    first.until(b"before\r\n")

    second = terminal(driver, "here-1")
    second.until(b"before\r\n")
    second.send(b'{"rows": 33, "cols": 123}', TEXT)
    second.send(b"stty size; echo a''fter\n")

    assert b"33 123\r\n" in first.until(b"after\r\n") + second.until(b"after\r\n")


def test_a_shell_goes_on_when_its_page_is_gone_or_speaks_nonsense(driver: LocalDriver) -> None:
    begin(driver, "here-1", "shell")
    nonsense = (
        b"\x82\x05hello",  # not masked
        b"\xf2\x80\0\0\0\0",  # bits of no extension
        b"\x82\xff" + b"\x7f" * 8 + b"\0\0\0\0",  # larger than anything
        b"\x09\x80\0\0\0\0",  # half a ping
        b"\x80\x80\0\0\0\0",  # the rest of nothing
    )
    for frame in nonsense:
        page = terminal(driver, "here-1")
        page.send_raw(frame)
        assert page.is_over()
    page = terminal(driver, "here-1")
    for size in (b'{"rows": 1e99, "cols": 5}', b'{"rows": "x"}', b"[]", b"\xff", b"9" * 120):
        page.send(size, TEXT)

    page.send(b"are you there", PING)
    page.until(b"are you there", PONG)
    page.send(b"echo al''ive\n")

    page.until(b"alive\r\n")
    page.send(b"\x03\xe8", CLOSE)
    assert page.is_over()


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /tty HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n",
        "GET /tty HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_a_shell_is_no_web_server(driver: LocalDriver, head: str) -> None:
    begin(driver, "here-1", "shell")
    line = stream_to(driver, "here-1")

    line.sendall(head.encode())

    assert line.recv(100).startswith(b"HTTP/1.1 404 ")
    line.close()


@pytest.mark.parametrize("kind", ["shell", "jupyter"])
def test_a_session_ends_when_its_time_is_up(
    driver: LocalDriver, kind: str, stub_jupyter: dict[str, str]
) -> None:
    begin(driver, "here-1", kind, 1, env=stub_jupyter)

    receipt = end_of(driver, "here-1")

    assert (receipt.kind, receipt.exit_code) == ("ended", 0)


@pytest.fixture
def stub_jupyter(tmp_path: Path) -> dict[str, str]:
    """Return a PATH with a program that runs for ever under Jupyter's name."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "jupyter-lab"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


def test_a_shell_tells_of_a_notice(driver: LocalDriver) -> None:
    begin(driver, "here-1", "shell")
    page = terminal(driver, "here-1")
    page.until(b'"stop_by_s": 0', TEXT)

    driver.notify("here-1", 1, stop_by_s=1_900_000_000)

    page.until(b'"stop_by_s": 1900000000', TEXT)


def test_without_a_jupyter_the_job_says_what_was_looked_for(
    driver: LocalDriver, tmp_path: Path
) -> None:
    begin(driver, "here-1", "jupyter", env={"PATH": str(tmp_path)})

    receipt = end_of(driver, "here-1")

    assert (receipt.kind, receipt.exit_code) == ("ended", 127)
    told = said(driver, "here-1", stream="err")
    assert "found no Jupyter: none of jupyter-lab, jupyter-notebook, jupyter-server" in told
    assert f"PATH ({tmp_path})" in told and "pip install --user jupyterlab" in told


@pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="no Jupyter here; try `make setup-jupyter`"
)
def test_a_real_jupyter_listens_there_alone(driver: LocalDriver) -> None:
    begin(driver, "here-1", "jupyter", env={"PATH": os.environ["PATH"]})
    fields = "Host: here-1.localhost:8471\r\nConnection: close\r\n"

    def ask(head: str) -> tuple[int, bytes]:
        line = stream_to(driver, "here-1")
        line.settimeout(60)
        line.sendall(f"{head} HTTP/1.1\r\n{fields}\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
        line.close()
        return int(answer.split(b" ")[1]), answer.partition(b"\r\n\r\n")[2]

    status, content = ask("GET /api/contents")

    assert status == 200 and json.loads(content)["type"] == "directory"
    # It is told nothing of ports, so it has none.
    config = json.loads((Places(driver.root, "here-1", 1).scratch_dir / "session.json").read_text())
    assert config["ServerApp"]["sock"] == SOCKET and "port" not in config["ServerApp"]


# An apptainer as far as sessions see it: the words up to the image are its own, the rest is run.
STAND_IN = """#!/bin/bash
told="$*"
while [[ $1 != docker://* ]]; do shift; done
shift
INSIDE="$told" exec "$@"
"""


def test_a_shell_with_an_image_is_started_inside_and_served_from_outside(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apptainer").write_text(STAND_IN)
    (tmp_path / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    driver = driver_at(deep)
    begin(driver, "here-1", "shell", image="ghcr.io/team/lab:v1")
    page = terminal(driver, "here-1")

    page.send(b"echo =$INSIDE=\n")

    told = page.until(b"docker://ghcr.io/team/lab:v1 bash=")
    assert b"exec --bind=" in told.replace(b"\r\n", b"")
    assert str(Places(driver.root, "here-1", 1).scratch_dir).encode() in told
    page.send(b"exit\n")
    assert end_of(driver, "here-1").exit_code == 0


def test_nothing_but_a_socket_is_connected_to(deep: Path, tmp_path: Path) -> None:
    lines, places = LocalLines(deep), Places(deep.resolve(), "here-1", 1)
    assert lines.reach("here-1", 1) is None
    places.scratch_dir.mkdir(parents=True)
    assert lines.reach("here-1", 1) is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    listener = listen(str(elsewhere))
    (places.scratch_dir / SOCKET).symlink_to(elsewhere / SOCKET)
    assert lines.reach("here-1", 1) is None
    (places.scratch_dir / SOCKET).unlink()
    places.scratch_dir.rmdir()
    places.scratch_dir.symlink_to(elsewhere)
    assert lines.reach("here-1", 1) is None
    listener.close()
