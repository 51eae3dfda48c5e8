"""A run's last tables and its summary: jobs, nodes, faults, and the figures people compare."""

from pathlib import Path

import numpy as np
import polars as pl

import dure
from dure.core import columns as col
from dure.core.forgetting import JobRows
from dure.core.state import State
from dure.services.words import REFUSALS

Summary = dict[str, object]
# The columns of ``jobs.parquet`` that the summary is made of.
SUMMARISED = (
    "project",
    "provider",
    "submit_at_s",
    "state",
    "end_at_s",
    "wait_s",
    "queued_s",
    "lost_gpu_s",
)


def nodes_table(state: State) -> pl.DataFrame:
    """Return ``nodes.parquet``, in the engine's order."""
    pool = state.pool
    order = pool.order.tolist()
    texts = ("node", "provider", "cluster", "leaf", "accelerator")
    frame = pl.DataFrame({name: [getattr(pool, name)[i] for i in order] for name in texts})
    return frame.with_columns(gpus=pl.Series(pool.gpus[pool.order], dtype=pl.Int64))


def jobs_table(rows: JobRows, state: State, *, to_s: int) -> pl.DataFrame:
    """Return ``jobs.parquet`` of these jobs; what has not ended by ``to_s`` is counted up to it."""
    jobs = rows.columns
    status = jobs[col.J_STATE]
    waiting, running = status == col.PENDING, (status == col.RUNNING) | (status == col.STOPPING)
    queued_s = jobs[col.J_QUEUED_S] + np.where(waiting, to_s - jobs[col.J_QUEUED_SINCE], 0)
    run_s = jobs[col.J_RUN_S] + np.where(running, to_s - jobs[col.J_STARTED], 0)
    first = jobs[col.J_FIRST_START]
    ended = np.where(status == col.REFUSED, -1, jobs[col.J_ENDED])
    accounts, providers = [a.name for a in state.accounts], state.pool.providers
    frame = pl.DataFrame(
        {
            "job": rows.names,
            "project": [accounts[i] if i else "" for i in jobs[col.J_PROJECT].tolist()],
            "provider": [providers[i] if i >= 0 else "" for i in jobs[col.J_PROVIDER].tolist()],
            "submit_at_s": jobs[col.J_SUBMIT],
            "gpus": jobs[col.J_GPUS],
            "gpu_milli": jobs[col.J_MILLI],
            "min_gpus": jobs[col.J_MIN_GPUS],
            "state": [col.JOB_STATES[i] for i in status.tolist()],
            "reason": [REFUSALS[i] for i in jobs[col.J_REASON].tolist()],
            "first_start_at_s": first,
            "end_at_s": ended,
            "attempts": jobs[col.J_ATTEMPT],
            "wait_s": np.where(first >= 0, first - jobs[col.J_SUBMIT], -1),
            "queued_s": np.where(status == col.REFUSED, 0, queued_s),
            "run_s": run_s,
            "lost_gpu_s": jobs[col.J_LOST] // col.WHOLE,
        }
    )
    optional = ("first_start_at_s", "end_at_s", "wait_s")
    # -1 is none, in the columns where it stands for that; submissions may be at any second >= 0.
    return frame.with_columns(
        pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in optional
    )


def faults_table(faults: pl.DataFrame, nodes: pl.DataFrame, *, to_s: int) -> pl.DataFrame:
    """Return ``faults.parquet``: what was replayed, ``gpus`` being the devices that were down."""
    known = faults.filter(pl.col("from_s") <= to_s).join(
        nodes.select("node", size="gpus"), on="node", how="inner", maintain_order="left"
    )
    gpus = pl.when(pl.col("gpus") > 0).then(pl.min_horizontal("gpus", "size")).otherwise("size")
    return known.select("node", "from_s", "to_s", "class", gpus=gpus).sort("node", "from_s", "to_s")


def _mean(column: pl.Series) -> float:
    return float(column.mean() or 0.0)  # type: ignore[arg-type]


def _quantile(column: pl.Series, share: float) -> float:
    return float(column.quantile(share, "nearest") or 0.0)


def _gpu_s(milli_s: int) -> int | float:
    return milli_s // col.WHOLE if milli_s % col.WHOLE == 0 else milli_s / col.WHOLE


def _by(jobs: pl.DataFrame, key: str) -> dict[str, dict[str, float]]:
    groups = jobs.filter((pl.col(key) != "") & (pl.col("state") != "REFUSED"))
    groups = groups.select(key, "queued_s").sort(key)
    return {
        str(name): {
            "jobs": part.height,
            "queued_s_mean": _mean(part["queued_s"]),
            "queued_s_p99": _quantile(part["queued_s"], 0.99),
        }
        for (name,), part in groups.group_by(key, maintain_order=True)
    }


def summary(
    state: State,
    jobs: pl.DataFrame,
    reclaims: pl.DataFrame,
    *,
    from_s: int,
    to_s: int,
    seed: int,
    fragmented_pct: float,
) -> Summary:
    """Return ``summary.json``; the state must stand at ``to_s``."""
    s = state.c.scalars
    sums = {name: int(s[col.S_SUM + i]) for i, name in enumerate(col.KINDS)}
    capacity = int(state.c.nodes[col.N_GPUS].sum()) * col.WHOLE * (to_s - from_s)
    used = sums["own"] + sums["loan"] + sums["scavenge"]
    began = jobs.filter(pl.col("wait_s").is_not_null())["wait_s"]
    done = jobs.filter(pl.col("state") == "COMPLETED")
    returned = reclaims.filter(pl.col("outcome") == "returned")
    took_s = returned["started_at_s"] - returned["asked_at_s"]
    late = returned.filter(pl.col("started_at_s") > pl.col("due_at_s") + 30)
    last_end = int(done["end_at_s"].to_numpy().max()) if done.height else None
    body: Summary = {
        "jobs": jobs.height,
        "jobs_done": done.height,
        "jobs_refused": jobs.filter(pl.col("state") == "REFUSED").height,
        "wait_s_mean": _mean(began),
        "wait_s_median": _quantile(began, 0.5),
        "wait_s_p99": _quantile(began, 0.99),
        "queued_s_mean": _mean(jobs["queued_s"]),
        "queued_s_p99": _quantile(jobs["queued_s"], 0.99),
        "jct_s_mean": _mean(done["end_at_s"] - done["submit_at_s"]),
        "makespan_s": 0 if last_end is None else last_end - from_s,
        "from_s": from_s,
        "to_s": to_s,
        "utilisation": used / capacity if capacity else 0.0,
    }
    body |= {f"{name}_gpu_s": _gpu_s(value) for name, value in sums.items()}
    body |= {
        "lost_gpu_s": int(jobs["lost_gpu_s"].sum()),
        "idle_beside_queue_gpu_s": _gpu_s(int(s[col.S_BESIDE_SUM])),
        "reserved_beside_queue_gpu_s": _gpu_s(int(s[col.S_RESERVED_BESIDE_SUM])),
        "reclaims": reclaims.height,
        "reclaims_returned": returned.height,
        "reclaim_s_p50": _quantile(took_s, 0.5),
        "reclaim_s_p99": _quantile(took_s, 0.99),
        "reclaims_late": late.height,
        "reclaims_churn": _churn(reclaims),
        "fragmented_pct": fragmented_pct,
        "providers": _by(jobs, "provider"),
        "projects": _by(jobs, "project"),
        "seed": seed,
        "policy": state.policy.name,
        "engine": dure.__version__,
    }
    return body


def _churn(reclaims: pl.DataFrame) -> int:
    """Count reclaims of a borrower that had been reclaimed within the hour before."""
    back = reclaims.filter(pl.col("outcome") == "returned").sort("borrower_job", "asked_at_s")
    again = back.with_columns(before=pl.col("vacated_at_s").shift().over("borrower_job")).filter(
        (pl.col("asked_at_s") - pl.col("before")).is_between(1, 3600)
    )
    return again.height


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write Parquet; equal tables give equal bytes."""
    table.write_parquet(path, compression="zstd", statistics=False)
