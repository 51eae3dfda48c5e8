"""``dure replay``: any recorded plan is decided again and must come out byte for byte."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from dure.cli.ledger import DataOption, DbOption


def register(app: typer.Typer) -> None:
    """Add the command to ``dure``."""
    app.command("replay")(replay)


def replay(
    span: Annotated[
        str, typer.Argument(metavar="[A..B]", help="Records; 1.. is all from the first.")
    ] = "1..",
    data: DataOption = Path("data"),
    pool: Annotated[
        str, typer.Option("--in", envvar="DURE_IN", help="The pool: founding or here.")
    ] = "here",
    output: Annotated[str, typer.Option("-o", help="text or json.")] = "text",
    db: DbOption = "",
) -> None:
    """Decide recorded cycles again; exit 1 if any plan comes out differently."""
    from dure.app.ledgers import recorded_in
    from dure.app.runtime import recorded_ledger
    from dure.core.errors import DureError
    from dure.services.replaying import replay as decide_again

    first, last = _records(span)
    path = data / "ledger.db"
    if not path.exists():
        path = data / pool / "ledger.db"
    if not db and not path.exists():
        typer.echo(
            f"dure replay: {data}: found no ledger.db; expected the folder of `dure twin run "
            "--out` or of `dure up --data`.",
            err=True,
        )
        raise typer.Exit(2)
    try:
        ledger = recorded_in(db, pool) if db else recorded_ledger(path)
        found = decide_again(ledger, first, last)
        ledger.close()
    except DureError as wrong:
        typer.echo(f"dure replay: {wrong}", err=True)
        raise typer.Exit(1) from None
    where = f"schema {pool}" if db else str(path)
    if output == "json":
        typer.echo(
            json.dumps(
                {
                    "ledger": where,
                    "cycles": found.cycles,
                    "decisions": found.decisions,
                    "different": list(found.different),
                }
            )
        )
    else:
        typer.echo(
            f"{where}: {found.cycles} cycles decided again, {found.decisions} decisions, "
            f"{len(found.different)} different"
            + (f", the first at record {found.different[0]}" if found.different else "")
        )
    if found.different:
        raise typer.Exit(1)


def _records(span: str) -> tuple[int, int | None]:
    """Read the first and the last record of A..B; None is the ledger's end."""
    match = re.fullmatch(r"(\d+)?\.\.(\d+)?|(\d+)", span)
    if match is None:
        typer.echo(f"dure replay: found {span!r}; expected A..B, A.., ..B or one number.", err=True)
        raise typer.Exit(2)
    if match[3]:
        return int(match[3]), int(match[3])
    return int(match[1] or 1), int(match[2]) if match[2] else None
