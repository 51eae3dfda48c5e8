"""The pool's history in hourly samples, followed from the ledger."""

from collections import deque

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.state import CycleRecord, State
from dure.services.standing import Follower
from dure.services.views import History

STEP_S = 3_600
# Two years of hours.
SAMPLES_MAX = 2 * 366 * 24
Sample = tuple[int, ...]


class Samples(Follower):
    """What the pool did at each full hour; between two records nothing changes.

    Args:
        queue_step_s: the GPUs that are waited for may be so old in a sample; counting them is
            what costs most.
    """

    def __init__(self, *, queue_step_s: int = 0) -> None:
        self._queue_step_s = queue_step_s
        super().__init__()

    def reset(self) -> None:
        self._rows: deque[tuple[int, Sample]] = deque(maxlen=SAMPLES_MAX)
        self._next_s = -1
        self._now: Sample = ()
        self._queue_at_s, self._queue_gpus = -1, 0

    def follow(self, state: State, record: CycleRecord) -> None:
        now_s = int(state.c.scalars[col.S_NOW])
        if self._next_s < 0:
            self._next_s = -(-now_s // STEP_S) * STEP_S
        if now_s >= self._next_s:
            self._fill(now_s - 1)
        self._now = self._sample(state, now_s)
        if now_s >= self._next_s:
            self._fill(now_s)

    def keep(self) -> bytes:
        return msgspec.msgpack.encode((list(self._rows), self._next_s, self._now))

    def begin_from(self, state: State, kept: bytes) -> None:
        rows, self._next_s, self._now = msgspec.msgpack.decode(
            kept, type=tuple[list[tuple[int, Sample]], int, Sample]
        )
        self.begin_at(state)
        self._rows = deque(rows, maxlen=SAMPLES_MAX)

    def history(self, now_s: int) -> History:
        """Return the samples up to now; the hours since the last record are as it left things."""
        rows = list(self._rows)
        if self._now:
            late = range(self._next_s, now_s + 1, STEP_S)
            rows += [(at_s, self._now) for at_s in late[-SAMPLES_MAX:]]
        table = np.array([sample for _, sample in rows], dtype=np.int64).reshape(-1, 9).T
        return History(
            np.array([at_s for at_s, _ in rows], dtype=np.int64), table[:7], table[7], table[8]
        )

    def _fill(self, until_s: int) -> None:
        while self._next_s <= until_s:
            if self._now:
                self._rows.append((self._next_s, self._now))
            self._next_s += STEP_S

    def _sample(self, state: State, now_s: int) -> Sample:
        """Return milli-GPU by kind, waiting jobs, waiting GPUs."""
        s = state.c.scalars
        count = int(s[col.S_Q_TAIL] - s[col.S_Q_HEAD] - s[col.S_Q_DEAD])
        if count == 0:
            self._queue_gpus = 0
        elif now_s >= self._queue_at_s + self._queue_step_s:
            self._queue_at_s, self._queue_gpus = now_s, waiting_gpus(state)
        return (*s[col.S_KIND : col.S_KIND + 7].tolist(), count, self._queue_gpus)


def waiting_gpus(state: State) -> int:
    """Return the whole GPUs that the jobs in the line ask for together."""
    jobs, waiting = state.c.jobs, waiting_jobs(state)
    return int((jobs[col.J_GPUS, waiting] * jobs[col.J_MILLI, waiting]).sum()) // col.WHOLE


def waiting_jobs(state: State) -> col.IntArray:
    """Return the jobs in the line, first one first."""
    c, s = state.c, state.c.scalars
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]]
    waiting: col.IntArray = line[c.jobs[col.J_STATE, line] == col.PENDING]
    return waiting
