"""What was measured, for screens: one job's use over time, a project's in a month."""

from dataclasses import dataclass

import polars as pl

from dure.core.calendar import month_window_s
from dure.core.measured import HOST
from dure.reports.rollups import DAY_S, FIVE_MIN_S, HOUR_S
from dure.services.ports import TelemetryStore
from dure.services.views import PoolView

# Up to so long a span is shown in five minutes, then in hours, then in days.
FINE_S_MAX, HOURS_S_MAX = 12 * HOUR_S, 20 * DAY_S


@dataclass(frozen=True, slots=True)
class UsePoint:
    """A period's measurements; None where nothing was measured.

    Attributes:
        busy_milli: mean utilisation of the job's GPUs, thousandths.
        cpu_milli: mean processors in use, thousandths of one. memory_mib: the most of a unit.
        power_w: of all its GPUs together.
    """

    at_s: int
    busy_milli: int | None
    cpu_milli: int | None
    memory_mib: int | None
    power_w: int | None


@dataclass(frozen=True, slots=True)
class JobUse:
    """What one job used over time.

    Attributes:
        length_s: of each period. busy_milli, cpu_milli: means over all of it.
        busy_milli_min: of any GPU in any sample. energy_kj: None where it was not measured.
    """

    job: str
    length_s: int
    points: tuple[UsePoint, ...]
    busy_milli: int | None
    busy_milli_min: int | None
    cpu_milli: int | None
    energy_kj: int | None


def job_use(store: TelemetryStore, job: str, *, from_s: int, to_s: int) -> JobUse:
    """Return what a job was measured to use in ``[from_s, to_s)``."""
    span_s = to_s - from_s
    length_s = FIVE_MIN_S if span_s <= FINE_S_MAX else HOUR_S if span_s <= HOURS_S_MAX else DAY_S
    # The period that the job began in is part of it.
    rows = store.rolled(from_s - length_s + 1, to_s, length_s=length_s, job=job)
    points = rows.group_by("from_s").agg(*_means()).sort("from_s")
    whole = rows.select(*_means(), pl.col("busy_milli_min").min(), _energy())
    found = whole.row(0, named=True) if rows.height else {}
    return JobUse(
        job,
        length_s,
        tuple(
            UsePoint(row["from_s"], row["busy"], row["cpu"], row["memory_mib_max"], row["power_w"])
            for row in points.iter_rows(named=True)
        ),
        found.get("busy"),
        found.get("busy_milli_min"),
        found.get("cpu"),
        found.get("energy_kj"),
    )


def measured_by_owner(
    store: TelemetryStore, view: PoolView, month: str
) -> dict[str, tuple[int, int]]:
    """Return (mean utilisation in thousandths, GPU-seconds measured) of a month by project, or by
    provider for jobs without one. Only GPUs count, and only jobs that the view still knows.
    """
    from_s, to_s = month_window_s(month)
    rows = store.rolled(from_s, min(to_s, view.now_s + 1), length_s=DAY_S)
    by_job = (
        rows.filter((pl.col("device") != HOST) & (pl.col("job") != ""))
        .group_by("job")
        .agg(pl.col("busy_milli_sum", "busy_samples", "covers_s").sum())
    )
    sums: dict[str, list[int]] = {}
    for job, busy_sum, samples, covers_s in by_job.iter_rows():
        story = view.story(job)
        if story is None or not samples:
            continue
        own = sums.setdefault(story.row.project or story.row.provider, [0, 0, 0])
        own[0], own[1], own[2] = own[0] + busy_sum, own[1] + samples, own[2] + covers_s
    return {who: (busy // samples, covers_s) for who, (busy, samples, covers_s) in sums.items()}


def _means() -> list[pl.Expr]:
    gpu, host = pl.col("device") != HOST, pl.col("device") == HOST

    def total(name: str, of: pl.Expr) -> pl.Expr:
        return pl.col(name).filter(of).sum()

    def ratio(over: pl.Expr, under: pl.Expr) -> pl.Expr:
        return pl.when(under > 0).then(over // under.clip(1))

    watts = pl.col("power_mw_sum").sum() // 1000
    units = pl.col("node").filter(gpu & (pl.col("power_samples") > 0)).len()
    return [
        ratio(total("busy_milli_sum", gpu), total("busy_samples", gpu)).alias("busy"),
        ratio(total("cpu_ms_sum", host), total("covers_s", host)).alias("cpu"),
        pl.col("memory_mib_max").max(),
        ratio(watts * units, pl.col("power_samples").sum()).alias("power_w"),
    ]


def _energy() -> pl.Expr:
    sums = pl.col("energy_mj_sum")
    return pl.when(sums.count() > 0).then(sums.sum() // 1_000_000).alias("energy_kj")
