"""What any ledger can be asked, wherever it lies: is every record what it was when written?"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dure.core.errors import LedgerError
from dure.ledger.anchor import Anchor, read_anchor
from dure.ledger.chain import ZERO_HASH, projection_sum, record_hash
from dure.ledger.database import StoredRow, inflate

# After so many, more of them teach nothing.
FLAWS_MAX = 200
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
        ledger: its file, or its place in a database, for a person.
        seq: records found, by the number of the last.
        head: the last record's hash.
        at_s: the last record's time on the pool's clock; None if there is no record.
        is_closed: it is a file that was closed cleanly, so that all its bytes were compared.
        flaws: what is wrong, at most ``FLAWS_MAX``.
    """

    ledger: str
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


class Shelf(Protocol):
    """Where records stand, as they stand there; nothing is believed."""

    def page(self, after: int) -> Sequence[StoredRow]:
        """Return the first rows with ``after < seq``: some, or [] if there are none.

        Raises:
            ValueError: if a row has values of types that we never wrote.
        """
        ...

    def ends(self) -> tuple[object, object]:
        """Return the lowest and the highest number of a record; None for none."""
        ...

    def hash_of(self, seq: int) -> bytes | None:
        """Return a record's hash as stored, or None if there is no such record."""
        ...

    def projections(self) -> Iterable[tuple[object, object, object, object, object]]:
        """Return name, version, seq, sum and blob of each, by name."""
        ...


def check_records(
    seen: Examination,
    shelf: Shelf,
    decoders: Decoders | None,
    progress: Progress,
) -> None:
    """Walk the whole chain."""
    lowest, highest = shelf.ends()
    total = highest if isinstance(highest, int) else 0
    if isinstance(lowest, int) and lowest < 1:
        seen.note(f"record {lowest}", found="a number below 1", expected="numbers from 1")
    while True:
        try:
            rows = shelf.page(seen.seq)
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


def check_projections(seen: Examination, shelf: Shelf) -> None:
    """Hold each projection against its sum and the record that it is of."""
    for name, version, seq, total, blob in shelf.projections():
        where = f"projection {name!r}"
        chained_to = None
        if isinstance(seq, int):
            chained_to = ZERO_HASH if seq == 0 else shelf.hash_of(seq)
        if chained_to is None or not isinstance(seq, int):
            seen.note(where, found=f"it of record {seq!r}", expected="a record of this ledger")
        elif not (
            isinstance(name, str)
            and isinstance(version, int)
            and isinstance(blob, bytes)
            and total == projection_sum(name, version, seq, blob, chained_to)
        ):
            seen.note(where, found="a changed blob", expected="the blob as it was put")


def check_outside(seen: Examination, shelf: Shelf, outside: Path) -> None:
    """Look for the record of an anchor that was kept elsewhere."""
    anchor = read_noted_anchor(seen, outside)
    if anchor is not None:
        holds(seen, shelf, anchor)
    elif not outside.is_file():
        seen.note(str(outside), found="no file", expected="an anchor")


def read_noted_anchor(seen: Examination, path: Path) -> Anchor | None:
    """Return an anchor, None if there is none; one that is damaged is a flaw."""
    try:
        return read_anchor(path)
    except LedgerError as wrong:
        seen.note(path.name, found=str(wrong), expected="an anchor as we wrote it")
        return None


def holds(seen: Examination, shelf: Shelf, anchor: Anchor) -> bool:
    """Return whether the anchored record is in the chain; note it if not."""
    found = ZERO_HASH if anchor.seq == 0 else shelf.hash_of(anchor.seq)
    if found != anchor.hash:
        seen.note(
            f"record {anchor.seq}",
            found=f"hash {found.hex()}" if found else f"no such record, {seen.seq} is the last",
            expected=f"hash {anchor.hash.hex()}, as anchored",
        )
    return found == anchor.hash
