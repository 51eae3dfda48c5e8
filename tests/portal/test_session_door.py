"""The door of sessions: who comes in; that what lies behind it reaches nothing of the portal."""

import pytest

from dure.core.errors import InputError
from dure.services.access import Forbidden, Role
from dure.services.admissions import LINK_S
from dure.services.desks import Refused
from dure.services.interactive import Address
from dure.services.people import SESSION_S, SignedIn
from tests.portal.filled_programme import PASSWORD
from tests.portal.session_world import COLLEAGUE, OWNER, SessionWorld
from tests.portal.visiting import visiting

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
