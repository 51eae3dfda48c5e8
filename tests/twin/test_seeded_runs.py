"""Seeded runs of every policy with faults and dated allocations; invariants after every cycle."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dure.core.columns import POLICIES
from dure.core.policy import policy_named
from dure.core.record import unpack
from dure.core.state import State
from dure.services.ports import KIND_CYCLE
from dure.services.replaying import replay
from dure.twin.run import Inputs, Result, Run
from dure.twin.tables import read_jobs, read_pool

SPAN_S = 40_000
TYPES = ("A", "B")


def make_pool(rng: np.random.Generator) -> pl.DataFrame:
    nodes = int(rng.integers(6, 20))
    return pl.DataFrame(
        {
            "node": [f"n{i:02}" for i in range(nodes)],
            "provider": [f"p{i % 3}" for i in range(nodes)],
            "cluster": [f"c{i % 3}" for i in range(nodes)],
            "leaf": [f"l{i // 4}" for i in range(nodes)],
            "accelerator": [TYPES[(i // 2) % 2] for i in range(nodes)],
            "gpus": rng.choice([4, 8], nodes),
            "cpu_milli": np.full(nodes, 64_000),
            "memory_mib": np.full(nodes, 512_000),
            "grade": rng.choice(["O", "S", "C"], nodes, p=[0.2, 0.2, 0.6]),
            "in_service_at_s": rng.choice([0, 0, 0, 9_000], nodes),
        }
    )


def make_jobs(rng: np.random.Generator, count: int = 160) -> pl.DataFrame:
    gpus = rng.choice([1, 2, 3, 4, 8, 12, 20], count, p=[0.35, 0.15, 0.05, 0.15, 0.2, 0.05, 0.05])
    small = gpus <= 2
    return pl.DataFrame(
        {
            "job": [f"j{i}" for i in range(count)],
            "project": rng.choice(["", "x", "y", "z"], count),
            "provider": rng.choice(["", "p0", "p1", "nobody"], count),
            "submit_at_s": np.sort(rng.integers(0, SPAN_S, count)),
            "duration_s": rng.choice([0, 30, 900, 5_000], count),
            "gpus": gpus,
            "gpu_milli": np.where(small & (rng.random(count) < 0.4), 300, 1000),
            "accelerator": rng.choice(["", "A", "B", "A|B"], count),
            "class": rng.choice(["", "own", "loan", "scavenge"], count, p=[0.85, 0.05, 0.05, 0.05]),
            "locality": rng.choice(["any", "required:leaf", "preferred:leaf:600"], count),
            "estimate_s": rng.choice([100, 6_000], count),
            "checkpoint_every_s": rng.choice([0, 120, 1_000], count),
            "checkpoint_takes_s": rng.choice([0, 20, 4_000], count),
            "preemptible": rng.random(count) < 0.8,
            "grade": rng.choice(["O", "S", "C"], count, p=[0.8, 0.1, 0.1]),
            "cpu_milli": rng.choice([0, 8_000], count),
        }
    )


def make_allocations(rng: np.random.Generator) -> pl.DataFrame:
    count = 6
    from_s = rng.integers(0, SPAN_S // 2, count)
    return pl.DataFrame(
        {
            "project": rng.choice(["x", "y"], count),
            "accelerator": rng.choice(list(TYPES), count),
            "gpus": rng.choice([4, 8, 12], count),
            "from_s": from_s,
            "to_s": from_s + rng.integers(100, SPAN_S, count),
        }
    )


def make_faults(rng: np.random.Generator, nodes: list[str]) -> pl.DataFrame:
    count = 25
    from_s = rng.integers(0, SPAN_S, count)
    return pl.DataFrame(
        {
            "node": rng.choice(nodes, count),
            "from_s": from_s,
            "to_s": from_s + rng.choice([0, 50, 3_000], count),
            "class": ["gpu_hard"] * count,
            "gpus": rng.choice([0, 1, 2], count),
        }
    )


def make_run(seed: int, policy: str, folder: Path) -> Run:
    rng = np.random.default_rng(seed)
    make_pool(rng).write_parquet(folder / "pool.parquet")
    make_jobs(rng).write_parquet(folder / "jobs.parquet")
    pool = read_pool(folder / "pool.parquet")
    return Run(
        Inputs(
            read_jobs(folder / "jobs.parquet"),
            pool,
            policy_named(policy),
            make_allocations(rng),
            make_faults(rng, pool["node"].to_list()),
            seed=seed,
            check_every=1,
        )
    )


def kept_promises(result: Result, policy: str) -> list[str]:
    """Return a sentence for each return that was late or a stop that destroyed what it need not."""
    broken = []
    back = result.reclaims.filter(pl.col("outcome") == "returned")
    for row in back.filter(pl.col("started_at_s") > pl.col("due_at_s")).iter_rows(named=True):
        broken.append(f"late: {row}")
    if policy != "dure" and result.reclaims.height:
        broken.append("a baseline reclaims")
    return broken


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(12))
def test_invariants_hold_after_every_cycle(policy: str, seed: int, tmp_path: Path) -> None:
    prepared = make_run(seed, policy, tmp_path)

    result = prepared.go()  # checks every cycle; the message names what broke

    repeat = f"seed {seed}, policy {policy}"
    assert kept_promises(result, policy) == [], repeat
    ended = {"COMPLETED", "REFUSED", "PENDING"}
    assert set(result.jobs["state"].unique()) <= ended, repeat
    assert replay(prepared.runtime.ledger, 1, None).different == (), repeat


@pytest.mark.parametrize("seed", range(4))
def test_folding_the_log_gives_the_state_at_every_record(seed: int, tmp_path: Path) -> None:
    prepared = make_run(seed, "dure", tmp_path)
    seen: list[str] = []
    prepared.runtime.listeners.append(lambda state, record: seen.append(state.digest()))
    prepared.go()

    state = State(prepared.runtime.state.pool, prepared.runtime.state.policy)
    folded = []
    for record in prepared.runtime.ledger.read():
        if record.kind == KIND_CYCLE:
            state.fold(unpack(record.payload))
            folded.append(state.digest())

    assert folded == seen


def test_some_seed_reclaims_and_some_gang_saves_in_time(tmp_path: Path) -> None:
    # The runs above prove nothing about returns if none of them has any.
    outcomes = set()
    for seed in range(12):
        outcomes |= set(make_run(seed, "dure", tmp_path).go().reclaims["outcome"].to_list())

    assert "returned" in outcomes
