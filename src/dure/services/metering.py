"""Measuring a pool: read the meter, set aside what cannot be, say whose GPUs they are, keep it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from dure.core.errors import DriverError
from dure.core.measured import HOST, METRICS, NOT_MEASURED, Samples, Sieve, Signal, Unit
from dure.reports.rollups import SAMPLES
from dure.services.ports import Clock, Meter, TelemetryStore
from dure.services.views import NO_JOB, PoolView

log = logging.getLogger("dure.metering")

SAMPLE_S = 15.0
# A meter that comes back after an hour is read in parts; so many of them in one turn.
PARTS_MAX = 12
# What is this near the present counts as caught up.
NEAR_S = 5
HolderOf = Callable[[Unit], tuple[str, int]]


@dataclass(slots=True)
class Progress:
    """How measuring goes, for the metrics.

    Attributes:
        upto_s: everything up to this moment was read, or was before we began. samples: how many.
        heard_s: each node's newest sample.
        troubles: how often the meter or the disk failed. trouble: the newest, "" when all is well.
    """

    upto_s: int = 0
    samples: int = 0
    troubles: int = 0
    trouble: str = ""
    heard_s: dict[str, int] = field(default_factory=dict)


Listener = Callable[[Progress, Sequence[Signal], int], None]


class Metering:
    """The turns of a pool's meter.

    Args:
        holders: makes what says whose a unit is, and since when, for one reading.
        listeners: told how far measuring is, of new errors, and of the moment, after each reading.

    Attributes:
        progress: how it goes.
    """

    def __init__(
        self,
        meter: Meter,
        sieve: Sieve,
        store: TelemetryStore,
        holders: Callable[[], HolderOf],
        clock: Clock,
        *,
        listeners: Sequence[Listener] = (),
        every_s: float = SAMPLE_S,
    ) -> None:
        self._meter, self.sieve, self.store = meter, sieve, store
        self._holders, self._clock, self._listeners = holders, clock, listeners
        self._every_s = every_s
        self.progress = Progress(upto_s=clock.now_s())

    def turn(self) -> float:
        """Read what is new, keep it, tell the listeners; return in how many seconds to come
        again.
        """
        progress, now_s = self.progress, self._clock.now_s()
        troubles = progress.troubles
        rest_s = 0.0
        for _ in range(PARTS_MAX):
            if not self._read(now_s) or progress.upto_s >= now_s - NEAR_S:
                rest_s = self._every_s
                break
        try:
            self.store.keep(now_s)
        except OSError as wrong:
            self._failed(f"telemetry cannot be written: {wrong}")
        if progress.troubles == troubles:
            progress.trouble = ""
        return rest_s

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: the next turn reads on from where this one stopped."""

    def close(self) -> None:
        """Make durable what was read; the meter is not asked again."""
        self._meter.close()
        try:
            self.store.keep(self._clock.now_s(), at_once=True)
        except OSError as wrong:
            log.error("the last minute of telemetry is lost: %s", wrong)

    def _read(self, now_s: int) -> bool:
        try:
            measured = self._meter.read(now_s)
        except DriverError as wrong:
            self._failed(str(wrong))
            return False
        samples = self.sieve.sift(measured, now_s=now_s)
        table = table_of(samples, self._holders())
        self.store.add(table)
        self.progress.upto_s = measured.upto_s
        self.progress.samples += table.height
        self._hear(samples)
        for listen in self._listeners:
            listen(self.progress, samples.signals, now_s)
        return True

    def _hear(self, samples: Samples) -> None:
        heard = self.progress.heard_s
        newest = np.zeros(len(samples.units), dtype=np.int64)
        np.maximum.at(newest, samples.unit, samples.at_s)
        for unit, at_s in zip(samples.units, newest.tolist(), strict=True):
            if at_s > heard.get(unit.node, 0):
                heard[unit.node] = at_s

    def _failed(self, trouble: str) -> None:
        # A meter that is away for an hour is one line, not one a turn.
        if not self.progress.trouble:
            log.warning("%s", trouble)
        self.progress.troubles += 1
        self.progress.trouble = trouble


class Holders:
    """Which job stands on a GPU by the engine's books, and since when."""

    def __init__(self, view: PoolView) -> None:
        self._view = view
        self._first = dict(zip(view.nodes.ids, view.nodes.first_device().tolist(), strict=True))
        self._known: dict[int, tuple[str, int]] = {}

    def of(self, unit: Unit) -> tuple[str, int]:
        """Return (job, since when); what the meter says comes first, and is always so."""
        if unit.job or unit.device == HOST or unit.node not in self._first:
            return unit.job, 0
        index = int(self._view.device_job[self._first[unit.node] + unit.device])
        if index == NO_JOB:
            return "", 0
        if index not in self._known:
            row = self._view.jobs.row(index)
            self._known[index] = (row.job, row.start_at_s)
        return self._known[index]


def table_of(samples: Samples, holder_of: HolderOf) -> pl.DataFrame:
    """Return samples as a table of schema ``SAMPLES``, each with the job that it is of."""
    # A unit whose samples were all set aside may be one that the pool does not have.
    is_there = np.bincount(samples.unit, minlength=len(samples.units)) > 0
    held = [
        holder_of(unit) if there else ("", 0)
        for unit, there in zip(samples.units, is_there.tolist(), strict=True)
    ]
    since_s = np.array([since for _, since in held], dtype=np.int64)
    # What was measured before a job came is not that job's.
    is_theirs = samples.at_s >= since_s[samples.unit]
    unit = pl.Series(samples.unit)

    def named(names: Sequence[str]) -> pl.Series:
        return pl.Series(names, dtype=pl.String).gather(unit)

    columns: Mapping[str, pl.Series] = {
        "at_s": pl.Series(samples.at_s, dtype=pl.Int64),
        "node": named([one.node for one in samples.units]),
        "device": pl.Series([one.device for one in samples.units], dtype=pl.Int32).gather(unit),
        "job": named([job for job, _ in held]),
        "covers_s": pl.Series(samples.covers_s, dtype=pl.Int64),
        **{name: pl.Series(samples.values[row]) for row, name in enumerate(METRICS)},
    }
    nulls = [pl.when(pl.col(name) != NOT_MEASURED).then(pl.col(name)) for name in METRICS]
    job = pl.when(pl.Series(is_theirs)).then(pl.col("job")).otherwise(pl.lit(""))
    return pl.DataFrame(columns).with_columns(job.alias("job"), *nulls).select(SAMPLES.names())
