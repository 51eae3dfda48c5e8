"""A pool at run time: its ledger, its state, what waits to be observed, and its hands."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

import dure
from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.errors import LedgerError
from dure.core.events import Event
from dure.core.genesis import pack_pool, unpack_pool
from dure.core.ledger_record import KIND_CYCLE, KIND_EVENTS, KIND_POOL, Entry
from dure.core.plan import Observed
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.core.record import unpack
from dure.core.state import Account, CycleRecord, Jobs, State, no_facts, no_jobs
from dure.services.ports import Ledger


class Hands(Protocol):
    """A backend as the cycle sees it: facts in, facts out."""

    def observe(self, state: State, now_s: int) -> IntArray:
        """Return ends and receipts since the last acknowledged call, shape (n, 8)."""
        ...

    def acknowledge(self) -> None:
        """What ``observe`` returned is in the ledger now."""
        ...

    def carry_out(self, state: State, record: CycleRecord) -> None:
        """Do what a recorded plan says; doing it twice changes nothing."""
        ...


class NoHands:
    """Nobody's hands: of a pool that is only followed here."""

    def observe(self, state: State, now_s: int) -> IntArray:
        return no_facts()

    def acknowledge(self) -> None:
        """Nothing was shown."""

    def carry_out(self, state: State, record: CycleRecord) -> None:
        raise AssertionError("whoever only follows a pool decides nothing")


class Reader(Protocol):
    """Turns named events (a submission, an allocation) into what the engine observes."""

    def observed(self, state: State, events: Sequence[Event], now_s: int) -> Observed: ...

    def is_due(self, state: State) -> bool:
        """Tell whether there is something to observe though nothing new was written."""
        ...


class PoolRuntime:
    """One pool's only writer of plans.

    Args:
        ledger: its ledger; a new one gets the pool and the policy as its first record.
        hands: its backend.
        reader: how named events become facts; None where there are none (the twin).
        decode: payload -> named events.
    """

    def __init__(
        self,
        ledger: Ledger,
        hands: Hands,
        *,
        reader: Reader | None = None,
        decode: Callable[[bytes], Sequence[Event]] | None = None,
    ) -> None:
        self.ledger, self.hands = ledger, hands
        self._reader, self._decode = reader, decode
        self.inbox: list[Observed] = []
        self._events: list[Event] = []
        self.listeners: list[Callable[[State, CycleRecord], None]] = []
        self.state: State
        self.seen = 0
        self._looked = (-1, False)

    def found(self, pool: Pool, policy: Policy, *, seed: int = 0, at_s: int = 0) -> None:
        """Write the first record of an empty ledger and stand at it."""
        payload = pack_pool(pool, policy, seed=seed, engine=dure.__version__)
        self.seen = self.ledger.append([Entry(KIND_POOL, at_s, payload)], expect=0)
        self.state = State(pool, policy)

    def refold(self, upto: int | None = None) -> None:
        """Throw the state away and fold the ledger again, up to a record if one is named."""
        self.seen, self._events = 0, []
        self._fold(upto)

    def begin_from(self, state: State, seq: int) -> None:
        """Stand at a record whose state is known, and fold what came after."""
        self.state, self.seen, self._events = state, seq, []
        self.catch_up()

    def catch_up(self) -> None:
        """Fold what others wrote since the last look."""
        if self.ledger.head()[0] != self.seen:
            self._fold(None)

    def has_news(self) -> bool:
        """Tell whether others wrote since our last cycle, be it read already or not, or it let
        somebody go on.
        """
        return self.ledger.head()[0] != self.seen or bool(self._events) or self._is_due()

    def _is_due(self) -> bool:
        """Ask the reader once for each state."""
        if self._reader is not None and self._looked[0] != self.seen:
            self._looked = self.seen, self._reader.is_due(self.state)
        return self._looked[1]

    def _fold(self, upto: int | None) -> None:
        for record in self.ledger.read(self.seen, upto):
            if record.kind == KIND_CYCLE:
                cycle = unpack(record.payload)
                self.state.fold(cycle)
                for listen in self.listeners:
                    listen(self.state, cycle)
                if cycle.planned:
                    self._events = []
            elif record.kind == KIND_EVENTS and self._decode is not None:
                self._events.extend(self._decode(record.payload))
            elif record.kind == KIND_POOL:
                if record.seq != 1:
                    raise LedgerError(f"record {record.seq} founds a pool; only the first may.")
                self.state = State(*unpack_pool(record.payload))
            self.seen = record.seq

    def forget_events(self) -> None:
        """The named events read so far are part of a cycle's record now."""
        self._events = []

    def gather(self, now_s: int) -> Observed:
        """Return everything to be observed now: ends and receipts first, then the inbox in
        order.
        """
        parts = [Observed([], no_jobs(), self.hands.observe(self.state, now_s)), *self.inbox]
        if self._reader is not None and (self._events or self._is_due()):
            parts.append(self._reader.observed(self.state, self._events, now_s))
        if len(parts) == 2 and not len(parts[0].facts):
            return parts[1]
        return _joined(parts)


def _joined(parts: Sequence[Observed]) -> Observed:
    accounts: list[Account] = []
    names: list[str] = []
    for part in parts:
        accounts += part.accounts
        names += part.jobs.names
    columns = [part.jobs.columns for part in parts if part.jobs.names]
    facts = [part.facts for part in parts if len(part.facts)]
    return Observed(
        accounts,
        Jobs(names, np.concatenate(columns, axis=1)) if columns else no_jobs(),
        np.concatenate(facts) if facts else no_facts(),
    )


def rights_of(state: State, rows: Sequence[tuple[int, str, str, int, int, int]]) -> IntArray:
    """Return allocation facts for ``(index, account's name, type, milli, from_s, to_s)``.

    The account must be listed already; unknown types are left out (the pool has none of them).
    """
    known = [row for row in rows if row[2] in state.pool.types]
    facts = np.zeros((len(known), col.FACT_WIDTH), dtype=np.int64)
    for fact, (index, name, kind, milli, from_s, to_s) in zip(facts, known, strict=True):
        account = state.account_index.get(
            (col.ACCOUNT_PROJECT, name), state.account_index.get((col.ACCOUNT_PROVIDER, name), 0)
        )
        fact[:] = (
            col.K_ALLOCATED,
            max(state.now_s, 0),
            to_s,
            index,
            account,
            state.pool.types.index(kind),
            milli,
            from_s,
        )
    return facts
