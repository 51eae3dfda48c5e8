"""`dure twin run`: jobs, a pool and a policy in; tables, a summary and a ledger out."""

import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from dure.app.runtime import twin_ledger
from dure.core import columns as col
from dure.core.policy import Policy
from dure.drivers.imagined import ImaginedHands
from dure.services.pools import PoolRuntime
from dure.services.ports import Ledger
from dure.twin.chronicle import Chronicle
from dure.twin.clockwork import CHECK_EVERY, NEVER_S, Clockwork, Script
from dure.twin.demand import (
    Owners,
    allocation_rights,
    allocation_shapes,
    columns_of,
    fault_facts,
    groups_of,
    pool_of,
    rights_facts,
    service_faults,
)
from dure.twin.parts import job_tables
from dure.twin.tally import (
    Summary,
    faults_table,
    nodes_table,
    summary,
    write_table,
)

Tell = Callable[[int, int], None]


@dataclass
class Inputs:
    """What a run is made of; tables as ``twin.tables`` reads them."""

    jobs: pl.DataFrame
    pool: pl.DataFrame
    policy: Policy
    allocations: pl.DataFrame | None = None
    faults: pl.DataFrame | None = None
    seed: int = 0
    days: int | None = None
    check_every: int = CHECK_EVERY


@dataclass
class Result:
    """What came of it; ``timing`` differs between machines, everything else does not."""

    summary: Summary
    nodes: pl.DataFrame
    jobs: pl.DataFrame
    placements: pl.DataFrame
    faults: pl.DataFrame
    reclaims: pl.DataFrame
    timing: dict[str, float] = field(default_factory=dict)


class Run:
    """One run of the twin, prepared; ``go`` runs it.

    Args:
        ledger: where cycles are recorded; in memory if none is given.
    """

    def __init__(self, inputs: Inputs, ledger: Ledger | None = None) -> None:
        self.inputs = inputs
        pool = pool_of(inputs.pool)
        rights = allocation_rights(inputs.allocations)
        owners = Owners.of(pool, rights, groups_of(inputs.allocations))
        jobs = columns_of(inputs.jobs, pool, owners)
        named = inputs.jobs["provider"] != ""
        self.unknown_providers = int((named.to_numpy() & (jobs.columns[col.J_PROVIDER] < 0)).sum())
        submit_at_s = jobs.columns[col.J_SUBMIT]
        self.from_s = int(submit_at_s[0]) if submit_at_s.size else 0
        self.faults = _all_faults(inputs, pool.in_service_at_s, self.from_s)
        script = Script(
            owners.accounts,
            rights_facts(
                pool,
                owners,
                rights,
                allocation_shapes(inputs.allocations),
                at_s=self.from_s,
                spares_pct=inputs.policy.spares_kept_pct,
            ),
            jobs,
            submit_at_s,
            fault_facts(self.faults, pool, start_s=self.from_s),
        )
        hands = ImaginedHands()
        self.runtime = PoolRuntime(ledger if ledger is not None else twin_ledger(None), hands)
        self.runtime.found(pool, inputs.policy, seed=inputs.seed, at_s=self.from_s)
        self.chronicle = Chronicle()
        self.runtime.listeners.append(self.chronicle)
        self.clockwork = Clockwork(self.runtime, hands, script, check_every=inputs.check_every)

    @property
    def horizon_s(self) -> int:
        days = self.inputs.days
        return NEVER_S - 1 if days is None else self.from_s + days * 86_400

    def go(self, tell: Tell | None = None) -> Result:
        """Run to the end of the work, or to the horizon."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.clockwork.run(self.horizon_s, tell)
        timing = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        result = self.result()
        result.timing = timing | passes(self.clockwork.pass_ns)
        return result

    def result(self) -> Result:
        """Return the tables up to now."""
        state = self.runtime.state
        to_s = self._end_s()
        state.stand_still_until(to_s)
        nodes = nodes_table(state)
        jobs, placements, reclaims = job_tables(self.chronicle, state, to_s=to_s)
        return Result(
            summary(
                state,
                jobs,
                reclaims,
                from_s=self.from_s,
                to_s=to_s,
                seed=self.inputs.seed,
                fragmented_pct=self.chronicle.fragmented_pct(state),
            ),
            nodes,
            jobs,
            placements,
            faults_table(self.faults, nodes, to_s=to_s),
            reclaims,
        )

    def _end_s(self) -> int:
        """Return the last end, or the horizon if one was set and work is left at it."""
        state = self.runtime.state
        if self.inputs.days is not None:
            return max(self.horizon_s, state.now_s)
        return max(state.now_s, self.from_s)


def _all_faults(inputs: Inputs, in_service_at_s: col.IntArray, from_s: int) -> pl.DataFrame:
    late = service_faults(pool_of(inputs.pool), start_s=from_s)
    if inputs.faults is None:
        return late
    return pl.concat([late, inputs.faults.select(late.columns)])


def passes(pass_ns: list[int]) -> dict[str, float]:
    """Return what a run took of the machine: peak memory, and how long its cycles were."""
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    passes = np.array(pass_ns or [0]) / 1e6
    return {
        "rss_mb_max": round(peak_kib / 1024, 1),
        "engine_pass_ms_p50": round(float(np.quantile(passes, 0.5)), 4),
        "engine_pass_ms_p99": round(float(np.quantile(passes, 0.99)), 4),
    }


def write_result(result: Result, out: Path) -> None:
    """Write the tables, ``summary.json`` and ``timing.json`` to a folder that exists."""
    for name in ("nodes", "jobs", "placements", "faults", "reclaims"):
        write_table(getattr(result, name), out / f"{name}.parquet")
    text = json.dumps(result.summary, ensure_ascii=False, indent=1, sort_keys=True)
    (out / "summary.json").write_text(text + "\n")
    (out / "timing.json").write_text(json.dumps(result.timing, indent=1, sort_keys=True) + "\n")
