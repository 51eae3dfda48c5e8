"""``dure usage`` and ``dure report``: a month's GPU-seconds, and the month's reports as files."""

import os
import re
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dure.cli.cells import gpu_hours_column, made_column, text_column
from dure.cli.options import HERE, URL, OutputOption, PoolOption, UrlOption, connect
from dure.cli.output import Output, Row, note, say, show_rows, stop

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
    what: Annotated[
        str, typer.Argument(metavar="[compare]", help="compare: with a provider's accounting.")
    ] = "",
    accounting: Annotated[
        Path | None, typer.Option("--accounting", metavar="FILE", help="sacct -P, or CSV.")
    ] = None,
    provider: Annotated[
        str, typer.Option("--provider", metavar="P", help="Whose accounting it is.")
    ] = "",
    month: MonthOption = "",
    pool: PoolOption = HERE,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a month's use by project and provider as far as it concerns you, in GPU hours."""
    if what not in ("", "compare") or (what == "compare") != (accounting is not None):
        raise stop("usage_compare", code=2)
    service = connect(url)
    chosen = _checked(month) if month else month_now(service)
    if accounting is not None:
        _compare(service, accounting, chosen, provider=provider, pool=pool, output=output)
        return
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
        made_column("measured", _measured),
    )
    show_rows(rows, columns, output)


def _measured(row: Row) -> str:
    return "" if row["measured_milli"] is None else f"{row['measured_milli'] / 10:.1f}"


def _compare(
    service: "Service", file: Path, month: str, *, provider: str, pool: str, output: Output
) -> None:
    """Read the provider's book here, send its sums, show both; exit 1 if they differ."""
    from hashlib import sha256

    from dure.cli.client import path_of
    from dure.services.accounting import read_accounting

    now_s = next(one["now_s"] for one in service.get("/pools") if one["pool"] == pool)
    read = read_accounting(file, month, now_s=now_s)
    if read.aside:
        note(say("accounting_aside", aside=read.aside, example=read.examples[0]))
    body = {
        "month": month,
        "provider": provider or pool,
        "gpu_s": read.gpu_s,
        "source": sha256(file.read_bytes()).hexdigest(),
    }
    rows = service.post(path_of("pools", pool, "accounting"), body)
    columns = (
        text_column("who"),
        gpu_hours_column("ours", "ours_gpu_s"),
        gpu_hours_column("theirs", "theirs_gpu_s"),
        made_column("differs", lambda row: f"{row['difference_milli'] / 10:.1f} %"),
    )
    show_rows(rows, columns, output)
    if any(row["differs"] for row in rows):
        raise stop("books_differ", month=month)


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
