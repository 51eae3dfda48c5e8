"""The pool's state: columns, and the names that people gave to what stands in them.

State is nothing but the records folded in order: ``State.fold`` applies one. ``plan_cycle``
(``core.plan``) moves the same columns by the decisions it makes.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dure.core import columns as col
from dure.core.accounts import advance
from dure.core.columns import IntArray
from dure.core.empty import empty_columns, longer, wider
from dure.core.forgetting import (
    JobRows,
    close_ranks,
    kept_jobs,
    shared_rows,
)
from dure.core.planning import fold, observe
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.core.shapes import spread_examples

ASKED = col.BROUGHT
# A state that forgets does so when it lists this many jobs, or twice as many as it kept last time.
FORGET_FROM = 131_072


Listed = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Whoever may own GPUs: a project, a provider, or the pool itself (account 0).

    Attributes:
        kind: ``ACCOUNT_POOL`` and its like.
        weight: its part of what its group is lent.
        group: whose floor it shares (``Policy.floors``); one without a floor is as none.
    """

    name: str
    kind: int
    weight: int = 1
    group: str = ""

    @classmethod
    def listed(cls, parts: Listed) -> "Account":
        """Return an account as a record lists it; the oldest list no group."""
        name, kind, weight, *group = parts
        return cls(str(name), int(kind), int(weight), str(group[0]) if group else "")


@dataclass(frozen=True)
class Jobs:
    """New jobs as their submission brings them: names and columns ``J_PROJECT .. J_SEGMENT``."""

    names: list[str]
    columns: IntArray


def no_jobs() -> Jobs:
    """Return an empty submission."""
    return Jobs([], np.zeros((ASKED, 0), dtype=np.int64))


@dataclass
class CycleRecord:
    """What a cycle wrote down; ``planned`` is False for observations between cycles."""

    at_s: int
    planned: bool
    accounts: list[Account] = field(default_factory=list)
    jobs: Jobs = field(default_factory=no_jobs)
    observed: IntArray = field(default_factory=lambda: no_facts())
    decided: IntArray = field(default_factory=lambda: no_facts())


def no_facts() -> IntArray:
    """Return an empty table of facts."""
    return np.zeros((0, col.FACT_WIDTH), dtype=np.int64)


class State:
    """Columns of one pool and the names in them; equal records give equal states.

    Args:
        pool: the supply, which does not change.
        policy: the rules.

    Attributes:
        job_names, job_index: the jobs in their columns. A job's column is its number (by which
            records know it) as long as nothing was forgotten.
        archive: takes the jobs that are over, and the state forgets them when they have become
            many (``core.forgetting``); None keeps them all.
        ended_badly: numbers of forgotten jobs that did not complete: nobody can come after them.
    """

    def __init__(self, pool: Pool, policy: Policy) -> None:
        self.pool, self.policy = pool, policy
        self.c = empty_columns(pool, policy)
        self.job_names: list[str] = []
        self.job_index: dict[str, int] = {}
        self.archive: Callable[[JobRows], None] | None = None
        self._forget_at = FORGET_FROM
        self.ended_badly: set[int] = set()
        self.accounts: list[Account] = []
        self.account_index: dict[tuple[int, str], int] = {}
        self.node_names = pool.names
        self.node_index = {name: i for i, name in enumerate(self.node_names)}
        self.add_account(Account("", col.ACCOUNT_POOL))

    @property
    def now_s(self) -> int:
        """Return the moment that the state stands at, -1 before the first cycle."""
        return int(self.c.scalars[col.S_NOW])

    @property
    def next_alarm_s(self) -> int | None:
        """When the next cycle is due by itself; None if nothing is."""
        return int(self.c.alarms[0, 0]) if self.c.scalars[col.S_ALARMS] > 0 else None

    def add_account(self, account: Account) -> int:
        """List an owner; return its index. Listing one twice changes nothing."""
        key = (account.kind, account.name)
        if key in self.account_index:
            return self.account_index[key]
        index = len(self.accounts)
        if index == self.c.accounts.shape[1]:
            c = self.c
            rights = np.zeros((col.E_COUNT, 2 * index, c.rights.shape[2]), dtype=np.int64)
            rights[:, :index] = c.rights
            self.c = c.but(
                accounts=wider(c.accounts, 2 * index),
                rights=rights,
                scratch=wider(c.scratch, max(c.scratch.shape[1], 2 * index)),
            )
        self.accounts.append(account)
        self.account_index[key] = index
        self.c.accounts[col.A_KIND, index] = account.kind
        self.c.accounts[col.A_WEIGHT, index] = account.weight
        groups = list(self.policy.floors)
        if account.group in groups:
            self.c.accounts[col.A_GROUP, index] = 1 + groups.index(account.group)
        if account.kind == col.ACCOUNT_POOL:
            self.c.rights[[col.E_ENTITLED, col.E_SOON], index] = col.UNLIMITED
        self.c.scalars[col.S_ACCOUNTS] = index + 1
        return index

    def add_jobs(self, jobs: Jobs) -> int:
        """List new jobs; return the first one's column. Their submission is a fact of its own."""
        first, count = len(self.job_names), len(jobs.names)
        if count == 0:
            return first
        if first + count > self.c.jobs.shape[1]:
            self._grow_jobs(first + count)
        c = self.c
        # Lists: for the one or two jobs of a usual cycle they are ten times as fast as arrays.
        if min(jobs.columns[col.J_MILLI].tolist()) < col.WHOLE:
            c.scalars[col.S_SHARED_ROWS] += shared_rows(jobs.columns, c.nodes.shape[1])
        part, number = slice(first, first + count), int(c.scalars[col.S_LISTED])
        c.jobs[:ASKED, part] = jobs.columns
        c.jobs[col.J_NUMBER, part] = number if count == 1 else np.arange(number, number + count)
        for column in (
            col.J_FIRST_START,
            col.J_ENDED,
            col.J_STOP_AT,
            col.J_CLAIM_DUE,
            col.J_CLAIM_ASKED,
            col.J_ROWS,
            col.J_RUN_POS,
            col.J_DATE,
            col.J_PROMISED,
        ):
            c.jobs[column, part] = -1
        self.job_names.extend(jobs.names)
        for i, name in enumerate(jobs.names):
            self.job_index[name] = first + i
        c.scalars[col.S_JOBS] = first + count
        c.scalars[col.S_LISTED] = number + count
        if number > first:
            self._find_parents(part)
        return first

    def _find_parents(self, part: slice) -> None:
        """Say in columns whom new jobs come after; some of those may be forgotten."""
        after = self.c.jobs[col.J_AFTER, part]
        for i in np.flatnonzero(after >= 0).tolist():
            number = int(after[i])
            after[i] = self.column_of(number)
            if after[i] < 0:
                # Whoever comes after itself is refused like one whose parent ended badly.
                after[i] = part.start + i if number in self.ended_badly else col.AFTER_DONE

    @property
    def jobs_listed(self) -> int:
        """How many jobs were listed so far: the number of the next one."""
        return int(self.c.scalars[col.S_LISTED])

    def column_of(self, number: int) -> int:
        """Return the column that a job stands in, also one still to come; -1 if forgotten."""
        s = self.c.scalars
        if number >= s[col.S_LISTED]:
            return int(number - s[col.S_LISTED] + s[col.S_JOBS])
        numbers = self.c.jobs[col.J_NUMBER, : s[col.S_JOBS]]
        at = int(np.searchsorted(numbers, number))
        return at if at < numbers.size and numbers[at] == number else -1

    def number_of(self, name: str) -> int:
        """Return a job's number, -1 if there is none of this name or it was forgotten."""
        column = self.job_index.get(name, -1)
        return int(self.c.jobs[col.J_NUMBER, column]) if column >= 0 else -1

    def job_rows(self) -> JobRows:
        """Return the jobs that are not forgotten; ``columns`` is no copy."""
        columns = self.c.jobs[:, : self.c.scalars[col.S_JOBS]]
        return JobRows(columns[col.J_NUMBER], self.job_names, columns)

    def forget(self) -> None:
        """Hand the jobs that are over to the archive and forget them; between two cycles."""
        assert self.archive is not None, "what nobody takes must not be forgotten"
        jobs, kept = self.job_rows(), kept_jobs(self.c)
        is_over = np.ones(jobs.numbers.size, dtype=bool)
        is_over[kept] = False
        over = np.flatnonzero(is_over)
        gone = jobs.columns[:, over]
        names = [self.job_names[i] for i in over.tolist()]
        badly = gone[col.J_STATE] != col.COMPLETED
        self.ended_badly.update(gone[col.J_NUMBER, badly].tolist())
        close_ranks(self.c, kept)
        self.job_names = [self.job_names[i] for i in kept.tolist()]
        self.job_index = {name: i for i, name in enumerate(self.job_names)}
        self._forget_at = max(FORGET_FROM, 2 * kept.size)
        self.archive(JobRows(gone[col.J_NUMBER], names, gone))

    def _grow_jobs(self, needed: int) -> None:
        c = self.c
        size = max(2 * c.jobs.shape[1], needed)
        shapes, alike = (np.full(2 * size, -1, dtype=np.int64) for _ in range(2))
        spread_examples(c, shapes, alike)
        memo = wider(c.memo, size + 2)
        memo[col.M_LEAST, c.memo.shape[1] :] = 1 << 60
        self.c = c.but(
            jobs=wider(c.jobs, size),
            queue=wider(c.queue, 4 * size),
            fresh=wider(c.fresh, 4 * size),
            running=wider(c.running, size),
            claims=longer(c.claims, size),
            marks=wider(c.marks, size),
            scratch=wider(c.scratch, max(c.scratch.shape[1], size)),
            shapes=shapes,
            alike=alike,
            cohorts=longer(c.cohorts, size + 2),
            tree=wider(c.tree, size),
            standing=wider(c.standing, size + 2),
            heads=wider(c.heads, size + 2),
            memo=memo,
        )

    def make_room(self, observed: int) -> None:
        """Make every table long enough for one cycle that applies ``observed`` facts."""
        s = self.c.scalars
        # A whole device bears one placement row; shared ones bear as many as jobs share them.
        rows = self.c.devices.shape[1] + int(s[col.S_SHARED_ROWS])
        if rows > self.c.rows.shape[1]:
            self.c = self.c.but(rows=wider(self.c.rows, 2 * rows))
        c, rows = self.c, self.c.rows.shape[1]
        active = int(s[col.S_RUNNING] + s[col.S_Q_TAIL] - s[col.S_Q_HEAD]) + observed
        alarms = int(s[col.S_ALARMS]) + 6 * active + 2 * rows + 256
        facts = 6 * rows + 20 * active + c.nodes.shape[1] + 256
        if alarms > c.alarms.shape[0]:
            self.c = c = c.but(alarms=longer(c.alarms, 2 * alarms), due=longer(c.due, 2 * alarms))
        if facts > c.facts.shape[0]:
            self.c = c = c.but(facts=longer(c.facts, 2 * facts))
        if int(s[col.S_HURT]) + observed > c.hurt.shape[0]:
            self.c = c = c.but(hurt=longer(c.hurt, 2 * (int(s[col.S_HURT]) + observed)))
        self._make_allocations(int(s[col.S_ALLOCS]) + observed)
        cells = int(s[col.S_CELLS]) + observed
        if cells > self.c.cells.shape[0]:
            self.c = self.c.but(cells=longer(self.c.cells, 2 * cells))

    def prepare(self, accounts: Sequence[Account], jobs: Jobs, facts: IntArray) -> None:
        """List new owners and jobs, and make room for a cycle that observes these facts."""
        for account in accounts:
            self.add_account(account)
        if self.archive is not None and len(self.job_names) + len(jobs.names) > self._forget_at:
            self.forget()
        self.add_jobs(jobs)
        self.make_room(len(facts))
        if col.K_ALLOCATED in facts[:, 0].tolist():
            # An allocation may come before one that is listed before it.
            places = facts[facts[:, 0] == col.K_ALLOCATED, 3]
            self._make_allocations(int(places.max(initial=-1)) + 1)

    def _make_allocations(self, count: int) -> None:
        if count > self.c.allocs.shape[1]:
            self.c = self.c.but(allocs=wider(self.c.allocs, 2 * count))

    def fold(self, record: CycleRecord) -> None:
        """Apply one record: what was observed and, for a cycle, what was decided."""
        self.prepare(record.accounts, record.jobs, record.observed)
        if record.planned:
            fold(self.c, record.at_s, record.observed, record.decided)
        else:
            observe(self.c, record.at_s, record.observed)

    def stand_still_until(self, now_s: int) -> None:
        """Let time pass without a cycle, to book the last seconds of a run."""
        advance(self.c, now_s)

    def digest(self) -> str:
        """Return a hash of everything that is state; equal for a plan and for its fold."""
        c, s = self.c, self.c.scalars
        digest = hashlib.sha256()
        jobs, rows = int(s[col.S_JOBS]), int(s[col.S_ROWS_TOP])
        waiting = [
            job
            for job in c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]].tolist()
            if c.jobs[col.J_STATE, job] == col.PENDING
        ]
        scalars = s.copy()
        scalars[[col.S_FACTS, col.S_Q_HEAD, col.S_Q_TAIL, col.S_Q_DEAD]] = 0
        count = len(self.accounts)
        parts = (
            scalars,
            c.nodes,
            c.hist,
            c.devices,
            c.breakers,
            # Not where the line marks its gaps: a fold comes upon them at other times.
            np.delete(c.jobs[:, :jobs], col.J_IN_QUEUE, axis=0),
            c.rows[:, :rows],
            c.running[: s[col.S_RUNNING]],
            c.accounts[:, :count],
            c.rights[:, :count],
            c.types,
            c.allocs[:, : s[col.S_ALLOCS]],
            c.cells[: s[col.S_CELLS]],
            c.shelves[col.H_HOLDER],
            c.claims[: s[col.S_CLAIMS]],
            c.booked[: s[col.S_BOOKED]],
            np.sort(c.alarms[: s[col.S_ALARMS]], axis=0),
            np.array(waiting, dtype=np.int64),
        )
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()
