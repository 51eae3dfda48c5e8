"""Recorded fault histories, dealt to the nodes of a pool."""

from pathlib import Path

import polars as pl

from dure.core.errors import InputError
from dure.twin.importers.source import Sifted, file_in
from dure.twin.table_columns import WHOLE_MAX
from dure.twin.table_files import Source, read_raw
from dure.twin.tables import read_pool

# The record covers 400 servers; those that it does not list had no fault.
HISTORIES = 400
DAY_S = 86_400
COLUMNS = ("node", "start_day", "end_day", "class")


def read_infinitehbd(source: Path, nodes: Path | None, from_s: int) -> Sifted:
    """Deal the 400 recorded histories to a pool: its k-th node by name takes history k mod 400.

    Days become seconds after ``from_s``, rounded to the nearest second. A fault whose ends the
    record gives as the same moment stays, lasting 0 s.

    Args:
        source: the table of fault intervals, or its folder.
        nodes: the pool, anything that ``read_pool`` reads.
        from_s: when day 0 is, on the clock of the run, >= 0.
    """
    if nodes is None:
        raise InputError(
            "infinitehbd",
            found="no pool to deal the histories to",
            expected="--nodes FILE",
            next_step="Make one with `dure trace pool`.",
        )
    if not 0 <= from_s <= WHOLE_MAX - 1000 * 365 * DAY_S:
        raise InputError("--from-s", found=str(from_s), expected="seconds, 0 or more")
    path = file_in(source, "fault_intervals.parquet", "fault_intervals.csv")
    record = _record(path)
    names = read_pool(nodes)["node"].sort()
    dealt = pl.DataFrame({"name": names}).with_columns(
        history=pl.int_range(pl.len(), dtype=pl.Int64) % HISTORIES
    )
    days = pl.col("start_day", "end_day")
    frame = (
        dealt.join(record, left_on="history", right_on="node", how="inner")
        .with_columns((days * DAY_S).round(0).cast(pl.Int64) + from_s)
        .select(node="name", from_s="start_day", to_s="end_day", **{"class": pl.col("class")})
        .sort("node", "from_s", "to_s", "class")
    )
    sifted = Sifted(frame, rows_in=record.height)
    sifted.remarks.append(f"dealt to {names.len()} nodes")
    return sifted


def _record(path: Path) -> pl.DataFrame:
    source = Source(str(path))
    raw = read_raw(path, known=COLUMNS)
    for name in COLUMNS:
        if name not in raw.columns:
            raise source.error(column=name, found="no such column", expected="the fault record's")
    read = raw.select(
        pl.col("node").cast(pl.Int64, strict=False),
        pl.col("start_day", "end_day").cast(pl.Float64, strict=False),
        pl.col("class").cast(pl.String, strict=False),
    )
    century = 36_500
    rules = (
        (
            "node",
            pl.col("node").is_between(0, HISTORIES - 1),
            f"a number from 0 to {HISTORIES - 1}",
        ),
        ("start_day", pl.col("start_day").is_between(0, century), "days, 0 or more"),
        ("end_day", pl.col("end_day").is_between(0, century), "days, 0 or more"),
        ("end_day", pl.col("end_day") >= pl.col("start_day"), "a day not before start_day"),
        ("class", pl.col("class") != "", "a class of fault"),
    )
    faults = Sifted(read.with_row_index("row", offset=1), rows_in=read.height)
    for column, is_right, expected in rules:
        faults.refuse(~is_right.fill_null(False), column, path, expected=expected)
    return read
