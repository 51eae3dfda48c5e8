"""Rules for the columns of a table that comes from outside, applied to whole columns at once.

Numbers are taken as they come (whole numbers, whole floats, numeric text) and ids as text or whole
numbers; whatever else stands there is refused with its row and column. Nothing is guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import polars as pl

from dure.twin.table_files import Source, quoted

# The largest count that a float holds exactly, so that every reader of our tables agrees on it.
WHOLE_MAX = 2**53


class Kind(Enum):
    """How a column's values are read."""

    TEXT = "text"
    WHOLE = "whole"
    # Seconds of a format whose standard allows fractions: rounded to the nearest, half to even.
    ROUNDED = "rounded"
    FLAG = "flag"
    # "2020-05-01 00:00:00" (or with T, or as epoch seconds), read as UTC, to epoch seconds.
    MOMENT = "moment"


_SAID = {
    Kind.TEXT: "text",
    Kind.WHOLE: "a whole number",
    Kind.ROUNDED: "a number",
    Kind.FLAG: "true or false",
    Kind.MOMENT: "a moment like 2020-05-01 00:00:00",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: as the file has it.
        kind: how its values are read.
        required: the column must be there, with a value in every row.
        default: what an absent column and an empty cell become; None leaves the cell empty.
        least: the smallest number allowed.
        most: the largest.
        words: the only texts allowed, if any.
        pattern: what a text must match, and ``pattern_said`` in words.
        blanks: texts that mean nothing stands there.
        no_gaps: where the column is there, every row has a value.
    """

    name: str
    kind: Kind = Kind.WHOLE
    required: bool = False
    default: int | str | bool | None = None
    least: int = 0
    most: int = WHOLE_MAX
    words: tuple[str, ...] = ()
    pattern: str = ""
    pattern_said: str = ""
    blanks: tuple[str, ...] = ("",)
    no_gaps: bool = False

    @property
    def expected(self) -> str:
        """Say what may stand in a cell."""
        if self.words:
            return f"one of {', '.join(self.words)}"
        if self.pattern_said:
            return self.pattern_said
        if self.kind in (Kind.WHOLE, Kind.ROUNDED):
            most = "2^53" if self.most == WHOLE_MAX else str(self.most)
            return f"{_SAID[self.kind]} from {self.least} to {most}"
        return _SAID[self.kind]

    @property
    def dtype(self) -> type[pl.DataType]:
        """Return the type of the values once read."""
        if self.kind is Kind.TEXT:
            return pl.String
        return pl.Boolean if self.kind is Kind.FLAG else pl.Int64


def normalised(raw: pl.DataFrame, columns: Sequence[Column], source: Source) -> pl.DataFrame:
    """Return exactly ``columns``, typed and defaulted, in the file's row order.

    Raises:
        InputError: for the first column, in the order of ``columns``, that is missing or has a
            cell that its rule does not allow; its first such row is named.
    """
    absent = [one.name for one in columns if one.required and one.name not in raw.columns]
    if absent:
        raise source.error(
            column=absent[0],
            found=f"no such column (there are {', '.join(raw.columns[:20])})",
            expected=f"a column with {_column_of(columns, absent[0]).expected} in every row",
        )
    return pl.DataFrame([_read_column(raw, column, source) for column in columns])


def _column_of(columns: Sequence[Column], name: str) -> Column:
    return next(column for column in columns if column.name == name)


def _read_column(raw: pl.DataFrame, column: Column, source: Source) -> pl.Series:
    if column.name not in raw.columns:
        return pl.repeat(column.default, raw.height, dtype=column.dtype, eager=True).alias(
            column.name
        )
    given = raw.get_column(column.name)
    values = _blank_to_null(_plain(given), column)
    if column.kind is Kind.TEXT:
        read = _as_text(values)
    elif column.kind is Kind.FLAG:
        read = _as_flag(values)
    elif column.kind is Kind.MOMENT:
        read = _as_moment(values)
    else:
        read = _as_whole(values, column)
    allowed = _allowed(read, column)
    needs_value = column.required or column.no_gaps
    bad = ~allowed if needs_value else values.is_not_null() & ~allowed
    refuse_first(bad, given, column.name, source, expected=column.expected)
    if column.default is not None:
        read = read.fill_null(column.default)
    return read.alias(column.name)


def refuse_first(
    bad: pl.Series, values: pl.Series, column: str, source: Source, *, expected: str
) -> None:
    """Raise InputError for the first row where ``bad`` is true, showing its value."""
    row = bad.arg_max() if bad.len() and bad.any() else None
    if row is not None:
        raise source.error(
            column=column, rows=[row + 1], found=_shown(values, row), expected=expected
        )


def _shown(values: pl.Series, row: int) -> str:
    shown = quoted(values[row])
    is_plain = values.dtype.is_numeric() or values.dtype in (pl.String, pl.Boolean, pl.Null)
    return shown if is_plain else f"{shown} ({values.dtype})"


def _plain(values: pl.Series) -> pl.Series:
    """Bring texts in disguise to text, and exact decimals to text that reads as a number."""
    if values.dtype in (pl.Categorical, pl.Enum) or isinstance(values.dtype, pl.Decimal):
        return values.cast(pl.String)
    return values


def _blank_to_null(values: pl.Series, column: Column) -> pl.Series:
    if values.dtype != pl.String:
        return values
    if column.kind is not Kind.TEXT:
        values = values.str.strip_chars()
    is_blank = values.is_in(list(column.blanks))
    return values.set(is_blank.fill_null(False), None)


def _nothing(values: pl.Series, dtype: type[pl.DataType]) -> pl.Series:
    return pl.repeat(None, values.len(), dtype=dtype, eager=True)


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype == pl.String or values.dtype.is_integer():
        return values.cast(pl.String)
    return _nothing(values, pl.String)


def _as_flag(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Boolean:
        return values
    if values.dtype == pl.String or values.dtype.is_integer():
        meant = {"true": True, "1": True, "false": False, "0": False}
        return (
            values.cast(pl.String)
            .str.to_lowercase()
            .replace_strict(meant, default=None, return_dtype=pl.Boolean)
        )
    return _nothing(values, pl.Boolean)


def _as_whole(values: pl.Series, column: Column) -> pl.Series:
    """Return Int64, null where there is no number of the column's kind within its limits."""
    if values.dtype.is_integer():
        return values.cast(pl.Int64, strict=False)
    if values.dtype.is_float():
        return _whole_of_float(values.cast(pl.Float64), column)
    if values.dtype != pl.String:
        return _nothing(values, pl.Int64)
    read = values.cast(pl.Int64, strict=False)
    if read.null_count() == values.null_count():
        return read
    return read.zip_with(
        read.is_not_null(), _whole_of_float(values.cast(pl.Float64, strict=False), column)
    )


def _whole_of_float(values: pl.Series, column: Column) -> pl.Series:
    # A sound float is at most 2^53, so the cast never overflows.
    is_sound = values.is_finite() & values.is_between(-WHOLE_MAX, column.most)
    if column.kind is Kind.WHOLE:
        is_sound &= values == values.floor()
    else:
        # -0.4 is below 0 although it rounds to 0.
        is_sound &= values >= column.least
        values = values.round(0)
    return values.set(~is_sound.fill_null(False), None).cast(pl.Int64)


def _as_moment(values: pl.Series) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.epoch("s")
    if values.dtype.is_integer():
        return values.cast(pl.Int64, strict=False)
    if values.dtype != pl.String:
        return _nothing(values, pl.Int64)
    number = values.cast(pl.Int64, strict=False)
    spelt = values.str.replace("T", " ", literal=True)
    moment = spelt.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("s")
    return number.zip_with(number.is_not_null(), moment)


def _allowed(read: pl.Series, column: Column) -> pl.Series:
    """Return where a value stands that the column's rule allows; never null."""
    if column.words:
        allowed = read.is_in(list(column.words))
    elif column.pattern:
        allowed = read.str.contains(column.pattern)
    elif column.kind in (Kind.WHOLE, Kind.ROUNDED, Kind.MOMENT):
        allowed = read.is_between(column.least, column.most)
    else:
        allowed = read.is_not_null()
    return allowed.fill_null(False)
