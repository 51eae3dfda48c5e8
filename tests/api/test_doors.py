"""The API's doors: the access matrix, tokens, problems."""

import re
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from litestar.testing import TestClient

from dure.api.application import make_app
from dure.services.access import ACCESS, Role
from dure.services.browser_words import SESSION_COOKIE
from dure.services.desks import Services
from dure.services.people import FREE_FAILURES, SignedIn
from tests.api.calling import Caller, calling
from tests.portal.filled_programme import PASSWORD, filled_services
from tests.portal.test_doors import routes

GAPS = {
    "{pool:str}": "founding",
    "{node:str}": "naver-h200-a-0001",
    "{job:str}": "j200007",
    "{call:str}": "2026-2",
    "{project:str}": "p-2026-1-0003",
    "{application:str}": "2026-1-0003",
    "{token:str}": "of-nobody",
    "{stage:str}": "documents",
    "{draft:str}": "d-00001",
    "{attachment:str}": "0" * 64,
    "{request_id:str}": "q-00001",
    "{kind:str}": "monthly",
    "{letter:str}": "2026-00001",
    "{path:path}": "notes.txt",
    "{snapshot:str}": "nothing",
    "{sha256:str}": "0" * 64,
    "{number:int}": "1",
    "{negotiation:str}": "n-0001",
    "{agreement:str}": "s-0001",
    "{delivery:str}": "v-0001",
    "{claim:str}": "c-0001",
    "{transfer:str}": "t-0001",
    "{month:str}": "2026-04",
}
QUERY = dict.fromkeys(
    ("/api/v1/usage", "/api/v1/reports/monthly", "/api/v1/reports/public"), "?month=2026-04"
)
# A stream never ends; that it opens is tested in test_stream.
ENDLESS = {"/api/v1/events"}


@pytest.fixture(scope="module")
def services() -> Services:
    return filled_services()


def status(caller: Caller, role: Role | None, method: str, path: str) -> int:
    for gap, value in GAPS.items():
        path = path.replace(gap, value)
    path += QUERY.get(path, "")
    headers = {**caller.headers, "idempotency-key": f"{role}-{path}"}
    if method in ("GET", "DELETE"):
        return caller.client.request(method, path, headers=headers).status_code
    return caller.client.request(method, path, headers=headers, json={}).status_code


def test_each_path_opens_to_the_roles_of_its_row_and_to_nobody_else(
    services: Services, golden: Callable[[str, str], None]
) -> None:
    roles = [None, *(role for role in Role if role is not Role.PUBLIC)]
    lines = [f"{'':61}" + " ".join(f"{role.value if role else 'public':9}" for role in roles)]
    with ExitStack() as open_while:
        callers = {role: open_while.enter_context(calling(services, role)) for role in roles}
        for method, path, action in sorted(routes(make_app(services))):
            cells = []
            for role in roles:
                if path in ENDLESS:
                    cells.append(f"{'+':9}")
                    continue
                got = status(callers[role], role, method, path)
                is_open = "-" if got in (401, 403) else "+"
                expected = "+" if {Role.PUBLIC, role} & ACCESS[action] else "-"
                assert got < 500, (method, path, role)
                assert is_open == expected, (method, path, role, got)
                cells.append(f"{is_open:9}")
            lines.append(f"{method:7}{path:54}" + " ".join(cells))

    golden("api/access.txt", "\n".join(line.rstrip() for line in lines) + "\n")


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/j100001",
        "/jobs/j100001/why",
        "/jobs/j100001/output",
        "/projects/p-2026-1-0001",
        "/projects/p-2026-1-0001/storage",
        "/projects/p-2026-1-0001/files",
        "/projects/p-2026-1-0001/files/notes.txt",
        "/projects/p-2026-1-0001/snapshots",
    ],
)
def test_what_belongs_to_others_is_answered_like_what_does_not_exist(
    services: Services, path: str
) -> None:
    missing_path = path.replace("j100001", "nothing").replace("p-2026-1-0001", "nothing")
    with calling(services, Role.MEMBER) as caller:
        foreign, missing = caller.get(path), caller.get(missing_path)

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | {"instance": ""} == missing.json() | {"instance": ""}


def test_the_job_on_a_gpu_is_named_to_whom_it_belongs_only(services: Services) -> None:
    names = {}
    for role in (None, Role.MEMBER, Role.OPERATOR):
        with calling(services, role) as caller:
            jobs = [job for node in caller.get("/pools/founding/nodes?limit=200").json()
                    for job in node["jobs"] if job]  # fmt: skip
            names[role] = set(jobs)

    assert names[None] == set()
    assert names[Role.MEMBER] < names[Role.OPERATOR]
    with calling(services, Role.MEMBER) as caller:
        for job in names[Role.MEMBER]:
            assert caller.get(f"/jobs/{job}").json()["row"]["project"] == "p-2026-1-0003"


def test_a_page_reads_with_its_cookie_but_a_cookie_changes_nothing(services: Services) -> None:
    signed_in = services.people.sign_in("kang.min", PASSWORD, address="test")
    assert isinstance(signed_in, SignedIn)
    with TestClient(make_app(services), cookies={SESSION_COOKIE: signed_in.token}) as client:
        assert client.get("/api/v1/projects").status_code == 200
        assert client.post("/api/v1/jobs/j200007/cancel").status_code == 401


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer", "Basic a2V5", "Bearer " + "é" * 9])
def test_a_wrong_token_is_nobody(services: Services, header: str) -> None:
    with TestClient(make_app(services)) as client:
        answer = client.get("/api/v1/projects", headers={"authorization": header.encode()})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_password_buys_a_token_that_works() -> None:
    with calling(filled_services()) as caller:
        answer = caller.post("/login", {"user": "kang.min", "password": PASSWORD}, key="")
        token = answer.json()["token"]
        mine = caller.get("/projects", authorization=f"Bearer {token}")

    assert [row["project"] for row in mine.json()] == ["p-2026-1-0003"]


def test_guessing_passwords_is_slowed_down() -> None:
    services = filled_services()
    with calling(services) as caller:
        codes = [
            caller.post("/login", {"user": "kang.min", "password": "wrong"}, key="").status_code
            for _ in range(FREE_FAILURES + 1)
        ]

    assert codes == [401] * (FREE_FAILURES - 1) + [429, 429]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/pools/nope/overview", 404),
        ("GET", "/api/v1/pools/founding/nodes?limit=0", 400),
        ("GET", "/api/v1/pools/founding/nodes?limit=99999", 400),
        ("GET", "/api/v1/pools/founding/nodes?cursor=%21", 400),
        ("DELETE", "/api/v1/pools", 405),
        ("GET", "/api/v1/projects", 401),
    ],
)
def test_every_refusal_is_a_problem(
    services: Services, method: str, path: str, status: int
) -> None:
    with TestClient(make_app(services)) as client:
        answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert re.fullmatch(r"urn:dure:problem:[a-z-]+", problem["type"])
    assert problem["type"].endswith(problem["code"])
    assert problem["instance"] == path.split("?")[0]


def test_a_mistake_of_ours_says_nothing_of_the_inside(services: Services) -> None:
    def broken() -> None:
        raise RuntimeError("the inside")

    broken_services = filled_services()
    broken_services.programme.calls = broken  # type: ignore[method-assign,assignment]
    with TestClient(make_app(broken_services), raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/calls")

    assert answer.status_code == 500
    assert "inside" not in answer.text and "Traceback" not in answer.text
