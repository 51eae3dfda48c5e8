"""Forms: every problem at once, by field."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.applications import Form, check_moment, read_form
from dure.core.calls.form import BASE_FIELDS
from dure.core.calls.model import Call, Words
from dure.core.events.programme import Work
from dure.core.programme import Problem, Refusal

CALL = Call(
    call="t",
    round=1,
    kind="demand",
    name=Words("시험", "test"),
    opens_at_s=100,
    closes_at_s=200,
    starts_at_s=300,
    capacity={"H200": 2296, "B200": 2040},
    caps={"H200": 256, "B200": 128},
    months_max=12,
    rubric={"impact": 100},
    tracks={"academia": "public", "industry": "industry"},
)
GOOD = {
    "title_ko": "한국어 말뭉치",
    "organisation": "예시대학교 1",
    "group": "academia",
    "accelerator": "H200",
    "gpus": "64",
    "months": "6",
    "work_kind": "pretraining",
    "parameters_m": "7,000",
    "tokens_m": 100_000,
}


def test_a_good_form_reads() -> None:
    assert read_form(GOOD, CALL) == Form(
        project="",
        title_ko="한국어 말뭉치",
        title_en="한국어 말뭉치",
        organisation="예시대학교 1",
        group="academia",
        category="",
        accelerator="H200",
        gpus=64,
        months=6,
        region="",
        grade="O",
        work=Work(kind="pretraining", parameters_m=7_000, tokens_m=100_000),
        answers={},
    )


def test_every_problem_is_named_at_once() -> None:
    problems = read_form(
        {"title_ko": "x" * 201, "group": "bank", "accelerator": "H200", "gpus": "many", "x": 1},
        CALL,
    )

    assert isinstance(problems, tuple)
    assert [(one.field, one.refusal) for one in problems] == [
        ("title_ko", Refusal.FIELD_IS_TOO_LONG),
        ("organisation", Refusal.FIELD_IS_MISSING),
        ("group", Refusal.FIELD_IS_NOT_IN_LIST),
        ("gpus", Refusal.FIELD_IS_NO_NUMBER),
        ("months", Refusal.FIELD_IS_MISSING),
        ("x", Refusal.FIELD_IS_UNKNOWN),
    ]


def test_rules_of_the_call_are_named_with_their_numbers() -> None:
    problems = read_form({**GOOD, "gpus": 264, "months": 13}, CALL)

    assert problems == (
        Problem(
            "gpus",
            Refusal.SIZE_IS_OVER_CAP,
            {"asked_gpus": 264, "cap_gpus": 256, "accelerator": "H200"},
        ),
        Problem("months", Refusal.TERM_IS_OVER_CAP, {"asked_months": 13, "months_max": 12}),
    )


def test_servers_are_whole() -> None:
    problems = read_form({**GOOD, "gpus": 12}, CALL)

    assert problems == (
        Problem("gpus", Refusal.SIZE_IS_NOT_WHOLE_NODES, {"asked_gpus": 12, "node_gpus": 8}),
    )


def test_the_closing_second_is_too_late() -> None:
    assert check_moment(CALL, at_s=99) is Refusal.CALL_IS_NOT_OPEN_YET
    assert check_moment(CALL, at_s=100) is None
    assert check_moment(CALL, at_s=199) is None
    assert check_moment(CALL, at_s=200) is Refusal.CALL_IS_CLOSED


@given(
    st.dictionaries(
        st.sampled_from(sorted(BASE_FIELDS)),
        st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.none(), st.floats()),
    )
)
def test_whatever_is_typed_reads_or_is_refused(fields: dict[str, object]) -> None:
    form = read_form(fields, CALL)

    if isinstance(form, Form):
        assert 1 <= form.gpus <= CALL.caps[form.accelerator] and form.gpus % 8 == 0
        msgspec.json.encode(form.work)
    else:
        assert form
