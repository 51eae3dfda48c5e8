"""Requests about awards and decisions: each kind, its refusals, and that nothing is given twice."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.calendar import DAY_S, months_later_s
from dure.core.calls.model import Hold, Stage
from dure.core.events.applying import RequestFiled, RequestKind
from dure.core.events.programme import AllocationGranted
from dure.core.programme import Refusal
from dure.reports.messages import text
from dure.services.access import Forbidden
from dure.services.paper_screen import PaperScreen
from dure.services.refusing import Refused
from tests.portal.filled_desks import KeptFiles
from tests.services.programme_desk import CALL, OPERATOR, STARTS_S, Desk, applicant

LEAD = applicant("lead0")


def held(gpus: int = 16, *others: tuple[int, int]) -> tuple[Desk, list[str]]:
    desk = Desk()
    names = desk.award((90, gpus), *others)
    desk.grant()
    return desk, names


def filed(answer: object) -> str:
    assert isinstance(answer, RequestFiled), answer
    return answer.request


def entitled(desk: Desk, at_s: int) -> int:
    """Count the GPUs that all allocations hold together at a moment."""
    return sum(
        gpus
        for state in desk.programme.tables.allocations.values()
        for from_s, to_s, gpus in state.spans()
        if from_s <= at_s < to_s
    )


def test_what_is_refused_is_said_with_its_numbers() -> None:
    desk, (name,) = held(16)
    screen = PaperScreen(desk.programme, KeptFiles())

    def said(answer: object) -> str:
        assert isinstance(answer, Refused), answer
        (problem,) = answer.problems
        return text("en", f"problem.{problem.code}", **problem.numbers)

    def asked(kind: RequestKind, gpus: int = 0, months: int = 0, cause: str = "x") -> object:
        return screen.file_request(name, kind, gpus=gpus, months=months, to_project="", cause=cause,
                                   by=LEAD)  # fmt: skip

    assert "12 GPUs" in said(asked("supplement", gpus=12))
    assert "99 were given" in said(asked("extension", months=99))
    assert "4,000" in said(asked("extension", months=3, cause="x" * 5000))
    large = filed(desk.programme.file_request(LEAD, name, "supplement", gpus=56, cause="more"))
    assert "72 GPUs" in said(screen.decide_request(large, grants=True, cause="", by=OPERATOR))
    assert said(screen.decide_request("q-99999", grants=True, cause="", by=OPERATOR))


def test_an_extension_goes_on_where_the_allocation_ends() -> None:
    desk, (name,) = held(16)
    first = desk.programme.tables.allocations[f"a-{name}"].granted

    request = filed(desk.programme.file_request(LEAD, name, "extension", months=3, cause="faults"))
    events = desk.programme.decide_request(OPERATOR, request, grants=True)
    desk.clock.at_s = first.to_s
    desk.programme.end_terms(OPERATOR)

    assert not isinstance(events, Refusal)
    more = events[-1]
    assert isinstance(more, AllocationGranted)
    assert (more.from_s, more.to_s, more.gpus, more.cause) == (
        first.to_s,
        months_later_s(first.to_s, 3),
        16,
        "extension",
    )
    assert desk.programme.tables.free_gpus("t", "H200") == 48
    desk.clock.at_s = more.to_s
    desk.programme.end_terms(OPERATOR)
    assert desk.programme.tables.free_gpus("t", "H200") == 64


def test_a_supplement_takes_only_what_is_free() -> None:
    desk, (name,) = held(16)

    large = filed(desk.programme.file_request(LEAD, name, "supplement", gpus=56, cause="more"))
    refused = desk.programme.decide_request(OPERATOR, large, grants=True)
    desk.programme.decide_request(OPERATOR, large, grants=False, cause="too large")
    right = filed(desk.programme.file_request(LEAD, name, "supplement", gpus=48, cause="more"))
    desk.programme.decide_request(OPERATOR, right, grants=True)

    assert refused is Refusal.SIZE_IS_OVER_CAP
    assert desk.programme.tables.free_gpus("t", "H200") == 0
    assert entitled(desk, STARTS_S) == 64


def test_an_advance_starts_before_the_call_does() -> None:
    desk = Desk()
    (name,) = desk.award((90, 16))
    desk.clock.at_s = STARTS_S - 10 * DAY_S
    desk.accept(name)

    request = filed(desk.programme.file_request(LEAD, name, "advance", cause="ready"))
    desk.programme.decide_request(OPERATOR, request, grants=True)
    desk.clock.at_s = STARTS_S
    desk.programme.end_terms(OPERATOR)
    late = desk.programme.file_request(LEAD, name, "advance", cause="ready")

    assert entitled(desk, STARTS_S - 5 * DAY_S) == entitled(desk, STARTS_S) == 16
    assert desk.programme.tables.free_gpus("t", "H200") == 48
    assert late is Refusal.ALLOCATION_HAS_BEGUN


def test_a_transfer_moves_the_rest_to_another_project() -> None:
    desk, names = held(16, (80, 8))
    to_project = f"p-{names[1]}"

    request = filed(
        desk.programme.file_request(
            LEAD, names[0], "transfer", to_project=to_project, cause="the team moved"
        )
    )
    desk.programme.decide_request(OPERATOR, request, grants=True)

    assert desk.programme.tables.allocations[f"a-{names[0]}"].gpus == 0
    moved = [
        desk.programme.tables.allocations[one].gpus
        for one in desk.programme.tables.of_project[to_project]
    ]
    assert moved == [8, 16]
    assert desk.programme.tables.free_gpus("t", "H200") == 40
    assert entitled(desk, STARTS_S + DAY_S) == 24


def test_an_appeal_that_is_upheld_is_first_in_line() -> None:
    desk, names = held(64, (80, 8), (50, 16))
    assert desk.statuses(names) == ["allocated", "waitlisted", "rejected"]

    request = filed(
        desk.programme.file_request(applicant("lead2"), names[2], "appeal", cause="a page was lost")
    )
    desk.programme.decide_request(OPERATOR, request, grants=True)
    desk.programme.return_part(LEAD, f"a-{names[0]}", gpus=16)

    # It had not signed ahead, so it is offered what came free.
    assert desk.statuses(names) == ["allocated", "waitlisted", "offered"]
    assert desk.programme.tables.counts("t")["decided"] == 3


def test_what_cannot_be_asked_is_refused() -> None:
    desk, names = held(16, (50, 8))
    name = names[0]
    programme = desk.programme
    open_ = filed(programme.file_request(LEAD, name, "extension", months=3, cause="x"))

    answers = [
        programme.file_request(LEAD, "t-9999", "extension", months=3, cause="x"),
        programme.file_request(LEAD, name, "extension", months=3, cause="x"),
        programme.file_request(LEAD, name, "renewal", months=13, cause="x"),
        programme.file_request(LEAD, name, "supplement", gpus=12, cause="x"),
        programme.file_request(LEAD, name, "transfer", to_project="nobody", cause="x"),
        programme.file_request(LEAD, name, "renewal", months=3, cause="  "),
        programme.file_request(LEAD, name, "appeal", cause="x"),
        programme.file_request(applicant("lead1"), names[1], "extension", months=3, cause="x"),
        programme.decide_request(OPERATOR, "q-9", grants=True),
    ]
    programme.decide_request(OPERATOR, open_, grants=False)
    answers.append(programme.decide_request(OPERATOR, open_, grants=True))

    assert answers == [
        Refusal.APPLICATION_IS_UNKNOWN,
        Refusal.REQUEST_IS_OPEN,
        Refusal.TERM_IS_OVER_CAP,
        Refusal.SIZE_IS_NOT_WHOLE_NODES,
        Refusal.PROJECT_IS_UNKNOWN,
        Refusal.REQUEST_NEEDS_A_CAUSE,
        Refusal.NOTHING_TO_APPEAL,
        Refusal.ALLOCATION_IS_UNKNOWN,
        Refusal.REQUEST_IS_UNKNOWN,
        Refusal.REQUEST_IS_DECIDED,
    ]
    with pytest.raises(Forbidden):
        programme.file_request(applicant("stranger"), name, "renewal", months=3, cause="x")
    with pytest.raises(Forbidden):
        programme.decide_request(LEAD, open_, grants=True)


def gated(hold: Hold) -> tuple[Desk, str]:
    interim = Stage("interim", "interim", "operator", "decision", hold=hold)
    desk = Desk(msgspec.structs.replace(CALL, stages=(*CALL.stages, interim)))
    (name,) = desk.award((90, 16))
    desk.grant()
    return desk, name


def test_an_interim_stage_gates_the_next_period() -> None:
    desk, name = gated(Hold(after_months=5))
    first = desk.programme.tables.allocations[f"a-{name}"].granted

    early = desk.programme.release(OPERATOR)
    desk.programme.conclude(OPERATOR, name, "interim", outcome="passed")
    (rest,) = desk.programme.release(OPERATOR)
    again = desk.programme.release(OPERATOR)
    desk.clock.at_s = first.to_s
    desk.programme.end_terms(OPERATOR)

    assert first.to_s == months_later_s(STARTS_S, 5)
    assert (early, again) == ((), ())
    assert (rest.from_s, rest.to_s) == (first.to_s, months_later_s(STARTS_S, 12))
    assert desk.programme.tables.free_gpus("t", "H200") == 48


def test_who_fails_the_interim_stage_ends_with_the_first_period() -> None:
    desk, name = gated(Hold(after_months=5))

    desk.programme.conclude(OPERATOR, name, "interim", outcome="failed", cause="no model")
    released = desk.programme.release(OPERATOR)
    desk.clock.at_s = months_later_s(STARTS_S, 5)
    desk.programme.end_terms(OPERATOR)

    assert released == ()
    assert desk.programme.tables.free_gpus("t", "H200") == 64


def test_half_now_and_half_after_the_report() -> None:
    desk, name = gated(Hold(gpus_percent=50))

    before = entitled(desk, STARTS_S)
    desk.programme.conclude(OPERATOR, name, "interim", outcome="passed")
    desk.clock.at_s = STARTS_S + DAY_S
    desk.programme.release(OPERATOR)

    assert (before, entitled(desk, STARTS_S + DAY_S)) == (8, 16)
    assert desk.programme.tables.free_gpus("t", "H200") == 48


wishes = st.lists(
    st.tuples(
        st.sampled_from(["extension", "renewal", "supplement", "transfer", "return", "end"]),
        st.sampled_from([8, 16, 24]),
        st.integers(1, 6),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(wishes)
def test_whatever_is_granted_no_more_is_held_than_the_call_has(
    wished: list[tuple[str, int, int]],
) -> None:
    desk, names = held(32, (80, 24))
    programme = desk.programme
    for kind, gpus, months in wished:
        desk.clock.at_s += 20 * DAY_S
        allocation = programme.tables.applications[names[0]].allocation
        if kind == "return":
            programme.return_part(LEAD, allocation, gpus=gpus)
        elif kind == "end":
            programme.end_terms(OPERATOR)
        else:
            answer = programme.file_request(
                LEAD, names[0], kind, gpus=gpus, months=months,  # type: ignore[arg-type]
                to_project=f"p-{names[1]}", cause="x",
            )  # fmt: skip
            if isinstance(answer, RequestFiled):
                programme.decide_request(OPERATOR, answer.request, grants=True)

    moments = {
        moment
        for state in programme.tables.allocations.values()
        for span in state.spans()
        for moment in span[:2]
        if moment >= desk.clock.at_s
    } | {desk.clock.at_s}
    for at_s in sorted(moments):
        assert entitled(desk, at_s) <= 64, at_s
    programme.end_terms(OPERATOR)
    assert programme.tables.free_gpus("t", "H200") + entitled(desk, desk.clock.at_s) == 64
