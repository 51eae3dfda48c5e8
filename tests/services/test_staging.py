"""Stages in any number and order: who may, what is refused, what is decided."""

import msgspec
import pytest

from dure.core.calls.model import (
    Condition,
    Field,
    Instant,
    Preference,
    Rule,
    Stage,
    Words,
)
from dure.core.events.calls import ChecklistFilled, StageConcluded
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Refusal
from dure.services.access import Actor, Forbidden, Role
from dure.services.judging_screen import JudgingScreen
from tests.services.programme_desk import (
    CALL,
    CLOSES_S,
    OPENS_S,
    OPERATOR,
    REVIEWERS,
    Desk,
    applicant,
    form,
    reviewer_actor,
)

PROVIDER = Actor("bae", frozenset({Role.PROVIDER}), provider="naver-cloud")
NAME = Words("이름", "name")
DOCUMENTS = Stage("documents", "documents", "operator", "checklist",
                  checklist={"seal": NAME, "consent": NAME})  # fmt: skip
TECHNICAL = Stage("technical", "technical", "provider", "decision", providers=("naver-cloud",))
WRITTEN = Stage("written", "written", "reviewer", "top", top=2, reviewers=2, weight=40)
ORAL = Stage("oral", "oral", "reviewer", "score_line", line_milli=70_000, reviewers=2, weight=60)
PANEL = Stage("panel", "panel", "committee", "majority", reviewers=3)


def desk_of(*stages: Stage, **more: object) -> Desk:
    line_milli = 60_000 if any(one.weight for one in stages) else 0
    call = msgspec.structs.replace(CALL, stages=stages, score_min_milli=line_milli, **more)
    desk = Desk(call)
    desk.publish()
    return desk


def mark_all(desk: Desk, stage: str, points: dict[str, int]) -> None:
    """Have everyone asked in a stage mark an application with the same points."""
    desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS, stage=stage)
    for name, mark in points.items():
        state = desk.programme.tables.applications[name]
        for reviewer in state.asked_in(stage):
            marks = dict.fromkeys(desk.call.rubric, mark)
            answer = desk.programme.review(reviewer_actor(reviewer), name, marks)
            assert not isinstance(answer, Refusal), answer


def committee(desk: Desk) -> list[Actor]:
    """Ask the committee, and return who was asked about the first application."""
    desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS, stage="panel")
    state = next(iter(desk.programme.tables.applications.values()))
    return [reviewer_actor(name) for name in state.asked_in("panel")]


def test_a_call_goes_through_five_stages_to_its_awards() -> None:
    desk = desk_of(DOCUMENTS, TECHNICAL, WRITTEN, ORAL, PANEL)
    programme = desk.programme
    names = [desk.apply(f"lead{place}", 8) for place in range(4)]
    desk.clock.at_s = CLOSES_S

    for name in names:
        programme.tick(OPERATOR, name, "documents", {"seal": True, "consent": True})
    for name in names[:3]:
        programme.conclude(PROVIDER, name, "technical", outcome="passed")
    programme.conclude(PROVIDER, names[3], "technical", outcome="failed", cause="no multi-node run")
    mark_all(desk, "written", {names[0]: 90, names[1]: 80, names[2]: 70})
    programme.close_stage(OPERATOR, "t", "written")
    mark_all(desk, "oral", {names[0]: 75, names[1]: 60})
    programme.close_stage(OPERATOR, "t", "oral")
    for place, voter in enumerate(committee(desk)):
        programme.vote(voter, names[0], "panel", recognises=place < 2)
    decided = programme.decide(OPERATOR, "t")

    assert not isinstance(decided, Refusal)
    outcomes = {one.application: (one.decision, one.reason, one.stage) for one in decided}
    assert outcomes == {
        names[0]: ("selected", "Selected", ""),
        names[1]: ("rejected", "StageFailed", "oral"),
        names[2]: ("rejected", "StageFailed", "written"),
        names[3]: ("rejected", "StageFailed", "technical"),
    }
    assert decided[0].score_milli == (40 * 90_000 + 60 * 75_000) // 100
    assert programme.tables.counts("t")["waiting"] == 0


def test_what_is_not_this_stages_way_is_refused() -> None:
    desk = desk_of(DOCUMENTS, TECHNICAL, WRITTEN)
    programme = desk.programme
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S

    answers = [
        programme.tick(OPERATOR, "t-9999", "documents", {"seal": True}),
        programme.tick(OPERATOR, name, "lunch", {"seal": True}),
        programme.tick(OPERATOR, name, "documents", {"stamp": True}),
        programme.tick(OPERATOR, name, "documents", {}),
        programme.vote(OPERATOR, name, "documents", recognises=True),
        programme.conclude(OPERATOR, name, "documents", outcome="passed"),
        programme.conclude(PROVIDER, name, "technical", outcome="passed"),
        programme.close_stage(OPERATOR, "t", "documents"),
        programme.close_stage(OPERATOR, "t", "written"),
        programme.assign_reviewers(OPERATOR, "t", REVIEWERS, stage="documents"),
        programme.decide(OPERATOR, "t"),
    ]

    assert answers == [
        Refusal.APPLICATION_IS_UNKNOWN,
        Refusal.STAGE_IS_UNKNOWN,
        Refusal.ITEM_IS_UNKNOWN,
        Refusal.ITEM_IS_UNKNOWN,
        Refusal.STAGE_TAKES_OTHER_INPUT,
        Refusal.STAGE_TAKES_OTHER_INPUT,
        Refusal.STAGE_IS_NOT_OPEN,
        Refusal.STAGE_TAKES_OTHER_INPUT,
        Refusal.STAGE_IS_NOT_OPEN,
        Refusal.STAGE_TAKES_OTHER_INPUT,
        Refusal.STAGES_ARE_OPEN,
    ]


def test_each_stage_is_for_its_role() -> None:
    desk = desk_of(DOCUMENTS, TECHNICAL)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S

    with pytest.raises(Forbidden):
        desk.programme.tick(PROVIDER, name, "documents", {"seal": True})
    with pytest.raises(Forbidden):
        desk.programme.conclude(reviewer_actor("r0"), name, "technical", outcome="passed")
    with pytest.raises(Forbidden):
        desk.programme.close_stage(applicant("lead"), "t", "documents")


def test_only_members_of_the_committee_vote() -> None:
    desk = desk_of(PANEL)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    committee(desk)

    with pytest.raises(Forbidden):
        desk.programme.vote(reviewer_actor("stranger"), name, "panel", recognises=True)
    by_office = desk.programme.vote(OPERATOR, name, "panel", recognises=True)

    assert by_office is Refusal.REVIEWER_IS_NOT_ASSIGNED


def test_a_checklist_may_be_mended() -> None:
    desk = desk_of(DOCUMENTS)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S

    desk.programme.tick(
        OPERATOR, name, "documents", {"seal": False, "consent": True}, note="no seal"
    )
    events = desk.programme.tick(OPERATOR, name, "documents", {"seal": True})

    assert not isinstance(events, Refusal)
    assert [type(one) for one in events] == [ChecklistFilled, StageConcluded]
    assert desk.programme.standing(name).is_ready  # type: ignore[union-attr]


def test_a_vote_counts_once_and_nobody_may_be_selected() -> None:
    desk = desk_of(PANEL)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    votes = committee(desk)

    desk.programme.vote(votes[0], name, "panel", recognises=False)
    again = desk.programme.vote(votes[0], name, "panel", recognises=True)
    for voter in votes[1:]:
        desk.programme.vote(voter, name, "panel", recognises=False)
    decided = desk.programme.decide(OPERATOR, "t")

    assert again is Refusal.VOTE_IS_CAST
    assert not isinstance(decided, Refusal)
    assert [(one.decision, one.numbers["votes_for"]) for one in decided] == [("rejected", 0)]


def test_a_stage_that_must_let_somebody_through_says_so() -> None:
    strict = msgspec.structs.replace(ORAL, may_pass_none=False, stage="written")
    desk = desk_of(strict)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    mark_all(desk, "written", {name: 10})

    assert desk.programme.close_stage(OPERATOR, "t", "written") is Refusal.STAGE_PASSES_NOBODY


def test_a_rolling_call_decides_who_is_ready_and_goes_on() -> None:
    desk = desk_of(TECHNICAL, rolling=True)
    programme = desk.programme
    first, second = desk.apply("one", 40), desk.apply("two", 40)

    programme.conclude(PROVIDER, first, "technical", outcome="passed")
    early = programme.decide(OPERATOR, "t")
    nobody = programme.decide(OPERATOR, "t")
    programme.conclude(PROVIDER, second, "technical", outcome="passed")
    later = programme.decide(OPERATOR, "t")

    assert [(one.application, one.decision) for one in early] == [(first, "selected")]  # type: ignore[union-attr]
    assert nobody is Refusal.STAGES_ARE_OPEN
    # 24 of 64 are left: the second waits.
    assert [(one.application, one.decision) for one in later] == [(second, "waitlisted")]  # type: ignore[union-attr]


def test_small_requests_are_approved_as_they_come_while_their_part_lasts() -> None:
    instant = Instant(gpu_hours_below=8 * 12 * 730, capacity_percent=25)
    desk = desk_of(TECHNICAL, instant=instant)

    names = [desk.apply(f"lead{place}", 8, months=11) for place in range(3)]
    names.append(desk.apply("limit", 8, months=12))

    assert desk.statuses(names) == ["offered", "offered", "submitted", "submitted"]
    decided = desk.programme.tables.applications[names[0]].decided
    assert decided is not None
    assert (decided.reason, decided.numbers["gpu_hours"]) == ("SelectedAtOnce", 8 * 11 * 730)
    assert "t" not in desk.programme.tables.decided_at_s
    assert desk.programme.tables.free_gpus("t", "H200") == 48


def test_what_was_given_at_once_is_gone_at_the_decision() -> None:
    instant = Instant(gpu_hours_below=8 * 12 * 730)
    desk = desk_of(TECHNICAL, instant=instant)
    desk.apply("small", 8, months=1)
    large = desk.apply("large", 64)
    desk.clock.at_s = CLOSES_S

    desk.programme.conclude(PROVIDER, large, "technical", outcome="passed")
    decided = desk.programme.decide(OPERATOR, "t")

    assert [(one.application, one.decision) for one in decided] == [(large, "waitlisted")]  # type: ignore[union-attr]
    assert desk.programme.tables.free_gpus("t", "H200") == 56


def test_who_may_apply_is_checked_at_the_draft_and_at_submission() -> None:
    rules = (Rule("applications_at_most", most=1), Rule("region", among=("busan",)))
    desk = desk_of(TECHNICAL, eligibility=rules)
    answers = {**form("lead", 8), "organisation": "가온", "region": "seoul"}

    drafted = desk.programme.check_form("t", answers)
    refused = desk.programme.apply(applicant("lead"), "t", answers)
    taken = desk.programme.apply(applicant("lead"), "t", {**answers, "region": "busan"})
    second = desk.programme.apply(
        applicant("other"), "t", {**answers, "region": "busan", "title_ko": "다른 과제"}
    )

    assert drafted == refused
    assert [(one.refusal, one.numbers["rule"]) for one in drafted] == [
        (Refusal.RULE_ADMITS_OTHERS, 2)
    ]
    assert isinstance(taken, ApplicationSubmitted)
    assert [one.refusal for one in second] == [Refusal.APPLICATIONS_ARE_TOO_MANY]  # type: ignore[union-attr]


def test_preferences_add_points_or_break_ties() -> None:
    region = Condition("region", among=("busan",))
    points = Preference(NAME, region, points_milli=2_000)
    tie = Preference(NAME, region)
    marks = Stage("written", "written", "reviewer", "complete", reviewers=2, weight=1)
    outcomes = []
    for preference in (points, tie):
        desk = desk_of(marks, preferences=(preference,))
        names = []
        for place, where in enumerate(("seoul", "busan")):
            answer = desk.programme.apply(
                applicant(f"lead{place}"), "t", {**form(f"lead{place}", 8), "region": where}
            )
            assert isinstance(answer, ApplicationSubmitted)
            names.append(answer.application)
        desk.clock.at_s = CLOSES_S
        mark_all(desk, "written", dict.fromkeys(names, 80))
        decided = desk.programme.decide(OPERATOR, "t")
        assert not isinstance(decided, Refusal)
        outcomes.append([(one.application == names[1], one.score_milli) for one in decided])

    assert outcomes == [
        [(True, 82_000), (False, 80_000)],
        [(True, 80_000), (False, 80_000)],
    ]


def test_a_call_may_be_changed_until_it_opens_and_not_after() -> None:
    desk = Desk(msgspec.structs.replace(CALL, opens_at_s=OPENS_S + 10))
    desk.publish()
    programme = desk.programme

    again = programme.publish_call(OPERATOR, "t")
    newer = programme.draft_call(OPERATOR, msgspec.structs.replace(desk.call, months_max=6))
    published = programme.publish_call(OPERATOR, "t")
    desk.clock.at_s = OPENS_S + 10
    late = programme.draft_call(OPERATOR, desk.call)

    assert again is Refusal.CALL_IS_PUBLISHED
    assert (newer.version, published.terms.months_max) == (2, 6)  # type: ignore[union-attr]
    assert programme.tables.calls["t"].version == 2
    assert [one.refusal for one in late] == [Refusal.CALL_OPENED_ALREADY]  # type: ignore[union-attr]


def test_a_copy_has_the_rules_of_another_and_its_own_number() -> None:
    desk = Desk(msgspec.structs.replace(CALL, form=(Field("plan", "long", NAME),)))
    desk.publish()
    programme = desk.programme

    copied = programme.copy_call(OPERATOR, "t", "t2")
    twice = programme.copy_call(OPERATOR, "t", "t2")
    nothing = programme.copy_call(OPERATOR, "x", "t3")

    expected = msgspec.structs.replace(desk.call, call="t2", version=1)
    assert (copied.terms, copied.source) == (expected, "t")  # type: ignore[union-attr]
    assert (twice, nothing) == (Refusal.CALL_EXISTS, Refusal.CALL_IS_UNKNOWN)
    assert "t2" not in programme.tables.calls


def test_a_call_that_cannot_be_kept_is_not_drafted() -> None:
    desk = Desk()

    problems = desk.programme.draft_call(OPERATOR, msgspec.structs.replace(CALL, capacity={}))

    assert [one.field for one in problems] == ["capacity", "caps"]  # type: ignore[union-attr]
    assert desk.programme.publish_call(OPERATOR, "t") is Refusal.CALL_IS_UNKNOWN


def test_folding_the_ledger_again_gives_the_same_standing() -> None:
    desk = desk_of(DOCUMENTS, PANEL)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    desk.programme.tick(OPERATOR, name, "documents", {"seal": True, "consent": True})
    desk.programme.vote(committee(desk)[0], name, "panel", recognises=True)

    again = Desk(desk.call, ledger=desk.ledger)
    again.programme.book.catch_up()

    assert again.programme.standing(name) == desk.programme.standing(name)
    assert again.programme.tables.drafts == desk.programme.tables.drafts


def test_a_technical_stage_is_for_the_providers_that_it_names_and_for_no_other() -> None:
    desk = desk_of(TECHNICAL, WRITTEN)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    others = [
        Actor("cho", frozenset({Role.PROVIDER}), provider="kakao"),
        Actor("lost", frozenset({Role.PROVIDER})),
    ]

    for other in others:
        with pytest.raises(Forbidden):
            desk.programme.conclude(other, name, "technical", outcome="passed")

    assert isinstance(
        desk.programme.conclude(PROVIDER, name, "technical", outcome="passed"), StageConcluded
    )


def test_a_stage_that_names_no_provider_is_the_offices_alone() -> None:
    # Calls of earlier versions name none.
    desk = desk_of(msgspec.structs.replace(TECHNICAL, providers=()), WRITTEN)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S

    with pytest.raises(Forbidden):
        desk.programme.conclude(PROVIDER, name, "technical", outcome="passed")

    assert isinstance(
        desk.programme.conclude(OPERATOR, name, "technical", outcome="passed"), StageConcluded
    )


def test_a_providers_people_read_an_application_once_it_has_come_to_them() -> None:
    desk = desk_of(DOCUMENTS, TECHNICAL, WRITTEN)
    name = desk.apply("lead", 8)
    desk.clock.at_s = CLOSES_S
    screen = JudgingScreen(desk.programme)
    other = Actor("cho", frozenset({Role.PROVIDER}), provider="kakao")

    before = screen.answers(name, PROVIDER)
    desk.programme.tick(OPERATOR, name, "documents", {"seal": True, "consent": True})
    after = screen.answers(name, PROVIDER)

    assert before is None and screen.answers(name, other) is None
    assert after is not None and after["gpus"] == 8
