"""``dure ledger verify``, ``dure backup`` and ``dure restore``: is the memory whole, and kept?"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dure.cli.groups import command_group
from dure.cli.output import Output, note, say
from dure.cli.progress import far

if TYPE_CHECKING:
    from dure.ledger.backup import Manifest
    from dure.ledger.examining import Decoders, Examination, Flaw, Progress

    Look = Callable[[Decoders, Path | None, Progress], Examination]

ledger = command_group("Look at the ledgers of a data directory.")

DataOption = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", envvar="DURE_DATA", help="The data directory."),
]
DEFAULT_DATA = Path("data")
DbOption = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="URL",
        envvar="DURE_DB",
        help="A PostgreSQL that holds the ledgers, instead of files.",
        show_envvar=True,
        show_default=False,
    ),
]
# Verifying fewer records takes less than a second.
PROGRESS_RECORDS_MIN = 200_000


def register(app: typer.Typer) -> None:
    """Add the group and the two commands to the ``dure`` command."""
    app.add_typer(ledger, name="ledger")
    app.command("backup")(backup)
    app.command("restore")(restore)


@contextmanager
def _stopping(command: str) -> Iterator[None]:
    """Say in one line why a command was refused or failed; the exit code is 1."""
    from dure.core.errors import DureError

    try:
        yield
    except DureError as wrong:
        typer.echo(f"dure {command}: {wrong}", err=True)
        raise typer.Exit(1) from None


@ledger.callback()
def ledger_group() -> None:
    """Look at the ledgers of a data directory."""


@ledger.command("verify")
def verify(
    data: DataOption = DEFAULT_DATA,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="How to write what was found.")
    ] = Output.TABLE,
    anchor: Annotated[
        Path | None,
        typer.Option(help="An anchor kept elsewhere, whose record the one ledger must hold."),
    ] = None,
    db: DbOption = "",
) -> None:
    """Check every byte, record and hash of DIR/ledger.db and DIR/*/ledger.db; exit 1 on a flaw."""
    ledgers = _ledgers(data, db)
    if not ledgers or (anchor is not None and len(ledgers) > 1):
        place = "that database" if db else data
        lying = "no ledger in it" if db else "no ledger.db in it or one level below"
        typer.echo(
            f"dure ledger verify: {place}: found "
            f"{f'{len(ledgers)} ledgers' if ledgers else lying}; expected "
            f"{'one' if ledgers else 'a ledger'}. Give another place with --data or --db.",
            err=True,
        )
        raise typer.Exit(2)
    decoders = _decoders()
    rows = []
    for name, look in ledgers:
        from_s = time.perf_counter()
        with _progress(name) as progress:
            seen = look(decoders, anchor, progress)
        row = _row(seen, time.perf_counter() - from_s)
        rows.append(row)
        if output is Output.TABLE:
            typer.echo(_line(row))
    flaws = [flaw for row in rows for flaw in row["flaws"]]
    if output is Output.TABLE:
        _show_flaws(rows)
    else:
        _show_rows(rows, output)
    if flaws:
        raise typer.Exit(1)


def _ledgers(data: Path, db: str) -> "list[tuple[str, Look]]":
    """Return the ledgers of a place, each with a name and a way to look at it."""
    from dure.ledger.backup import find_ledgers
    from dure.ledger.verify import examine

    def look_at_file(path: Path) -> "Look":
        return lambda decoders, outside, progress: examine(
            path, decoders=decoders, outside=outside, progress=progress
        )

    if not db:
        return [(path.parent.name or "ledger", look_at_file(path)) for path in find_ledgers(data)]
    from dure.app.ledgers import address_of
    from dure.ledger.anchor import anchor_path
    from dure.ledger.backup_postgres import LEDGER, ledgers_in
    from dure.ledger.verify_postgres import examine_postgres

    address = address_of(db)

    def look_at_schema(name: str) -> "Look":
        return lambda decoders, outside, progress: examine_postgres(
            address,
            name,
            anchor=anchor_path(data / name / LEDGER),
            decoders=decoders,
            outside=outside,
            progress=progress,
        )

    return [(name, look_at_schema(name)) for name in ledgers_in(address)]


def _decoders() -> "Decoders":
    from dure.core import record
    from dure.core.genesis import unpack_pool
    from dure.core.ledger_record import KIND_CYCLE, KIND_EVENTS, KIND_POOL
    from dure.ledger.codec import decode_events

    return {
        KIND_CYCLE: record.unpack,
        KIND_EVENTS: decode_events,
        KIND_POOL: unpack_pool,
    }


def _row(seen: "Examination", wall_s: float) -> dict[str, Any]:
    return {
        "ledger": seen.ledger,
        "records": seen.seq,
        "head": seen.head.hex(),
        "at_s": seen.at_s,
        "closed": seen.is_closed,
        "wall_s": round(wall_s, 3),
        "flaws": [_flaw_row(flaw) for flaw in seen.flaws],
    }


def _flaw_row(flaw: "Flaw") -> dict[str, str]:
    return {"where": flaw.where, "found": flaw.found, "expected": flaw.expected}


def _line(row: dict[str, Any]) -> str:
    verdict = f"{len(row['flaws'])} flaws" if row["flaws"] else "whole"
    state = "" if row["closed"] else ", in use or cut short"
    return (
        f"{row['ledger']}  {row['records']:,} records  head {row['head'][:16]}  "
        f"{row['wall_s']:.2f} s  {verdict}{state}"
    )


def _show_flaws(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for title in ("ledger", "where", "found", "expected"):
        table.add_column(title, overflow="fold")
    for row in rows:
        for flaw in row["flaws"]:
            # Text of a damaged file is shown, never read as markup.
            cells = (row["ledger"], flaw["where"], flaw["found"], flaw["expected"])
            table.add_row(*(cell.replace("[", "\\[") for cell in cells))
    if table.row_count:
        Console().print(table)


def _show_rows(rows: list[dict[str, Any]], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps({"ledgers": rows}, ensure_ascii=False, indent=2))
    elif output is Output.YAML:
        import yaml

        typer.echo(yaml.safe_dump({"ledgers": rows}, allow_unicode=True, sort_keys=False), nl=False)
    else:
        import csv

        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "flaws": len(row["flaws"])} for row in rows)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, once a ledger proves to be long."""
    with far() as tell:
        yield lambda done, total: tell(name, done, total if total >= PROGRESS_RECORDS_MIN else 0)


def backup(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to write.")],
    with_projects: Annotated[
        bool, typer.Option("--projects", help="With the files of all projects.")
    ] = False,
    data: DataOption = DEFAULT_DATA,
    db: DbOption = "",
) -> None:
    """Keep every ledger of the platform and all attachments in one file, while they are in use."""
    from dure.app.backup import OF_ATTACHMENTS, back_up_platform

    with _stopping("backup"), far() as tell:
        done = back_up_platform(data, archive, tell=tell, db=db, with_projects=with_projects)
    _show_kept(done.manifest, "")
    typer.echo(f"{archive}: {archive.stat().st_size:,} bytes, verified")
    note(say("backup_without", projects=done.left_out))
    if done.lost:
        lost = ", ".join(name[:16] for name in done.lost[:3])
        note(say("backup_lost", count=len(done.lost), file=archive, part=OF_ATTACHMENTS, lost=lost))
        raise typer.Exit(1)


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `dure backup`.")],
    data: DataOption = DEFAULT_DATA,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    db: DbOption = "",
) -> None:
    """Bring all that is in a backup into its place, verified, or nothing."""
    from dure.app.backup import restore_platform
    from dure.app.ledgers import address_of

    with _stopping("restore"), far() as tell:
        manifest = restore_platform(archive, data, tell=tell, db=db, force=force)
    _show_kept(manifest, f"{address_of(db) if db else data}/", data)


def _show_kept(manifest: "Manifest", place: str, data: Path | None = None) -> None:
    for copy in manifest.ledgers:
        typer.echo(f"{place}{copy.name}  {copy.seq:,} records  head {copy.head[:16]}")
    for kept in manifest.parts:
        name = f"{data}: {kept.name}" if data is not None else kept.name
        typer.echo(f"{name}  {kept.bytes:,} bytes  sha256 {kept.sha256[:16]}")
