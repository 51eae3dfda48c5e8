"""Carry a ledger over into another one: the same records, the same chain, the same projections."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from dure.core.errors import LedgerError
from dure.core.ledger_record import Entry, Record
from dure.ledger.examining import Progress, no_progress

# Records of one append: many share the wait for the disk, few need little memory.
BATCH_RECORDS, BATCH_BYTES = 1024, 4 * 2**20
Projection = tuple[str, int, int, bytes]


class Source(Protocol):
    """What is carried over."""

    def head(self) -> tuple[int, bytes]: ...

    def read(self, after: int = 0, upto: int | None = None) -> Iterator[Record]: ...

    def projections(self) -> Sequence[Projection]:
        """Return every projection that is whole: name, version, seq, blob; by name."""
        ...


class Target(Protocol):
    """Where it is carried to."""

    def head(self) -> tuple[int, bytes]: ...

    def append(self, entries: Sequence[Entry], *, expect: int) -> int: ...

    def put_projection(self, name: str, version: int, seq: int, blob: bytes) -> None: ...


def whole_projections(
    names: Iterable[Sequence[object]],
    get: Callable[[str, int], tuple[int, bytes] | None],
) -> list[Projection]:
    """Return those of some (name, version) that are whole, in their order."""
    found: list[Projection] = []
    for name, version in names:
        assert isinstance(name, str) and isinstance(version, int)
        kept = get(name, version)
        if kept is not None:
            found.append((name, version, *kept))
    return found


def carry_over(
    source: Source, target: Target, *, upto: int | None = None, progress: Progress = no_progress
) -> int:
    """Append to ``target`` what ``source`` has beyond it; return the head. May be done again.

    Args:
        upto: the last record to carry; all of them if not given.
        progress: told (records done, records in all) now and then.

    Raises:
        LedgerError: if the two are of different pasts.
    """
    head, chained = target.head()
    last = source.head()[0] if upto is None else upto
    before = bytes(32) if head == 0 else next(iter(source.read(head - 1, head))).hash
    if head > last or chained != before:
        raise LedgerError("the two ledgers have different pasts; expected one to continue.")
    entries: list[Entry] = []
    size = 0
    for record in source.read(head, last):
        entries.append(Entry(record.kind, record.at_s, record.payload))
        size += len(record.payload)
        if len(entries) >= BATCH_RECORDS or size > BATCH_BYTES:
            head, entries, size = target.append(entries, expect=head), [], 0
            progress(head, last)
    head = target.append(entries, expect=head)
    for name, version, seq, blob in source.projections():
        if seq <= head:
            target.put_projection(name, version, seq, blob)
    return head
