"""Fits the workload model to published traces: writes parameters, never data.

    .venv/bin/python tools/fit_workload.py [--traces ../shared/traces] [--check]

Rewrites the part of src/dure/twin/models/workload.yaml above the line that begins the chosen
parameters; what stands below is kept. ``--check`` writes nothing and exits 1 if it would change.
"""

import argparse
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "src" / "dure" / "twin" / "models" / "workload.yaml"
MARKER = "# ---- chosen: "
PROBABILITIES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
# The same size again in the same cluster this soon is one person's sweep, not two persons' work.
SWEEP_GAP_S = 60
# itp begins on 2021-03-04, a Thursday; Monday is 0.
ITP_FIRST_WEEKDAY = 3
SMALL_FRACTIONS_SHARE = 0.005
USE_PROBABILITIES = (0.1, 0.25, 0.5, 0.75, 0.9)
# The trace keeps no time zone: its busiest hour is laid here (an assumption).
PEAK_HOUR = 15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, default=ROOT.parent / "shared" / "traces")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    before = MODEL.read_text(encoding="utf-8")
    after = "\n".join(fitted_lines(given.traces)) + "\n" + before[before.index(MARKER) :]
    if given.check:
        return int(before != after)
    MODEL.write_text(after, encoding="utf-8")
    return 0


def fitted_lines(traces: Path) -> list[str]:
    """Return the fitted part of the file, line by line."""
    itp = pl.read_parquet(traces / "itp" / "jobs.parquet").sort("cluster", "submission_time")
    return [
        *remark(
            "The workload model of the twin: imagined projects and their jobs. SYNTHETIC: fitted "
            "to published statistics, no job of anybody. docs/models.md explains it and its "
            "limits.",
            indent=0,
        ),
        "# ---- fitted: written by tools/fit_workload.py from traces; do not edit here.",
        *duration_lines(itp, traces),
        *arrival_lines(itp),
        *fraction_lines(traces),
        *use_lines(traces),
        "",
    ]


def remark(text: str, indent: int = 2) -> list[str]:
    return textwrap.wrap(
        text, 98, initial_indent=" " * indent + "# ", subsequent_indent=" " * indent + "# "
    )


def follows_its_like() -> pl.Expr:
    """Tell, row by row, whether a job continues a sweep; the frame is in order of submission."""
    soon = pl.col("submission_time").diff().over("cluster") <= SWEEP_GAP_S
    same = pl.col("num_gpu") == pl.col("num_gpu").shift(1).over("cluster")
    return (soon & same).fill_null(False)


def listed(values: Iterable[float], form: str = ".2f") -> str:
    return ", ".join(f"{one:{form}}" for one in values)


def duration_lines(itp: pl.DataFrame, traces: Path) -> list[str]:
    lines = [
        "durations_s:",
        *remark(
            "Source: Microsoft ITP clusters 1-5, 29,815 jobs of 10 minutes and more, 2021-03..05 "
            "(MIT). Quantiles by GPU count; between them the logarithm is linear. sweep: share of "
            f"the jobs that follow one of their size in their cluster within {SWEEP_GAP_S} s. "
            "n, mean: of the source."
        ),
        f"  probabilities: [{listed(PROBABILITIES, 'g')}]",
        "  by_gpus:",
    ]
    jobs = itp.with_columns(again=follows_its_like())
    for size in itp["num_gpu"].unique().sort().to_list():
        own = jobs.filter(pl.col("num_gpu") == size)
        lasted = own["duration"].to_numpy().astype(np.float64)
        quantiles = listed(np.quantile(lasted, PROBABILITIES), ".0f")
        sweep = own["again"].sum() / own.height
        said = f"# n {own.height}, mean {lasted.mean():.0f}"
        lines.append(f"    {size}: {{sweep: {sweep:.2f}, quantiles: [{quantiles}]}}   {said}")
    return [*lines, *comparison_lines(traces)]


def comparison_lines(traces: Path) -> list[str]:
    muri = pl.read_parquet(traces / "muri" / "jobs.parquet")
    acme = pl.read_csv(traces / "acme" / "cluster_summary.csv")
    lines = remark("For comparison, not used: medians of other clusters, s.")
    for trace in ("trace1", "trace3"):
        told = (
            muri.filter(pl.col("trace") == trace)
            .group_by("gpus")
            .agg(median=pl.col("duration_s").median())
            .sort("gpus")
        )
        said = ", ".join(f"{gpus} GPUs {median:.0f}" for gpus, median in told.iter_rows())
        lines += remark(f"Muri {trace} (from Philly, Apache-2.0): {said}.")
    clusters = ", ".join(
        f"{one['id']} {one['med_run_time_gpu']:.0f} (mean {one['avg_run_time_gpu']:.0f}, "
        f"{one['avg_gpu_num']:g} GPUs)"
        for one in acme.iter_rows(named=True)
    )
    return lines + remark(
        f"All GPU jobs, also those under 10 minutes (AcmeTrace, CC BY 4.0): {clusters}."
    )


def arrival_lines(itp: pl.DataFrame) -> list[str]:
    first = itp.filter(~follows_its_like()).with_columns(day=pl.col("submission_time") // 86_400)
    hours = np.bincount(first["submission_time"].to_numpy() // 3_600 % 24, minlength=24)
    smooth = (np.roll(hours, 1) + hours + np.roll(hours, -1)) / 3 / hours.mean()
    local = np.roll(smooth, PEAK_HOUR - int(smooth.argmax()))
    days = first.group_by("day").len().sort("day")
    weekend = (days["day"].to_numpy() + ITP_FIRST_WEEKDAY) % 7 >= 5
    counts = days["len"].to_numpy()
    factor = counts[weekend].mean() / counts[~weekend].mean()
    shapes = []
    for _, own in first.group_by("cluster", maintain_order=True):
        daily = own.group_by("day").len()["len"].to_numpy().astype(np.float64)
        shapes.append(float(daily.mean() ** 2 / (daily.var() - daily.mean())))
    return [
        "arrivals:",
        *remark(
            "Source: ITP as above, the first job of each sweep. hour_weights: by local hour 0..23, "
            "mean 1, smoothed over three hours; the trace has no zone, so its peak is laid on "
            f"{PEAK_HOUR}:00 (assumption)."
        ),
        f"  hour_weights: [{listed(local[:12])},",
        f"                 {listed(local[12:])}]",
        f"  weekend_factor: {factor:.2f}",
        *remark(
            "How uneven days are: a day's rate is gamma with this shape, the median of the "
            f"clusters' {listed(sorted(shapes))}."
        ),
        f"  day_shape: {float(np.median(shapes)):.2f}",
    ]


def fraction_lines(traces: Path) -> list[str]:
    pods = pl.read_parquet(traces / "openb" / "pods.parquet").filter(
        (pl.col("variant") == "default") & (pl.col("num_gpu") == 1)
    )
    parts = pods.filter(pl.col("gpu_milli") < 1_000)
    mix = parts.group_by("gpu_milli").len().sort("gpu_milli")
    common = mix.filter(pl.col("len") >= SMALL_FRACTIONS_SHARE * parts.height)
    return [
        "fractions:",
        *remark(
            "Source: Alibaba openb 2023, default variant (Apache-2.0): of the pods with one GPU "
            "this share asks for a part of it; gpu_milli: weight, of the parts that 0.5 % or more "
            "of them ask for."
        ),
        f"  share_of_single_gpu: {parts.height / pods.height:.2f}",
        "  gpu_milli:",
        *(f"    {milli}: {count / parts.height:.3f}" for milli, count in common.iter_rows()),
    ]


def use_lines(traces: Path) -> list[str]:
    minutes = pl.read_parquet(traces / "helios" / "earth_vc_minutes_2020.parquet")
    running, pending = pl.col("running_gpu_num").sum(), pl.col("pending_gpu_num").sum()
    quota = pl.col("total_gpu_num").sum()
    clusters = (
        minutes.filter(pl.col("total_gpu_num") > 0)
        .group_by("vc")
        .agg(used=running / quota, asked=(running + pending) / quota)
    )
    used, asked = clusters["used"].to_numpy(), clusters["asked"].to_numpy()
    return [
        "use_of_quotas:",
        *remark(
            "Source: SenseTime Helios, Earth, 16 virtual clusters by the minute, May 2020 (MIT): "
            "GPUs asked for (running and pending) and used, over the quota, at p10, p25, p50, p75, "
            "p90 of the clusters; and the share of them that use less than a tenth. The behaviours "
            "below keep to it in kind: most ask for less than they hold, some for more, one in "
            "eight for next to nothing."
        ),
        f"  asked: [{listed(np.quantile(asked, USE_PROBABILITIES))}]",
        f"  used: [{listed(np.quantile(used, USE_PROBABILITIES))}]",
        f"  under_a_tenth: {np.mean(used < 0.1):.3f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
