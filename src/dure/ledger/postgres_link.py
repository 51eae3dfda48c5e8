"""A PostgreSQL database as a ledger needs it: one schema, bounded retries, errors in our words."""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dure.core.errors import InputError, LedgerError

Answer = TypeVar("Answer")
Connection = psycopg.Connection[tuple[object, ...]]

# Between tries: a connection that broke is made anew at once; a database that restarts takes
# some seconds.
PAUSES_S = (0.0, 1.0, 3.0, 9.0)
TRIES_MAX = 1 + len(PAUSES_S)
CONNECT_S_MAX = 5
STATEMENT_MS_MAX, LOCK_MS_MAX, IDLE_MS_MAX = 120_000, 10_000, 10_000
SCHEMA_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
SCHEMES = ("postgresql://", "postgres://")
# What another try may mend: the database restarts, or chose us to end a quarrel of transactions.
PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
)


class Address:
    """Where a database is. Its text names no password, whatever it is written to.

    Args:
        url: ``postgresql://USER@HOST/NAME`` and what libpq knows beside (``PGPASSFILE``, ...).

    Raises:
        InputError: if it is no such address.
    """

    def __init__(self, url: str) -> None:
        try:
            if not url.startswith(SCHEMES):
                raise ValueError
            parts = conninfo_to_dict(url)
        except (psycopg.ProgrammingError, ValueError):
            # Whatever was given may hold a password.
            raise InputError(
                "--db",
                found="an address that cannot be read",
                expected="postgresql://USER@HOST:PORT/NAME",
            ) from None
        self.conninfo = make_conninfo(
            url, connect_timeout=CONNECT_S_MAX, application_name="dure", tcp_user_timeout=10_000
        )
        host = parts.get("host") or parts.get("hostaddr") or "localhost"
        self._text = f"{host}/{parts.get('dbname') or parts.get('user') or ''}"
        self._secret = str(parts.get("password") or "")

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Address({self._text})"

    def hidden(self, text: str) -> str:
        """Return a message of the database without our password, on one line."""
        one_line = " ".join(text.split())
        return one_line.replace(self._secret, "***") if self._secret else one_line


class Link:
    """One connection to one schema, made anew when it breaks. Safe for threads, which take turns.

    Args:
        address: the database.
        schema: a pool's name, or ``people``.
        met: called with each new connection before it is used; it may refuse with a LedgerError.
    """

    def __init__(
        self, address: Address, schema: str, *, met: Callable[[Connection], None] = lambda _: None
    ) -> None:
        if SCHEMA_NAME.fullmatch(schema) is None:
            raise InputError("schema", found=repr(schema), expected="a name of a-z 0-9 _")
        self.address, self.schema = address, schema
        self._met, self._lock = met, RLock()
        self._connection: Connection | None = None
        self._is_closed, self._has_answered = False, False

    def __str__(self) -> str:
        return f"{self.address} schema {self.schema}"

    def run(self, work: Callable[[Connection], Answer], *, tries: int = TRIES_MAX) -> Answer:
        """Do some work, again after a failure that may pass; ``work`` must bear repetition.

        A database that never answered is not asked again: its address or our password is wrong.

        Raises:
            LedgerError: if the database does not answer, refuses, or ``work`` does.
        """
        with self._lock:
            done = 0
            while True:
                done += 1
                try:
                    return work(self._open())
                except psycopg.Error as wrong:
                    self._drop()
                    may_pass = isinstance(wrong, PASSING) and self._has_answered
                    if not may_pass or done == tries:
                        raise self._wrong(wrong, done) from wrong
                    time.sleep(PAUSES_S[done - 1])

    def _open(self) -> Connection:
        if self._is_closed:
            raise LedgerError(f"{self}: found it closed; open it again.")
        if self._connection is None:
            connection = psycopg.connect(self.address.conninfo, autocommit=True)
            try:
                self._set_up(connection)
                self._met(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._has_answered = connection, True
        return self._connection

    def _set_up(self, connection: Connection) -> None:
        settings = {
            "search_path": self.schema,
            # What an append acknowledged is on the disk, whatever the server's default is.
            "synchronous_commit": "on",
            "statement_timeout": str(STATEMENT_MS_MAX),
            "lock_timeout": str(LOCK_MS_MAX),
            "idle_in_transaction_session_timeout": str(IDLE_MS_MAX),
        }
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def _wrong(self, wrong: psycopg.Error, tries: int) -> LedgerError:
        found = self.address.hidden(str(wrong)) or type(wrong).__name__
        if isinstance(wrong, psycopg.errors.DiskFull):
            return LedgerError(
                f"{self}: the disk of the database is full; nothing was written. "
                "Free some space and try again."
            )
        tail = f" after {tries} tries" if tries > 1 else ""
        return LedgerError(f"{self}: the database refused or does not answer{tail}: {found}.")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Let the connection go. Repeating is harmless."""
        with self._lock:
            self._is_closed = True
            self._drop()


# Each step is applied once, in order, in a transaction of its own; steps are only ever added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE record (seq bigint PRIMARY KEY, kind smallint NOT NULL, at_s bigint NOT NULL,"
        " inflated integer NOT NULL, hash bytea NOT NULL, payload bytea NOT NULL)",
        # We compress ourselves, so that the bytes hashed, kept and backed up are the same ones.
        "ALTER TABLE record ALTER COLUMN payload SET STORAGE EXTERNAL",
        "CREATE TABLE projection (name text PRIMARY KEY, version bigint NOT NULL,"
        " seq bigint NOT NULL, sum bytea NOT NULL, blob bytea NOT NULL)",
        "ALTER TABLE projection ALTER COLUMN blob SET STORAGE EXTERNAL",
        "CREATE TABLE lease (name text PRIMARY KEY, generation bigint NOT NULL,"
        " holder text NOT NULL, expires_at timestamptz NOT NULL)",
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'a record is never changed or removed'; END $$",
        "CREATE TRIGGER records_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON record"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ),
)


def migrate(link: Link) -> None:
    """Make the schema, or bring it up to this version of Dure. Several may ask at once.

    Raises:
        LedgerError: if a newer Dure made it, or the database refuses.
    """

    def work(connection: Connection) -> None:
        if found_version(connection, link.schema) == len(MIGRATIONS):
            return
        for version in range(1, len(MIGRATIONS) + 1):
            with connection.transaction():
                connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtext(%s))", (f"dure {link.schema}",)
                )
                _step(connection, link.schema, version)
        require_version(connection, link)

    link.run(work)


def _step(connection: Connection, schema: str, version: int) -> None:
    name = sql.Identifier(schema)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration"
        " (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
    )
    if found_version(connection, schema) >= version:
        return
    for statement in MIGRATIONS[version - 1]:
        connection.execute(statement.encode())
    connection.execute("INSERT INTO migration (version) VALUES (%s)", (version,))


def found_version(connection: Connection, schema: str) -> int:
    """Return how many migrations a schema has seen; 0 if it is not there."""
    there = connection.execute(
        "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'migration'", (schema,)
    ).fetchone()
    if there is None:
        return 0
    found = connection.execute("SELECT coalesce(max(version), 0) FROM migration").fetchone()
    assert found is not None and isinstance(found[0], int)
    return found[0]


def require_version(connection: Connection, link: Link) -> None:
    """Raise LedgerError unless the schema holds the tables of this version."""
    version = found_version(connection, link.schema)
    if version != len(MIGRATIONS):
        raise LedgerError(
            f"{link}: found {f'tables of version {version}' if version else 'no ledger'}; expected "
            f"version {len(MIGRATIONS)}. Start `dure up` of this version once, or update Dure."
        )


def schemas_of(address: Address) -> list[str]:
    """Return the schemas of a database that hold a ledger, sorted."""
    link = Link(address, "pg_catalog")
    try:
        rows = link.run(
            lambda found: found.execute(
                "SELECT schemaname FROM pg_tables WHERE tablename IN ('migration', 'record')"
                " GROUP BY schemaname HAVING count(*) = 2 ORDER BY schemaname"
            ).fetchall()
        )
    finally:
        link.close()
    return [str(row[0]) for row in rows]
