"""Money: three limits of a claim, credits for faults, the day a report is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calendar import civil, moment_s
from dure.core.calls.supply import Instalment, ServiceCredit, SupplyTerms
from dure.core.programme import Refusal
from dure.core.supply.paying import (
    Claimed,
    check_claim,
    credit_of,
    duty_due_at_s,
    instalment_krw,
)

TERMS = SupplyTerms(
    instalments=(
        Instalment("first", 60, 2026),
        Instalment("second", 40, 2027),
    ),
    appropriations_krw={"2026": 500, "2027": 900},
    credits=(ServiceCredit(995_000, 2), ServiceCredit(950_000, 20)),
)
IN_2026, IN_2027 = moment_s("2026-12-31 23:59:59"), moment_s("2027-01-01")


def refusal(
    amount: int, *, instalment: str = "first", year: int = 2026, accepted: int = 80,
    before: tuple[Claimed, ...] = (), at_s: int = IN_2026,
) -> tuple[Refusal, dict[str, int | str]] | None:  # fmt: skip
    problem = check_claim(
        Claimed("s-1", instalment, year, amount), TERMS, before,
        price_krw=1_000, accepted_gpus=accepted, gpus=80, at_s=at_s,
    )  # fmt: skip
    return None if problem is None else (problem.refusal, dict(problem.numbers))


def test_an_instalment_pays_for_what_was_accepted_and_no_more() -> None:
    part = Instalment("first", 60, 2026)

    assert instalment_krw(part, price_krw=1_000, accepted_gpus=40, gpus=80) == 300
    assert refusal(301, accepted=40) == (
        Refusal.CLAIM_IS_OVER_INSTALMENT,
        {"amount_krw": 301, "left_krw": 300, "instalment": "first", "most_krw": 300},
    )
    assert refusal(300, accepted=40) is None
    assert refusal(0) is not None


def test_claims_before_count_and_those_of_others_take_from_the_year() -> None:
    mine = (Claimed("s-1", "first", 2026, 400),)
    others = (Claimed("s-2", "first", 2026, 450),)

    assert refusal(201, before=mine) == (
        Refusal.CLAIM_IS_OVER_INSTALMENT,
        {"amount_krw": 201, "left_krw": 200, "instalment": "first", "most_krw": 600},
    )
    assert refusal(51, before=others) == (
        Refusal.APPROPRIATION_IS_SPENT,
        {"amount_krw": 51, "year": "2026", "left_krw": 50},
    )
    assert refusal(50, before=others) is None


@pytest.mark.parametrize(("instalment", "at_s", "found"), [("first", IN_2027, "2027"),
                                                          ("second", IN_2026, "2026")])  # fmt: skip
def test_an_instalment_is_claimed_within_its_fiscal_year(
    instalment: str, at_s: int, found: str
) -> None:
    year = {"first": 2026, "second": 2027}[instalment]

    assert refusal(1, instalment=instalment, year=year, at_s=at_s) == (
        Refusal.CLAIM_IS_OUT_OF_YEAR,
        {"year": str(year), "found": found},
    )


def test_an_instalment_that_there_is_not_is_named() -> None:
    assert refusal(1, instalment="third") == (
        Refusal.INSTALMENT_IS_UNKNOWN,
        {"found": "third", "offered": "first, second"},
    )


claims = st.lists(
    st.tuples(
        st.sampled_from(["s-1", "s-2"]),
        st.sampled_from(["first", "second"]),
        st.integers(-5, 700),
        st.integers(0, 80),
        st.sampled_from([IN_2026, IN_2027]),
    ),
    max_size=12,
)


@given(claims)
def test_whatever_is_asked_in_whatever_order_no_limit_is_ever_passed(
    asked: list[tuple[str, str, int, int, int]],
) -> None:
    taken: list[Claimed] = []
    accepted = 0
    for agreement, instalment, amount, gpus, at_s in asked:
        accepted = max(accepted, gpus)
        part = TERMS.instalment(instalment)
        assert part is not None
        claim = Claimed(agreement, instalment, part.year, amount)
        problem = check_claim(claim, TERMS, taken, price_krw=1_000, accepted_gpus=accepted,
                              gpus=80, at_s=at_s)  # fmt: skip
        if problem is None:
            assert civil(at_s).year == part.year and amount > 0
            taken.append(claim)

    for agreement in ("s-1", "s-2"):
        for part in TERMS.instalments:
            mine = [one for one in taken if one.agreement == agreement]
            paid = sum(one.amount_krw for one in mine if one.instalment == part.instalment)
            assert paid * 80 * 100 <= 1_000 * part.percent * accepted
    for year, krw in TERMS.appropriations_krw.items():
        assert sum(one.amount_krw for one in taken if one.year == int(year)) <= krw


def test_a_month_below_a_line_costs_its_percent_of_the_months_part() -> None:
    month = {"price_krw": 1_200_000, "months": 12, "capacity_gpu_s": 1_000_000}

    # 100,000 won a month: at 99.5 % nothing, below it 2 %, below 95 % a fifth.
    assert credit_of(TERMS, down_gpu_s=5_000, **month) == (995_000, 0, 0)
    assert credit_of(TERMS, down_gpu_s=5_001, **month) == (994_999, 2, 2_000)
    assert credit_of(TERMS, down_gpu_s=50_001, **month) == (949_999, 20, 20_000)


@given(
    capacity=st.integers(0, 10**9), part=st.integers(0, 10**6), price=st.integers(1, 10**15),
    months=st.integers(1, 120),
)  # fmt: skip
def test_more_faults_never_cost_less_and_never_more_than_the_month(
    capacity: int, part: int, price: int, months: int
) -> None:
    down = capacity * part // 10**6
    found = credit_of(TERMS, price_krw=price, months=months, down_gpu_s=down,
                      capacity_gpu_s=capacity)  # fmt: skip
    worse = credit_of(TERMS, price_krw=price, months=months, down_gpu_s=capacity,
                      capacity_gpu_s=capacity)  # fmt: skip

    assert 0 <= found[2] <= worse[2] <= price // months
    assert 0 <= found[0] <= 10**6


def test_a_report_is_due_by_the_end_of_the_day_agreed() -> None:
    assert duty_due_at_s("2026-12", TERMS) == moment_s("2027-01-11")
