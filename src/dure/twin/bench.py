"""A yardstick workload and how fast the whole cycle runs it, ledger and all."""

import math
import resource
import time

import numpy as np
import polars as pl

from dure.core.policy import policy_named
from dure.twin.run import Inputs, Result, Run
from dure.twin.tables import pool_for_clusters

NODE_GPUS = 8
OFFERED_LOAD = 0.9
# Nodes of a gang and how often; the rest is any size up to the largest.
_SIZES = ((1, 0.52), (2, 0.14), (4, 0.12), (8, 0.09), (16, 0.06), (32, 0.03), (64, 0.015))
_DURATION_S = (7200, 1.3, 60, 3 * 86_400)  # median, sigma of the logarithm, least, most


def yardstick_jobs(
    count: int, nodes: int, *, seed: int, load: float = OFFERED_LOAD
) -> pl.DataFrame:
    """Return whole-node gangs with over-estimated limits, in the jobs table's form.

    Poisson arrivals at the offered load; the same law as the published comparisons
    (docs/figures.md), drawn by our own generator.
    """
    rng = np.random.default_rng(seed)
    sizes = [size for size, _ in _SIZES if size <= nodes]
    chance = [p for size, p in _SIZES if size <= nodes]
    largest = sizes[-1]
    pick = rng.choice(len(sizes) + 1, size=count, p=[*chance, 1 - sum(chance)])
    odd = rng.integers(1, largest + 1, size=count)
    gang = np.where(pick < len(sizes), np.array([*sizes, 0])[pick], odd)
    median_s, sigma, least_s, most_s = _DURATION_S
    duration = np.clip(rng.lognormal(math.log(median_s), sigma, count), least_s, most_s)
    duration_s = duration.astype(np.int64)
    estimate_s = np.ceil(duration_s * rng.uniform(1.1, 4.0, count) / 900).astype(np.int64) * 900
    gap_s = float((gang * duration_s).sum()) / (load * nodes) / count
    submit_s = np.cumsum(rng.exponential(gap_s, count)).astype(np.int64)
    frame = pl.DataFrame(
        {
            "job": [str(i + 1) for i in range(count)],
            "submit_at_s": submit_s,
            "duration_s": duration_s,
            "gpus": gang * NODE_GPUS,
            "nodes": gang,
            "gpus_per_node": np.full(count, NODE_GPUS),
            "estimate_s": estimate_s,
            "project": [f"u{i}" for i in rng.integers(0, 400, count).tolist()],
        }
    )
    return frame


def run_bench(jobs: pl.DataFrame, *, nodes: int, policy: str) -> tuple[dict[str, object], Result]:
    """Run once to warm the kernels on a slice, then time the whole: figures and the result."""
    pool = pool_for_clusters({"bench": nodes * NODE_GPUS})
    Run(Inputs(jobs.head(200), pool, policy_named(policy))).go()
    prepared = Run(Inputs(jobs, pool, policy_named(policy)))
    wall, cpu = time.perf_counter(), time.process_time()
    prepared.clockwork.run(prepared.horizon_s)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures: dict[str, object] = {
        "jobs": jobs.height,
        "nodes": nodes,
        "policy": policy,
        "cpu_s": round(cpu_s, 3),
        "wall_s": round(wall_s, 3),
        "jobs_per_cpu_s": round(jobs.height / cpu_s, 1),
        "cycles": prepared.clockwork.cycles,
        "rss_mb_max": round(peak_kib / 1024, 1),
    }
    return figures, prepared.result()
