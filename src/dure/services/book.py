"""A pool's ledger as its services use it: append named events, keep views folded."""

from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any, Generic, Protocol, TypeVar

from dure.core.errors import ConflictError
from dure.core.events import Event
from dure.services.ports import KIND_EVENTS, Entry, Ledger, Record
from dure.services.together import Together

RETRIES = 5
Answer = TypeVar("Answer")
# Of the events decided before it in the same group, which no view knows yet, a decision makes its
# own events and its answer. It may be asked again, so it does nothing but decide.
Decide = Callable[[Sequence[Event]], tuple[Sequence[Event], Answer]]


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
        self._together: Together[_Decision[Any]] = Together(self._write_group)

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

    def decide(self, decide: Decide[Answer]) -> Answer:
        """Decide with the book held still, and write it; durable when this returns.

        Decisions that threads bring at the same time share one transaction, so that all of them
        wait for the disk once. Never call this while holding ``lock``: the group needs it.

        Raises:
            LedgerError: if the group cannot be written; then nothing of it is.
        """
        mine = _Decision(decide)
        self._together.do(mine)
        return mine.result()

    def append(self, events: Sequence[Event]) -> None:
        """Write named events in one transaction and fold them; durable when this returns.

        For whoever holds ``lock`` already, from reading to writing.
        """
        if events:
            mine: _Decision[None] = _Decision(lambda _: (events, None))
            self._write_group([mine])
            mine.result()

    def _write_group(self, group: "Sequence[_Decision[Any]]") -> None:
        with self.lock:
            for attempt in range(RETRIES):
                seen = self.catch_up()
                decided: list[Event] = []
                for one in group:
                    one.ask(decided)
                    decided += one.events
                entries = [self._entry(one.events) for one in group if one.events]
                if not entries:
                    return
                try:
                    self.ledger.append(entries, expect=seen)
                except ConflictError:
                    if attempt == RETRIES - 1:
                        raise
                    continue
                # What we wrote needs no reading back: nobody else wrote in between.
                for seq, entry in enumerate(entries, start=seen + 1):
                    self._fold(Record(seq, entry.kind, entry.at_s, entry.payload, b""))
                    self._seen = seq
                return

    def _entry(self, events: Sequence[Event]) -> Entry:
        return Entry(KIND_EVENTS, events[-1].at_s, self._encode(events))

    def _fold(self, record: Record) -> None:
        if record.kind != KIND_EVENTS:
            return
        for event in self._decode(record.payload):
            for view in self._views:
                view.fold(event)


class _Decision(Generic[Answer]):
    """One decision of a group: its events, and what its caller is to be told."""

    def __init__(self, decide: Decide[Answer]) -> None:
        self._decide = decide
        self.events: Sequence[Event] = ()
        self._answer: list[Answer] = []
        self._wrong: Exception | None = None

    def ask(self, before: Sequence[Event]) -> None:
        """Decide, anew if it was asked before; a refusal by exception is the caller's alone."""
        self.events, self._wrong = (), None
        try:
            self.events, answer = self._decide(before)
            self._answer = [answer]
        except Exception as wrong:
            self._wrong = wrong

    def result(self) -> Answer:
        if self._wrong is not None:
            raise self._wrong
        return self._answer[0]
