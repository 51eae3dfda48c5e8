"""Typed, conditional questions: what reads, what is refused, and that nothing else happens."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.applications import Form, answers_of, ends_at_s, read_form
from dure.core.calendar import moment_s
from dure.core.calls.form import base_questions, questions_of, read_answers
from dure.core.calls.model import (
    Beta,
    Call,
    Column,
    Condition,
    Field,
    Option,
    Teaching,
    Words,
)
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Problem, Refusal

NAME = Words("이름", "name")
ASKED = (
    Field("kind", "choice", NAME, required=True,
          options=(Option("a", NAME), Option("b", NAME))),
    Field("uses", "choices", NAME, options=(Option("x", NAME), Option("y", NAME))),
    Field("rate", "number", NAME, unit="requests/s", least=2, most=9, required=True,
          when=Condition("kind", among=("a",))),
    Field("since", "date", NAME),
    Field("plan", "file", NAME),
    Field("about", "long", NAME, most=10),
    Field("data", "table", NAME, most=2,
          columns=(Column("name", "text", NAME, required=True),
                   Column("tb", "number", NAME, most=50))),
)  # fmt: skip
CALL = Call(
    call="t",
    name=NAME,
    opens_at_s=0,
    closes_at_s=100,
    starts_at_s=200,
    capacity={"H200": 64},
    tracks={"academia": "public", "industry": "industry"},
    form=ASKED,
    beta=Beta(gpus_max=16, days=14),
    teaching=Teaching(students_max=40, gpus_max=8, months_max=5),
)
GOOD: dict[str, object] = {
    "title_ko": "과제",
    "organisation": "예시대학교",
    "group": "academia",
    "accelerator": "H200",
    "gpus": 16,
    "months": 6,
    "kind": "b",
}


@pytest.mark.parametrize(
    ("given_", "answer"),
    [
        ({"uses": "x, y"}, ["x", "y"]),
        ({"uses": ["y", "y"]}, ["y"]),
        ({"since": "2026-02-28"}, "2026-02-28"),
        ({"plan": "0" * 64}, "0" * 64),
        ({"about": " ten signs "}, "ten signs"),
        ({"data": "말뭉치 | 12\n영상"}, [{"name": "말뭉치", "tb": 12}, {"name": "영상"}]),
        ({"data": [{"name": "a", "tb": "1"}]}, [{"name": "a", "tb": 1}]),
    ],
)
def test_each_kind_of_answer_reads(given_: dict[str, object], answer: Any) -> None:
    answers, problems = read_answers({"kind": "b", **given_}, ASKED)

    assert problems == ()
    assert answers == {"kind": "b", next(iter(given_)): answer}


@pytest.mark.parametrize(
    ("given_", "field", "refusal"),
    [
        ({"kind": "c"}, "kind", Refusal.FIELD_IS_NOT_IN_LIST),
        ({"uses": "x, z"}, "uses", Refusal.FIELD_IS_NOT_IN_LIST),
        ({"kind": "a", "rate": 10}, "rate", Refusal.NUMBER_IS_OUT_OF_BOUNDS),
        ({"kind": "a", "rate": "2.5"}, "rate", Refusal.FIELD_IS_NO_NUMBER),
        ({"kind": "a"}, "rate", Refusal.FIELD_IS_MISSING),
        ({"rate": 5}, "rate", Refusal.FIELD_IS_NOT_ASKED),
        ({"since": "2026-02-30"}, "since", Refusal.FIELD_IS_NO_DATE),
        ({"since": "20260228"}, "since", Refusal.FIELD_IS_NO_DATE),
        ({"plan": "../../etc/passwd"}, "plan", Refusal.FILE_IS_UNKNOWN),
        ({"about": "eleven long"}, "about", Refusal.FIELD_IS_TOO_LONG),
        ({"data": "a\nb\nc"}, "data", Refusal.ROWS_ARE_TOO_MANY),
        ({"data": "a | 51"}, "data[1].tb", Refusal.NUMBER_IS_OUT_OF_BOUNDS),
        ({"data": "a\n | 5"}, "data[2].name", Refusal.FIELD_IS_MISSING),
        ({"data": "a | 5 | b"}, "data[1]", Refusal.FIELD_IS_NOT_IN_LIST),
        ({"other": "x"}, "other", Refusal.FIELD_IS_UNKNOWN),
    ],
)
def test_each_wrong_answer_is_named(
    given_: dict[str, object], field: str, refusal: Refusal
) -> None:
    _, problems = read_answers({"kind": "b", **given_}, ASKED)

    assert [(one.field, one.refusal) for one in problems] == [(field, refusal)]


anything = st.one_of(
    st.text(max_size=30), st.integers(), st.booleans(), st.none(), st.floats(),
    st.lists(st.text(max_size=5), max_size=3),
    st.lists(st.dictionaries(st.sampled_from(["name", "tb", "z"]), st.text(max_size=4)),
             max_size=3),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([one.field for one in questions_of(CALL)]), anything))
def test_whatever_comes_in_is_read_or_refused_and_what_was_read_reads_again(
    fields: dict[str, object],
) -> None:
    questions = questions_of(CALL)
    answers, problems = read_answers(fields, questions)

    assert {one.field.split("[")[0] for one in problems}.isdisjoint(answers)
    again, left = read_answers(answers, questions)
    assert again == answers
    # What is left is only what was missing, or asked of nobody like that.
    assert {one.refusal for one in left} <= {Refusal.FIELD_IS_MISSING, Refusal.FIELD_IS_NOT_ASKED}
    msgspec.json.encode(answers)


def test_purposes_have_their_own_limits() -> None:
    trial = read_form({**GOOD, "purpose": "beta", "gpus": 24}, CALL)
    lesson = {**GOOD, "purpose": "class", "gpus": 8, "months": 5, "until": "2026-06-19"}
    crowd = read_form({**lesson, "students": 41}, CALL)
    project = read_form({**GOOD, "students": 20}, CALL)

    assert isinstance(trial, tuple) and trial[0].refusal is Refusal.SIZE_IS_OVER_CAP
    assert isinstance(read_form({**lesson, "students": 40}, CALL), Form)
    assert isinstance(crowd, tuple) and crowd[0].refusal is Refusal.NUMBER_IS_OUT_OF_BOUNDS
    assert project == (Problem("students", Refusal.FIELD_IS_NOT_ASKED),)


def submitted(**fields: object) -> ApplicationSubmitted:
    form = read_form({**GOOD, **fields}, CALL)
    assert isinstance(form, Form), form
    return ApplicationSubmitted(
        "t-0001", "t", "p", form.title_ko, form.title_en, form.organisation, form.group,
        form.category, form.accelerator, form.gpus, form.months, form.region, "kim", form.work,
        form.grade, answers=dict(form.answers), at_s=5, by="kim",
    )  # fmt: skip


def test_a_trial_lasts_its_days_and_a_class_until_its_last() -> None:
    from_s = moment_s("2026-03-02")
    trial = submitted(purpose="beta")
    lesson = submitted(purpose="class", gpus=8, months=5, students=30, until="2026-06-19")

    assert ends_at_s(submitted(), CALL, from_s=from_s) == moment_s("2026-09-02")
    assert ends_at_s(trial, CALL, from_s=from_s) == moment_s("2026-03-16")
    assert ends_at_s(lesson, CALL, from_s=from_s) == moment_s("2026-06-20")


def test_an_application_has_the_answers_of_its_form() -> None:
    form = read_form({**GOOD, "uses": "x"}, CALL)
    assert isinstance(form, Form)

    taken = {**answers_of(submitted(uses="x"), CALL), "project": ""}
    assert taken == answers_of(form, CALL)
    assert answers_of(form, CALL)["gpu_hours"] == 16 * 6 * 730


def test_a_supply_call_asks_providers() -> None:
    supply = msgspec.structs.replace(
        CALL, kind="supply", tracks={}, form=(), exchange_units={"B200": 8}, capacity={}
    )
    asked = {one.field for one in base_questions(supply)}

    form = read_form(
        {
            "title_ko": "제안", "organisation": "가온클라우드", "accelerator": "B200", "gpus": 2048,
            "price_krw": "350,000,000,000", "in_service_on": "2026-12-01",
        },
        supply,
    )  # fmt: skip

    assert {"price_krw", "in_service_on"} <= asked and "group" not in asked
    assert isinstance(form, Form)
    assert (form.group, form.answers["price_krw"]) == ("provider", 350_000_000_000)
