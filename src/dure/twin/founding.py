"""``dure twin run founding``, and how a platform begins with it (docs/founding.md)."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from dure.app.ledgers import Ledgers
from dure.app.runtime import twin_ledger
from dure.app.settings import FOUNDING
from dure.core.calendar import DAY_S
from dure.core.errors import InputError
from dure.core.policy import Policy
from dure.services.keeping import Follows
from dure.services.ports import Ledger
from dure.twin.chronicle import Chronicle
from dure.twin.endless import Tell
from dure.twin.founding_pool import FOUNDING_TO_S, OPERATION_S, Founding
from dure.twin.founding_reports import (
    Document,
    allocation_table,
    month_document,
    write_round,
    write_use,
)
from dure.twin.parts import job_tables
from dure.twin.run import Result, passes, write_result
from dure.twin.tally import faults_table, nodes_table, summary, write_table

if TYPE_CHECKING:
    from dure.ledger.lease import Lease

__all__ = ["FOUNDING_TO_S", "OPERATION_S", "Founding", "begin_founding", "run_founding"]

LEDGER = "ledger.db"


def run_founding(
    *,
    seed: int = 1,
    days: int | None = None,
    out: Path | None = None,
    policy: Policy | None = None,
    tell: Tell | None = None,
) -> Result:
    """Play the scenario from the call on and write what came of it.

    Args:
        seed: of all chance.
        days: of operation; to its published end if not given.
        out: where tables, reports and the ledger go; nothing is written if not given.
        policy: ``dure`` if not given.
        tell: called now and then with (moment, jobs submitted so far).

    Raises:
        InputError: if ``out`` cannot be written to.
    """
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    played = Played(_ledger(out), seed=seed, policy=policy)
    to_s = FOUNDING_TO_S if days is None else OPERATION_S + days * DAY_S
    result = played.run(to_s, tell)
    if out is not None:
        played.write(result, out)
    played.founding.ledger.close()
    result.timing = {
        "wall_s": time.perf_counter() - wall_s,
        "cpu_s": time.process_time() - cpu_s,
    } | passes(list(played.founding.loop.pass_ns))
    if out is not None:
        write_result(result, out)
    return result


class Played:
    """One run of the scenario whose every placement is written down."""

    def __init__(self, ledger: Ledger, *, seed: int, policy: Policy | None) -> None:
        self.founding = Founding(ledger, seed=seed, policy=policy)
        self._chronicle, self._drawn = Chronicle(), list[pl.DataFrame]()
        self.founding.runtime.listeners.append(self._chronicle)
        self.founding.drawn = self._drawn.append
        self.documents: list[Document] = []

    def run(self, to_s: int, tell: Tell | None = None) -> Result:
        """Run up to the last second before ``to_s`` and account for all of it."""
        founding, chronicle = self.founding, self._chronicle
        founding.run_to(to_s - 1, tell)
        state = founding.runtime.state
        state.stand_still_until(to_s)
        nodes = nodes_table(state)
        jobs, placements, reclaims = job_tables(chronicle, state, to_s=to_s)
        from_s = founding.world.epoch_s
        figures = summary(
            state,
            jobs,
            reclaims,
            from_s=from_s,
            to_s=to_s,
            seed=founding.seed,
            fragmented_pct=chronicle.fragmented_pct(state),
        )
        faults = faults_table(founding.world.faults_between(from_s, to_s), nodes, to_s=to_s)
        self.documents = self._documents(placements, jobs, to_s)
        return Result(figures, nodes, jobs, placements, faults, reclaims)

    def write(self, result: Result, out: Path) -> None:
        """Write what ``dure twin run`` does not: inputs, reports, the state for a quick start."""
        world = self.founding.world
        for document in self.documents:
            write_use(document, out)
        write_round(self.founding.programme, self.founding.published, out)
        write_table(world.nodes, out / "pool.parquet")
        write_table(pl.concat(self._drawn), out / "jobs-in.parquet")

    def _documents(self, placements: pl.DataFrame, jobs: pl.DataFrame, to_s: int) -> list[Document]:
        founding = self.founding
        allocations = allocation_table(founding.programme)
        return [
            month_document(
                founding.meter.month(month, to_s),
                placements,
                jobs,
                allocations,
                pool=founding.world.pool,
                own_use=founding.world.own_use(),
            )
            for month in founding.meter.months()
        ]


def is_begun(ledger: Ledger, to_s: int = FOUNDING_TO_S) -> bool:
    """Tell whether the scenario has run to its end in this ledger."""
    last = next(iter(ledger.read(ledger.head()[0] - 1)), None)
    return last is not None and last.at_s >= to_s


def begin_founding(
    ledgers: Ledgers,
    *,
    lease: "Lease | None" = None,
    followers: Mapping[str, Follows] | None = None,
    seed: int = 1,
    to_s: int = FOUNDING_TO_S,
    tell: Tell | None = None,
) -> Founding:
    """Open the scenario for life, after running it to its end if it has not been run yet.

    Args:
        ledgers: the platform's; the scenario's is ``founding``.
        lease: under which it is written.
        followers: told every record, by name.
        seed: of a new one; a scenario that is there keeps its own.
        to_s: its end, up to which it runs before anybody looks.
        tell: called now and then with (moment, jobs submitted so far).
    """
    ledger = ledgers.open(FOUNDING, lease=lease)
    if not is_begun(ledger, to_s):
        ledger.close()
        # Nobody acknowledged anything yet, so the first months need not survive a power cut.
        grouped = ledgers.open_grouped(FOUNDING, lease=lease)
        first = Founding(grouped, seed=seed, followers=followers)
        first.run_to(to_s, tell)
        first.keep()
        grouped.close()
        ledger = ledgers.open(FOUNDING, lease=lease)
    return Founding(ledger, followers=followers)


def _ledger(out: Path | None) -> Ledger:
    if out is None:
        return twin_ledger(None)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise InputError(str(out), found=str(wrong), expected="a folder to write to") from None
    return twin_ledger(out / LEDGER)
