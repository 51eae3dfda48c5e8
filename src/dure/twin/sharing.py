"""The sharing scenario: the owners of a trace's clusters pool them and lend what stands idle.

Each provider named in the jobs owns nodes of eight GPUs: enough for its largest job and for a
quarter more than it keeps busy on average. What a trace lacks is made up from a seed and said so:
declared estimates, regular checkpoints, and *shifts*, in which each owner's jobs are turned round
the span of the trace by a time of their own, so that no figure rests on one coincidence of loads.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dure.core.errors import InputError
from dure.twin.tables import pool_for_clusters

NODE_GPUS = 8
HEADROOM_PERCENT = 125
FLOOD_COPIES = 3
HOUR_S = 3600
# What a form would offer; a declaration is rounded up to the next.
BUCKETS_S = (
    *(600, 1800, HOUR_S),
    *(hours * HOUR_S for hours in (2, 4, 8, 12, 24, 48, 96, 168, 336, 720, 1440)),
)
# How often the truth the declared time beyond it is, on average.
BEYOND_MEAN = 2.0
ESTIMATES = ("declared", "random", "none")


@dataclass(frozen=True, slots=True)
class Case:
    """One set of inputs made from a trace.

    Attributes:
        shift: 0 is the trace as it was; others turn each owner's jobs by a time of their own.
        estimates: ``declared`` (always above the truth), ``random`` (declared for another job), or
            ``none``.
        checkpoint_every_s: jobs save this often; 0 never.
        flooded_by: an owner whose every job comes ``FLOOD_COPIES`` more times.
    """

    shift: int = 0
    estimates: str = "declared"
    checkpoint_every_s: int = 600
    flooded_by: str = ""


def owners_of(jobs: pl.DataFrame) -> dict[str, int]:
    """Return the GPUs of each owner: its largest job, or 1.25 x its mean use, in whole nodes.

    Raises:
        InputError: a job names no provider, or there are no jobs.
    """
    if jobs.height == 0 or (jobs["provider"] == "").any():
        raise InputError(
            "sharing", found="jobs without a provider, or none", expected="an owner for every job"
        )
    sizes = {}
    for (name,), part in jobs.sort("provider").group_by("provider", maintain_order=True):
        busy_gpu_s = int((part["gpus"] * part["duration_s"]).sum())
        mean = -(-busy_gpu_s * HEADROOM_PERCENT // (100 * span_of(part)))
        gpus = max(int(part["gpus"].to_numpy().max()), mean)
        sizes[str(name)] = -(-gpus // NODE_GPUS) * NODE_GPUS
    return sizes


def span_of(jobs: pl.DataFrame) -> int:
    """Return the seconds from the first submission to the last, at least 1."""
    return max(1, int(jobs["submit_at_s"].to_numpy().max() - jobs["submit_at_s"].to_numpy().min()))


def pool_of_owners(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return the pool that the owners of the jobs make together."""
    return pool_for_clusters(
        owners_of(jobs), gpus_per_node=NODE_GPUS, nodes_per_leaf=32, accelerator="GPU"
    )


def jobs_of(trace: pl.DataFrame, case: Case, *, seed: int) -> pl.DataFrame:
    """Return the jobs of a case, in order of submission; equal arguments give equal jobs."""
    jobs = _with_estimates(trace, case.estimates, seed)
    jobs = jobs.with_columns(checkpoint_every_s=pl.lit(case.checkpoint_every_s, dtype=pl.Int64))
    if case.shift > 0:
        jobs = _shifted(jobs, case.shift, seed)
    if case.flooded_by:
        theirs = jobs.filter(pl.col("provider") == case.flooded_by)
        more = [theirs.with_columns(job=pl.col("job") + f"+{i + 1}") for i in range(FLOOD_COPIES)]
        jobs = pl.concat([jobs, *more])
    return jobs.sort("submit_at_s", "job")


def _with_estimates(jobs: pl.DataFrame, kind: str, seed: int) -> pl.DataFrame:
    """Declare for each job its duration x (1 + Exp(2)), rounded up to a bucket."""
    if kind == "none":
        return jobs.with_columns(estimate_s=pl.lit(-1, dtype=pl.Int64))
    rng = np.random.default_rng([seed, 1])
    duration_s = jobs["duration_s"].to_numpy()
    said_s = np.ceil(duration_s * (1 + rng.exponential(BEYOND_MEAN, jobs.height)))
    buckets_s = np.array(BUCKETS_S)
    place = np.searchsorted(buckets_s, said_s)
    # Beyond the last bucket a person says the very time.
    said_s = np.where(place < buckets_s.size, np.append(buckets_s, 0)[place], said_s)
    said_s = said_s.astype(np.int64)
    if kind == "random":
        said_s = rng.permutation(said_s)
    return jobs.with_columns(estimate_s=pl.Series(said_s, dtype=pl.Int64))


def _shifted(jobs: pl.DataFrame, shift: int, seed: int) -> pl.DataFrame:
    """Turn each owner's submissions round the span by a time of its own."""
    rng = np.random.default_rng([seed, 2, shift])
    first_s, span_s = int(jobs["submit_at_s"].to_numpy().min()), span_of(jobs)
    owners = sorted(jobs["provider"].unique().to_list())
    by = {name: int(rng.integers(0, span_s)) for name in owners}
    moved = pl.col("submit_at_s") - first_s + pl.col("provider").replace_strict(by)
    return jobs.with_columns(submit_at_s=(moved % span_s + first_s).cast(pl.Int64))
