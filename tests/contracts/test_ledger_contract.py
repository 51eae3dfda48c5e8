"""What every ledger promises, whatever keeps it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.errors import ConflictError, LedgerError
from dure.core.ledger_record import KIND_CYCLE, KIND_EVENTS, Entry, Record
from dure.ledger.memory import MemoryLedger
from dure.ledger.sqlite import SqliteLedger
from dure.services.ports import Ledger
from tests.postgres import postgres_ledger, programs

LASTING: dict[str, Callable[[Path], Ledger]] = {
    "sqlite": SqliteLedger,
    "sqlite-not-durable": lambda path: SqliteLedger(path, durable=False),
    "sqlite-grouped": lambda path: SqliteLedger(path, durable=False, group=7),
    "postgres": postgres_ledger,
}
EVERY: dict[str, Callable[[Path], Ledger]] = {"memory": lambda path: MemoryLedger(), **LASTING}


def entry(number: int, payload: bytes = b"\x01[]") -> Entry:
    return Entry(KIND_EVENTS, 1_000 + number, payload)


def asked(ledgers: dict[str, Callable[[Path], Ledger]]) -> list[Any]:
    """Return the ledgers as parameters of a fixture; one that cannot be had here is skipped."""
    missing = pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")
    return [
        pytest.param(make, id=name, marks=[missing] if name == "postgres" else [])
        for name, make in ledgers.items()
    ]


@pytest.fixture(params=asked(EVERY))
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with closing(request.param(tmp_path / "ledger.db")) as opened:
        yield opened


@pytest.fixture(params=asked(LASTING))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    return lambda: request.param(tmp_path / "ledger.db")


def fill(ledger: Ledger, records: int) -> list[Record]:
    for number in range(records):
        ledger.append([entry(number)], expect=number)
    return list(ledger.read())


def test_a_new_ledger_is_empty(ledger: Ledger) -> None:
    assert ledger.head() == (0, bytes(32))
    assert list(ledger.read()) == []


def test_records_form_the_documented_chain(ledger: Ledger) -> None:
    entries = [Entry(KIND_CYCLE, 5, b"\x01one"), Entry(KIND_EVENTS, -6, b"\x01two")]

    ledger.append(entries, expect=0)

    # Worked out from the formula of docs/ledger.md, byte by byte.
    first = bytes(32) + bytes([1, *[0] * 7]) + b"\x01" + bytes([5, *[0] * 7]) + b"\x01one"
    first_hash = sha256(first).digest()
    second = bytes([2, *[0] * 7]) + b"\x02" + bytes([0xFA, *[0xFF] * 7]) + b"\x01two"
    second_hash = sha256(first_hash + second).digest()
    assert list(ledger.read()) == [
        Record(1, KIND_CYCLE, 5, b"\x01one", first_hash),
        Record(2, KIND_EVENTS, -6, b"\x01two", second_hash),
    ]
    assert ledger.head() == (2, second_hash)


def test_append_returns_the_new_head(ledger: Ledger) -> None:
    assert ledger.append([entry(0), entry(1)], expect=0) == 2
    assert ledger.append([], expect=2) == 2
    assert ledger.append([entry(2)], expect=2) == 3


@pytest.mark.parametrize("expect", [0, 4, 6, -1])
def test_a_writer_that_missed_something_is_refused(ledger: Ledger, expect: int) -> None:
    before = fill(ledger, 5)

    with pytest.raises(ConflictError) as refused:
        ledger.append([entry(9)], expect=expect)

    assert (refused.value.found, refused.value.expected) == (5, expect)
    assert list(ledger.read()) == before


@pytest.mark.parametrize(
    "bad",
    [Entry(256, 0, b""), Entry(-1, 0, b""), Entry(1, 2**63, b""), Entry(1, -(2**63) - 1, b"")],
)
def test_all_entries_are_written_or_none(ledger: Ledger, bad: Entry) -> None:
    before = fill(ledger, 3)

    with pytest.raises(LedgerError):
        ledger.append([entry(3), bad, entry(4)], expect=3)

    assert list(ledger.read()) == before
    assert ledger.append([entry(3)], expect=3) == 4


@pytest.mark.parametrize(
    ("after", "upto", "expected"),
    [
        (0, None, range(1, 21)),
        (0, 20, range(1, 21)),
        (5, 9, range(6, 10)),
        (13, 15, range(14, 16)),
        (19, None, range(20, 21)),
        (20, None, range(0)),
        (25, None, range(0)),
        (7, 7, range(0)),
        (9, 3, range(0)),
        (18, 99, range(19, 21)),
        (-5, 2, range(1, 3)),
        (0, 0, range(0)),
    ],
)
def test_a_window_holds_the_records_after_one_and_up_to_another(
    ledger: Ledger, after: int, upto: int | None, expected: range
) -> None:
    fill(ledger, 20)

    assert [record.seq for record in ledger.read(after, upto)] == list(expected)


def test_a_reader_sees_the_ledger_as_it_was_when_it_asked(ledger: Ledger) -> None:
    fill(ledger, 10)

    reading = ledger.read()
    ledger.append([entry(10)], expect=10)

    assert [record.seq for record in reading] == list(range(1, 11))


def test_what_was_appended_is_read_at_once(ledger: Ledger) -> None:
    for number in range(30):
        ledger.append([entry(number)], expect=number)

        assert [record.at_s for record in ledger.read(number)] == [1_000 + number]


PAYLOADS = {
    "empty": b"",
    "one zero": b"\0",
    "every byte": bytes(range(256)) * 3,
    "compressible": b"\x01" + b"gang " * 100_000,
    "incompressible": b"".join(sha256(bytes([n])).digest() for n in range(100)),
    "large": b"".join(sha256(str(n).encode()).digest() for n in range(200_000)),
    "looks compressed": b"x\x9c" + bytes(600),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_comes_back_as_it_went_in(ledger: Ledger, payload: bytes) -> None:
    ledger.append([entry(0), entry(1, payload), entry(2)], expect=0)

    assert [record.payload for record in ledger.read()] == [b"\x01[]", payload, b"\x01[]"]


def test_long_reads_come_in_several_pages_without_a_seam(ledger: Ledger) -> None:
    ledger.append([entry(number) for number in range(2_500)], expect=0)

    assert [record.seq for record in ledger.read(1)] == list(range(2, 2_501))


def test_a_projection_comes_back_with_its_place(ledger: Ledger) -> None:
    fill(ledger, 3)
    ledger.put_projection("pool", 2, 3, b"\0state")
    ledger.put_projection("views", 1, 0, b"")

    assert ledger.get_projection("pool", 2) == (3, b"\0state")
    assert ledger.get_projection("views", 1) == (0, b"")


def test_only_the_latest_projection_of_a_name_is_kept(ledger: Ledger) -> None:
    fill(ledger, 3)
    ledger.put_projection("pool", 1, 1, b"a" * 9_000)
    ledger.put_projection("pool", 2, 3, b"b")

    assert ledger.get_projection("pool", 1) is None
    assert ledger.get_projection("pool", 2) == (3, b"b")
    assert ledger.get_projection("other", 2) is None


@pytest.mark.parametrize("seq", [4, -1])
def test_a_projection_of_a_record_that_is_not_there_is_refused(ledger: Ledger, seq: int) -> None:
    fill(ledger, 3)

    with pytest.raises(LedgerError):
        ledger.put_projection("pool", 1, seq, b"")

    assert ledger.append([entry(3)], expect=3) == 4


def test_projections_leave_the_chain_as_it_is(ledger: Ledger) -> None:
    before = fill(ledger, 3)
    ledger.put_projection("pool", 1, 2, b"state")

    assert list(ledger.read()) == before
    assert ledger.append([entry(3)], expect=3) == 4


def test_threads_that_write_at_once_lose_nothing_and_double_nothing(ledger: Ledger) -> None:
    def write(thread: int) -> None:
        for number in range(25):
            while True:
                seen = ledger.head()[0]
                try:
                    ledger.append([entry(number, b"%d/%d" % (thread, number))], expect=seen)
                except ConflictError:
                    continue
                break

    threads = [Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    written = [record.payload for record in ledger.read()]
    assert sorted(written) == sorted(b"%d/%d" % (t, n) for t in range(4) for n in range(25))


def test_a_thread_reads_while_another_writes(ledger: Ledger) -> None:
    seen: list[list[int]] = []

    def read() -> None:
        while not seen or len(seen[-1]) < 200:
            seen.append([record.seq for record in ledger.read()])

    reader = Thread(target=read)
    reader.start()
    fill(ledger, 200)
    reader.join()

    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in seen)


def test_what_was_written_is_there_after_reopening(reopen: Callable[[], Ledger]) -> None:
    with closing(reopen()) as ledger:
        written = fill(ledger, 10)
        ledger.put_projection("pool", 1, 10, b"state")
    with closing(reopen()) as ledger:
        assert list(ledger.read()) == written
        assert ledger.head() == (10, written[-1].hash)
        assert ledger.get_projection("pool", 1) == (10, b"state")
        assert ledger.append([entry(10)], expect=10) == 11
    with closing(reopen()) as ledger:
        assert ledger.head()[0] == 11


def test_closing_twice_is_harmless_and_writing_afterwards_is_refused(
    reopen: Callable[[], Ledger],
) -> None:
    ledger = reopen()
    ledger.close()
    ledger.close()

    with pytest.raises(LedgerError):
        ledger.append([entry(0)], expect=0)


payloads = st.binary(max_size=2_000)
entries = st.builds(Entry, st.integers(0, 255), st.integers(-(2**63), 2**63 - 1), payloads)
batches = st.lists(st.lists(entries, max_size=5), max_size=8)


@settings(max_examples=25)
@given(batches=batches)
def test_every_ledger_keeps_the_same_records(
    batches: list[list[Entry]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("same")
    with ExitStack() as stack:
        ledgers = [
            stack.enter_context(closing(make(place / f"{name}.db")))
            for name, make in EVERY.items()
            if name != "postgres" or programs() is not None
        ]
        for ledger in ledgers:
            head = 0
            for batch in batches:
                head = ledger.append(batch, expect=head)

        expected = list(ledgers[0].read())
        assert [list(ledger.read()) for ledger in ledgers] == [expected] * len(ledgers)
        assert {ledger.head() for ledger in ledgers} == {ledgers[0].head()}
