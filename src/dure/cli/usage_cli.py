"""``dure usage`` and ``dure report``: a month's GPU-seconds, and the month's reports as files."""

import os
import re
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dure.cli.cells import gpu_hours_column, text_column
from dure.cli.options import URL, OutputOption, UrlOption, connect
from dure.cli.output import Output, note, say, show_rows, stop

if TYPE_CHECKING:
    from dure.cli.client import Service

MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
MonthOption = Annotated[
    str, typer.Option("--month", metavar="YYYY-MM", help="Without it, the programme's month now.")
]
TO_STDOUT = Path("-")


class ReportKind(StrEnum):
    """The reports that the service makes."""

    MONTHLY = "monthly"
    PROVIDER = "provider"
    PROGRAMME = "programme"
    PUBLIC = "public"


class ReportFormat(StrEnum):
    """The formats that a report is meant to come in."""

    CSV = "csv"
    JSON = "json"
    PDF = "pdf"
    XLSX = "xlsx"
    FOCUS = "focus"
    SWF = "swf"


MADE = (ReportFormat.CSV, ReportFormat.JSON)


def register(app: typer.Typer) -> None:
    """Add the two commands to the ``dure`` command."""
    app.command("usage")(usage)
    app.command("report")(report)


def usage(
    month: MonthOption = "", url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show a month's use by project and provider as far as it concerns you, in GPU hours."""
    service = connect(url)
    chosen = _checked(month) if month else month_now(service)
    rows = service.rows("/usage", month=chosen).rows
    if output is Output.TABLE:
        note(say("usage_of", month=chosen))
    columns = (
        text_column("who"),
        gpu_hours_column("entitled", "entitled_gpu_s"),
        gpu_hours_column("own", "own_gpu_s"),
        gpu_hours_column("borrowed", "loan_gpu_s"),
        gpu_hours_column("scavenged", "scavenge_gpu_s"),
        gpu_hours_column("lent", "lent_gpu_s"),
        gpu_hours_column("lost", "lost_gpu_s"),
    )
    show_rows(rows, columns, output)


def month_now(service: "Service") -> str:
    """Return the month on the clock of the programme, which is that of the first pool."""
    from dure.core.calendar import civil

    at = civil(service.get("/pools")[0]["now_s"])
    return f"{at.year}-{at.month:02d}"


def _checked(month: str) -> str:
    if MONTH.fullmatch(month) is None:
        raise stop("month", code=2, found=month[:40])
    return month


def report(
    kind: Annotated[
        ReportKind, typer.Argument(metavar="KIND", help="monthly, provider, programme or public.")
    ],
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Of which month.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to; - for stdout.")],
    format: Annotated[
        ReportFormat, typer.Option("--format", help="csv or json; the others are not made yet.")
    ] = ReportFormat.JSON,
    url: UrlOption = URL,
) -> None:
    """Write a month's report to a file, which is replaced only once the new one is whole."""
    from dure.cli.client import path_of

    _checked(month)
    if format not in MADE:
        raise stop("format_not_yet", format=format.value, made=", ".join(MADE))
    content = connect(url).get_file(
        path_of("reports", kind.value), month=month, format=format.value
    )
    if out == TO_STDOUT:
        sys.stdout.write(content.decode("utf-8"))
        return
    _replace(out, content)
    typer.echo(say("report_written", file=out, size=len(content)))


def _replace(out: Path, content: bytes) -> None:
    try:
        handle, beside = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(beside, 0o666 & ~mask)
            os.replace(beside, out)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as wrong:
        raise stop("cannot_write", file=out, why=wrong.strerror or str(wrong)) from None
