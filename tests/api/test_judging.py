"""One application, reviews, awards, one's own account, and the month's reports."""

import csv
import io
from typing import Any

import pytest

from dure.services.access import Role
from dure.services.desks import Services
from tests.api.calling import calling
from tests.portal.filled_programme import filled_services


@pytest.fixture
def services() -> Services:
    return filled_services()


def test_an_application_is_shown_to_whom_it_belongs(services: Services) -> None:
    with calling(services, Role.APPLICANT) as caller:
        mine = caller.get("/applications/2026-1-0003").json()
        foreign = caller.get("/applications/2026-1-0107")
        absent = caller.get("/applications/nothing")

    assert mine["row"]["gpus_awarded"] == 56
    assert mine["score_milli"] == 84_250
    assert foreign.status_code == absent.status_code == 404


def test_awards_are_announced_to_everybody_and_name_no_one_who_was_refused(
    services: Services,
) -> None:
    with calling(services) as caller:
        rows = caller.get("/awards").json()
        others = caller.get("/awards?call=2026-2").json()

    assert [row["application"] for row in rows] == ["2026-1-0003"]
    assert others == []


def test_a_reviewer_sees_and_gives_their_own_reviews_only(services: Services) -> None:
    marks = {"marks": {"impact": 80, "ecosystem": 70, "capability": 90}}
    with calling(services, Role.REVIEWER) as caller:
        (asked,) = caller.get("/reviews").json()
        foreign = caller.post("/applications/2026-1-0003/reviews", marks)
        given = caller.post("/applications/2026-1-0107/reviews", marks)
        again = caller.post("/applications/2026-1-0107/reviews", marks)
    with calling(services, Role.AUDITOR) as caller:
        everyone = caller.get("/reviews").json()

    assert (asked["marks"], asked["given_at_s"]) == ({}, None)
    assert foreign.json()["errors"][0]["code"] == "ReviewerIsNotAssigned"
    assert given.json()["marks"] == marks["marks"]
    assert again.json()["errors"][0]["code"] == "ReviewIsGiven"
    assert len(everyone) == 2


def test_a_program_learns_for_whom_it_speaks_and_ends_its_token(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        me = caller.get("/me").json()
        (token,) = me["tokens"]
        foreign = caller.post("/me/tokens/of-nobody/revoke", {})
        ended = caller.post(f"/me/tokens/{token['token_id']}/revoke", {})
        after = caller.get("/me")

    assert (me["user"], me["roles"], me["projects"]) == ("kang.min", ["member"], ["p-2026-1-0003"])
    assert (foreign.status_code, ended.status_code, after.status_code) == (404, 200, 401)


def report(services: Services, role: Role | None, path: str) -> Any:
    with calling(services, role) as caller:
        answer = caller.get(f"/reports/{path}")
        assert answer.status_code == 200, answer.text
        return answer


def test_the_monthly_report_holds_every_provider_and_project_for_the_audit(
    services: Services,
) -> None:
    whole = report(services, Role.AUDITOR, "monthly?month=2026-04").json()
    own = report(services, Role.PROVIDER, "monthly?month=2026-04").json()

    assert [row["kind"] for row in whole["use"]] == ["provider"] * 3 + ["project"] * 24
    assert (whole["is_complete"], whole["unit"]) == (True, "GPU-seconds")
    assert [row["who"] for row in own["use"]] == ["naver-cloud"]


def test_a_report_as_csv_holds_the_same_figures(services: Services) -> None:
    document = report(services, Role.PROVIDER, "provider?month=2026-06").json()
    text = report(services, Role.PROVIDER, "provider?month=2026-06&format=csv").text
    (row,) = csv.DictReader(io.StringIO(text))

    assert document["is_complete"] is False
    assert row == {name: str(value) for name, value in document["providers"][0].items()}


def test_the_public_report_names_nobody(services: Services) -> None:
    document = report(services, None, "public?month=2026-04").json()
    text = report(services, None, "public?month=2026-04&format=csv").text

    assert document["pools"][0] == {"pool": "founding", "gpus": 13_136, "public_gpus": 10_456}
    assert sum(row["waiting"] for row in document["waitlist"]) == 118
    assert "rounds,2026-1/1,applications,514" in text
    assert "p-2026" not in text and "naver" not in text


def test_the_programme_report_is_for_the_office_and_the_audit(services: Services) -> None:
    document = report(services, Role.OPERATOR, "programme?month=2026-05").json()
    with calling(services, Role.PROVIDER) as caller:
        refused = caller.get("/reports/programme?month=2026-05")

    assert len(document["checks"]) == 24
    assert [row["recall"] for row in document["recalls"]] == ["r-2"]
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [("monthly", 400), ("monthly?month=2026-13", 400), ("monthly?month=2026-04&format=pdf", 400),
     ("yearly?month=2026-04", 404)],
)  # fmt: skip
def test_a_report_that_is_not_there_is_a_problem(
    services: Services, path: str, status: int
) -> None:
    with calling(services, Role.AUDITOR) as caller:
        assert caller.get(f"/reports/{path}").status_code == status
