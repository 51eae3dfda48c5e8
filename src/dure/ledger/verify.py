"""Look at a ledger as a stranger would: is every byte what it was when it was written?"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import apsw

from dure.core.errors import LedgerError
from dure.ledger.anchor import Anchor, anchor_path, read_anchor
from dure.ledger.chain import ZERO_HASH, projection_sum, record_hash
from dure.ledger.database import (
    StoredRow,
    connect,
    file_sha256,
    hash_of,
    inflate,
    is_at_rest,
    our_words,
    require_schema,
    stored_page,
    tables,
    wal_path,
)

# After so many, more of them teach nothing.
FLAWS_MAX = 200
INTEGRITY_ROWS_MAX = 100
EXAMINATIONS_MAX = 3
INT64_MAX = 2**63 - 1

Decoders = Mapping[int, Callable[[bytes], object]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something in a ledger that is not as it was written.

    Attributes:
        where: the file, the record or the projection.
        found: what stands there.
        expected: what should.
    """

    where: str
    found: str
    expected: str


@dataclass(slots=True)
class Examination:
    """What looking at a ledger brought.

    Attributes:
        path: the ledger.
        seq: records found, by the number of the last.
        head: the last record's hash.
        at_s: the last record's time on the pool's clock; None if there is no record.
        is_closed: the file was closed cleanly, so that all its bytes were compared.
        flaws: what is wrong, at most ``FLAWS_MAX``.
    """

    path: Path
    seq: int = 0
    head: bytes = ZERO_HASH
    at_s: int | None = None
    is_closed: bool = True
    flaws: list[Flaw] = field(default_factory=list)

    def note(self, where: str, *, found: str, expected: str) -> None:
        """Add a flaw, unless there are too many already."""
        if len(self.flaws) < FLAWS_MAX:
            self.flaws.append(Flaw(where, found, expected))


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


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
        seen = Examination(path)
        was_at_rest = is_at_rest(path)
        _examine(seen, was_at_rest, decoders, outside, progress)
        # A service that started meanwhile changes the file under us; that is no flaw.
        if not seen.flaws or is_at_rest(path) == was_at_rest:
            break
    return seen


def _examine(
    seen: Examination,
    at_rest: bool,
    decoders: Decoders | None,
    outside: Path | None,
    progress: Progress,
) -> None:
    path = seen.path
    if not path.is_file():
        seen.note(str(path), found="no file", expected="a ledger")
        return
    anchor = _read_anchor(seen, anchor_path(path))
    is_described = anchor is not None and anchor.file_sha256 is not None
    try:
        # An empty WAL is left by whoever was looking on while the ledger was closed.
        seen.is_closed = at_rest or (is_described and wal_path(path).stat().st_size == 0)
        with our_words(path):
            if seen.is_closed and anchor is not None:
                _check_file(seen, anchor)
            connection = connect(path, at_rest=at_rest)
            try:
                if _check_tables(seen, connection, anchor):
                    _check_records(seen, connection, decoders, progress)
                    _check_projections(seen, connection)
                    _check_anchor(seen, connection, anchor)
                    if outside is not None:
                        _check_outside(seen, connection, outside)
            finally:
                connection.close()
    except (LedgerError, OSError, ValueError, OverflowError, MemoryError) as wrong:
        seen.note(path.name, found=str(wrong), expected="a file that can be read")


def _check_file(seen: Examination, anchor: Anchor) -> None:
    if anchor.file_sha256 is None:
        return
    found_bytes, found_sha256 = file_sha256(seen.path)
    if (found_bytes, found_sha256) != (anchor.file_bytes, anchor.file_sha256):
        seen.note(
            seen.path.name,
            found=f"{found_bytes} bytes with sha256 {found_sha256.hex()}",
            expected=f"{anchor.file_bytes} bytes with sha256 {anchor.file_sha256.hex()}",
        )


def _check_tables(seen: Examination, connection: apsw.Connection, anchor: Anchor | None) -> bool:
    """Return whether the tables can be read at all."""
    if anchor is None and not tables(connection):
        # Its writer died before it had made the tables; nothing was acknowledged.
        return False
    try:
        require_schema(connection, seen.path)
    except LedgerError as wrong:
        seen.note(seen.path.name, found=str(wrong), expected="the tables of a ledger")
        return False
    checked = connection.execute(f"PRAGMA integrity_check({INTEGRITY_ROWS_MAX})")
    for (line,) in islice(checked, INTEGRITY_ROWS_MAX):
        if line != "ok":
            seen.note(seen.path.name, found=str(line), expected="a sound SQLite file")
    return True


def _check_records(
    seen: Examination,
    connection: apsw.Connection,
    decoders: Decoders | None,
    progress: Progress,
) -> None:
    highest = connection.execute("SELECT max(seq) FROM record").get
    total = highest if isinstance(highest, int) else 0
    lowest = connection.execute("SELECT min(seq) FROM record").get
    if isinstance(lowest, int) and lowest < 1:
        seen.note(f"record {lowest}", found="a number below 1", expected="numbers from 1")
    while True:
        try:
            rows = stored_page(connection, after=seen.seq, upto=INT64_MAX)
        except ValueError as wrong:
            seen.note(f"after record {seen.seq}", found=str(wrong), expected="a readable record")
            return
        if not rows:
            break
        for row in rows:
            if len(seen.flaws) >= FLAWS_MAX:
                return
            if row[0] <= seen.seq:
                seen.note(f"record {row[0]}", found=f"it after {seen.seq}", expected="rising order")
                return
            _check_record(seen, row, decoders)
        progress(seen.seq, max(total, seen.seq))


def _check_record(seen: Examination, row: StoredRow, decoders: Decoders | None) -> None:
    seq, kind, at_s, inflated, chained, packed = row
    where = f"record {seq}"
    if seq != seen.seq + 1:
        seen.note(where, found=f"it after record {seen.seq}", expected=f"record {seen.seq + 1}")
    before = seen.head
    # Go on with the hash that stands there: one change is one flaw, not one in every later record.
    seen.seq, seen.head, seen.at_s = seq, chained, at_s
    try:
        payload = inflate(packed, inflated)
        computed = record_hash(before, seq, kind, at_s, payload)
    except (ValueError, struct.error) as wrong:
        seen.note(where, found=f"kind {kind}, {wrong}", expected="a record that can be read")
        return
    if computed != chained:
        seen.note(where, found=f"hash {chained.hex()}", expected=f"hash {computed.hex()}")
    if decoders is None:
        return
    decode = decoders.get(kind)
    if decode is None:
        kinds = ", ".join(map(str, sorted(decoders)))
        seen.note(where, found=f"kind {kind}", expected=f"one of {kinds}")
        return
    try:
        decode(payload)
    except Exception as wrong:  # whatever a decoder makes of damaged bytes is the finding
        found = f"a payload that cannot be read: {wrong}"
        seen.note(where, found=found, expected=f"a payload of kind {kind}")


def _check_projections(seen: Examination, connection: apsw.Connection) -> None:
    rows = connection.execute("SELECT name, version, seq, sum, blob FROM projection ORDER BY name")
    for name, version, seq, total, blob in rows:
        where = f"projection {name!r}"
        is_typed = type(name) is str and type(version) is type(seq) is int and type(blob) is bytes
        chained_to = None
        if is_typed:
            chained_to = ZERO_HASH if seq == 0 else hash_of(connection, seq)
        if chained_to is None:
            seen.note(where, found=f"it of record {seq!r}", expected="a record of this ledger")
        elif total != projection_sum(name, version, seq, blob, chained_to):
            seen.note(where, found="a changed blob", expected="the blob as it was put")


def _check_anchor(seen: Examination, connection: apsw.Connection, anchor: Anchor | None) -> None:
    where = anchor_path(seen.path).name
    if anchor is None:
        if seen.seq > 0 and not any(flaw.where == where for flaw in seen.flaws):
            seen.note(where, found="no anchor", expected=f"one of record {seen.seq} or before")
        return
    if not _holds(seen, connection, anchor):
        return
    if seen.is_closed and (anchor.seq != seen.seq or anchor.file_sha256 is None):
        # Dure anchors a file before it closes it; what came later was written by something else.
        seen.note(
            seen.path.name,
            found=f"a closed file of {seen.seq} records",
            expected=f"one of {anchor.seq} records, as anchored when it was last closed",
        )


def _check_outside(seen: Examination, connection: apsw.Connection, outside: Path) -> None:
    anchor = _read_anchor(seen, outside)
    if anchor is not None:
        _holds(seen, connection, anchor)
    elif not outside.is_file():
        seen.note(str(outside), found="no file", expected="an anchor")


def _read_anchor(seen: Examination, path: Path) -> Anchor | None:
    try:
        return read_anchor(path)
    except LedgerError as wrong:
        seen.note(path.name, found=str(wrong), expected="an anchor as we wrote it")
        return None


def _holds(seen: Examination, connection: apsw.Connection, anchor: Anchor) -> bool:
    """Return whether the anchored record is in the chain; note it if not."""
    found = ZERO_HASH if anchor.seq == 0 else hash_of(connection, anchor.seq)
    if found != anchor.hash:
        seen.note(
            f"record {anchor.seq}",
            found=f"hash {found.hex()}" if found else f"no such record, {seen.seq} is the last",
            expected=f"hash {anchor.hash.hex()}, as anchored",
        )
    return found == anchor.hash
