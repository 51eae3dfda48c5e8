"""`dure twin run` as people use it: every policy, its files, its replay, bad input."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from dure.cli.main import app
from dure.core.columns import POLICIES
from dure.core.policy import policy_named
from dure.twin.run import Inputs, Run
from dure.twin.tables import pool_for_clusters, read_jobs

runner = CliRunner()


def write_inputs(folder: Path, *, jobs: int = 120, seed: int = 7) -> tuple[Path, Path]:
    """Write a small crowded pool of two owners and seeded jobs for it."""
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "job": [f"j{i}" for i in range(jobs)],
            "submit_at_s": np.sort(rng.integers(0, 20_000, jobs)),
            "duration_s": rng.integers(0, 4_000, jobs),
            "gpus": rng.choice([1, 2, 4, 8, 12, 16], jobs),
            "provider": rng.choice(["a", "b"], jobs),
            "estimate_s": rng.integers(100, 8_000, jobs),
            "checkpoint_every_s": rng.choice([0, 300], jobs),
        }
    )
    table.write_parquet(folder / "jobs.parquet")
    pool_for_clusters({"a": 32, "b": 16}).write_parquet(folder / "pool.parquet")
    return folder / "jobs.parquet", folder / "pool.parquet"


def run(*words: object) -> object:
    return runner.invoke(app, ["twin", "run", *(str(word) for word in words)])


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_ends_all_jobs_and_replays_byte_for_byte(policy: str, tmp_path: Path) -> None:
    jobs, pool = write_inputs(tmp_path)

    done = run("--jobs", jobs, "--pool", pool, "--policy", policy, "--out", tmp_path / "out")
    again = runner.invoke(app, ["replay", "--data", str(tmp_path / "out"), "-o", "json"])

    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["jobs_done"] == 120
    kinds = ("own", "loan", "scavenge", "idle", "reserved", "draining", "down")
    span_s = summary["to_s"] - summary["from_s"]
    assert sum(summary[f"{kind}_gpu_s"] for kind in kinds) == 48 * span_s
    assert json.loads(again.output)["different"] == []
    assert json.loads(again.output)["cycles"] > 120


def test_a_job_runs_as_long_as_its_accelerator_is_slow(tmp_path: Path) -> None:
    pool = pl.concat(
        pool_for_clusters({name: 8}, accelerator=kind).with_columns(speed_milli=pl.lit(speed))
        for name, kind, speed in (("a", "H200", 1000), ("b", "B200", 2500))
    )
    pool.write_parquet(tmp_path / "pool.parquet")
    asked = ["", "H200", "H200|B200", "B200|H200", "B200"]
    jobs = pl.DataFrame(
        {
            "job": [accelerator or "any" for accelerator in asked],
            "submit_at_s": [0, 10_000, 20_000, 30_000, 40_000],
            "duration_s": 1001,
            "gpus": 8,
            "accelerator": asked,
        }
    )
    jobs.write_parquet(tmp_path / "jobs.parquet")
    files = ("--jobs", tmp_path / "jobs.parquet", "--pool", tmp_path / "pool.parquet")

    done = run(*files, "--policy", "dure", "--out", tmp_path / "out")
    again = runner.invoke(app, ["replay", "--data", str(tmp_path / "out"), "-o", "json"])

    assert done.exit_code == 0, done.output
    ran = dict(pl.read_parquet(tmp_path / "out" / "jobs.parquet").select("job", "run_s").rows())
    # Alone in the pool, so each takes a B200 if it may: 1001 / 2.5 rounded up, or what it declared.
    assert ran == {"any": 401, "H200": 1001, "H200|B200": 401, "B200|H200": 1001, "B200": 1001}
    assert json.loads(again.output)["different"] == []


def test_two_runs_with_one_seed_write_the_same_bytes(tmp_path: Path) -> None:
    jobs, pool = write_inputs(tmp_path)

    for name in ("one", "two"):
        run("--jobs", jobs, "--pool", pool, "--out", tmp_path / name)

    files = sorted(path.name for path in (tmp_path / "one").iterdir() if path.name != "timing.json")
    assert "ledger.db" in files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), (
            name
        )


def test_a_tampered_plan_does_not_replay(tmp_path: Path) -> None:
    jobs, pool = write_inputs(tmp_path)
    prepared = Run(Inputs(read_jobs(jobs), _pool(pool), policy_named("dure")))
    prepared.go()
    ledger = prepared.runtime.ledger
    from dure.core.record import pack, unpack
    from dure.ledger.memory import MemoryLedger
    from dure.services.ports import KIND_CYCLE, Entry
    from dure.services.replaying import replay

    forged, changed = MemoryLedger(), 0
    for record in ledger.read():
        payload = record.payload
        if record.kind == KIND_CYCLE and not changed:
            cycle = unpack(payload)
            if len(cycle.decided):
                cycle.decided[-1, 4] ^= 1 << 7
                payload, changed = pack(cycle), record.seq
        forged.append([Entry(record.kind, record.at_s, payload)], expect=record.seq - 1)

    assert replay(ledger, 1, None).different == ()
    assert replay(forged, changed, changed).different == (changed,)


def test_a_job_that_can_never_fit_is_refused_at_once_and_the_run_goes_on(tmp_path: Path) -> None:
    _, pool = write_inputs(tmp_path)
    table = pl.DataFrame(
        {
            "job": ["huge", "odd", "foreign", "fine"],
            "submit_at_s": [0, 0, 0, 0],
            "duration_s": [10, 10, 10, 10],
            "gpus": [64, 8, 8, 8],
            "nodes": [0, 3, 0, 0],
            "accelerator": ["", "", "NPU", ""],
        }
    )
    table.write_parquet(tmp_path / "bad.parquet")

    done = run("--jobs", tmp_path / "bad.parquet", "--pool", pool, "--out", tmp_path / "out")

    assert done.exit_code == 0, done.output
    jobs = pl.read_parquet(tmp_path / "out" / "jobs.parquet")
    assert dict(zip(jobs["job"], jobs["reason"], strict=True)) == {
        "huge": "NeverFits",
        "odd": "ShapeDoesNotAddUp",
        "foreign": "UnknownAccelerator",
        "fine": "",
    }
    assert jobs["state"].to_list() == ["REFUSED"] * 3 + ["COMPLETED"]


@pytest.mark.parametrize(
    ("column", "value", "names"),
    [("gpus", -3, ("row 5", "gpus", "-3")), ("submit_at_s", None, ("row 5", "submit_at_s"))],
)
def test_a_malformed_row_stops_with_its_file_row_and_column(
    column: str, value: int | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    jobs, pool = write_inputs(tmp_path)
    table = pl.read_parquet(jobs)
    column_values = table[column].to_list()
    column_values[4] = value
    table.with_columns(pl.Series(column, column_values)).write_parquet(jobs)

    done = run("--jobs", jobs, "--pool", pool)

    assert done.exit_code == 2
    for part in ("jobs.parquet", *names):
        assert part in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_policy_says_which_there_are(tmp_path: Path) -> None:
    jobs, pool = write_inputs(tmp_path)
    (tmp_path / "mine.yaml").write_text("base: dure\nretrun_s: 60\n")

    for policy in ("magic", tmp_path / "mine.yaml"):
        done = run("--jobs", jobs, "--pool", pool, "--policy", policy)
        assert done.exit_code == 2
        assert "easy" in done.stderr or "return_s" in done.stderr


def _pool(path: Path) -> pl.DataFrame:
    from dure.twin.tables import read_pool

    return read_pool(path)


def test_the_worked_example_of_the_sharing_page(tmp_path: Path) -> None:
    # docs/sharing.md: ten nodes; B borrows beyond its 40, saves every 10 minutes; A asks at 09:00.
    nine_s = 9 * 3600
    starts_s = [nine_s - 100, nine_s - 100, nine_s - 100, nine_s - 400, nine_s - 150]
    table = pl.DataFrame(
        {
            "job": ["b1", "b2", "b3", "b4", "b5", "a1"],
            "project": ["B"] * 5 + ["A"],
            "submit_at_s": [*sorted(starts_s), nine_s],
            "duration_s": [50_000] * 5 + [100],
            "gpus": [16] * 6,
            "checkpoint_every_s": [600] * 5 + [0],
        }
    )
    table.write_parquet(tmp_path / "jobs.parquet")
    rights = pl.DataFrame(
        {"project": ["A", "B"], "accelerator": "GPU", "gpus": 40, "from_s": 0, "to_s": 10**9}
    )
    pool = pool_for_clusters({"x": 80})

    result = Run(
        Inputs(read_jobs(tmp_path / "jobs.parquet"), pool, policy_named("dure"), rights)
    ).go()

    row = result.reclaims.row(0, named=True)
    assert row["outcome"] == "returned"
    assert row["borrower_job"] != "b1"  # promoted to own: it was submitted first
    stopped_s = row["vacated_at_s"]
    borrower = result.placements.filter(pl.col("job") == row["borrower_job"])
    assert (stopped_s - borrower["from_s"].min()) % 600 == 0  # at its checkpoint
    assert row["cleaned_at_s"] == stopped_s + 10
    assert row["started_at_s"] == stopped_s + 30
    assert row["started_at_s"] <= row["due_at_s"]
    assert result.summary["lost_gpu_s"] == 0


def test_a_swap_shows_in_the_placements(tmp_path: Path) -> None:
    job = {"job": "g", "submit_at_s": 0, "duration_s": 1000, "gpus": 16, "checkpoint_every_s": 100}
    pl.DataFrame([job]).write_parquet(tmp_path / "jobs.parquet")
    pool_for_clusters({"a": 24}).write_parquet(tmp_path / "pool.parquet")
    fault = {"node": "a-0002", "from_s": 250, "to_s": 900, "class": "GPU"}
    pl.DataFrame([fault]).write_parquet(tmp_path / "faults.parquet")

    out = tmp_path / "out"
    words = ("--jobs", tmp_path / "jobs.parquet", "--pool", tmp_path / "pool.parquet")
    rules = tmp_path / "swap.yaml"
    rules.write_text("base: dure\nswap: true\n")
    faults = ("--faults", tmp_path / "faults.parquet")
    done = run(*words, "--policy", rules, *faults, "--out", out)

    assert done.exit_code == 0, done.output
    table = pl.read_parquet(out / "placements.parquet")
    assert table.select("attempt", "node", "from_s", "to_s", "end_cause").rows() == [
        (1, "a-0001", 0, 250, "swapped"),
        (1, "a-0002", 0, 250, "swapped"),
        (2, "a-0001", 250, 1050, "done"),
        (2, "a-0003", 250, 1050, "done"),
    ]
