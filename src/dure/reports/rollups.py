"""Samples rolled up: five minutes, hours, days; sums that can be rolled up again without loss.

A table of samples has a row a sample; a rolled-up one a row a unit (job, node, device) and period.
What was not measured is null, and stays so.
"""

from collections.abc import Sequence

import polars as pl

FIVE_MIN_S, HOUR_S, DAY_S = 300, 3_600, 86_400
# Korean days begin at 15:00 UTC.
DAY_OFFSET_S = 9 * HOUR_S
# Job first: whoever reads one job of a large table skips the rest of it.
UNIT = ("job", "node", "device")
SAMPLES = pl.Schema(
    {
        "at_s": pl.Int64(),
        "node": pl.String(),
        "device": pl.Int32(),
        "job": pl.String(),
        "covers_s": pl.Int64(),
        "busy_milli": pl.Int64(),
        "memory_mib": pl.Int64(),
        "power_mw": pl.Int64(),
        "energy_mj": pl.Int64(),
        "cpu_ms": pl.Int64(),
    }
)
_COUNTS = ("samples", "covers_s", "busy_samples", "power_samples")
_SUMS = ("busy_milli_sum", "power_mw_sum", "energy_mj_sum", "cpu_ms_sum")
_LEAST, _MOST = ("busy_milli_min",), ("busy_milli_max", "memory_mib_max")
ROLLED = pl.Schema(
    {"from_s": pl.Int64(), "job": pl.String(), "node": pl.String(), "device": pl.Int32()}
    | {name: pl.Int64() for name in (*_COUNTS, *_SUMS, *_LEAST, *_MOST)}
)


def period_of(at_s: int, length_s: int) -> int:
    """Return the first second of the period that a moment lies in."""
    offset_s = DAY_OFFSET_S if length_s == DAY_S else 0
    return (at_s + offset_s) // length_s * length_s - offset_s


def roll_up(samples: pl.DataFrame) -> pl.DataFrame:
    """Roll samples up to five minutes, in the order of period and unit.

    Args:
        samples: of schema ``SAMPLES``.

    Returns:
        Of schema ``ROLLED``: how many samples there are and of how many seconds, sums of what was
        measured, its least and most; null where nothing was.
    """
    from_s = (pl.col("at_s") // FIVE_MIN_S * FIVE_MIN_S).alias("from_s")
    rolled = samples.group_by(from_s, *UNIT).agg(
        pl.len().cast(pl.Int64).alias("samples"),
        pl.col("covers_s").sum(),
        pl.col("busy_milli").count().cast(pl.Int64).alias("busy_samples"),
        pl.col("power_mw").count().cast(pl.Int64).alias("power_samples"),
        *(
            _sum(pl.col(name)).alias(f"{name}_sum")
            for name in ("busy_milli", "power_mw", "energy_mj", "cpu_ms")
        ),
        pl.col("busy_milli").min().alias("busy_milli_min"),
        pl.col("busy_milli").max().alias("busy_milli_max"),
        pl.col("memory_mib").max().alias("memory_mib_max"),
    )
    return rolled.select(ROLLED.names()).sort("from_s", *UNIT)


def roll_on(parts: Sequence[pl.DataFrame], length_s: int) -> pl.DataFrame:
    """Roll rolled-up tables up to longer periods; parts may share units and periods."""
    if not parts:
        return pl.DataFrame(schema=ROLLED)
    offset_s = DAY_OFFSET_S if length_s == DAY_S else 0
    from_s = (pl.col("from_s") + offset_s) // length_s * length_s - offset_s
    rolled = (
        pl.concat(parts)
        .group_by(from_s.alias("from_s"), *UNIT)
        .agg(
            *(pl.col(name).sum() for name in _COUNTS),
            *(_sum(pl.col(name)) for name in _SUMS),
            *(pl.col(name).min() for name in _LEAST),
            *(pl.col(name).max() for name in _MOST),
        )
    )
    return rolled.select(ROLLED.names()).sort("from_s", *UNIT)


def _sum(values: pl.Expr) -> pl.Expr:
    """Return a sum that is null where nothing was measured: 0 would be a measurement."""
    return pl.when(values.count() > 0).then(values.sum())
