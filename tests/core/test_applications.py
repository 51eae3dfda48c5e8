"""Forms: every problem at once, by field."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.applications import Form, check_moment, read_form
from dure.core.calls.form import BASE_FIELDS
from dure.core.calls.model import Call, Field, Words
from dure.core.events.programme import Work
from dure.core.programme import Problem, Refusal
from dure.core.sizing import evidence

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


def test_each_kind_of_work_is_asked_for_its_own_numbers_and_right_sizing_reads_them() -> None:
    serving = {
        **GOOD, "work_kind": "inference", "tokens_m": "", "requests_milli_s": "40,000",
        "input_tokens": 1_000, "output_tokens": 300, "latency_ms": 50,
        "gpus_min": "16", "accepts": "H200, B200",
    }  # fmt: skip
    computing = {
        **GOOD, "work_kind": "hpc", "parameters_m": "", "tokens_m": "", "node_hours": 4_000,
        "scaling": "4 | 3600\n16 | 9600",
    }  # fmt: skip

    served, computed = read_form(serving, CALL), read_form(computing, CALL)

    assert isinstance(served, Form) and isinstance(computed, Form)
    assert served.work == Work(
        kind="inference", parameters_m=7_000, requests_milli_s=40_000, input_tokens=1_000,
        output_tokens=300, latency_ms=50,
    )  # fmt: skip
    assert (served.gpus_min, served.accepts, served.answers) == (16, ("B200",), {})
    assert computed.work == Work(kind="hpc", node_hours=4_000, scaling=((4, 3600), (16, 9600)))
    sizes = [evidence(one.work, accelerator="H200", months=6) for one in (served, computed)]
    assert [one.formula for one in sizes if one] == ["inference", "hpc"]


def test_numbers_of_other_work_and_a_least_size_above_the_wish_are_refused() -> None:
    wrong = {**GOOD, "latency_ms": 50, "method": "lora"}

    assert read_form(wrong, CALL) == (
        Problem("method", Refusal.FIELD_IS_NOT_ASKED),
        Problem("latency_ms", Refusal.FIELD_IS_NOT_ASKED),
    )
    assert read_form({**GOOD, "gpus_min": 72}, CALL) == (
        Problem("gpus_min", Refusal.NUMBER_IS_OUT_OF_BOUNDS, {"found": 72, "least": 8, "most": 64}),
    )


def test_a_call_may_ask_one_of_the_works_numbers_in_its_own_way() -> None:
    # As calls of earlier versions did, which had to.
    own = Field("node_hours", "number", Words("노드시간", "node hours"), required=True)
    call = msgspec.structs.replace(CALL, form=(own,))

    form = read_form({**GOOD, "node_hours": 900}, call)

    assert isinstance(form, Form)
    assert form.answers == {"node_hours": 900} and form.work.node_hours == 0
