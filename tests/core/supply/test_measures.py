"""Marks that follow from a proposal's own figures."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calls.supply import Computed, SupplyTerms
from dure.core.supply.measures import asked_in, computed_marks, measured, proportion
from tests.services.supply_desk import CALL

KAKAO = {
    "accelerator": "B200", "gpus": 2424, "price_krw": 280_000_000_000, "in_service_on": "2026-03-31"
}  # fmt: skip


def marked(**answers: object) -> dict[str, tuple[int | str | None, int]]:
    rules = (
        Computed("value", "gflops_per_mkrw", zero=0, full=20_000),
        Computed("price", "krw_per_gpu", zero=200_000_000, full=100_000_000),
        Computed("generation", "exchange_units", zero=0, full=8),
        Computed("day", "in_service_on", zero=60, full=0),
        Computed("cooling", "cooling", points={"liquid": 100, "air": 50}),
    )
    call = msgspec.structs.replace(CALL, supply=SupplyTerms(computed=rules))
    found = measured(call, {**KAKAO, **answers})
    return {one.criterion: (one.value, one.points) for one in found}


def test_each_measure_gives_the_figure_that_a_pocket_calculator_gives() -> None:
    # 2,424 x 2,250 TFLOP/s = 5,454,000 TFLOP/s for 280,000 million won: 19.478 TFLOP/s a million.
    # 280 thousand million / 2,424 = 115,511,551 won. 2026-03-31 is 30 days after the start.
    assert marked(cooling="air") == {
        "value": (19_478, 97),
        "price": (115_511_551, 84),
        "generation": (8, 100),
        "day": (30, 50),
        "cooling": ("air", 50),
    }


def test_what_a_proposal_does_not_say_is_worth_nothing() -> None:
    found = marked(accelerator="X1", price_krw=0, in_service_on="")

    assert found == {
        "value": (None, 0), "price": (0, 100), "generation": (None, 0), "day": (None, 0),
        "cooling": (None, 0),
    }  # fmt: skip


def test_the_formula_holds_the_numbers() -> None:
    call = msgspec.structs.replace(
        CALL, supply=SupplyTerms(computed=(Computed("v", "gflops_per_mkrw", 5_000, 20_000),))
    )

    (one,) = measured(call, KAKAO)

    assert one.formula == (
        "2424 x 2250 TFLOP/s / 280000000000 KRW = 19478; 100 x (19478 - 5000) / (20000 - 5000) = 96"
    )


def test_reviewers_mark_what_is_not_computed() -> None:
    assert asked_in(CALL, CALL.stages[0]) == {"plan": 60}
    assert computed_marks(CALL, {"public_percent": 80}) == {"figures": 80, "cooling": 0}


whole = st.integers(-(10**12), 10**12)


@given(value=whole, more=st.integers(0, 10**6), zero=whole, span=st.integers(1, 10**12))
def test_points_stay_in_bounds_and_never_fall_as_the_value_improves(
    value: int, more: int, zero: int, span: int
) -> None:
    up, better = (proportion(one, zero=zero, full=zero + span) for one in (value, value + more))
    down, worse = (proportion(one, zero=zero, full=zero - span) for one in (value, value + more))

    assert 0 <= up <= better <= 100
    assert 0 <= worse <= down <= 100
    assert proportion(zero, zero=zero, full=zero + span) == 0
    assert proportion(zero + span, zero=zero, full=zero + span) == 100
