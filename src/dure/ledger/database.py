"""The SQLite file of a ledger: its tables, how it is opened, and its errors in our words."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import apsw

from dure.core.errors import LedgerError
from dure.ledger.chain import PAYLOAD_BYTES_MAX, Row

# Below it, a checkpoint can meet a writer's reset of the WAL and corrupt the file.
SQLITE_OLDEST = (3, 51, 3)
BUSY_MS = 5_000
APPLICATION_ID = 0x44757265  # "Dure"
SCHEMA_VERSION = 1
SCHEMA = (
    # The hash stands before the payload, so that reading it never walks a long payload's pages.
    # inflated: the payload's size if it is stored compressed, else 0.
    "CREATE TABLE record (seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, at_s INTEGER NOT NULL, "
    "inflated INTEGER NOT NULL, hash BLOB NOT NULL, payload BLOB NOT NULL) STRICT",
    "CREATE TABLE projection (name TEXT PRIMARY KEY, version INTEGER NOT NULL, "
    "seq INTEGER NOT NULL, sum BLOB NOT NULL, blob BLOB NOT NULL) STRICT",
)
# seq, kind, at_s, inflated, hash, payload: a row of the table.
StoredRow = tuple[int, int, int, int, bytes, bytes]
INSERT = "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)"
SELECT = "SELECT seq, kind, at_s, inflated, hash, payload FROM record"
# One page of reading: little enough to hold no lock for long.
PAGE_ROWS, PAGE_BYTES = 1024, 4 * 2**20
# zlib's smallest gain is on text; below this the flag costs more than it saves.
COMPRESS_BYTES_MIN = 512
HASH_STEP_BYTES = 2**20


def require_sqlite(version: str | None = None) -> None:
    """Refuse an SQLite library whose WAL can lose data.

    Raises:
        LedgerError: if ``version`` (default: the one loaded) is older than ``SQLITE_OLDEST``.
    """
    found = version or apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")[:3]) < SQLITE_OLDEST:
        oldest = ".".join(map(str, SQLITE_OLDEST))
        raise LedgerError(
            f"the SQLite library is {found}; expected {oldest} or later, because older ones can "
            "corrupt a ledger. Install the apsw wheel, which brings its own."
        )


@contextmanager
def our_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about ``path`` into LedgerErrors that say what to do."""
    try:
        yield
    except (apsw.BusyError, apsw.LockedError) as wrong:
        raise LedgerError(
            f"{path}: found it locked by another writer for {BUSY_MS // 1000} s. "
            "A ledger has one writer; stop the other one, or write through it."
        ) from wrong
    except apsw.FullError as wrong:
        raise LedgerError(
            f"{path}: the disk is full; nothing was written. Free some space and try again."
        ) from wrong
    except (apsw.CorruptError, apsw.NotADBError) as wrong:
        raise LedgerError(
            f"{path}: found a damaged file ({wrong}). See `dure ledger verify`; "
            "`dure restore` brings back a backup."
        ) from wrong
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError) as wrong:
        raise LedgerError(
            f"{path}: cannot be opened ({wrong}). See that the directory exists and is ours."
        ) from wrong
    except apsw.Error as wrong:
        raise LedgerError(f"{path}: {wrong}.") from wrong


def connect(path: Path, *, write: bool = False, at_rest: bool = False) -> apsw.Connection:
    """Open the file with bounded waiting and without trusting what it says about itself.

    Args:
        write: create it if it is missing; else it is only read.
        at_rest: nobody has it open; read it without leaving files beside it.
    """
    require_sqlite()
    flags = apsw.SQLITE_OPEN_URI
    flags |= (
        apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if write else apsw.SQLITE_OPEN_READONLY
    )
    tail = "?immutable=1" if at_rest else ""
    connection = apsw.Connection(path.absolute().as_uri() + tail, flags=flags)
    connection.set_busy_timeout(BUSY_MS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    # A mapped file turns a read error of the disk into the death of the process.
    connection.pragma("mmap_size", 0)
    connection.pragma("cell_size_check", 1)
    return connection


def prepare(connection: apsw.Connection, path: Path, *, durable: bool) -> None:
    """Set how a writer writes, and make the tables of a new file.

    Raises:
        LedgerError: if the file is not a ledger of this version.
    """
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full" if durable else "off")
    # What is freed is zeroed, so that equal writes leave equal files.
    connection.pragma("secure_delete", 1)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not tables(connection):
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", SCHEMA_VERSION)
            for statement in SCHEMA:
                connection.execute(statement)
        require_schema(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def tables(connection: apsw.Connection) -> list[str]:
    """Return the statements that made what the file holds."""
    query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    return [str(row[0]) for row in connection.execute(query)]


def require_schema(connection: apsw.Connection, path: Path) -> None:
    """Raise LedgerError unless the file holds our tables and nothing else."""
    version = connection.pragma("user_version")
    if tables(connection) != list(SCHEMA) or version != SCHEMA_VERSION:
        raise LedgerError(
            f"{path}: found other tables (version {version}); expected a ledger of version "
            f"{SCHEMA_VERSION}. Give the path of a ledger, or update Dure."
        )


def last_record(connection: apsw.Connection) -> tuple[int, bytes] | None:
    """Return (seq, hash) of the last record, or None in an empty ledger."""
    found = connection.execute("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1").get
    return None if found is None else (found[0], found[1])


def hash_of(connection: apsw.Connection, seq: int) -> bytes | None:
    """Return a record's hash as stored, or None if there is no such record."""
    found = connection.execute("SELECT hash FROM record WHERE seq = ?", (seq,)).get
    return found if isinstance(found, bytes) else None


def stored(row: Row) -> StoredRow:
    """Return a row as the table holds it: a long payload compressed, if that helps."""
    seq, kind, at_s, payload, chained = row
    if len(payload) > COMPRESS_BYTES_MIN:
        packed = zlib.compress(payload, 1)
        if len(packed) < len(payload):
            return seq, kind, at_s, len(payload), chained, packed
    return seq, kind, at_s, 0, chained, payload


def inflate(payload: bytes, inflated: int) -> bytes:
    """Undo the compression of ``stored``.

    Raises:
        ValueError: if it does not give exactly ``inflated`` bytes; a damaged payload never
            takes more memory than that.
    """
    if inflated == 0:
        return payload
    if not 0 < inflated <= PAYLOAD_BYTES_MAX:
        raise ValueError(f"a payload of {inflated} bytes")
    unpacking = zlib.decompressobj()
    try:
        whole = unpacking.decompress(payload, inflated)
        # Asking for one byte more lets zlib read its own checksum at the end.
        beyond = unpacking.decompress(unpacking.unconsumed_tail, 1)
    except zlib.error as wrong:
        raise ValueError(str(wrong)) from wrong
    if len(whole) != inflated or beyond or not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"{len(whole)} bytes where {inflated} are stated")
    return whole


def stored_page(connection: apsw.Connection, *, after: int, upto: int) -> list[StoredRow]:
    """Return the first rows with ``after < seq <= upto``: some, or [] if there are none.

    Raises:
        ValueError: if a row has values of types that we never wrote.
    """
    rows: list[StoredRow] = []
    total = 0
    query = f"{SELECT} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {PAGE_ROWS}"
    cursor = connection.execute(query, (after, upto))
    for seq, kind, at_s, inflated, chained, payload in cursor:
        if not (
            type(seq) is type(kind) is type(at_s) is type(inflated) is int
            and type(payload) is type(chained) is bytes
        ):
            raise ValueError(f"record {seq!r} with other types")
        rows.append((seq, kind, at_s, inflated, chained, payload))
        total += max(len(payload), inflated)
        if total > PAGE_BYTES:
            break
    cursor.close(True)
    return rows


def page(connection: apsw.Connection, *, after: int, upto: int) -> list[Row]:
    """Do as ``stored_page``, with each payload as it went in.

    Raises:
        ValueError: if a row cannot be one that we wrote.
    """
    rows: list[Row] = []
    for seq, kind, at_s, inflated, chained, payload in stored_page(
        connection, after=after, upto=upto
    ):
        try:
            rows.append((seq, kind, at_s, inflate(payload, inflated), chained))
        except ValueError as wrong:
            raise ValueError(f"record {seq} with {wrong}") from wrong
    return rows


def file_sha256(path: Path, progress: Callable[[int], None] = lambda _: None) -> tuple[int, bytes]:
    """Return (bytes, sha256) of the file as it lies on the disk.

    SQLite's own file layer reads it: closing a plain file would drop all locks that this very
    program holds on it (POSIX), also those of a ledger that it has open elsewhere.
    """
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    file = apsw.VFSFile("", str(path.absolute()), flags)
    try:
        size = file.xFileSize()
        total = sha256()
        for start in range(0, size, HASH_STEP_BYTES):
            total.update(file.xRead(min(HASH_STEP_BYTES, size - start), start))
            progress(min(start + HASH_STEP_BYTES, size))
        return size, total.digest()
    finally:
        file.xClose()


def wal_path(path: Path) -> Path:
    """Return the file that stands beside a ledger while it is open, and after a crash."""
    return path.with_name(path.name + "-wal")


def is_at_rest(path: Path) -> bool:
    """Tell whether the ledger was closed cleanly and nobody has it open."""
    return not wal_path(path).exists()
