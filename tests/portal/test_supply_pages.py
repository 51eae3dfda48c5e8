"""The pages of supply: what each sees, the office's buttons, refusals in words."""

from dataclasses import replace

import pytest

from dure.services.access import Role
from dure.services.desks import Services
from dure.services.programme_screen import ProgrammeScreen
from dure.services.supply_screen import SupplyScreen
from tests.portal.filled_programme import filled_services
from tests.portal.filled_supply import filled_bench
from tests.portal.visiting import visiting


@pytest.fixture
def services() -> Services:
    whole, bench = filled_services(), filled_bench()
    view = whole.pools["here"].view
    programme = bench.programme
    return replace(
        whole, programme=ProgrammeScreen(programme), supply=SupplyScreen(programme, view)
    )


@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_office_sees_everything_of_supply(services: Services, lang: str) -> None:
    with visiting(services, Role.OPERATOR) as visit:
        html = visit.get("/supply", params={"lang": lang}).text

    for number in ("n-0001", "s-0001", "v-0001", "v-0002", "c-0001", "c-0002", "t-0001"):
        assert number in html
    assert {"ko": "공급 공모", "en": "Supply calls"}[lang] in html


def test_a_provider_sees_its_own_and_no_buttons(services: Services) -> None:
    with visiting(services, Role.PROVIDER) as visit:
        html = visit.get("/supply").text
    assert "s-0001" in html and "/supply/act" not in html

    others = SupplyScreen(filled_bench("else").programme, services.pools["here"].view)
    with visiting(replace(services, supply=others), Role.PROVIDER) as visit:
        html = visit.get("/supply").text
    assert not any(one in html for one in ("n-0001", "v-0001", "c-0001", "t-0001"))


def test_a_claim_is_approved_and_paid_by_buttons(services: Services) -> None:
    with visiting(services, Role.OPERATOR) as visit:
        assert visit.post("/supply/act", {"act": "approve", "name": "c-0002"}).status_code == 303
        assert visit.post("/supply/act", {"act": "pay", "name": "c-0002"}).status_code == 303
        again = visit.post("/supply/act", {"act": "pay", "name": "c-0002"})
        nothing = visit.post("/supply/act", {"act": "steal", "name": "c-0002"})

    assert again.status_code == 422 and 'role="alert"' in again.text
    assert nothing.status_code == 404


def test_what_lacks_an_inspection_is_refused_with_the_node(services: Services) -> None:
    with visiting(services, Role.OPERATOR) as visit:
        answer = visit.post("/supply/act", {"act": "accept", "name": "v-0002"})

    assert answer.status_code == 422
    assert "m0" in answer.text


def test_the_audit_reads_the_rank_with_its_formulas(services: Services) -> None:
    with visiting(services, Role.AUDITOR) as visit:
        html = visit.get("/supply/calls/s").text
        missing = visit.get("/supply/calls/none")

    assert "100 x (80 - 0) / (100 - 0) = 80" in html
    assert "org-naver" in html and "org-b" in html
    assert missing.status_code == 404
