"""A year of a large pool in little memory (``dure bench year``): nothing that is over is kept.

Jobs are drawn a day at a time, the state forgets them when they are over, their rows go to parts of
the tables, cycles to the ledger's file.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dure.app.runtime import twin_ledger
from dure.core.policy import policy_named
from dure.drivers.imagined import ImaginedHands
from dure.ledger.codec import decode_events
from dure.services.asked import Demand
from dure.services.ports import Ledger
from dure.services.reading import EventReader
from dure.twin.chronicle import Chronicle
from dure.twin.endless import Endless, ScriptedPool, Tell
from dure.twin.parts import TablesInParts
from dure.twin.run import passes
from dure.twin.tally import (
    SUMMARISED,
    Summary,
    faults_table,
    nodes_table,
    summary,
    write_table,
)
from dure.twin.year_world import FROM_S, YearWorld

# The invariants are checked in full once in so many cycles.
CHECK_EVERY = 65_536


@dataclass(frozen=True, slots=True)
class Year:
    """What came of a run; its tables lie in a folder."""

    summary: Summary
    timing: dict[str, float]


def year_pool(world: YearWorld, ledger: Ledger) -> ScriptedPool:
    """Return the world's pool, founded, under the policy ``dure`` with lending and swaps on."""
    pool = ScriptedPool(
        ledger,
        ImaginedHands(),
        reader=EventReader(Demand()),
        decode=decode_events,
        rights=world.rights(),
    )
    pool.found(world.pool, policy_named("dure", swap=True), seed=world.seed, at_s=FROM_S)
    return pool


def run_year(
    world: YearWorld, out: Path, *, check_every: int = CHECK_EVERY, tell: Tell | None = None
) -> Year:
    """Run a world to its last second; write tables, ``summary.json``, ``timing.json``, the ledger.

    Args:
        out: a folder that exists.
        check_every: cycles between two full checks of the invariants.
        tell: called now and then with (moment, jobs submitted so far).
    """
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    ledger = twin_ledger(out / "ledger.db")
    pool, chronicle = year_pool(world, ledger), Chronicle()
    pool.listeners.append(chronicle)
    tables = TablesInParts(chronicle, pool.state, out)
    loop = Endless(pool, world, first_day_s=FROM_S, check_every=check_every)
    loop.run_to(world.to_s - 1, tell)
    run_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    ledger.close()
    state, to_s = pool.state, world.to_s
    state.stand_still_until(to_s)
    nodes, reclaims = nodes_table(state), tables.finish(to_s=to_s)
    write_table(nodes, out / "nodes.parquet")
    write_table(faults_table(world.faults_drawn, nodes, to_s=to_s), out / "faults.parquet")
    write_table(reclaims, out / "reclaims.parquet")
    figures = summary(
        state,
        pl.read_parquet(out / "jobs.parquet", columns=list(SUMMARISED)),
        reclaims,
        from_s=FROM_S,
        to_s=to_s,
        seed=world.seed,
        fragmented_pct=chronicle.fragmented_pct(state),
    )
    timing = {
        "run_wall_s": run_s[0],
        "run_cpu_s": run_s[1],
        "wall_s": time.perf_counter() - wall_s,
        "cpu_s": time.process_time() - cpu_s,
        "cycles": loop.cycles,
        "jobs_per_cpu_s": state.jobs_listed / run_s[1],
    } | passes(list(loop.pass_ns))
    for name, body in (("summary", figures), ("timing", timing)):
        text = json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True)
        (out / f"{name}.json").write_text(text + "\n")
    return Year(figures, timing)
