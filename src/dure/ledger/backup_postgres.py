"""Keep the ledgers of a database in the very file that keeps ledgers of files, and bring them back.

So a platform moves from files to a database, or back, by ``dure backup`` and ``dure restore``.
"""

from contextlib import closing
from functools import partial
from pathlib import Path

from psycopg import sql

from dure.core.errors import LedgerError
from dure.ledger.anchor import Anchor, anchor_path, write_anchor
from dure.ledger.backup import (
    Copy,
    Manifest,
    described,
    opened,
    pack,
    read_manifest,
    staging,
    unpack,
)
from dure.ledger.beside import Beside, Nothing, Tell, tell_nobody
from dure.ledger.copying import carry_over
from dure.ledger.examining import Progress
from dure.ledger.postgres import PostgresLedger
from dure.ledger.postgres_link import Address, Connection, Link, schemas_of
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify_postgres import examine_postgres

GROUP = 1024
LEDGER = "ledger.db"
# Beside the schemas in use: what is being loaded, and what the last restore replaced.
LOADING, REPLACED = "_restoring", "_replaced"


def ledgers_in(address: Address) -> list[str]:
    """Return the schemas in use that hold a ledger, sorted."""
    return [name for name in schemas_of(address) if not name.endswith((LOADING, REPLACED))]


def back_up_database(
    address: Address,
    data: Path,
    archive: Path,
    *,
    beside: Beside | None = None,
    tell: Tell = tell_nobody,
) -> Manifest:
    """Write every ledger of a database, as it stands now, into ``archive``.

    Args:
        data: the data directory, whose anchors the ledgers must hold.
        beside, tell: as in ``back_up``.

    Raises:
        LedgerError: if there is nothing to back up, a ledger is damaged, or the disk is full.
    """
    names = ledgers_in(address)
    if not names:
        raise LedgerError(f"{address}: found no ledger in it; nothing to keep.")
    with staging(archive.absolute().parent) as stage:
        copies = [_copy(address, name, data, stage, tell) for name in names]
        return pack(stage, copies, archive, beside or Nothing(), tell)


def _copy(address: Address, name: str, data: Path, stage: Path, tell: Tell) -> Copy:
    kept_as = f"{name}/{LEDGER}"
    target = stage / kept_as
    target.parent.mkdir()
    anchor = anchor_path(data / name / LEDGER)
    # Read before the copy: the copy must hold its record, however fast the ledger grows meanwhile.
    outside = target.with_name("source.anchor.json")
    if anchor.is_file():
        outside.write_bytes(anchor.read_bytes())
    with (
        closing(PostgresLedger(address, name, read_only=True)) as source,
        closing(SqliteLedger(target, durable=False, group=GROUP)) as into,
    ):
        carry_over(source, into, progress=partial(tell, kept_as))
    seen = examine_postgres(address, name, anchor=anchor, progress=partial(tell, kept_as))
    return described(kept_as, target, seen, outside if outside.exists() else None)


def restore_database(
    archive: Path,
    address: Address,
    data: Path,
    *,
    force: bool = False,
    beside: Beside | None = None,
    tell: Tell = tell_nobody,
) -> Manifest:
    """Put the ledgers of ``archive`` into a database: all of them, verified, or none.

    They are loaded beside first, and take their names in one transaction. What is replaced stays
    in a schema ``NAME_replaced``. The anchors in ``data`` become those of the backup.

    Args:
        force: replace ledgers that are there.
        beside, tell: as in ``restore``; what lies beside takes its place just before the ledgers.

    Raises:
        LedgerError: if the archive is damaged, ledgers are there and not ``force``, or in use.
    """
    data.mkdir(parents=True, exist_ok=True)
    link, others = Link(address, "pg_catalog"), beside or Nothing()
    try:
        with staging(data) as stage, opened(archive) as packed:
            manifest = read_manifest(packed, archive)
            names = [_schema_of(copy, archive) for copy in manifest.ledgers]
            there = sorted(set(names) & set(ledgers_in(address)))
            if there and not force:
                raise LedgerError(
                    f"{address}: found {', '.join(there)} there already; nothing was changed. "
                    "Choose another database, or say --force to replace them."
                )
            _require_idle(link)
            others.clear()
            unpack(packed, manifest, stage, archive, others, tell)
            for name in names:
                link.run(lambda found, gone=name + LOADING: _drop(found, gone))  # type: ignore[misc]
                _load(address, name + LOADING, stage / name / LEDGER, partial(tell, name))
            others.place()
            link.run(lambda found: _exchange(found, names))
        for name, copy in zip(names, manifest.ledgers, strict=True):
            path = anchor_path(data / name / LEDGER)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_anchor(path, Anchor(copy.seq, bytes.fromhex(copy.head)), durable=True)
        return manifest
    finally:
        others.clear()
        link.close()


def _schema_of(copy: Copy, archive: Path) -> str:
    name, _, _ = copy.name.partition("/")
    if copy.name != f"{name}/{LEDGER}":
        raise LedgerError(
            f"{archive}: holds {copy.name}, a ledger outside any pool; a database takes pools only."
        )
    return name


def _require_idle(link: Link) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'dure' AND pid <> pg_backend_pid()"
    )
    row = link.run(lambda found: found.execute(query).fetchone())
    if row is not None and row[0] != 0:
        raise LedgerError(
            f"{link.address}: is in use ({row[0]} connections of Dure); stop its services first."
        )


def _load(address: Address, schema: str, path: Path, progress: Progress) -> None:
    with (
        closing(SqliteLedger(path, read_only=True)) as source,
        closing(PostgresLedger(address, schema)) as into,
    ):
        carry_over(source, into, progress=progress)


def _drop(connection: Connection, schema: str) -> None:
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _exchange(connection: Connection, names: list[str]) -> None:
    """Give what was loaded its names, in one transaction."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with connection.transaction():
        for name in names:
            there = connection.execute(
                "SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,)
            ).fetchone()
            if there is not None:
                _drop(connection, name + REPLACED)
                connection.execute(
                    rename.format(sql.Identifier(name), sql.Identifier(name + REPLACED))
                )
            connection.execute(rename.format(sql.Identifier(name + LOADING), sql.Identifier(name)))
