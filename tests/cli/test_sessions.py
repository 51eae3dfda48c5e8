"""``dure session`` against a real ``dure up``: begun, listed, opened by its link, ended."""

import json
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from dure.app.settings import Settings
from dure.cli.server import Door
from dure.cli.sessions_door import serving_sessions, sessions_listener
from dure.cli.up import _listening
from dure.core.errors import InputError
from tests.cli.agent_process import self_signed
from tests.cli.up_process import UpProcess, free_port
from tests.drivers.polling import until
from tests.drivers.web_socket import WebSocket
from tests.portal.session_world import SessionWorld

LINK = re.compile(r"http://(?P<job>here-\d+)\.localhost:(?P<port>\d+)/\.dure/enter/[0-9a-f]{64}\n")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    # A port of its own, so that it is the same after a restart.
    port = ("--sessions-port", str(free_port()))
    service = UpProcess(tmp_path_factory.mktemp("sessions") / "data", *port, slots=4).start()
    yield service
    for session in service.http.get("/sessions").json():
        service.run("session", "stop", session["row"]["job"])
        service.wait_for(session["row"]["job"], "CANCELLED", "COMPLETED")
    service.close()


def at_door(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20)


def test_a_session_goes_from_the_command_line_to_the_browser_and_ends(up: UpProcess) -> None:
    begun = up.run("session", "shell", "--time", "30m")

    assert begun.returncode == 0, begun.stderr
    link = LINK.fullmatch(begun.stdout)
    assert link is not None, begun.stdout
    job, host = link["job"], urlsplit(link[0].strip()).netloc
    assert f"{job} waits for its start" in begun.stderr
    listed = json.loads(up.run("session", "list", "-o", "json").stdout)
    assert [(one["job"], one["interactive"], one["state"]) for one in listed] == [
        (job, "shell", "RUNNING")
    ]
    again = json.loads(up.run("session", "open", job, "-o", "json").stdout)
    assert again["lasts_s"] == 120 and again["url"] != link[0].strip()
    with at_door(int(link["port"])) as client:
        client.headers["host"] = host
        for url in (link[0].strip(), again["url"]):
            assert client.get(urlsplit(url).path).status_code == 303
        assert client.get(urlsplit(again["url"]).path).status_code == 403
        assert client.get("/.dure/static/terminal.js").status_code == 200
    stopped = up.run("session", "stop", job)
    assert (stopped.returncode, stopped.stdout) == (0, f"{job}: The job is being stopped.\n")
    up.wait_for(job, "CANCELLED")
    over = up.run("session", "open", job)
    assert over.returncode == 1 and "does not run now" in over.stderr


def test_secrets_of_sessions_stand_in_no_log(up: UpProcess) -> None:
    begun = up.run("session", "shell", "--time", "30m")
    link = LINK.fullmatch(begun.stdout)
    assert link is not None, begun.stderr
    path, host = urlsplit(link[0].strip()).path, urlsplit(link[0].strip()).netloc
    with at_door(int(link["port"])) as client:
        answer = client.get(path, headers={"host": host})
        client.get(path, headers={"host": host, "cookie": "a=\x7f"})
    secrets = [path.rpartition("/")[2], answer.headers["set-cookie"].split(";")[0].split("=")[1]]

    printed = up.data.with_name(up.data.name + ".log").read_bytes()
    # SQLite's files too: what is durable of them is their hashes.
    kept = b"".join(file.read_bytes() for file in up.data.rglob("*.db*"))

    assert all(one.encode() not in printed + kept for one in secrets)


def test_a_session_and_the_way_into_it_outlive_a_service_that_is_killed(up: UpProcess) -> None:
    begun = up.run("session", "shell", "--time", "30m")
    link = LINK.fullmatch(begun.stdout)
    assert link is not None, begun.stderr
    fields = {"host": urlsplit(link[0].strip()).netloc}
    with at_door(int(link["port"])) as client:
        answer = client.get(urlsplit(link[0].strip()).path, headers=fields)
    fields["cookie"] = answer.headers["set-cookie"].split(";")[0]
    up.kill()
    up.start()

    with at_door(int(link["port"])) as client:
        assert client.get(urlsplit(link[0].strip()).path, headers=fields).status_code == 403
        until(lambda: client.get("/", headers=fields).status_code == 200)
    line = socket.create_connection(("127.0.0.1", int(link["port"])))
    told = {
        "Host": fields["host"],
        "Cookie": fields["cookie"],
        "Origin": f"http://{fields['host']}",
    }
    terminal = WebSocket(line, "/tty", told)
    assert terminal.status == 101
    terminal.send(b"echo $((6*7))\n")
    terminal.until(b"42\r\n")
    terminal.close()


def test_what_cannot_be_a_session_is_said_in_a_line(up: UpProcess) -> None:
    for words, told in (
        (("--time", "soon"), "estimate"),
        (("--accelerator", "H200;x"), "accelerator"),
        (("--image", "UPPER case"), "image"),
    ):
        answer = up.run("session", "shell", *words)
        assert answer.returncode == 2 and told in answer.stderr, answer.stderr
        assert answer.stderr.count("\n") == 1
    missing = up.run("session", "open", "here-999")
    plain = up.submit("sleep 60")
    up.wait_for(plain, "RUNNING")
    no_session = up.run("session", "open", plain)
    up.run("cancel", plain)

    assert missing.returncode == 1 and no_session.returncode == 1
    assert "no interactive session" in no_session.stderr


def test_whoever_hands_a_session_in_is_told_where_to_open_it(up: UpProcess, tmp_path: Path) -> None:
    file = tmp_path / "session.yaml"
    file.write_text("dure:\n  interactive: shell\n  estimate: 10m\n", encoding="utf-8")

    taken = up.run("submit", str(file))
    job = taken.stdout.strip()
    up.wait_for(job, "RUNNING")
    listed, why = up.run("jobs"), up.run("why", job)
    up.run("cancel", job)

    told = f"/jobs/{job} (or: dure session open {job})"
    assert told in taken.stderr and told in why.stdout
    assert "/sessions (or: dure session open JOB)" in listed.stderr and job in listed.stderr


def address(door: Door, port: int, sessions_port: int = 0, **settings: object) -> str:
    """Return where sessions would be reached, "" if nowhere."""
    wished = Settings(Path("unused"), **settings)  # type: ignore[arg-type]
    with sessions_listener(
        wished, door, port=port, sessions_port=sessions_port, listening=_listening
    ) as (
        reached,
        listener,
    ):
        assert bool(listener) == bool(reached.sessions_url)
        return reached.sessions_url


def test_sessions_have_an_address_of_this_machine_only_where_the_pages_have() -> None:
    door = Door()
    with _listening("127.0.0.1", 0) as taken:
        before = taken.getsockname()[1] - 1
        # The next port is in use, so another is.
        assert re.fullmatch(r"http://\*\.localhost:\d+", address(door, before))
        assert not address(door, before).endswith(f":{before + 1}")
        with pytest.raises(InputError, match=f"--sessions-port {before + 1}: found it in use"):
            address(door, before, sessions_port=before + 1)
    assert address(door, 65_535)
    assert address(door, 0, backend="slurm").startswith("http://*.localhost:")
    assert address(door, 0, backend="agents").startswith("http://*.localhost:")
    # Agents speak to the process that leads, so a portal beside it has no way to their sessions.
    assert address(door, 0, backend="agents", role="portal", db="postgresql://any") == ""
    assert address(door, 0, public_url="https://dure.example.kr") == ""
    wished = "https://*.sessions.example.kr"
    apart = address(door, 0, public_url="https://dure.example.kr", sessions_url=wished)
    assert apart == wished


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_with_a_certificate_the_door_speaks_tls_and_its_cookie_is_the_hosts_alone(
    tmp_path: Path,
) -> None:
    certificate = self_signed(tmp_path)
    door = Door.of("127.0.0.1", certificate, certificate.with_suffix(".key"))
    with (
        closing(SessionWorld(address="https://*.sessions.test")) as world,
        _listening("127.0.0.1", 0) as listener,
        serving_sessions(world.services.interactive, door, listener),
        httpx.Client(
            base_url=door.url(listener.getsockname()[1]),
            headers={"host": "here-1.sessions.test"},
            trust_env=False,
            verify=ssl.create_default_context(cafile=str(certificate)),
        ) as client,
    ):
        cookie = client.get(world.link()).headers["set-cookie"]
        own = {"cookie": cookie.split(";")[0], "origin": "https://here-1.sessions.test"}
        plain = {**own, "origin": "http://here-1.sessions.test"}
        inside, downgraded = client.post("/x", headers=own), client.post("/x", headers=plain)
        other = client.get("/", headers={"cookie": own["cookie"].removeprefix("__Host-")})

    assert cookie.startswith("__Host-dure_admission=") and cookie.endswith("; Secure")
    assert (inside.status_code, downgraded.status_code, other.status_code) == (200, 403, 401)


def test_what_is_accepted_sends_small_pieces_at_once() -> None:
    # asyncio looks for this very number before it turns Nagle's delay off.
    with _listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


@pytest.mark.parametrize(
    ("url", "public_url"),
    [
        ("https://*.example.kr", "https://dure.example.kr"),
        ("https://sessions.example.kr", ""),
        ("https://*.sessions.example.kr/x", ""),
    ],
)
def test_an_address_that_the_pages_share_is_refused(url: str, public_url: str) -> None:
    with pytest.raises(InputError, match="sessions-url"):
        address(Door(), 0, sessions_url=url, public_url=public_url)
