"""Imagined machines: a started job ends when its work is done; they stop the moment they are told.

They work in columns, as the engine does: a twin runs millions of jobs through them.
"""

from typing import NamedTuple

import numpy as np

from dure.core import columns as col
from dure.core.columns import (
    COMPLETED,
    FACT_WIDTH,
    K_ENDED,
    K_RECLASSED,
    K_STARTED,
    K_STOPPED,
    Columns,
    IntArray,
)
from dure.core.kernel import kernel
from dure.core.numbers import column_of
from dure.core.pace import run_s_of
from dure.core.state import CycleRecord, State


class _Machines(NamedTuple):
    """heap of (end_at_s, job); its size, and the first job that is remembered; per job from that
    one on: work, progress kept, attempt, end (-1: not running).
    """

    heap: IntArray
    size: IntArray
    work_s: IntArray
    kept_s: IntArray
    attempt: IntArray
    end_at_s: IntArray


@kernel
def _before(heap: np.ndarray, i: int, j: int) -> bool:
    if heap[i, 0] != heap[j, 0]:
        return bool(heap[i, 0] < heap[j, 0])
    return bool(heap[i, 1] < heap[j, 1])


@kernel
def _push(m: _Machines, at_s: int, job: int) -> None:
    i = m.size[0]
    m.size[0] += 1
    m.heap[i, 0], m.heap[i, 1] = at_s, job
    while i > 0 and _before(m.heap, i, (i - 1) // 2):
        up = (i - 1) // 2
        for k in range(2):
            m.heap[i, k], m.heap[up, k] = m.heap[up, k], m.heap[i, k]
        i = up


@kernel
def _pop(m: _Machines) -> None:
    last = m.size[0] - 1
    m.size[0] = last
    m.heap[0, 0], m.heap[0, 1] = m.heap[last, 0], m.heap[last, 1]
    i = 0
    while True:
        least = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < last and _before(m.heap, child, least):
                least = child
        if least == i:
            return
        for k in range(2):
            m.heap[i, k], m.heap[least, k] = m.heap[least, k], m.heap[i, k]
        i = least


@kernel
def _is_stale(m: _Machines) -> bool:
    """Tell whether the first entry of the heap is of an attempt that was stopped."""
    at = m.heap[0, 1] - m.size[1]
    return bool(at < 0 or m.end_at_s[at] != m.heap[0, 0])


@kernel
def _next_end(m: _Machines) -> int:
    """Return when the next job ends, or -1; entries of stopped attempts are dropped on the way."""
    while m.size[0] > 0 and _is_stale(m):
        _pop(m)
    return int(m.heap[0, 0]) if m.size[0] > 0 else -1


@kernel
def _take_ends(m: _Machines, now_s: int, facts: np.ndarray) -> int:
    count = 0
    while True:
        end_s = _next_end(m)
        if end_s < 0 or end_s > now_s:
            return count
        job, at = m.heap[0, 1], m.heap[0, 1] - m.size[1]
        facts[count, 0], facts[count, 1], facts[count, 2] = K_ENDED, now_s, job
        facts[count, 3], facts[count, 4] = m.attempt[at], COMPLETED
        m.end_at_s[at] = -1
        _pop(m)
        count += 1


@kernel
def _carry_out(c: Columns, m: _Machines, facts: np.ndarray) -> None:
    for i in range(facts.shape[0]):
        kind, at_s, at = facts[i, 0], facts[i, 1], facts[i, 2] - m.size[1]
        if kind == K_STARTED:
            m.attempt[at] = facts[i, 3]
            left_s = max(0, m.work_s[at] - m.kept_s[at])
            m.end_at_s[at] = at_s + run_s_of(c, column_of(c, facts[i, 2]), left_s)
            if facts[i, 3] > 1:
                m.end_at_s[at] += c.policy[col.P_RESTART_S]
            _push(m, m.end_at_s[at], facts[i, 2])
        elif kind == K_STOPPED:
            m.kept_s[at], m.end_at_s[at] = facts[i, 5], -1
        elif kind == K_RECLASSED:
            m.attempt[at] = facts[i, 3]


@kernel
def _resume(c: Columns, m: _Machines, running: np.ndarray) -> None:
    for job in running:
        left_s = max(0, m.work_s[job] - m.kept_s[job])
        m.attempt[job] = c.jobs[col.J_ATTEMPT, job]
        m.end_at_s[job] = c.jobs[col.J_RUN_SINCE, job] + run_s_of(c, job, left_s)
        _push(m, m.end_at_s[job], job)


class ImaginedHands:
    """The backend of an imagined pool."""

    def __init__(self) -> None:
        self._m = _Machines(
            *(np.zeros(shape, dtype=np.int64) for shape in ((64, 2), 2, 8, 8, 8, 8))
        )
        self._facts = np.zeros((64, FACT_WIDTH), dtype=np.int64)
        self._jobs, self._oldest = 0, 0

    @property
    def next_end_s(self) -> int | None:
        """When the next running job ends; None if none runs."""
        end_s = int(_next_end(self._m))
        return None if end_s < 0 else end_s

    def resume(self, state: State) -> None:
        """Take over a folded state that has forgotten nobody: running jobs go on from where they
        are.
        """
        self._learn(state)
        c = state.c
        self._make_room(int(c.scalars[col.S_RUNNING]))
        _resume(c, self._m, np.sort(c.running[: c.scalars[col.S_RUNNING]]))

    def observe(self, state: State, now_s: int) -> IntArray:
        """Return the ends up to ``now_s``, by moment, then job."""
        if self._facts.shape[0] < self._m.size[0]:
            self._facts = np.zeros((2 * int(self._m.size[0]), FACT_WIDTH), dtype=np.int64)
        count = _take_ends(self._m, now_s, self._facts)
        return self._facts[:count].copy()

    def acknowledge(self) -> None:
        """Nothing to do: what was observed is forgotten at once."""

    def carry_out(self, state: State, record: CycleRecord) -> None:
        """Start and stop imagined work."""
        if record.jobs.names:
            self._learn(state)
        if len(record.decided):
            self._make_room(len(record.decided))
            _carry_out(state.c, self._m, record.decided)

    def _learn(self, state: State) -> None:
        """Look up the work of jobs that are new: the last ones, none of them forgotten yet."""
        c, count = state.c, len(state.job_names)
        jobs, listed = c.jobs, int(c.scalars[col.S_LISTED])
        if listed - self._oldest > self._m.work_s.size:
            self._remember_from(int(jobs[col.J_NUMBER, 0]), listed)
        m, fresh = self._m, slice(count - listed + self._jobs, count)
        at = slice(self._jobs - self._oldest, listed - self._oldest)
        m.work_s[at] = jobs[col.J_WORK, fresh]
        m.kept_s[at] = jobs[col.J_SAVED, fresh]
        m.end_at_s[at] = -1
        self._jobs = listed

    def _remember_from(self, oldest: int, listed: int) -> None:
        """Make room for jobs up to number ``listed``, forgetting those before the ``oldest``."""
        m, before = self._m, self._oldest
        moved = [np.zeros(2 * (listed - oldest), dtype=np.int64) for _ in range(4)]
        for new, old in zip(moved, m[2:], strict=True):
            known = old[oldest - before : self._jobs - before]
            new[: known.size] = known
        self._oldest = m.size[1] = oldest
        self._m = _Machines(m.heap, m.size, *moved)

    def _make_room(self, starts: int) -> None:
        needed = int(self._m.size[0]) + starts
        if needed > self._m.heap.shape[0]:
            heap = np.zeros((2 * needed, 2), dtype=np.int64)
            heap[: self._m.heap.shape[0]] = self._m.heap
            self._m = self._m._replace(heap=heap)
