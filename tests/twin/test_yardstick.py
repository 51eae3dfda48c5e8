"""`fifo` and `easy` start every gang at the very second at which two references start it."""

import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.policy import policy_named
from dure.twin.run import Inputs, Run
from dure.twin.tables import pool_for_clusters, read_jobs
from tests.yardstick import Gang, starts

NODE_GPUS = 4
gangs_of = st.lists(
    st.builds(
        Gang,
        submit_at_s=st.integers(0, 60),
        nodes=st.integers(1, 6),
        duration_s=st.integers(1, 40),
        limit_s=st.integers(1, 60),
    ),
    min_size=1,
    max_size=40,
)


def engine_starts(gangs: list[Gang], nodes: int, policy: str, folder: Path) -> list[int]:
    """Run the gangs through the twin; return their starts in the order of the list."""
    table = pl.DataFrame(
        {
            "job": [str(i) for i in range(len(gangs))],
            "submit_at_s": [gang.submit_at_s for gang in gangs],
            "duration_s": [gang.duration_s for gang in gangs],
            "gpus": [gang.nodes * NODE_GPUS for gang in gangs],
            "nodes": [gang.nodes for gang in gangs],
            "gpus_per_node": [NODE_GPUS] * len(gangs),
            "estimate_s": [gang.limit_s for gang in gangs],
        }
    )
    table.write_parquet(folder / "gangs.parquet")
    pool = pool_for_clusters({"yard": nodes * NODE_GPUS}, gpus_per_node=NODE_GPUS)
    jobs = read_jobs(folder / "gangs.parquet")
    run = Run(Inputs(jobs, pool, policy_named(policy), check_every=1 if len(gangs) < 99 else 4096))
    done = run.go().jobs.select(pl.col("job").cast(pl.Int64), "first_start_at_s").sort("job")
    return done["first_start_at_s"].to_list()


@pytest.mark.parametrize("policy", ["fifo", "easy"])
def test_small_files_start_as_the_counter_says(
    policy: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("yard")

    @settings(max_examples=40)
    @given(gangs=gangs_of)
    def agrees(gangs: list[Gang]) -> None:
        expected = starts(gangs, 6, backfill=policy == "easy")
        assert engine_starts(gangs, 6, policy, folder) == expected

    agrees()


def test_of_ends_in_one_second_the_earlier_submission_counts_first(tmp_path: Path) -> None:
    # Rows not in the order of submission; all of them outlive their limits (found by the property).
    gangs = [
        Gang(0, 6, 2, 1),
        Gang(1, 3, 1, 1),
        Gang(2, 1, 1, 2),
        Gang(0, 1, 1, 1),
        Gang(1, 3, 1, 1),
    ]

    assert starts(gangs, 6, backfill=True) == [0, 2, 3, 2, 3]
    assert engine_starts(gangs, 6, "easy", tmp_path) == [0, 2, 3, 2, 3]


def test_the_counter_backfills_only_what_does_not_delay_the_head() -> None:
    # 4 nodes: 3 busy to 10; the head needs 4 at 10. Short fits before 10, long would delay it.
    gangs = [Gang(0, 3, 10, 10), Gang(1, 4, 5, 5), Gang(2, 1, 8, 8), Gang(2, 1, 9, 9)]

    assert starts(gangs, 4, backfill=True) == [0, 10, 2, 15]
    assert starts(gangs, 4, backfill=False) == [0, 10, 15, 15]


def shared_file(shared: Path, folder: Path, *, count: int, nodes: int, seed: int) -> Path:
    path = folder / f"g-{count}-{nodes}-{seed}.csv"
    words = ["-n", str(count), "--nodes", str(nodes), "--rho", "0.95" if seed > 1 else "0.9"]
    script = str(shared / "yardstick" / "gen.py")
    seeded = ["--seed", str(seed), "--form", "csv", "-o", str(path)]
    subprocess.run([sys.executable, script, *words, *seeded], check=True, capture_output=True)
    return path


def read_gangs(path: Path) -> list[Gang]:
    with path.open() as lines:
        return [
            Gang(*(int(row[name]) for name in ("submit_s", "nodes", "duration_s", "walltime_s")))
            for row in csv.DictReader(lines)
        ]


def shared_hash(shared: Path, path: Path, *, nodes: int, policy: str) -> str:
    script = str(shared / "yardstick" / "ref.py")
    words = [sys.executable, script, str(path), "--nodes", str(nodes), "--policy", policy]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return said.split("hash=")[1].split()[0]


def hash_of(found: list[int]) -> str:
    return hashlib.sha256(",".join(map(str, found)).encode()).hexdigest()[:12]


@pytest.mark.shared
@pytest.mark.parametrize(("policy", "known"), [("fifo", "e2b44d1f35db"), ("easy", "df70c891e785")])
def test_ten_thousand_gangs_give_the_published_hash(
    policy: str, known: str, shared_dir: Path, tmp_path: Path
) -> None:
    gangs = read_gangs(shared_file(shared_dir, tmp_path, count=10_000, nodes=1642, seed=1))

    assert hash_of(engine_starts(gangs, 1642, policy, tmp_path)) == known


@pytest.mark.shared
@pytest.mark.parametrize("policy", ["fifo", "easy"])
@pytest.mark.parametrize(
    ("count", "nodes", "seed"), [(300, 64, 2), (300, 70, 3), (500, 97, 4), (800, 256, 5)]
)
def test_other_files_start_as_the_shared_reference_says(
    policy: str, count: int, nodes: int, seed: int, shared_dir: Path, tmp_path: Path
) -> None:
    path = shared_file(shared_dir, tmp_path, count=count, nodes=nodes, seed=seed)
    gangs = read_gangs(path)

    found = engine_starts(gangs, nodes, policy, tmp_path)

    assert hash_of(found) == shared_hash(shared_dir, path, nodes=nodes, policy=policy)
    assert found == starts(gangs, nodes, backfill=policy == "easy")
