"""A book that can begin from where it was kept, without reading a pool's whole ledger again."""

import zlib
from collections.abc import Callable, Sequence

import msgspec

from dure.core.errors import DureError
from dure.core.events import Event
from dure.services.book import Book
from dure.services.ports import KIND_EVENTS, Ledger, Record

VERSION = 1
_LEVEL = 1


class KeptBook(Book):
    """Remembers the payloads of all named events: they are few beside a pool's cycles."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        encode: Callable[[Sequence[Event]], bytes],
        decode: Callable[[bytes], Sequence[Event]],
    ) -> None:
        super().__init__(ledger, encode=encode, decode=decode)
        self._payloads: list[tuple[int, int, bytes]] = []

    def keep(self) -> tuple[int, bytes]:
        """Return (seq, all named events up to it), for a projection."""
        with self.lock:
            seq = self.catch_up()
            body = zlib.compress(msgspec.msgpack.encode(self._payloads), _LEVEL)
        return seq, bytes([VERSION]) + body

    def begin_from(self, seq: int, kept: bytes) -> None:
        """Fold what ``keep`` gave; the next ``catch_up`` reads on after it.

        Raises:
            DureError: if it was kept by another version, or is damaged.
        """
        assert self._seen == 0, "a book begins once"
        if kept[:1] != bytes([VERSION]):
            raise DureError(f"named events were kept as version {kept[:1].hex()}; not of ours.")
        try:
            body = zlib.decompress(kept[1:])
            rows = msgspec.msgpack.decode(body, type=list[tuple[int, int, bytes]])
        except (zlib.error, msgspec.DecodeError) as broken:
            raise DureError(f"named events were kept and are damaged: {broken}") from broken
        with self.lock:
            for number, at_s, payload in rows:
                self._fold(Record(number, KIND_EVENTS, at_s, payload, b""))
            self._seen = seq

    def _fold(self, record: Record) -> None:
        if record.kind == KIND_EVENTS:
            self._payloads.append((record.seq, record.at_s, record.payload))
        super()._fold(record)
