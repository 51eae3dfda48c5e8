"""A pool's ledger as its services use it: append named events, keep views folded."""

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Protocol

from dure.core.errors import ConflictError
from dure.core.events import Event
from dure.services.ports import KIND_EVENTS, Entry, Ledger, Record

RETRIES = 5


class View(Protocol):
    """Tables in memory that are nothing but the events folded in order."""

    def fold(self, event: Event) -> None: ...


class Book:
    """One writer's place at the ledger: reads what is new, folds it into the views, appends.

    Args:
        ledger: the pool's ledger.
        encode: named events -> payload.
        decode: payload -> named events.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        encode: Callable[[Sequence[Event]], bytes],
        decode: Callable[[bytes], Sequence[Event]],
    ) -> None:
        self.ledger = ledger
        self.lock = RLock()
        self._encode, self._decode = encode, decode
        self._views: list[View] = []
        self._seen = 0

    def attach(self, view: View) -> None:
        """Add a view; it must be attached before the first ``catch_up``."""
        assert self._seen == 0, "attach views before reading: a late view would miss events"
        self._views.append(view)

    def catch_up(self) -> int:
        """Fold everything written since the last call; return the head's seq."""
        with self.lock:
            for record in self.ledger.read(self._seen):
                self._fold(record)
                self._seen = record.seq
            return self._seen

    def append(self, events: Sequence[Event]) -> None:
        """Write named events in one transaction and fold them; durable when this returns."""
        if not events:
            return
        entry = Entry(KIND_EVENTS, events[-1].at_s, self._encode(events))
        with self.lock:
            for attempt in range(RETRIES):
                seen = self.catch_up()
                try:
                    self.ledger.append([entry], expect=seen)
                except ConflictError:
                    if attempt == RETRIES - 1:
                        raise
                    continue
                self.catch_up()
                return

    def _fold(self, record: Record) -> None:
        if record.kind != KIND_EVENTS:
            return
        for event in self._decode(record.payload):
            for view in self._views:
                view.fold(event)
