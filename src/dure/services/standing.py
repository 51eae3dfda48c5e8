"""What the engine's state does not keep and a backend must know, followed from the ledger."""

from abc import ABC, abstractmethod

import msgspec

from dure.core import columns as col
from dure.core.state import CycleRecord, State


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
    """Which start each job stems from, which cancellations wait, how often machines lost it."""

    def reset(self) -> None:
        self._started: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._cancels: set[int] = set()

    def follow(self, state: State, record: CycleRecord) -> None:
        for kind, _, job, _a, _b, c, *_ in record.observed.tolist():
            if kind == col.K_CANCELLED:
                self._cancels.add(job)
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
        return msgspec.msgpack.encode((self._started, self._lost, self._cancels))

    def begin_from(self, state: State, kept: bytes) -> None:
        memory = msgspec.msgpack.decode(kept, type=tuple[dict[int, int], dict[int, int], set[int]])
        self._started, self._lost, self._cancels = memory
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


def _is_unheard(state: State, job: int) -> bool:
    jobs = state.c.jobs
    if jobs[col.J_STATE, job] == col.RUNNING:
        return bool(jobs[col.J_STOP_AT, job] < 0 or jobs[col.J_STOP_CAUSE, job] != col.BY_CANCEL)
    return bool(jobs[col.J_STATE, job] == col.PENDING)


def _is_open(state: State, job: int) -> bool:
    return bool(state.c.jobs[col.J_STATE, job] < col.COMPLETED)
