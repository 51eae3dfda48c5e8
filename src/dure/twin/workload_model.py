"""Imagined projects at work: their jobs, a day at a time, the same whenever a day is drawn.

Each project's day has its own chance, from (seed, project, day): a simulation can start at any day,
go on for ever, and gain or lose projects without moving the others' jobs. SYNTHETIC: fitted to
published statistics (docs/models.md), nobody's real work.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dure.core.errors import InputError
from dure.twin.workload_columns import JOB_SCHEMA, Drawn, job_frame
from dure.twin.workload_parameters import (
    Behaviour,
    Size,
    WorkloadModel,
    read_workload_model,
)

__all__ = [
    "WorkloadModel",
    "draw_behaviours",
    "draw_jobs",
    "draw_jobs_between",
    "read_workload_model",
]

IntArray = NDArray[np.int64]

DAY_S, HOUR_S = 86_400, 3_600
UNIX_EPOCH = date(1970, 1, 1).toordinal()
# 1970-01-01 was a Thursday; Monday is 0.
FIRST_WEEKDAY = 3
SWEEP_JOBS_MAX = 32
SWEEP_GAP_S = 60
# A service's night replicas start within this and end this long before the next night's.
RESTART_S = 300
# Keep apart what is drawn once a project, once a week and once a day.
PROJECT_STREAM, WEEK_STREAM, DAY_STREAM = 1, 2, 3


@dataclass(frozen=True, slots=True)
class _Project:
    key: int  # of the id, for the seeds
    number: int  # row of the sorted projects
    group: str
    gpus: int
    behaviour: Behaviour
    demand: float  # GPU-hours asked for over GPU-hours held, in the long run
    since_s: int | None


@dataclass(frozen=True, slots=True)
class _Rate:
    """Sweeps a day of one job size at the project's long-run demand."""

    gpus: int
    per_day: float
    sweep: float
    fractional: bool


def draw_behaviours(model: WorkloadModel, projects: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Say how each project will behave, so that a scenario can show it and sum the demand up.

    Args:
        model: from ``read_workload_model``.
        projects: as for ``draw_jobs``; a ``behaviour`` column that is not empty is kept.
        seed: each project's draw depends on it and on the project's id and group alone.

    Returns:
        ``project, behaviour, demand`` (GPU-hours asked for over held, in the long run), by project.
    """
    drawn = _read_projects(model, projects, seed)
    return pl.DataFrame(
        {
            "project": projects["project"].sort(),
            "behaviour": [one.behaviour.name for one in drawn],
            "demand": [one.demand for one in drawn],
        },
        schema={"project": pl.String, "behaviour": pl.String, "demand": pl.Float64},
    )


def draw_jobs_between(
    model: WorkloadModel,
    projects: pl.DataFrame,
    *,
    from_s: int,
    to_s: int,
    seed: int,
    load: float = 1.0,
) -> pl.DataFrame:
    """Draw the jobs submitted in [from_s, to_s); the moments may lie anywhere in a day."""
    days = range((from_s + model.utc_offset_s) // DAY_S, -(-(to_s + model.utc_offset_s) // DAY_S))
    frames = [
        draw_jobs(
            model, projects, day_from_s=day * DAY_S - model.utc_offset_s, seed=seed, load=load
        )
        for day in days
    ]
    jobs = pl.concat(frames) if frames else pl.DataFrame(schema=JOB_SCHEMA)
    return jobs.filter(pl.col("submit_at_s").is_between(from_s, to_s, closed="left"))


def draw_jobs(
    model: WorkloadModel,
    projects: pl.DataFrame,
    *,
    day_from_s: int,
    seed: int,
    load: float = 1.0,
) -> pl.DataFrame:
    """Draw the jobs that the projects submit in one local day.

    Args:
        model: from ``read_workload_model``.
        projects: one row a project, any order: ``project, group`` (academia, industry, research,
            provider-own), ``accelerator, gpus`` (held now), and where there are such: ``provider``
            (of own use), ``behaviour`` (else drawn), ``from_s, to_s`` (no job outside).
        day_from_s: epoch seconds of a local midnight.
        seed: equal seeds give equal jobs for a project and day, whatever other projects there are.
        load: times every project's demand, except that of services.

    Returns:
        The jobs table of docs/architecture.md, every column, by submit_at_s and job. Ids look like
        ``PROJECT-260309-001``: the local date and the order of submission.

    Raises:
        InputError: if the moment is no local midnight, a project stands there twice, or its group
            or behaviour is unknown.
    """
    if (day_from_s + model.utc_offset_s) % DAY_S:
        raise InputError("day_from_s", found=str(day_from_s), expected="a local midnight")
    read = _read_projects(model, projects, seed)
    day = (day_from_s + model.utc_offset_s) // DAY_S
    means_s = {one.gpus: one.mean_s for one in model.lasting}
    drawn = []
    for one in read:
        if one.gpus == 0:
            continue
        chance = _generator(seed, DAY_STREAM, one.key, day)
        if one.behaviour.service:
            drawn.append(_draw_service(model, one, day, chance))
        else:
            busy = load * _day_factor(model, one, seed, day, day_from_s)
            drawn.append(_draw_batch(model, _rates(model, one, means_s), one, busy, chance))
    stamp = f"{date.fromordinal(UNIX_EPOCH + day):%y%m%d}"
    return job_frame(model, projects.sort("project"), drawn, day_from_s=day_from_s, stamp=stamp)


def _generator(seed: int, stream: int, *numbers: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, *numbers])))


def _read_projects(model: WorkloadModel, projects: pl.DataFrame, seed: int) -> list[_Project]:
    read: list[_Project] = []
    last = None
    for number, row in enumerate(projects.sort("project").iter_rows(named=True)):
        project, group = str(row["project"]), str(row["group"])
        if project == last:
            raise InputError("projects", found=f"{project!r} twice", expected="one row a project")
        last = project
        key = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8], "big")
        chance = _generator(seed, PROJECT_STREAM, key)
        behaviour = _behaviour(model, project, group, row.get("behaviour"), chance.random())
        # A lognormal with mean 1: behaviours keep their demand on average.
        temper = math.exp(behaviour.spread * (chance.standard_normal() - behaviour.spread / 2))
        read.append(
            _Project(
                key=key,
                number=number,
                group=group,
                gpus=int(row["gpus"]),
                behaviour=behaviour,
                demand=behaviour.demand * temper,
                since_s=row.get("from_s"),
            )
        )
    return read


def _behaviour(
    model: WorkloadModel, project: str, group: str, told: str | None, chance: float
) -> Behaviour:
    if told:
        if told not in model.behaviours:
            raise InputError(
                f"projects: behaviour of {project}",
                found=repr(told),
                expected=f"one of {', '.join(model.behaviours)}",
            )
        return model.behaviours[told]
    weights = np.array([one.groups.get(group, 0.0) for one in model.behaviours.values()])
    if weights.sum() == 0:
        groups = sorted({group for one in model.behaviours.values() for group in one.groups})
        raise InputError(
            f"projects: group of {project}",
            found=repr(group),
            expected=f"one of {', '.join(groups)}",
        )
    bounds = np.cumsum(weights) / weights.sum()
    place = int(np.searchsorted(bounds, chance, side="right"))
    return list(model.behaviours.values())[min(place, len(bounds) - 1)]


def _day_factor(model: WorkloadModel, one: _Project, seed: int, day: int, day_from_s: int) -> float:
    """Return how busy the project is on a day, against its long-run mean."""
    weekday = (day + FIRST_WEEKDAY) % 7
    weekend = model.weekend_factor if weekday >= 5 else 1.0
    factor = weekend * 7 / (5 + 2 * model.weekend_factor)
    if one.behaviour.weeks:
        active_share, quiet = one.behaviour.weeks
        week = (day + FIRST_WEEKDAY) // 7
        active = _generator(seed, WEEK_STREAM, one.key, week).random() < active_share
        factor *= (1 - (1 - active_share) * quiet) / active_share if active else quiet
    if one.behaviour.ramp and one.since_s is not None:
        first, days = one.behaviour.ramp
        grown = (day_from_s - one.since_s) / DAY_S / days
        factor *= first + (1 - first) * min(max(grown, 0.0), 1.0)
    return factor


def _rates(model: WorkloadModel, one: _Project, means_s: Mapping[int, float]) -> list[_Rate]:
    """Share the project's demand among job sizes, as sweeps a day."""
    rates = []
    parts = sum(milli * weight for milli, weight in model.fractions.items())
    part = parts / 1_000 / sum(model.fractions.values())
    for name, share in one.behaviour.gpu_hours.items():
        kind = model.kinds[name]
        sized = [(_gpus_of(model, one, size), size) for size in kind.sizes]
        work_h = []
        for gpus, _ in sized:
            cut = model.fraction_share * (1 - part) if kind.fractional and gpus == 1 else 0.0
            work_h.append(gpus * (1 - cut) * means_s[model.lasting_of(gpus).gpus] / HOUR_S)
        weights = [size.weight for _, size in sized]
        mean_h = sum(w * h for w, h in zip(weights, work_h, strict=True)) / sum(weights)
        jobs = one.demand * one.gpus * 24 * share / mean_h
        for gpus, size in sized:
            sweep = model.lasting_of(gpus).sweep
            per_day = jobs * size.weight / sum(weights) * (1 - sweep)
            rates.append(_Rate(gpus, per_day, sweep, kind.fractional))
    return rates


def _gpus_of(model: WorkloadModel, one: _Project, size: Size) -> int:
    """Return the GPUs of a job: whole nodes, or a power of two below a node."""
    if size.gpus:
        return min(size.gpus, one.gpus)
    asked = min(size.of_allocation * one.gpus, float(model.gang_gpus_max))
    if asked >= model.node_gpus:
        return int(asked // model.node_gpus) * model.node_gpus
    return 1 << (max(1, int(asked)).bit_length() - 1)


def _draw_batch(
    model: WorkloadModel,
    rates: list[_Rate],
    one: _Project,
    busy: float,
    chance: np.random.Generator,
) -> Drawn:
    today = busy * chance.gamma(model.day_shape) / model.day_shape
    counts = chance.poisson([rate.per_day * today for rate in rates])
    rate_of = np.repeat(np.arange(len(rates)), counts)
    goes_on = np.array([rate.sweep for rate in rates])[rate_of]
    length = np.minimum(chance.geometric(1 - goes_on), SWEEP_JOBS_MAX).astype(np.int64)
    # A sweep's moment is drawn once; its jobs follow one another within a minute.
    hours = np.cumsum(model.hour_weights)
    hour = np.searchsorted(hours / hours[-1], chance.random(length.size), side="right")
    begins = np.minimum(hour, 23) * HOUR_S + chance.integers(0, HOUR_S, length.size)
    sweep_of = np.repeat(np.arange(length.size), length)
    place = np.arange(sweep_of.size) - np.repeat(np.cumsum(length) - length, length)
    gaps = chance.integers(0, SWEEP_GAP_S, sweep_of.size) * (place > 0)
    passed = np.cumsum(gaps)
    at_first = passed[place == 0] if passed.size else passed
    submit = begins[sweep_of] + passed - at_first[sweep_of]
    rate_of = rate_of[sweep_of]
    return Drawn(
        project=np.full(rate_of.size, one.number),
        held_gpus=np.full(rate_of.size, one.gpus),
        submit_s=np.minimum(submit, DAY_S - 1),
        duration_s=np.zeros(rate_of.size, dtype=np.int64),
        gpus=np.array([rate.gpus for rate in rates], dtype=np.int64)[rate_of],
        fractional=np.array([rate.fractional for rate in rates], dtype=np.bool_)[rate_of],
        service=np.zeros(rate_of.size, dtype=np.bool_),
        chance=chance.random((rate_of.size, Drawn.CHANCES)),
        normal=chance.standard_normal(rate_of.size),
    )


def _draw_service(
    model: WorkloadModel, one: _Project, day: int, chance: np.random.Generator
) -> Drawn:
    """Draw a day of replicas: those of the night run round the clock, the others come and go."""
    service = one.behaviour.service
    assert service is not None
    part = Size(1.0, 0, 1 / service.replicas)
    gpus = _gpus_of(model, one, part)
    weekend = service.weekend if (day + FIRST_WEEKDAY) % 7 >= 5 else 1.0
    by_night = round(service.night * one.gpus / gpus)
    by_day = max(round(service.day * weekend * one.gpus / gpus) - by_night, 0)
    starts, ends = (
        chance.uniform(low * HOUR_S, high * HOUR_S, by_day)
        for low, high in (model.service_start_h, model.service_end_h)
    )
    submit = np.concatenate([chance.integers(0, RESTART_S, by_night), np.rint(starts)])
    end = np.concatenate([np.full(by_night, DAY_S - RESTART_S), np.rint(ends)])
    jobs = by_night + by_day
    submit = np.minimum(submit, DAY_S - 1).astype(np.int64)
    return Drawn(
        project=np.full(jobs, one.number),
        held_gpus=np.full(jobs, one.gpus),
        submit_s=submit,
        duration_s=np.maximum(end.astype(np.int64) - submit, 60),
        gpus=np.full(jobs, gpus),
        fractional=np.zeros(jobs, dtype=np.bool_),
        service=np.ones(jobs, dtype=np.bool_),
        chance=chance.random((jobs, Drawn.CHANCES)),
        normal=chance.standard_normal(jobs),
    )
