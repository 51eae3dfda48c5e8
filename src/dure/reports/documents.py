"""A report as tables, and the tables as a JSON document or as CSV.

One table is written to CSV as it is; several share one file in long form, a line a figure:
``table,item,figure,value``.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | None


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Rows under named columns; the first ``ids`` of them name the row."""

    name: str
    ids: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def as_dicts(self) -> list[dict[str, Cell]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Report:
    """A month's report: ``head`` says of what and when, the tables hold the figures."""

    kind: str
    month: str
    head: Mapping[str, Any]
    tables: tuple[ReportTable, ...]


def table_of(
    name: str, rows: Sequence[Mapping[str, Any]], ids: Sequence[str], figures: Sequence[str]
) -> ReportTable:
    """Make a table of dictionaries that have at least the columns ``ids`` and ``figures``."""
    columns = (*ids, *figures)
    cells = tuple(tuple(row[column] for column in columns) for row in rows)
    return ReportTable(name, len(ids), columns, cells)


def report_document(report: Report) -> dict[str, Any]:
    """Return a report as plain values for JSON."""
    tables = {table.name: table.as_dicts() for table in report.tables}
    return {"report": report.kind, "month": report.month, **report.head, **tables}


def report_csv(report: Report) -> str:
    """Return a report as CSV with a header line; a value that is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if len(report.tables) == 1:
        (table,) = report.tables
        writer.writerow(table.columns)
        writer.writerows(table.rows)
        return text.getvalue()
    writer.writerow(("table", "item", "figure", "value"))
    for table in report.tables:
        for row in table.rows:
            item = "/".join(str(cell) for cell in row[: table.ids])
            figures = zip(table.columns[table.ids :], row[table.ids :], strict=True)
            writer.writerows((table.name, item, column, value) for column, value in figures)
    return text.getvalue()
