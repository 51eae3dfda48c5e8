"""A yardstick workload and how fast the whole cycle runs it, ledger and all."""

import math
import resource
import time

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.policy import policy_named
from dure.core.state import State
from dure.twin.run import Inputs, Result, Run
from dure.twin.tables import pool_for_clusters

NODE_GPUS = 8
OFFERED_LOAD = 0.9
# Nodes of a gang and how often; the rest is any size up to the largest.
_SIZES = ((1, 0.52), (2, 0.14), (4, 0.12), (8, 0.09), (16, 0.06), (32, 0.03), (64, 0.015))
LARGE_NODES, _LARGEST_NODES = 33, 512
_DURATION_S = (7200, 1.3, 60, 3 * 86_400)  # median, sigma of the logarithm, least, most


def yardstick_jobs(
    count: int, nodes: int, *, seed: int, load: float = OFFERED_LOAD, large_every: int = 0
) -> pl.DataFrame:
    """Return whole-node gangs with over-estimated limits, in the jobs table's form.

    Poisson arrivals at the offered load; the same law as the published comparisons
    (docs/figures.md), drawn by our own generator.

    Args:
        large_every: one gang in so many is large, 33 to 512 nodes; 0 is none.
    """
    rng = np.random.default_rng(seed)
    sizes = [size for size, _ in _SIZES if size <= nodes]
    chance = [p for size, p in _SIZES if size <= nodes]
    largest = sizes[-1]
    pick = rng.choice(len(sizes) + 1, size=count, p=[*chance, 1 - sum(chance)])
    odd = rng.integers(1, largest + 1, size=count)
    gang = np.where(pick < len(sizes), np.array([*sizes, 0])[pick], odd)
    if large_every > 0:
        large = rng.permutation(count)[: count // large_every]
        gang[large] = rng.integers(LARGE_NODES, min(_LARGEST_NODES, nodes) + 1, large.size)
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
    result = prepared.result()
    figures["utilisation"] = round(float(str(result.summary["utilisation"])), 4)
    return figures | waiting_figures(prepared.runtime.state), result


def waiting_figures(state: State) -> dict[str, object]:
    """Return how long large gangs waited, what they were promised, and use while others waited.

    *Backlog* is every moment up to the last submission at which somebody waited for GPUs; use in
    backlog is the GPU-seconds used in such moments over the capacity in them. So neither the first
    filling of the pool counts nor the end, when nobody comes any more.
    """
    jobs = state.c.jobs[:, : len(state.job_names)]
    jobs = jobs[:, jobs[col.J_FIRST_START] >= 0]
    submit, begin, end = jobs[[col.J_SUBMIT, col.J_FIRST_START, col.J_ENDED]]
    moments = np.unique(np.concatenate([submit, begin, end]))
    used, waiting = (
        _running_sum(moments, since, jobs[col.J_GPUS]) - _running_sum(moments, to, jobs[col.J_GPUS])
        for since, to in ((begin, end), (submit, begin))
    )
    lasts_s = np.append(np.diff(moments), 0)
    lasts_s[(waiting == 0) | (moments >= submit.max(initial=0))] = 0
    capacity = int(state.c.nodes[col.N_GPUS].sum()) * int(lasts_s.sum())
    wait_s, promise_s = begin - submit, jobs[col.J_PROMISED] - submit
    large = jobs[col.J_GPUS] >= LARGE_NODES * NODE_GPUS
    dated = jobs[col.J_PROMISED] >= 0
    return {
        "utilisation_in_backlog": round(int((used * lasts_s).sum()) / max(capacity, 1), 4),
        "backlog_h": round(int(lasts_s.sum()) / 3600, 1),
        "large_gangs": int(large.sum()),
        "large_wait_h_max": _hours(wait_s[large]),
        "wait_h_max": _hours(wait_s),
        "dates": int(dated.sum()),
        "large_promise_h_max": _hours(promise_s[large & dated]),
        "dates_missed": int((wait_s > promise_s)[dated].sum()),
    }


def _running_sum(moments: IntArray, at_s: IntArray, amount: IntArray) -> IntArray:
    change = np.zeros(moments.size, dtype=np.int64)
    np.add.at(change, np.searchsorted(moments, at_s), amount)
    return np.cumsum(change)


def _hours(seconds: IntArray) -> float:
    return round(int(seconds.max(initial=0)) / 3600, 1)
