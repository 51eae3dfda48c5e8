"""The share-out of a budget down the rank."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.awards import Reason
from dure.core.calls.model import Call
from dure.core.supply.shares import Proposal, share_supply
from tests.services.supply_desk import CALL

BUDGET = 1_459_000_000_000
MKRW = 10**6
# Sizes are those of 2025 (national-pool.yaml); prices and scores are assumed.
FOUR = [
    Proposal("nhn", "NHN", "B200", 7_656, 880_000 * MKRW, 88_000),
    Proposal("kakao", "Kakao", "B200", 2_424, 280_000 * MKRW, 84_000),
    Proposal("naver", "Naver", "H200", 3_056, 281_000 * MKRW, 81_000),
    Proposal("coupang", "Coupang", "B200", 2_048, 240_000 * MKRW, 72_000),
]


def call_of(**changes: object) -> Call:
    return msgspec.structs.replace(CALL, budget_krw=BUDGET, supply=None, **changes)


def sizes(portions: tuple[int, ...] | None = None, **changes: object) -> dict[str, int]:
    awards = share_supply(FOUR, call_of(**changes), portions=portions)
    return {one.application: one.gpus if one.decision == "selected" else 0 for one in awards}


def test_whole_proposals_go_down_the_rank_while_the_budget_lasts() -> None:
    awards = share_supply(FOUR, call_of())

    # 880 + 280 + 281 = 1,441 of 1,459 thousand million: 18 are left, too few for 240.
    assert sizes() == {"nhn": 7_656, "kakao": 2_424, "naver": 3_056, "coupang": 0}
    last = awards[-1]
    assert (last.reason, last.position) == (Reason.WAITS_FOR_BUDGET, 1)
    assert (last.numbers["left_krw"], last.numbers["price_krw"]) == (18_000 * MKRW, 240_000 * MKRW)


def test_portions_bound_each_place_and_what_is_left_goes_down_again() -> None:
    awards = share_supply(FOUR, call_of(), portions=(50, 30, 10, 10))
    first = {one.application: one.numbers["first_gpus"] for one in awards}

    # By hand: 50 % are 729.5 thousand million: 7,656 x 729.5 / 880 = 6,346.65, whole nodes 6,344;
    # 30 % pay for all 2,424; 10 % are 145.9: 3,056 x 145.9 / 281 = 1,586.7 -> 1,584, and
    # 2,048 x 145.9 / 240 = 1,245.01 -> 1,240.
    assert first == {"nhn": 6_344, "kakao": 2_424, "naver": 1_584, "coupang": 1_240}
    # Left: 1,459 - 729.196 - 280 - 145.651 - 145.313 = 158.841 more thousand million for NHN's
    # remaining 1,312 GPUs, which cost 150.805; then 8.037 for Naver: 87 GPUs -> 80.
    assert sizes((50, 30, 10, 10)) == {
        "nhn": 7_656, "kakao": 2_424, "naver": 1_664, "coupang": 1_240
    }  # fmt: skip


def test_below_the_score_line_nothing_is_awarded() -> None:
    awards = {one.application: one for one in share_supply(FOUR, call_of(score_min_milli=83_000))}

    assert awards["naver"].reason is Reason.BELOW_SCORE_LINE
    assert awards["naver"].numbers["score_needed_milli"] == 83_000


proposals = st.lists(
    st.tuples(
        st.integers(1, 300), st.integers(1, 2_000), st.integers(0, 100_000), st.integers(0, 200)
    ),
    min_size=1,
    max_size=7,
)


@given(
    drawn=proposals,
    budget=st.integers(1, 3_000),
    portions=st.lists(st.integers(1, 50), max_size=4).filter(lambda one: sum(one) <= 100),
    scales=st.booleans(),
)
def test_no_won_is_spent_twice_and_no_place_gets_more_than_its_portion(
    drawn: list[tuple[int, int, int, int]], budget: int, portions: list[int], scales: bool
) -> None:
    call = msgspec.structs.replace(
        CALL, budget_krw=budget, supply=None, scales_awards=scales, score_min_milli=10_000
    )
    given_ = [
        Proposal(f"p{place}", "o", "B200", 8 * nodes, krw, score, min(least, 8 * nodes))
        for place, (nodes, krw, score, least) in enumerate(drawn)
    ]
    of = {one.application: one for one in given_}

    awards = share_supply(given_, call, portions=portions)
    selected = [one for one in awards if one.decision == "selected"]

    assert sorted(one.application for one in awards) == sorted(of)
    assert sum(one.numbers["awarded_krw"] for one in selected) <= budget
    for one in selected:
        wish = of[one.application]
        assert one.gpus % 8 == 0 or one.gpus == wish.gpus
        assert max(wish.least_gpus, 8) <= one.gpus <= wish.gpus
        assert wish.score_milli >= 10_000
        # Exactly its part of the price, rounded up.
        assert one.numbers["awarded_krw"] * wish.gpus >= wish.price_krw * one.gpus
        if portions:
            first = one.numbers["first_gpus"]
            assert wish.price_krw * first <= one.numbers["portion_krw"] * wish.gpus
    # Whoever waits could not be served by what is left, at its place or at the end.
    left = budget - sum(one.numbers["awarded_krw"] for one in selected)
    for one in awards:
        wish = of[one.application]
        if one.decision == "waitlisted" and (portions or scales):
            fitting = (
                wish.gpus * left // wish.price_krw // 8 * 8 if wish.price_krw > left else wish.gpus
            )
            assert fitting < max(wish.least_gpus, 8)
        elif one.decision == "waitlisted":
            assert wish.price_krw > left
