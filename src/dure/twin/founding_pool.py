"""The national pool of the founding scenario: begun, gone on with, kept, taken up again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import yaml

from dure.core.calendar import moment_s
from dure.core.columns import IntArray
from dure.core.errors import DureError
from dure.core.genesis import pack_pool, seed_of, unpack_pool
from dure.core.ledger_record import KIND_POOL, Entry
from dure.core.policy import Policy, policy_named
from dure.core.snapshot import pack_state, unpack_state
from dure.core.state import Account, Jobs, State
from dure.drivers.imagined import ImaginedHands
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.asked import Demand
from dure.services.book import Book, View
from dure.services.keeping import KEEP_EVERY, Follows
from dure.services.kept_book import KeptBook
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.reading import EventReader
from dure.services.views import Name
from dure.twin.applications import RoundModel, read_round
from dure.twin.clockwork import CHECK_EVERY
from dure.twin.endless import Endless, ScriptedPool, Tell, given_up
from dure.twin.founding_world import World
from dure.twin.officer import Officer
from dure.twin.parameters import MODELS
from dure.twin.round import hold_round
from dure.twin.tables import read_pool
from dure.twin.use_meter import UseMeter

NATIONAL_POOL = MODELS / "national-pool.yaml"
CALL_S = moment_s("2025-12-22")
OPERATION_S = moment_s("2026-03-09")
FOUNDING_TO_S = moment_s("2026-06-08")
# Projections, with the version of what they hold.
STATE, BOOK, FOLLOWERS = ("founding.state", 1), ("founding.book", 1), ("founding.followers", 1)


class PoolClock:
    """The pool's virtual time, as far as the simulation has come; it only moves forward."""

    def __init__(self, at_s: int) -> None:
        self._at_s = at_s

    def now_s(self) -> int:
        return self._at_s

    def move_to(self, at_s: int) -> None:
        self._at_s = max(self._at_s, at_s)


def national_world(seed: int) -> World:
    """Return the world of the scenario: the national pool from the first day of operation."""
    return World(read_pool(NATIONAL_POOL), seed, OPERATION_S)


class Founding:
    """The national pool at work, from an empty ledger or from where its ledger stands.

    Args:
        ledger: empty, or one that this scenario wrote.
        seed: of all chance; that of the ledger if it is not empty.
        policy: as above.
        world: of the seed; the national one by default.
        round_model: the calls; those of round 2026-1 by default.
        views: more views of the book.
        followers: told every record, by name; a start finds them as they were kept.
        check_every: cycles between two full checks of the invariants.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        seed: int = 1,
        policy: Policy | None = None,
        world: Callable[[int], World] = national_world,
        round_model: RoundModel | None = None,
        views: Sequence[View] = (),
        followers: Mapping[str, Follows] | None = None,
        check_every: int = CHECK_EVERY,
    ) -> None:
        self.ledger = ledger
        first = next(iter(ledger.read(0, 1)), None)
        self.seed = seed if first is None else seed_of(first.payload)
        self.world = world(self.seed)
        self.calls = round_model or read_round()
        if first is None:
            _found(
                ledger, self.world, policy or policy_named("dure", swap=True), self.calls, self.seed
            )
        self.clock = PoolClock(CALL_S)
        self.book = KeptBook(ledger, encode=encode_events, decode=decode_events)
        self.demand = Demand()
        for view in (*views, self.demand):
            self.book.attach(view)
        self.programme = Programme(self.book, self.clock)
        self.hands = ImaginedHands()
        rights = self.world.own_rights()
        self.runtime = ScriptedPool(
            ledger,
            self.hands,
            reader=EventReader(self.demand, first_index=len(rights)),
            decode=self.demand.reading(decode_events),
            rights=rights,
        )
        self.meter = UseMeter(len(self.world.pool.node), from_s=self.world.epoch_s)
        self._followers: dict[str, Follows] = {"meter": self.meter, **(followers or {})}
        self.runtime.listeners += [one.listen for one in self._followers.values()]
        self.officer = Officer(
            self.programme,
            self.meter,
            lambda: self.runtime.state.accounts,
            seed=self.seed,
            from_s=self.world.epoch_s,
        )
        self.loop = Endless(
            self.runtime,
            self,
            first_day_s=self.world.epoch_s,
            check_every=check_every,
        )
        self.drawn: Callable[[pl.DataFrame], None] = lambda jobs: None
        self._open()

    @property
    def published(self) -> dict[str, dict[str, Any]]:
        """By call, figures of reality to set beside the result; the last call has them."""
        return {self.calls.calls[-1].terms.call: dict(self.calls.published)}

    @property
    def names(self) -> dict[str, Name]:
        """Providers and clusters as people call them."""
        return read_names(NATIONAL_POOL)

    @property
    def now_s(self) -> int:
        """How far the simulation has come."""
        return self.clock.now_s()

    def run_to(self, until_s: int, tell: Tell | None = None) -> None:
        """Run everything up to and including a moment; people's writes wait meanwhile."""
        with self.book.lock:
            self.loop.run_to(until_s, tell)
            self.clock.move_to(until_s)

    def follow(self) -> int:
        """Have the clock stand where the pool stands, however it got there; return the moment."""
        self.clock.move_to(self.runtime.state.now_s)
        return self.runtime.state.now_s

    def stand_at_head(self) -> int:
        """Do as ``follow``, with the imagined machines too, to go on from there."""
        self._resume()
        return self.follow()

    def keep(self) -> None:
        """Write down where everything stands, so that the next start is quick."""
        if not self.runtime.is_settled():
            return
        seq = self.runtime.seen
        kept = {name: one.keep() for name, one in self._followers.items()}
        self.ledger.put_projection(*FOLLOWERS, seq, msgspec.msgpack.encode(kept))
        self.ledger.put_projection(*STATE, seq, pack_state(self.runtime.state))
        self.ledger.put_projection(*BOOK, *self.book.keep())
        self._kept_seq = seq

    # --- what the loop asks at each midnight ---------------------------------------------------
    def open_day(self, day_from_s: int) -> Sequence[Account]:
        self.clock.move_to(day_from_s)
        self.meter.close_months(day_from_s)
        self.officer.open_day(day_from_s)
        if self.runtime.seen - self._kept_seq >= KEEP_EVERY:
            self.keep()
        return self.world.owners(self.programme.tables, day_from_s)

    def jobs(self, day_from_s: int, state: State) -> Jobs:
        table = self.world.jobs_of_day(self.programme.tables, day_from_s)
        self.drawn(table)
        return self.world.columns(table, state)

    def faults(self, day_from_s: int, to_s: int) -> IntArray:
        return self.world.fault_facts(day_from_s, to_s)

    def cancellations(self, state: State, now_s: int) -> IntArray:
        return given_up(state, now_s)

    # --- opening --------------------------------------------------------------------------------
    def _open(self) -> None:
        """Take up the ledger from what was kept; from its first record if that does not fit."""
        self._kept_seq = 0
        kept = self.ledger.get_projection(*BOOK)
        if kept is not None:
            self.book.begin_from(*kept)
        self.book.catch_up()
        self.runtime.from_kept = self._begin_from_kept
        self.runtime.was_refolded = self._resume
        self.runtime.refold()
        self.clock.move_to(self.runtime.state.now_s)

    def _begin_from_kept(self) -> bool:
        state, kept = self.ledger.get_projection(*STATE), self.ledger.get_projection(*FOLLOWERS)
        if state is None or kept is None or state[0] != kept[0]:
            return False
        first = next(iter(self.ledger.read(0, 1)))
        try:
            memories = msgspec.msgpack.decode(kept[1], type=dict[str, bytes])
            if memories.keys() != self._followers.keys():
                return False
            at = unpack_state(state[1], *unpack_pool(first.payload))
            for name, one in self._followers.items():
                one.begin_from(at, memories[name])
        except (DureError, msgspec.MsgspecError):
            # What was kept only saves time: the records themselves are folded instead.
            return False
        self._kept_seq = state[0]
        self.runtime.begin_from(at, state[0])
        return True

    def _resume(self) -> None:
        """Have the machines and the script stand where the state stands."""
        self.hands = ImaginedHands()
        self.hands.resume(self.runtime.state)
        self.runtime.hands = self.hands
        self.loop.forget_place()


def read_names(path: Path) -> dict[str, Name]:
    """Return the names of the providers and clusters of a pool in YAML that have one."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    named = [one for provider in tree["providers"] for one in (provider, *provider["clusters"])]
    return {one["id"]: Name(**one["name"]) for one in named if "name" in one}


def _found(ledger: Ledger, world: World, policy: Policy, model: RoundModel, seed: int) -> None:
    """Write the pool and the whole round in one append: a founding is whole, or it was not."""
    scratch, clock = MemoryLedger(), PoolClock(CALL_S)
    programme = Programme(Book(scratch, encode=encode_events, decode=decode_events), clock)
    hold_round(programme, clock.move_to, seed=seed, model=model)
    first = Entry(KIND_POOL, CALL_S, pack_pool(world.pool, policy, seed=seed))
    entries = [Entry(one.kind, one.at_s, one.payload) for one in scratch.read()]
    ledger.append([first, *entries], expect=0)
