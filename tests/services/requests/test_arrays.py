"""Indices of job arrays against the plainest reading of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.services.requests import parse_job_yaml, parse_sbatch
from dure.services.requests.arrays import ELEMENTS_MAX, INDEX_MAX, array_indices

PARTS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=6
)


@given(PARTS)
def test_every_index_named_is_there_once(parts: list[tuple[int, int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}:{step}" for first, more, step in parts)
    named = {i for first, more, step in parts for i in range(first, first + more + 1, step)}

    assert array_indices(text, "job") == tuple(sorted(named))


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("7", (7,)),
        ("0-2", (0, 1, 2)),
        ("3,1,3", (1, 3)),
        ("0-9:4", (0, 4, 8)),
        ("0-2%2", (0, 1, 2)),
    ],
)
def test_the_forms_of_slurm(text: str, indices: tuple[int, ...]) -> None:
    assert array_indices(text, "job") == indices


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1-",
        "5-3",
        "0-4:0",
        "a",
        "1,,2",
        "0-3%",
        "0-3%0",
        "0-3%-1",
        "0-3%a",
        "0-3%1%1",
        "1 2",
        "0-1000",
        "0-9999999:1",
        "١",
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="job, array"):
        array_indices(text, "job, array")


def test_the_largest_array_is_taken() -> None:
    assert len(array_indices(f"1-{ELEMENTS_MAX}", "job")) == ELEMENTS_MAX
    assert array_indices(str(INDEX_MAX), "job") == (INDEX_MAX,)


def test_both_ways_of_writing_a_job_ask_for_the_same_array() -> None:
    yaml = parse_job_yaml('run: train\ndure: {array: "0-3"}\n', "job")
    script = parse_sbatch("#!/bin/sh\n#SBATCH --array=0-3 --gpus=1\ntrain\n", "job")

    assert yaml.array == script.array == "0-3"
