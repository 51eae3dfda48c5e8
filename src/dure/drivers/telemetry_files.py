"""Samples and their roll-ups as Parquet files in one folder, written so that little can be lost.

    samples/PERIOD/N.parquet    a minute's samples of one period of five minutes
    5min/PERIOD.parquet         the same rolled up; hour/ and day/ likewise

Every file is written beside, made durable, then renamed. A roll-up that is not there is due: late
samples remove those that they belong into, and the next ``keep`` makes them anew. A file that
cannot be read is set aside as ``.torn``.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

import polars as pl

from dure.drivers import files
from dure.reports.rollups import (
    DAY_S,
    FIVE_MIN_S,
    HOUR_S,
    ROLLED,
    SAMPLES,
    UNIT,
    period_of,
    roll_on,
    roll_up,
)

log = logging.getLogger("dure.telemetry")

FLUSH_S = 60
# A period is rolled up so long after its end: its last samples are there by then.
SETTLED_S = 30
# So many samples wait in memory at most while the disk takes none.
WAITING_MAX = 6_000_000


@dataclass(frozen=True, slots=True)
class Level:
    """One length of period: where it lies and for how long it is kept."""

    name: str
    length_s: int
    kept_s: int


RAW_KEPT_S = 2 * DAY_S
LEVELS = (
    Level("5min", FIVE_MIN_S, 14 * DAY_S),
    Level("hour", HOUR_S, 400 * DAY_S),
    Level("day", DAY_S, 3_660 * DAY_S),
)


class TelemetryFiles:
    """The telemetry of one pool. One thread writes; reading is for any.

    Args:
        root: its folder, made if it is missing.

    Attributes:
        lost: samples dropped because the disk took none for too long.
        torn: files that could not be read and were set aside.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lost, self.torn = 0, 0
        self._lock = RLock()  # what is written leaves memory in one step
        self._waiting: list[pl.DataFrame] = []
        self._flushed_at_s: int | None = None
        for name in ("samples", *(level.name for level in LEVELS)):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._due = [
            self._below(place) - set(self._numbers(level.name))
            for place, level in enumerate(LEVELS)
        ]

    def add(self, samples: pl.DataFrame) -> None:
        """Take samples of schema ``SAMPLES``; they are durable within ``FLUSH_S``."""
        if samples.height:
            with self._lock:
                self._waiting = [*self._waiting, samples]

    def keep(self, now_s: int, *, at_once: bool = False) -> None:
        """Write what waits, roll up what is due, drop what is too old.

        Raises:
            OSError: if the disk takes nothing; what waits is tried again by the next call.
        """
        if self._flushed_at_s is None:
            self._flushed_at_s = now_s
        if not at_once and 0 <= now_s - self._flushed_at_s < FLUSH_S:
            return
        # What fails is tried again in a minute, not at every turn.
        self._flushed_at_s = now_s
        self._flush()
        for place, level in enumerate(LEVELS):
            for from_s in sorted(self._due[place]):
                if from_s + level.length_s + SETTLED_S <= now_s:
                    self._roll(place, from_s)
        self._retire(now_s)

    def newest_s(self) -> int:
        """Return the newest sample's moment that is durable, 0 if there is none."""
        for folder in reversed(self._numbers("samples")):
            parts = [part["at_s"] for part in self._read(self._segments(folder), SAMPLES)]
            if parts and len(moments := pl.concat(parts)):
                return int(moments.max())  # type: ignore[arg-type]
        return 0

    def samples(self, from_s: int, to_s: int, *, job: str | None = None) -> pl.DataFrame:
        """Return the samples of ``[from_s, to_s)`` that are still kept, of one job or all; in no
        order.
        """
        with self._lock:
            paths: list[Path] = []
            for folder in self._numbers("samples"):
                if from_s - FIVE_MIN_S < folder < to_s:
                    paths += self._segments(folder)
            parts = [pl.DataFrame(schema=SAMPLES), *self._waiting]
        chosen = pl.concat([*parts, *self._read(paths, SAMPLES, job=job)]).filter(
            pl.col("at_s").is_between(from_s, to_s, closed="left")
        )
        return chosen if job is None else chosen.filter(pl.col("job") == job)

    def rolled(
        self, from_s: int, to_s: int, *, length_s: int, job: str | None = None
    ) -> pl.DataFrame:
        """Return a level's rows whose period begins in ``[from_s, to_s)``, by period and unit, of
        one job or all.

        What is not rolled up yet is rolled up for the answer.
        """
        place = next(i for i, level in enumerate(LEVELS) if level.length_s == length_s)
        begin = period_of(from_s + length_s - 1, length_s)
        there = [one for one in self._numbers(LEVELS[place].name) if begin <= one < to_s]
        paths = [self._path(place, one) for one in there]
        parts = [pl.DataFrame(schema=ROLLED), *self._read(paths, ROLLED, job=job)]
        with self._lock:
            moments = [part["at_s"].unique().to_list() for part in self._waiting]
        waiting = {period_of(at_s, length_s) for part in moments for at_s in part}
        for one in sorted((self._below(place) | waiting) - set(there)):
            if begin <= one < to_s and place == 0:
                parts.append(roll_up(self.samples(one, one + length_s, job=job)))
            elif begin <= one < to_s:
                below_s = LEVELS[place - 1].length_s
                below = self.rolled(one, one + length_s, length_s=below_s, job=job)
                parts.append(roll_on([below], length_s))
        return pl.concat(parts).sort("from_s", *UNIT)

    def _flush(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            samples = pl.concat(self._waiting)
            self._waiting = [samples]
        periods = samples["at_s"] // FIVE_MIN_S * FIVE_MIN_S
        for from_s in periods.unique().sort().to_list():
            with self._lock:
                try:
                    self._write_segment(from_s, samples.filter(periods == from_s))
                except OSError:
                    self._drop_what_is_too_much()
                    raise
                # Written for good: a failure at the next period must not write it twice.
                self._waiting = [samples.filter(periods > from_s), *self._waiting[1:]]

    def _drop_what_is_too_much(self) -> None:
        rows = sum(part.height for part in self._waiting)
        if rows > WAITING_MAX:
            self.lost += rows - WAITING_MAX
            self._waiting = [pl.concat(self._waiting).tail(WAITING_MAX)]

    def _write_segment(self, from_s: int, samples: pl.DataFrame) -> None:
        # First what these samples make wrong: a crash between the two costs a roll-up made anew.
        for place, level in enumerate(LEVELS):
            period = period_of(from_s, level.length_s)
            files.remove(str(self._path(place, period)))
            self._due[place].add(period)
        folder = self.root / "samples" / str(from_s)
        folder.mkdir(mode=0o700, exist_ok=True)
        number = max((int(one.stem) for one in self._segments(from_s)), default=0) + 1
        _write(samples, folder / f"{number}.parquet")

    def _roll(self, place: int, from_s: int) -> None:
        level = LEVELS[place]
        if place == 0:
            parts = [roll_up(one) for one in self._read(self._segments(from_s), SAMPLES)]
        else:
            below = LEVELS[place - 1]
            if any(from_s <= one < from_s + level.length_s for one in self._due[place - 1]):
                return
            inside = [
                one for one in self._numbers(below.name) if from_s <= one < from_s + level.length_s
            ]
            parts = list(self._read((self._path(place - 1, one) for one in inside), ROLLED))
        if parts:
            _write(roll_on(parts, level.length_s), self._path(place, from_s))
        self._due[place].discard(from_s)

    def _retire(self, now_s: int) -> None:
        for folder in self._numbers("samples"):
            if folder + FIVE_MIN_S > now_s - RAW_KEPT_S:
                break
            if folder in self._due[0]:
                continue
            for path in (self.root / "samples" / str(folder)).iterdir():
                path.unlink()
            (self.root / "samples" / str(folder)).rmdir()
        for place, level in enumerate(LEVELS):
            for period in self._numbers(level.name):
                if period + level.length_s > now_s - level.kept_s:
                    break
                files.remove(str(self._path(place, period)))

    def _below(self, place: int) -> set[int]:
        """Return the periods of a level of which there is something to roll up."""
        sources = ["samples", *(level.name for level in LEVELS[:place])]
        length_s = LEVELS[place].length_s
        return {period_of(one, length_s) for name in sources for one in self._numbers(name)}

    def _path(self, place: int, from_s: int) -> Path:
        return self.root / LEVELS[place].name / f"{from_s}.parquet"

    def _segments(self, from_s: int) -> list[Path]:
        folder = f"samples/{from_s}"
        return [self.root / folder / f"{number}.parquet" for number in self._numbers(folder)]

    def _numbers(self, folder: str) -> list[int]:
        """Return the numbers that name what lies in a folder, growing; other names are no data."""
        try:
            names = os.listdir(self.root / folder)
        except FileNotFoundError:
            return []
        stems = (name.removesuffix(".parquet") for name in names)
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def _read(
        self, paths: Iterable[Path], schema: pl.Schema, *, job: str | None = None
    ) -> Iterator[pl.DataFrame]:
        """Yield what the files hold, one after the other; a damaged one is set aside."""
        for path in paths:
            try:
                table = pl.scan_parquet(path)
                if table.collect_schema() != schema:
                    self._set_aside(path, "other columns")
                    continue
                yield (table if job is None else table.filter(pl.col("job") == job)).collect()
            except FileNotFoundError:
                continue
            except (pl.exceptions.PolarsError, OSError) as wrong:
                self._set_aside(path, str(wrong))

    def _set_aside(self, path: Path, wrong: str) -> None:
        log.error("%s cannot be read and is set aside: %s", path, wrong.splitlines()[0][:200])
        self.torn += 1
        os.replace(path, f"{path}.torn")
        if path.parent.parent == self.root:
            place = [level.name for level in LEVELS].index(path.parent.name)
            self._due[place].add(int(path.stem))


def _write(table: pl.DataFrame, path: Path) -> None:
    """Put a table at ``path`` in one step; durable on return. Raises OSError on a full disk."""
    beside = path.with_suffix(".new")
    try:
        with open(beside, "wb") as stream:
            table.write_parquet(stream, compression="zstd", compression_level=1)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except pl.exceptions.PolarsError as wrong:
        beside.unlink(missing_ok=True)
        raise OSError(f"{path}: {wrong}") from wrong
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    files.sync_folder(str(path.parent))
