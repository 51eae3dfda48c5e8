"""Ranges of nodes, and what keeps a node out of the pool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.core.supply.delivering import NodeLook, check_node, expand_nodes
from tests.services.supply_desk import TERMS


def test_a_range_is_written_out_and_a_name_stays() -> None:
    assert expand_nodes(["a-0009..0011", " b "]) == ("a-0009", "a-0010", "a-0011", "b")


@pytest.mark.parametrize("wrong", ["a-5..4", "a-0..10000", "a-1..99999999"])
def test_a_range_goes_up_and_has_an_end(wrong: str) -> None:
    with pytest.raises(InputError, match="a range upwards, at most 10000 nodes"):
        expand_nodes([wrong])


@given(
    items=st.dictionaries(st.sampled_from(["model", "cabling"]), st.booleans()),
    results=st.dictionaries(st.sampled_from(["healthy", "hot"]), st.integers(0, 100)),
)
def test_a_node_passes_when_everything_is_in_order_and_within_bounds(
    items: dict[str, bool], results: dict[str, int]
) -> None:
    in_order = items.get("model") is True and items.get("cabling") is True
    in_bounds = results.get("healthy", 0) >= 8 and results.get("hot", 101) <= 85

    found = check_node(TERMS, "n", NodeLook(items, results))

    assert (found is None) == (in_order and in_bounds)
