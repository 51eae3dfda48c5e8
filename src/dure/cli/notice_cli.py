"""Notices and letters at the command line."""

from enum import StrEnum
from typing import Annotated

import typer

from dure.cli.cells import code, made_column, moment_column, text_column
from dure.cli.options import LIMIT, URL, LimitOption, OutputOption, UrlOption, connect, rows_of
from dure.cli.output import Output, lang, plain, say, show_facts, show_rows


class MailWish(StrEnum):
    """How notices come by e-mail."""

    EACH = "each"
    DAILY = "daily"
    NONE = "none"


def register(app: typer.Typer) -> None:
    """Add both commands to the ``dure`` command."""
    app.command("notices")(notices)
    app.command("letter")(letter)


def notices(
    unread: Annotated[bool, typer.Option("--unread", help="Only those not read yet.")] = False,
    read: Annotated[bool, typer.Option("--read", help="Mark all as read.")] = False,
    mail: Annotated[
        MailWish | None,
        typer.Option("--mail", metavar="each|daily|none", help="How they come by e-mail."),
    ] = None,
    email: Annotated[
        str | None, typer.Option("--email", metavar="ADDRESS", help="Where to; with --mail.")
    ] = None,
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what you were told, latest first; mark it read; choose how it comes by e-mail."""
    service = connect(url)
    if mail is not None:
        chosen = service.post("/me/mail", {"mail": mail.value, "email": email})
        where = chosen["email"] or say("no_address")
        typer.echo(say("mail_chosen", mail=code("mail_wish", chosen["mail"]), email=where))
        return
    if read:
        done = service.post("/notices/read", {"all": True})
        typer.echo(say("notices_read", count=done["count"]))
        return
    part = service.rows("/notices", limit=limit, **({"unread": "1"} if unread else {}))
    columns = (
        moment_column("at", "at_s"),
        made_column("new", lambda row: "" if row["is_read"] else say("unread")),
        made_column("notice", lambda row: str(row["text"][lang()])),
        text_column("letter"),
    )
    show_rows(rows_of(part), columns, output)


def letter(
    number: Annotated[
        str, typer.Argument(metavar="LETTER", help="Its document number, like 2026-00012.")
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show an official letter that you may read."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("letters", number))
    if output is not Output.TABLE:
        show_facts(found, (), output)
        return
    written = found[lang()]
    facts = [(name, written[name]) for name in ("sender", "receiver", "subject")]
    show_facts(found, facts, output)
    typer.echo("")
    for place, line in enumerate(written["paragraphs"], start=1):
        typer.echo(plain(f"{place}. {line}"))
    typer.echo("")
    typer.echo(plain(f"{written['number']}  {written['date']}"))
