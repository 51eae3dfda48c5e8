"""Jobs, placements and reclaims of a run: whole at its end, or in parts while it goes on.

A run of millions of jobs does not keep what is over. When its state forgets jobs, their rows are
written to a part; at the end the parts become the same tables, in the same order, as if nothing
had been forgotten, a stretch of numbers at a time.
"""

import shutil
from pathlib import Path

import polars as pl

from dure.core.forgetting import JobRows
from dure.core.state import State
from dure.twin.chronicle import Chronicle, attempts_table, placements_table
from dure.twin.reclaims import Reclaims
from dure.twin.tally import jobs_table

# So many jobs, with their placements, are in memory at once when the parts are put in order.
STRETCH = 1 << 19
TABLES = ("jobs", "placements")


def job_tables(
    chronicle: Chronicle, state: State, *, to_s: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return jobs, placements and reclaims of a run that has forgotten nothing."""
    rows, facts, reclaims = state.job_rows(), chronicle.facts(), Reclaims()
    attempts = attempts_table(facts, to_s=to_s)
    reclaims.add(facts, rows, state)
    return (
        jobs_table(rows, state, to_s=to_s),
        placements_table(facts, attempts, rows, state).drop("number"),
        reclaims.table(cleaning_s=state.policy.cleaning_s),
    )


class TablesInParts:
    """The archive of a state: writes down the jobs that it forgets.

    Args:
        chronicle: listens to the state's cycles.
        out: a folder, where ``jobs.parquet`` and ``placements.parquet`` will be; the parts lie in a
            folder of their own in it until then.
    """

    def __init__(self, chronicle: Chronicle, state: State, out: Path) -> None:
        self._chronicle, self._state, self._out = chronicle, state, out
        self._reclaims, self._parts = Reclaims(), 0
        self._folder = out / "parts"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        state.archive = self.write

    def write(self, rows: JobRows, *, to_s: int | None = None) -> None:
        """Write a part; what has not ended by ``to_s`` is counted up to it."""
        state, to_s = self._state, self._state.now_s if to_s is None else to_s
        facts = self._chronicle.take(rows.numbers)
        attempts = attempts_table(facts, to_s=to_s)
        self._reclaims.add(facts, rows, state)
        jobs = jobs_table(rows, state, to_s=to_s).with_columns(number=rows.numbers)
        placements = placements_table(facts, attempts, rows, state)
        for name, table in zip(TABLES, (jobs, placements), strict=True):
            # The statistics tell which parts a stretch of numbers may be in.
            table.write_parquet(self._part(name, self._parts), compression="lz4", statistics=True)
        self._parts += 1

    def finish(self, *, to_s: int) -> pl.DataFrame:
        """Write the last part and put all in order; return the reclaims."""
        self.write(self._state.job_rows(), to_s=to_s)
        for name in TABLES:
            self._put_in_order(name)
        shutil.rmtree(self._folder)
        return self._reclaims.table(cleaning_s=self._state.policy.cleaning_s)

    def _put_in_order(self, name: str) -> None:
        parts = pl.scan_parquet([self._part(name, part) for part in range(self._parts)])
        stretches = []
        for first in range(0, max(self._state.jobs_listed, 1), STRETCH):
            here = pl.col("number").is_between(first, first + STRETCH, closed="left")
            path = self._folder / f"{name}-in-order-{first}.parquet"
            # A job's placements are of one part, and stand in their order there.
            table = parts.filter(here).sort("number", maintain_order=True).drop("number")
            table.collect().write_parquet(path, compression="lz4")
            stretches.append(path)
        pl.scan_parquet(stretches).sink_parquet(
            self._out / f"{name}.parquet", compression="zstd", statistics=False
        )

    def _part(self, name: str, number: int) -> Path:
        return self._folder / f"{name}-{number:06}.parquet"
