"""What a ledger keeps: entries in, records out. Shared by those who write and those who store."""

from dataclasses import dataclass

KIND_CYCLE = 1
KIND_EVENTS = 2
KIND_POOL = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """What a writer hands to the ledger.

    Attributes:
        kind: ``KIND_CYCLE`` (columns, ``core.record``) or ``KIND_EVENTS`` (named events, JSON).
        at_s: the pool's clock.
        payload: encoded content; its first byte is the codec's version.
    """

    kind: int
    at_s: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """An entry in its place: ``hash = sha256(hash before | seq | kind | at_s | payload)``."""

    seq: int
    kind: int
    at_s: int
    payload: bytes
    hash: bytes
