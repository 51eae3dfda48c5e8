"""``plan_cycle``: one pure step of the pool, for the live pool and the twin alike.

Inside, in fixed order (``core.planning``): settle receipts and ends, faults, reclaims due, order,
place, reclaim for who was refused, lend, measure.
"""

from dataclasses import dataclass

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.planning import PLANNERS
from dure.core.state import Account, CycleRecord, Jobs, State, no_jobs


@dataclass(frozen=True)
class Observed:
    """What happened since the last cycle: new owners, new jobs, and facts in their order."""

    accounts: list[Account]
    jobs: Jobs
    facts: IntArray


@dataclass(frozen=True)
class Plan:
    """What will be done: facts in the order they were decided; nothing is left to choose."""

    record: CycleRecord

    @property
    def facts(self) -> IntArray:
        """Return what was decided, shape (fact, FACT_WIDTH)."""
        return self.record.decided


def plan_cycle(state: State, observed: Observed, now_s: int) -> Plan:
    """Decide one cycle. The state is consumed: it moves by the very facts that the plan lists.

    Args:
        state: the state up to this moment.
        observed: what happened since.
        now_s: the pool's clock; one that went back counts as standing still.
    """
    state.prepare(observed.accounts, observed.jobs, observed.facts)
    count = PLANNERS[state.policy.name](state.c, now_s, observed.facts)
    decided = state.c.facts[:count].copy()
    return Plan(CycleRecord(now_s, True, observed.accounts, observed.jobs, observed.facts, decided))


def replan(state: State, record: CycleRecord) -> IntArray:
    """Decide a recorded cycle again from what it observed; return the facts decided now."""
    observed = Observed(record.accounts, record.jobs, record.observed)
    return plan_cycle(state, observed, record.at_s).facts


def facts_of(rows: list[tuple[int, ...]]) -> IntArray:
    """Return facts as a table from ``(kind, at_s, job, a, b, c, d, e)``; short rows end in
    zeros.
    """
    table = np.zeros((len(rows), col.FACT_WIDTH), dtype=np.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


__all__ = ["Observed", "Plan", "facts_of", "no_jobs", "plan_cycle", "replan"]
