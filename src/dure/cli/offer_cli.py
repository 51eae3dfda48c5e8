"""Answers to awards at the command line: read the agreement, sign it, or give the award up."""

from typing import Annotated

import typer

from dure.cli.call_cli import ApplicationArgument
from dure.cli.cells import code, moment, number
from dure.cli.options import URL, OutputOption, UrlOption, connect
from dure.cli.output import Output, lang, plain, say, show_facts


def add_to(award: typer.Typer) -> None:
    """Add these commands to the group ``dure award``."""
    award.command("show")(show)
    award.command("accept")(accept)
    award.command("decline")(decline)


def show(
    application: ApplicationArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show what was awarded, the agreement to be signed, its digest, and the day to answer by."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("applications", application, "agreement"))
    facts = [
        ("application", found["application"]),
        ("status", code("application_status", found["status"])),
        ("accelerator", found["accelerator"]),
        ("gpus", number(found["gpus"])),
        ("due_by", "" if found["due_at_s"] is None else moment(found["due_at_s"])),
        ("signed_by", found["signed_by"]),
        ("digest", found["digest"]),
    ]
    show_facts(found, facts, output)
    if output is Output.TABLE:
        typer.echo("")
        for line in found["agreement"][lang()].splitlines():
            typer.echo(plain(line))


def accept(
    application: ApplicationArgument,
    digest: Annotated[
        str, typer.Option("--digest", metavar="SHA256", help="Of the agreement that you read.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Yours, as a signature.")],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Sign the agreement on your award; while you wait, ahead of your turn."""
    from dure.cli.client import path_of

    path = path_of("applications", application, "acceptance")
    done = connect(url).post(path, {"name": name, "digest": digest})
    if output is Output.TABLE:
        status = code("application_status", done["status"])
        typer.echo(say("offer_signed", application=application, gpus=done["gpus"], status=status))
    else:
        show_facts(done, (), output)


def decline(
    application: ApplicationArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give an award, or your place in line, up; it goes to the next at once."""
    from dure.cli.client import path_of

    path = path_of("applications", application, "declining")
    done = connect(url).post(path, {"cause": reason})
    if output is Output.TABLE:
        typer.echo(say("offer_declined", application=application))
    else:
        show_facts(done, (), output)
