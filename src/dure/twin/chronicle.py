"""What a run wrote down, as tables: attempts and placements (DESIGN section 8)."""

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.forgetting import JobRows
from dure.core.moves import bits_of
from dure.core.state import CycleRecord, State, no_facts

SAMPLE_EVERY = 64  # cycles between two looks at fragmentation


class Chronicle:
    """Listens to a pool's cycles and keeps the facts that the tables are made of."""

    _KEPT = (
        col.K_STARTED,
        col.K_PLACED,
        col.K_ENDED,
        col.K_STOPPED,
        col.K_RECLASSED,
        col.K_LENT,
        col.K_NOTICED,
        col.K_CLAIM_ENDED,
        col.K_SUBMITTED,
        col.K_CLAIMED,
    )

    def __init__(self) -> None:
        self._table = _table_of(no_facts())
        self._facts: list[IntArray] = []
        self._kept = 0
        self._cycles = 0
        self._fragmented_milli: list[int] = []

    def __call__(self, state: State, record: CycleRecord) -> None:
        if len(record.observed):
            self._facts.append(record.observed)
        if len(record.decided):
            self._facts.append(record.decided)
        if self._cycles % SAMPLE_EVERY == 0:
            nodes = state.c.nodes
            broken = nodes[col.N_FREE] < nodes[col.N_GPUS]
            self._fragmented_milli.append(int(nodes[col.N_IDLE, broken].sum()))
        self._cycles += 1

    def facts(self) -> pl.DataFrame:
        """Return the facts kept, in order, with their position as ``at``."""
        is_kept = np.zeros(64, dtype=bool)
        is_kept[list(self._KEPT)] = True
        rows = np.concatenate(self._facts) if self._facts else no_facts()
        late = _table_of(rows[is_kept[rows[:, 0]]], first=self._kept)
        self._table, self._facts = pl.concat([self._table, late]), []
        self._kept += late.height
        return self._table

    def take(self, numbers: IntArray) -> pl.DataFrame:
        """Hand over the facts of some jobs and keep those of the others."""
        facts = self.facts()
        is_theirs = facts["job"].is_in(pl.Series(numbers).implode())
        self._table = facts.filter(~is_theirs)
        return facts.filter(is_theirs)

    def fragmented_pct(self, state: State) -> float:
        """Return the mean share of the pool's GPUs that stood idle on broken nodes, percent."""
        capacity = int(state.c.nodes[col.N_GPUS].sum()) * col.WHOLE
        if not self._fragmented_milli:
            return 0.0
        return round(100 * float(np.mean(self._fragmented_milli)) / capacity, 4)


def _table_of(rows: IntArray, *, first: int = 0) -> pl.DataFrame:
    names = ("kind", "at_s", "job", "a", "b", "c", "d", "e")
    return pl.DataFrame(dict(zip(names, rows.T, strict=True))).with_row_index("at", offset=first)


def names_of(jobs: JobRows, numbers: pl.Series) -> pl.Series:
    """Return the names of jobs given by number, all of them among these."""
    names = pl.Series(jobs.names, dtype=pl.String)
    return names.gather(np.searchsorted(jobs.numbers, numbers.to_numpy()))


def attempts_table(facts: pl.DataFrame, *, to_s: int) -> pl.DataFrame:
    """Return a row an attempt: job, attempt, class, from_s, to_s, cause and the start it stems
    from.
    """
    opened = facts.filter(pl.col("kind").is_in([col.K_STARTED, col.K_RECLASSED])).select(
        "job", attempt="a", kind_of="b", from_s="at_s", start=pl.col("kind") == col.K_STARTED
    )
    done = facts.filter(pl.col("kind") == col.K_ENDED)
    done = done.select("job", attempt="a", to_s="at_s", cause=pl.lit(col.BY_DONE, pl.Int64))
    stopped = facts.filter(pl.col("kind") == col.K_STOPPED)
    stopped = stopped.select("job", attempt="a", to_s="at_s", cause="b")
    resized = facts.filter(pl.col("kind") == col.K_RECLASSED)
    resized = resized.select(
        "job", attempt=pl.col("a") - 1, to_s="at_s", cause=pl.lit(col.BY_RESIZE, pl.Int64)
    )
    closed = pl.concat([done, stopped, resized]).unique(["job", "attempt"], keep="first")
    table = opened.join(closed, on=["job", "attempt"], how="left").sort("job", "attempt")
    return table.with_columns(
        pl.col("to_s").fill_null(to_s),
        pl.col("cause").fill_null(col.BY_HORIZON),
        root=pl.when(pl.col("start")).then(pl.col("attempt")).forward_fill().over("job"),
    )


def placements_table(
    facts: pl.DataFrame, attempts: pl.DataFrame, jobs: JobRows, state: State
) -> pl.DataFrame:
    """Return ``placements.parquet`` of these jobs, a row a job, attempt, node and class; and before
    its columns each job's ``number``, in whose order the rows stand.
    """
    placed = facts.filter(pl.col("kind").is_in([col.K_STARTED, col.K_PLACED]))
    placed = placed.with_columns(
        root=pl.when(pl.col("kind") == col.K_STARTED).then(pl.col("a")).forward_fill()
    ).filter(pl.col("kind") == col.K_PLACED)
    placed = placed.select("job", "root", node="a", device_mask="b", each_milli="c")
    table = attempts.join(placed, on=["job", "root"], how="inner").sort("job", "attempt", "node")
    table = _by_class(table, facts)
    masks = table["device_mask"].to_numpy()
    table = table.with_columns(
        gpu_milli=pl.Series(bits_of(masks) * table["each_milli"].to_numpy(), dtype=pl.Int64)
    )
    nodes = pl.Series(state.node_names, dtype=pl.String)
    kinds = pl.Series(col.KINDS, dtype=pl.String)
    causes = pl.Series(col.END_CAUSES, dtype=pl.String)
    return table.select(
        number=table["job"],
        job=names_of(jobs, table["job"]),
        attempt="attempt",
        **{"class": kinds.gather(table["kind_of"])},
        node=nodes.gather(table["node"]),
        device_mask="device_mask",
        gpu_milli="gpu_milli",
        from_s="from_s",
        to_s="to_s",
        end_cause=causes.gather(table["cause"]),
    )


def _by_class(table: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Give what own gangs have on loan rows of its own, behind the others of the node."""
    opened = pl.col("kind").is_in([col.K_STARTED, col.K_RECLASSED])
    lent = facts.filter(opened | (pl.col("kind") == col.K_LENT))
    lent = lent.with_columns(attempt=pl.when(opened).then(pl.col("a")).forward_fill().over("job"))
    lent = lent.filter(pl.col("kind") == col.K_LENT).select("job", "attempt", node="a", lent="b")
    if lent.is_empty():
        return table
    table = table.join(lent, on=["job", "attempt", "node"], how="left", maintain_order="left")
    table = table.with_columns(pl.col("lent").fill_null(0))
    own = table.with_columns(device_mask=pl.col("device_mask") - pl.col("lent"))
    on_loan = table.with_columns(device_mask="lent", kind_of=pl.lit(col.LOAN, pl.Int64))
    parts = pl.concat([own, on_loan]).filter(pl.col("device_mask") > 0)
    return parts.sort("job", "attempt", "node", "kind_of")
