"""Runs a world through ``plan_cycle`` with the dumbest machines; checks every cycle."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

import numpy as np

from dure.core import columns as col
from dure.core.check import violations
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.record import pack, unpack
from dure.core.state import CycleRecord, State, no_jobs
from tests.core.worlds import FactRow, World

END_S = 1 << 40


def pace_of(state: State, job: int) -> Fraction:
    """Return the seconds of its work that a job gets done in a second where it stands."""
    return pace_on(state, job, int(state.c.jobs[col.J_PLACED_TYPE, job]))


def pace_on(state: State, job: int, kind: int) -> Fraction:
    """Return the same on devices of a type."""
    pool, jobs = state.pool, state.c.jobs
    named = int(jobs[col.J_PREFERRED, job]) % 64
    here = pool.types[kind]
    reference = pool.rate_of(pool.types[named - 1]).speed_milli if named else 1000
    return Fraction(pool.rate_of(here).speed_milli, reference)


class Machines:
    """Started work ends when it is done; told to stop, it leaves at once or some seconds later."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.kept_s: dict[int, int] = {}
        self.running: dict[int, tuple[int, int]] = {}  # job -> attempt, end_at_s
        self.leaving: dict[int, tuple[int, int]] = {}  # job -> leaves_at_s, saved

    def next_s(self) -> int:
        ends = [end_s for _, end_s in self.running.values()]
        return min([*ends, *(at_s for at_s, _ in self.leaving.values())], default=END_S)

    def observe(self, now_s: int) -> list[FactRow]:
        """Return ends and departures up to now, by job."""
        facts: list[FactRow] = []
        for job, (attempt, end_s) in sorted(self.running.items()):
            if end_s <= now_s:
                state = col.FAILED if self._rng.random() < 0.05 else col.COMPLETED
                facts.append((col.K_ENDED, now_s, job, attempt, state))
            elif job in self.leaving and self.leaving[job][0] <= now_s:
                facts.append((col.K_VACATED, now_s, job, attempt, self.leaving[job][1]))
        for fact in facts:
            self.leaving.pop(fact[2], None)
            if fact[0] == col.K_ENDED:
                del self.running[fact[2]]
        return facts

    def carry_out(self, state: State, record: CycleRecord) -> None:
        drain_s = state.policy.drain_s
        for kind, at_s, job, a, _, c, d, _ in record.decided.tolist():
            if kind == col.K_STARTED:
                column = state.column_of(job)
                left_s = max(0, int(state.c.jobs[col.J_WORK, column]) - self.kept_s.get(job, 0))
                gpus = int(state.c.jobs[col.J_GPUS, column])
                left_s = -(-left_s * gpus // (d or gpus))
                self.running[job] = (a, at_s + ceil(left_s / pace_of(state, column)))
            elif kind == col.K_RECLASSED:
                self.running[job] = (a, self.running[job][1])
            elif kind == col.K_STOPPED:
                self.kept_s[job] = c
                del self.running[job]
            elif kind == col.K_STOP_ORDERED:
                stay_s = int(self._rng.integers(0, drain_s + 1))
                self.leaving[job] = (at_s + stay_s, int(self._rng.integers(0, 2)))


class Drive:
    """One run. Iterate over ``cycles``; each leaves a checked state and one more record."""

    def __init__(self, world: World, *, fold_too: bool = True) -> None:
        self.world = world
        self.state, self.records = State(world.pool, world.policy), list[CycleRecord]()
        self.folded = State(world.pool, world.policy) if fold_too else None
        self.machines = Machines(world.seed)
        self.events, self._job, self._fact, self._last_s = 0, 0, 0, -1
        self._submit_at_s = [*world.jobs[col.J_SUBMIT].tolist(), END_S]
        self._script_at_s = [*(at_s for at_s, _ in world.script), END_S]

    def next_s(self) -> int:
        alarm_s = self.state.next_alarm_s
        at_s = min(
            self._submit_at_s[self._job],
            self._script_at_s[self._fact],
            self.machines.next_s(),
            END_S if alarm_s is None else alarm_s,
        )
        return at_s if at_s >= END_S else max(at_s, self._last_s + 1)

    def cycles(self) -> Iterator[CycleRecord]:
        """Run to the end: one cycle a moment."""
        while (now_s := self.next_s()) < END_S:
            record = self.step(now_s)
            self.check(record)
            yield record

    def observed(self, now_s: int) -> Observed:
        """Return what happened up to a moment, in the order of DESIGN section 8."""
        script: list[FactRow] = []
        while self._script_at_s[self._fact] <= now_s:
            kind, _, *rest = self.world.script[self._fact][1]
            # Nobody cancels a job that is not there yet.
            if kind != col.K_CANCELLED or rest[0] < self._job:
                script.append((kind, now_s, *rest))
            self._fact += 1
        script.sort(key=lambda fact: (fact[0] == col.K_CANCELLED, fact[0]))
        chosen = slice(
            self._job, int(np.searchsorted(self.world.jobs[col.J_SUBMIT], now_s, "right"))
        )
        submitted = [
            (col.K_SUBMITTED, int(self.world.jobs[col.J_SUBMIT, job]), job)
            for job in range(chosen.start, chosen.stop)
        ]
        self._job = chosen.stop
        first = [] if self.records else self.world.allocations
        facts = [*first, *self.machines.observe(now_s), *script, *submitted]
        jobs = self.world.jobs_of(chosen) if submitted else no_jobs()
        return Observed([] if self.records else self.world.accounts, jobs, facts_of(facts))

    def step(self, now_s: int) -> CycleRecord:
        observed = self.observed(now_s)
        record = plan_cycle(self.state, observed, now_s).record
        self.records.append(record)
        self.machines.carry_out(self.state, record)
        self.events += len(record.observed) + len(record.decided)
        self._last_s = now_s
        return record

    def check(self, record: CycleRecord) -> None:
        found = violations(self.state)
        assert not found, f"{self.said()}: {found}"
        if self.folded is not None:
            self.folded.fold(unpack(pack(record)))
            assert self.folded.digest() == self.state.digest(), f"{self.said()}: fold differs"

    def said(self) -> str:
        """Return the line that repeats this run, and where it stands."""
        world = self.world
        return (
            f"random_world({world.seed}, {world.policy.name!r}, jobs={world.jobs.shape[1]}) "
            f"cycle {len(self.records)} at {self._last_s} s"
        )


def drive(world: World) -> Drive:
    """Run a world to its end with every check after every cycle."""
    run = Drive(world)
    for _ in run.cycles():
        pass
    return run
