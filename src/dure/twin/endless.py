"""The twin's loop for a world that goes on for ever: a day is drawn when it begins."""

from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Protocol

import numpy as np

from dure.core import columns as col
from dure.core.calendar import DAY_S
from dure.core.columns import IntArray
from dure.core.events import Event
from dure.core.plan import Observed, facts_of
from dure.core.quota import Right
from dure.core.state import Account, Jobs, State, no_facts, no_jobs
from dure.drivers.imagined import ImaginedHands
from dure.services.cycle import run_once
from dure.services.pools import Hands, PoolRuntime, Reader
from dure.services.ports import Ledger
from dure.twin.clockwork import NEVER_S, submission_facts

Tell = Callable[[int, int], None]
TELL_EVERY = 1024
# So many of the last cycles are timed.
TIMED = 1 << 19
# An assumption: a team gives up a job that waited so long for more than the team holds.
PATIENCE_S = 3 * DAY_S
_NO_JOBS, _NO_FACTS = no_jobs(), no_facts()


class ScriptedPool(PoolRuntime):
    """A pool into which a script submits jobs, beside those that people hand in.

    What the script lists is numbered when the cycle gathers, after all that others list in it.

    Attributes:
        offered: jobs submitted since the last cycle; their owners are listed already.
        owners: accounts that the script needs; the next cycle lists those that are new.
        rights: what projects and providers hold from the very first cycle on, in the order of
            their places.
        from_kept: stands the pool at a state that was kept, if there is one that fits.
        was_refolded: called when the state is another one.
    """

    def __init__(
        self,
        ledger: Ledger,
        hands: Hands,
        *,
        reader: Reader,
        decode: Callable[[bytes], Sequence[Event]],
        rights: Sequence[Right],
    ) -> None:
        super().__init__(ledger, hands, reader=reader, decode=decode)
        self.offered: Jobs | None = None
        self.owners: list[Account] = []
        self._rights = rights
        self.from_kept: Callable[[], bool] = lambda: False
        self.was_refolded: Callable[[], None] = lambda: None

    def refold(self, upto: int | None = None) -> None:
        """Throw the state away; take up the kept one and fold what came after, or fold all."""
        if upto is not None or not self.from_kept():
            super().refold(upto)
        self.was_refolded()

    def begin_from(self, state: State, seq: int) -> None:
        """Stand at a record whose state is known, and fold what came after."""
        self.state, self.seen, self._events = state, seq, []
        self.catch_up()

    @property
    def next_end_s(self) -> int | None:
        """When the next running job ends; None if none runs."""
        assert isinstance(self.hands, ImaginedHands), "a script is for imagined machines"
        return self.hands.next_end_s

    def is_settled(self) -> bool:
        """Tell whether every named event that was read is part of a cycle's record."""
        return not self._events

    def has_news(self) -> bool:
        """Tell whether others wrote since our last cycle, or we have read it and not planned
        yet.
        """
        return self.ledger.head()[0] != self.seen or bool(self._events)

    def gather(self, now_s: int) -> Observed:
        if self._events or self.owners:
            observed = super().gather(now_s)
        else:
            # Nobody but the script lists anything: most cycles, so the short way.
            parts = [self.hands.observe(self.state, now_s), *(one.facts for one in self.inbox)]
            parts = [facts for facts in parts if len(facts)]
            observed = Observed([], _NO_JOBS, _joined(parts))
        accounts, jobs, facts = observed.accounts, observed.jobs, observed.facts
        if self.owners:
            listed = {(one.kind, one.name) for one in accounts}.union(self.state.account_index)
            fresh = [one for one in self.owners if (one.kind, one.name) not in listed]
            accounts = [*accounts, *fresh]
            if self.state.now_s < 0:
                facts = _joined([facts, self._first_rights(accounts, now_s)])
        offered = self.offered
        if offered is not None and offered.names:
            first = self.state.jobs_listed + len(jobs.names)
            submitted = submission_facts(offered.columns[col.J_SUBMIT], first=first)
            facts = _joined([facts, submitted]) if len(facts) else submitted
            jobs = _both(jobs, offered) if jobs.names else offered
        return Observed(accounts, jobs, facts)

    def _first_rights(self, accounts: Sequence[Account], now_s: int) -> IntArray:
        index = dict(self.state.account_index)
        for one in accounts:
            index.setdefault((one.kind, one.name), len(index))
        facts = np.zeros((len(self._rights), col.FACT_WIDTH), dtype=np.int64)
        for place, (name, kind, milli, from_s, to_s) in enumerate(self._rights):
            account = index.get((col.ACCOUNT_PROJECT, name))
            if account is None:
                account = index[col.ACCOUNT_PROVIDER, name]
            type_ = self.state.pool.types.index(kind)
            facts[place] = col.K_ALLOCATED, now_s, to_s, place, account, type_, milli, from_s
        return facts


def given_up(state: State, now_s: int) -> IntArray:
    """Cancel what cannot run as its owner's own: at once what may not borrow either, else after
    some days in which nobody lent that much.
    """
    c, s = state.c, state.c.scalars
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]]
    line = line[c.jobs[col.J_STATE, line] == col.PENDING]
    jobs = c.jobs[:, line]
    held = c.rights[col.E_ENTITLED].max(axis=1)[jobs[col.J_OWNER]]
    is_beyond = jobs[col.J_GPUS] * jobs[col.J_MILLI] > held
    is_tired = now_s - jobs[col.J_QUEUED_SINCE] >= PATIENCE_S
    gone = jobs[col.J_NUMBER, is_beyond & ((jobs[col.J_PREEMPTIBLE] == 0) | is_tired)]
    return facts_of([(col.K_CANCELLED, now_s, job) for job in np.sort(gone).tolist()])


def _joined(parts: Sequence[IntArray]) -> IntArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else _NO_FACTS


def _both(one: Jobs, other: Jobs) -> Jobs:
    return Jobs([*one.names, *other.names], np.concatenate([one.columns, other.columns], axis=1))


class Days(Protocol):
    """What happens in the world, a day at a time."""

    def open_day(self, day_from_s: int) -> Sequence[Account]:
        """Do what the office does at a midnight; return who will submit jobs. A cycle follows."""
        ...

    def jobs(self, day_from_s: int, state: State) -> Jobs:
        """Return the jobs of a day in the order of submission."""
        ...

    def faults(self, day_from_s: int, to_s: int) -> IntArray:
        """Return the faults and repairs of a day in order."""
        ...

    def cancellations(self, state: State, now_s: int) -> IntArray:
        """Return facts of jobs that their projects give up at a midnight."""
        ...


class Endless:
    """Drives one pool through days.

    Args:
        pool: founded or folded; its hands have resumed.
        first_day_s: midnight at which the world begins.
        check_every: cycles between two full checks of the invariants.
    """

    def __init__(
        self,
        pool: ScriptedPool,
        days: Days,
        *,
        first_day_s: int,
        check_every: int,
    ) -> None:
        self.pool, self._days = pool, days
        self._first_day_s, self._check_every = first_day_s, check_every
        self.cycles, self.pass_ns = 0, deque[int](maxlen=TIMED)
        self._day_s = -1
        self._jobs, self._job_at, self._job = no_jobs(), [NEVER_S], 0
        self._faults, self._fault_at, self._fault = no_facts(), [NEVER_S], 0

    @property
    def last_s(self) -> int:
        """The moment of the last cycle, -1 before the first."""
        return self.pool.state.now_s

    def run_to(self, until_s: int, tell: Tell | None = None) -> None:
        """Run everything up to and including ``until_s``."""
        while True:
            self._resume()
            midnight_s = self._next_midnight_s()
            now_s = min(self._next_s(), midnight_s)
            if now_s > until_s:
                break
            if now_s == midnight_s:
                self._begin_day(midnight_s)
            else:
                self._step(now_s)
            if tell is not None and self.cycles % TELL_EVERY == 0:
                tell(now_s, self.pool.state.jobs_listed)
        if self.pool.has_news() and until_s >= self.last_s >= 0:
            self._cycle(until_s)

    def forget_place(self) -> None:
        """Find the place in the day anew before the next cycle: the state is another one."""
        self._day_s = -1

    def _next_midnight_s(self) -> int:
        return self._first_day_s if self._day_s < 0 else self._day_s + DAY_S

    def _next_s(self) -> int:
        """Return the next moment at which anything happens by itself, or ``NEVER_S``."""
        if self._day_s < 0:
            return NEVER_S
        job_s, last_s = self._job_at[self._job], self.last_s
        # A day's first jobs may be of the midnight second itself; nothing else comes twice.
        if job_s <= last_s:
            return last_s
        next_s = min(job_s, self._fault_at[self._fault])
        end_s, alarm_s = self.pool.next_end_s, self.pool.state.next_alarm_s
        if end_s is not None and end_s < next_s:
            next_s = end_s
        if alarm_s is not None and alarm_s < next_s:
            next_s = alarm_s
        return max(next_s, last_s + 1)

    def _resume(self) -> None:
        """Find the place in the day of a pool that was folded from its ledger."""
        if self._day_s >= 0 or self.last_s < 0:
            return
        passed_s = self.last_s - self._first_day_s
        self._draw(self._first_day_s + passed_s // DAY_S * DAY_S)
        known = self.pool.state.job_index
        while self._job < len(self._jobs.names) and (
            self._job_at[self._job] < self.last_s or self._jobs.names[self._job] in known
        ):
            self._job += 1
        while self._fault_at[self._fault] <= self.last_s:
            self._fault += 1

    def _begin_day(self, midnight_s: int) -> None:
        """Let the office act, plan once on what it did, then draw the day."""
        self.pool.owners = list(self._days.open_day(midnight_s))
        facts = [self._days.faults(midnight_s, midnight_s + 1)]
        if self.last_s >= 0:
            facts.append(self._days.cancellations(self.pool.state, midnight_s))
        self._cycle(midnight_s, np.concatenate(facts))
        self.pool.owners = []
        self._draw(midnight_s)
        while self._fault_at[self._fault] <= midnight_s:
            self._fault += 1

    def _draw(self, day_from_s: int) -> None:
        self._day_s = day_from_s
        self._jobs, self._job = self._days.jobs(day_from_s, self.pool.state), 0
        self._job_at = [*self._jobs.columns[col.J_SUBMIT].tolist(), NEVER_S]
        self._faults, self._fault = self._days.faults(day_from_s, day_from_s + DAY_S), 0
        self._fault_at = [*self._faults[:, 1].tolist(), NEVER_S]

    def _step(self, now_s: int) -> None:
        job, fault = self._job, self._fault
        while self._job_at[job] <= now_s:
            job += 1
        while self._fault_at[fault] <= now_s:
            fault += 1
        offered = None
        if job > self._job:
            chosen = slice(self._job, job)
            offered = Jobs(self._jobs.names[chosen], self._jobs.columns[:, chosen])
        self.pool.offered = offered
        facts = self._faults[self._fault : fault]
        self._job, self._fault = job, fault
        self._cycle(now_s, facts)
        self.pool.offered = None

    def _cycle(self, now_s: int, facts: IntArray | None = None) -> None:
        if facts is not None and len(facts):
            self.pool.inbox.append(Observed([], no_jobs(), facts))
        self.cycles += 1
        begun_ns = perf_counter_ns()
        run_once(self.pool, now_s, check=self.cycles % self._check_every == 0)
        self.pass_ns.append(perf_counter_ns() - begun_ns)
