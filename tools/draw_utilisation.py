#!/usr/bin/env python3
"""Draw utilisation of working jobs from a published distribution, for `dure idle replay`.

    tools/draw_utilisation.py --cdf cdfs.parquet --cluster seren --spell-min 5 OUT.parquet

The distribution (columns cluster, metric, x in percent, cdf_pct) says how often a GPU is used how
much, not for how long. So each GPU keeps a value for a spell of random length (exponential, mean
`--spell-min`) and draws the next one: with short spells idleness is pauses, with long ones whole
phases. Every job here goes on working, so each notice about one is a false alarm.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

SAMPLE_S = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--cdf", type=Path, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--metric", default="gpu_util")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--hours", type=int, default=12)
    parser.add_argument("--spell-min", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    cdf = pl.read_parquet(asked.cdf).filter(
        (pl.col("cluster") == asked.cluster) & (pl.col("metric") == asked.metric)
    )
    rng = np.random.default_rng(asked.seed)
    steps = asked.hours * 3_600 // SAMPLE_S
    shape = (asked.jobs, steps)
    share = np.interp(rng.uniform(0, 100, shape), cdf["cdf_pct"].to_numpy(), cdf["x"].to_numpy())
    begins = rng.uniform(size=shape) < SAMPLE_S / (60 * asked.spell_min)
    begins[:, 0] = True
    place = np.maximum.accumulate(np.where(begins, np.arange(steps), 0), axis=1)
    busy = np.rint(10 * np.take_along_axis(share, place, axis=1)).astype(np.int64).clip(0, 1_000)
    pl.DataFrame(
        {
            "job": np.repeat([f"j{one}" for one in range(asked.jobs)], steps),
            "at_s": np.tile(1_790_000_100 + SAMPLE_S * np.arange(steps), asked.jobs),
            "busy_milli": busy.ravel(),
        }
    ).write_parquet(asked.out)


if __name__ == "__main__":
    main()
