"""Every concrete class put together, once, in the order in which they start."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dure
from dure.app.data_lock import DataLock
from dure.app.engine import Engine
from dure.app.imagined_pool import Begin, assemble_founding
from dure.app.machine_pool import MachinePool, assemble_here
from dure.app.settings import FOUNDING, HERE, Settings
from dure.core.errors import DureError, LedgerError
from dure.drivers.clock import SystemClock
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.sqlite import SqliteLedger
from dure.services.book import Book
from dure.services.desks import PoolDesk, ProgrammeDesk, Services
from dure.services.judging_screen import JudgingScreen
from dure.services.people import People
from dure.services.ports import Ledger
from dure.services.programme_screen import ProgrammeScreen
from dure.services.use_source import PoolUse

log = logging.getLogger("dure.app")

PEOPLE = "people"
LEDGER = "ledger.db"
# Another process may add an account or change a password (``dure passwd``).
PEOPLE_POLL_S = 1.0


@dataclass
class Platform:
    """A platform, assembled; ``start`` lets its engines run, ``close`` ends everything in order.

    Attributes:
        keepers: write down where pools stand, so that the next start is quick.
        has_people: somebody has an account already.
    """

    services: Services
    here: MachinePool
    engines: list[Engine]
    ledgers: list[Ledger]
    keepers: list[Callable[[], None]]
    lock: DataLock

    @property
    def has_people(self) -> bool:
        return bool(self.services.people.accounts())

    def start(self) -> None:
        """Let the engines run, each in its own thread."""
        for engine in self.engines:
            engine.start()

    def close(self) -> None:
        """Stop the engines, close the ledgers; jobs of this machine run on."""
        for engine in self.engines:
            engine.stop()
        for keep in self.keepers:
            try:
                keep()
            except DureError as wrong:
                log.warning("the next start will take longer: %s", wrong)
        close_all(self.ledgers)
        self.lock.release()


def assemble(settings: Settings, *, begin: Begin | None = None) -> Platform:
    """Put a platform together from its settings.

    Args:
        begin: plays the founding scenario, which only the twin can; needed where it is set.

    Raises:
        InputError, LedgerError, DriverError: what hinders a start, in words for a person.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataLock(settings.data)
    ledgers: list[Ledger] = []
    try:
        clock = SystemClock()
        people, people_book = open_people(settings.data, ledgers)
        here = assemble_here(settings, open_ledger(settings.data / HERE, ledgers), clock)
        keepers: list[Callable[[], None]] = [here.keeper.keep]
        engines = [here.engine, Engine(PEOPLE, _Follow(people_book))]
        pools: dict[str, PoolDesk] = {}
        programme: ProgrammeDesk = ProgrammeScreen(here.programme, use=PoolUse(here.publisher))
        judging = JudgingScreen(here.programme)
        if settings.scenario == FOUNDING:
            assert begin is not None, "the founding scenario is brought by the twin"
            founding = assemble_founding(settings, begin, poll_s=settings.poll_s)
            ledgers.append(founding.scenario.ledger)
            keepers.append(founding.scenario.keep)
            engines.append(founding.engine)
            pools[FOUNDING], programme = founding.desk, founding.programme
            judging = JudgingScreen(founding.scenario.programme)
        pools[HERE] = here.desk
        services = Services(pools, programme, judging, people, dure.__version__)
        return Platform(services, here, engines, ledgers, keepers, lock)
    except BaseException:
        close_all(ledgers)
        lock.release()
        raise


def open_ledger(folder: Path, ledgers: list[Ledger]) -> Ledger:
    """Open the ledger of a folder for life, or make it; list it among those to be closed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ledger = SqliteLedger(folder / LEDGER)
    ledgers.append(ledger)
    return ledger


def open_people(data: Path, ledgers: list[Ledger]) -> tuple[People, Book]:
    """Open the ledger of accounts; it has its own, so that no sign-in waits for a pool."""
    book = Book(open_ledger(data / PEOPLE, ledgers), encode=encode_events, decode=decode_events)
    people = People(book, SystemClock(), secrets.token_bytes)
    book.catch_up()
    return people, book


class _Follow:
    """Turns that read what other processes wrote to a book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def turn(self) -> float:
        self._book.catch_up()
        return PEOPLE_POLL_S

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: the next turn reads on from where this one stopped."""


def close_all(ledgers: list[Ledger]) -> None:
    """Close ledgers; one that cannot be closed does not hinder the others."""
    for ledger in ledgers:
        try:
            ledger.close()
        except LedgerError as wrong:
            log.error("%s", wrong)
