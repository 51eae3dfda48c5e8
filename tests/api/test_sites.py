"""Sites over the API: who sees which, and what an agent without the right words is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from litestar.testing import TestClient

from dure.api.application import make_app
from dure.api.site_routes import SEAL, make_agents_app
from dure.core.sealing import BY_AGENT, key_bytes, seal
from dure.core.site_words import Push, answer_of, encoded
from dure.services.access import Role
from dure.services.desks import Services
from tests.api.calling import calling
from tests.portal.filled_programme import filled_services
from tests.sites.line import SITE, AgentSide, CentreSide, Line, node_named
from tests.sites.machines import Machines


@pytest.fixture
def centre(tmp_path: Path) -> CentreSide:
    """Return a centre with a site that is heard, one of somebody else, and one revoked."""
    made = CentreSide(tmp_path / "centre", {"n1": 8})
    made.enrolments.enrol(SITE, provider="naver-cloud", by="test")
    line = Line(made, made.enrolments.enrol(SITE, provider="naver-cloud", by="test"))
    made.enrolments.enrol("busan", by="test")
    made.enrolments.enrol("jeju", by="test")
    made.enrolments.revoke("jeju", by="test")
    made.key = line.key.hex()
    agent = AgentSide(tmp_path / "site", line, Machines, [node_named("n1", 8)])
    made.driver.observe()
    made.driver.observe()
    for _ in range(2):
        agent.agent.turn()
    return made


@pytest.fixture
def services(centre: CentreSide) -> Services:
    return replace(filled_services(), sites=centre.sites)


def shown(services: Services, role: Role) -> list[tuple[str, str, str, int]]:
    with calling(services, role) as caller:
        rows = caller.get("/sites").json()
    return [(row["site"], row["provider"], row["state"], row["gpus"]) for row in rows]


def test_the_office_sees_every_site_and_a_provider_its_own(
    services: Services, centre: CentreSide
) -> None:
    all_sites = [
        ("busan", "busan", "awaited", 0),
        ("jeju", "jeju", "revoked", 0),
        (SITE, "naver-cloud", "in-reach", 8),
    ]
    assert shown(services, Role.OPERATOR) == shown(services, Role.AUDITOR) == all_sites
    assert shown(services, Role.PROVIDER) == [(SITE, "naver-cloud", "in-reach", 8)]
    with calling(services, Role.MEMBER) as caller:
        assert caller.get("/sites").status_code == 403

    centre.clock.at_s += 31
    assert shown(services, Role.PROVIDER) == [(SITE, "naver-cloud", "out-of-reach", 8)]


@contextmanager
def doors(services: Services) -> Iterator[list[TestClient]]:
    """Open both doors of agents: beside pages and API, and of an engine alone."""
    with TestClient(make_app(services)) as one, TestClient(make_agents_app(services.sites)) as two:
        yield [one, two]


def push(centre: CentreSide, **changes: int) -> bytes:
    words = {"run": 9, "count": 1, "generation": centre.driver.generation, "taken": 0} | changes
    agent = centre.gate._of(SITE).agent
    return encoded(Push(agent=agent, **words))


def test_a_push_is_answered_under_seal_and_everything_else_by_a_problem(
    services: Services, centre: CentreSide
) -> None:
    key = bytes.fromhex(centre.key)

    def sealed(body: bytes) -> dict[str, str]:
        return {SEAL: seal(key, by=BY_AGENT, site=SITE, body=body)}

    path = f"/api/v1/sites/{SITE}/exchange"
    with doors(services) as clients:
        for count, client in enumerate(clients, start=1):
            body = push(centre, count=count)
            taken = client.post(path, content=body, headers=sealed(body))
            again = client.post(path, content=body, headers=sealed(body))
            unsealed = client.post(path, content=body)
            foreign = client.post(
                "/api/v1/sites/busan/exchange", content=body, headers=sealed(body)
            )
            garbled = client.post(path, content=b"{", headers=sealed(b"{"))
            unwanted = client.post(
                f"/api/v1/sites/{SITE}/workdir", content=b"a/b", headers=sealed(b"a/b")
            )

            assert taken.status_code == 200
            assert answer_of(taken.content).count == count
            assert len(taken.headers[SEAL]) == 64
            assert (again.status_code, again.json()["code"]) == (409, "stale-push")
            assert [one.status_code for one in (unsealed, foreign, unwanted)] == [404] * 3
            assert unsealed.json() | {"instance": ""} == foreign.json() | {"instance": ""}
            assert garbled.status_code == 422
        centre.begin()
        services = replace(services, sites=centre.sites)
    with doors(services) as clients:
        for client in clients:
            early = client.post(path, content=body, headers=sealed(body))
            assert (early.status_code, early.json()["code"]) == (503, "not-leading")


def test_an_engines_own_door_has_no_pages_and_no_other_paths(services: Services) -> None:
    with TestClient(make_agents_app(services.sites)) as client:
        found = [
            client.get(path).status_code for path in ("/", "/api/v1/sites", "/api/openapi.json")
        ]

    assert found == [404, 404, 404]


def test_a_key_is_read_and_never_told() -> None:
    with pytest.raises(Exception, match="what dure site enrol printed") as wrong:
        key_bytes("dure-site_" + "z" * 64)

    assert "zzz" not in str(wrong.value)
