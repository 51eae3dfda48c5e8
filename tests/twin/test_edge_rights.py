"""A day of ten edge sites: each has a right that changes every minute, all lend what they leave."""

from pathlib import Path

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.policy import policy_named
from dure.core.state import CycleRecord, State
from dure.twin.run import Inputs, Result, Run
from dure.twin.tables import read_allocations, read_jobs, read_pool

SITES, NODES, DAY_S = 10, 40, 86_400


def _rights(rng: np.random.Generator) -> np.ndarray:
    """Draw each site's GPUs by the minute: a day's wave, noise on it; shape (site, minute)."""
    minute = np.arange(1440)
    wave = 12 + 8 * np.sin(2 * np.pi * (minute / 1440 + rng.random((SITES, 1))))
    gpus: np.ndarray = np.clip(wave + rng.normal(0, 3, (SITES, 1440)), 0, 28).astype(np.int64)
    return gpus


def _allocations(gpus: np.ndarray) -> pl.DataFrame:
    site, minute = (part.ravel() for part in np.indices(gpus.shape))
    edges = pl.DataFrame(
        {
            "project": [f"edge-{i}" for i in site.tolist()],
            "accelerator": "B200",
            "gpus": gpus.ravel(),
            "from_s": minute * 60,
            "to_s": minute * 60 + 60,
        }
    )
    public = pl.DataFrame(
        {"project": "public", "accelerator": "B200", "gpus": 8, "from_s": 0, "to_s": 10 * DAY_S}
    )
    return pl.concat([edges.filter(pl.col("gpus") > 0), public], how="vertical_relaxed")


def _jobs(rng: np.random.Generator) -> pl.DataFrame:
    """Sites hand in short work all day, the public long work that saves every ten minutes."""
    short, long = 1500, 400
    sites = {
        "submit_at_s": rng.integers(0, DAY_S, short),
        "duration_s": rng.integers(60, 1_200, short),
        "gpus": rng.choice([1, 2, 4, 8], short),
        "project": [f"edge-{i}" for i in rng.integers(0, SITES, short).tolist()],
        "checkpoint_every_s": np.full(short, 60),
    }
    public = {
        "submit_at_s": rng.integers(0, DAY_S // 2, long),
        "duration_s": rng.integers(3_600, 40_000, long),
        "gpus": rng.choice([4, 8, 8, 16, 32], long),
        "project": ["public"] * long,
        "checkpoint_every_s": np.full(long, 600),
    }
    jobs = pl.concat([pl.DataFrame(sites), pl.DataFrame(public)]).sort("submit_at_s")
    return jobs.with_row_index("job").with_columns(pl.col("job").cast(pl.String))


class Watch:
    """Listens to a run: claims, when they were due and served, and rights at every cycle."""

    def __init__(self, gpus: np.ndarray) -> None:
        self._gpus, self._due_at_s = gpus, dict[int, int]()
        self.waited_s: list[int] = []
        self.late = self.wrong = self.early = 0

    def __call__(self, state: State, record: CycleRecord) -> None:
        now_s = state.now_s
        for kind, _, job, a, *_ in record.decided.tolist():
            if kind == col.K_CLAIMED:
                self._due_at_s[job] = a
                owner = int(state.c.jobs[col.J_OWNER, job])
                need = state.c.jobs[col.J_SIZE, job] * col.WHOLE
                self.early += int(need > state.c.rights[col.E_ENTITLED, owner, 0])
            elif kind == col.K_CLAIM_ENDED and a in (col.CLAIM_SERVED, col.CLAIM_ELSEWHERE):
                due_at_s = self._due_at_s.pop(job)
                self.waited_s.append(now_s - due_at_s + state.policy.return_s)
                self.late += now_s > due_at_s
        if now_s < DAY_S:
            for site in range(SITES):
                account = state.account_index[col.ACCOUNT_PROJECT, f"edge-{site}"]
                have = int(state.c.rights[col.E_ENTITLED, account, 0])
                self.wrong += have != self._gpus[site, now_s // 60] * col.WHOLE


def day(folder: Path, seed: int, **rules: object) -> tuple[Result, Watch]:
    """Run a day; return what came of it."""
    rng = np.random.default_rng(seed)
    gpus = _rights(rng)
    pool = pl.DataFrame(
        {
            "node": [f"n{i:02}" for i in range(NODES)],
            "provider": "q",
            "cluster": "c",
            "leaf": [f"l{i // 10}" for i in range(NODES)],
            "accelerator": "B200",
            "gpus": 8,
        }
    )
    tables = {"pool": pool, "jobs": _jobs(rng), "allocations": _allocations(gpus)}
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    watch = Watch(gpus)
    run = Run(
        Inputs(
            jobs=read_jobs(folder / "jobs.parquet"),
            pool=read_pool(folder / "pool.parquet"),
            policy=policy_named("dure", **rules),
            allocations=read_allocations(folder / "allocations.parquet"),
            days=1,
        )
    )
    run.runtime.listeners.append(watch)
    return run.go(), watch


def test_rights_hold_to_the_second_and_every_claim_is_served_in_time(tmp_path: Path) -> None:
    result, watch = day(tmp_path, 1)

    assert watch.wrong == watch.late == 0
    assert result.summary["reclaims_late"] == 0
    assert len(watch.waited_s) > 50
    assert watch.early > 0
    assert result.summary["loan_gpu_s"] > 0
