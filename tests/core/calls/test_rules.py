"""Who may apply, what it costs, and what hinders a call."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calendar import moment_s
from dure.core.calls.charges import gpu_hour_krw
from dure.core.calls.eligibility import Known, check_eligibility
from dure.core.calls.model import (
    USUAL_STAGES,
    Call,
    Charges,
    Condition,
    Discount,
    Field,
    Hold,
    PeerReview,
    Rule,
    Stage,
    TrackRule,
    Words,
    holds,
    usual_stages,
)
from dure.core.calls.rules import check_call
from dure.core.calls.stages import is_preferred, track_of
from dure.core.programme import Problem, Refusal

NAME = Words("이름", "name")
CALL = Call(
    call="t",
    name=NAME,
    opens_at_s=10,
    closes_at_s=100,
    starts_at_s=200,
    capacity={"H200": 64},
    rubric={"impact": 100},
    tracks={"academia": "public"},
)
AT_S = moment_s("2026-03-02")
ANSWERS: dict[str, Any] = {
    "organisation": "가온",
    "group": "industry",
    "category": "startup",
    "region": "busan",
    "grade": "O",
    "registered_on": "2021-03-03",
}
STAGE = Stage("s", "written", "reviewer", "complete", reviewers=1)


def changed(**fields: Any) -> Call:
    return msgspec.structs.replace(CALL, **fields)


def test_a_plain_call_can_be_published() -> None:
    assert check_call(CALL) == ()


@pytest.mark.parametrize(
    ("fields", "place", "refusal"),
    [
        ({"call": "../x"}, "call", Refusal.VALUE_IS_WRONG),
        ({"closes_at_s": 10}, "closes", Refusal.DATES_ARE_OUT_OF_ORDER),
        ({"capacity": {}}, "capacity", Refusal.VALUE_IS_MISSING),
        ({"caps": {"B200": 8}}, "caps", Refusal.VALUE_IS_UNKNOWN),
        ({"months_max": 0}, "months_max", Refusal.VALUE_IS_WRONG),
        ({"rubric": {"impact": 60}}, "rubric", Refusal.SUM_IS_WRONG),
        ({"tracks": {"bank": "x"}}, "tracks", Refusal.VALUE_IS_UNKNOWN),
        ({"shares": {"nobody": 10}}, "shares", Refusal.VALUE_IS_UNKNOWN),
        ({"shares": {"public": 101}}, "shares", Refusal.SUM_IS_WRONG),
        ({"kind": "supply"}, "budget_krw", Refusal.VALUE_IS_WRONG),
        ({"stages": (STAGE, STAGE)}, "stages", Refusal.NAME_IS_DOUBLE),
        ({"stages": (Stage("s", "written", "reviewer", "top", reviewers=1),)}, "stages[0].top",
         Refusal.VALUE_IS_WRONG),
        ({"stages": (Stage("s", "documents", "operator", "checklist"),)}, "stages[0].checklist",
         Refusal.VALUE_IS_MISSING),
        ({"stages": (Stage("s", "written", "reviewer", "complete"),)}, "stages[0].reviewers",
         Refusal.VALUE_IS_WRONG),
        ({"stages": (Stage("s", "interim", "operator", "decision"),)}, "stages[0].hold",
         Refusal.VALUE_IS_WRONG),
        ({"stages": (Stage("i", "interim", "operator", "decision", hold=Hold()),)},
         "stages[0].hold", Refusal.HOLD_HOLDS_NOTHING),
        ({"stages": (Stage("i", "interim", "operator", "decision", hold=Hold(3)), STAGE)},
         "stages", Refusal.STAGE_IS_OUT_OF_ORDER),
        ({"stages": (STAGE,), "score_min_milli": 1}, "score_min", Refusal.NO_STAGE_GIVES_A_SCORE),
        ({"form": (Field("gpus", "number", NAME),)}, "form[0].field", Refusal.NAME_IS_DOUBLE),
        ({"form": (Field("a", "choice", NAME),)}, "form[0].options", Refusal.VALUE_IS_WRONG),
        # Only what was asked before, so that no two questions wait for each other.
        ({"form": (Field("a", "text", NAME, when=Condition("b", among=("x",))),
                   Field("b", "text", NAME))}, "form[0].when.field", Refusal.VALUE_IS_UNKNOWN),
        ({"form": (Field("a", "text", NAME, when=Condition("group")),)}, "form[0].when",
         Refusal.CONDITION_ASKS_NOTHING),
        ({"eligibility": (Rule("region"),)}, "eligibility[0].among", Refusal.VALUE_IS_MISSING),
        ({"eligibility": (Rule("no_open_report", years=3),)}, "eligibility[0].years",
         Refusal.VALUE_IS_UNKNOWN),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_named(fields: dict[str, Any], place: str, refusal: Refusal) -> None:
    problems = check_call(changed(**fields))

    assert (place, refusal) in [(one.field, one.refusal) for one in problems]


@pytest.mark.parametrize(
    ("rule", "known", "refusal"),
    [
        (Rule("organisation_kind", among=("startup",)), Known(), None),
        (Rule("organisation_kind", among=("sme",)), Known(), Refusal.RULE_ADMITS_OTHERS),
        (Rule("region", among=("busan", "daegu")), Known(), None),
        (Rule("region", among=("seoul",)), Known(), Refusal.RULE_ADMITS_OTHERS),
        (Rule("grade", among=("S",)), Known(), Refusal.RULE_ADMITS_OTHERS),
        # Five years ago to the day is too long ago; one day less is not.
        (Rule("registered_within", years=5), Known(), None),
        (Rule("registered_within", years=4), Known(), Refusal.REGISTRATION_IS_TOO_OLD),
        (Rule("supplier_is_not_beneficiary"), Known(), None),
        (Rule("supplier_is_not_beneficiary"), Known(frozenset({"가온"})),
         Refusal.SUPPLIER_IS_NO_BENEFICIARY),
        (Rule("supplier_is_not_beneficiary", organisations=("가온",)), Known(),
         Refusal.SUPPLIER_IS_NO_BENEFICIARY),
        (Rule("no_open_report"), Known(owes_report=True), Refusal.REPORT_IS_OWED),
        (Rule("applications_at_most", most=2), Known(applications=1), None),
        (Rule("applications_at_most", most=2), Known(applications=2),
         Refusal.APPLICATIONS_ARE_TOO_MANY),
        (Rule("region", among=("seoul",), when=Condition("group", among=("academia",))), Known(),
         None),
    ],
)  # fmt: skip
def test_each_rule_admits_and_refuses(rule: Rule, known: Known, refusal: Refusal | None) -> None:
    problems = check_eligibility(changed(eligibility=(rule,)), ANSWERS, known, at_s=AT_S)

    assert [one.refusal for one in problems] == ([] if refusal is None else [refusal])
    assert all(one.numbers["rule"] == 1 for one in problems)


def test_a_supplier_does_not_come_in_as_a_partner() -> None:
    call = changed(eligibility=(Rule("supplier_is_not_beneficiary"),))
    answers = {**ANSWERS, "partners": "나루, 가온클라우드"}

    problems = check_eligibility(call, answers, Known(frozenset({"가온클라우드"})), at_s=AT_S)

    numbers = {"rule": 1, "organisation": "가온클라우드"}
    assert problems == (Problem("organisation", Refusal.SUPPLIER_IS_NO_BENEFICIARY, numbers),)


def test_charges_worked_by_hand() -> None:
    half = Discount(NAME, 50, Condition("category", among=("startup",)))
    region = Discount(NAME, 20, Condition("region", among=("busan",)))
    charges = Charges({"H200": 3_000}, {"academia": 0, "industry": 40}, (half, region))
    asks = {**ANSWERS, "accelerator": "H200"}

    assert gpu_hour_krw(charges, asks) == 480  # 3,000 x 40 % x 50 % x 80 %
    assert gpu_hour_krw(charges, {**asks, "region": "seoul"}) == 600
    assert gpu_hour_krw(charges, {**asks, "group": "academia"}) == 0
    assert gpu_hour_krw(charges, {**asks, "group": "research", "category": ""}) == 2_400
    assert gpu_hour_krw(None, asks) == 0
    capped = msgspec.structs.replace(charges, discount_percent_max=50)
    assert gpu_hour_krw(capped, asks) == 600


@given(
    price=st.integers(0, 10**6),
    part=st.integers(0, 100),
    percents=st.lists(st.integers(1, 100), max_size=6),
    most=st.integers(0, 100),
)
def test_a_charge_is_the_exact_product_rounded_down_once(
    price: int, part: int, percents: list[int], most: int
) -> None:
    everybody = Condition("group", among=("industry",))
    discounts = tuple(Discount(NAME, percent, everybody) for percent in percents)
    charges = Charges({"H200": price}, {"industry": part}, discounts, most)

    found = gpu_hour_krw(charges, {"group": "industry", "accelerator": "H200"})

    left = Fraction(part, 100)
    for percent in percents:
        left *= Fraction(100 - percent, 100)
    left = max(left, Fraction(part, 100) * Fraction(100 - most, 100))
    assert found == int(price * left)
    assert found <= price


@given(
    number=st.one_of(st.none(), st.integers(-5, 5)),
    least=st.one_of(st.none(), st.integers(-5, 5)),
    most=st.one_of(st.none(), st.integers(-5, 5)),
)
def test_a_condition_on_a_number_is_its_bounds(
    number: int | None, least: int | None, most: int | None
) -> None:
    condition = Condition("gpus", at_least=least, at_most=most)

    found = holds(condition, {} if number is None else {"gpus": number})

    if number is None or (least is None and most is None):
        assert not found
    else:
        assert found == ((least is None or number >= least) and (most is None or number <= most))


def test_tracks_go_by_rules_before_groups() -> None:
    large = TrackRule("concentrated", Condition("size", among=("large",)))
    call = changed(track_rules=(large,), tracks={"academia": "spread"})

    assert track_of(call, {"group": "academia", "size": "large"}) == "concentrated"
    assert track_of(call, {"group": "academia", "size": "small"}) == "spread"
    assert track_of(call, {"group": "industry", "size": "small"}) == ""


def test_a_preference_without_points_breaks_ties_only() -> None:
    from dure.core.calls.model import Preference

    first = Preference(NAME, Condition("region", among=("busan",)))
    points = Preference(NAME, Condition("region", among=("busan",)), points_milli=2_000)

    assert is_preferred(changed(preferences=(first,)), ANSWERS)
    assert not is_preferred(changed(preferences=(points,)), ANSWERS)


def test_the_usual_stages_are_those_of_a_call_that_names_none() -> None:
    assert CALL.stages == usual_stages(3)


@pytest.mark.parametrize(
    ("each", "stages", "problem"),
    [
        (3, USUAL_STAGES, None),
        (5, USUAL_STAGES, ("peer_review.each", "5", "3, as stage written")),
        (5, USUAL_STAGES[1:], ("peer_review", "no written stage with reviewers", "one")),
    ],
)
def test_peers_review_as_many_as_review_them(
    each: int, stages: tuple[Stage, ...], problem: tuple[str, str, str] | None
) -> None:
    call = msgspec.structs.replace(CALL, peer_review=PeerReview(each), stages=stages)

    found = [
        (one.field, str(one.numbers["found"]), one.numbers["expected"])
        for one in check_call(call)
        if one.field.startswith("peer_review")
    ]

    assert found == ([problem] if problem else [])
