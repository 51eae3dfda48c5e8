"""From the call to the award: who may, what is refused, what is decided."""

import pytest

from dure.core.calendar import months_later_s
from dure.core.events.programme import AllocationGranted, ApplicationSubmitted
from dure.core.programme import Problem, Refusal
from dure.services.access import Actor, Forbidden, Role
from tests.services.programme_desk import (
    CALL,
    CLOSES_S,
    OPENS_S,
    OPERATOR,
    REVIEWERS,
    STARTS_S,
    Desk,
    applicant,
    form,
    reviewer_actor,
)


def test_an_application_becomes_an_allocation() -> None:
    desk = Desk()

    names = desk.award((90, 40), (80, 24), (70, 8), (50, 8))
    desk.grant()

    assert desk.statuses(names) == ["allocated", "allocated", "waitlisted", "rejected"]
    assert desk.programme.tables.free_gpus("t", "H200") == 0
    assert desk.programme.allocation_rows()[0] == {
        "allocation": f"a-{names[0]}",
        "project": f"p-{names[0]}",
        "accelerator": "H200",
        "gpus": 40,
        "from_s": STARTS_S,
        "to_s": months_later_s(STARTS_S, 12),
        "shape": "",
        "lendable": True,
    }
    (waiting,) = desk.programme.waitlist_rows()
    assert (waiting["application"], waiting["position"], waiting["gpus"]) == (names[2], 1, 8)


def test_applications_in_are_decided_waiting_or_withdrawn() -> None:
    desk = Desk()
    desk.publish()
    names = [desk.apply(f"lead{place}", 8) for place in range(3)]

    desk.programme.withdraw(applicant("lead1"), names[1])

    assert desk.programme.tables.counts("t") == {
        "submitted": 3,
        "withdrawn": 1,
        "decided": 0,
        "waiting": 2,
    }


def test_early_late_and_double_applications_are_refused() -> None:
    desk = Desk()
    desk.publish()
    edges = {"opens_at_s": OPENS_S, "closes_at_s": CLOSES_S}
    first = desk.apply("lead", 8)

    again = desk.programme.apply(applicant("lead"), "t", form("lead", 8))
    desk.clock.at_s = CLOSES_S
    late = desk.programme.apply(applicant("other"), "t", form("other", 8))
    unknown = desk.programme.apply(applicant("other"), "x", form("other", 8))

    assert again == (Problem("", Refusal.PROJECT_HAS_APPLIED, {"application": first}),)
    assert late == (Problem("", Refusal.CALL_IS_CLOSED, edges),)
    assert unknown == (Problem("", Refusal.CALL_IS_UNKNOWN),)


def test_whoever_withdrew_may_apply_again() -> None:
    desk = Desk()
    desk.publish()
    first = desk.apply("lead", 8)

    desk.programme.withdraw(applicant("lead"), first)
    second = desk.programme.apply(applicant("lead"), "t", form("lead", 16))

    assert isinstance(second, ApplicationSubmitted)
    assert second.application == "t-0002"


def test_nobody_acts_for_another_project() -> None:
    desk = Desk()
    names = desk.award((90, 40))

    with pytest.raises(Forbidden):
        desk.programme.accept(applicant("stranger"), names[0], name="x", digest="")
    with pytest.raises(Forbidden):
        desk.programme.apply(applicant("lead"), "t", {**form("lead", 8), "project": "p-t-0001"})
    with pytest.raises(Forbidden):
        desk.programme.decide(applicant("lead0"), "t")
    with pytest.raises(Forbidden):
        desk.programme.publish_call(Actor("a", frozenset({Role.AUDITOR})), CALL.call)


def test_only_an_assigned_reviewer_marks_and_only_once() -> None:
    desk = Desk()
    desk.publish()
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS)
    assigned = desk.programme.tables.applications[name].asked[0][1]
    marks = {"impact": 70, "ecosystem": 70}

    answers = [
        desk.programme.review(reviewer_actor("nobody"), name, marks),
        desk.programme.review(reviewer_actor(assigned), name, {**marks, "impact": 101}),
        desk.programme.review(reviewer_actor(assigned), name, {"impact": 70}),
        desk.programme.decide(OPERATOR, "t"),
    ]
    desk.programme.review(reviewer_actor(assigned), name, marks)
    answers.append(desk.programme.review(reviewer_actor(assigned), name, marks))

    assert answers == [
        Refusal.REVIEWER_IS_NOT_ASSIGNED,
        Refusal.MARK_IS_OUT_OF_RANGE,
        Refusal.CRITERIA_DIFFER,
        Refusal.REVIEWS_ARE_MISSING,
        Refusal.REVIEW_IS_GIVEN,
    ]


def test_a_call_is_decided_once_and_only_after_it_closed() -> None:
    open_ = Desk()
    open_.publish()
    decided = Desk()
    decided.award((90, 40))

    assert open_.programme.decide(OPERATOR, "t") is Refusal.CALL_IS_STILL_OPEN
    assert decided.programme.decide(OPERATOR, "t") is Refusal.CALL_IS_DECIDED


def test_a_declined_award_goes_to_the_next_in_line() -> None:
    desk = Desk()
    names = desk.award((90, 40), (80, 24), (75, 32), (70, 16))

    desk.programme.decline(applicant("lead1"), names[1])
    desk.grant()

    assert desk.statuses(names) == ["allocated", "declined", "waitlisted", "allocated"]
    (handed,) = desk.programme.tables.handovers
    # 24 were free: too few for the 32 of the first in line, enough for the 16 of the second.
    assert (handed.from_allocations, handed.position, handed.skipped) == (
        (names[1],),
        2,
        (names[2],),
    )
    assert desk.programme.tables.free_gpus("t", "H200") == 8


def test_folding_the_ledger_again_gives_the_same_tables() -> None:
    desk = Desk()
    desk.award((90, 40), (80, 24), (70, 8))
    desk.grant()

    again = Desk(ledger=desk.ledger)
    again.programme.book.catch_up()

    assert again.programme.application_rows() == desk.programme.application_rows()
    assert again.programme.allocation_rows() == desk.programme.allocation_rows()


def test_a_term_that_is_over_ends_the_allocation() -> None:
    desk = Desk()
    desk.award((90, 40))
    desk.grant()
    granted = desk.programme.tables.allocations["a-t-0001"].granted
    assert isinstance(granted, AllocationGranted)

    desk.clock.at_s = granted.to_s
    (ended,) = desk.programme.end_terms(OPERATOR)

    assert (ended.gpus_before, ended.cause) == (40, "term")
    assert desk.programme.end_terms(OPERATOR) == ()
    assert desk.programme.tables.free_gpus("t", "H200") == 64
