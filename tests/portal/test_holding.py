"""The project's page and the API: GPUs are given back, a notice of recall is answered."""

import pytest

from dure.services.access import Role
from tests.api.calling import calling
from tests.portal.visiting import visiting
from tests.scripts.offer_world import OfferWorld

PROJECT, RECALL = "p-t-0001", "r-p-t-0001-2026-04"


@pytest.fixture
def world() -> OfferWorld:
    """Return a world in which the applicant's award of 40 GPUs is accepted, and in use."""
    made = OfferWorld()
    made.desk.accept("t-0001")
    made.move_to("2026-03-05")
    return made


def test_whoever_leads_a_project_opens_its_page_and_gives_gpus_back(world: OfferWorld) -> None:
    with visiting(world.services(), Role.APPLICANT) as visit:
        shown = visit.get(f"/projects/{PROJECT}")
        form = {"allocation": "a-t-0001", "cause": "fewer are enough"}
        wrong = visit.post(f"/projects/{PROJECT}/return", {**form, "gpus": "12"})
        words = visit.post(f"/projects/{PROJECT}/return", {**form, "gpus": "all"})
        right = visit.post(f"/projects/{PROJECT}/return", {**form, "gpus": "16"})
        foreign = visit.post(f"/projects/{PROJECT}/return", {"allocation": "a-t-0002", "gpus": "8"})

    assert "a-t-0001" in shown.text and f"/projects/{PROJECT}/return" in shown.text
    assert wrong.status_code == words.status_code == 422 and 'role="alert"' in wrong.text
    assert (right.status_code, foreign.status_code) == (303, 404)
    assert world.desk.programme.tables.allocations["a-t-0001"].gpus == 24
    # What came free went on at once: 16 to the third in line's waiting 16.
    assert world.desk.statuses(["t-0004"]) == ["offered"]


def test_a_notice_of_recall_is_answered_on_the_page(world: OfferWorld) -> None:
    world.leave_idle()
    with visiting(world.services(), Role.APPLICANT) as visit:
        shown = visit.get(f"/projects/{PROJECT}")
        path, form = f"/projects/{PROJECT}/recall", {"recall": RECALL, "text": "늦어짐"}
        unknown = visit.post(path, {**form, "answer": "perhaps"})
        foreign = visit.post(path, {"recall": "r-p-t-0002-2026-04", "answer": "accepted"})
        done = visit.post(path, {**form, "answer": "objected"})
        after = visit.get(f"/projects/{PROJECT}")

    assert f'value="{RECALL}"' in shown.text
    assert (unknown.status_code, foreign.status_code, done.status_code) == (404, 404, 303)
    assert world.desk.programme.tables.recalls[RECALL].answer == "objected"
    assert f'value="{RECALL}"' not in after.text


def test_a_program_does_the_same(world: OfferWorld) -> None:
    world.leave_idle()
    with calling(world.services(), Role.APPLICANT) as caller:
        rows = caller.get("/recalls").json()
        wrong = caller.post("/allocations/a-t-0001/returns", {"gpus": 999})
        back = caller.post("/allocations/a-t-0001/returns", {"gpus": 8, "cause": "x"})
        foreign = caller.post("/allocations/a-t-0002/returns", {"gpus": 8})
        done = caller.post(f"/recalls/{RECALL}/answer", {"answer": "accepted"})
        bad = caller.post(f"/recalls/{RECALL}/answer", {"answer": "maybe"})
    with calling(world.services(), Role.AUDITOR) as caller:
        everyone = caller.get("/recalls").json()
        audited = caller.post(f"/recalls/{RECALL}/answer", {"answer": "accepted"})

    assert [(row["recall"], row["status"]) for row in rows] == [(RECALL, "noticed")]
    assert wrong.json()["errors"][0]["code"] == "ReturnIsTooLarge"
    assert back.json() == {"allocation": "a-t-0001", "gpus": 8, "gpus_left": 32}
    assert foreign.json()["errors"][0]["code"] == "AllocationIsUnknown"
    assert (done.json()["status"], bad.status_code) == ("accepted", 400)
    assert len(everyone) == 1 and audited.status_code == 403


def test_a_project_is_its_leads_only_once_it_holds_something() -> None:
    world = OfferWorld()
    with visiting(world.services(), Role.APPLICANT) as visit:
        before = visit.get(f"/projects/{PROJECT}")
        world.desk.accept("t-0001")
        after = visit.get(f"/projects/{PROJECT}")
        foreign = visit.get("/projects/p-t-0002")

    assert [one.status_code for one in (before, after, foreign)] == [404, 200, 404]
