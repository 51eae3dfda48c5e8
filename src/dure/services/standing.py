"""What the engine's state does not keep and a backend must know, followed from the ledger."""

from abc import ABC, abstractmethod

import msgspec

from dure.core import columns as col
from dure.core.state import CycleRecord, State

# Marks a fact of a node as the backend's word (its column d): people close nodes, too.
BY_BACKEND = 1
# What a backend may have said of a node, beside who closed it.
IS_DOWN = -1


class Follower(ABC):
    """Listens to a pool's records; begins anew when the ledger is folded from its start."""

    def __init__(self) -> None:
        self._of: State | None = None
        self.reset()

    def listen(self, state: State, record: CycleRecord) -> None:
        """Take in one record, just applied to ``state``."""
        if state is not self._of:
            # A state thrown away and folded again is another object.
            self._of = state
            self.reset()
        self.follow(state, record)

    @abstractmethod
    def reset(self) -> None:
        """Forget everything."""

    @abstractmethod
    def follow(self, state: State, record: CycleRecord) -> None:
        """Take in one record, just applied to ``state``."""

    @abstractmethod
    def keep(self) -> bytes:
        """Return our memory, for ``begin_from``."""

    @abstractmethod
    def begin_from(self, state: State, kept: bytes) -> None:
        """Go on from what was kept when the pool stood at ``state``."""

    def begin_at(self, state: State) -> None:
        """Take ``state`` for the one followed so far: it was kept together with our memory."""
        self._of = state


class Standing(Follower):
    """Which start each job stems from, which cancellations wait, how often machines lost it; what
    the backend last said of nodes.

    Attributes:
        of_nodes: (node, who closed it or ``IS_DOWN``), as the backend said and did not take back.
    """

    def reset(self) -> None:
        self.of_nodes: set[tuple[int, int]] = set()
        self._started: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._cancels: set[int] = set()

    def follow(self, state: State, record: CycleRecord) -> None:
        for kind, _, job, a, b, c, d, _ in record.observed.tolist():
            if kind == col.K_CANCELLED:
                self._cancels.add(job)
            elif kind in _OF_NODES and d == BY_BACKEND:
                is_said = b if kind == col.K_CORDONED else kind == col.K_FAULT
                said = (a, c if kind == col.K_CORDONED else IS_DOWN)
                (self.of_nodes.add if is_said else self.of_nodes.discard)(said)
            elif kind == col.K_VACATED and c:
                self._lost[job] = self._lost.get(job, 0) + 1
        for kind, _, job, a, *_ in record.decided.tolist():
            if kind == col.K_STARTED:
                self._started[job] = a
        self._cancels = {job for job in self._cancels if _is_open(state, job)}
        if record.planned:
            self._started = {job: a for job, a in self._started.items() if _is_open(state, job)}
            self._lost = {job: n for job, n in self._lost.items() if _is_open(state, job)}

    def keep(self) -> bytes:
        kept = (self._started, self._lost, self._cancels, self.of_nodes)
        return msgspec.msgpack.encode(kept)

    def begin_from(self, state: State, kept: bytes) -> None:
        self._started, self._lost, self._cancels, self.of_nodes = msgspec.msgpack.decode(
            kept, type=tuple[dict[int, int], dict[int, int], set[int], set[tuple[int, int]]]
        )
        self.begin_at(state)

    def started_as(self, job: int) -> int:
        """Return the attempt under which a running job was started, 0 if it never was."""
        return self._started.get(job, 0)

    def times_lost(self, job: int) -> int:
        return self._lost.get(job, 0)

    def unheard(self, state: State) -> list[int]:
        """Return jobs that were cancelled while they were being stopped for another reason.

        The engine takes a cancellation of a job that waits or runs; said again now, it hears it.
        """
        return sorted(job for job in self._cancels if _is_unheard(state, job))


_OF_NODES = frozenset({col.K_FAULT, col.K_REPAIRED, col.K_CORDONED})


def _is_unheard(state: State, job: int) -> bool:
    jobs = state.c.jobs
    if jobs[col.J_STATE, job] == col.RUNNING:
        return bool(jobs[col.J_STOP_AT, job] < 0 or jobs[col.J_STOP_CAUSE, job] != col.BY_CANCEL)
    return bool(jobs[col.J_STATE, job] == col.PENDING)


def _is_open(state: State, job: int) -> bool:
    return bool(state.c.jobs[col.J_STATE, job] < col.COMPLETED)
