"""Sizes and line: worked figures, and what must hold whatever the applications are."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.awards import Candidate, Reason, award_by_rank, sized_gpus
from dure.core.calls.model import Call, Words
from dure.core.errors import PolicyError

CALL = Call(
    call="t",
    name=Words("시험", "test"),
    opens_at_s=0,
    closes_at_s=10,
    starts_at_s=20,
    capacity={"H200": 80, "B200": 40},
    caps={"H200": 64, "B200": 32},
    months_max=12,
    rubric={"impact": 100},
    tracks={"academia": "public", "research": "public", "industry": "industry"},
    shares={"industry": 30, "public": 20},
    large_from={"H200": 48, "B200": 24},
    score_min_milli=60_000,
    large_score_min_milli=80_000,
)


def candidate(name: str, score: int, gpus: int, track: str = "public", **more: object) -> Candidate:
    plain = Candidate(name, track, f"org-{name}", "H200", gpus, 0, score * 1000)
    return replace(plain, **more)  # type: ignore[arg-type]


def test_the_best_get_their_size_until_nothing_fits() -> None:
    call = msgspec.structs.replace(CALL, shares={})
    asked = [candidate("a", 90, 40), candidate("b", 80, 32), candidate("c", 70, 16)]

    awards = award_by_rank(asked, call)

    assert [(one.application, one.decision, one.gpus) for one in awards] == [
        ("a", "selected", 40),
        ("b", "selected", 32),
        ("c", "waitlisted", 16),
    ]
    # 8 were left when its turn came; above b's 80.000 points, 40 would have been.
    assert awards[2].numbers == {
        "asked_gpus": 16,
        "gpus": 16,
        "score_milli": 70_000,
        "open_gpus": 8,
        "size_fitting_gpus": 8,
        "score_needed_milli": 80_001,
    }


def test_a_floor_is_kept_for_its_track() -> None:
    # Industry's floor is 30 % of 80, in whole nodes 24; it asks for 16, so 16 are kept.
    asked = [
        candidate("a", 90, 40),
        candidate("b", 85, 32),
        candidate("c", 61, 16, track="industry"),
    ]

    awards = award_by_rank(asked, CALL)

    assert [(one.application, one.decision) for one in awards] == [
        ("a", "selected"),
        ("b", "waitlisted"),
        ("c", "selected"),
    ]
    assert awards[1].numbers["open_gpus"] == 24


def test_what_a_floor_cannot_use_goes_to_those_passed_over() -> None:
    # Industry asks for 40 in one piece: its floor of 24 is kept, but is too small for it.
    call = msgspec.structs.replace(CALL, large_from={}, shares={"industry": 30})
    asked = [
        candidate("a", 90, 48),
        candidate("b", 85, 24),
        candidate("c", 61, 40, track="industry"),
    ]

    awards = award_by_rank(asked, call)

    assert [(one.decision, one.reason) for one in awards] == [
        ("selected", Reason.SELECTED),
        ("selected", Reason.SELECTED_FROM_FLOOR),
        ("waitlisted", Reason.WAITS_FOR_CAPACITY),
    ]


def test_size_is_cut_to_cap_evidence_and_less_than_large() -> None:
    assert sized_gpus(candidate("a", 90, 72), CALL) == 64
    assert sized_gpus(candidate("a", 90, 64, evidence_gpus=17), CALL) == 24
    assert sized_gpus(candidate("a", 79, 64), CALL) == 40
    assert sized_gpus(candidate("a", 90, 8, evidence_gpus=1), CALL) == 8


def test_nobody_below_the_score_line_is_awarded() -> None:
    (award,) = award_by_rank([candidate("a", 59, 8)], CALL)

    assert (award.decision, award.gpus, award.reason) == ("rejected", 0, Reason.BELOW_SCORE_LINE)
    assert award.numbers["score_needed_milli"] == 60_000


def test_an_organisation_is_held_to_its_cap_and_told_so() -> None:
    call = msgspec.structs.replace(CALL, shares={}, organisation_caps={"H200": 24})
    asked = [
        candidate(name, score, 16, organisation="one") for name, score in (("a", 90), ("b", 80))
    ]

    first, second = award_by_rank(asked, call)

    assert first.decision == "selected"
    assert (second.decision, second.reason) == ("waitlisted", Reason.WAITS_FOR_ORGANISATION)
    assert second.numbers["size_fitting_gpus"] == 8
    assert second.numbers["organisation_gpus"] == 16


def test_a_tie_goes_to_the_lower_identifier() -> None:
    asked = [candidate("b", 70, 40), candidate("a", 70, 40), candidate("c", 70, 8)]

    assert [one.application for one in award_by_rank(asked, CALL)] == ["a", "b", "c"]


def test_floors_beyond_the_whole_are_a_mistake() -> None:
    call = msgspec.structs.replace(CALL, shares={"industry": 60, "public": 50})

    with pytest.raises(PolicyError, match="110 percent"):
        award_by_rank([candidate("a", 90, 8)], call)


candidates = st.lists(
    st.builds(
        Candidate,
        application=st.just(""),
        track=st.sampled_from(["public", "industry"]),
        organisation=st.sampled_from(["o1", "o2", "o3"]),
        accelerator=st.sampled_from(["H200", "B200"]),
        asked_gpus=st.integers(1, 9).map(lambda nodes: nodes * 8),
        evidence_gpus=st.sampled_from([0, 0, 4, 20, 70]),
        score_milli=st.integers(50, 99).map(lambda score: score * 1000),
    ),
    max_size=30,
).map(lambda all_: [replace(one, application=f"a{place:02d}") for place, one in enumerate(all_)])
calls = st.builds(
    lambda industry, public, caps: msgspec.structs.replace(
        CALL, shares={"industry": industry, "public": public}, organisation_caps=caps
    ),
    industry=st.integers(0, 60),
    public=st.integers(0, 40),
    caps=st.sampled_from([{}, {"H200": 40}, {"H200": 24, "B200": 16}]),
)


@given(asked=candidates, call=calls)
def test_no_capacity_cap_or_floor_is_broken(asked: list[Candidate], call: Call) -> None:
    awards = award_by_rank(asked, call)

    by_name = {one.application: one for one in asked}
    selected = [one for one in awards if one.decision == "selected"]
    given: Counter[str] = Counter()
    by_organisation: Counter[tuple[str, str]] = Counter()
    for one in selected:
        candidate = by_name[one.application]
        given[candidate.accelerator] += one.gpus
        by_organisation[candidate.accelerator, candidate.organisation] += one.gpus
        assert 8 <= one.gpus <= min(candidate.asked_gpus, call.caps[candidate.accelerator])
        assert one.gpus % 8 == 0
        assert candidate.score_milli >= call.score_min_milli
    assert all(gpus <= call.capacity[kind] for kind, gpus in given.items())
    assert all(
        gpus <= call.organisation_caps.get(kind, gpus)
        for (kind, _), gpus in by_organisation.items()
    )
    assert sorted(one.application for one in awards) == sorted(by_name)
    assert [one.rank for one in awards] == list(range(1, len(asked) + 1))


@given(asked=candidates, call=calls)
def test_who_waits_does_not_fit_in_what_is_left(asked: list[Candidate], call: Call) -> None:
    awards = award_by_rank(asked, call)

    by_name = {one.application: one for one in asked}
    for kind, capacity in call.capacity.items():
        here = [one for one in awards if by_name[one.application].accelerator == kind]
        left = capacity - sum(one.gpus for one in here if one.decision == "selected")
        for one in here:
            if one.decision == "waitlisted" and kind not in call.organisation_caps:
                assert one.gpus > left
        waiting = [one.position for one in here if one.decision == "waitlisted"]
        assert waiting == list(range(1, len(waiting) + 1))


@given(asked=candidates, call=calls)
def test_what_would_have_changed_it_would_have(asked: list[Candidate], call: Call) -> None:
    # The large line is left out: a better score may bring a larger size, which fits less.
    call = msgspec.structs.replace(call, large_from={})
    for award in award_by_rank(asked, call):
        if award.decision != "waitlisted":
            continue
        others = [one for one in asked if one.application != award.application]
        (itself,) = (one for one in asked if one.application == award.application)
        needed = award.numbers.get("score_needed_milli")
        if needed is not None:
            better = replace(itself, score_milli=needed)
            again = {one.application: one for one in award_by_rank([*others, better], call)}
            assert again[award.application].decision == "selected"
        fitting = award.numbers["size_fitting_gpus"]
        if fitting and not call.organisation_caps:
            smaller = replace(itself, asked_gpus=fitting, evidence_gpus=0)
            again = {one.application: one for one in award_by_rank([*others, smaller], call)}
            assert again[award.application].decision == "selected"


@given(asked=candidates)
def test_without_floors_and_caps_it_is_the_plain_walk(asked: list[Candidate]) -> None:
    call = msgspec.structs.replace(CALL, shares={}, organisation_caps={})
    free = dict(call.capacity)
    expected = {}
    for one in sorted(asked, key=lambda one: (-one.score_milli, one.application)):
        gpus = sized_gpus(one, call)
        fits = one.score_milli >= call.score_min_milli and gpus <= free[one.accelerator]
        expected[one.application] = fits
        free[one.accelerator] -= gpus if fits else 0

    awards = award_by_rank(asked, call)

    assert {one.application: one.decision == "selected" for one in awards} == expected


def test_where_the_call_says_so_all_sizes_are_cut_in_proportion() -> None:
    call = msgspec.structs.replace(CALL, shares={}, large_from={}, scales_awards=True)
    asked = [candidate("a", 90, 64), candidate("b", 80, 64), candidate("c", 70, 32)]

    awards = award_by_rank(asked, call)

    # 160 are wanted of 80: half of each, in whole nodes.
    assert [(one.application, one.decision, one.gpus) for one in awards] == [
        ("a", "selected", 32),
        ("b", "selected", 32),
        ("c", "selected", 16),
    ]
    assert {one.reason for one in awards} == {Reason.SELECTED_IN_PROPORTION}
    assert awards[0].numbers["size_most_gpus"] == 64
    whole = award_by_rank(asked[1:2], call)
    assert (whole[0].gpus, whole[0].reason) == (64, Reason.SELECTED)


def test_a_call_may_bound_how_far_sizes_are_cut() -> None:
    call = msgspec.structs.replace(
        CALL, shares={}, large_from={}, scales_awards=True, scaled_min_percent=75
    )
    asked = [candidate("a", 90, 64), candidate("b", 80, 64), candidate("c", 70, 32)]

    awards = award_by_rank(asked, call)

    # Three quarters of 64 are 48; then 48 do not fit any more, but three quarters of 32 do.
    assert [(one.application, one.decision, one.gpus) for one in awards] == [
        ("a", "selected", 48),
        ("b", "waitlisted", 48),
        ("c", "selected", 24),
    ]


@given(st.lists(st.tuples(st.integers(60, 100), st.integers(1, 8)), min_size=1, max_size=12))
def test_scaled_sizes_keep_the_capacity_and_nobody_gets_more_than_its_size(
    asked: list[tuple[int, int]],
) -> None:
    call = msgspec.structs.replace(CALL, shares={}, large_from={}, scales_awards=True)
    candidates = [
        candidate(f"c{place}", score, 8 * nodes) for place, (score, nodes) in enumerate(asked)
    ]

    awards = award_by_rank(candidates, call)

    wanted = {one.application: sized_gpus(one, call) for one in candidates}
    given_gpus = sum(one.gpus for one in awards if one.decision == "selected")
    assert given_gpus <= 80
    assert all(8 <= one.gpus <= wanted[one.application] for one in awards)
    if len(candidates) <= 10:
        # Ten nodes: whoever is good enough gets one at least.
        assert all(one.decision == "selected" for one in awards)
