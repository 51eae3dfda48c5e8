"""``dure size``: try the right-sizing on stated work, without a service."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli.cells import made_column, number, number_column, text_column
from dure.cli.options import OutputOption
from dure.cli.output import Output, show_rows, stop, words

MONTHS_MAX = 120
NUMBER_DIGITS_MAX = 12


def register(app: typer.Typer) -> None:
    """Add the command to ``dure``."""
    app.command("size")(size)


def size(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.yaml", help="A line a number: `parameters_m: 70000`.")
    ],
    months: Annotated[int, typer.Option("--months", metavar="N", help="The term.")] = 12,
    accelerator: Annotated[
        str, typer.Option("--accelerator", metavar="TYPE", help="With its formula in full.")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Work out the GPUs that stated work needs, for each accelerator, with its formula."""
    from dure.core.rates import RATES
    from dure.core.sizing import evidence

    if accelerator and accelerator not in RATES:
        raise stop("accelerator", code=2, found=accelerator[:80], known=", ".join(RATES))
    if not 1 <= months <= MONTHS_MAX:
        raise stop("size_months", code=2, found=months, most=MONTHS_MAX)
    work = read_work(file)
    found = [
        one
        for kind in ([accelerator] if accelerator else RATES)
        if (one := evidence(work, accelerator=kind, months=months)) is not None
    ]
    if not found:
        raise stop("no_evidence", file=file)
    rows: list[dict[str, Any]] = [
        {
            "accelerator": one.accelerator,
            "gpus": one.gpus,
            "gpus_low": one.gpus_low,
            "gpus_high": one.gpus_high,
            "bound_by": one.bound_by,
            "formula": one.formula,
            "terms": [
                {"name": term.name, "value": term.value, "unit": term.unit, "source": term.source}
                for term in one.terms
            ],
        }
        for one in found
    ]
    columns = (
        text_column("accelerator"),
        number_column("gpus"),
        number_column("low", "gpus_low"),
        number_column("high", "gpus_high"),
        made_column("bound_by", lambda row: _word("term", row["bound_by"])),
    )
    show_rows(rows, columns, output)
    if output is Output.TABLE:
        typer.echo("")
        typer.echo(_word("formula", rows[0]["formula"]))
        if accelerator:
            terms = (
                made_column("term", lambda row: _word("term", row["name"])),
                made_column("value", lambda row: number(row["value"])),
                made_column("unit", lambda row: _word("unit", row["unit"])),
                made_column("basis", lambda row: _word("source", row["source"])),
            )
            show_rows(rows[0]["terms"], terms, output)


def _word(family: str, code: str) -> str:
    return words(f"sizing.{family}.{code}", otherwise=code)


def read_work(file: Path) -> Any:
    """Read stated work: ``work_kind``, ``method`` and the numbers of ``core.sizing``.

    ``scaling`` is a line of measured points: ``4:3600 16:9600`` (nodes: speed-up in thousandths).

    Raises:
        StopError: if it cannot be read, or has a field or value that it cannot have.
    """
    from dure.cli.programme_cli import read_answers
    from dure.core.events.programme import Work
    from dure.core.sizing import WORK_NUMBERS

    given = read_answers(file)
    numbers = {name: _whole(name, given.pop(name)) for name in WORK_NUMBERS if name in given}
    points = tuple(
        (_whole("scaling", nodes), _whole("scaling", speed))
        for nodes, _, speed in (one.partition(":") for one in given.pop("scaling", "").split())
    )
    kind, method = given.pop("work_kind", "other"), given.pop("method", "")
    if given:
        raise stop("work_field", code=2, file=file, found=min(given)[:80])
    return Work(kind=kind, method=method, scaling=points, **numbers)


def _whole(name: str, text: str) -> int:
    digits = text.replace(",", "").replace("_", "").strip()
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > NUMBER_DIGITS_MAX:
        raise stop("work_number", code=2, field=name, found=text[:80])
    return int(digits)
