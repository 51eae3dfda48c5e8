"""The hash chain: what ties each record to all before it, the same for every ledger."""

import struct
from collections.abc import Sequence
from hashlib import sha256

from dure.core.errors import LedgerError
from dure.core.ledger_record import Entry

ZERO_HASH = bytes(32)
# SQLite cannot hold a value of 1 GB; far below it, one record is still one read into memory.
PAYLOAD_BYTES_MAX = 256 * 2**20

# seq, kind, at_s, payload, hash: a record's fields. The hot path makes no objects.
Row = tuple[int, int, int, bytes, bytes]

_HEADER = struct.Struct("<QBq").pack


def record_hash(before: bytes, seq: int, kind: int, at_s: int, payload: bytes) -> bytes:
    """Hash a record onto the chain: ``sha256(before | seq u64 | kind u8 | at_s i64 | payload)``.

    The integers are little-endian; ``struct.error`` if one does not fit.
    """
    return sha256(before + _HEADER(seq, kind, at_s) + payload).digest()


def link(before: bytes, seq: int, entries: Sequence[Entry]) -> list[Row]:
    """Give entries their places after record ``seq``, whose hash is ``before``.

    Raises:
        LedgerError: if an entry cannot stand in a ledger; none is then linked.
    """
    rows: list[Row] = []
    for entry in entries:
        payload = bytes(entry.payload)
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise LedgerError(
                f"an entry of kind {entry.kind} has {len(payload)} bytes; expected at most "
                f"{PAYLOAD_BYTES_MAX}. Write it as several entries."
            )
        seq += 1
        try:
            before = record_hash(before, seq, entry.kind, entry.at_s, payload)
        except struct.error as wrong:
            raise LedgerError(
                f"an entry has kind {entry.kind} and at_s {entry.at_s}; expected whole numbers "
                f"of 8 and 64 bits ({wrong})."
            ) from wrong
        rows.append((seq, entry.kind, entry.at_s, payload, before))
    return rows


def projection_sum(name: str, version: int, seq: int, blob: bytes, chained_to: bytes) -> bytes:
    """Hash a projection together with the record it was folded up to.

    Args:
        chained_to: that record's hash, so that a blob of another ledger's past does not fit.
    """
    title = name.encode()
    return sha256(
        struct.pack("<IqQ", len(title), version, seq) + title + chained_to + blob
    ).digest()
