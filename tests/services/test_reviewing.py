"""Reviewers: conflicts found and declared, bids, deadlines, who steps in, peers."""

from collections import Counter

import msgspec
import pytest

from dure.core.calendar import DAY_S
from dure.core.calls.model import Call, PeerReview
from dure.core.conflicts import Reviewer
from dure.core.events.judging import ConflictDeclared, ReviewerReplaced
from dure.core.events.programme import ReviewGiven
from dure.core.programme import Refusal
from dure.services.access import Forbidden
from tests.services.programme_desk import (
    CALL,
    CLOSES_S,
    OPERATOR,
    REVIEWERS,
    Desk,
    applicant,
    reviewer_actor,
)

DUE_S = CLOSES_S + 1000


def asked(*reviewers: Reviewer, applications: int = 3, due_at_s: int = DUE_S) -> Desk:
    """Return a call whose reviewers (of the pool) were asked just after it closed."""
    desk = Desk()
    desk.publish()
    for place in range(applications):
        desk.apply(f"lead{place}", 8)
    for one in reviewers:
        desk.programme.register_reviewer(OPERATOR, one)
    desk.clock.at_s = CLOSES_S
    answer = desk.programme.assign_reviewers(OPERATOR, "t", due_at_s=due_at_s)
    assert not isinstance(answer, Refusal), answer
    return desk


def pool(count: int) -> list[Reviewer]:
    return [Reviewer(f"r{place}", f"home{place}") for place in range(count)]


def panels(desk: Desk) -> dict[str, set[str]]:
    return {
        name: {reviewer for _, reviewer in state.asked}
        for name, state in desk.programme.tables.applications.items()
    }


def test_a_reviewer_is_never_asked_where_a_conflict_is_known() -> None:
    tied = [
        Reviewer("r0", "org-lead0"),
        Reviewer("r1", "x", partners=("org-lead1",)),
        Reviewer("r2", "y", supervised=("lead2",)),
        Reviewer("r3", "z", suppliers=("org-lead0",)),
        Reviewer("lead1", "elsewhere"),
    ]
    desk = asked(*tied, *[Reviewer(f"s{place}", f"s{place}") for place in range(4)])

    found = panels(desk)
    assert found["t-0001"].isdisjoint({"r0", "r3"})
    assert "r1" not in found["t-0002"] and "r2" not in found["t-0003"]
    assert all("lead1" not in panel for panel in found.values())
    assert all(len(panel) == 2 for panel in found.values())


def test_whoever_steps_back_is_replaced_at_once_and_gives_no_marks() -> None:
    desk = asked(*pool(4))
    reviewer = min(panels(desk)["t-0001"])

    events = desk.programme.declare_conflict(
        reviewer_actor(reviewer), "t-0001", reviewer, "we write a paper together"
    )

    assert not isinstance(events, Refusal)
    declared, replaced = events
    assert isinstance(declared, ConflictDeclared) and declared.kind == "Recused"
    assert isinstance(replaced, ReviewerReplaced) and replaced.cause == "conflict"
    assert reviewer not in panels(desk)["t-0001"] and len(panels(desk)["t-0001"]) == 2
    assert replaced.due_at_s == DUE_S
    marks = dict.fromkeys(desk.call.rubric, 70)
    assert desk.programme.review(reviewer_actor(reviewer), "t-0001", marks) is (
        Refusal.REVIEWER_IS_NOT_ASSIGNED
    )


def test_a_challenge_is_the_offices_to_uphold() -> None:
    desk = asked(*pool(4))
    reviewer = min(panels(desk)["t-0001"])

    with pytest.raises(Forbidden):
        desk.programme.declare_conflict(applicant("lead0"), "t-0001", reviewer, "unfair")
    events = desk.programme.declare_conflict(OPERATOR, "t-0001", reviewer, "a lawsuit")

    assert not isinstance(events, Refusal)
    assert desk.programme.tables.conflicts["t-0001"] == {reviewer: "Challenged"}


def test_who_is_late_is_replaced_and_loads_stay_even() -> None:
    desk = asked(*pool(6), applications=6)
    lazy = "r0"
    for name, panel in panels(desk).items():
        for reviewer in panel - {lazy}:
            marks = dict.fromkeys(desk.call.rubric, 70)
            desk.programme.review(reviewer_actor(reviewer), name, marks)
    early = desk.programme.replace_late(OPERATOR, "t")
    desk.clock.at_s = DUE_S

    late = desk.programme.replace_late(OPERATOR, "t", due_at_s=DUE_S + 500)
    again = desk.programme.replace_late(OPERATOR, "t", due_at_s=DUE_S + 500)

    assert (early, again) == ((), ())
    assert not isinstance(late, Refusal)
    assert {one.reviewer for one in late} == {lazy} and len(late) == 2
    loads = Counter(name for panel in panels(desk).values() for name in panel)
    assert lazy not in loads and max(loads.values()) - min(loads.values()) <= 1


def test_bids_close_and_open_pairs() -> None:
    desk = Desk()
    desk.publish()
    name = desk.apply("lead0", 8)
    for one in pool(4):
        desk.programme.register_reviewer(OPERATOR, one)
    answers = [
        desk.programme.bid(reviewer_actor("r0"), name, "conflict"),
        desk.programme.bid(reviewer_actor("r1"), name, "not"),
        desk.programme.bid(reviewer_actor("r2"), name, "gladly"),
        desk.programme.bid(reviewer_actor("nobody"), name, "eager"),
    ]
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, "t")

    assert answers[2:] == [Refusal.BID_IS_UNKNOWN, Refusal.REVIEWER_IS_UNKNOWN]
    assert panels(desk)[name] == {"r2", "r3"}


PEERS = msgspec.structs.replace(CALL, peer_review=PeerReview(2))


def with_stage(**changes: object) -> Call:
    """Return the call with its written stage changed."""
    written, *others = CALL.stages
    return msgspec.structs.replace(
        CALL, stages=(msgspec.structs.replace(written, **changes), *others)
    )


def marked(desk: Desk, name: str, reviewer: str, points: int = 70) -> object:
    marks = dict.fromkeys(desk.call.rubric, points)
    return desk.programme.review(reviewer_actor(reviewer), name, marks)


def test_marks_after_the_deadline_are_flagged_or_refused_as_the_call_says() -> None:
    answers = []
    for late in ("flagged", "refused"):
        desk = Desk(with_stage(due_days=14, late=late))
        desk.publish()
        name = desk.apply("lead0", 8)
        desk.clock.at_s = CLOSES_S
        desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS)
        first, second = sorted(panels(desk)[name])
        desk.clock.at_s = CLOSES_S + 14 * DAY_S - 1
        in_time = marked(desk, name, first)
        desk.clock.at_s += 1
        too_late = marked(desk, name, second)
        answers.append((in_time, too_late))

    (flagged_in_time, flagged), (refused_in_time, refused) = answers
    assert isinstance(flagged_in_time, ReviewGiven) and not flagged_in_time.is_late
    assert isinstance(flagged, ReviewGiven) and flagged.is_late
    assert isinstance(refused_in_time, ReviewGiven) and refused is Refusal.REVIEW_IS_LATE


def test_a_stage_gives_its_days_to_whoever_is_asked_and_whoever_steps_in() -> None:
    desk = Desk(with_stage(due_days=14))
    desk.publish()
    name = desk.apply("lead0", 8)
    for one in pool(4):
        desk.programme.register_reviewer(OPERATOR, one)
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, "t")
    first = dict(desk.programme.tables.applications[name].due_at_s)
    desk.clock.at_s = CLOSES_S + 15 * DAY_S
    desk.programme.replace_late(OPERATOR, "t")
    second = desk.programme.tables.applications[name].due_at_s

    assert set(first.values()) == {CLOSES_S + 14 * DAY_S}
    assert set(second.values()) == {CLOSES_S + 29 * DAY_S}
    assert not set(first) & set(second)


def test_whose_reviews_of_others_were_late_loses_the_own_application_if_the_call_says_so() -> None:
    outcomes = []
    for is_refused in (True, False):
        desk = Desk(msgspec.structs.replace(PEERS, peer_review=PeerReview(2, is_refused)))
        desk.publish()
        names = [desk.apply(f"lead{place}", 8) for place in range(4)]
        desk.clock.at_s = CLOSES_S
        desk.programme.assign_reviewers(OPERATOR, "t", due_at_s=DUE_S)
        asked_of = {who for name in names for who in panels(desk)[name]}
        for name in names:
            for who in sorted(panels(desk)[name]):
                desk.clock.at_s = DUE_S + 1 if who == "lead1" else DUE_S - 1
                marked(desk, name, who)
        desk.clock.at_s = DUE_S + 2
        desk.programme.decide(OPERATOR, "t")
        outcomes.append(desk.statuses(names))
        assert asked_of == {f"lead{place}" for place in range(4)}
        decided = desk.programme.tables.applications[names[1]].decided
        assert decided is not None
        assert (decided.reason == "PeerReviewLate") is is_refused

    assert outcomes == [["offered", "rejected", "offered", "offered"], ["offered"] * 4]


def test_peers_review_one_another_but_never_themselves_or_their_house() -> None:
    desk = Desk(PEERS)
    desk.publish()
    names = [desk.apply(f"lead{place}", 8) for place in range(5)]
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, "t", due_at_s=DUE_S)

    for place, name in enumerate(names):
        assert f"lead{place}" not in panels(desk)[name]
    reviewer = min(panels(desk)[names[0]])
    marks = dict.fromkeys(desk.call.rubric, 70)
    given = desk.programme.review(applicant(reviewer), names[0], marks)
    assert not isinstance(given, Refusal)


def test_what_a_reviewer_cannot_say_is_refused() -> None:
    desk = asked(*pool(4))
    programme = desk.programme
    reviewer = min(panels(desk)["t-0001"])
    programme.review(reviewer_actor(reviewer), "t-0001", dict.fromkeys(desk.call.rubric, 70))

    answers = [
        programme.register_reviewer(OPERATOR, Reviewer("new", " ")),
        programme.declare_conflict(OPERATOR, "t-0001", "r1", " "),
        programme.declare_conflict(OPERATOR, "t-9999", "r1", "x"),
        programme.declare_conflict(reviewer_actor("stranger"), "t-0001", "stranger", "x"),
        programme.declare_conflict(reviewer_actor(reviewer), "t-0001", reviewer, "x"),
    ]

    assert answers == [
        Refusal.PROFILE_IS_INCOMPLETE,
        Refusal.CONFLICT_NEEDS_REASON,
        Refusal.APPLICATION_IS_UNKNOWN,
        Refusal.REVIEWER_IS_UNKNOWN,
        Refusal.REVIEW_IS_GIVEN,
    ]
