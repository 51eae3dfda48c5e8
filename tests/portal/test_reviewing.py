"""The reviewer's pages: marks are given, kept when wrong, and a conflict hands the review on."""

from dataclasses import replace

import msgspec
import pytest

from dure.core.conflicts import Reviewer
from dure.services.access import Role
from dure.services.desks import Services
from dure.services.judging_screen import JudgingScreen
from dure.services.programme_screen import ProgrammeScreen
from tests.portal.filled_programme import filled_services
from tests.portal.visiting import visiting
from tests.services.programme_desk import CALL, CLOSES_S, OPERATOR, Desk, reviewer_actor

REVIEWER = "im.jiwon"


@pytest.fixture
def desk() -> Desk:
    """Return a blind call whose one application the reviewer was asked for."""
    made = Desk(msgspec.structs.replace(CALL, blind=("organisation",)))
    made.publish()
    made.apply("lead0", 16)
    for name in (REVIEWER, "other", "third"):
        made.programme.register_reviewer(OPERATOR, Reviewer(name, f"home of {name}"))
    for name in (REVIEWER, "other"):
        made.programme.bid(reviewer_actor(name), "t-0001", "eager")
    made.clock.at_s = CLOSES_S
    made.programme.assign_reviewers(OPERATOR, "t", due_at_s=CLOSES_S + 1000)
    return made


def services_over(desk: Desk) -> Services:
    return replace(
        filled_services(),
        programme=ProgrammeScreen(desk.programme),
        judging=JudgingScreen(desk.programme),
    )


def test_a_reviewer_marks_what_the_call_does_not_keep_blind(desk: Desk) -> None:
    with visiting(services_over(desk), Role.REVIEWER) as visit:
        listed, paper = visit.get("/reviews"), visit.get("/reviews/t-0001")
        wrong = visit.post("/reviews/t-0001", {"impact": "80", "ecosystem": "101"})
        right = visit.post("/reviews/t-0001", {"impact": "80", "ecosystem": "70"})
        after = visit.get("/reviews/t-0001")

    assert "t-0001" in listed.text
    assert "lead0의 과제" in paper.text and "org-lead0" not in paper.text
    assert (wrong.status_code, right.status_code) == (422, 303)
    assert 'value="80"' in wrong.text
    assert 'name="impact"' not in after.text
    (given,) = desk.programme.tables.applications["t-0001"].reviews
    assert given.marks == {"impact": 80, "ecosystem": 70}


def test_whoever_steps_back_does_not_see_it_any_more(desk: Desk) -> None:
    with visiting(services_over(desk), Role.REVIEWER) as visit:
        empty = visit.post("/reviews/t-0001/conflict", {"reason": " "})
        done = visit.post("/reviews/t-0001/conflict", {"reason": "my former student"})
        gone = visit.get("/reviews/t-0001")

    assert (empty.status_code, done.status_code, gone.status_code) == (422, 303, 404)
    assert {one for _, one in desk.programme.tables.applications["t-0001"].asked} == {
        "other",
        "third",
    }


def test_others_reviews_look_like_none(desk: Desk) -> None:
    desk.programme.declare_conflict(OPERATOR, "t-0001", REVIEWER, "upheld")

    with visiting(services_over(desk), Role.REVIEWER) as visit:
        assert visit.get("/reviews/t-0001").status_code == 404
        assert "t-0001" not in visit.get("/reviews").text
