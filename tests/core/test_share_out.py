"""The optimum: worked figures, and what must hold whatever the applications are."""

from dataclasses import replace
from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core import share_optimum
from dure.core.awards import Candidate, Reason, award_by_rank, is_eligible
from dure.core.calls.model import Call
from dure.core.errors import PolicyError
from dure.core.share_optimum import find_optimum
from dure.core.share_options import (
    Option,
    Pick,
    broken_rules,
    keeps_band,
    space_of,
    total_value,
    walk_by_rank,
)
from dure.core.share_out import Moves, ShareOut, share_out, unplaced
from tests.core.test_awards import CALL, calls, candidate, candidates

# Two starts: a year of which half-year projects can share a place.
DATED = msgspec.structs.replace(
    CALL, rule="optimum", shares={}, large_from={}, start_months=(0, 6), band_milli=0
)


def selected(shared: ShareOut) -> dict[str, tuple[str, int, int]]:
    return {
        one.application: (one.accelerator, one.gpus, one.from_month)
        for one in shared.awards
        if one.decision == "selected"
    }


def test_two_half_years_share_a_place_that_a_longer_term_of_a_better_score_would_break() -> None:
    # 9 months at 80 points are worth 720 a GPU; 6 months at 70 and 6 at 65 are worth 810.
    asked = [
        candidate("a", 80, 64, months=9),
        candidate("b", 70, 64, months=6),
        candidate("c", 65, 64, months=6),
        candidate("d", 75, 16, months=12),
    ]

    shared = share_out(asked, DATED)

    assert selected(shared) == {"b": ("H200", 64, 0), "c": ("H200", 64, 6), "d": ("H200", 16, 0)}
    assert shared.value == 1000 * (70 * 64 * 6 + 65 * 64 * 6 + 75 * 16 * 12)
    assert shared.rank_value == 1000 * (80 * 64 * 9 + 75 * 16 * 12)
    (waiting,) = [one for one in shared.awards if one.application == "a"]
    # It would have to be worth more than the 810 of those in its place: 90.001 points x 9 months.
    assert waiting.reason is Reason.OUTWEIGHED
    assert waiting.numbers["score_needed_milli"] == 90_001
    assert waiting.numbers["leaving"] == 2


def test_the_band_keeps_the_order_where_the_total_would_not() -> None:
    asked = [
        candidate("a", 80, 64, months=9),
        candidate("b", 70, 64, months=6),
        candidate("c", 65, 64, months=6),
    ]
    call = msgspec.structs.replace(DATED, band_milli=10_000)

    shared = share_out(asked, call)

    assert selected(shared) == {"a": ("H200", 64, 0)}


def test_scaled_sizes_serve_more_when_the_first_gpus_count_for_more() -> None:
    call = msgspec.structs.replace(DATED, scaled_min_percent=50, extra_milli=500)
    asked = [candidate(name, 80, 32, months=12) for name in "abcd"]

    whole = selected(share_out(asked, msgspec.structs.replace(call, scaled_min_percent=100)))
    scaled = selected(share_out(asked, call))

    assert sorted(gpus for _, gpus, _ in whole.values()) == [32, 32]
    assert len(scaled) == 4
    assert sum(gpus for _, gpus, _ in scaled.values()) == 80


def test_another_type_is_given_by_exchange_units() -> None:
    call = msgspec.structs.replace(DATED, start_months=(0,), exchange_units={"H200": 4, "B200": 8})
    asked = [candidate("a", 90, 64), candidate("b", 80, 32, accepts=("B200",))]

    shared = share_out(asked, call)

    # 32 H200 are worth 16 B200; 16 H200 are left beside the first.
    assert selected(shared) == {"a": ("H200", 64, 0), "b": ("B200", 16, 0)}
    assert shared.value == 1000 * (90 * 64 * 4 + 80 * 16 * 8)


def test_a_tie_goes_to_the_lower_identifier_whatever_the_order_of_arrival() -> None:
    asked = [candidate(name, 70, 64, months=12) for name in "cab"]

    assert selected(share_out(asked, DATED)) == {"a": ("H200", 64, 0)}
    assert share_out(asked, DATED) == share_out(asked[::-1], DATED)


@pytest.mark.parametrize("rule", ["rank", "optimum"])
def test_the_committee_pins_excludes_and_moves_the_line(rule: str) -> None:
    call = msgspec.structs.replace(DATED, rule=rule, start_months=(0,))
    asked = [candidate("a", 90, 64), candidate("b", 80, 64), candidate("c", 50, 16)]

    pinned = share_out(asked, call, Moves(pinned=frozenset({"b", "c"})))
    excluded = share_out(asked, call, Moves(excluded={"a": "withdrawn by its agency"}))
    moved = share_out(asked, call, Moves(line_milli=85_000))

    assert set(selected(pinned)) == {"b", "c"}
    assert {one.reason for one in pinned.awards if one.decision == "selected"} == {
        Reason.SELECTED_BY_COMMITTEE
    }
    assert set(selected(excluded)) == {"b"}
    assert [one.reason for one in excluded.awards if one.application == "a"] == [
        Reason.EXCLUDED_BY_COMMITTEE
    ]
    assert set(selected(moved)) == {"a"}
    assert [one.rank for one in moved.awards] == [1, 2, 3]


def test_a_pin_for_which_there_is_no_room_is_named() -> None:
    asked = [candidate("a", 90, 64), candidate("b", 80, 64)]
    moves = Moves(pinned=frozenset({"a", "b"}))

    assert unplaced(share_out(asked, DATED, moves), moves) == ("b",)


def test_floors_beyond_the_whole_are_a_mistake_here_too() -> None:
    call = msgspec.structs.replace(DATED, shares={"industry": 60, "public": 50})

    with pytest.raises(PolicyError, match="110 percent"):
        share_out([candidate("a", 90, 8)], call)


applicants = st.tuples(
    candidates,
    st.lists(st.sampled_from([3, 6, 9, 12]), min_size=30, max_size=30),
    st.lists(st.sampled_from([(), ("B200",), ("H200", "B200")]), min_size=30, max_size=30),
).map(
    lambda drawn: [
        replace(one, months=months, accepts=accepts)
        for one, months, accepts in zip(*drawn, strict=False)
    ]
)
optimum_calls = st.builds(
    lambda call, starts, percent, extra, band, units: msgspec.structs.replace(
        call,
        rule="optimum",
        start_months=starts,
        scaled_min_percent=percent,
        extra_milli=extra,
        band_milli=band,
        exchange_units=units,
    ),
    call=calls,
    starts=st.sampled_from([(0,), (0, 3, 6, 9), (0, 6)]),
    percent=st.sampled_from([100, 50]),
    extra=st.sampled_from([1000, 600]),
    band=st.sampled_from([0, 5000, 20_000]),
    units=st.sampled_from([{}, {"H200": 4, "B200": 8}]),
)


@settings(max_examples=60, deadline=None)
@given(asked=applicants, call=optimum_calls)
def test_the_optimum_breaks_no_rule_and_is_never_worth_less_than_the_walk(
    asked: list[Candidate], call: Call
) -> None:
    space = space_of(asked, call)

    found = find_optimum(space)

    assert broken_rules(space, found.picks, kept=found.kept) == []
    assert broken_rules(space, found.rank_picks, kept=found.kept) == []
    assert found.bound >= found.value >= found.rank_value
    assert found.bound <= found.value * 1.01 + 1000
    assert all(is_eligible(pick.option.candidate, call) for pick in found.picks.values())


@settings(max_examples=60, deadline=None)
@given(asked=candidates, call=calls)
def test_with_one_start_and_one_type_the_walk_is_the_rule_by_rank(
    asked: list[Candidate], call: Call
) -> None:
    walked = walk_by_rank(space_of(asked, call))

    assert {name: pick.gpus for name, pick in walked.items()} == {
        one.application: one.gpus
        for one in award_by_rank(asked, call)
        if one.decision == "selected"
    }


few = st.lists(
    st.builds(
        candidate,
        st.just(""),
        score=st.integers(60, 95),
        gpus=st.integers(1, 8).map(lambda nodes: 8 * nodes),
        track=st.sampled_from(["public", "industry"]),
        months=st.sampled_from([3, 6, 12]),
    ),
    max_size=5,
).map(lambda all_: [replace(one, application=f"a{place}") for place, one in enumerate(all_)])


@settings(max_examples=60, deadline=None)
@given(asked=few, percent=st.sampled_from([100, 50]))
def test_no_other_share_out_is_worth_more_than_the_bound(
    asked: list[Candidate], percent: int
) -> None:
    call = msgspec.structs.replace(
        DATED, shares={"industry": 30}, scaled_min_percent=percent, extra_milli=700
    )
    space = space_of(asked, call)
    found = find_optimum(space)

    # Try every option at its least and most size for everybody.
    choices: list[list[Pick | None]] = []
    for one in space.candidates:
        options = space.options[one.application]
        choices.append([None, *(pick for option in options for pick in sizes(option))])
    best = 0
    for combination in product(*choices):
        picks = {pick.option.candidate.application: pick for pick in combination if pick}
        if not broken_rules(space, picks, kept=found.kept):
            best = max(best, total_value(picks))

    assert best <= found.bound
    assert best * 0.999 <= found.value + 1000


def sizes(option: Option) -> list[Pick]:
    return [Pick(option, gpus) for gpus in sorted({option.least_gpus, option.most_gpus})]


@settings(max_examples=60, deadline=None)
@given(asked=applicants, call=optimum_calls)
def test_the_score_that_was_named_would_have_changed_it(asked: list[Candidate], call: Call) -> None:
    # The large line is left out: a better score may bring a larger size, which fits less.
    call = msgspec.structs.replace(call, large_from={}, shares={}, band_milli=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(share_optimum, "GAP", 0.0)
        waiting = [
            award
            for award in share_out(asked, call).awards
            if "score_needed_milli" in award.numbers
        ]
        for award in [one for one in waiting if one.decision == "waitlisted"][:4]:
            needed = award.numbers["score_needed_milli"]
            assert needed > award.numbers["score_milli"]
            raised = [
                replace(one, score_milli=needed) if one.application == award.application else one
                for one in asked
            ]
            assert award.application in selected(share_out(raised, call))


@settings(max_examples=40, deadline=None)
@given(asked=applicants, call=optimum_calls)
def test_equal_inputs_give_equal_share_outs_in_any_order(
    asked: list[Candidate], call: Call
) -> None:
    shared = share_out(asked, call)

    assert share_out(asked[::-1], call) == shared
    assert sorted(one.application for one in shared.awards) == [one.application for one in asked]


@settings(max_examples=40, deadline=None)
@given(asked=candidates, call=calls, which=st.integers(0, 29), more=st.integers(1, 40_000))
def test_by_rank_a_higher_score_never_loses(
    asked: list[Candidate], call: Call, which: int, more: int
) -> None:
    # Beyond the large line a better score brings a larger size, which may not fit.
    call = msgspec.structs.replace(call, large_from={})
    if not asked:
        return
    one = asked[which % len(asked)]
    before = {award.application: award for award in award_by_rank(asked, call)}
    if before[one.application].decision != "selected":
        return
    raised = [
        replace(other, score_milli=min(other.score_milli + more, 100_000))
        if other is one
        else other
        for other in asked
    ]

    after = {award.application: award for award in award_by_rank(raised, call)}

    assert after[one.application].decision == "selected"


def test_who_would_pass_over_a_better_one_waits_for_the_order() -> None:
    # 24 H200 are left that "b" alone fits, but "a" waits with 12 points more. (On B200, half-years
    # make up for what that loses, so that the band is kept.)
    asked = [
        candidate("x", 95, 56, months=12),
        candidate("a", 82, 64, months=12),
        candidate("b", 70, 8, months=3),
        *(
            candidate(name, score, 32, months=months, accelerator="B200")
            for name, score, months in (("e", 80, 9), ("f", 78, 6), ("g", 77, 6))
        ),
    ]
    call = msgspec.structs.replace(DATED, band_milli=10_000)

    shared = share_out(asked, call)

    assert set(selected(shared)) == {"x", "f", "g"}
    by_name = {one.application: one for one in shared.awards}
    assert by_name["b"].reason is Reason.WAITS_FOR_ORDER
    assert by_name["b"].numbers["score_needed_milli"] == 72_001


def test_the_band_holds_where_the_total_alone_would_break_it() -> None:
    asked = [
        candidate("a", 80, 64, months=9),
        candidate("b", 70, 64, months=6),
        candidate("c", 65, 64, months=6),
        candidate("d", 79, 16, months=12),
    ]
    banded = space_of(asked, msgspec.structs.replace(DATED, band_milli=16_000))

    assert not keeps_band(
        space_of(asked, msgspec.structs.replace(DATED, band_milli=10_000)),
        find_optimum(space_of(asked, DATED)).picks,
    )
    assert keeps_band(banded, find_optimum(banded).picks)
