"""What passes through the door of sessions, and what must not: on both sides, real programs."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from dure.core.site_words import NoLine
from dure.drivers.interactive import gate
from dure.drivers.interactive.gate import GatedLines
from dure.drivers.interactive.jupyter import PROGRAMS
from dure.drivers.interactive.lines import Line, LocalLines
from dure.drivers.local import LocalDriver
from dure.drivers.machine import NODE
from dure.drivers.remote.lines import CalledLines
from dure.drivers.slurm.commands import SlurmCommands
from dure.drivers.slurm.driver import SlurmDriver
from tests.drivers.local_bench import driver_at, end_all, order
from tests.drivers.polling import until
from tests.drivers.web_socket import TEXT
from tests.portal.session_world import HOSTILE, SessionWorld
from tests.sites.site_of_sessions import SiteOfSessions
from tests.slurm_cluster import SlurmCluster

# --- what passes ----------------------------------------------------------------------------------


def test_the_secrets_of_the_browser_stay_outside(world: SessionWorld) -> None:
    secrets = {
        "cookie": f"dure_session=S1; {world.cookie()}; a=1; Dure_Visit=S2; b=2; "
        "__Host-dure_session=S3; __secure-dure_x=S4; dure_lang=ko",
        "authorization": "Bearer S5",
        "proxy-authorization": "Basic S6",
        "x-forwarded-for": "S7",
        "x-forwarded-user": "S8",
        "forwarded": "for=S9",
        "x-real-ip": "S10",
        "connection": "x-drop, host, content-length",
        "x-drop": "S11",
        "x-kept": "yes",
    }
    with world.client() as client:
        told = dict(client.get("/a", headers=secrets).json()["fields"])
        posted = client.post(
            "/a", content=b"12345", headers={**secrets, "origin": f"http://{world.host()}"}
        ).json()

    assert not any("S" in value and value[1:].isdecimal() for value in told.values())
    assert told["cookie"] == "a=1; b=2"
    assert told["x-kept"] == "yes" and told["Host" if "Host" in told else "host"] == world.host()
    assert "authorization" not in {name.lower() for name in told}
    assert posted["bytes"] == 5 and dict(posted["fields"])["cookie"] == "a=1; b=2"


def test_a_session_cannot_speak_for_the_portal(world: SessionWorld) -> None:
    with world.client(cookie=world.cookie()) as client:
        answer = client.get("/")

    # Only its own cookie, and that for its own host alone.
    assert answer.headers.get_list("set-cookie") == ["theirs=1; Path=/x; HttpOnly"]
    left = {name for name in HOSTILE if answer.headers.get(name) == HOSTILE[name]}
    assert left == set()
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"


def test_requests_come_of_the_sessions_own_pages_or_a_person_alone(world: SessionWorld) -> None:
    own = {"origin": f"http://{world.host()}"}
    sibling = {"origin": "http://here-2.sessions.test:8471", "sec-fetch-site": "same-site"}
    walk = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    cases = [
        ("GET", {}, 200),
        ("GET", {"sec-fetch-site": "same-origin"}, 200),
        ("GET", {"sec-fetch-site": "none", **walk}, 200),
        ("GET", {"sec-fetch-site": "cross-site", **walk}, 200),
        ("GET", {"sec-fetch-site": "cross-site", **walk, "sec-fetch-dest": "iframe"}, 403),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", sibling, 403),
        ("POST", own, 200),
        ("POST", {"sec-fetch-site": "same-origin"}, 200),
        ("POST", {}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": f"https://{world.host()}"}, 403),
        ("POST", {"origin": "http://portal.test:8470"}, 403),
        ("POST", {**own, "sec-fetch-site": "cross-site", **walk}, 403),
        ("POST", sibling, 403),
        ("TRACE", own, 404),
        ("CONNECT", own, 404),
    ]
    cookie = world.cookie()
    for method, fields, status in cases:
        with world.client(cookie=cookie) as client:
            got = client.request(method, "/x", headers=fields, content=b"1").status_code

        assert got == status, (method, fields)


def test_bodies_pass_whole_in_both_directions_on_one_line(world: SessionWorld) -> None:
    fields = {"origin": f"http://{world.host()}"}
    with world.client(cookie=world.cookie()) as client:
        large = client.post("/x", content=b"x" * 5_000_000, headers=fields)
        pieces = client.post("/x", content=iter([b"abc", b"de"]), headers=fields)
        chunks, head = client.get("/chunks"), client.head("/x")
        after = client.get("/after")

    assert large.json()["bytes"] == 5_000_000 and pieces.json()["bytes"] == 5
    assert (chunks.text, head.status_code, head.content) == ("abcde", 200, b"")
    assert after.json()["target"] == "/after"


def test_a_session_that_does_not_listen_or_speaks_nonsense_is_told_of(world: SessionWorld) -> None:
    with world.client(cookie=world.cookie(), **{"accept-language": "en"}) as client:
        broken = client.get("/broken")
        world.pool.line = lambda job: None  # type: ignore[method-assign]
        not_yet = client.get("/x")

    assert broken.status_code == 502 and "does not answer" in broken.text
    assert (not_yet.status_code, not_yet.headers["refresh"]) == (503, "2")
    assert "is starting" in not_yet.text


# --- WebSockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin", ["", "null", "http://portal.test", "http://here-2.sessions.test", "https://{host}"]
)
def test_a_websocket_opens_to_the_sessions_own_pages_alone(
    world: SessionWorld, origin: str
) -> None:
    cookie = {"Cookie": world.cookie()}
    fields = {"Origin": origin.replace("{host}", world.host())} if origin else {}

    assert world.socket("/ws", {**cookie, **fields}).status == 403
    assert world.socket("/ws", {"Origin": f"http://{world.host()}"}).status == 401


def test_a_websocket_passes_as_it_is_until_its_visitor_may_not_stay(world: SessionWorld) -> None:
    fields = {"Cookie": world.cookie(), "Origin": f"http://{world.host()}"}
    line = world.socket("/ws", fields)
    assert line.status == 101 and b"set-cookie" not in line.head.lower()
    line.send_raw(b"hello")
    assert line.next()[1] == b"hello"

    world.pool.rows["here-1"] = world.pool.rows["here-2"]

    assert line.is_over()


# --- the real thing -------------------------------------------------------------------------------


class Site:
    """A backend with its sessions, on this machine or on the nodes of a real Slurm.

    Args:
        has_agent: it is reached through an agent alone.
    """

    def __init__(self, root: Path, cluster: SlurmCluster | None, *, has_agent: bool) -> None:
        self.driver: LocalDriver | SlurmDriver
        self.lines: LocalLines | GatedLines | CalledLines
        self._far: SiteOfSessions | None = None
        if cluster is None:
            self.driver, self.lines, self._node = driver_at(root), LocalLines(root), NODE
        else:
            commands = SlurmCommands(cluster.environment)
            self.driver = SlurmDriver(root, commands, grace_s=1, queue_s=0.2)
            self.lines, self._node = GatedLines(root), cluster.names[0]
        if has_agent:
            reach = self.lines.reach
            self._far = SiteOfSessions(root.parent, self.driver, reach, node=self._node)
            self.lines = self._far.lines

    def begin(self, kind: str, **recipe: object) -> None:
        recipe = {"notice_signal": "none", **recipe}
        wanted = order("here-1", interactive=kind, interactive_s=600, **recipe)
        if self._far is not None:
            self._far.start(wanted)
        else:
            self.driver.start(replace(wanted, devices=((self._node, 0),)))

    def observe(self) -> None:
        """Have the backend move on; an agent does so by itself."""
        if self._far is None:
            self.driver.observe()

    def close(self) -> None:
        if self._far is not None:
            self._far.close()
        end_all(self.driver)


SLURM = pytest.mark.slurm


@pytest.fixture(
    params=[
        "local",
        "agent",
        pytest.param("slurm", marks=SLURM),
        pytest.param("slurm-agent", marks=SLURM),
    ]
)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    is_slurm = request.param.startswith("slurm")
    cluster = request.getfixturevalue("slurm_cluster") if is_slurm else None
    with closing(
        Site(tmp_path / "here", cluster, has_agent=request.param.endswith("agent"))
    ) as site:
        yield site


@pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="no Jupyter here; try `make setup-jupyter`"
)
def test_a_kernel_of_a_real_jupyter_computes_through_the_door(site: Site) -> None:
    lines = site.lines
    site.begin("jupyter", env={"PATH": os.environ["PATH"]})
    with closing(SessionWorld(lambda job: lines.reach(job, 1))) as world:
        token = "61626364"
        cookie = f"{world.cookie()}; _xsrf={token}"
        own = {"origin": f"http://{world.host()}", "x-xsrftoken": token, "cookie": cookie}
        with world.client() as client:

            def answers() -> bool:
                site.observe()
                return client.get("/api/status", headers=own).status_code == 200

            until(answers)
            kernel = client.post("/api/kernels", json={}, headers=own).json()["id"]
        line = world.socket(
            f"/api/kernels/{kernel}/channels", {"Cookie": cookie, "Origin": own["origin"]}
        )
        assert line.status == 101
        line.send(
            json.dumps(
                {
                    "header": {"msg_id": "1", "msg_type": "execute_request", "session": "s",
                               "username": "u", "version": "5.3", "date": "2026-01-01T00:00:00Z"},
                    "parent_header": {}, "metadata": {}, "channel": "shell",
                    "content": {"code": "print('it is', 6 * 7)", "silent": False},
                }
            ).encode(),
            TEXT,
        )  # fmt: skip

        assert b"it is 42" in line.until(b"it is 42", TEXT)


def test_the_page_of_a_shell_is_ours_and_only_its_line_is_the_sessions(site: Site) -> None:
    lines = site.lines
    site.begin("shell")

    def reach(job: str) -> Line | None:
        def found() -> Line | None:
            line = lines.reach(job, 1)
            return None if isinstance(line, NoLine) else line

        site.observe()
        return until(found)

    with closing(SessionWorld(reach, kind="shell")) as world:
        cookie = world.cookie()
        with world.client(cookie=cookie) as client:
            page, missing = client.get("/?lang=en"), client.get("/etc/passwd")
        line = world.socket("/tty", {"Cookie": cookie, "Origin": f"http://{world.host()}"})
        line.send(b"echo $((6*7))\n")

        line.until(b"42\r\n")
    assert "Terminal of here-1" in page.text and missing.status_code == 404
    assert f"connect-src 'self' ws://{world.host()}" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a key with")
def test_a_line_to_somebody_else_is_told_of_as_broken(tmp_path: Path) -> None:
    gate.lay_out(tmp_path / "gate", {}, (0, 0))
    tls = gate.context(tmp_path / "gate", is_gate=False)

    def reach(_: str) -> Line:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        theirs.close()
        return Line(ours.detach(), tls)

    with closing(SessionWorld(reach)) as world, world.client(cookie=world.cookie()) as client:
        answer = client.get("/x", headers={"accept-language": "en"})

    assert answer.status_code == 502 and "does not answer" in answer.text


def test_the_page_of_a_shell_waits_until_it_listens() -> None:
    with (
        closing(SessionWorld(lambda _: None, kind="shell")) as world,
        world.client(cookie=world.cookie(), **{"accept-language": "en"}) as client,
    ):
        answer = client.get("/")

    assert (answer.status_code, answer.headers["refresh"]) == (503, "2")
    assert "is starting" in answer.text


def test_a_door_that_closes_ends_every_line(world: SessionWorld) -> None:
    line = world.socket("/ws", {"Cookie": world.cookie(), "Origin": f"http://{world.host()}"})

    world.server.stop()

    assert line.is_over()


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_door_closes_once_however_often_it_is_told_to(world: SessionWorld) -> None:
    line = world.socket("/ws", {"Cookie": world.cookie(), "Origin": f"http://{world.host()}"})
    with ThreadPoolExecutor() as tellers:
        for told in [tellers.submit(world.server.stop) for _ in range(8)]:
            told.result()

    world.server.stop()

    assert line.is_over()
