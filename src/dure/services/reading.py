"""Named events become what the engine observes: new owners, new jobs, facts; deterministic.

The owner of a job (DESIGN section 8): its project, if that has ever had an allocation here; else
the provider that it draws on; else the whole pool, unless others hold allocations of it: then a
project without one borrows.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from dure.core import columns as col
from dure.core.cells import SeatRefusal, Seats, Shape, shape_named
from dure.core.columns import IntArray
from dure.core.events import Event
from dure.core.events.idle import IdleStopped
from dure.core.events.programme import AllocationChanged, AllocationEnded, AllocationGranted
from dure.core.events.work import JobCancelRequested, JobRequested, NodeDrained, NodeResumed
from dure.core.plan import Observed, facts_of
from dure.core.state import ASKED, Account, Jobs, State
from dure.services.asked import Asked, Demand, Right
from dure.services.requests import JobRequest

FactRow = tuple[int, ...]
_CLASSES = {"": 0, "own": 1 + col.OWN, "loan": 1 + col.LOAN, "scavenge": 1 + col.SCAVENGE}
_LOCALITIES = {
    "any": col.LOCALITY_ANY,
    "preferred": col.LOCALITY_PREFERRED,
    "required": col.LOCALITY_REQUIRED,
}
_AS_THEY_ARE = (
    (col.J_GPUS, "gpus"),
    (col.J_MILLI, "gpu_milli"),
    (col.J_NODES, "nodes"),
    (col.J_GPN, "gpus_per_node"),
    (col.J_SEGMENT, "segment_gpus"),
    (col.J_MIN_GPUS, "min_gpus"),
    (col.J_ESTIMATE, "estimate_s"),
    (col.J_CKPT_EVERY, "checkpoint_every_s"),
    (col.J_CKPT_TAKES, "checkpoint_takes_s"),
    (col.J_DEADLINE, "deadline_at_s"),
)
_OF_RIGHTS = (AllocationGranted, AllocationChanged, AllocationEnded)


class EventReader:
    """Answers ``pools.Reader`` for a pool whose demand is folded from the same ledger.

    What it lists (owners, jobs) is numbered from the end of the state's lists, so no other part of
    the same cycle may list any: the inbox of such a pool brings facts alone.

    Args:
        demand: requests and rights; it must have seen the events before they come here.
        first_index: the place of the first allocation among the engine's (others may come before).
    """

    def __init__(self, demand: Demand, *, first_index: int = 0) -> None:
        self._demand, self._first_index = demand, first_index
        self._aside: set[str] = set()
        self._latest: list[str] = []

    def observed(self, state: State, events: Sequence[Event], now_s: int) -> Observed:
        """Return what these events mean to the engine, in their order."""
        batch = _Batch(state, self._demand, now_s)
        rights = [one for one in events if isinstance(one, _OF_RIGHTS)]
        batch.add_rights([one.allocation for one in rights], first_index=self._first_index)
        self._latest = [
            job
            for one in events
            if isinstance(one, JobRequested)
            for job in self._demand.jobs_of(one.job)
        ]
        opened = self._demand.held.opened(state)
        self._latest += [one.job for one in opened]
        for one in opened:
            batch.add_job(one.job, is_aside=one.job in self._aside, failed_by=one.after)
        for event in events:
            if isinstance(event, JobRequested):
                for job in self._demand.jobs_of(event.job):
                    if event.job not in self._demand.conditions:
                        batch.add_job(job, is_aside=job in self._aside)
            elif isinstance(event, JobCancelRequested):
                batch.add_cancel(event.job)
            elif isinstance(event, IdleStopped):
                batch.add_stop(event.job)
            elif isinstance(event, NodeDrained | NodeResumed):
                batch.add_closing(event)
        return batch.observed()

    def is_due(self, state: State) -> bool:
        """Tell whether a job that waited for others may go to the engine now."""
        return bool(self._demand.held.opened(state))

    def set_aside(self) -> Sequence[str]:
        """Have the jobs read last refused from now on: a plan with them kept failing."""
        self._aside.update(self._latest)
        return self._latest


class _Batch:
    """What one cycle observes of named events."""

    def __init__(self, state: State, demand: Demand, now_s: int) -> None:
        self._state, self._demand, self._now_s = state, demand, now_s
        self._accounts: list[Account] = []
        self._names: list[str] = []
        self._columns: list[IntArray] = []
        self._facts: list[FactRow] = []
        self._index = dict(state.account_index)
        self._jobs: dict[str, int] = {}

    def observed(self) -> Observed:
        columns = np.stack(self._columns, axis=1) if self._columns else np.zeros((ASKED, 0))
        jobs = Jobs(self._names, columns.astype(np.int64))
        return Observed(self._accounts, jobs, facts_of(self._facts))

    def add_rights(self, allocations: Iterable[str], *, first_index: int) -> None:
        touched = set(allocations)
        known = (r for r in self._demand.rights.values() if r.accelerator in self._state.pool.types)
        for place, right in enumerate(known, start=first_index):
            if right.allocation in touched:
                self._add_right(right, place)

    def _add_right(self, right: Right, place: int) -> None:
        account = self._account(col.ACCOUNT_PROJECT, right.project)
        kind = self._state.pool.types.index(right.accelerator)
        milli = right.gpus * col.WHOLE
        at_s = max(self._now_s, 0)
        self._facts.append(
            (col.K_ALLOCATED, at_s, right.to_s, place, account, kind, milli, right.from_s)
        )
        for shelf, nodes in self._cells(right, place, kind):
            self._facts.append((col.K_SEATED, at_s, -1, place, shelf, nodes))

    def _cells(self, right: Right, place: int, kind: int) -> list[tuple[int, int]]:
        """Return (shelf, nodes) of each cell; none of a right that asks for none, or for more than
        the pool can promise: then it is one to GPUs anywhere.
        """
        shape = shape_named(right.shape) if right.shape and right.gpus else None
        if not isinstance(shape, Shape):
            return []
        seats = Seats.of(self._state.c, but=place)
        for _, _, to_s, other, *_, from_s in (f for f in self._facts if f[0] == col.K_ALLOCATED):
            shelves = [f[4] for f in self._facts if f[0] == col.K_SEATED and f[3] == other]
            seats.take(shelves, from_s=from_s, to_s=to_s)
        found = seats.seat(shape, kind=kind, gpus=right.gpus, from_s=right.from_s, to_s=right.to_s)
        return [] if isinstance(found, SeatRefusal) else [(at, shape.nodes) for at in found]

    def add_job(self, name: str, *, is_aside: bool, failed_by: str = "") -> None:
        """List a job.

        Args:
            is_aside: no sound plan can be made with it; it is refused.
            failed_by: a job that it comes after and that ended badly, which the engine refuses it
                for.
        """
        if name in self._state.job_index or name in self._jobs:
            return
        asked = self._demand.jobs[name]
        request = None if is_aside else asked.request
        self._jobs[name] = self._state.jobs_listed + len(self._names)
        self._names.append(name)
        columns = self._job_columns(asked, request)
        if failed_by:
            columns[col.J_AFTER] = self._number_of(failed_by)
        elif request is not None and asked.submission not in self._demand.conditions:
            columns[col.J_AFTER] = self._number_of(request.after[0]) if request.after else -1
        self._columns.append(columns)
        self._facts.append((col.K_SUBMITTED, self._now_s, self._jobs[name]))

    def add_cancel(self, name: str) -> None:
        job = self._number_of(name)
        if job >= 0:
            self._facts.append((col.K_CANCELLED, self._now_s, job))

    def add_stop(self, name: str) -> None:
        """Stop a job that holds GPUs idle, as at a reclaim; one that left by itself has begun
        anew, or waits.
        """
        column = self._state.job_index.get(name, -1)
        if column >= 0 and is_leaving(self._state, self._demand, column):
            self._facts.append(stop_fact(self._state, column, self._now_s))

    def add_closing(self, event: NodeDrained | NodeResumed) -> None:
        node = self._state.node_index.get(event.node)
        if node is not None:
            is_closed = int(isinstance(event, NodeDrained))
            who = col.CORDONERS.index(event.who)
            self._facts.append((col.K_CORDONED, self._now_s, -1, node, is_closed, who))

    def _account(self, kind: int, name: str) -> int:
        if (kind, name) not in self._index:
            self._index[kind, name] = len(self._state.accounts) + len(self._accounts)
            is_project = kind == col.ACCOUNT_PROJECT
            group = self._demand.groups.get(name, "") if is_project else ""
            self._accounts.append(Account(name, kind, group=group))
        return self._index[kind, name]

    def _job_columns(self, asked: Asked, request: JobRequest | None) -> IntArray:
        columns = np.zeros(ASKED, dtype=np.int64)
        pool = self._state.pool
        columns[col.J_SUBMIT] = min(asked.at_s, self._now_s)
        columns[col.J_AFTER] = -1
        columns[col.J_PROVIDER] = -1
        if asked.provider in pool.providers:
            columns[col.J_PROVIDER] = pool.providers.index(asked.provider)
        if asked.project:
            columns[col.J_PROJECT] = self._account(col.ACCOUNT_PROJECT, asked.project)
        columns[col.J_OWNER] = self._owner(asked)
        if request is None:
            # Nothing is asked for, which is what the engine refuses it for.
            return columns
        for row, name in _AS_THEY_ARE:
            columns[row] = getattr(request, name)
        kind, level, patience_s = _locality(request.locality)
        if kind != _LOCALITIES["required"] and not self._is_one_site():
            # Between sites lie other operators and slow lines: one of them runs a whole gang.
            kind, level, patience_s = _LOCALITIES["required"], col.AT_SITE, 0
        columns[col.J_LOCALITY], columns[col.J_LEVEL] = kind, level
        columns[col.J_PATIENCE] = patience_s
        columns[col.J_TYPES] = types = pool.type_mask(request.accelerator)
        columns[col.J_PREFERRED] = pool.preference(request.accelerator)
        columns[col.J_CLASS_ASKED] = _CLASSES[request.gang_class]
        columns[col.J_GRADE] = col.GRADES.index(request.grade)
        columns[col.J_PREEMPTIBLE] = int(request.preemptible)
        columns[col.J_WORK] = max(0, request.estimate_s)
        # A request counts CPUs and memory on each node, the engine those of the whole gang.
        nodes = request.nodes or -(-request.gpus // self._node_gpus(types))
        columns[col.J_CPU] = request.cpu_milli * nodes
        columns[col.J_MEMORY] = request.memory_mib * nodes
        return columns

    def _is_one_site(self) -> bool:
        site = self._state.pool.site
        return all(one == site[0] for one in site)

    def _number_of(self, name: str) -> int:
        return self._jobs.get(name, self._state.number_of(name))

    def _owner(self, asked: Asked) -> int:
        holders = {right.project for right in self._demand.rights.values()}
        if asked.project and asked.project in holders:
            return self._account(col.ACCOUNT_PROJECT, asked.project)
        if asked.provider in self._state.pool.providers:
            return self._account(col.ACCOUNT_PROVIDER, asked.provider)
        # Where others hold allocations, a project without one may only borrow what they leave idle.
        return self._account(col.ACCOUNT_PROJECT, asked.project) if asked.project and holders else 0

    def _node_gpus(self, types: int) -> int:
        pool = self._state.pool
        sizes = [
            gpus
            for kind, gpus in zip(pool.accelerator, pool.gpus.tolist(), strict=True)
            if types >> pool.types.index(kind) & 1
        ]
        return max(sizes, default=1)


def is_leaving(state: State, demand: Demand, job: int) -> bool:
    """Tell whether a running job was told to leave the GPUs that it holds idle."""
    told_s, _ = demand.leaving.get(state.job_names[job], (-1, -1))
    jobs = state.c.jobs
    return bool(jobs[col.J_STATE, job] == col.RUNNING and jobs[col.J_RUN_SINCE, job] <= told_s)


def stop_fact(state: State, job: int, now_s: int) -> FactRow:
    """Return the fact that a job is to be stopped as at a reclaim: it waits again, a while."""
    number = int(state.c.jobs[col.J_NUMBER, job])
    attempt = int(state.c.jobs[col.J_ATTEMPT, job])
    return (col.K_STOP_ORDERED, now_s, number, attempt, col.BY_RECLAIM)


def _locality(text: str) -> tuple[int, int, int]:
    """Return (kind, level, patience in seconds) of ``any`` or ``preferred:leaf:600``."""
    kind, _, rest = text.partition(":")
    level, _, patience = rest.partition(":")
    return (
        _LOCALITIES[kind],
        col.LEVELS.index(level) if level else col.AT_ANY,
        int(patience) if patience else 0,
    )
