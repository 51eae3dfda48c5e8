"""The doors: each route has its row in the access matrix, and opens to exactly those roles."""

from collections.abc import Callable, Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from dure.api.application import make_app
from dure.portal.site import make_site
from dure.portal.visitor import csrf_of
from dure.services.access import ACCESS, Role
from dure.services.browser_words import SESSION_COOKIE
from dure.services.desks import Services
from dure.services.people import SignedIn
from tests.portal.filled_programme import PASSWORD, filled_services
from tests.portal.visiting import hidden_fields, visiting

# What stands in a path's gaps: things of the member's and applicant's own project.
GAPS = {
    "{call:str}": "2026-2",
    "{application:str}": "2026-1-0003",
    "{project:str}": "p-2026-1-0003",
    "{job:str}": "j200007",
    "{name:str}": "dure.css",
    "{draft:str}": "d-00001",
    "{number:int}": "1",
    "{number:str}": "q-00001",
    "{stage:str}": "documents",
    "{letter:str}": "2026-00001",
}


def routes(app: Litestar) -> Iterator[tuple[str, str, str]]:
    """Yield (method, path, action) for every route of an application."""
    for route in app.routes:
        for handler in route.route_handlers:
            methods = {str(one) for one in handler.http_methods} - {"OPTIONS", "HEAD"}
            for method in sorted(methods):
                yield method, route.path, str(handler.opt.get("action", ""))


@pytest.fixture(scope="module")
def services() -> Services:
    return filled_services()


@pytest.mark.parametrize("make", [make_site, make_app])
def test_every_route_has_a_row_in_the_access_matrix(
    services: Services, make: Callable[[Services], Litestar]
) -> None:
    without = [
        (method, path) for method, path, action in routes(make(services)) if action not in ACCESS
    ]

    assert without == []


def outcome(services: Services, role: Role | None, method: str, path: str) -> str:
    for gap, value in GAPS.items():
        path = path.replace(gap, value)
    with visiting(services, role) as visit:
        answer = visit.get(path) if method == "GET" else visit.post(path)
    if answer.status_code in (401, 403):
        return "-"
    # Whoever is not signed in is led to the sign-in page.
    if answer.status_code == 303 and answer.headers["location"].startswith("/login?next=%"):
        return "-"
    assert answer.status_code < 500, (method, path, role, answer.status_code)
    return "+"


def test_each_route_opens_to_the_roles_of_its_row_and_to_nobody_else(
    services: Services, golden: Callable[[str, str], None]
) -> None:
    # The golden file is the matrix as it stands, to be read by people.
    roles = [None, *(role for role in Role if role is not Role.PUBLIC)]
    lines = [f"{'':52}" + " ".join(f"{role.value if role else 'public':9}" for role in roles)]
    for method, path, action in routes(make_site(filled_services())):
        if method == "POST" and Role.PUBLIC in ACCESS[action]:
            # Signing in and out: what decides is the form and the password, tested below.
            continue
        cells = []
        for role in roles:
            # What only reads changes nothing for the next.
            fresh = services if method == "GET" else filled_services()
            is_open = outcome(fresh, role, method, path)
            expected = "+" if {Role.PUBLIC, role} & ACCESS[action] else "-"
            assert is_open == expected, (method, path, role)
            cells.append(f"{is_open:9}")
        lines.append(f"{method:5}{path:47}" + " ".join(cells))

    golden("portal/access.txt", "\n".join(line.rstrip() for line in lines) + "\n")


@pytest.mark.parametrize(
    "path",
    ["/jobs/j100001", "/projects/p-2026-1-0001", "/applications/2026-1-0107", "/jobs/nothing"],
)
def test_what_belongs_to_others_looks_like_what_does_not_exist(
    services: Services, path: str
) -> None:
    with visiting(services, Role.MEMBER if "appl" not in path else Role.APPLICANT) as visit:
        foreign, missing = visit.get(path), visit.get(path + "x")

    assert foreign.status_code == missing.status_code == 404
    assert foreign.text.replace(path, "") == missing.text.replace(path + "x", "")


@pytest.mark.parametrize("sent", [None, "", "wrong", "é"])
def test_a_form_of_another_session_is_refused(services: Services, sent: str | None) -> None:
    with visiting(services, Role.MEMBER) as visit:
        data = {} if sent is None else {"csrf": sent}
        answer = visit.client.post("/jobs/j200007/cancel", data=data, follow_redirects=False)

    assert answer.status_code == 403
    assert services.pools["founding"].cancelled == []  # type: ignore[attr-defined]


def test_a_session_that_is_over_opens_nothing(services: Services) -> None:
    with visiting(services, Role.OPERATOR) as visit:
        services.people.sign_out(visit.token)

        assert visit.get("/operator").status_code == 303


def test_cookies_are_out_of_reach_of_scripts_and_of_plain_http_elsewhere() -> None:
    for is_secure in (False, True):
        site = make_site(filled_services(), is_secure=is_secure)
        with TestClient(site, base_url="https://portal.test") as client:
            cookie = client.get("/login").headers["set-cookie"]

        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert ("Secure" in cookie) == is_secure


def test_over_https_the_session_cookie_belongs_to_this_very_host() -> None:
    services = filled_services()
    site = make_site(services, is_secure=True)
    with TestClient(site, base_url="https://portal.test") as client:
        form = {"user": "kang.min", "password": PASSWORD}
        form |= hidden_fields(client.get("/login").text)
        signed_in = client.post("/login", data=form, follow_redirects=False)
        own = client.get("/me", follow_redirects=False)
        (token,) = (one for one in client.cookies if one.endswith("session"))
        value = client.cookies[token]
        out = client.post("/logout", data={"csrf": csrf_of(value)}, follow_redirects=False)
        left = dict(client.cookies)
        client.cookies.set(SESSION_COOKIE, value)
        planted = client.get("/me", follow_redirects=False)

    for answer, name in ((signed_in, "dure_session"), (signed_in, "dure_visit"), (out, token)):
        # What browsers ask of the prefix, also of a cookie that is to be forgotten.
        cookies = answer.headers.get_list("set-cookie")
        (cookie,) = (one for one in cookies if one.split("=")[0].endswith(name))
        fields = set(cookie.split("; ")[1:])
        assert cookie.startswith("__Host-") and {"Path=/", "Secure"} <= fields
        assert not any(one.startswith("Domain") for one in fields)
    assert (own.status_code, left) == (200, {})
    assert planted.status_code == 303


def test_the_api_reads_the_cookie_that_the_pages_set(services: Services) -> None:
    signed_in = services.people.sign_in("kang.min", PASSWORD, address="test")
    assert isinstance(signed_in, SignedIn)
    for is_secure, name in ((True, "__Host-dure_session"), (False, "dure_session")):
        app = make_app(services, is_secure=is_secure)
        for cookie in ("__Host-dure_session", "dure_session"):
            with TestClient(app, cookies={cookie: signed_in.token}) as client:
                answer = client.get("/api/v1/me")
            assert (answer.status_code == 200) == (cookie == name)


@pytest.mark.parametrize("path", ["/", "/login", "/nothing", "/static/dure.css", "/jobs"])
def test_every_answer_carries_the_strict_headers(services: Services, path: str) -> None:
    with visiting(services, Role.MEMBER) as visit:
        headers = visit.get(path).headers

    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"


def test_sign_in_leads_back_into_this_site_only(services: Services) -> None:
    for wish in ("//evil.test", "https://evil.test", "/\\evil.test", "/a\nb", "evil"):
        with visiting(services) as visit:
            html = visit.get("/login", params={"next": wish}).text

        assert 'name="next" value="/"' in html


def test_the_session_cookie_is_new_after_signing_in(services: Services) -> None:
    with visiting(services) as visit:
        fields = hidden_fields(visit.get("/login").text)
        visit.client.cookies.set(SESSION_COOKIE, "planted")
        fields |= {"user": "kang.min", "password": PASSWORD}
        answer = visit.client.post("/login", data=fields, follow_redirects=False)

    assert answer.status_code == 303
    assert "planted" not in answer.headers["set-cookie"]
