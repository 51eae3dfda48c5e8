"""Look at a ledger as a stranger would: is every byte what it was when it was written?"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import apsw

from dure.core.errors import LedgerError
from dure.ledger.anchor import Anchor, anchor_path
from dure.ledger.database import (
    StoredRow,
    connect,
    file_sha256,
    hash_of,
    is_at_rest,
    our_words,
    require_schema,
    stored_page,
    tables,
    wal_path,
)
from dure.ledger.examining import (
    INT64_MAX,
    Decoders,
    Examination,
    Flaw,
    Progress,
    check_outside,
    check_projections,
    check_records,
    holds,
    no_progress,
    read_noted_anchor,
)

INTEGRITY_ROWS_MAX = 100
EXAMINATIONS_MAX = 3


def verify(
    path: Path, *, decoders: Decoders | None = None, progress: Progress = no_progress
) -> list[Flaw]:
    """Return every flaw of a ledger and its anchor; [] says that it is whole. Never raises.

    Args:
        path: the ledger; it is only read, and may be in use.
        decoders: how to read a payload, by kind; a kind that is missing here is a flaw.
            None: payloads are not read.
        progress: told (records done, records in all) now and then.
    """
    return examine(path, decoders=decoders, progress=progress).flaws


def examine(
    path: Path,
    *,
    decoders: Decoders | None = None,
    outside: Path | None = None,
    progress: Progress = no_progress,
) -> Examination:
    """Do as ``verify``, and tell what was found beside the flaws.

    Args:
        outside: an anchor of this ledger that was kept elsewhere; its record must be here too.
    """
    for _ in range(EXAMINATIONS_MAX):
        seen = Examination(str(path))
        was_at_rest = is_at_rest(path)
        _examine(seen, path, was_at_rest, decoders, outside, progress)
        # A service that started meanwhile changes the file under us; that is no flaw.
        if not seen.flaws or is_at_rest(path) == was_at_rest:
            break
    return seen


def _examine(
    seen: Examination,
    path: Path,
    at_rest: bool,
    decoders: Decoders | None,
    outside: Path | None,
    progress: Progress,
) -> None:
    if not path.is_file():
        seen.note(str(path), found="no file", expected="a ledger")
        return
    anchor = read_noted_anchor(seen, anchor_path(path))
    is_described = anchor is not None and anchor.file_sha256 is not None
    try:
        # An empty WAL is left by whoever was looking on while the ledger was closed.
        seen.is_closed = at_rest or (is_described and wal_path(path).stat().st_size == 0)
        with our_words(path):
            if seen.is_closed and anchor is not None:
                _check_file(seen, path, anchor)
            connection = connect(path, at_rest=at_rest)
            try:
                if _check_tables(seen, connection, path, anchor):
                    shelf = _File(connection)
                    check_records(seen, shelf, decoders, progress)
                    check_projections(seen, shelf)
                    _check_anchor(seen, shelf, path, anchor)
                    if outside is not None:
                        check_outside(seen, shelf, outside)
            finally:
                connection.close()
    except (LedgerError, OSError, ValueError, OverflowError, MemoryError) as wrong:
        seen.note(path.name, found=str(wrong), expected="a file that can be read")


def _check_file(seen: Examination, path: Path, anchor: Anchor) -> None:
    if anchor.file_sha256 is None:
        return
    found_bytes, found_sha256 = file_sha256(path)
    if (found_bytes, found_sha256) != (anchor.file_bytes, anchor.file_sha256):
        seen.note(
            path.name,
            found=f"{found_bytes} bytes with sha256 {found_sha256.hex()}",
            expected=f"{anchor.file_bytes} bytes with sha256 {anchor.file_sha256.hex()}",
        )


def _check_tables(
    seen: Examination, connection: apsw.Connection, path: Path, anchor: Anchor | None
) -> bool:
    """Return whether the tables can be read at all."""
    if anchor is None and not tables(connection):
        # Its writer died before it had made the tables; nothing was acknowledged.
        return False
    try:
        require_schema(connection, path)
    except LedgerError as wrong:
        seen.note(path.name, found=str(wrong), expected="the tables of a ledger")
        return False
    checked = connection.execute(f"PRAGMA integrity_check({INTEGRITY_ROWS_MAX})")
    for (line,) in islice(checked, INTEGRITY_ROWS_MAX):
        if line != "ok":
            seen.note(path.name, found=str(line), expected="a sound SQLite file")
    return True


def _check_anchor(seen: Examination, shelf: "_File", path: Path, anchor: Anchor | None) -> None:
    where = anchor_path(path).name
    if anchor is None:
        if seen.seq > 0 and not any(flaw.where == where for flaw in seen.flaws):
            seen.note(where, found="no anchor", expected=f"one of record {seen.seq} or before")
        return
    if not holds(seen, shelf, anchor):
        return
    if seen.is_closed and (anchor.seq != seen.seq or anchor.file_sha256 is None):
        # Dure anchors a file before it closes it; what came later was written by something else.
        seen.note(
            path.name,
            found=f"a closed file of {seen.seq} records",
            expected=f"one of {anchor.seq} records, as anchored when it was last closed",
        )


class _File:
    """The records of an open file (``Shelf``)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def page(self, after: int) -> list[StoredRow]:
        return stored_page(self._connection, after=after, upto=INT64_MAX)

    def ends(self) -> tuple[object, object]:
        return (
            self._connection.execute("SELECT min(seq) FROM record").get,
            self._connection.execute("SELECT max(seq) FROM record").get,
        )

    def hash_of(self, seq: int) -> bytes | None:
        return hash_of(self._connection, seq)

    def projections(self) -> Iterable[tuple[object, object, object, object, object]]:
        query = "SELECT name, version, seq, sum, blob FROM projection ORDER BY name"
        return self._connection.execute(query)
