"""Allocations with a shape in the twin: seated or refused by row, and kept."""

from pathlib import Path

import polars as pl
import pytest

from dure.core import columns as col
from dure.core.errors import InputError
from dure.core.policy import policy_named
from dure.twin.demand import Owners, allocation_rights, allocation_shapes, pool_of, rights_facts
from dure.twin.run import Inputs, Run
from dure.twin.tables import pool_for_clusters, read_allocations, read_jobs, read_pool


def allocations(folder: Path, *rows: tuple[str, int, str]) -> pl.DataFrame:
    """Return (project, gpus, shape) as the twin reads them."""
    project, gpus, shape = zip(*rows, strict=True)
    pl.DataFrame(
        {
            "project": project,
            "accelerator": ["GPU"] * len(rows),
            "gpus": gpus,
            "from_s": [0] * len(rows),
            "to_s": [100_000] * len(rows),
            "shape": shape,
        }
    ).write_parquet(folder / "allocations.parquet")
    return read_allocations(folder / "allocations.parquet")


def facts(folder: Path, *rows: tuple[str, int, str], spares_pct: int = 0) -> list[list[int]]:
    """Return the facts for a pool of four leaves of four nodes of one provider."""
    pool = pool_of(pool_for_clusters({"a": 128}, nodes_per_leaf=4))
    table = allocations(folder, *rows)
    rights = allocation_rights(table)
    shapes = allocation_shapes(table)
    owners = Owners.of(pool, rights)
    made = rights_facts(pool, owners, rights, shapes, at_s=0, spares_pct=spares_pct)
    return made.tolist()


def test_a_shape_is_seated_and_its_leaves_count_whole_against_the_provider(tmp_path: Path) -> None:
    rows = facts(tmp_path, ("p", 48, "2x3"), ("q", 16, ""))

    seated = [(fact[3], fact[4], fact[5]) for fact in rows if fact[0] == col.K_SEATED]
    milli = [fact[6] // col.WHOLE for fact in rows if fact[0] == col.K_ALLOCATED]
    assert seated == [(1, 0, 3), (1, 1, 3)]
    # Of 128 GPUs two leaves of 32 are p's cells, and 16 are q's.
    assert milli == [128 - 64 - 16, 48, 16]


@pytest.mark.parametrize(
    ("shape", "gpus", "why"),
    [
        ("2 x 3", 48, "ShapeIsUnreadable"),
        ("2x3", 40, "ShapeDoesNotAddUp"),
        ("1x5", 40, "NoLeafLeft"),
        ("5x1", 40, "NoLeafLeft"),
    ],
)
def test_a_shape_that_cannot_be_promised_is_refused_by_row(
    tmp_path: Path, shape: str, gpus: int, why: str
) -> None:
    with pytest.raises(InputError, match=rf"allocations, row 2 \(p\), shape.*{why}"):
        facts(tmp_path, ("q", 8, ""), ("p", gpus, shape))


def test_what_is_kept_for_faults_is_promised_to_nobody(tmp_path: Path) -> None:
    rows = facts(tmp_path, ("p", 24, "1x3"), spares_pct=25)

    providers = next(fact[6] for fact in rows if fact[0] == col.K_ALLOCATED)
    assert providers // col.WHOLE == 96 - 24
    with pytest.raises(InputError, match="NoLeafLeft"):
        facts(tmp_path, ("p", 32, "1x4"), spares_pct=25)


def test_a_holder_gets_one_leaf_whole_from_a_pool_full_of_loans(tmp_path: Path) -> None:
    pool_for_clusters({"a": 128}, nodes_per_leaf=4).write_parquet(tmp_path / "pool.parquet")
    guests = {
        "submit_at_s": list(range(64)),
        "duration_s": [20_000] * 64,
        "gpus": [2 + i % 3 * 3 for i in range(64)],
        "project": ["guest"] * 64,
        "checkpoint_every_s": [300] * 64,
        "preemptible": [True] * 64,
        "class": ["loan"] * 64,
    }
    gang = {"submit_at_s": 5_000, "duration_s": 600, "gpus": 32, "project": "p"}
    gang |= {"checkpoint_every_s": 0, "preemptible": False, "class": ""}
    jobs = pl.concat(
        [pl.DataFrame(guests), pl.DataFrame([gang], schema=pl.DataFrame(guests).schema)]
    )
    jobs.write_parquet(tmp_path / "jobs.parquet")
    run = Run(
        Inputs(
            read_jobs(tmp_path / "jobs.parquet"),
            read_pool(tmp_path / "pool.parquet"),
            policy_named("dure"),
            allocations(tmp_path, ("p", 32, "1x4"), ("owner", 96, "")),
            check_every=1,
        )
    )
    result = run.go()

    placed = result.placements.filter(pl.col("gpu_milli") == 8_000).filter(pl.col("class") == "own")
    leaves = result.nodes.filter(pl.col("node").is_in(placed["node"].to_list()))["leaf"].unique()
    assert (placed.height, leaves.len()) == (4, 1)
    assert 0 < placed["from_s"][0] - 5_000 <= 600
