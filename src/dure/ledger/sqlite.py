"""A ledger in one SQLite file: durable appends for a live pool, grouped ones for the twin."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

import apsw

from dure.core.errors import ConflictError, LedgerError
from dure.core.ledger_record import Entry, Record
from dure.ledger.anchor import EMPTY, Anchor, anchor_path, read_anchor, write_anchor
from dure.ledger.chain import ZERO_HASH, Row, link, projection_sum
from dure.ledger.copying import whole_projections
from dure.ledger.database import (
    INSERT,
    connect,
    file_sha256,
    hash_of,
    last_record,
    our_words,
    prepare,
    require_schema,
    stored,
    wal_path,
)
from dure.ledger.reading import Reader
from dure.ledger.restoring import require_no_restore

# A group is also written when it has grown this large.
GROUP_BYTES_MAX = 16 * 2**20
PUT_PROJECTION = (
    "INSERT INTO projection VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO UPDATE SET "
    "version = ?2, seq = ?3, sum = ?4, blob = ?5"
)


class SqliteLedger:
    """A ledger that survives its process. Safe for threads; between processes, late writers lose.

    Args:
        path: the file, ``DIR/ledger.db``; made if missing. Its anchor lies beside it.
        durable: an append that returned survives a power cut, not only ``kill -9``.
        group: write so many records in one transaction, for the twin. More than 1 needs
            ``durable=False``; appends not yet written are read like all others, but are lost if
            the process dies. Such a writer keeps all others out as long as it is open.
        read_only: never write; for looking at a ledger that may be in use.

    Raises:
        LedgerError: if the file is damaged, in use, not a ledger, or behind its anchor.
    """

    def __init__(
        self, path: Path | str, *, durable: bool = True, group: int = 1, read_only: bool = False
    ) -> None:
        assert group >= 1 and not (durable and group > 1), "a durable append cannot wait for others"
        self.path = Path(path)
        self._durable, self._group = durable, group
        self._lock = RLock()
        self._pending: list[Row] = []
        self._pending_bytes = 0
        self._refusal = "it is open for reading only" if read_only else ""
        require_no_restore(self.path)
        self._writer = None if read_only else self._open_writer()
        try:
            self._reader = Reader(self.path)
            self._reader.ask(lambda file: require_schema(file, self.path))
            self._head = self._reader.head()
            self._require_anchor()
        except BaseException:
            if self._writer is not None:
                self._writer.close()
            raise

    def _open_writer(self) -> apsw.Connection:
        with our_words(self.path):
            writer = connect(self.path, write=True)
            try:
                prepare(writer, self.path, durable=self._durable)
                if self._group > 1:
                    writer.execute("BEGIN IMMEDIATE")
            except BaseException:
                writer.close()
                raise
            return writer

    def _require_anchor(self) -> None:
        """Raise LedgerError unless the anchored record is in the chain; anchor a new ledger."""
        anchor = read_anchor(anchor_path(self.path))
        if anchor is None:
            if self._writer is not None and self._head == (0, ZERO_HASH):
                write_anchor(anchor_path(self.path), EMPTY, durable=self._durable)
            return
        found = ZERO_HASH
        if anchor.seq > 0:
            found = self._reader.ask(lambda file: hash_of(file, anchor.seq)) or b""
        if found != anchor.hash:
            raise LedgerError(
                f"{self.path}: found {self._head[0]} records that do not hold record {anchor.seq} "
                f"of {anchor_path(self.path).name}. Restore a backup, or remove both to begin anew."
            )

    def head(self) -> tuple[int, bytes]:
        """Return (last seq or 0, its hash or 32 zero bytes)."""
        if self._group > 1:
            with self._lock:
                return self._head
        return self._reader.head()

    def append(self, entries: Sequence[Entry], *, expect: int) -> int:
        """Write all or none; return the new head.

        Raises:
            ConflictError: unless the head is ``expect``.
            LedgerError: if it cannot be written; then none of it is.
        """
        with self._lock:
            if self._group > 1:
                return self._append_to_group(entries, expect)
            with self._transaction() as writer:
                seq, before = last_record(writer) or (0, ZERO_HASH)
                if seq != expect:
                    raise ConflictError(found=seq, expected=expect)
                rows = link(before, seq, entries)
                writer.executemany(INSERT, map(stored, rows))
            return seq + len(rows)

    def _append_to_group(self, entries: Sequence[Entry], expect: int) -> int:
        seq, before = self._head
        if seq != expect:
            raise ConflictError(found=seq, expected=expect)
        if self._refusal:
            self._require_writer()
        # Before the new ones are taken: if this fails, they are refused, not half accepted.
        if len(self._pending) >= self._group or self._pending_bytes > GROUP_BYTES_MAX:
            self._flush()
        rows = link(before, seq, entries)
        for row in rows:
            self._pending.append(row)
            self._pending_bytes += len(row[3])
            self._head = (row[0], row[4])
        return self._head[0]

    def _require_writer(self) -> apsw.Connection:
        if self._refusal or self._writer is None:
            raise LedgerError(f"{self.path}: cannot be written; {self._refusal}.")
        return self._writer

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        """Write all of what is done inside, or nothing."""
        writer = self._require_writer()
        with our_words(self.path):
            if not writer.in_transaction:
                writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                writer.execute("COMMIT")
            except apsw.IOError:
                # After a failed fsync nobody knows what the disk holds: stop rather than guess.
                self._refusal = "the disk failed; look at it, then open the ledger again"
                raise
            finally:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")

    def _flush(self, last: Callable[[apsw.Connection], None] = lambda _: None) -> None:
        """Write the group, then ``last``, in one transaction; keep the write lock."""
        flushed = self._head[0] - len(self._pending)
        try:
            with self._transaction() as writer:
                writer.executemany(INSERT, map(stored, self._pending))
                last(writer)
            flushed, self._pending, self._pending_bytes = self._head[0], [], 0
        finally:
            if not self._refusal:
                self._hold(flushed)

    def _hold(self, flushed: int) -> None:
        """Take the write lock again, and see that nobody used the moment between."""
        writer = self._require_writer()
        with our_words(self.path):
            writer.execute("BEGIN IMMEDIATE")
            found = (last_record(writer) or (0, ZERO_HASH))[0]
        if found != flushed:
            self._refusal = f"another writer brought it to record {found}, we were at {flushed}"
            self._require_writer()

    def read(self, after: int = 0, upto: int | None = None) -> Iterator[Record]:
        """Yield records with ``after < seq <= upto`` in order, as they stand at the call.

        Raises:
            LedgerError: while reading, at the first record that does not continue the chain.
        """
        after = max(after, 0)
        if self._group == 1:
            last = self._reader.head()[0]
            return self._reader.records(after=after, upto=last if upto is None else min(upto, last))
        with self._lock:
            last = self._head[0] if upto is None else min(upto, self._head[0])
            flushed = self._head[0] - len(self._pending)
            tail = self._pending[max(after - flushed, 0) : max(last - flushed, 0)]
        return self._read_group(after, min(last, flushed), tail)

    def _read_group(self, after: int, upto: int, tail: Sequence[Row]) -> Iterator[Record]:
        yield from self._reader.records(after=after, upto=upto)
        for row in tail:
            yield Record(*row)

    def put_projection(self, name: str, version: int, seq: int, blob: bytes) -> None:
        """Keep something that folding the records up to ``seq`` would give again.

        Raises:
            LedgerError: if there is no such record, or it cannot be written.
        """

        def put(writer: apsw.Connection) -> None:
            chained_to = ZERO_HASH if seq == 0 else hash_of(writer, seq)
            if chained_to is None:
                raise LedgerError(
                    f"projection {name} is of record {seq}, which {self.path} does not have."
                )
            total = projection_sum(name, version, seq, blob, chained_to)
            writer.execute(PUT_PROJECTION, (name, version, seq, total, bytes(blob)))

        with self._lock:
            if self._group > 1:
                self._flush(put)
                return
            with self._transaction() as writer:
                put(writer)

    def get_projection(self, name: str, version: int) -> tuple[int, bytes] | None:
        """Return (seq, blob), or None if there is none of this version or it is damaged."""
        return self._reader.projection(name, version)

    def projections(self) -> list[tuple[str, int, int, bytes]]:
        """Return every projection that is whole: name, version, seq, blob; by name."""
        query = "SELECT name, version FROM projection ORDER BY name"
        names = self._reader.ask(lambda file: file.execute(query).fetchall())
        return whole_projections(names, self.get_projection)

    def anchor(self) -> Anchor:
        """Write down where the chain stands now; return it, to be kept outside as well."""
        with self._lock:
            if self._group > 1:
                self._flush()
            writer = self._require_writer()
            with our_words(self.path):
                if not writer.in_transaction:
                    writer.execute("BEGIN IMMEDIATE")
                try:
                    return self._write_anchor(writer, is_closing=False)
                finally:
                    if self._group == 1:
                        writer.execute("ROLLBACK")

    def _write_anchor(self, writer: apsw.Connection, *, is_closing: bool) -> Anchor:
        """Write the anchor under the write lock, so that a slower one never replaces a newer."""
        head = last_record(writer) or (0, ZERO_HASH)
        anchor = Anchor(*head)
        if is_closing and wal_path(self.path).stat().st_size == 0:
            anchor = Anchor(*head, *file_sha256(self.path))
        write_anchor(anchor_path(self.path), anchor, durable=self._durable)
        return anchor

    def close(self) -> None:
        """Write what waits, bring all into the one file and anchor it. Repeating is harmless.

        Raises:
            LedgerError: if that fails; the ledger is closed nevertheless.
        """
        with self._lock:
            writer, is_sealed = self._writer, False
            try:
                if writer is not None and not self._refusal:
                    self._seal(writer)
                    is_sealed = True
            finally:
                self._refusal, self._writer = self._refusal or "it is closed", None
                with our_words(self.path):
                    self._reader.close()
                    if writer is not None:
                        # Without its anchor a closed file would look like one that was tampered
                        # with; with its WAL beside it looks like what it is, cut short.
                        writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(not is_sealed))
                        writer.close()

    def _seal(self, writer: apsw.Connection) -> None:
        """Leave one file that the anchor describes to the last byte, if nobody else has it open."""
        if self._pending:
            self._flush()
        self._reader.close()
        with our_words(self.path):
            # An anchor never describes a file that has changed since, at no moment of a crash:
            # the old description goes before the file changes, the new one comes before the WAL
            # is gone. So without records in a WAL the two must agree.
            if not writer.in_transaction:
                writer.execute("BEGIN IMMEDIATE")
            self._write_anchor(writer, is_closing=False)
            writer.execute("ROLLBACK")
            with suppress(apsw.BusyError):
                writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            writer.execute("BEGIN IMMEDIATE")
            self._write_anchor(writer, is_closing=True)
            writer.execute("ROLLBACK")


def discard(path: Path) -> None:
    """Remove a ledger and its anchor, for a twin that writes its results anew."""
    for gone in (
        anchor_path(path),
        path,
        wal_path(path),
        path.with_name(path.name + "-shm"),
    ):
        gone.unlink(missing_ok=True)
