"""A ledger in a schema of a PostgreSQL database: several processes write, late ones lose by number.

The chain is the one that every ledger keeps. The anchor lies outside the database, in the data
directory of whoever writes, so that a database brought back from an older state is noticed.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import RLock

import psycopg

from dure.core.errors import ConflictError, LedgerError, StaleWriterError
from dure.core.ledger_record import Entry, Record
from dure.ledger.anchor import EMPTY, Anchor, read_anchor, write_anchor
from dure.ledger.chain import ZERO_HASH, Row, link, projection_sum, record_hash
from dure.ledger.copying import whole_projections
from dure.ledger.database import PAGE_BYTES, PAGE_ROWS, StoredRow, inflate, stored
from dure.ledger.postgres_link import Address, Connection, Link, migrate, require_version

Head = tuple[int, bytes]
# The lease's row is locked against a take-over while the records go in; a stale number finds none.
MINE = (
    "WITH mine AS MATERIALIZED (SELECT 1 FROM lease WHERE name = 'engine' "
    "AND generation = %(generation)s FOR SHARE) "
)
ROWS = (
    "FROM unnest(%(seq)s::bigint[], %(kind)s::smallint[], %(at_s)s::bigint[], "
    "%(inflated)s::integer[], %(hash)s::bytea[], %(payload)s::bytea[]) AS row"
)
INSERT = f"INSERT INTO record SELECT row.* {ROWS}"
INSERT_MINE = f"{MINE}INSERT INTO record SELECT row.* {ROWS}, mine"
PUT = (
    "INSERT INTO projection SELECT %(name)s, %(version)s::bigint, %(seq)s::bigint, "
    "%(sum)s::bytea, %(blob)s::bytea{source} ON CONFLICT (name) DO UPDATE SET "
    "version = excluded.version, seq = excluded.seq, sum = excluded.sum, blob = excluded.blob"
)
COLUMNS = ("seq", "kind", "at_s", "inflated", "hash", "payload")


class PostgresLedger:
    """A ledger that outlives its machine. Safe for threads; between processes, late writers lose.

    Args:
        address: the database.
        schema: the ledger's own; made if it is missing.
        anchor: file of its anchor; None for one that is only looked at.
        generation: of the writer's lease; what it appends or puts is refused once another engine
            has a later one. None: a writer that needs no lease (people's events).
        read_only: never write.

    Raises:
        LedgerError: if the database does not answer, was made by a newer Dure, or lacks a record
            that was acknowledged.
    """

    def __init__(
        self,
        address: Address,
        schema: str,
        *,
        anchor: Path | None = None,
        generation: Callable[[], int] | None = None,
        read_only: bool = False,
    ) -> None:
        self._anchor, self._generation = anchor, generation
        self._refusal = "it is open for reading only" if read_only else ""
        self._lock = RLock()
        # The newest record that we know to be in the chain: to append after it needs no look.
        self._known: Head = (0, ZERO_HASH)
        self._writing = Link(address, schema, met=self._require_known)
        self._reading = Link(address, schema)
        self._where = str(self._reading)
        try:
            if not read_only:
                migrate(self._writing)
            self._reading.run(lambda found: require_version(found, self._reading))
            self._known = self.head()
            self._require_anchor()
        except BaseException:
            self._reading.close()
            self._writing.close()
            raise

    def _require_known(self, connection: Connection) -> None:
        """Refuse a database that forgot what it had acknowledged (a fail-over to a late copy)."""
        seq, known = self._known
        if seq > 0 and hash_of(connection, seq) != known:
            raise LedgerError(
                f"{self._where}: record {seq} was acknowledged and is not there any more. "
                "Look at the database; start again only once it holds it, or after a restore."
            )

    def _require_anchor(self) -> None:
        anchor = read_anchor(self._anchor) if self._anchor is not None else None
        if self._anchor is None:
            return
        if anchor is None:
            if not self._refusal and self._known[0] == 0:
                write_anchor(self._anchor, EMPTY, durable=True)
            return
        found = ZERO_HASH
        if anchor.seq > 0:
            found = self._reading.run(lambda at: hash_of(at, anchor.seq)) or b""
        if found != anchor.hash:
            raise LedgerError(
                f"{self._where}: found {self._known[0]} records that do not hold record "
                f"{anchor.seq} of {self._anchor}. Restore a backup, or remove that file to accept "
                "the database as it is."
            )

    def head(self) -> Head:
        """Return (last seq or 0, its hash or 32 zero bytes)."""
        return self._reading.run(last_record)

    def append(self, entries: Sequence[Entry], *, expect: int) -> int:
        """Write all or none; return the new head.

        Raises:
            ConflictError: unless the head is ``expect``.
            StaleWriterError: another engine leads.
            LedgerError: if it cannot be written; then none of it is.
        """
        with self._lock:
            self._require_writer()
            if self._known[0] != expect:
                self._known = self._writing.run(last_record)
            if self._known[0] != expect:
                raise ConflictError(found=self._known[0], expected=expect)
            rows = link(self._known[1], expect, entries)
            if rows:
                self._insert(rows)
                self._known = rows[-1][0], rows[-1][4]
            return self._known[0]

    def _insert(self, rows: Sequence[Row]) -> None:
        columns = zip(*map(stored, rows), strict=True)
        values: dict[str, object] = {
            name: list(column) for name, column in zip(COLUMNS, columns, strict=True)
        }
        last, tries = rows[-1], 0

        def work(connection: Connection) -> None:
            nonlocal tries
            tries += 1
            # A connection that broke may have broken after the commit: our hash tells.
            if tries > 1 and hash_of(connection, last[0]) == last[4]:
                return
            try:
                self._write(connection, INSERT, INSERT_MINE, values)
            except psycopg.errors.UniqueViolation:
                if tries > 1 and hash_of(connection, last[0]) == last[4]:
                    return
                self._known = last_record(connection)
                raise ConflictError(found=self._known[0], expected=rows[0][0] - 1) from None

        self._writing.run(work)

    def _write(
        self, connection: Connection, free: str, fenced: str, values: dict[str, object]
    ) -> None:
        """Run one statement, which is one transaction, with the lease if we write under one."""
        if self._generation is None:
            connection.execute(free.encode(), values, binary=True)
            return
        generation = self._generation()
        values = {**values, "generation": generation}
        if connection.execute(fenced.encode(), values, binary=True).rowcount == 0:
            raise StaleWriterError(where=self._where, generation=generation)

    def _require_writer(self) -> None:
        if self._refusal:
            raise LedgerError(f"{self._where}: cannot be written; {self._refusal}.")

    def read(self, after: int = 0, upto: int | None = None) -> Iterator[Record]:
        """Yield records with ``after < seq <= upto`` in order, as they stand at the call.

        Raises:
            LedgerError: while reading, at the first record that does not continue the chain.
        """
        after, last = max(after, 0), self.head()[0]
        return self._records(after, last if upto is None else min(upto, last))

    def _records(self, after: int, upto: int) -> Iterator[Record]:
        before = ZERO_HASH
        if 0 < after < upto:
            before = self._reading.run(lambda found: hash_of(found, after)) or b""
        while after < upto:
            rows = self._page(after, upto)
            for seq, kind, at_s, inflated, chained, packed in rows:
                try:
                    payload = inflate(packed, inflated)
                except ValueError as wrong:
                    raise LedgerError(
                        f"{self._where}: found a damaged record {seq} with {wrong}."
                    ) from wrong
                is_next = seq == after + 1
                if not is_next or chained != record_hash(before, seq, kind, at_s, payload):
                    raise LedgerError(
                        f"{self._where}: record {after + 1} is missing or was changed. "
                        "See `dure ledger verify`; `dure restore` brings back a backup."
                    )
                yield Record(seq, kind, at_s, payload, chained)
                after, before = seq, chained

    def _page(self, after: int, upto: int) -> list[StoredRow]:
        rows = self._reading.run(lambda found: stored_page(found, after=after, upto=upto))
        if not rows:
            raise LedgerError(f"{self._where}: found no record {after + 1}; expected {upto}.")
        return rows

    def put_projection(self, name: str, version: int, seq: int, blob: bytes) -> None:
        """Keep something that folding the records up to ``seq`` would give again.

        Raises:
            LedgerError: if there is no such record, or it cannot be written.
        """

        def work(connection: Connection) -> None:
            chained_to = ZERO_HASH if seq == 0 else hash_of(connection, seq)
            if chained_to is None:
                raise LedgerError(
                    f"projection {name} is of record {seq}, which {self._where} does not have."
                )
            values: dict[str, object] = {"name": name, "version": version, "seq": seq}
            values |= {"sum": projection_sum(name, version, seq, blob, chained_to)}
            free, fenced = PUT.format(source=""), MINE + PUT.format(source=" FROM mine")
            self._write(connection, free, fenced, values | {"blob": bytes(blob)})

        with self._lock:
            self._require_writer()
            self._writing.run(work)

    def get_projection(self, name: str, version: int) -> tuple[int, bytes] | None:
        """Return (seq, blob), or None if there is none of this version or it is damaged."""

        def work(connection: Connection) -> tuple[int, bytes] | None:
            query = "SELECT seq, sum, blob FROM projection WHERE name = %s AND version = %s"
            found = connection.execute(query, (name, version), binary=True).fetchone()
            if found is None:
                return None
            seq, total, blob = found
            assert isinstance(seq, int) and isinstance(blob, bytes)
            chained_to = ZERO_HASH if seq == 0 else hash_of(connection, seq)
            if chained_to is None:
                return None
            is_whole = total == projection_sum(name, version, seq, blob, chained_to)
            return (seq, blob) if is_whole else None

        return self._reading.run(work)

    def projections(self) -> list[tuple[str, int, int, bytes]]:
        """Return every projection that is whole: name, version, seq, blob; by name."""
        query = "SELECT name, version FROM projection ORDER BY name"
        names = self._reading.run(lambda found: found.execute(query).fetchall())
        return whole_projections(names, self.get_projection)

    def anchor(self) -> Anchor:
        """Write down where the chain stands now; return it, to be kept elsewhere as well."""
        anchor = Anchor(*self.head())
        if self._anchor is not None:
            write_anchor(self._anchor, anchor, durable=True)
        return anchor

    def close(self) -> None:
        """Anchor the ledger and let the database go. Repeating is harmless.

        Raises:
            LedgerError: if it cannot be anchored; the ledger is closed nevertheless.
        """
        with self._lock:
            is_writer, self._refusal = not self._refusal, self._refusal or "it is closed"
            try:
                if is_writer:
                    self.anchor()
            finally:
                self._reading.close()
                self._writing.close()


def last_record(connection: Connection) -> Head:
    """Return (seq, hash) of the last record; 0 and zero bytes in an empty ledger."""
    query = "SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1"
    found = connection.execute(query, binary=True).fetchone()
    if found is None:
        return 0, ZERO_HASH
    seq, chained = found
    assert isinstance(seq, int) and isinstance(chained, bytes)
    return seq, chained


def hash_of(connection: Connection, seq: int) -> bytes | None:
    """Return a record's hash as stored, or None if there is no such record."""
    query = "SELECT hash FROM record WHERE seq = %s"
    found = connection.execute(query, (seq,), binary=True).fetchone()
    return found[0] if found is not None and isinstance(found[0], bytes) else None


def stored_page(connection: Connection, *, after: int, upto: int) -> list[StoredRow]:
    """Return the first rows with ``after < seq <= upto``: some, or [] if there are none.

    Long payloads end a page early, so that it never takes more memory than one of them needs.
    """
    query = (
        "WITH near AS (SELECT seq, sum(greatest(octet_length(payload), inflated))"
        " OVER (ORDER BY seq) - greatest(octet_length(payload), inflated) AS before"
        " FROM (SELECT seq, payload, inflated FROM record WHERE seq > %s AND seq <= %s"
        " ORDER BY seq LIMIT %s) AS page)"
        " SELECT seq, kind, at_s, inflated, hash, payload FROM record"
        " JOIN near USING (seq) WHERE before <= %s ORDER BY seq"
    )
    found = connection.execute(query, (after, upto, PAGE_ROWS, PAGE_BYTES), binary=True)
    return found.fetchall()  # type: ignore[return-value]
