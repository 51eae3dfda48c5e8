"""``dure site enrol``, ``dure site revoke``: keys for the agents of sites; ``dure sites``: how the
sites do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dure.cli.cells import code_column, moment_column, number_column, text_column
from dure.cli.groups import command_group
from dure.cli.ledger import DEFAULT_DATA, DataOption, DbOption
from dure.cli.options import URL, OutputOption, UrlOption, connect
from dure.cli.output import Output, note, say, show_rows

if TYPE_CHECKING:
    from dure.services.enrolments import Enrolments

site = command_group("Keys for the agents of sites.")
# Whoever may read the data directory.
BY = "rule:site-command"
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The site.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the ``dure`` command."""
    app.add_typer(site, name="site")
    app.command("sites")(sites)


@site.command("enrol")
def enrol(
    name: NameArgument,
    provider: Annotated[
        str, typer.Option("--provider", metavar="P", help="Whose machines; the site's name else.")
    ] = "",
    data: DataOption = DEFAULT_DATA,
    db: DbOption = "",
) -> None:
    """Make a site's key and show it once; a key that it had before is worth nothing any more."""
    with _enrolments("enrol", data, db) as enrolments:
        key = enrolments.enrol(name, provider=provider, by=BY)
    note(say("site_enrolled", site=name))
    typer.echo(key)


@site.command("revoke")
def revoke(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="In your words.")] = "",
    data: DataOption = DEFAULT_DATA,
    db: DbOption = "",
) -> None:
    """End a site's key; a running service takes it up within two seconds."""
    with _enrolments("revoke", data, db) as enrolments:
        is_done = enrolments.revoke(name, by=BY, reason=reason[:200])
    if not is_done:
        typer.echo(f"dure site revoke: {say('site_unknown', site=name)}", err=True)
        raise typer.Exit(1)
    typer.echo(say("site_revoked", site=name))


def sites(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """List the sites with agents, and when each was last heard."""
    rows = connect(url).rows("/sites").rows
    columns = (
        text_column("site"),
        text_column("provider"),
        code_column("state", "site_state"),
        moment_column("heard", "heard_at_s"),
        number_column("nodes"),
        number_column("gpus"),
        text_column("key_id"),
    )
    show_rows(rows, columns, output)


@contextmanager
def _enrolments(command: str, data: Path, db: str) -> Iterator["Enrolments"]:
    """Open the ledger of people and sites; say in one line why something was refused."""
    from dure.app.assemble import close_all, open_people
    from dure.app.ledgers import ledgers_of
    from dure.core.errors import DureError
    from dure.services.ports import Ledger

    ledgers: list[Ledger] = []
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _, enrolments, *_ = open_people(data, ledgers_of(data, db), ledgers)
        yield enrolments
    except DureError as wrong:
        typer.echo(f"dure site {command}: {wrong}", err=True)
        raise typer.Exit(1) from None
    finally:
        close_all(ledgers)
