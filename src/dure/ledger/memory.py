"""A ledger in memory: for the twin's benches and for tests. Gone when its process ends."""

from collections.abc import Iterator, Sequence
from threading import Lock

from dure.core.errors import ConflictError, LedgerError
from dure.core.ledger_record import Entry, Record
from dure.ledger.chain import ZERO_HASH, Row, link


class MemoryLedger:
    """Keeps the very chain that ``SqliteLedger`` keeps, in a list. Safe for threads."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._hash = ZERO_HASH
        self._projections: dict[str, tuple[int, int, bytes]] = {}
        self._lock = Lock()

    def head(self) -> tuple[int, bytes]:
        """Return (last seq or 0, its hash or 32 zero bytes)."""
        with self._lock:
            return len(self._rows), self._hash

    def append(self, entries: Sequence[Entry], *, expect: int) -> int:
        """Write all or none; return the new head. Raises ConflictError unless head == expect."""
        with self._lock:
            found = len(self._rows)
            if found != expect:
                raise ConflictError(found=found, expected=expect)
            rows = link(self._hash, found, entries)
            if rows:
                self._rows += rows
                self._hash = rows[-1][4]
            return found + len(rows)

    def read(self, after: int = 0, upto: int | None = None) -> Iterator[Record]:
        """Yield records with ``after < seq <= upto`` in order, as they stand at the call."""
        with self._lock:
            last = len(self._rows) if upto is None else min(upto, len(self._rows))
        # Rows are never changed or removed, so reading on needs no lock.
        return (Record(*self._rows[place]) for place in range(max(after, 0), last))

    def put_projection(self, name: str, version: int, seq: int, blob: bytes) -> None:
        """Keep something that folding the records up to ``seq`` would give again."""
        with self._lock:
            if not 0 <= seq <= len(self._rows):
                raise LedgerError(
                    f"projection {name} is of record {seq}; expected 0 .. {len(self._rows)}."
                )
            self._projections[name] = (version, seq, bytes(blob))

    def get_projection(self, name: str, version: int) -> tuple[int, bytes] | None:
        """Return (seq, blob), or None if there is none of this version."""
        found_version, seq, blob = self._projections.get(name, (None, 0, b""))
        return (seq, blob) if found_version == version else None

    def close(self) -> None:
        """Do nothing: what is in memory needs no closing."""
