"""What the readers of all formats share: where a source lies, what became of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from dure.core.errors import InputError
from dure.twin.table_columns import Column, normalised
from dure.twin.table_files import Source, quoted, read_raw
from dure.twin.table_relations import refuse_repeated


@dataclass(slots=True)
class Sifted:
    """A source's rows, less those that cannot be jobs; each loss has its reason and its count."""

    frame: pl.DataFrame
    rows_in: int
    set_aside: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def drop(self, reason: str, cannot: pl.Expr) -> None:
        """Set aside the rows for which ``cannot`` holds; null counts as not."""
        cannot = cannot.fill_null(False)
        kept = self.frame.filter(~cannot)
        lost = self.frame.height - kept.height
        if lost:
            self.set_aside[reason] = self.set_aside.get(reason, 0) + lost
        self.frame = kept

    def refuse(self, cannot: pl.Expr, column: str, path: Path, *, expected: str) -> None:
        """Raise InputError for the first row still here for which ``cannot`` holds."""
        bad = self.frame.filter(cannot)
        if bad.height:
            raise Source(str(path)).error(
                column=column,
                rows=[bad["row"][0]],
                found=quoted(bad[column][0]),
                expected=expected,
            )

    def only(self, column: str, value: str) -> None:
        """Keep one trace of several; the others count neither as rows in nor as set aside."""
        self.frame = self.frame.filter(pl.col(column) == value)
        self.rows_in = self.frame.height


def sift(path: Path, columns: Sequence[Column], *, separator: str = ",") -> Sifted:
    """Read a source's columns under their own names, typed; ``row`` is each row's number."""
    # Published logs are often named .txt, .log, or nothing at all.
    known = (".parquet", ".csv", ".txt", ".log", ".psv", "")
    raw = read_raw(path, known=[one.name for one in columns], separator=separator, endings=known)
    frame = normalised(raw, columns, Source(str(path))).with_row_index("row", offset=1)
    return Sifted(frame, rows_in=frame.height)


def file_in(source: Path, *names: str) -> Path:
    """Return ``source`` itself, or the first of ``names`` in it if it is a folder.

    Raises:
        InputError: if the folder holds none of them.
    """
    if not source.is_dir():
        return source
    for name in names:
        if (source / name).is_file():
            return source / name
    raise InputError(
        str(source),
        found="a folder without the trace",
        expected=f"one that holds {' or '.join(names)}",
        next_step="Name the file itself.",
    )


def choose(values: pl.Series, wanted: str | None, path: Path, *, word: str) -> str | None:
    """Return the trace that was asked for, None if none was.

    Raises:
        InputError: if the file holds no such trace; those it holds are listed.
    """
    if wanted is None or wanted in set(values.unique().to_list()):
        return wanted
    held = ", ".join(sorted(values.unique().to_list())[:12])
    raise InputError(
        str(path), found=f"no {word} {quoted(wanted)}", expected=f"one of: {held or 'none at all'}"
    )


def with_own_ids(sifted: Sifted, path: Path, *, job: str, part: str) -> Sifted:
    """Make ids that stand once: as in the source, or ``PART/ID`` where parts share ids.

    Raises:
        InputError: if an id stands twice within one part.
    """
    if sifted.frame[job].is_unique().all():
        return sifted
    full = sifted.frame[part] + "/" + sifted.frame[job]
    refuse_repeated_at(full, sifted.frame["row"], path, column=job)
    sifted.frame = sifted.frame.with_columns(full.alias(job))
    return sifted


def refuse_repeated_at(ids: pl.Series, rows: pl.Series, path: Path, *, column: str) -> None:
    """Refuse an id that stands twice, by the rows of the source instead of those still here."""
    if ids.is_unique().all():
        return
    # Rows set aside leave gaps; a frame with the gaps filled has the source's own numbering.
    last = int(str(rows.max()))
    gaps = pl.DataFrame({"row": pl.int_range(1, last + 1, dtype=pl.UInt32, eager=True)})
    filled = gaps.join(
        pl.DataFrame({"row": rows.cast(pl.UInt32), "id": ids}), on="row", how="left"
    ).sort("row")
    empty = "\0" + filled["row"].cast(pl.String)
    refuse_repeated(filled["id"].fill_null(empty), column, Source(str(path)))
