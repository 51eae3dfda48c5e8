"""Marks to a comparable order, and who reviews what."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dure.core.programme import Refusal
from dure.core.review import (
    SHRINK_REVIEWS,
    Party,
    Review,
    assign,
    check_marks,
    comparable,
    ranks,
    weighted_milli,
)

RUBRIC = {"impact": 40, "ecosystem": 30, "capability": 30}


def test_marks_are_weighed_exactly() -> None:
    marks = {"impact": 80, "ecosystem": 71, "capability": 90}

    assert weighted_milli(marks, RUBRIC) == 80_300  # 32 + 21.3 + 27


def test_marks_beyond_the_scale_or_the_rubric_are_refused() -> None:
    full = dict.fromkeys(RUBRIC, 100)

    assert check_marks(full, RUBRIC) is None
    assert check_marks({**full, "impact": 101}, RUBRIC) is Refusal.MARK_IS_OUT_OF_RANGE
    assert check_marks({"impact": 50}, RUBRIC) is Refusal.CRITERIA_DIFFER


def test_a_severe_reviewer_does_not_decide_the_order() -> None:
    # r3 gives 20 points less than the others. "b" met it, "a" did not; by raw means "a" leads.
    marks = [("a", "r1", 70), ("a", "r2", 70), ("b", "r1", 75), ("b", "r3", 55)]
    marks += [(name, reviewer, 65 - 20 * (reviewer == "r3")) for name in "cdefgh" for reviewer in
              ("r1", "r2", "r3")]  # fmt: skip

    result = comparable([Review(name, who, points * 1000) for name, who, points in marks])

    assert result.raw_milli["a"] > result.raw_milli["b"]
    assert result.score_milli["b"] > result.score_milli["a"]
    assert result.severity_milli["r3"] > 8_000


points = st.integers(20, 80)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), points), min_size=1, max_size=40))
def test_severity_agrees_with_ridge_least_squares(marks: list[tuple[int, int, int]]) -> None:
    unique = {(name, who): value for name, who, value in marks}
    reviews = [Review(f"a{n}", f"r{w}", value * 1000) for (n, w), value in unique.items()]
    names = sorted({one.application for one in reviews})
    people = sorted({one.reviewer for one in reviews})
    # Least squares over worth and severity; severity pays SHRINK_REVIEWS times its square.
    rows, goal = [], []
    for one in reviews:
        row = np.zeros(len(names) + len(people))
        row[names.index(one.application)] = 1
        row[len(names) + people.index(one.reviewer)] = -1
        rows.append(row)
        goal.append(one.score_milli)
    for place in range(len(people)):
        row = np.zeros(len(names) + len(people))
        row[len(names) + place] = SHRINK_REVIEWS**0.5
        rows.append(row)
        goal.append(0)
    solved = np.linalg.lstsq(np.array(rows), np.array(goal), rcond=None)[0]

    result = comparable(reviews)

    for place, name in enumerate(names):
        expected = min(max(solved[place], 0), 100_000)
        assert abs(result.score_milli[name] - expected) <= 100  # a tenth of a point


@given(st.permutations([("a", "r1", 70), ("b", "r2", 60), ("b", "r1", 65), ("a", "r3", 50)]))
def test_the_order_of_reviews_does_not_matter(marks: list[tuple[str, str, int]]) -> None:
    reviews = [Review(name, who, value * 1000) for name, who, value in marks]

    assert comparable(reviews) == comparable(sorted(reviews, key=lambda one: one.reviewer))


def test_a_tie_in_rank_goes_to_the_lower_identifier() -> None:
    assert ranks({"c": 5, "b": 7, "a": 5}) == {"b": 1, "a": 2, "c": 3}


def test_loads_are_even_and_no_reviewer_meets_its_own_organisation() -> None:
    applications = [Party(f"a{i:03d}", f"org-{i % 7}") for i in range(40)]
    reviewers = [Party(f"r{i:02d}", f"org-{i % 10}") for i in range(20)]

    chosen = assign(applications, reviewers, each=3)

    assert not isinstance(chosen, Refusal)
    organisation = {one.name: one.organisation for one in reviewers}
    for application in applications:
        panel = chosen[application.name]
        assert len(set(panel)) == 3
        assert application.organisation not in {organisation[name] for name in panel}
    loads = [sum(name in panel for panel in chosen.values()) for name in organisation]
    assert max(loads) - min(loads) <= 2


def test_too_few_reviewers_without_a_conflict_is_refused() -> None:
    reviewers = [Party("r1", "x"), Party("r2", "y"), Party("r3", "y")]

    assert assign([Party("a", "x")], reviewers, each=3) is Refusal.REVIEWERS_ARE_TOO_FEW
    assert assign([Party("a", "z")], reviewers, each=2, taken={"a": frozenset(["r1", "r2"])}) is (
        Refusal.REVIEWERS_ARE_TOO_FEW
    )
