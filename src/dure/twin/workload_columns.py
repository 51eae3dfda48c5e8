"""From drawn chances to the jobs table: durations, shares of devices, checkpoints, estimates.

Works on all projects of a day at once, since a column costs the same for one job as for thousands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dure.twin.workload_parameters import GRADES, WorkloadModel

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TEXT, WHOLE, FLAG = pl.String, pl.Int64, pl.Boolean
JOB_SCHEMA = {
    "job": TEXT,
    "project": TEXT,
    "provider": TEXT,
    **dict.fromkeys(("submit_at_s", "duration_s", "gpus", "gpu_milli"), WHOLE),
    **dict.fromkeys(("nodes", "gpus_per_node", "segment_gpus"), WHOLE),
    **dict.fromkeys(("accelerator", "class", "locality_kind", "locality_level"), TEXT),
    **dict.fromkeys(("patience_s", "min_gpus", "estimate_s"), WHOLE),
    **dict.fromkeys(("checkpoint_every_s", "checkpoint_takes_s"), WHOLE),
    "preemptible": FLAG,
    "grade": TEXT,
    "deadline_at_s": WHOLE,
    "after": TEXT,
    "cpu_milli": WHOLE,
    "memory_mib": WHOLE,
}
SERVICE_EVERY_S = 60
UNSET = {
    **dict.fromkeys(("nodes", "gpus_per_node", "segment_gpus", "min_gpus"), 0),
    **dict.fromkeys(("cpu_milli", "memory_mib"), 0),
    **dict.fromkeys(("class", "after"), ""),
    "deadline_at_s": -1,
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A project's jobs of a day as columns, shape (job,), before their details are worked out.

    Args:
        project: row of the projects sorted by id.
        held_gpus: what the project holds.
        submit_s: from local midnight.
        duration_s: 0 if it is still to be drawn from the size's distribution.
        gpus: asked for.
        fractional: a single GPU may be asked for in part.
        service: follows the day; no estimate; what it has answered is never lost.
        chance: uniform numbers, shape (job, CHANCES), one column a detail.
        normal: for the estimate.
    """

    CHANCES: ClassVar[int] = 12

    project: IntArray
    held_gpus: IntArray
    submit_s: IntArray
    duration_s: IntArray
    gpus: IntArray
    fractional: BoolArray
    service: BoolArray
    chance: FloatArray
    normal: FloatArray


def job_frame(
    model: WorkloadModel,
    projects: pl.DataFrame,
    drawn: Sequence[Drawn],
    *,
    day_from_s: int,
    stamp: str,
) -> pl.DataFrame:
    """Return the day's jobs as the jobs table, by submission and id.

    Args:
        model: gives the shares of all details.
        projects: sorted by project, the rows that ``Drawn.project`` counts.
        drawn: one for each project with GPUs.
        day_from_s: added to every submission.
        stamp: the local date, for the ids.
    """
    if not drawn:
        return pl.DataFrame(schema=JOB_SCHEMA)
    jobs = _joined(drawn)
    chance = jobs.chance
    groups = projects["group"].to_list()
    parted = jobs.fractional & (jobs.gpus == 1) & (chance[:, 1] < model.fraction_share)
    milli = _chosen(list(model.fractions), list(model.fractions.values()), chance[:, 2])
    duration_s = _durations(model, jobs)
    rigid = _not_preemptible(model, jobs, groups)
    every_s, takes_s = _checkpoints(model, jobs)
    near = (jobs.gpus >= model.locality_from_gpus) & (chance[:, 9] < model.locality_share)
    near &= ~jobs.service
    level = np.where(jobs.gpus <= model.locality_leaf_gpus_max, "leaf", "pod")
    frame = pl.DataFrame(
        {
            "project": projects["project"].gather(jobs.project),
            "provider": _texts(projects, "provider").gather(jobs.project),
            "submit_at_s": day_from_s + jobs.submit_s,
            "duration_s": duration_s,
            "gpus": jobs.gpus,
            "gpu_milli": np.where(parted, milli, 1_000),
            "accelerator": _accelerators(model, projects, jobs, rigid),
            "locality_kind": np.where(near, "preferred", "any"),
            "locality_level": np.where(near, level, ""),
            "patience_s": np.where(near, model.locality_patience_s, 0),
            "estimate_s": _estimates(model, jobs, duration_s),
            "checkpoint_every_s": every_s,
            "checkpoint_takes_s": takes_s,
            "preemptible": ~rigid,
            "grade": _grades(model, jobs, groups),
        }
    )
    return _numbered(_inside(frame, projects), stamp)


def _joined(drawn: Sequence[Drawn]) -> Drawn:
    return Drawn(
        project=np.concatenate([one.project for one in drawn]),
        held_gpus=np.concatenate([one.held_gpus for one in drawn]),
        submit_s=np.concatenate([one.submit_s for one in drawn]),
        duration_s=np.concatenate([one.duration_s for one in drawn]),
        gpus=np.concatenate([one.gpus for one in drawn]),
        fractional=np.concatenate([one.fractional for one in drawn]),
        service=np.concatenate([one.service for one in drawn]),
        chance=np.concatenate([one.chance for one in drawn]),
        normal=np.concatenate([one.normal for one in drawn]),
    )


def _texts(projects: pl.DataFrame, column: str) -> pl.Series:
    if column in projects.columns:
        return projects[column].cast(pl.String).fill_null("")
    return pl.repeat("", projects.height, dtype=pl.String, eager=True)


def _inside(frame: pl.DataFrame, projects: pl.DataFrame) -> pl.DataFrame:
    """Drop the jobs before a project's ``from_s`` and from its ``to_s`` on."""
    ends = [column for column in ("from_s", "to_s") if column in projects.columns]
    if not ends:
        return frame
    dated = frame.join(
        projects.select("project", *ends), on="project", how="left", maintain_order="left"
    )
    for column in ends:
        at_s, end_s = pl.col("submit_at_s"), pl.col(column)
        kept = at_s >= end_s if column == "from_s" else at_s < end_s
        dated = dated.filter(kept.fill_null(True))
    return dated.drop(ends)


def _numbered(frame: pl.DataFrame, stamp: str) -> pl.DataFrame:
    """Give the ids, in each project's order of submission, and the columns that nobody sets."""
    frame = frame.sort("project", "submit_at_s", maintain_order=True)
    number = pl.int_range(1, pl.len() + 1).over("project").cast(pl.String).str.zfill(3)
    return (
        frame.with_columns(
            pl.format(f"{{}}-{stamp}-{{}}", "project", number).alias("job"),
            *(pl.lit(value).alias(column) for column, value in UNSET.items()),
        )
        .select(pl.col(column).cast(kind) for column, kind in JOB_SCHEMA.items())
        .sort("submit_at_s", "job")
    )


def _chosen(values: Sequence[int], weights: Sequence[float], chance: FloatArray) -> IntArray:
    bounds = np.cumsum(weights)
    place = np.searchsorted(bounds / bounds[-1], chance, side="right")
    return np.array(values, dtype=np.int64)[np.minimum(place, len(values) - 1)]


def _durations(model: WorkloadModel, jobs: Drawn) -> IntArray:
    lasting = np.array([one.gpus for one in model.lasting])
    size = np.maximum(np.searchsorted(lasting, jobs.gpus, side="right") - 1, 0)
    duration_s = jobs.duration_s.copy()
    for place, one in enumerate(model.lasting):
        mine = (size == place) & (duration_s == 0)
        drawn = np.rint(one.durations_s(jobs.chance[mine, 0]))
        duration_s[mine] = np.maximum(drawn, 1).astype(np.int64)
    return duration_s


def _not_preemptible(model: WorkloadModel, jobs: Drawn, groups: Sequence[str]) -> BoolArray:
    """Choose the jobs that nobody may stop; one of more than half of what its project holds would
    wait for ever beside its project's other work.
    """
    kept = model.service_not_preemptible
    of_group = np.array([kept.get(group, kept["else"]) for group in groups])
    share = np.where(jobs.service, of_group[jobs.project], model.batch_not_preemptible)
    return (jobs.chance[:, 3] < share) & (2 * jobs.gpus <= jobs.held_gpus)


def _estimates(model: WorkloadModel, jobs: Drawn, duration_s: IntArray) -> IntArray:
    """Give some jobs an estimate: a round one, and never too short."""
    factor = np.maximum(model.estimate_median * np.exp(model.estimate_sigma * jobs.normal), 1.0)
    wished = duration_s * factor
    grid = np.array(model.estimate_grid_s, dtype=np.int64)
    place = np.minimum(np.searchsorted(grid, wished), grid.size - 1)
    estimate_s = np.maximum(grid[place], duration_s)
    told = (jobs.chance[:, 4] < model.estimate_share) & ~jobs.service
    return np.where(told, estimate_s, -1)


def _checkpoints(model: WorkloadModel, jobs: Drawn) -> tuple[IntArray, IntArray]:
    every_s = np.zeros(jobs.gpus.size, dtype=np.int64)
    takes_s = np.full(jobs.gpus.size, -1, dtype=np.int64)
    for place, one in enumerate(model.checkpoints):
        mine = (jobs.gpus >= one.from_gpus) & ~jobs.service
        if place + 1 < len(model.checkpoints):
            mine &= jobs.gpus < model.checkpoints[place + 1].from_gpus
        saves = mine & (jobs.chance[:, 5] < one.share)
        often = _chosen(one.every_s, [1.0] * len(one.every_s), jobs.chance[:, 6])
        low, high = one.takes_s
        takes = np.rint(low + (high - low) * jobs.chance[:, 8]).astype(np.int64)
        every_s = np.where(saves, often, every_s)
        takes_s = np.where(saves & (jobs.chance[:, 7] < one.on_notice), takes, takes_s)
    # A replica has nothing to save: whenever it stops, only the rest of its day is left to do.
    return np.where(jobs.service, SERVICE_EVERY_S, every_s), takes_s


def _accelerators(
    model: WorkloadModel, projects: pl.DataFrame, jobs: Drawn, rigid: BoolArray
) -> pl.Series:
    """Name the project's type, and for flexible jobs the others after it."""
    own = projects["accelerator"]
    wide = pl.Series(
        ["|".join([one, *(two for two in model.accelerators if two != one)]) for one in own],
        dtype=pl.String,
    )
    flexible = (jobs.chance[:, 10] < model.flexible_share) & ~rigid & ~jobs.service
    return (
        pl.DataFrame({"own": own.gather(jobs.project), "wide": wide.gather(jobs.project)})
        .select(pl.when(pl.Series(flexible)).then("wide").otherwise("own"))
        .to_series()
    )


def _grades(model: WorkloadModel, jobs: Drawn, groups: Sequence[str]) -> pl.Series:
    shares = np.array([model.grades[group] for group in groups])
    bounds = np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True)
    place = (jobs.chance[:, 11][:, None] >= bounds[jobs.project]).sum(axis=1)
    return pl.Series(list(GRADES), dtype=pl.String).gather(np.minimum(place, len(GRADES) - 1))
