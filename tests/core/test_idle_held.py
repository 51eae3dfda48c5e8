"""GPUs held idle by a running job: who is told, what ends it, when they are taken."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import PolicyError
from dure.core.events import Event
from dure.core.events.idle import (
    IdleAnswered,
    IdleNoticed,
    IdleRuleSet,
    IdleStopped,
    IdleTaken,
    IdleWithdrawn,
)
from dure.core.idle_held import (
    OVER,
    AnswerRefusal,
    Case,
    IdleCases,
    IdlePolicy,
    RunningJob,
    UnitUse,
    answer_case,
    plan_idle,
)

START_S = 1_790_000_100
RULE = IdlePolicy()


class Desk:
    """One job of two GPUs, its measurements and the rule."""

    def __init__(self) -> None:
        self.cases = IdleCases()
        self.running = {"j": RunningJob("j", "p", "kim", 2, START_S)}
        self.uses: dict[str, Sequence[UnitUse]] = {}
        self.now_s = START_S

    def measure(self, *busy_milli: int, measured_s: int = 3_600) -> None:
        self.uses = {
            "j": [
                UnitUse("n1", device, busy, 240, measured_s)
                for device, busy in enumerate(busy_milli)
            ]
        }

    def after(self, seconds: int) -> list[Event]:
        self.now_s += seconds
        events = plan_idle(
            self.cases, self.running, self.uses, window_to_s=self.now_s - 60, now_s=self.now_s
        )
        for event in events:
            self.cases.fold(event)
        return events

    def case(self) -> Case:
        case = self.cases.newest("j")
        assert case is not None
        return case

    def answer(self, answer: str, text: str = "") -> IdleAnswered | AnswerRefusal:
        taken = answer_case(
            self.cases,
            self.case(),
            answer=answer,
            text=text,
            by="kim",
            now_s=self.now_s,  # type: ignore[arg-type]
        )
        if isinstance(taken, IdleAnswered):
            self.cases.fold(taken)
        return taken


def noticed_desk() -> Desk:
    desk = Desk()
    desk.measure(980, 3)
    desk.after(RULE.grace_s + RULE.window_s + 60)
    return desk


def test_one_idle_gpu_of_a_gang_is_enough_and_the_notice_is_the_evidence() -> None:
    desk = Desk()
    desk.measure(980, 3)

    assert desk.after(RULE.grace_s + RULE.window_s + 59) == [], "grace at the start"
    events = desk.after(1)

    assert events == [
        IdleNoticed(
            at_s=desk.now_s, by="rule:idle-held", case="i-1", job="j", project="p", user="kim",
            gpus=1, gpus_held=2, node="n1", device=1, busy_milli_max=3, threshold_milli=50,
            samples=240, from_s=desk.now_s - 60 - 3_600, to_s=desk.now_s - 60,
            due_at_s=desk.now_s + RULE.notice_s,
        )
    ]  # fmt: skip
    assert desk.after(300) == [], "told once"


@pytest.mark.parametrize(
    ("busy", "measured_s"), [((50, 980), 3_600), ((1_000, 1_000), 3_600), ((0, 0), 3_200)]
)
def test_work_in_the_window_or_a_gap_in_the_measuring_is_no_idleness(
    busy: tuple[int, ...], measured_s: int
) -> None:
    desk = Desk()
    desk.measure(*busy, measured_s=measured_s)

    assert desk.after(10_000) == []


def test_unanswered_the_job_is_told_to_save_then_stopped() -> None:
    desk = noticed_desk()

    assert desk.after(RULE.notice_s - 1) == []
    taken = desk.after(1)
    assert taken == [
        IdleTaken(at_s=desk.now_s, by="rule:idle-held", case="i-1", job="j",
                  stop_by_s=desk.now_s + RULE.save_s)
    ]  # fmt: skip
    assert desk.after(RULE.save_s - 1) == []
    assert [type(one) for one in desk.after(1)] == [IdleStopped]
    # Until it has left it still stands there, and is told nothing more.
    assert desk.after(5) == []
    desk.running = {}
    assert desk.after(300) == []
    desk.running = {"j": RunningJob("j", "p", "kim", 2, desk.now_s)}
    assert desk.after(RULE.window_s + 60) == []


def test_a_job_that_works_again_keeps_its_gpus() -> None:
    desk = noticed_desk()
    desk.measure(980, 700)

    events = desk.after(300)

    assert [(type(one), getattr(one, "cause", "")) for one in events] == [(IdleWithdrawn, "busy")]
    assert desk.after(RULE.notice_s) == []


def test_without_measurements_nothing_is_taken() -> None:
    desk = noticed_desk()
    desk.uses = {}

    assert desk.after(10 * RULE.notice_s) == []


def test_a_reason_holds_for_a_week_and_then_one_is_told_again_before_anything_is_taken() -> None:
    desk = noticed_desk()

    assert desk.answer("justified", " ") is AnswerRefusal.NO_REASON
    assert isinstance(desk.answer("justified", "loads 40 TB of video"), IdleAnswered)
    desk.measure(980, 700)
    assert desk.after(300) == [], "what was explained stays explained"
    desk.measure(980, 3)
    assert desk.after(RULE.justify_s - 301) == []

    events = desk.after(1)

    assert [type(one) for one in events] == [IdleWithdrawn, IdleNoticed]
    assert (desk.case().case, desk.case().noticed.due_at_s) == ("i-2", desk.now_s + RULE.notice_s)


def test_time_may_be_asked_for_twice() -> None:
    desk = noticed_desk()
    for _ in range(RULE.extends_max):
        assert isinstance(desk.answer("extended"), IdleAnswered)
        desk.after(RULE.extend_s)

    assert desk.answer("extended") is AnswerRefusal.NO_TIME_LEFT


def test_who_lets_go_is_stopped_at_once_and_is_answered_no_more() -> None:
    desk = noticed_desk()
    desk.answer("released")
    desk.measure(980, 980)

    assert [type(one) for one in desk.after(1)] == [IdleTaken]
    assert desk.answer("extended") is AnswerRefusal.NO_OPEN_CASE


def test_a_job_that_ends_or_begins_anew_closes_its_case() -> None:
    for running in ({}, {"j": RunningJob("j", "p", "kim", 2, START_S + 20_000)}):
        desk = noticed_desk()
        desk.running = running

        assert [getattr(one, "cause", "") for one in desk.after(1)] == ["ended"]


def test_a_job_that_saved_and_left_in_time_is_not_stopped_again_later() -> None:
    desk = noticed_desk()
    desk.after(RULE.notice_s)
    desk.running = {}

    assert [type(one) for one in desk.after(10)] == [IdleStopped]
    assert desk.case().state == OVER


def test_a_project_has_its_own_rule_and_may_be_left_alone() -> None:
    desk = Desk()
    off = IdleRuleSet(
        at_s=0, by="noh", project="p", threshold_milli=0, window_s=300, grace_s=0, notice_s=0
    )
    desk.cases.fold(off)
    desk.measure(0, 0)

    assert desk.after(20_000) == []
    assert desk.cases.policy("q") == RULE


@pytest.mark.parametrize("wrong", [{"threshold_milli": 1_001}, {"window_s": 0}, {"window_s": 301}])
def test_a_rule_that_means_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(PolicyError):
        IdlePolicy(**wrong)


moves = st.lists(
    st.tuples(
        st.integers(1, 4_000),
        st.sampled_from([None, 0, 49, 50, 900]),
        st.sampled_from(["", "justified", "extended", "released", "restart", "gone"]),
    ),
    max_size=30,
)


@given(moves)
def test_nothing_is_ever_taken_without_notice_and_time(
    found: list[tuple[int, int | None, str]],
) -> None:
    desk, events = Desk(), []
    for seconds, busy, what in found:
        desk.uses = {}
        if busy is not None:
            desk.measure(busy, 900)
        if what == "restart":
            desk.running = {"j": RunningJob("j", "p", "kim", 2, desk.now_s)}
        elif what == "gone":
            desk.running = {}
        elif what and desk.cases.newest("j"):
            desk.answer(what, "because")
        events += desk.after(seconds)

    notices = {one.case: one for one in events if isinstance(one, IdleNoticed)}
    for one in events:
        if isinstance(one, IdleTaken):
            case = desk.cases.cases[one.case]
            assert case.answer == "released" or one.at_s >= notices[one.case].due_at_s
        if isinstance(one, IdleStopped):
            assert desk.cases.cases[one.case].stop_by_s >= notices[one.case].at_s
    again = IdleCases()
    assert all(notice.busy_milli_max < notice.threshold_milli for notice in notices.values())
    assert again.cases == {} and len(desk.cases.cases) == len(notices)
