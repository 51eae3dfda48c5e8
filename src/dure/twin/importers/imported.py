"""Choose the reader of a format, check what it read, write it, say what was done in one line."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dure.core.errors import InputError
from dure.twin.importers.clusters import (
    read_helios,
    read_itp,
    read_muri,
    read_openb,
    read_yardstick,
    refuse_trace,
)
from dure.twin.importers.faults import read_infinitehbd
from dure.twin.importers.logs import read_philly, read_swf
from dure.twin.importers.slurm import read_sacct
from dure.twin.importers.source import Sifted
from dure.twin.table_files import quoted, read_raw
from dure.twin.tables import FAULT_COLUMNS, JOB_COLUMNS, POOL_COLUMNS, read_jobs

Reader = Callable[[Path, str | None], Sifted]


def read_own_csv(source: Path, trace: str | None) -> Sifted:
    """Read jobs in our own columns; those that the file lacks stay away, except ``job``."""
    refuse_trace(source, trace)
    frame = read_jobs(source)
    has_level = pl.col("locality_kind") != "any"
    is_preferred = pl.col("locality_kind") == "preferred"
    nothing = pl.lit("")
    locality = pl.concat_str(
        "locality_kind",
        pl.when(has_level).then(":" + pl.col("locality_level")).otherwise(nothing),
        pl.when(is_preferred).then(":" + pl.col("patience_s").cast(pl.String)).otherwise(nothing),
    )
    # -1 stands for "none" inside; outside, an empty cell does.
    or_empty = [
        pl.when(pl.col(column.name) >= 0).then(column.name).alias(column.name)
        for column in JOB_COLUMNS
        if column.default == -1
    ]
    held = {"job", *read_raw(source).columns}
    columns = [column.name for column in JOB_COLUMNS if column.name in held]
    frame = frame.with_columns(locality.alias("locality"), *or_empty).select(columns)
    return Sifted(frame, rows_in=frame.height)


READERS: Mapping[str, Reader] = {
    "itp": read_itp,
    "openb": read_openb,
    "muri": read_muri,
    "helios": read_helios,
    "philly": read_philly,
    "swf": read_swf,
    "slurm-sacct": read_sacct,
    "yardstick": read_yardstick,
    "csv": read_own_csv,
}
FORMATS = (*READERS, "infinitehbd")


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did.

    Attributes:
        format: one of ``FORMATS``.
        rows_in: rows that the source has (of the trace chosen).
        rows_out: rows written.
        set_aside: rows that cannot be jobs, by reason.
        remarks: what else a reader of the output should know.
    """

    format: str
    rows_in: int
    rows_out: int
    set_aside: Mapping[str, int]
    remarks: tuple[str, ...]

    def line(self) -> str:
        """Say it in one line."""
        parts = [f"{self.format}: {self.rows_in} rows in, {self.rows_out} rows out"]
        if self.set_aside:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.set_aside.items())
            parts.append(f"{sum(self.set_aside.values())} set aside ({reasons})")
        return "; ".join([*parts, *self.remarks])


def import_trace(
    format: str,
    source: Path,
    out: Path,
    *,
    nodes: Path | None = None,
    from_s: int | None = None,
    trace: str | None = None,
) -> ImportSummary:
    """Turn a published trace into a table that the twin reads, written to ``out``.

    Args:
        format: one of ``FORMATS``.
        source: a file or folder, as the format has it; ``FILE#TRACE`` names one trace in it.
        out: .parquet or .csv; replaced only once all is written.
        nodes: the pool to deal faults to (infinitehbd).
        from_s: when day 0 of the faults is (infinitehbd); None is 0.
        trace: one trace of several; must not contradict the one in ``source``.

    Raises:
        InputError: if the source cannot be read, or has a malformed row.
    """
    if format not in FORMATS:
        raise InputError("FORMAT", found=quoted(format), expected=f"one of {', '.join(FORMATS)}")
    refuse_ending(out)
    if format != "infinitehbd" and (nodes is not None or from_s is not None):
        raise InputError(
            "--nodes, --from-s", found=f"format {format}", expected="them only with infinitehbd"
        )
    source, trace = _parted(source, trace)
    if format == "infinitehbd":
        refuse_trace(source, trace)
        sifted = read_infinitehbd(source, nodes, from_s or 0)
    else:
        sifted = READERS[format](source, trace)
    write_table(_in_order(sifted.frame), out)
    return ImportSummary(
        format=format,
        rows_in=sifted.rows_in,
        rows_out=sifted.frame.height,
        set_aside=dict(sifted.set_aside),
        remarks=tuple(sifted.remarks),
    )


def _parted(source: Path, trace: str | None) -> tuple[Path, str | None]:
    """Part FILE#TRACE, unless a file of that very name exists."""
    name, mark, part = source.name.rpartition("#")
    if not mark or source.exists():
        return source, trace
    if trace is not None and trace != part:
        raise InputError(
            str(source), found=f"another trace in --trace, {quoted(trace)}", expected="one of them"
        )
    return source.with_name(name), part


def _in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Bring columns into the tables' own order, and leave out those that are empty throughout."""
    is_jobs, is_pool = "submit_at_s" in frame.columns, "leaf" in frame.columns
    rules = JOB_COLUMNS if is_jobs else POOL_COLUMNS if is_pool else FAULT_COLUMNS
    order = [column.name for column in rules if column.name in frame.columns]
    empty = {name for name in order if frame.height and frame[name].null_count() == frame.height}
    frame = frame.select([name for name in order if name not in empty])
    return frame.sort("submit_at_s", maintain_order=True) if is_jobs else frame


def refuse_ending(out: Path) -> None:
    """Raise InputError unless the name says a type that we write."""
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(
            str(out),
            found=f"a name ending in {quoted(out.suffix)}",
            expected="one in .parquet or .csv",
        )


def write_table(frame: pl.DataFrame, out: Path) -> None:
    """Write Parquet or CSV, by the name's ending; the old file stands until the new one is whole.

    Raises:
        InputError: if there is no such folder, or it cannot be written to.
    """
    refuse_ending(out)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.suffix.lower() == ".csv":
            frame.write_csv(unfinished)
        else:
            frame.write_parquet(unfinished)
        unfinished.replace(out)
    except OSError as wrong:
        unfinished.unlink(missing_ok=True)
        reason = wrong.strerror or str(wrong).splitlines()[0]
        raise InputError(
            str(out), found=f"no way to write it ({reason})", expected="a writable file"
        ) from None
