"""What commands print: listings as table, JSON, YAML or CSV, and sentences in the user's language.

The table is for people: chosen columns, words, GPU hours. The other three are for programs: every
field as the API gave it.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from dure.core.errors import DureError

if TYPE_CHECKING:
    from dure.reports.formats import Lang

Row = Mapping[str, Any]
# Not a terminal: nothing is cut or wrapped, however long a line gets.
PLAIN_WIDTH = 10_000


class Output(StrEnum):
    """How a listing is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


class StopError(DureError):
    """A command cannot go on; the text is one line for the user, in their language."""

    def __init__(self, text: str, *, code: int = 1) -> None:
        super().__init__(" ".join(text.split()))
        self.exit_code = code


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: ``cli.column.TITLE`` is its heading.
        show: makes the cell's text of a row.
        is_number: stands on the right.
    """

    title: str
    show: Callable[[Row], str]
    is_number: bool = False


def lang() -> "Lang":
    """Return the user's language: DURE_LANG, else LANG; ko if it begins so, en otherwise."""
    wish = os.environ.get("DURE_LANG") or os.environ.get("LANG") or ""
    return "ko" if wish.lower().startswith("ko") else "en"


def say(key: str, **values: object) -> str:
    """Return the sentence ``cli.KEY`` in the user's language."""
    from dure.reports.messages import text

    return text(lang(), f"cli.{key}", **values)


def words(key: str, *, otherwise: str, **values: object) -> str:
    """Return the sentence of another catalogue's key, or ``otherwise`` if there is none."""
    from dure.reports.messages import text

    return text(lang(), key, **values) if catalogue_has(key) else otherwise


def catalogue_has(key: str) -> bool:
    """Tell whether there is a sentence of this key in the user's language."""
    from dure.reports.messages import catalogue

    return key in catalogue(lang())


def stop(key: str, *, code: int = 1, **values: object) -> StopError:
    """Return the error ``cli.error.KEY``; raise it."""
    return StopError(say(f"error.{key}", **values), code=code)


def note(text: str) -> None:
    """Say something beside the answer, on stderr."""
    typer.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Return text without anything that a terminal would obey: names are written by strangers."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def show_rows(rows: Sequence[Row], columns: Sequence[Column], output: Output) -> None:
    """Print a listing."""
    if output is not Output.TABLE:
        _for_programs(list(rows), output)
    elif rows:
        _table(rows, columns)
    else:
        note(say("nothing"))


def show_facts(document: Row, facts: Sequence[tuple[str, str]], output: Output) -> None:
    """Print one thing: a line a fact (``cli.column.TITLE`` and text) without the empty ones."""
    if output is not Output.TABLE:
        _for_programs(document, output)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for title, text in facts:
        if text:
            table.add_row(Text(say(f"column.{title}"), style="dim"), Text(plain(text)))
    _print(table)


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in columns:
        side: Any = "right" if column.is_number else "left"
        table.add_column(say(f"column.{column.title}"), justify=side, overflow="fold")
    for row in rows:
        # Text, not markup: a title with brackets is only a title.
        table.add_row(*(Text(plain(column.show(row))) for column in columns))
    _print(table)


def _print(renderable: Any) -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _for_programs(document: Any, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    elif output is Output.YAML:
        import yaml

        typer.echo(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), nl=False)
    else:
        _csv(document if isinstance(document, list) else [document])


def _csv(rows: Sequence[Row]) -> None:
    import csv

    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if not names:
        return
    writer = csv.DictWriter(sys.stdout, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _flat(row: Row) -> dict[str, object]:
    """Return a row with what is inside joined: ``text.ko``; a list becomes ``a;b`` or JSON."""
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": one for inner, one in _flat(value).items()}
        elif isinstance(value, list):
            is_simple = all(isinstance(one, str | int) for one in value)
            joined = ";".join(str(one) for one in value)
            flat[name] = joined if is_simple else json.dumps(value, ensure_ascii=False)
        else:
            flat[name] = value
    return flat
