"""Threads that come at the same time share one wait; each gets its own answer."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event as Signal
from threading import Thread

import pytest

from dure.core.errors import ConflictError, InputError, LedgerError
from dure.core.events import Event
from dure.core.events.work import JobCancelRequested
from dure.core.ledger_record import Entry
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.ledger.sqlite import SqliteLedger
from dure.services.book import Book
from dure.services.together import Together


class SlowDisk:
    """Does groups once it may; remembers them."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun, self.may_go_on = Signal(), Signal()

    def __call__(self, group: Sequence[int]) -> None:
        self.groups.append(list(group))
        self.begun.set()
        self.may_go_on.wait()
        if 13 in group:
            raise LedgerError("the disk is full")


def in_line(line: Together[int], wishes: Sequence[int], disk: SlowDisk) -> list[Exception | None]:
    """Have a thread for each wish, the first alone at work before the others come."""
    found: list[Exception | None] = [None] * len(wishes)

    def do(place: int) -> None:
        try:
            line.do(wishes[place])
        except LedgerError as wrong:
            found[place] = wrong

    threads = [Thread(target=do, args=(place,)) for place in range(len(wishes))]
    threads[0].start()
    disk.begun.wait()
    for thread in threads[1:]:
        thread.start()
    while len(line._line) < len(wishes) - 1:
        pass
    disk.may_go_on.set()
    for thread in threads:
        thread.join()
    return found


def test_who_comes_during_one_group_rides_in_the_next() -> None:
    disk = SlowDisk()
    found = in_line(Together(disk), range(1, 9), disk)

    assert [sorted(group) for group in disk.groups] == [[1], [2, 3, 4, 5, 6, 7, 8]]
    assert found == [None] * 8


def test_a_group_has_a_limit_and_the_rest_is_not_forgotten() -> None:
    disk = SlowDisk()
    in_line(Together(disk, group_max=3), range(1, 9), disk)

    assert [len(group) for group in disk.groups] == [1, 3, 3, 1]
    assert sorted(one for group in disk.groups for one in group) == list(range(1, 9))


def test_what_a_group_suffers_each_of_it_is_told_and_nobody_else() -> None:
    disk = SlowDisk()
    found = in_line(Together(disk, group_max=4), [1, 13, 13, 13, 13], disk)

    assert [type(one) for one in found] == [type(None), *[LedgerError] * 4]
    disk.groups.clear()
    Together(disk).do(2)
    assert disk.groups == [[2]]


class Seen:
    """A view that counts."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def fold(self, event: Event) -> None:
        assert isinstance(event, JobCancelRequested)
        self.jobs.append(event.job)


def a_book(ledger: MemoryLedger | SqliteLedger) -> tuple[Book, Seen]:
    book, seen = Book(ledger, encode=encode_events, decode=decode_events), Seen()
    book.attach(seen)
    return book, seen


def asked(job: str) -> JobCancelRequested:
    return JobCancelRequested(at_s=1, by="kim", job=job)


def test_decisions_of_one_group_know_of_each_other() -> None:
    book, seen = a_book(MemoryLedger())

    def number(before: Sequence[Event]) -> tuple[list[Event], int]:
        place = len(seen.jobs) + len(before) + 1
        return [asked(f"here-{place}")], place

    answers: list[int] = []
    threads = [Thread(target=lambda: answers.append(book.decide(number))) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == list(range(1, 61))
    assert seen.jobs == [f"here-{place}" for place in range(1, 61)]
    assert book.catch_up() == book.ledger.head()[0] == 60


def test_a_decision_that_raises_is_its_callers_alone() -> None:
    book, seen = a_book(MemoryLedger())

    def wrong(before: Sequence[Event]) -> tuple[list[Event], None]:
        raise InputError("job", found="none", expected="one")

    with pytest.raises(InputError):
        book.decide(wrong)
    book.decide(lambda _: ([asked("a")], None))

    assert seen.jobs == ["a"]


def test_a_decision_is_taken_anew_if_another_writer_was_first() -> None:
    ledger = MemoryLedger()
    book, seen = a_book(ledger)
    looks: list[int] = []

    def decide(before: Sequence[Event]) -> tuple[list[Event], int]:
        if not looks:
            stranger = Entry(2, 1, encode_events([asked("stranger")]))
            ledger.append([stranger], expect=0)
        looks.append(len(seen.jobs))
        return [asked(f"mine-{len(seen.jobs)}")], len(seen.jobs)

    assert book.decide(decide) == 1
    assert looks == [0, 1]
    assert seen.jobs == ["stranger", "mine-1"]


def test_others_that_never_stop_writing_are_given_up_on() -> None:
    ledger = MemoryLedger()
    book, seen = a_book(ledger)

    def decide(before: Sequence[Event]) -> tuple[list[Event], None]:
        stranger = Entry(2, 1, encode_events([asked("stranger")]))
        ledger.append([stranger], expect=ledger.head()[0])
        return [asked("mine")], None

    with pytest.raises(ConflictError):
        book.decide(decide)

    assert set(seen.jobs) == {"stranger"}


def test_a_full_disk_refuses_the_group_and_leaves_no_trace_in_the_views(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        book, seen = a_book(ledger)
        book.decide(lambda _: ([asked("first")], None))
        assert ledger._writer is not None
        ledger._writer.pragma("max_page_count", ledger._writer.pragma("page_count"))
        many = [asked(f"{n:0100}-{n * 7919:0100}") for n in range(500)]

        with pytest.raises(LedgerError, match="the disk is full"):
            book.decide(lambda _: (many, None))
        assert seen.jobs == ["first"]

        ledger._writer.pragma("max_page_count", 10**6)
        book.decide(lambda _: ([asked("later")], None))
        assert seen.jobs == ["first", "later"]
