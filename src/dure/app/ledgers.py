"""Where a platform's ledgers lie: a file each in the data directory, or a schema of a database.

``people``, ``founding`` and ``here`` are the names of both.
"""

import logging
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dure.core.errors import InputError
from dure.ledger.sqlite import SqliteLedger
from dure.services.ports import Ledger

if TYPE_CHECKING:
    from dure.ledger.lease import Lease
    from dure.ledger.postgres_link import Address

log = logging.getLogger("dure.ledgers")

LEDGER = "ledger.db"
TWIN_GROUP = 1024


class Ledgers(Protocol):
    """The ledgers of one platform, by name."""

    def has(self, name: str) -> bool:
        """Tell whether there is one that may be read."""
        ...

    def open(self, name: str, *, lease: "Lease | None" = None) -> Ledger:
        """Open a ledger for life, or make it: what it acknowledged stays.

        Args:
            lease: under which it is written; None for a writer that needs none.
        """
        ...

    def open_grouped(self, name: str, *, lease: "Lease | None" = None) -> Ledger:
        """Open one for work that may be done again after a power cut; all lasts once closed."""
        ...


class FileLedgers:
    """A file of SQLite each, ``DIR/NAME/ledger.db``."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def has(self, name: str) -> bool:
        return (self._data / name / LEDGER).exists()

    def open(self, name: str, *, lease: "Lease | None" = None) -> Ledger:
        assert lease is None, "a file has one writer by the lock of its directory"
        return SqliteLedger(self._path(name))

    def open_grouped(self, name: str, *, lease: "Lease | None" = None) -> Ledger:
        assert lease is None, "a file has one writer by the lock of its directory"
        return SqliteLedger(self._path(name), durable=False, group=TWIN_GROUP)

    def _path(self, name: str) -> Path:
        folder = self._data / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / LEDGER


class DatabaseLedgers:
    """A schema of PostgreSQL each; the anchors lie in the data directory, outside the database.

    Raises:
        InputError: if the address cannot be read, or the driver for PostgreSQL is not installed.
    """

    def __init__(self, data: Path, url: str) -> None:
        self._data, self._address = data, address_of(url)

    def has(self, name: str) -> bool:
        from dure.ledger.postgres_link import schemas_of

        return name in schemas_of(self._address)

    def open(self, name: str, *, lease: "Lease | None" = None) -> Ledger:
        from dure.ledger.postgres import PostgresLedger

        folder = self._data / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        generation = None if lease is None else lease.generation
        anchor = folder / "ledger.anchor.json"
        return PostgresLedger(self._address, name, anchor=anchor, generation=generation)

    def open_grouped(self, name: str, *, lease: "Lease | None" = None) -> Ledger:
        return _Carried(self._data / name / "begun", lambda: self.open(name, lease=lease))

    def lease(self, name: str) -> "Lease":
        """Return a claim to lead a pool, not yet taken; ``close`` it in the end."""
        from dure.ledger.lease import Lease

        return Lease(self._address, name, f"{socket.gethostname()}, process {os.getpid()}")


def ledgers_of(data: Path, db: str) -> FileLedgers | DatabaseLedgers:
    """Return where the ledgers of a platform lie; ``db`` is the address of a database, or ""."""
    return DatabaseLedgers(data, db) if db else FileLedgers(data)


def recorded_in(db: str, name: str) -> Ledger:
    """Open an existing ledger of a database to read it."""
    from dure.ledger.postgres import PostgresLedger

    return PostgresLedger(address_of(db), name, read_only=True)


def address_of(url: str) -> "Address":
    """Read a database's address. Raises InputError if it cannot be, or psycopg is missing."""
    try:
        from dure.ledger.postgres_link import Address
    except ImportError:
        raise InputError(
            "--db",
            found="no driver for PostgreSQL in this Python",
            expected="psycopg",
            next_step="pip install --require-hashes -r requirements-postgres.txt",
        ) from None
    return Address(url)


class _Carried(SqliteLedger):
    """A file beside, carried over into the lasting ledger when it is closed."""

    def __init__(self, folder: Path, open_lasting: Callable[[], Ledger]) -> None:
        from dure.ledger.copying import carry_over
        from dure.ledger.postgres import PostgresLedger

        self._folder, self._lasting = folder, open_lasting()
        assert isinstance(self._lasting, PostgresLedger)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        super().__init__(folder / LEDGER, durable=False, group=TWIN_GROUP)
        carry_over(self._lasting, self)

    def close(self) -> None:
        from dure.ledger.copying import carry_over

        if self._folder.exists():
            carry_over(self, self._lasting)
            self._lasting.close()
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)
