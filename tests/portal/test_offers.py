"""Answering an award on the pages: the agreement is read, signed, or the award given up."""

import re

import pytest

from dure.core.calendar import moment_s
from dure.services.access import Role
from tests.portal.visiting import hidden_fields, visiting
from tests.scripts.offer_world import OfferWorld


@pytest.fixture
def world() -> OfferWorld:
    return OfferWorld()


def test_the_applicant_reads_signs_and_has_the_allocation(world: OfferWorld) -> None:
    with visiting(world.services(), Role.APPLICANT) as visit:
        asked = visit.get("/applications/t-0001")
        paper = visit.get("/applications/t-0001/agreement")
        fields = hidden_fields(paper.text)
        nameless = visit.post("/applications/t-0001/accept", {**fields, "name": " "})
        signed = visit.post("/applications/t-0001/accept", {**fields, "name": "서윤아"})
        after = visit.get("/applications/t-0001/agreement")

    assert 'href="/applications/t-0001/agreement"' in asked.text
    assert "2월 8일" in asked.text
    assert "H200 40장을 배정한다" in paper.text and "H200, 40 GPUs" in paper.text
    assert nameless.status_code == 422 and 'role="alert"' in nameless.text
    assert (signed.status_code, signed.headers["location"]) == (303, "/applications/t-0001")
    assert "서윤아" in after.text and "<form" not in after.text[after.text.index("<main") :]
    signature = world.desk.programme.tables.applications["t-0001"].signed
    assert signature is not None and (signature.name, signature.by) == ("서윤아", "seo.yun")
    assert world.desk.statuses(["t-0001"]) == ["allocated"]


def test_what_another_page_showed_is_not_signed(world: OfferWorld) -> None:
    with visiting(world.services(), Role.APPLICANT) as visit:
        waiting = hidden_fields(visit.get("/applications/t-0004/agreement").text)
        answer = visit.post("/applications/t-0001/accept", {**waiting, "name": "서윤아"})

    assert answer.status_code == 422
    assert world.desk.statuses(["t-0001"]) == ["offered"]


def test_giving_up_lets_the_next_in_line_have_it(world: OfferWorld) -> None:
    with visiting(world.services(), Role.APPLICANT) as visit:
        answer = visit.post("/applications/t-0001/decline", {"cause": "다른 지원을 받음"})

    assert answer.status_code == 303
    # 40 came free: 32 for the first in line, 8 for the third; 16 do not fit in between.
    assert world.desk.statuses(world.names) == [
        "declined",
        "offered",
        "offered",
        "waitlisted",
        "offered",
        "rejected",
    ]


def test_it_is_nobody_elses_to_see_or_to_answer(world: OfferWorld) -> None:
    with visiting(world.services(), Role.APPLICANT) as visit:
        seen = visit.get("/applications/t-0002/agreement")
        sent = visit.post("/applications/t-0002/accept", {"name": "x", "digest": "x"})
        rejected = visit.get("/applications/t-0006/agreement")
    with visiting(world.services(), Role.AUDITOR) as visit:
        read = visit.get("/applications/t-0002/agreement")
        audited = visit.post("/applications/t-0002/accept", {"name": "x", "digest": "x"})

    assert (seen.status_code, sent.status_code, rejected.status_code) == (404, 404, 404)
    assert (read.status_code, audited.status_code) == (200, 403)
    assert "<form" not in read.text[read.text.index("<main") :]


def test_what_lapsed_says_so(world: OfferWorld) -> None:
    world.desk.clock.at_s = moment_s("2026-02-08")
    with visiting(world.services(), Role.APPLICANT) as visit:
        late = visit.get("/applications/t-0001/agreement")
        world.move_to("2026-02-08")
        after = visit.get("/applications/t-0001")

    assert not re.search(r'name="digest"', late.text)
    assert "기한 경과" in after.text
