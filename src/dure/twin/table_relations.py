"""Rules between the rows of a table: ids stand once, chains end, sums fit; over whole columns."""

import numpy as np
import polars as pl

from dure.twin.table_columns import WHOLE_MAX
from dure.twin.table_files import Source, quoted


def refuse_repeated(ids: pl.Series, column: str, source: Source) -> None:
    """Raise InputError if an id stands twice, naming the first repetition and its original."""
    is_first = ids.is_first_distinct()
    if is_first.all():
        return
    again = (~is_first).arg_max()
    assert again is not None
    first = (ids == ids[again]).arg_max()
    assert first is not None
    raise source.error(
        column=column,
        rows=[first + 1, again + 1],
        found=f"{quoted(ids[again])} twice",
        expected="each id once",
    )


def refuse_two_parents(
    children: pl.Series, parents: pl.Series, column: str, source: Source
) -> None:
    """Raise InputError if a domain stands in two larger ones, naming the first row of each.

    Args:
        children: the smaller domain of each row.
        parents: the larger one as the file states it, null where it does not.
        column: the larger one's name.
        source: the file.
    """
    rows = pl.DataFrame({"child": children, "parent": parents}).with_row_index("row")
    first = rows.drop_nulls().unique("child", keep="first", maintain_order=True)
    both = rows.join(first, on="child", how="inner", suffix="_first", maintain_order="left")
    wrong = both.filter(pl.col("parent") != pl.col("parent_first"))
    if wrong.height:
        row, child, parent, row_first, parent_first = wrong.row(0)
        raise source.error(
            column=column,
            rows=[row_first + 1, row + 1],
            found=f"{quoted(child)} in {quoted(parent_first)} and in {quoted(parent)}",
            expected="each domain in one larger one",
        )


def refuse_sum_beyond(
    parts: pl.Series,
    values: pl.Series,
    column: str,
    source: Source,
    *,
    said: str,
    before: float = 0.0,
) -> None:
    """Raise InputError at the row whose ``parts`` carry the running sum beyond 2^53.

    Args:
        parts: what is added up, >= 0, as floats: near the limit their rounding does not matter.
        values: what stands in the column, for the message.
        column: its name.
        source: the file.
        said: what the sum is, in words.
        before: what the sum starts from.
    """
    is_beyond = parts.cum_sum() + before > WHOLE_MAX
    if is_beyond.any():
        row = is_beyond.arg_max()
        assert row is not None
        raise source.error(
            column=column,
            rows=[row + 1],
            found=f"{quoted(values[row])}, which brings {said} beyond 2^53",
            expected="sums that a 64-bit count can hold",
        )


def refuse_broken_chains(ids: pl.Series, after: pl.Series, source: Source) -> None:
    """Raise InputError if an ``after`` names no job of the table, or waits for itself in a circle.

    Args:
        ids: the jobs, each once.
        after: the job that each one waits for, "" for none.
        source: the file.
    """
    waits = (after != "").to_numpy()
    if not waits.any():
        return
    place = pl.DataFrame({"job": ids}).with_row_index("place")
    joined = pl.DataFrame({"job": after}).join(place, on="job", how="left", maintain_order="left")
    awaited = joined["place"].fill_null(-1).cast(pl.Int64).to_numpy()
    unknown = np.flatnonzero(waits & (awaited < 0))
    if unknown.size:
        row = int(unknown[0])
        raise source.error(
            column="after",
            rows=[row + 1],
            found=quoted(after[row]),
            expected="the id of a job in this table",
        )
    row_in_circle = _first_in_circle(np.where(waits, awaited, -1))
    if row_in_circle is not None:
        raise source.error(
            column="after",
            rows=[row_in_circle + 1],
            found=f"{quoted(after[row_in_circle])}, which waits for this job in turn",
            expected="chains of jobs that end",
        )


def _first_in_circle(awaited: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int | None:
    """Follow every chain at once, in steps that double; what never ends goes round in a circle."""
    count = len(awaited)
    # The last place stands for "waits for nobody" and leads to itself.
    step = np.append(np.where(awaited < 0, count, awaited), count)
    steps = 1
    while steps <= count and (step != count).any():
        step = step[step]
        steps *= 2
    endless = step[step != count]
    return int(endless.min()) if endless.size else None
