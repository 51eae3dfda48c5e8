"""Lines to sessions at a site that nobody calls: who fetches them, what passes, how they end."""

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from dure.app.settings import Settings
from dure.app.site_pool import AgentSites
from dure.core.site_words import NoLine
from dure.drivers.interactive.lines import Line, LocalLines
from dure.drivers.machine import NODE
from dure.drivers.remote.lines import WAITING_MAX, WAITING_OF_SITE_MAX
from tests.drivers.local_bench import driver_at, end_all, order
from tests.drivers.polling import until
from tests.portal.session_world import OWNER, SessionWorld
from tests.sites.line import SITE, CentreSide
from tests.sites.machines import Machines
from tests.sites.site_of_sessions import OTHER, SiteOfSessions

JOB = "here-1"
ORIGIN = "Origin"
MEBIBYTE = 1 << 20


@pytest.fixture
def far(tmp_path: Path) -> Iterator[SiteOfSessions]:
    """Return a site of this machine with a shell, behind an agent."""
    driver = driver_at(tmp_path / "own")
    reach = LocalLines(tmp_path / "own").reach
    with closing(SiteOfSessions(tmp_path, driver, reach, node=NODE)) as site:
        yield site
    end_all(driver)


def begin_shell(far: SiteOfSessions) -> None:
    far.start(order(JOB, interactive="shell", interactive_s=600, notice_signal="none"))

    def listens() -> bool:
        line = far.lines.reach(JOB, 1)
        if isinstance(line, Line):
            socket.socket(fileno=line.descriptor).close()
        return isinstance(line, Line)

    until(listens)


def test_what_is_typed_at_the_centre_is_computed_at_the_site(far: SiteOfSessions) -> None:
    begin_shell(far)
    with closing(SessionWorld(lambda job: far.lines.reach(job, 1), kind="shell")) as world:
        fields = {"Cookie": world.cookie(), ORIGIN: f"http://{world.host()}"}
        with world.client(cookie=fields["Cookie"]) as client:
            assert client.get("/").status_code == 200
        line = world.socket("/tty", fields)
        line.send(b"echo $((6*7)); kept=there\n")
        line.until(b"42\r\n")

        # The site is cut off: the browser is told, the session goes on.
        far.cut()
        assert line.is_over()
        far.begin()

        def again() -> bool:
            anew = world.socket("/tty", fields)
            if anew.status != 101:
                return False
            anew.send(b"echo still $kept\n")
            anew.until(b"still there\r\n")
            return True

        until(again)


class Echoes:
    """A session that says again what it hears; ``heard`` counts the bytes."""

    def __init__(self) -> None:
        self.heard, self.is_over = 0, False

    def reach(self, job: str, attempt: int) -> Line:
        ours, theirs = socket.socketpair()
        Thread(target=self._echo, args=(theirs,), daemon=True).start()
        return Line(ours.detach())

    def _echo(self, stream: socket.socket) -> None:
        with stream, suppress(OSError):
            while content := stream.recv(65_536):
                self.heard += len(content)
                stream.sendall(content)
        self.is_over = True


@pytest.fixture
def echoes() -> Echoes:
    return Echoes()


@pytest.fixture
def played(tmp_path: Path, echoes: Echoes) -> Iterator[SiteOfSessions]:
    """Return a site whose machines are played; an attempt of it runs."""
    with closing(SiteOfSessions(tmp_path, Machines(), echoes.reach)) as site:
        site.start(order(JOB))
        until(lambda: isinstance(reached(site), socket.socket))
        yield site


def reached(site: SiteOfSessions) -> socket.socket | NoLine | None:
    line = site.lines.reach(JOB, 1)
    return socket.socket(fileno=line.descriptor) if isinstance(line, Line) else line


def opened(site: SiteOfSessions) -> socket.socket:
    stream = reached(site)
    assert isinstance(stream, socket.socket), stream
    stream.settimeout(20)
    return stream


def test_bytes_come_whole_both_ways_and_no_more_of_them_wait_than_a_line_holds(
    played: SiteOfSessions, echoes: Echoes
) -> None:
    sent = bytes(range(256)) * (4 * MEBIBYTE // 256)
    with opened(played) as stream:
        Thread(target=stream.sendall, args=(sent,), daemon=True).start()
        back = b""
        while len(back) < len(sent) and (more := stream.recv(65_536)):
            back += more
    assert back == sent
    until(lambda: echoes.is_over)

    # Whoever reads nothing is sent no more than the buffers on the way hold.
    echoes.heard = 0
    with opened(played) as stream:
        stream.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                stream.sendall(sent)
    assert echoes.heard < 32 * MEBIBYTE


def test_a_line_ends_at_both_ends_whichever_side_lets_go(
    played: SiteOfSessions, echoes: Echoes
) -> None:
    with opened(played) as stream:
        stream.sendall(b"x")
        assert stream.recv(1) == b"x"
        echoes.is_over = False
    until(lambda: echoes.is_over)

    with opened(played) as stream:
        played.centre.sites.end_lines()
        assert stream.recv(1) == b""
    until(lambda: not played.lines._fetched)


def call_of(site: SiteOfSessions) -> tuple[str, list[object]]:
    """Have a line wanted while no agent asks; return its token, and where the answer will stand."""
    found: list[object] = []
    Thread(target=lambda: found.append(reached(site)), daemon=True).start()
    until(lambda: site.lines.calls(SITE))
    return site.lines.calls(SITE)[0].token, found


def test_a_line_is_its_own_sites_alone_and_is_fetched_once(played: SiteOfSessions) -> None:
    played.cut()
    token, found = call_of(played)

    assert played.lines.calls(OTHER) == []
    foreign = played.fetch(token, site=OTHER)
    stolen = played.fetch(token, seal_of=OTHER)
    guessed = played.fetch("0" * 64)
    own = played.fetch(token)
    again = played.fetch(token)

    refused = [foreign, stolen, guessed, again]
    assert [one.status_code for one in refused] == [404] * 4
    assert (own.status_code, own.content) == (200, b"")
    # The agent of the site said that nobody listens there yet.
    until(lambda: found == [None])
    assert token not in " ".join(one.text + str(one.url) for one in [*refused, own])


def test_a_line_that_nobody_fetches_is_given_up_in_words(played: SiteOfSessions) -> None:
    played.cut()
    played.lines._fetch_s = 0.3
    token, found = call_of(played)
    until(lambda: found == [NoLine.SITE_IS_SILENT])
    assert played.fetch(token).status_code == 404

    with closing(SessionWorld(lambda job: played.lines.reach(job, 1), kind="shell")) as world:
        own = {"cookie": world.cookie(OWNER)}
        with world.client(**own) as client:
            korean = client.get("/?lang=ko", headers={"accept-language": "ko"})
            english = client.get("/", headers={"accept-language": "en"})
    assert (english.status_code, english.headers["refresh"]) == (503, "2")
    assert "to which no line can be opened now. A session goes on meanwhile" in english.text
    assert "지금은 이 데이터센터에 연결할 수 없습니다" in korean.text


def test_what_does_not_run_at_a_site_in_reach_has_no_line(played: SiteOfSessions) -> None:
    assert played.lines.reach("here-2", 1) is NoLine.SITE_IS_SILENT
    assert played.lines.reach(JOB, 2) is NoLine.SITE_IS_SILENT
    played.cut()
    played.centre.clock.at_s += 31
    assert played.lines.reach(JOB, 1) is NoLine.SITE_IS_SILENT


def test_a_portal_apart_from_its_engine_has_no_lines(tmp_path: Path) -> None:
    enrolments = CentreSide(tmp_path, {}).enrolments
    settings = Settings(tmp_path, backend="agents", db="postgresql://any")

    assert AgentSites(settings, enrolments, None).lines is not None
    assert AgentSites(replace(settings, role="portal"), enrolments, None).lines is None


def test_a_silent_site_keeps_only_so_many_waiting(played: SiteOfSessions) -> None:
    played.cut()
    played.lines._fetch_s = 3.0
    found: list[object] = []
    for _ in range(WAITING_OF_SITE_MAX + 4):
        Thread(target=lambda: found.append(reached(played)), daemon=True).start()

    until(lambda: len(found) == 4)
    assert found == [NoLine.TOO_MANY_LINES] * 4
    assert WAITING_OF_SITE_MAX < WAITING_MAX
    until(lambda: found[4:] == [NoLine.SITE_IS_SILENT] * WAITING_OF_SITE_MAX)


def test_an_agent_opens_nothing_that_it_was_not_ordered_to_run(
    played: SiteOfSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A centre that lies about what runs where.
    monkeypatch.setattr(played.lines, "_site_of", lambda job, attempt: SITE)
    played.lines._fetch_s = 0.5

    assert played.lines.reach("here-9", 1) is NoLine.SITE_IS_SILENT
    assert isinstance(reached(played), socket.socket)
