"""Monthly use: every GPU-second of a provider, and what a project used, borrowed and lent."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.reports.lenders import SURPLUS, hourly, lent_by_owner
from dure.reports.use import (
    KINDS,
    UnbalancedError,
    use_by_project,
    use_by_provider,
    use_document,
)

NODES = pl.DataFrame(
    {
        "node": ["a1", "a2", "b1"],
        "provider": ["alpha", "alpha", "beta"],
        "accelerator": ["H200", "H200", "B200"],
        "gpus": [8, 8, 8],
    }
)
PLACED = {
    "job": pl.String,
    "node": pl.String,
    "class": pl.String,
    "gpu_milli": pl.Int64,
    "from_s": pl.Int64,
    "to_s": pl.Int64,
}
FAULT = {"node": pl.String, "from_s": pl.Int64, "to_s": pl.Int64, "gpus": pl.Int64}
RIGHT = {
    "project": pl.String,
    "accelerator": pl.String,
    "gpus": pl.Int64,
    "from_s": pl.Int64,
    "to_s": pl.Int64,
}


def placements(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=PLACED, orient="row")


def faults(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=FAULT, orient="row")


def jobs(*rows: tuple[str, str, int, int | None]) -> pl.DataFrame:
    schema = {
        "job": pl.String,
        "project": pl.String,
        "submit_at_s": pl.Int64,
        "wait_s": pl.Int64,
    }
    return pl.DataFrame(list(rows), schema=schema, orient="row")


def rights(*rows: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=RIGHT, orient="row")


def test_every_gpu_second_of_a_provider_has_its_kind() -> None:
    ran = placements(
        ("j1", "a1", "own", 8000, 0, 500),  # 4,000 within the window's first 500 s
        ("j2", "a2", "loan", 4000, 900, None),  # 4 GPUs x 100 s to the end
        ("j3", "b1", "scavenge", 8000, -100, 100),
    )
    broken = faults(("a1", 600, 800, 0), ("a1", 700, 900, 4), ("b1", 500, None, 2))
    held = pl.DataFrame(
        {"node": ["b1"], "kind": ["draining"], "gpu_milli": [8000], "from_s": [100], "to_s": [110]}
    )

    table = use_by_provider(ran, NODES, broken, 0, 1000, held=held)

    assert table.to_dicts() == [
        {
            "provider": "alpha",
            "nodes": 2,
            "gpus": 16,
            "own_gpu_s": 4_000,
            "loan_gpu_s": 400,
            "scavenge_gpu_s": 0,
            "idle_gpu_s": 9_600,
            "reserved_gpu_s": 0,
            "draining_gpu_s": 0,
            "down_gpu_s": 2_000,  # the whole node 200 s, then 4 GPUs 100 s
            "capacity_gpu_s": 16_000,
        },
        {
            "provider": "beta",
            "nodes": 1,
            "gpus": 8,
            "own_gpu_s": 0,
            "loan_gpu_s": 0,
            "scavenge_gpu_s": 800,
            "idle_gpu_s": 6_120,
            "reserved_gpu_s": 0,
            "draining_gpu_s": 80,
            "down_gpu_s": 1_000,
            "capacity_gpu_s": 8_000,
        },
    ]


def test_more_in_use_than_there_is_is_an_error() -> None:
    ran = placements(("j1", "b1", "own", 8000, 0, 10), ("j2", "b1", "own", 8000, 5, 10))

    with pytest.raises(UnbalancedError, match="provider beta: 40 GPU-seconds more"):
        use_by_provider(ran, NODES, faults(), 0, 10)


def test_a_project_used_borrowed_and_waited() -> None:
    ran = placements(
        ("j1", "a1", "own", 4000, 0, 600),
        ("j2", "a2", "loan", 2000, 0, 600),
        ("j3", "b1", "scavenge", 500, 0, 600),
    )
    queue = jobs(("j1", "p", 0, 10), ("j2", "p", 5, 21), ("j3", "q", 9, 0), ("j4", "p", 700, None))
    entitled = rights(("p", "H200", 8, 0, 500), ("p", "H200", 4, 500, 10_000))

    table = use_by_project(ran, queue, entitled, 0, 600)

    assert table.to_dicts() == [
        {
            "project": "p",
            "entitled_gpu_s": 4_400,
            "own_gpu_s": 2_400,
            "borrowed_gpu_s": 1_200,
            "scavenged_gpu_s": 0,
            "lent_gpu_s": 1_200,
            "percent": 54,
            "jobs": 2,
            "jobs_started": 2,
            "wait_s_mean": 15,
        },
        {
            "project": "q",
            "entitled_gpu_s": 0,
            "own_gpu_s": 0,
            "borrowed_gpu_s": 0,
            "scavenged_gpu_s": 300,
            "lent_gpu_s": 0,
            "percent": None,
            "jobs": 1,
            "jobs_started": 1,
            "wait_s_mean": 0,
        },
    ]


def test_loans_are_laid_to_those_whose_capacity_stood_idle() -> None:
    # 16 H200: p holds 8 and uses 4, a provider keeps 4, 4 are nobody's; 6 are on loan.
    ran = placements(
        ("j1", "a1", "own", 4000, 0, 3600), ("j2", "a2", "loan", 6000, 0, 3600)
    ).with_columns(pl.Series("owner", ["p", "q"]))
    kept = pl.DataFrame({"provider": ["alpha"], "accelerator": ["H200"], "gpus": [4]})

    lent = lent_by_owner(ran, rights(("p", "H200", 8, 0, 3600)), 0, 3600, nodes=NODES, own_use=kept)

    assert dict(lent.iter_rows()) == {"p": 7_200, "provider:alpha": 7_200, SURPLUS: 7_200}


def test_a_month_in_one_document_says_whether_it_balances() -> None:
    ran = placements(("j1", "a1", "own", 8000, 0, 500))
    providers = use_by_provider(ran, NODES, faults(), 0, 1000)
    projects = use_by_project(
        ran, jobs(("j1", "p", 0, 0)), rights(("p", "H200", 8, 0, 1000)), 0, 1000
    )

    document = use_document("2026-03", projects, providers)

    assert document["is_balanced"]
    assert document["total"]["own_gpu_s"] == 4_000
    assert document["total"]["capacity_gpu_s"] == 24_000
    assert providers.write_csv().splitlines()[0].startswith("provider,nodes,gpus,own_gpu_s")


spans = st.tuples(st.integers(-5, 45), st.integers(0, 30)).map(lambda one: (one[0], sum(one)))


@given(broken=st.lists(st.tuples(st.sampled_from(["a1", "b1"]), spans, st.integers(0, 9))))
def test_overlapping_faults_agree_with_counting_every_second(
    broken: list[tuple[str, tuple[int, int], int]],
) -> None:
    expected = {"alpha": 0, "beta": 0}
    for second in range(40):
        for node, provider in (("a1", "alpha"), ("b1", "beta")):
            down = sum(
                gpus or 8
                for name, (start, end), gpus in broken
                if name == node
                if start <= second < end
            )
            expected[provider] += min(8, down)

    table = use_by_provider(
        placements(), NODES, faults(*((n, s, e, g) for n, (s, e), g in broken)), 0, 40
    )

    assert dict(table.select("provider", "down_gpu_s").iter_rows()) == expected
    sums = table.select(pl.sum_horizontal([f"{kind}_gpu_s" for kind in KINDS]))
    assert sums.to_series().to_list() == table["capacity_gpu_s"].to_list()


@given(rows=st.lists(st.tuples(st.integers(0, 2), spans, st.integers(0, 5))), scale=st.just(400))
def test_hours_agree_with_counting_every_step(
    rows: list[tuple[int, tuple[int, int], int]], scale: int
) -> None:
    # Steps of 400 s: nine to the hour; the window of 40 steps ends within an hour.
    table = pl.DataFrame(
        [(start * scale, end * scale, amount) for _, (start, end), amount in rows],
        schema={"from_s": pl.Int64, "to_s": pl.Int64, "amount": pl.Int64},
        orient="row",
    )
    expected = np.zeros((3, 5), dtype=np.int64)
    for step in range(40):
        for owner, (start, end), amount in rows:
            if start <= step < end:
                expected[owner, step // 9] += amount * scale

    found = hourly([owner for owner, _, _ in rows], table, 3, 0, 40 * scale)

    assert found.tolist() == expected.tolist()
