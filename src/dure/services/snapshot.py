"""What is copied of a state so that screens can ask of one moment while the engine moves on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from dure.core import columns as col
from dure.core.columns import Columns, IntArray
from dure.core.policy import Policy
from dure.core.state import State
from dure.services.samples import waiting_jobs


class Coded(Sequence[str]):
    """Words by number: a column of names without a string a row."""

    def __init__(self, words: Sequence[str], codes: IntArray) -> None:
        self._words, self._codes = words, codes

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return Coded(self._words, self._codes[index])
        return self._words[int(self._codes[index])]

    def __iter__(self) -> Iterator[str]:
        words = self._words
        return (words[code] for code in self._codes.tolist())


class Joined(Sequence[str]):
    """Two columns of names, one below the other."""

    def __init__(self, first: Sequence[str], second: Sequence[str]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        count = len(self._first)
        at = index + len(self) if index < 0 else index
        return self._first[at] if at < count else self._second[at - count]

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        yield from self._second


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One moment of a pool's jobs and rights.

    Attributes:
        state: for names and for jobs that have ended, which do not change any more.
        index: jobs shown: running, then waiting in the order of the line, then those that ended,
            latest first, shape (job,).
        jobs: the columns of those jobs, shape (J_COUNT, job).
        known: jobs that there were at this moment; later ones have a higher number.
        running, waiting: how many of each.
        after_done: whether the job that each one comes after has completed.
        world: what the engine's kernels need to be asked about this moment: the same jobs, numbered
            by their rows here; nothing else ever writes to it.
    """

    state: State
    now_s: int
    known: int
    index: IntArray
    jobs: IntArray
    running: int
    waiting: int
    after_done: IntArray
    world: Columns

    @property
    def policy(self) -> Policy:
        return self.state.policy

    def place(self, job: int) -> int:
        """Return a job's row in ``jobs``, -1 if it is not shown."""
        found = np.flatnonzero(self.index == job)
        return int(found[0]) if found.size else -1


def take_snapshot(state: State, ended: Sequence[int], now_s: int) -> Snapshot:
    """Copy what screens need; the state may move on right after."""
    c, s = state.c, state.c.scalars
    running = np.sort(c.running[: s[col.S_RUNNING]])
    waiting = waiting_jobs(state)
    late = np.array(ended, dtype=np.int64)[::-1]
    index = np.concatenate([running, waiting, late])
    jobs = np.take(c.jobs, index, axis=1)
    after = jobs[col.J_AFTER]
    after_done = (after < 0) | (c.jobs[col.J_STATE, after] == col.COMPLETED)
    after[after_done] = -1
    return Snapshot(
        state,
        now_s,
        int(s[col.S_JOBS]),
        index,
        jobs,
        int(running.size),
        int(waiting.size),
        after_done,
        _world(c, jobs, index, int(running.size), int(waiting.size)),
    )


# What a kernel that only asks never reads; empty, so that a mistake shows at once.
_UNREAD = ("fresh", "hurt", "alarms", "due", "shapes", "memo", "marks", "facts")
_NOBODY = 1 << 40  # whoever a device is held for, but is not shown


def _world(c: Columns, jobs: IntArray, index: IntArray, running: int, waiting: int) -> Columns:
    """Copy the pool with its jobs numbered by their rows in the snapshot."""
    scalars = c.scalars.copy()
    scalars[col.S_RUNNING], scalars[col.S_Q_HEAD] = running, running
    scalars[col.S_Q_TAIL] = running + waiting
    # Whoever still comes after another job waits for one that is not done.
    scalars[col.S_JOBS] = 0
    place = np.arange(index.size, dtype=np.int64)
    row_of = {job: row for row, job in enumerate(index.tolist())} if c.scalars[col.S_CLAIMS] else {}
    # A claimant that was cancelled a moment ago may be told of no more.
    claims = c.claims[: c.scalars[col.S_CLAIMS]].tolist()
    kept = [(row_of[job], kind) for job, kind in claims if job in row_of]
    scalars[col.S_CLAIMS] = len(kept)
    holds = np.flatnonzero(c.devices[col.D_HOLD])
    devices = c.devices.copy()
    devices[col.D_HOLD, holds] = [
        row_of.get(holder - 1, _NOBODY) + 1 for holder in c.devices[col.D_HOLD, holds].tolist()
    ]
    copied = ("nodes", "hist", "accounts", "rights", "types", "allocs")
    return c.but(
        scalars=scalars,
        jobs=jobs,
        devices=devices,
        rows=c.rows[:, : c.scalars[col.S_ROWS_TOP]].copy(),
        queue=place,
        running=place,
        claims=np.array(kept, dtype=np.int64).reshape(-1, 2),
        **{name: getattr(c, name).copy() for name in copied},
        **{name: np.zeros_like(getattr(c, name)[..., :0]) for name in _UNREAD},
    )
