"""Shares of a surplus against one-at-a-time filling; what providers own against their nodes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dure.core.quota import (
    allocated_most,
    decayed_use_gpu_s,
    hierarchical_shares,
    max_min_shares,
    provider_rights,
)
from tests.core.worlds import pool_of_rows

claimants = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), min_size=1, max_size=7)


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([d for d, _ in rows], dtype=np.int64), np.array([w for _, w in rows])


@given(rows=claimants, capacity=st.integers(0, 200))
def test_nobody_gets_more_than_asked_and_nothing_is_left_over(
    rows: list[tuple[int, int]], capacity: int
) -> None:
    demand, weight = columns(rows)

    share = max_min_shares(demand, weight, capacity=capacity)

    assert (share >= 0).all() and (share <= demand).all()
    assert int(share.sum()) == min(capacity, int(demand.sum()))


@given(rows=claimants, capacity=st.integers(0, 200))
def test_nobody_unserved_could_gain_from_one_who_has_more_by_weight(
    rows: list[tuple[int, int]], capacity: int
) -> None:
    # Max-min in integers: taking one unit from the better served would not leave them better off.
    demand, weight = columns(rows)

    share = max_min_shares(demand, weight, capacity=capacity)

    for poor in np.flatnonzero(share < demand).tolist():
        for rich in range(len(rows)):
            after = (int(share[rich]) - 1) * int(weight[poor])
            assert after <= int(share[poor]) * int(weight[rich]) + int(weight[rich])


def test_a_worked_share() -> None:
    # 60 by weights 1:2:3 would be 10, 20, 30; the third asks for 12 only, so 48 go on as 16, 32.
    share = max_min_shares(np.array([50, 50, 12]), np.array([1, 2, 3]), capacity=60)

    assert share.tolist() == [16, 32, 12]


@given(rows=claimants, capacity=st.integers(0, 200), data=st.data())
def test_groups_share_first_and_their_members_inside(
    rows: list[tuple[int, int]], capacity: int, data: st.DataObject
) -> None:
    demand, weight = columns(rows)
    group = np.array([data.draw(st.integers(0, 2)) for _ in rows])
    group_weight = np.array([50, 30, 20])

    share = hierarchical_shares(demand, weight, group, group_weight, capacity=capacity)

    wanted = np.array([int(demand[group == g].sum()) for g in range(3)])
    by_group = max_min_shares(wanted, group_weight, capacity=capacity)
    assert [int(share[group == g].sum()) for g in range(3)] == by_group.tolist()
    assert (share <= demand).all()


def test_use_halves_with_every_half_life() -> None:
    # Worked out in flux-accounting's own documentation: 64 + 16 + 8 + 1.
    use_gpu_s = np.array([[128, 64, 64, 16]])
    age_days = np.array([7, 14, 21, 28])

    weighed = decayed_use_gpu_s(use_gpu_s, age_days, half_life_days=7)

    assert weighed.tolist() == [89]


RIGHTS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=8
)


@given(rows=RIGHTS)
def test_the_most_allocated_is_the_highest_of_all_moments(rows: list[tuple[int, int, int]]) -> None:
    rights = [("p", "B200", milli, from_s, from_s + lasts) for milli, from_s, lasts in rows]

    most = allocated_most(rights)

    at = [sum(m for _, _, m, f, t in rights if f <= now < t) for now in range(50)]
    assert most == {"B200": max(at)}


def test_providers_own_what_is_not_allocated_to_projects() -> None:
    pool = pool_of_rows(
        [("a", "c", "p", "l", "B200", "C")] * 3 + [("b", "c", "p", "l", "B200", "C")],
        [(8, 0, 0)] * 4,
    )

    rights = provider_rights(pool, {"B200": 16_000})

    assert {(name, kind): milli for name, kind, milli, _, _ in rights} == {
        ("a", "B200"): 12_000,
        ("b", "B200"): 4_000,
    }
