"""A founding pool that stops, is killed or conflicts goes on as if nothing had happened."""

from pathlib import Path

import pytest

from dure.app.ledgers import FileLedgers
from dure.core.calendar import moment_s
from dure.core.errors import DureError
from dure.core.events.programme import RecallNoticed
from dure.core.ledger_record import KIND_CYCLE, KIND_EVENTS, Entry
from dure.core.state import CycleRecord, State
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.twin.founding import begin_founding
from dure.twin.founding_pool import FOLLOWERS, STATE, Founding
from tests.twin.founding_play import after_days, first_records, played, quiet_world

DAYS = 4


@pytest.fixture(scope="module")
def straight() -> Founding:
    """Play without a stop."""
    return played(DAYS, seed=7)


def taken_up(ledger: MemoryLedger) -> Founding:
    return Founding(ledger, world=quiet_world)


def test_it_may_stop_at_any_moment(straight: Founding) -> None:
    founding = played(0, seed=7)

    for step in range(1, 40):
        founding.run_to(after_days(DAYS * step / 40))
    founding.run_to(after_days(DAYS))

    assert founding.ledger.head() == straight.ledger.head()


@pytest.mark.parametrize("days", [0, 0.37, 1, 2.9])
def test_it_goes_on_from_what_was_kept(days: float, straight: Founding) -> None:
    first = played(days, seed=7)
    first.keep()
    again = taken_up(first.ledger)  # type: ignore[arg-type]

    assert again.runtime.state.digest() == first.runtime.state.digest()
    assert again.seed == 7
    again.run_to(after_days(DAYS))

    assert again.ledger.head() == straight.ledger.head()
    assert again.meter.keep() == straight.meter.keep()


def cuts(ledger: MemoryLedger) -> list[int]:
    """Return records after which a process may die: the founding, a midnight, between, the last."""
    kinds = [record.kind for record in ledger.read()]
    first_cycle = kinds.index(KIND_CYCLE)
    return [first_cycle, first_cycle + 1, first_cycle + 2, len(kinds) // 2, len(kinds) - 1]


@pytest.mark.parametrize("which", range(5))
def test_a_killed_process_leaves_a_ledger_that_goes_on(which: int, straight: Founding) -> None:
    ledger = straight.ledger
    assert isinstance(ledger, MemoryLedger)

    again = taken_up(first_records(ledger, cuts(ledger)[which]))
    again.run_to(after_days(DAYS))

    assert again.ledger.head() == ledger.head()


def test_an_office_cut_off_in_the_middle_of_a_midnight_finishes_it() -> None:
    days = (moment_s("2026-05-09") - after_days(0)) / 86_400
    whole = played(days, seed=2)
    noticed = [
        record.seq
        for record in whole.ledger.read()
        if record.kind == KIND_EVENTS
        and any(isinstance(one, RecallNoticed) for one in decode_events(record.payload))
    ]
    assert len(noticed) > 10

    again = taken_up(first_records(whole.ledger, noticed[5]))
    again.run_to(after_days(days))

    assert again.ledger.head() == whole.ledger.head()


class Intruded(MemoryLedger):
    """Somebody else writes just before the n-th append of a cycle."""

    countdown = 0

    def append(self, entries: list[Entry], *, expect: int) -> int:  # type: ignore[override]
        if entries[0].kind == KIND_CYCLE and self.countdown > 0:
            self.countdown -= 1
            if self.countdown == 0:
                nothing = Entry(KIND_EVENTS, entries[0].at_s, encode_events([]))
                super().append([nothing], expect=self.head()[0])
        return super().append(entries, expect=expect)


@pytest.mark.parametrize("is_kept", [False, True])
def test_nothing_is_lost_when_a_cycle_loses_against_another_writer(
    is_kept: bool, straight: Founding
) -> None:
    ledger = Intruded()
    founding = played(1, seed=7, ledger=ledger)
    if is_kept:
        founding.keep()
    ledger.countdown = 100

    founding.run_to(after_days(DAYS))

    assert ledger.countdown == 0
    ours = [one.payload for one in ledger.read() if one.kind == KIND_CYCLE]
    assert ours == [one.payload for one in straight.ledger.read() if one.kind == KIND_CYCLE]


class Counting:
    """Follows a pool and counts its records."""

    def __init__(self) -> None:
        self.records = 0

    def listen(self, state: State, record: CycleRecord) -> None:
        self.records += 1

    def keep(self) -> bytes:
        return str(self.records).encode()

    def begin_from(self, state: State, kept: bytes) -> None:
        if not kept.isdigit():
            raise DureError("damaged")
        self.records = int(kept)


def test_followers_find_themselves_as_they_were_kept() -> None:
    one, other = Counting(), Counting()
    first = Founding(MemoryLedger(), seed=1, world=quiet_world, followers={"count": one})
    first.run_to(after_days(0.5))
    first.keep()
    first.run_to(after_days(1))

    Founding(first.ledger, world=quiet_world, followers={"count": other})

    assert other.records == one.records == first.loop.cycles


@pytest.mark.parametrize("damage", [b"x", b""])
def test_what_was_kept_and_is_damaged_is_folded_anew(damage: bytes) -> None:
    first = played(0.5, seed=1)
    first.keep()
    kept = first.ledger.get_projection(*FOLLOWERS)
    assert kept is not None
    first.ledger.put_projection(*STATE, kept[0], damage)

    again = taken_up(first.ledger)  # type: ignore[arg-type]

    assert again.runtime.state.digest() == first.runtime.state.digest()
    assert again.meter.keep() == first.meter.keep()


def test_a_platform_begins_with_it_and_takes_it_up(tmp_path: Path) -> None:
    to_s = after_days(0.2)
    founding = begin_founding(FileLedgers(tmp_path), seed=4, to_s=to_s)
    head = founding.ledger.head()
    founding.ledger.close()

    again = begin_founding(FileLedgers(tmp_path), seed=9, to_s=to_s)

    assert again.seed == 4
    assert again.ledger.head() == head
    assert again.names["kakao"].ko == "카카오"
    assert again.published["2026-1"]["selected"] == 159
    again.run_to(after_days(0.3))
    assert again.ledger.head()[0] > head[0]
    again.ledger.close()


def test_a_beginning_that_was_cut_off_is_played_to_its_end(tmp_path: Path) -> None:
    lying = FileLedgers(tmp_path / "cut")
    whole = begin_founding(FileLedgers(tmp_path / "whole"), seed=4, to_s=after_days(0.2))
    cut = lying.open("founding")
    part = first_records(whole.ledger, whole.ledger.head()[0] - 50)
    cut.append([Entry(one.kind, one.at_s, one.payload) for one in part.read()], expect=0)
    cut.close()

    again = begin_founding(lying, to_s=after_days(0.2))

    assert again.ledger.head() == whole.ledger.head()
    again.ledger.close()
    whole.ledger.close()
