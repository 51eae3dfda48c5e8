"""Every concrete class put together, once, in the order in which they start."""

import logging
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dure
from dure.app.data_lock import DataLock
from dure.app.engine import Engine
from dure.app.imagined_pool import Begin, assemble_founding
from dure.app.leading import Claim, await_begun
from dure.app.ledgers import DatabaseLedgers, Ledgers, ledgers_of
from dure.app.machine_pool import MachinePool, assemble_here
from dure.app.office_turns import office_engines
from dure.app.settings import AGENTS, ATTACHMENTS, FOUNDING, HERE, Settings
from dure.app.site_pool import AgentSites, Awaiting, site_secret
from dure.core.errors import DureError, LedgerError
from dure.drivers.attachments import FolderFiles
from dure.drivers.clock import SystemClock
from dure.ledger.codec import decode_events, encode_events
from dure.services.admissions import Admissions
from dure.services.book import Book
from dure.services.desks import (
    JudgingDesk,
    OfficeDesk,
    PaperDesk,
    PoolDesk,
    ProgrammeDesk,
    Services,
)
from dure.services.engine_figures import EngineFigures
from dure.services.enrolments import Enrolments
from dure.services.holding_desk import HoldingDesk
from dure.services.interactive import Address, Interactive
from dure.services.judging_screen import JudgingScreen
from dure.services.notice_desk import NoticeDesk
from dure.services.offer_desk import OfferDesk
from dure.services.office_screen import OfficeScreen
from dure.services.paper_screen import PaperScreen
from dure.services.people import People
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.programme_screen import ProgrammeScreen
from dure.services.sites import NoSites
from dure.services.supply_screen import SupplyScreen
from dure.services.use_source import PoolUse

if TYPE_CHECKING:
    from dure.ledger.lease import Lease

log = logging.getLogger("dure.app")

PEOPLE = "people"
# Another process may add an account or change a password (``dure passwd``).
PEOPLE_POLL_S = 1.0


@dataclass
class Platform:
    """A platform, assembled; ``start`` lets its engines run, ``close`` ends everything in order.

    Attributes:
        keepers: write down where pools stand, so that the next start is quick.
        leases: to lead pools, where several engines may.
        lock: on the data directory, where the ledgers are files in it.
        has_people: somebody has an account already.
    """

    services: Services
    here: MachinePool
    engines: list[Engine]
    ledgers: list[Ledger]
    keepers: list[Callable[[], None]]
    leases: "list[Lease]"
    lock: DataLock | None

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
        for lease in self.leases:
            lease.close()
        if self.lock is not None:
            self.lock.release()


def assemble(
    settings: Settings, *, begin: Begin | None = None, await_sites: Awaiting | None = None
) -> Platform:
    """Put a platform together from its settings.

    Args:
        begin: plays the founding scenario, which only the twin can; needed where it is set.
        await_sites: lets the agents of sites in until each has said what its site has; needed
            where a pool of such sites is new.

    Raises:
        InputError, LedgerError, DriverError: what hinders a start, in words for a person.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In a database leases keep engines apart; a file has one process.
    lock = None if settings.db else DataLock(settings.data)
    lying = ledgers_of(settings.data, settings.db)
    ledgers: list[Ledger] = []
    leases: dict[str, Lease] = {}
    try:
        if settings.plans and isinstance(lying, DatabaseLedgers):
            names = (FOUNDING, HERE) if settings.scenario == FOUNDING else (HERE,)
            leases = {name: lying.lease(name) for name in names}
            for lease in leases.values():
                lease.keep_renewed()
        return _assemble(settings, begin, await_sites, lying, ledgers, leases, lock)
    except BaseException:
        close_all(ledgers)
        for lease in leases.values():
            lease.close()
        if lock is not None:
            lock.release()
        raise


def _assemble(
    settings: Settings,
    begin: Begin | None,
    await_sites: Awaiting | None,
    lying: Ledgers,
    ledgers: list[Ledger],
    leases: "dict[str, Lease]",
    lock: DataLock | None,
) -> Platform:
    """Put the pools together over their ledgers; those opened are listed in ``ledgers``."""
    people, enrolments, people_book, admissions = open_people(settings.data, lying, ledgers)

    def keep_if_leading(name: str, keep: Callable[[], None]) -> None:
        if settings.plans and _leads(leases.get(name))():
            keep()

    clock = SystemClock()
    if settings.db:
        _await_pool(HERE, lying, lambda found: found.head()[0] > 0, leases)
    ledgers.append(lying.open(HERE, lease=leases.get(HERE)))
    agents = _agents(settings, enrolments, leases.get(HERE))
    if agents and await_sites and ledgers[-1].head()[0] == 0:
        await_sites(agents.desk)
    here = assemble_here(settings, ledgers[-1], clock, leases.get(HERE), agents=agents)
    keepers = [lambda: keep_if_leading(HERE, here.keeper.keep), here.care.metering.close]
    engines = [here.engine, Engine(PEOPLE, _Follow(people_book))]
    figures = {HERE: partial(_figures, here.engine, ledgers[-1], here.troubles)}
    pools: dict[str, PoolDesk] = {}
    programme: ProgrammeDesk = ProgrammeScreen(here.programme, use=PoolUse(here.publisher))
    used, view = here.programme, here.desk.view
    if settings.scenario == FOUNDING:
        assert begin is not None, "the founding scenario is brought by the twin"
        if settings.db:
            _await_pool(FOUNDING, lying, begin.is_begun, leases)
        founding = assemble_founding(settings, begin, lying, leases.get(FOUNDING))
        ledgers.append(founding.scenario.ledger)
        keepers.append(lambda: keep_if_leading(FOUNDING, founding.scenario.keep))
        engines.append(founding.engine)
        figures[FOUNDING] = partial(_figures, founding.engine, ledgers[-1], lambda: 0)
        pools[FOUNDING], programme = founding.desk, founding.programme
        used, view = founding.scenario.programme, founding.desk.view
    pools[HERE] = here.desk
    people.led_by = used.led_by
    if settings.plans:
        leads = (_leads(leases.get(HERE)), _leads(leases.get(next(iter(pools)))))
        engines += here.care.engine, *office_engines(settings, here.programme, used, people, leads)
    services = Services(
        pools,
        programme,
        *_desks(used, FolderFiles(settings.data / ATTACHMENTS)),
        SupplyScreen(used, view),
        people,
        here.storage,
        here.workdirs,
        Interactive(pools, people, admissions, _address(settings)),
        dure.__version__,
        {HERE: here.care.desk},
        figures,
        agents.desk if agents else NoSites(),
    )
    return Platform(services, here, engines, ledgers, keepers, list(leases.values()), lock)


def _await_pool(
    name: str, lying: Ledgers, is_begun: Callable[[Ledger], bool], leases: "dict[str, Lease]"
) -> None:
    """Wait until a pool in a database is there to be followed, or is ours to begin."""
    with closing(lying.open(name)) as ledger:
        await_begun(name, lambda: is_begun(ledger), leases.get(name))


def _agents(settings: Settings, enrolments: Enrolments, claim: Claim | None) -> AgentSites | None:
    """Return the sites with agents, None where the backend is another."""
    return AgentSites(settings, enrolments, claim) if settings.backend == AGENTS else None


def open_people(
    data: Path, lying: Ledgers, ledgers: list[Ledger]
) -> tuple[People, Enrolments, Book, Admissions]:
    """Open the ledger of accounts and sites; it has its own, so that no sign-in waits for a pool.

    Args:
        data: where the secret lies from which the keys of sites are made.
    """
    ledger = lying.open(PEOPLE)
    ledgers.append(ledger)
    book = Book(ledger, encode=encode_events, decode=decode_events)
    people = People(book, SystemClock(), secrets.token_bytes)
    enrolments = Enrolments(book, SystemClock(), lambda: site_secret(data))
    admissions = Admissions(book, SystemClock(), secrets.token_bytes)
    book.catch_up()
    return people, enrolments, book, admissions


def _desks(
    programme: Programme, files: FolderFiles
) -> tuple[OfficeDesk, PaperDesk, JudgingDesk, OfferDesk, NoticeDesk, HoldingDesk]:
    return (
        OfficeScreen(programme),
        PaperScreen(programme, files),
        JudgingScreen(programme),
        OfferDesk(programme),
        NoticeDesk(programme),
        HoldingDesk(programme),
    )


def _address(settings: Settings) -> Address | None:
    return Address(settings.sessions_url) if settings.sessions_url else None


def _leads(lease: "Lease | None") -> Callable[[], bool]:
    return lambda: lease is None or lease.is_held()


def _figures(engine: Engine, ledger: Ledger, troubles: Callable[[], int]) -> EngineFigures:
    pulse = engine.pulse
    return EngineFigures(
        pulse.turns,
        pulse.failures,
        pulse.turn_s_sum,
        pulse.turn_s_max,
        ledger.head()[0],
        troubles(),
    )


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
