"""The twin's loop: virtual time jumps from one moment with events to the next, one cycle each."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter_ns

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.plan import Observed
from dure.core.state import Account, Jobs, no_facts, no_jobs
from dure.drivers.imagined import ImaginedHands
from dure.services.cycle import run_once
from dure.services.pools import PoolRuntime
from dure.twin.demand import FaultFacts

NEVER_S = 1 << 62
# Invariants are checked in full once in so many cycles of a long run; tests check every one.
CHECK_EVERY = 4096


@dataclass
class Script:
    """What the world will do: submissions, faults and repairs, each in order of time.

    Attributes:
        first: facts of the very first cycle (allocations), and all accounts.
        submit_at_s: shape (job,), ascending.
    """

    accounts: list[Account]
    first: IntArray
    jobs: Jobs
    submit_at_s: IntArray
    faults: FaultFacts
    job_facts: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self.job_facts = submission_facts(self.submit_at_s, first=0)


def submission_facts(submit_at_s: IntArray, *, first: int) -> IntArray:
    """Return a submission fact for each job, in order."""
    facts = np.zeros((submit_at_s.size, col.FACT_WIDTH), dtype=np.int64)
    facts[:, 0], facts[:, 1] = col.K_SUBMITTED, submit_at_s
    facts[:, 2] = np.arange(first, first + submit_at_s.size)
    return facts


class Clockwork:
    """Drives one pool through a script.

    Args:
        pool: a founded pool with imagined hands.
        check_every: cycles between two full checks of the invariants.
    """

    def __init__(
        self, pool: PoolRuntime, hands: ImaginedHands, script: Script, *, check_every: int
    ) -> None:
        self.pool, self._hands, self._script = pool, hands, script
        self._check_every = check_every
        self._job, self._fault, self.cycles = 0, 0, 0
        # Lists: looking up one Python integer is ten times as fast in them as in an array.
        self._job_at: list[int] = [*script.submit_at_s.tolist(), NEVER_S]
        self._fault_at: list[int] = [*script.faults.at_s.tolist(), NEVER_S]
        self.last_s = -1
        self.pass_ns: list[int] = []

    def next_s(self) -> int:
        """Return the next moment at which anything happens, or ``NEVER_S``."""
        end_s, alarm_s = self._hands.next_end_s, self.pool.state.next_alarm_s
        next_s = min(
            self._job_at[self._job],
            NEVER_S if end_s is None else end_s,
            NEVER_S if alarm_s is None else alarm_s,
        )
        if next_s < NEVER_S or self._is_anyone_left():
            next_s = min(next_s, self._fault_at[self._fault])
        return next_s if next_s == NEVER_S else max(next_s, self.last_s + 1)

    def _is_anyone_left(self) -> bool:
        s = self.pool.state.c.scalars
        return bool(s[col.S_RUNNING] > 0 or s[col.S_Q_HEAD] < s[col.S_Q_TAIL])

    def run(self, until_s: int, tell: Callable[[int, int], None] | None = None) -> int:
        """Run up to and including ``until_s``; return the last moment with a cycle.

        Args:
            tell: called now and then with (moment, jobs submitted so far).
        """
        while (now_s := self.next_s()) <= until_s and now_s < NEVER_S:
            if self._nothing_left_to_do():
                break
            self.step(now_s)
            if tell is not None and self.cycles % 1024 == 0:
                tell(now_s, self._job)
        return self.last_s

    def _nothing_left_to_do(self) -> bool:
        """Tell whether only alarms of an idle pool remain."""
        return (
            self.cycles > 0
            and self._job == self._script.submit_at_s.size
            and self._hands.next_end_s is None
            and not self._is_anyone_left()
        )

    def step(self, now_s: int) -> None:
        """Run one cycle at a moment."""
        script, pool = self._script, self.pool
        jobs_to = bisect_right(self._job_at, now_s, lo=self._job)
        faults_to = bisect_right(self._fault_at, now_s, lo=self._fault)
        parts = []
        if faults_to > self._fault:
            parts.append(_faults_first(script.faults.facts[self._fault : faults_to]))
        jobs = no_jobs()
        if jobs_to > self._job:
            chosen = slice(self._job, jobs_to)
            jobs = Jobs(script.jobs.names[chosen], script.jobs.columns[:, chosen])
            parts.append(script.job_facts[chosen])
        accounts: list[Account] = []
        if self.cycles == 0:
            accounts = script.accounts
            parts.insert(0, script.first)
        facts = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else no_facts()
        pool.inbox.append(Observed(accounts, jobs, facts))
        self._job, self._fault = jobs_to, faults_to
        self.cycles += 1
        begun_ns = perf_counter_ns()
        run_once(pool, now_s, check=self.cycles % self._check_every == 0)
        self.pass_ns.append(perf_counter_ns() - begun_ns)
        self.last_s = now_s


def _faults_first(facts: IntArray) -> IntArray:
    """Order the facts of one or more moments: faults before repairs at each moment."""
    if len(facts) < 2:
        return facts
    return facts[np.lexsort((facts[:, 3], facts[:, 0], facts[:, 1]))]
