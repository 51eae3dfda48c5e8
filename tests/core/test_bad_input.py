"""No value of a job, a pool or a policy stops a cycle: it is refused by name, before the pass."""

import math
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dure.core import columns as col
from dure.core.columns import POLICIES
from dure.core.errors import PolicyError
from dure.core.policy import Policy, policy_named
from dure.core.pool import Pool, Rate
from dure.core.refusing import CONTRADICTION, MOST, NO_REASON, VALUE_IS_WRONG
from dure.core.state import ASKED
from dure.services.words import REFUSALS
from tests.core.bench import Bench, flat_pool

LARGEST = (1 << 63) - 1
# Columns that a submission fills from a number or a word of the job, with all they can hold.
BOUNDS = {name: (0, MOST) for name in dir(col) if name.startswith("J_")}
BOUNDS = {name: bounds for name, bounds in BOUNDS.items() if getattr(col, name) < ASKED}
BOUNDS |= dict.fromkeys(("J_ESTIMATE", "J_CKPT_TAKES", "J_DEADLINE"), (-1, MOST))
BOUNDS |= {
    "J_AFTER": (col.AFTER_DONE, MOST),
    "J_PROVIDER": (-1, MOST),
    "J_OWNER": (0, 0),
    "J_PROJECT": (0, 0),
}
BOUNDS |= {"J_GPUS": (1, MOST), "J_MILLI": (1, col.WHOLE), "J_TYPES": (0, 1)}
BOUNDS |= {"J_CLASS_ASKED": (0, 3), "J_PREEMPTIBLE": (0, 1), "J_GRADE": (0, 2)}
BOUNDS |= {"J_LOCALITY": (0, 2), "J_LEVEL": (0, 5)}
BOUNDS |= {"J_SUBMIT": (0, LARGEST)}  # what lies ahead counts as now


def is_sound(column: str, value: int) -> bool:
    """Tell whether a job may hold this, in a pool of one accelerator."""
    if column == "J_PREFERRED":
        return 0 <= value < 1 << 60 and all(value >> 6 * place & 63 <= 1 for place in range(10))
    return BOUNDS[column][0] <= value <= BOUNDS[column][1]


HOSTILE = st.one_of(
    st.sampled_from([-LARGEST - 1, -(1 << 40), -2, -1, 0, 1, 3, 1 << 40, 1 << 62, LARGEST]),
    st.integers(-LARGEST - 1, LARGEST),
)


@given(column=st.sampled_from(sorted(BOUNDS)), value=HOSTILE, policy=st.sampled_from(col.POLICIES))
def test_one_bad_job_is_refused_and_stops_nobody(column: str, value: int, policy: str) -> None:
    bench = Bench(flat_pool(8, 8), policy)
    bad = bench.submit(**{column[2:]: value})
    good = bench.submit(gpus=8)

    bench.at(0)

    is_refused = bench.is_(bad) == "REFUSED"
    assert is_refused or is_sound(column, value)
    assert is_refused == (bench.number(col.J_REASON, bad) != NO_REASON)
    # A sound job that was handed in before may be in its way; the bad one never is.
    assert bench.is_(good) == "RUNNING" or bench.is_(bad) in {"RUNNING", "PENDING"}


@given(st.dictionaries(st.sampled_from(sorted(BOUNDS)), HOSTILE, min_size=2))
@example({"J_OWNER": -(1 << 40), "J_CKPT_TAKES": 1})
def test_a_job_of_nothing_but_bad_values_stops_nobody(values: dict[str, int]) -> None:
    bench = Bench(flat_pool(8, 8))
    bad = bench.submit(**{column[2:]: value for column, value in values.items()})
    good = bench.submit(gpus=8)

    bench.at(0)

    sound = all(is_sound(name, value) for name, value in values.items())
    assert sound or bench.is_(bad) == "REFUSED"
    assert not sound or REFUSALS[bench.number(col.J_REASON, bad)] != "ValueOutOfRange"
    assert sound or bench.is_(good) == "RUNNING"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"gpus": 4, "min_gpus": 5}, CONTRADICTION),
        ({"class_asked": 1 + col.LOAN, "preemptible": 0}, CONTRADICTION),
        ({"class_asked": 1 + col.SCAVENGE, "preemptible": 0}, CONTRADICTION),
        ({"gpus": 4, "min_gpus": 4}, NO_REASON),
        ({"class_asked": 1 + col.OWN, "preemptible": 0}, NO_REASON),
        ({"class_asked": 1 + col.LOAN, "preemptible": 1}, NO_REASON),
        ({"grade": -1}, VALUE_IS_WRONG),
        ({"cpu": -1}, VALUE_IS_WRONG),
        ({"memory": -8}, VALUE_IS_WRONG),
        ({"types": 2}, VALUE_IS_WRONG),
        ({"locality": 2, "level": 6}, VALUE_IS_WRONG),
    ],
)
def test_wishes_that_exclude_each_other_are_refused_by_name(
    asked: dict[str, int], reason: int
) -> None:
    bench = Bench(flat_pool(8))
    job = bench.submit(**asked)

    bench.at(0)

    assert bench.number(col.J_REASON, job) == reason


@cache
def sound_pool() -> dict[str, Any]:
    """Return the fields of a pool that is accepted."""
    pool = flat_pool(8, 8, 4, leaves=2)
    return {one.name: getattr(pool, one.name) for one in fields(Pool) if one.init}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        *[(name, "", f"{name} of a node is empty") for name in ("node", "provider", "cluster")],
        *[(name, "", f"{name} of a node is empty") for name in ("leaf", "pod", "site")],
        ("accelerator", "", "accelerator of a node is empty"),
        ("accelerator", "B200|H200", "a node has devices of one type"),
        ("grade", "Z", "grade of node n001 is 'Z'"),
        ("use", "private", "use of node n001 is 'private'"),
        ("node", "n000", "node n000 stands twice"),
        ("site", "elsewhere", "cluster c stands in two sites, c and elsewhere"),
        *[("gpus", value, f"gpus of node n001 is {value}") for value in (-8, 0, 64, LARGEST)],
        *[
            (name, value, f"{name} of node n001 is {value}")
            for name in ("cpu_milli", "memory_mib", "in_service_at_s")
            for value in (-1, LARGEST)
        ],
    ],
)
def test_a_pool_that_cannot_be_is_refused_by_node_and_field(
    field: str, value: str | int, said: str
) -> None:
    columns = {name: column.copy() for name, column in sound_pool().items()}
    columns[field][1] = value

    with pytest.raises(PolicyError, match=said):
        Pool(**columns)


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Rate(49, 1000), "speed_milli of B200 is 49"),
        (Rate(50_001, 1000), "speed_milli of B200 is 50001"),
        (Rate(1000, 0), "exchange_milli of B200 is 0"),
        (Rate(1000, LARGEST), "exchange_milli of B200 is"),
    ],
)
def test_an_accelerator_s_worth_has_its_limits(rate: Rate, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        Pool(**sound_pool() | {"rates": {"B200": rate}})


@pytest.mark.parametrize("field", sorted(set(sound_pool()) - {"rates"}))
def test_columns_of_a_pool_are_of_one_length(field: str) -> None:
    with pytest.raises(PolicyError, match=r"entries for|no nodes"):
        Pool(**sound_pool() | {field: sound_pool()[field][:0]})


NUMBERS = [one.name for one in fields(Policy) if isinstance(one.default, int)]
FLAGS = [name for name in NUMBERS if isinstance(getattr(Policy(), name), bool)]
NO_NUMBER = (math.nan, math.inf, -math.inf, 1.5, "7", "", None, [], {}, -1, -LARGEST, 1 << 63)


@given(
    policy=st.sampled_from(POLICIES),
    name=st.sampled_from(sorted(set(NUMBERS) - set(FLAGS))),
    value=st.sampled_from([*NO_NUMBER, True, False, 10**10 + 1])
    | st.integers(max_value=-1)
    | st.integers(min_value=10**10 + 1)
    | st.floats()
    | st.text(),
)
def test_a_rule_that_is_no_number_is_refused_by_name(policy: str, name: str, value: object) -> None:
    with pytest.raises(PolicyError, match=f"^{name} is "):
        policy_named(policy, **{name: value})


@given(name=st.sampled_from(FLAGS), value=st.sampled_from([*NO_NUMBER, 0, 1]) | st.text())
def test_a_rule_that_is_no_yes_or_no_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(PolicyError, match=f"^{name} is "):
        policy_named("dure", **{name: value})


@given(st.dictionaries(st.sampled_from(NUMBERS), st.integers(0, 10**10)))
def test_a_policy_is_a_vector_of_small_numbers_or_is_refused(rules: dict[str, Any]) -> None:
    rules = {name: bool(value % 2) if name in FLAGS else value for name, value in rules.items()}
    try:
        vector = policy_named("dure", **rules).vector()
    except PolicyError as refused:
        assert any(name in str(refused) for name in (*rules, "return_s"))
    else:
        assert np.all((vector >= 0) & (vector <= 10**10 * 86_400))
