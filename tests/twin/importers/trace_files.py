"""Small sources on disk, and an import of them that has lost no row."""

from pathlib import Path
from typing import Any

import polars as pl

from dure.twin.importers import ImportSummary, import_trace


def imported(
    folder: Path, format: str, source: Path, **options: Any
) -> tuple[ImportSummary, pl.DataFrame]:
    out = folder / "out.parquet"
    summary = import_trace(format, source, out, **options)
    assert summary.rows_in == summary.rows_out + sum(summary.set_aside.values())
    return summary, pl.read_parquet(out)


def text_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table_file(folder: Path, table: dict[str, list[Any]]) -> Path:
    path = folder / "source.parquet"
    pl.DataFrame(table).write_parquet(path)
    return path
