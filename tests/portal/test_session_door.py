"""The door of sessions: who comes in; that what lies behind it reaches nothing of the portal."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dure.core.errors import InputError
from dure.drivers.interactive.jupyter import PROGRAMS
from dure.drivers.interactive.lines import LocalLines
from dure.portal.sessions import door, passing
from dure.services.access import Forbidden, Role
from dure.services.admissions import LINK_S
from dure.services.desks import Refused
from dure.services.interactive import Address
from dure.services.people import SESSION_S, SignedIn
from tests.drivers.local_bench import driver_at, end_of, order
from tests.drivers.polling import until
from tests.drivers.web_socket import TEXT
from tests.portal.filled_programme import PASSWORD
from tests.portal.session_world import COLLEAGUE, HOSTILE, OWNER, SessionWorld
from tests.portal.visiting import visiting


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionWorld]:
    # Whoever loses the right to stay goes at once, so that no test waits for it.
    monkeypatch.setattr(door, "ASKED_S", -1.0)
    monkeypatch.setattr(passing, "RECHECK_S", 0.05)
    with closing(SessionWorld()) as world:
        yield world


# --- the way in -----------------------------------------------------------------------------------


def test_a_link_opens_its_session_once(world: SessionWorld) -> None:
    link = world.link()
    with world.client() as client:
        assert client.get("/").status_code == 401
        entered, again = client.get(link), client.get(link)
        cookie = entered.headers["set-cookie"]
        inside = client.get("/lab?a=1", headers={"cookie": cookie.split(";")[0]})

    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert again.status_code == 403 and "set-cookie" not in again.headers
    assert "; HttpOnly; SameSite=Lax" in cookie and "Path=/;" in cookie and "omain" not in cookie
    assert entered.headers["referrer-policy"] == "no-referrer"
    assert entered.headers["cache-control"] == "no-store"
    assert inside.json()["target"] == "/lab?a=1"


def test_only_the_hashes_of_link_and_cookie_are_kept(world: SessionWorld) -> None:
    link = world.link()
    with world.client() as client:
        cookie = client.get(link).headers["set-cookie"].split(";")[0].partition("=")[2]

    ledger = world.admissions._book.ledger
    kept = b"".join(record.payload for record in ledger.read())
    assert kept.count(b"AdmissionGiven") == 1 and kept.count(b"AdmissionUsed") == 1
    assert link.rpartition("/")[2].encode() not in kept and cookie.encode() not in kept


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS"])
def test_a_link_is_used_up_by_a_person_who_follows_it_and_nothing_else(
    world: SessionWorld, method: str
) -> None:
    link = world.link()
    with world.client() as client:
        assert client.request(method, link).status_code == 403
        for dest in ("image", "script", "iframe", "empty"):
            assert client.get(link, headers={"sec-fetch-dest": dest}).status_code == 403

        assert client.get(link, headers={"sec-fetch-dest": "document"}).status_code == 303


def test_a_link_is_over_after_two_minutes_and_leads_to_its_own_job_alone(
    world: SessionWorld,
) -> None:
    late, elsewhere = world.link(), world.link(COLLEAGUE, "here-2")
    with world.client() as client:
        assert client.get(elsewhere).status_code == 403
        assert client.get("/.dure/enter/").status_code == 403
        assert client.get("/.dure/enter/../x").status_code in (401, 403)
    with world.client("here-2") as client:
        assert client.get(elsewhere).status_code == 303
    world.clock.at_s += LINK_S
    with world.client() as client:
        assert client.get(late).status_code == 403


def test_of_many_that_bring_one_link_at_a_time_one_comes_in(world: SessionWorld) -> None:
    from concurrent.futures import ThreadPoolExecutor

    link = world.link()
    token = link.rpartition("/")[2]
    with ThreadPoolExecutor(8) as crowd:
        cookies = list(crowd.map(lambda _: world.admissions.use(token, "here-1"), range(32)))

    assert sum(cookie is not None for cookie in cookies) == 1


def test_a_session_opens_to_nobody_but_who_began_it(world: SessionWorld) -> None:
    for user in (COLLEAGUE, "admin", "bae.jun"):
        with pytest.raises(Forbidden):
            world.services.interactive.open(world.actor(user), "here-1", sign_in="")
    for user in ("ha.eun", "noh.dain", "im.jiwon"):
        with pytest.raises(Forbidden):
            world.services.interactive.open(world.actor(user), "here-2", sign_in="")
    for job, code in (
        ("here-3", "JobIsNoSession"),
        ("nothing", "JobIsNoSession"),
        ("here-4", "SessionDoesNotRun"),
    ):
        answer = world.services.interactive.open(world.actor(OWNER), job, sign_in="")
        assert isinstance(answer, Refused) and answer.problems[0].code == code


def test_the_cookie_of_one_session_opens_no_other(world: SessionWorld) -> None:
    own, other = world.cookie(), world.cookie(COLLEAGUE, "here-2")
    with world.client() as client:
        assert client.get("/", headers={"cookie": other}).status_code == 401
        # A sibling may add its own beside; the right one still counts.
        both = client.get("/", headers={"cookie": f"{other}; {own}"})
    with world.client("here-2") as client:
        assert client.get("/", headers={"cookie": own}).status_code == 401

    assert both.status_code == 200


def test_a_cookie_is_over_with_the_sign_in_the_account_and_the_job(world: SessionWorld) -> None:
    people = world.services.people

    def is_in(cookie: str) -> bool:
        with world.client() as client:
            return client.get("/", headers={"cookie": cookie}).status_code == 200

    signed_in = people.sign_in(OWNER, PASSWORD, address="test")
    assert isinstance(signed_in, SignedIn)
    cookie, kept = world.cookie(sign_in=signed_in.token), world.cookie(sign_in="other")
    assert is_in(cookie) and is_in(kept)
    people.sign_out(signed_in.token)
    assert not is_in(cookie) and is_in(kept)
    world.pool.rows["here-1"] = world.pool.rows["here-4"]
    assert not is_in(kept)
    world.pool.rows["here-1"] = world.pool.rows["here-2"]
    assert not is_in(kept)


def test_a_new_password_other_roles_and_a_token_that_ends_close_the_way_in(
    world: SessionWorld,
) -> None:
    people = world.services.people
    token, issued = people.issue_token(OWNER, label="cli", days=1, by=OWNER)
    cookie, link = world.cookie(sign_in=token), world.link(sign_in=token)
    people.revoke_token(issued.token, by=OWNER)
    with world.client() as client:
        assert client.get("/", headers={"cookie": cookie}).status_code == 401
        assert client.get(link).status_code == 403
    cookie, link = world.cookie(), world.link()
    people.change_password(OWNER, "another-long-password", by="admin")
    with world.client() as client:
        assert client.get("/", headers={"cookie": cookie}).status_code == 401
        assert client.get(link).status_code == 403


def test_a_cookie_lasts_half_a_day_at_most(world: SessionWorld) -> None:
    cookie = world.cookie()
    world.clock.at_s += SESSION_S
    with world.client(cookie=cookie) as client:
        assert client.get("/").status_code == 401


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


# --- hostile words --------------------------------------------------------------------------------


def test_a_host_that_is_no_session_is_nobodys(world: SessionWorld) -> None:
    cookie = world.cookie()
    hosts = ("", "sessions.test", "x.here-1.sessions.test", "here-1.sessions.test.evil", "-.test",
             "here_1.sessions.test", "127.0.0.1", "here-1.sessions.tes", "*.sessions.test",
             "here-1", "here-1%2esessions.test", ".sessions.test", "[::1]:80")  # fmt: skip
    for host in hosts:
        with world.client(cookie=cookie) as client:
            assert client.get("/", headers={"host": host}).status_code == 404, host


def test_paths_reach_no_file_and_no_other_address(world: SessionWorld) -> None:
    cookie = f"Cookie: {world.cookie()}\r\n".encode()
    host = f"Host: {world.host()}\r\n".encode()
    end = b"Connection: close\r\n\r\n"
    for target, status in (
        (b"/.dure/static/../../../../etc/passwd", b"404"),
        (b"/.dure/static/..%2f..%2fetc/passwd", b"404"),
        (b"/.dure/static//etc/passwd", b"404"),
        (b"/.dure/static/terminal.js", b"200"),
        (b"http://evil.test/", b"404"),
        (b"*", b"404"),
        (b"//evil.test/..//x", b"200"),
        (b"/%2e%2e/%2edure/enter/x", b"200"),
    ):
        answer = world.raw(b"GET " + target + b" HTTP/1.1\r\n" + host + cookie + end)
        assert answer.split(b" ")[1] == status, target
        assert b"root:" not in answer


@pytest.mark.parametrize(
    "tail",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"X: a\0b\r\n\r\n",
        b"X: a\rb\r\n\r\n",
        b" X: folded\r\n\r\n",
        b"Host: other.sessions.test\r\n\r\n",
        b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        b"Cookie" + b"\r\n\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 9\r\n\r\nGET / HTT",
        b"",
    ],
)
def test_a_head_that_can_be_read_two_ways_reaches_nobody(world: SessionWorld, tail: bytes) -> None:
    seen: list[str] = []
    world.pool.line = lambda job: seen.append(job)  # type: ignore[method-assign,func-returns-value]
    head = f"POST /x HTTP/1.1\r\nHost: {world.host()}\r\nOrigin: http://{world.host()}\r\n"
    cookie = world.cookie()

    answer = world.raw(head.encode() + f"Cookie: {cookie}\r\n".encode() + tail)

    if b"websocket" not in tail and b"Transfer-Encoding: chunked" not in tail:
        assert seen == []
    assert b"HTTP/1.1 2" not in answer and b"HTTP/1.1 101" not in answer
    with world.client(cookie=cookie) as client:
        assert client.get("/").status_code == 503


def test_the_forms_of_the_portal_are_closed_to_pages_of_a_session(world: SessionWorld) -> None:
    # A page of a session can have the browser send the portal's cookie, if both are of one site; it
    # cannot read the portal's pages, so it has no form's token.
    with visiting(world.services, Role.MEMBER) as visit:
        for path in ("/sessions", "/sessions/here-1/open", "/jobs/h1/cancel", "/logout"):
            answer = visit.client.post(
                path,
                data={"kind": "shell", "pool": "here", "gpus": "1", "hours": "1"},
                headers={"origin": "http://here-1.sessions.test", "sec-fetch-site": "same-site"},
                follow_redirects=False,
            )
            assert answer.status_code == 403, path
        page = visit.get("/sessions", headers={"origin": "http://here-1.sessions.test"})

    assert world.pool.submitted == {} and world.pool.cancelled == []
    assert not any(name.startswith("access-control") for name in page.headers)
    assert page.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "url",
    ["", "http://sessions.test", "ftp://*.a.test", "http://*.a.test/x", "http://u@*.a.test",
     "http://a.*.test", "http://*.*.test", "*.a.test", "http://*.a.test?x"],
)  # fmt: skip
def test_an_address_has_one_star_and_nothing_behind_its_host(url: str) -> None:
    with pytest.raises(InputError, match="sessions-url"):
        Address(url)


# --- the real thing -------------------------------------------------------------------------------


@pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="no Jupyter here; try `make setup-jupyter`"
)
def test_a_kernel_of_a_real_jupyter_computes_through_the_door(tmp_path: Path) -> None:
    driver = driver_at(tmp_path / "here")
    driver.start(
        order("here-1", interactive="jupyter", interactive_s=600, notice_signal="none",
              env={"PATH": os.environ["PATH"]})
    )  # fmt: skip
    lines = LocalLines(driver.root)
    with closing(SessionWorld(lambda job: lines.reach(job, 1))) as world:
        token = "61626364"
        cookie = f"{world.cookie()}; _xsrf={token}"
        own = {"origin": f"http://{world.host()}", "x-xsrftoken": token, "cookie": cookie}
        with world.client() as client:

            def answers() -> bool:
                driver.observe()
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
    driver.stop("here-1", 1)
    end_of(driver, "here-1")


def test_the_page_of_a_shell_is_ours_and_only_its_line_is_the_sessions(tmp_path: Path) -> None:
    driver = driver_at(tmp_path / "here")
    driver.start(order("here-1", interactive="shell", interactive_s=600, notice_signal="none"))
    lines = LocalLines(driver.root)

    def reach(job: str) -> int | None:
        driver.observe()
        return until(lambda: lines.reach(job, 1))

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
    driver.stop("here-1", 1)
    end_of(driver, "here-1")


def test_a_door_that_closes_ends_every_line(world: SessionWorld) -> None:
    line = world.socket("/ws", {"Cookie": world.cookie(), "Origin": f"http://{world.host()}"})

    world._server.stop()

    assert line.is_over()
