"""A cluster moves only while those entitled can be served without it."""

from hypothesis import given
from hypothesis import strategies as st

from dure.core.programme import Refusal
from dure.core.supply.moving import (
    PoolNode,
    Right,
    check_nodes,
    check_service,
    left_gpus,
    peak_gpus,
)

POOL = {
    one.node: one
    for one in (
        PoolNode("a", "B200", 8, "old", "S", is_public=True),
        PoolNode("b", "B200", 8, "old", "S", is_public=True),
        PoolNode("closed", "B200", 8, "old", "S", is_public=True, is_open=False),
        PoolNode("own", "B200", 8, "old", "S", is_public=False),
        PoolNode("h", "H200", 8, "old", "S", is_public=True),
    )
}


def test_a_move_is_refused_with_what_is_entitled_and_what_is_left() -> None:
    left = left_gpus(["a"], POOL, frozenset())
    problem = check_service({"B200": 9, "H200": 99}, left)

    # Without a: only b is public and open. Types that do not move concern nobody.
    assert left == {"B200": 8}
    assert problem is not None and problem.refusal is Refusal.OWN_WORK_WOULD_WAIT
    assert problem.numbers == {"accelerator": "B200", "left_gpus": 8, "entitled_gpus": 9}
    assert check_service({"B200": 8}, left) is None
    assert left_gpus(["a"], POOL, frozenset({"b"})) == {"B200": 0}


def test_nodes_that_cannot_move_are_named() -> None:
    def refusal(name: str, grade: str = "S") -> Refusal | None:
        found = check_nodes([name], POOL, frozenset({"b"}), grade=grade)
        return found and found.refusal

    assert refusal("a") is None
    assert refusal("a", "C") is None
    assert refusal("a", "O") is Refusal.SITE_GRADE_IS_LOWER
    assert refusal("b") is Refusal.NODE_IS_MOVING
    assert refusal("own") is Refusal.NODE_IS_FOR_OWN_USE
    assert refusal("z") is Refusal.NODE_IS_UNKNOWN


rights = st.lists(
    st.builds(
        Right,
        st.sampled_from(["A", "B"]),
        st.integers(1, 50),
        st.integers(0, 20),
        st.integers(0, 20),
    ),
    max_size=12,
)


@given(rights=rights, from_s=st.integers(0, 20), span_s=st.integers(1, 10))
def test_the_peak_agrees_with_looking_at_every_second(
    rights: list[Right], from_s: int, span_s: int
) -> None:
    seconds = range(from_s, from_s + span_s)
    expected = {
        kind: most
        for kind in ("A", "B")
        if (
            most := max(
                sum(one.gpus for one in rights
                    if one.accelerator == kind and one.from_s <= at_s < one.to_s)
                for at_s in seconds
            )
        )
    }  # fmt: skip

    assert peak_gpus(rights, from_s=from_s, to_s=from_s + span_s) == expected
