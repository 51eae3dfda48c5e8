"""The pool ``here``: this machine's GPUs or slots, run by the local backend in real time."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np

from dure.app.engine import Engine, RealTime
from dure.app.settings import HERE, Settings
from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.programme import AllocationChanged, AllocationGranted
from dure.core.genesis import unpack_pool
from dure.core.policy import Policy
from dure.core.pool import GPUS_PER_NODE_MAX, Pool
from dure.drivers.clock import SystemClock
from dure.drivers.local import LocalDriver
from dure.drivers.machine import SLOT, MachineNode, this_machine
from dure.drivers.storage import LocalFiles
from dure.drivers.workdirs import LocalWorkdirs
from dure.ledger.codec import decode_events, encode_events
from dure.services.asked import Demand
from dure.services.book import Book
from dure.services.keeping import Keeper
from dure.services.kept_book import KeptBook
from dure.services.local_hands import LocalHands
from dure.services.pool_desk import WorkingPool
from dure.services.pools import PoolRuntime
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.publishing import Publisher, Title
from dure.services.reading import EventReader
from dure.services.storage import Storage
from dure.services.views import Name
from dure.services.workdirs import Workdirs

log = logging.getLogger("dure.here")

# Allocations of this machine are not awarded by a call; they last until they are changed.
ALLOCATED_UNTIL_S = 1 << 40
# Few jobs share one machine, so a borrower need not rest for long.
BACKOFF_S, BACKOFF_S_MAX = 5, 300
BY_OPTION = "rule:up-allocate"
THIS_MACHINE = Name("이 컴퓨터", "This machine")


@dataclass(frozen=True, slots=True)
class MachinePool:
    """The pool ``here``, assembled: its engine is not started yet."""

    desk: WorkingPool
    engine: Engine
    book: Book
    publisher: Publisher
    machine: MachineNode
    programme: Programme
    demand: Demand
    keeper: Keeper
    storage: Storage
    workdirs: Workdirs


def assemble_here(settings: Settings, ledger: Ledger, clock: SystemClock) -> MachinePool:
    """Put the pool of this machine together: fold its ledger, take up the jobs that run.

    Raises:
        InputError: if the machine is not the one that the ledger was founded with, or more is
            allocated than there is.
    """
    root = settings.data / HERE
    demand = Demand()
    decode = demand.reading(decode_events)
    book = KeptBook(ledger, encode=encode_events, decode=decode)
    book.attach(demand)
    programme = Programme(book, clock)
    machine = _machine(settings, ledger)
    driver = LocalDriver(root, machine, now_s=clock.now_s)
    hands = LocalHands(driver, demand, _Evidence(root / "cleaned.jsonl"), pool=HERE)
    reader = EventReader(demand)
    runtime = PoolRuntime(ledger, hands, reader=reader, decode=decode)
    publisher = Publisher(Title(HERE, THIS_MACHINE, names={HERE: THIS_MACHINE}), demand)
    keeper = Keeper(runtime, book, {"hands": hands.standing, "views": publisher})
    if ledger.head()[0] == 0:
        policy = Policy(
            cleaning_s=settings.cleaning_s,
            start_s=1,
            backoff_s=BACKOFF_S,
            backoff_s_max=BACKOFF_S_MAX,
            swap=True,
            instant_stop=False,
        )
        runtime.found(pool_of_machine(machine), policy, at_s=clock.now_s())
    keeper.begin()
    allocate(settings.allocations, book, demand, clock, machine)
    hands.repeat(runtime.state)
    publisher.publish(runtime.state, clock.now_s())
    turns = RealTime(
        runtime,
        hands,
        reader,
        publisher,
        clock,
        book.lock,
        keeper,
        cycle_s=settings.cycle_s,
        poll_s=settings.poll_s,
    )
    engine = Engine(HERE, turns)
    desk = WorkingPool(publisher, book, demand, clock, driver, engine.wake)
    disk = LocalFiles(root, now_s=clock.now_s)
    storage = Storage(disk, book, clock, quota_bytes=settings.project_quota_bytes)
    workdirs = Workdirs(LocalWorkdirs(root, bytes_max=settings.workdir_bytes))
    return MachinePool(
        desk, engine, book, publisher, machine, programme, demand, keeper, storage, workdirs
    )


def pool_of_machine(machine: MachineNode) -> Pool:
    """Return one node with all devices of this machine; it may hold data of any grade."""
    return Pool(
        node=[machine.node],
        provider=[machine.provider],
        cluster=[machine.cluster],
        leaf=[machine.leaf],
        pod=[machine.pod],
        site=[machine.site],
        accelerator=[machine.accelerator],
        gpus=np.array([machine.gpus], dtype=np.int64),
        cpu_milli=np.array([machine.cpu_milli], dtype=np.int64),
        memory_mib=np.array([machine.memory_mib], dtype=np.int64),
        grade=["C"],
        use=["public"],
        in_service_at_s=np.zeros(1, dtype=np.int64),
    )


def _machine(settings: Settings, ledger: Ledger) -> MachineNode:
    """Count this machine, and hold the count against what the ledger was founded with."""
    if settings.slots is not None and settings.slots > GPUS_PER_NODE_MAX:
        raise InputError("--slots", found=str(settings.slots), expected=f"1 to {GPUS_PER_NODE_MAX}")
    first = next(ledger.read(0, 1), None)
    if first is None:
        machine = this_machine(slots=settings.slots)[0]
        return replace(machine, gpus=min(machine.gpus, GPUS_PER_NODE_MAX))
    pool, _ = unpack_pool(first.payload)
    kind, gpus = pool.accelerator[0], int(pool.gpus[0])
    # CPUs come and go with containers; slots that are only counted stay as they were counted.
    counted = gpus if kind == SLOT and settings.slots is None else settings.slots
    machine = this_machine(slots=counted)[0]
    if (machine.accelerator, min(machine.gpus, GPUS_PER_NODE_MAX)) != (kind, gpus):
        raise InputError(
            f"{settings.data / HERE}",
            found=f"a pool of {gpus} {kind}, but this machine has {machine.gpus} "
            f"{machine.accelerator}",
            expected="the same machine, or the same --slots, as at its first start",
            next_step="Choose another --data for another machine.",
        )
    return replace(machine, gpus=gpus)


def allocate(
    wanted: Mapping[str, int], book: Book, demand: Demand, clock: SystemClock, machine: MachineNode
) -> None:
    """Give projects a part of this machine; whoever is not named keeps what it has."""
    events: list[Event] = []
    held = {right.project: right for right in demand.rights.values()}
    total = sum(right.gpus for name, right in held.items() if name not in wanted)
    total += sum(wanted.values())
    if wanted and total > machine.gpus:
        raise InputError(
            "--allocate",
            found=f"{total} {machine.accelerator} allocated in all",
            expected=f"at most the {machine.gpus} of this machine",
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
                    accelerator=machine.accelerator,
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
                    accelerator=machine.accelerator,
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
