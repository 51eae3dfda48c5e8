"""Where a pool stands, written down now and then, so that a start need not fold its whole ledger.

What is kept only saves time: it lies outside the chain, and if it does not fit (another version,
damage, a cut between two writes), the records are folded instead.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import msgspec

from dure.core.errors import DureError
from dure.core.genesis import unpack_pool
from dure.core.snapshot import pack_state, unpack_state
from dure.core.state import CycleRecord, State
from dure.services.kept_book import KeptBook
from dure.services.pools import PoolRuntime

# Projections, with the version of what they hold.
STATE, BOOK, FOLLOWERS = ("pool.state", 1), ("pool.book", 1), ("pool.followers", 1)
# A start folds about so many records at most that no kept state covers.
KEEP_EVERY = 16_384


class Follows(Protocol):
    """Listens to a pool's records; can be kept beside a state and go on from there."""

    def listen(self, state: State, record: CycleRecord) -> None: ...

    def keep(self) -> bytes: ...

    def begin_from(self, state: State, kept: bytes) -> None:
        """Raises DureError or MsgspecError if what was kept cannot be read."""
        ...


class Keeper:
    """Keeps a pool and everybody who follows it; makes them all its listeners.

    Args:
        runtime: the pool; nothing may have been folded yet.
        book: the same ledger as people write to it; nothing may have been read from it yet.
        followers: by name; a start with others than were kept folds the records.
    """

    def __init__(
        self, runtime: PoolRuntime, book: KeptBook, followers: Mapping[str, Follows]
    ) -> None:
        self._runtime, self._book, self._followers = runtime, book, followers
        self._kept_seq = 0
        runtime.listeners += [one.listen for one in followers.values()]

    def begin(self) -> None:
        """Stand where the ledger ends."""
        kept = self._runtime.ledger.get_projection(*BOOK)
        if kept is not None:
            with suppress(DureError):
                self._book.begin_from(*kept)
        self._book.catch_up()
        if not self._begin_from_kept():
            self._runtime.refold()

    def keep_now_and_then(self) -> None:
        """Keep the pool if many records have come since the last time."""
        if self._runtime.seen - self._kept_seq >= KEEP_EVERY:
            self.keep()

    def keep(self) -> None:
        """Write down where everything stands; not while events wait to be planned with."""
        runtime = self._runtime
        if runtime.has_news() or runtime.seen == self._kept_seq:
            return
        ledger, seq = runtime.ledger, runtime.seen
        kept = {name: one.keep() for name, one in self._followers.items()}
        ledger.put_projection(*FOLLOWERS, seq, msgspec.msgpack.encode(kept))
        ledger.put_projection(*STATE, seq, pack_state(runtime.state))
        ledger.put_projection(*BOOK, *self._book.keep())
        self._kept_seq = seq

    def _begin_from_kept(self) -> bool:
        ledger = self._runtime.ledger
        state, kept = ledger.get_projection(*STATE), ledger.get_projection(*FOLLOWERS)
        if state is None or kept is None or state[0] != kept[0]:
            return False
        first = next(iter(ledger.read(0, 1)))
        try:
            memories = msgspec.msgpack.decode(kept[1], type=dict[str, bytes])
            if memories.keys() != self._followers.keys():
                return False
            at = unpack_state(state[1], *unpack_pool(first.payload))
            for name, one in self._followers.items():
                one.begin_from(at, memories[name])
        except (DureError, msgspec.MsgspecError):
            return False
        self._kept_seq = state[0]
        self._runtime.begin_from(at, state[0])
        return True
