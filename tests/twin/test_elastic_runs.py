"""Elastic gangs in the twin's files: two classes in one attempt, nothing counted twice or lost."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from typer.testing import CliRunner

from dure.cli.main import app

runner = CliRunner()


def write_inputs(folder: Path) -> None:
    """Write a pool of two owners and jobs, two thirds of which may shrink to a quarter."""
    rng = np.random.default_rng(3)
    count = 160
    gpus = rng.choice([4, 8, 16, 24], count)
    pl.DataFrame(
        {
            "job": [f"j{i}" for i in range(count)],
            "submit_at_s": np.sort(rng.integers(0, 40_000, count)),
            "duration_s": rng.integers(60, 6_000, count),
            "gpus": gpus,
            "min_gpus": np.where(rng.random(count) < 0.67, gpus // 4, 0),
            "provider": rng.choice(["a", "b"], count),
            "checkpoint_every_s": rng.choice([60, 300], count),
        }
    ).write_parquet(folder / "jobs.parquet")
    pl.DataFrame(
        {
            "node": [f"n{i}" for i in range(8)],
            "provider": ["a"] * 4 + ["b"] * 4,
            "cluster": "c",
            "leaf": "l",
            "accelerator": "B200",
            "gpus": 8,
        }
    ).write_parquet(folder / "pool.parquet")


def test_files_of_a_run_with_elastic_gangs_add_up_and_replay(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    words = ["--jobs", tmp_path / "jobs.parquet", "--pool", tmp_path / "pool.parquet"]
    words += ["--policy", "dure", "--out", tmp_path]

    done = runner.invoke(app, ["twin", "run", *map(str, words)])
    again = runner.invoke(app, ["replay", "--data", str(tmp_path), "-o", "json"])

    assert done.exit_code == 0, done.output
    assert json.loads(again.output)["different"] == []
    placements = pl.read_parquet(tmp_path / "placements.parquet")
    jobs = pl.read_parquet(tmp_path / "jobs.parquet")
    summary = json.loads((tmp_path / "summary.json").read_text())
    milli_s = pl.col("gpu_milli") * (pl.col("to_s") - pl.col("from_s"))
    for kind in ("own", "loan", "scavenge"):
        part = placements.filter(pl.col("class") == kind).select(milli_s.sum()).item()
        assert part == summary[f"{kind}_gpu_s"] * 1000
    attempts = placements.group_by("job", "attempt").agg(
        pl.col("gpu_milli").sum(), kinds=pl.col("class").n_unique()
    )
    assert (attempts["kinds"] == 2).any()
    assert (placements["end_cause"] == "resized").any()
    sizes = attempts.join(jobs, on="job").select(
        least=pl.when(pl.col("min_gpus") > 0).then("min_gpus").otherwise("gpus") * 1000,
        have="gpu_milli",
        most=pl.col("gpus") * 1000,
    )
    assert sizes.filter(~pl.col("have").is_between("least", "most")).is_empty()
    assert (sizes["have"] < sizes["most"]).any()
