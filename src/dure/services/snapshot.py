"""What is copied of a state so that screens can ask of one moment while the engine moves on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
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
        rights: entitled, own and claimed milli, shape (E_COUNT, account, type).
        idle_milli: by type.
    """

    state: State
    now_s: int
    known: int
    index: IntArray
    jobs: IntArray
    running: int
    waiting: int
    after_done: IntArray
    rights: IntArray
    kinds_of_account: IntArray
    idle_milli: IntArray

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
    jobs = c.jobs[:, index]
    after = jobs[col.J_AFTER]
    after_done = (after < 0) | (c.jobs[col.J_STATE, after] == col.COMPLETED)
    count = int(s[col.S_ACCOUNTS])
    types = c.types.shape[1]
    idle = np.bincount(c.nodes[col.N_TYPE], weights=c.nodes[col.N_IDLE], minlength=types)
    return Snapshot(
        state,
        now_s,
        int(s[col.S_JOBS]),
        index,
        jobs,
        int(running.size),
        int(waiting.size),
        after_done,
        c.rights[:, :count].copy(),
        c.accounts[col.A_KIND, :count].copy(),
        idle.astype(np.int64),
    )
