"""The monthly check and tables of recall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import PolicyError
from dure.core.recall import (
    Check,
    PullbackRow,
    RecallPolicy,
    Verdict,
    check_use,
    pullback_gpus,
    pullback_rows,
)

MONTH_S = 30 * 86_400
POLICY = RecallPolicy()


def check(percent: int, *, below_before: int, held_s: int = MONTH_S, gpus: int = 64) -> Check:
    entitled = gpus * MONTH_S
    return check_use(
        gpus=gpus,
        used_gpu_s=entitled * percent // 100,
        entitled_gpu_s=entitled,
        held_s=held_s,
        below_before=below_before,
        policy=POLICY,
    )


def test_first_below_the_line_is_a_warning_and_the_second_takes_back() -> None:
    # 64 GPUs used by 20 %: 51.2 stood idle, 75 % of that is 38.4: four whole nodes.
    assert check(20, below_before=0) == Check(20, Verdict.WARN, 1, 0)
    assert check(20, below_before=1) == Check(20, Verdict.RECALL, 2, 32)
    assert check(50, below_before=1) == Check(50, Verdict.OK, 0, 0)


def test_an_allocation_of_a_few_days_is_not_judged_yet() -> None:
    assert check(0, below_before=0, held_s=13 * 86_400).verdict is Verdict.EARLY


def test_what_cannot_be_taken_stays_a_warning() -> None:
    assert check(0, below_before=5, gpus=8) == Check(0, Verdict.WARN, 6, 0)


def test_the_tables_of_another_centre_can_be_written() -> None:
    # ALCF: on 1 May below 15 % loses 15 % of the unused part, below 10 % loses 30 %; and so on.
    may = RecallPolicy(rows=pullback_rows({"<15": 15, "<10": 30}), node_gpus=1, keep_gpus=0)
    september = RecallPolicy(rows=pullback_rows({"<50": 33, "<33": 50, "<10": 75}), node_gpus=1)

    assert may.rows == (PullbackRow(10, 30), PullbackRow(15, 15))
    assert [pullback_gpus(1000, percent, may) for percent in (15, 14, 9)] == [0, 129, 273]
    assert [pullback_gpus(1000, percent, september) for percent in (50, 40, 20, 5)] == [
        0,
        198,
        400,
        712,
    ]


@pytest.mark.parametrize("table", [{">50": 10}, {"<500": 10}, {"<x": 10}, {"<50": 101}])
def test_a_table_that_cannot_be_read_is_a_mistake(table: dict[str, int]) -> None:
    with pytest.raises(PolicyError):
        pullback_rows(table)


@given(gpus=st.integers(1, 400), percent=st.integers(0, 100))
def test_never_more_than_the_unused_part_is_taken(gpus: int, percent: int) -> None:
    take = pullback_gpus(gpus, percent, POLICY)

    assert take % 8 == 0
    assert 0 <= take <= gpus * (100 - percent) // 100
    assert take == 0 or gpus - take >= POLICY.keep_gpus
