"""The pool ``here``: what its backend has, in real time: this machine, Slurm, or distant sites."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from dure.app.backends import Backend, backend_of
from dure.app.care import Care, Cared, assemble_care
from dure.app.engine import Engine, RealTime, Turns
from dure.app.leading import Claim, Following, turns_of
from dure.app.settings import HERE, Settings
from dure.app.site_pool import AgentSites
from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.programme import AllocationChanged, AllocationGranted
from dure.core.genesis import unpack_pool
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.drivers.clock import SystemClock
from dure.drivers.ends import PrintedFiles
from dure.drivers.storage import LocalFiles
from dure.drivers.workdirs import LocalWorkdirs
from dure.ledger.codec import decode_events, encode_events
from dure.services.asked import Demand
from dure.services.book import Book
from dure.services.driver_hands import DriverHands
from dure.services.keeping import Keeper
from dure.services.kept_book import KeptBook
from dure.services.pool_desk import WorkingPool
from dure.services.pools import NoHands, PoolRuntime
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.publishing import Publisher, Title
from dure.services.reading import EventReader
from dure.services.standing import Standing
from dure.services.storage import Storage
from dure.services.workdirs import Workdirs

log = logging.getLogger("dure.here")

# Allocations of this machine are not awarded by a call; they last until they are changed.
ALLOCATED_UNTIL_S = 1 << 40
# Few jobs share one machine, so a borrower need not rest for long.
BACKOFF_S, BACKOFF_S_MAX = 5, 300
BY_OPTION = "rule:up-allocate"


@dataclass(frozen=True, slots=True)
class MachinePool:
    """The pool ``here``, assembled: its engine is not started yet.

    Attributes:
        troubles: counts the attempts that the backend cannot move on right now.
    """

    desk: WorkingPool
    engine: Engine
    book: Book
    publisher: Publisher
    backend: Backend
    programme: Programme
    demand: Demand
    keeper: Keeper
    care: Care
    troubles: Callable[[], int]
    storage: Storage
    workdirs: Workdirs


def assemble_here(
    settings: Settings,
    ledger: Ledger,
    clock: SystemClock,
    claim: Claim | None = None,
    *,
    agents: AgentSites | None = None,
) -> MachinePool:
    """Put the pool together: fold its ledger, take up the jobs that run.

    Args:
        agents: the sites with agents, where those are the backend.
        claim: to lead the pool, where several engines may; jobs are taken up once it holds.

    Raises:
        InputError: if the backend is not the one that the ledger was founded with, or more is
            allocated than there is.
        DriverError: if the backend cannot say what it has.
    """
    demand, root = Demand(), settings.data / HERE
    decode = demand.reading(decode_events)
    book = KeptBook(ledger, encode=encode_events, decode=decode)
    book.attach(demand)
    cared = Cared.attached_to(book)
    programme = Programme(book, clock)
    reader = EventReader(demand)
    runtime = PoolRuntime(ledger, NoHands(), reader=reader, decode=decode)
    leader = _folded(settings, runtime, reader, book, demand, clock, agents)
    backend, publisher = leader.backend, leader.publisher
    engine = Engine(HERE, leader.turns(claim))
    publisher.publish(runtime.state, clock.now_s())
    desk = WorkingPool(
        publisher,
        book,
        demand,
        clock,
        PrintedFiles(root),
        engine.wake,
        programme.supply.awaits_acceptance,
        backend.lines,
    )
    care = assemble_care(
        root,
        settings.meter,
        backend.meter,
        cared,
        book,
        publisher,
        clock,
        engine,
        may_decide=lambda: claim is None or claim.is_held(),
        sample_s=settings.sample_s,
    )
    return MachinePool(
        desk,
        engine,
        book,
        publisher,
        backend,
        programme,
        demand,
        leader.keeper,
        care,
        leader.troubles,
        *_files(settings, book, clock),
    )


def _folded(
    settings: Settings,
    runtime: PoolRuntime,
    reader: EventReader,
    book: KeptBook,
    demand: Demand,
    clock: SystemClock,
    agents: AgentSites | None,
) -> "_Leader":
    """Fold the pool's ledger, found a new one; return who may lead it."""
    pool = _founded_with(runtime.ledger)
    is_new, backend = pool is None, backend_of(settings, pool, clock.now_s, agents=agents)
    standing = Standing()
    publisher = Publisher(Title(HERE, backend.title, names={HERE: backend.title}), demand)
    keeper = Keeper(runtime, book, {"hands": standing, "views": publisher})
    if is_new:
        runtime.found(backend.pool, _policy(settings, backend), at_s=clock.now_s())
    keeper.begin()
    return _Leader(
        settings, backend, runtime, reader, publisher, clock, book, keeper, demand, standing, is_new
    )


@dataclass(slots=True)
class _Leader:
    """What makes this process the leader of the pool: it opens the backend and gives orders."""

    settings: Settings
    backend: Backend
    runtime: PoolRuntime
    reader: EventReader
    publisher: Publisher
    clock: SystemClock
    book: Book
    keeper: Keeper
    demand: Demand
    standing: Standing
    is_new: bool
    hands: DriverHands | None = None

    def turns(self, claim: Claim | None) -> Turns:
        """Lead where this process plans, as long as its claim holds; follow otherwise."""
        follow = Following(
            self.runtime,
            self.publisher,
            self.clock.now_s,
            self.book.lock,
            poll_s=self.settings.poll_s,
        )
        return turns_of(HERE, follow, self.lead if self.settings.plans else None, claim)

    def lead(self) -> RealTime:
        root = self.settings.data / HERE
        if not self.is_new and self.settings.db and self.backend.runs_here:
            _require_folder(root)
        self.hands = hands = DriverHands(
            self.backend.open(),
            self.demand,
            _Evidence(root / "cleaned.jsonl"),
            pool=HERE,
            standing=self.standing,
        )
        self.runtime.hands = hands
        allocate(self.settings.allocations, self.book, self.demand, self.clock, self.backend.pool)
        hands.repeat(self.runtime.state)
        return RealTime(
            self.runtime,
            hands,
            self.reader,
            self.publisher,
            self.clock,
            self.book.lock,
            self.keeper,
            cycle_s=self.settings.cycle_s,
            poll_s=self.settings.poll_s,
        )

    def troubles(self) -> int:
        """Count the attempts that the backend cannot move on right now."""
        return self.hands.troubles if self.hands else 0


def _founded_with(ledger: Ledger) -> Pool | None:
    """Return the pool of a ledger, None of a new one."""
    first = next(ledger.read(0, 1), None)
    return unpack_pool(first.payload)[0] if first else None


def _policy(settings: Settings, backend: Backend) -> Policy:
    return Policy(
        cleaning_s=settings.cleaning_s,
        start_s=backend.start_s,
        backoff_s=BACKOFF_S,
        backoff_s_max=BACKOFF_S_MAX,
        swap=True,
        instant_stop=False,
    )


def _files(settings: Settings, book: Book, clock: SystemClock) -> tuple[Storage, Workdirs]:
    """Return the files of projects and the folders sent with jobs, which lie beside the jobs."""
    root = settings.data / HERE
    disk = LocalFiles(root, now_s=clock.now_s)
    storage = Storage(disk, book, clock, quota_bytes=settings.project_quota_bytes)
    return storage, Workdirs(LocalWorkdirs(root, bytes_max=settings.workdir_bytes))


def _require_folder(root: Path) -> None:
    """Refuse to lead where the jobs of this pool do not lie: they run on another machine."""
    if not (root / "open").is_dir():
        raise InputError(
            str(root),
            found="no jobs of this pool, which has a past",
            expected="the data directory of the machine that runs them",
            next_step=f"If that machine is gone: mkdir -p {root / 'open'}; its jobs start anew.",
        )


def allocate(
    wanted: Mapping[str, int], book: Book, demand: Demand, clock: SystemClock, pool: Pool
) -> None:
    """Give projects a part of this pool; whoever is not named keeps what it has."""
    if wanted and len(pool.types) > 1:
        raise InputError(
            "--allocate",
            found=f"a pool of several accelerators ({', '.join(pool.types)})",
            expected="a pool of one",
            next_step="Give rights by a call, where each has its accelerator.",
        )
    accelerator, gpus_most = pool.types[0], int(pool.gpus.sum())
    events: list[Event] = []
    held = {right.project: right for right in demand.rights.values()}
    total = sum(right.gpus for name, right in held.items() if name not in wanted)
    total += sum(wanted.values())
    if wanted and total > gpus_most:
        raise InputError(
            "--allocate",
            found=f"{total} {accelerator} allocated in all",
            expected=f"at most the {gpus_most} of this pool",
        )
    now_s = clock.now_s()
    for project, gpus in sorted(wanted.items()):
        right = held.get(project)
        if right is None:
            events.append(
                AllocationGranted(
                    allocation=f"{HERE}-{project}",
                    call="",
                    application="",
                    project=project,
                    accelerator=accelerator,
                    gpus=gpus,
                    from_s=now_s,
                    to_s=ALLOCATED_UNTIL_S,
                    at_s=now_s,
                    by=BY_OPTION,
                )
            )
        elif right.gpus != gpus:
            events.append(
                AllocationChanged(
                    allocation=right.allocation,
                    call="",
                    project=project,
                    accelerator=accelerator,
                    gpus_before=right.gpus,
                    gpus=gpus,
                    cause="operator",
                    at_s=now_s,
                    by=BY_OPTION,
                )
            )
    book.append(events)


class _Evidence:
    """A line of JSON for each cleaning, beside the pool's ledger."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()

    def __call__(self, found: Mapping[str, object]) -> None:
        line = json.dumps(found, ensure_ascii=False)
        log.debug("cleaned %s", line)
        try:
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as wrong:
            log.error("%s: %s; the evidence was: %s", self._path, wrong, line)
