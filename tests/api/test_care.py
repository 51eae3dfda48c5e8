"""Measuring over the API and the pages: what is shown to whom, and what their words do."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from litestar.testing import TestClient

from dure.api.application import make_app
from dure.core.idle_held import IdlePolicy
from dure.core.measured import Signal
from dure.services.access import Role
from dure.services.desks import Services
from dure.services.engine_figures import EngineFigures
from tests.api.calling import calling
from tests.portal.filled_programme import filled_services
from tests.portal.visiting import visiting
from tests.services.care_bench import NODE, CareBench

RULE = IdlePolicy()
TEAM = "p-2026-1-0003"  # of the invented applicant and member


def served(bench: CareBench) -> Services:
    """Return the invented people and programme over a measured pool."""
    figures = EngineFigures(7, 1, 0.5, 0.2, 42, 0)
    return replace(
        filled_services(),
        pools={"here": bench.live.desk},
        care={"here": bench.desk},
        engines={"here": lambda: figures},
    )


@pytest.fixture
def idle(tmp_path: Path) -> tuple[CareBench, Services, str]:
    bench = CareBench(tmp_path)
    bench.live.allocate("owner", 4)
    bench.live.allocate(TEAM, 0)
    job = bench.live.submit("gpus: 2, preemptible: true", project=TEAM)
    bench.live.turn(1)
    bench.meter.gpus = {0: 990, 1: 0}
    bench.measure(RULE.grace_s + RULE.window_s + 600)
    return bench, served(bench), job


def sick(tmp_path: Path) -> tuple[CareBench, Services]:
    bench = CareBench(tmp_path)
    bench.meter.signals = [Signal(bench.live.clock.at_s, NODE, 2, 79)]
    bench.measure()
    return bench, served(bench)


def test_a_job_shows_what_it_was_measured_to_use(idle: tuple[CareBench, Services, str]) -> None:
    _, services, job = idle
    with calling(services, Role.MEMBER) as caller:
        found = caller.get(f"/jobs/{job}/utilisation").json()
    with visiting(services, Role.MEMBER) as visit:
        page = visit.get(f"/jobs/{job}?pool=here").text
    with calling(services, Role.PROVIDER) as caller:
        hidden = caller.get(f"/jobs/{job}/utilisation").status_code

    assert (found["busy_milli"], found["busy_milli_min"], found["length_s"]) == (495, 0, 300)
    assert {point["busy_milli"] for point in found["points"]} == {495}
    assert page.count('<rect class="k k-own"') == len(found["points"])
    assert page.count('<th scope="row">') >= len(found["points"]), "the same as a table"
    assert hidden == 404


def test_a_notice_is_answered_on_the_page_and_over_the_api(
    idle: tuple[CareBench, Services, str],
) -> None:
    bench, services, job = idle
    with calling(services, Role.MEMBER) as caller:
        (case,) = caller.get("/pools/here/idle").json()
        no_reason = caller.post(f"/jobs/{job}/idle", {"answer": "justified"})
        extended = caller.post(f"/jobs/{job}/idle", {"answer": "extended"})
    with visiting(services, Role.MEMBER) as visit:
        form = {"answer": "justified", "text": "reads a tape"}
        sent = visit.post(f"/jobs/{job}/idle?pool=here", form)
        page = visit.get(sent.headers["location"]).text
        nonsense = visit.post(f"/jobs/{job}/idle?pool=here", {"answer": "what"})
    with calling(services, Role.OPERATOR) as caller:
        by_office = caller.post(f"/jobs/{job}/idle", {"answer": "extended"})

    assert (case["job"], case["busy_milli_max"], case["state"]) == (job, 0, "noticed")
    assert no_reason.json()["errors"][0]["code"] == "IdleReasonIsMissing"
    assert extended.json()["state"] == "answered"
    assert (sent.status_code, nonsense.status_code) == (303, 404)
    assert "reads a tape" in page
    assert by_office.status_code == 403
    newest = bench.desk.case_of(job)
    assert newest is not None and newest.answer == "justified"


def test_a_repair_goes_from_the_list_to_its_provider_and_back(tmp_path: Path) -> None:
    bench, services = sick(tmp_path)
    with calling(services, Role.OPERATOR) as caller:
        (ticket,) = caller.get("/pools/here/tickets").json()
        wrong = caller.post("/pools/here/tickets/t-1/repair", {"done": "PRAY"})
        missing = caller.post("/pools/here/tickets/t-9/repair", {"done": "INSPECT"})
    with calling(services, Role.PROVIDER) as caller:
        others = caller.get("/pools/here/tickets").json()
    with visiting(services, Role.OPERATOR) as visit:
        before = visit.get("/tickets?pool=here").text
        sent = visit.post("/tickets/t-1/repair?pool=here", {"done": "RESTART_NODE", "note": "ok"})
        after = visit.get(sent.headers["location"]).text

    assert (ticket["node"], ticket["action"], ticket["xid"]) == (NODE, "RESTART_NODE", 79)
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "TicketIsNotOpen")
    assert missing.status_code == 404
    assert others == [], "another provider's"
    assert "/tickets/t-1/repair" in before and "/tickets/t-1/repair" not in after
    assert bench.desk.figures().tickets == {"open": 0, "held": 0, "probation": 1}


def test_the_breaker_is_reset_by_the_agency(tmp_path: Path) -> None:
    _, services = sick(tmp_path)
    with calling(services, Role.OPERATOR) as caller:
        assert caller.post("/pools/here/breakers/here/reset", {}).status_code == 404
    with calling(services, Role.MEMBER) as caller:
        assert caller.post("/pools/here/breakers/here/reset", {}).status_code == 403
    with visiting(services, Role.OPERATOR) as visit:
        assert visit.post("/tickets/breaker/here?pool=here").status_code == 303


def test_a_rule_that_means_nothing_is_refused(tmp_path: Path) -> None:
    services = served(CareBench(tmp_path))
    rule = {"threshold_milli": 0, "window_s": 300, "grace_s": 0, "notice_s": 0}
    with calling(services, Role.OPERATOR) as caller:
        assert caller.post("/pools/here/idle/rule", rule).status_code == 200
        wrong = caller.post("/pools/here/idle/rule", {**rule, "window_s": 7})

    assert (wrong.status_code, wrong.json()["code"]) == (422, "unreadable")


def test_the_books_are_compared_and_nonsense_is_none(tmp_path: Path) -> None:
    services = served(CareBench(tmp_path))
    book = {"month": "2026-09", "provider": "here", "gpu_s": {"team": 4_000}}
    with calling(services, Role.OPERATOR) as caller:
        rows = caller.post("/pools/here/accounting", book)
        wrong = [
            caller.post("/pools/here/accounting", {**book, **change}).status_code
            for change in ({"month": "2026-13"}, {"gpu_s": {"a": -1}}, {"provider": "nowhere"})
        ]

    assert rows.json() == [
        {"who": "team", "ours_gpu_s": 0, "theirs_gpu_s": 4_000, "difference_milli": 1_000,
         "differs": True}
    ]  # fmt: skip
    assert wrong == [400, 400, 404]


def test_a_pool_that_is_not_measured_says_so() -> None:
    services = filled_services()
    with calling(services, Role.OPERATOR) as caller:
        assert caller.get("/pools/founding/tickets").status_code == 404
    with visiting(services, Role.OPERATOR) as visit:
        assert "/repair" not in visit.get("/tickets").text


def test_metrics_name_nobody_and_tell_how_measuring_goes(
    idle: tuple[CareBench, Services, str],
) -> None:
    _, services, job = idle
    with TestClient(make_app(services)) as client:
        page: httpx.Response = client.get("/metrics")

    lines = dict(line.rsplit(" ", 1) for line in page.text.splitlines() if line[0] != "#")
    assert lines['dure_telemetry_lag_seconds{pool="here"}'] == "0.0"
    assert lines['dure_idle_notices{pool="here",state="noticed"}'] == "1.0"
    assert lines['dure_loaned_gpus{pool="here"}'] == "2.0"
    assert lines['dure_turn_seconds_count{pool="here"}'] == "7.0"
    assert lines['dure_ledger_head{pool="here"}'] == "42.0"
    assert job not in page.text and TEAM not in page.text
