"""Opens a table file, and says plainly what is wrong with it as a file.

A name's ending decides the type: ``.parquet`` or ``.csv``. CSV is UTF-8 with a header line; all its
values come back as text, for the column rules to read.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from dure.core.errors import InputError

PARQUET_ENDS = b"PAR1"
ROWS_SAID = "Row 1 is the first row of data."


@dataclass(frozen=True, slots=True)
class Source:
    """A file as a person names it; it words the errors about its rows and columns."""

    name: str

    def error(
        self,
        *,
        found: str,
        expected: str,
        column: str = "",
        rows: Iterable[int] = (),
        next_step: str = "",
    ) -> InputError:
        """Return the error to raise; ``rows`` count from 1, the first row of data."""
        numbers = list(rows)
        parts = [self.name]
        if numbers:
            word = "row" if len(numbers) == 1 else "rows"
            parts.append(f"{word} {' and '.join(map(str, numbers))}")
            next_step = f"{next_step} {ROWS_SAID}".strip()
        if column:
            parts.append(f"column {column}")
        return InputError(", ".join(parts), found=found, expected=expected, next_step=next_step)


def quoted(value: Any) -> str:
    """Return ``value`` as an error shows it: on one line, text in quotes, at most 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        short = value if len(value) <= 60 else value[:57] + "..."
        return json.dumps(short, ensure_ascii=False)
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}.get(str(value), str(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def read_raw(
    path: Path,
    *,
    known: Iterable[str] | None = None,
    separator: str = ",",
    endings: tuple[str, ...] = (".parquet", ".csv"),
) -> pl.DataFrame:
    """Read a table as it stands, without judging its values.

    Args:
        path: a Parquet or CSV file.
        known: the columns of interest; others are not loaded. None loads all.
        separator: between the values of a CSV line; "|" comes without quoting, as sacct prints it.
        endings: what the name may end in; anything but ``.parquet`` is read as CSV.

    Raises:
        InputError: if there is no such file, it is empty, cut off, or of another type.
    """
    first_bytes = opened(path)
    ending = path.suffix.lower()
    if ending not in endings:
        raise Source(str(path)).error(
            found=f"a name ending in {quoted(ending)}", expected=f"one of {', '.join(endings)}"
        )
    if ending == ".parquet":
        return _read_parquet(path, first_bytes, known)
    return _read_csv(path, first_bytes, known, separator)


def opened(path: Path) -> bytes:
    """Return the first bytes of a file; raises InputError if it cannot be read or is empty."""
    source = Source(str(path))
    try:
        with path.open("rb") as file:
            first_bytes = file.read(4096)
    except IsADirectoryError:
        raise source.error(found="a folder", expected="a file") from None
    except OSError as wrong:
        raise source.error(
            found=f"nothing to read ({wrong.strerror})", expected="a readable file"
        ) from None
    if not first_bytes:
        raise source.error(found="an empty file", expected="a table with a header")
    return first_bytes


def _read_parquet(path: Path, first_bytes: bytes, known: Iterable[str] | None) -> pl.DataFrame:
    source = Source(str(path))
    if not first_bytes.startswith(PARQUET_ENDS):
        raise source.error(
            found="a file of another type",
            expected="Parquet, as its name says",
            next_step="Name a CSV file .csv.",
        )
    try:
        columns = list(pl.read_parquet_schema(path))
        if known is not None:
            wanted = set(known)
            columns = [name for name in columns if name in wanted]
        # A file without any column of interest still has rows; without a column it would have none.
        return pl.read_parquet(path, columns=columns or None, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as wrong:
        reason = quoted(str(wrong).splitlines()[0]) if str(wrong) else "no reason given"
        raise source.error(
            found=f"a Parquet file that is cut off or damaged ({reason})",
            expected="a whole one",
            next_step="Copy or write it again.",
        ) from None


def _read_csv(
    path: Path, first_bytes: bytes, known: Iterable[str] | None, separator: str
) -> pl.DataFrame:
    source = Source(str(path))
    if b"\0" in first_bytes or first_bytes.startswith(PARQUET_ENDS):
        raise source.error(
            found="a binary file",
            expected="CSV text, as its name says",
            next_step="Name a Parquet file .parquet.",
        )
    header = _csv_header(path, separator)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise source.error(found="two columns of this name", expected="one", column=twice[0])
    try:
        frame = pl.read_csv(
            path,
            infer_schema=False,
            separator=separator,
            quote_char=None if separator == "|" else '"',
            glob=False,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        raise _csv_complaint(path, separator, len(header)) from None
    frame = _without_blank_end(frame)
    if known is None:
        return frame
    wanted = set(known)
    kept = [name for name in frame.columns if name in wanted]
    return frame.select(kept) if kept else frame


def _lines(file: TextIO, separator: str) -> Iterator[list[str]]:
    if separator == "|":
        return csv.reader(file, delimiter=separator, strict=True, quoting=csv.QUOTE_NONE)
    return csv.reader(file, delimiter=separator, strict=True)


def _csv_header(path: Path, separator: str) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(_lines(file, separator), [])
    except (UnicodeDecodeError, csv.Error):
        raise _csv_complaint(path, separator, 0) from None
    if not any(header):
        raise Source(str(path)).error(found="no header line", expected="the columns' names")
    return header


def _without_blank_end(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop empty lines at the end, which editors leave; one between rows is a row of nothing."""
    height = frame.height
    while height and all(value is None for value in frame.row(height - 1)):
        height -= 1
    return frame.head(height)


def _csv_complaint(path: Path, separator: str, width: int) -> InputError:
    """Find what the fast reader could not read, line by line."""
    source = Source(str(path))
    row = 0
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="strict") as file:
            reader = _lines(file, separator)
            next(reader, None)
            for row, values in enumerate(reader, start=1):
                if width and len(values) > width:
                    return source.error(
                        found=f"{len(values)} values",
                        expected=f"{width}, as the header",
                        rows=[row],
                    )
    except UnicodeDecodeError:
        return source.error(found="bytes that are not UTF-8", expected="CSV text in UTF-8")
    except csv.Error as wrong:
        return source.error(
            found=f"a line that is not CSV ({wrong})", expected="CSV text", rows=[row + 1]
        )
    return source.error(
        found="text that is not CSV", expected="CSV with one line a row", next_step="Check quotes."
    )
