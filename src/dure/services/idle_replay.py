"""The rule of GPUs held idle, tried on recorded utilisation: how often would it be wrong?

A notice is a *false alarm* if the job worked again before its time to answer was over: nobody
would have lost anything, but somebody was disturbed. A taking is *false* if the record shows that
the job worked again later: it would have been stopped for nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from dure.core.errors import InputError
from dure.core.events.idle import IdleNoticed, IdleStopped, IdleTaken, IdleWithdrawn
from dure.core.idle_held import IdleCases, IdlePolicy, RunningJob, UnitUse, plan_idle
from dure.reports.rollups import FIVE_MIN_S

COLUMNS = {"job": pl.String, "at_s": pl.Int64, "busy_milli": pl.Int64, "device": pl.Int32}
# A sample stands for the time to the next, up to so long: a longer gap was not measured.
SAMPLE_S_MAX = 120


def read_utilisation(file: Path) -> pl.DataFrame:
    """Read samples: ``job, at_s, busy_milli`` (thousandths) and, if a job has several, ``device``.

    Raises:
        InputError: if a column is missing or of another kind.
    """
    try:
        is_csv = file.suffix.lower() == ".csv"
        table = pl.read_csv(file) if is_csv else pl.read_parquet(file)
        if "device" not in table.columns:
            table = table.with_columns(pl.lit(0).alias("device"))
        table = table.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    except (OSError, pl.exceptions.PolarsError) as wrong:
        raise InputError(
            str(file),
            found=str(wrong).splitlines()[0][:200],
            expected="columns job, at_s (s), busy_milli (0 to 1000) and, if wanted, device",
        ) from wrong
    bad = table.with_row_index().filter(
        ~pl.col("busy_milli").is_between(0, 1_000) | pl.any_horizontal(pl.all().is_null())
    )
    if bad.height:
        raise InputError(
            f"{file}, row {bad['index'][0] + 1}",
            found=f"busy_milli {bad['busy_milli'][0]}, job {bad['job'][0]!r}",
            expected="every field filled, busy_milli 0 to 1000",
        )
    return table


def replay_idle(samples: pl.DataFrame, policy: IdlePolicy) -> dict[str, int | float]:
    """Try the rule on samples; nobody answers a notice.

    Returns:
        ``jobs``, ``job_hours``; ``notices``, ``notices_false``, ``false_alarm_pct`` of the
        notices and ``false_alarms_per_1000_job_hours``; ``takings``, ``takings_false``;
        ``idle_gpu_hours`` that the takings would have freed by the end of the record.
    """
    periods = _periods(samples)
    counts = dict.fromkeys(("notices", "notices_false", "takings", "takings_false"), 0)
    freed_s, job_s, jobs = 0, 0, 0
    for job, from_s, busy, measured_s in _jobs(periods):
        jobs, job_s = jobs + 1, job_s + busy.shape[1] * FIVE_MIN_S
        notices, alarms, taken_at = _tried(job, from_s, busy, measured_s, policy)
        counts["notices"] += notices
        counts["notices_false"] += alarms
        if taken_at is not None:
            counts["takings"] += 1
            later = busy[:, taken_at:]
            counts["takings_false"] += int((later >= policy.threshold_milli).all(axis=0).any())
            freed_s += later.size * FIVE_MIN_S
    hours = job_s / 3_600
    return {
        "jobs": jobs,
        "job_hours": round(hours, 1),
        **counts,
        "false_alarm_pct": round(100 * counts["notices_false"] / max(1, counts["notices"]), 1),
        "false_alarms_per_1000_job_hours": round(
            1_000 * counts["notices_false"] / max(hours, 1e-9), 3
        ),
        "idle_gpu_hours": round(freed_s / 3_600, 1),
    }


def _periods(samples: pl.DataFrame) -> pl.DataFrame:
    ordered = samples.sort("job", "device", "at_s").with_columns(
        (pl.col("at_s").shift(-1) - pl.col("at_s"))
        .over("job", "device")
        .fill_null(15)
        .clip(0, SAMPLE_S_MAX)
        .alias("lasts_s")
    )
    from_s = (pl.col("at_s") // FIVE_MIN_S * FIVE_MIN_S).alias("from_s")
    return (
        ordered.group_by("job", "device", from_s)
        .agg(pl.col("busy_milli").max(), pl.col("lasts_s").sum().clip(0, FIVE_MIN_S))
        .sort("job", "device", "from_s")
    )


def _jobs(
    periods: pl.DataFrame,
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Yield (job, first second, most utilisation, seconds measured), the last two of shape
    (device, period).
    """
    for (job,), rows in periods.group_by("job", maintain_order=True):
        first, last = int(rows["from_s"].min()), int(rows["from_s"].max())  # type: ignore[arg-type]
        devices = rows["device"].rank("dense").to_numpy().astype(np.int64) - 1
        places = (rows["from_s"].to_numpy() - first) // FIVE_MIN_S
        shape = (int(devices.max()) + 1, (last - first) // FIVE_MIN_S + 1)
        busy, measured_s = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        busy[devices, places] = rows["busy_milli"].to_numpy()
        measured_s[devices, places] = rows["lasts_s"].to_numpy()
        yield str(job), first, busy, measured_s


def _tried(
    job: str, from_s: int, busy: np.ndarray, measured_s: np.ndarray, policy: IdlePolicy
) -> tuple[int, int, int | None]:
    """Return (notices, false alarms, the period at which the job is stopped or None)."""
    length = policy.window_s // FIVE_MIN_S
    cases, notices, alarms = IdleCases(default=policy), 0, 0
    running = {job: RunningJob(job, "", "", len(busy), from_s)}
    for end in range(length, busy.shape[1] + 1):
        window = slice(end - length, end)
        most = busy[:, window].max(axis=1)
        now_s = from_s + end * FIVE_MIN_S
        open_case = cases.newest(job)
        if (most >= policy.threshold_milli).all() and open_case is None:
            continue
        measured = measured_s[:, window].sum(axis=1)
        uses = {
            job: [
                UnitUse("", device, int(most[device]), length, int(measured[device]))
                for device in range(len(busy))
            ]
        }
        for event in plan_idle(cases, running, uses, window_to_s=now_s, now_s=now_s):
            cases.fold(event)
            notices += isinstance(event, IdleNoticed)
            alarms += isinstance(event, IdleWithdrawn)
            if isinstance(event, IdleTaken | IdleStopped):
                return notices, alarms, end
    return notices, alarms, None
