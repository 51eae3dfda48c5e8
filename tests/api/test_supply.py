"""Supply over HTTP: what is refused names its rule and numbers; a key makes a thing once."""

from dataclasses import replace

import pytest

from dure.services.access import Role
from dure.services.desks import Services
from dure.services.programme_screen import ProgrammeScreen
from dure.services.supply_screen import SupplyScreen
from tests.api.calling import calling
from tests.portal.filled_programme import filled_services
from tests.portal.filled_supply import filled_bench


@pytest.fixture
def services() -> Services:
    whole, bench = filled_services(), filled_bench()
    screen = SupplyScreen(bench.programme, whole.pools["here"].view)
    return replace(whole, programme=ProgrammeScreen(bench.programme), supply=screen)


def test_an_over_claim_is_refused_by_its_rule_and_number(services: Services) -> None:
    body = {"instalment": "first", "amount_krw": 101, "evidence": ["i-3"]}
    with calling(services, Role.PROVIDER) as caller:
        answer = caller.post("/supply/agreements/s-0001/claims", body)
        late = caller.post("/supply/agreements/s-0001/claims", {**body, "instalment": "second"})

    # 60 % of 800 for half of the GPUs is 240; 100 were approved and 40 are asked already.
    (error,) = answer.json()["errors"]
    assert answer.status_code == 422
    assert error == {
        "field": "amount_krw",
        "code": "ClaimIsOverInstalment",
        "numbers": {"amount_krw": 101, "left_krw": 100, "instalment": "first", "most_krw": 240},
    }
    assert late.json()["errors"][0]["code"] == "ClaimIsOutOfYear"
    assert late.json()["errors"][0]["numbers"] == {"year": "2027", "found": "2026"}


def test_a_claim_sent_twice_with_one_key_is_filed_once(services: Services) -> None:
    body = {"instalment": "first", "amount_krw": 10, "evidence": ["i-3"]}
    with calling(services, Role.PROVIDER) as caller:
        answers = [
            caller.post("/supply/agreements/s-0001/claims", body, key="one") for _ in range(2)
        ]
        listed = caller.get("/supply/claims").json()

    assert [one.json() for one in answers] == [{"done": "c-0003"}] * 2
    assert [row["claim"] for row in listed] == ["c-0001", "c-0002", "c-0003"]


def test_a_provider_does_nothing_with_what_is_anothers(services: Services) -> None:
    others = SupplyScreen(filled_bench("else").programme, services.pools["here"].view)
    offer = {
        "accelerator": "B200", "gpus": 8, "price_krw": 1, "months": 1, "public_percent": 80
    }  # fmt: skip
    with calling(replace(services, supply=others), Role.PROVIDER) as caller:
        lists = [
            caller.get(f"/supply/{name}").json()
            for name in ("negotiations", "agreements", "deliveries", "claims", "service",
                         "transfers")
        ]  # fmt: skip
        wrong = caller.post("/supply/negotiations/n-0001/offers", offer)

    assert lists == [[]] * 6
    assert wrong.status_code == 403


def test_how_many_bid_is_told_when_a_call_has_closed(services: Services) -> None:
    bench = filled_bench()
    bench.clock.at_s = bench.call.closes_at_s - 1
    open_ = replace(services, supply=SupplyScreen(bench.programme, services.pools["here"].view))
    told = {}
    for name, given in (("open", open_), ("closed", services)):
        for role in (None, Role.OPERATOR):
            with calling(given, role) as caller:
                told[name, role] = caller.get("/supply/calls").json()[0]["bidders"]

    assert told == {
        ("open", None): None, ("open", Role.OPERATOR): 2,
        ("closed", None): 2, ("closed", Role.OPERATOR): 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/supply/negotiations/n-0001/offers", {"accelerator": "B200", "gpus": 8, "price_krw": 1,
                                                "months": 1, "public_percent": 80, "title": "me"}),
        ("/supply/transfers/t-0001/steps", {"step": "flown"}),
        ("/supply/deliveries/v-0002/inspections", {"items": {"model": "perhaps"}, "evidence": "x"}),
        ("/supply/claims/c-0002/decision", {"approved_krw": 1.5}),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_bad_request(
    services: Services, path: str, body: dict[str, object]
) -> None:
    with calling(services, Role.OPERATOR) as caller:
        answer = caller.post(path, body)

    assert answer.status_code == 400


def test_portions_that_are_none_and_ranges_that_go_down_are_refused(services: Services) -> None:
    nodes = {"site": "x", "nodes": ["n-5..1"]}
    with calling(services, Role.OPERATOR) as caller:
        portions = caller.get("/supply/calls/s/bids?portions=50,x")
        range_ = caller.post("/supply/agreements/s-0001/deliveries", nodes)

    assert (portions.status_code, range_.status_code) == (400, 422)


HUGE = [-1, 10**18, 2**63, 10**30]


@pytest.mark.parametrize("number", HUGE)
def test_no_number_is_too_large_to_be_refused(services: Services, number: int) -> None:
    offer = {"accelerator": "B200", "gpus": 8, "price_krw": 1, "months": 1, "public_percent": 80}
    days = {"drain_at_s": number, "move_at_s": number + 1, "back_at_s": number + 2}
    wishes = [
        *(("/supply/negotiations/n-0001/offers", {**offer, name: number})
          for name in ("gpus", "price_krw", "months", "public_percent")),
        ("/supply/deliveries/v-0002/tests", {"results": {"healthy": number}, "evidence": "e"}),
        ("/supply/agreements/s-0001/claims",
         {"instalment": "first", "amount_krw": number, "evidence": ["i"]}),
        ("/supply/agreements/s-0001/deliveries",
         {"site": "x", "nodes": ["z1"], "node_gpus": number}),
        ("/supply/claims/c-0002/decision", {"approved_krw": number}),
        ("/supply/calls/s/repeats", {"call": "s2", "opens_at_s": number, "closes_at_s": number}),
        ("/supply/transfers", {"nodes": ["naver-h200-b-0001"], "provider": "x", "site": "y",
                               "call": "s", **days}),
    ]  # fmt: skip
    with calling(services, Role.ADMIN) as caller:
        codes = {path: caller.post(path, body).status_code for path, body in wishes}

    assert {path: code for path, code in codes.items() if code not in (400, 422)} == {}
