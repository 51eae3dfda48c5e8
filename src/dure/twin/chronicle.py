"""What a run wrote down, as tables: placements, reclaims, jobs (DESIGN section 8)."""

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.moves import bits_of
from dure.core.state import CycleRecord, State

SAMPLE_EVERY = 64  # cycles between two looks at fragmentation


class Chronicle:
    """Listens to a pool's cycles and keeps the facts that the tables are made of."""

    _KEPT = (
        col.K_STARTED,
        col.K_PLACED,
        col.K_ENDED,
        col.K_STOPPED,
        col.K_RECLASSED,
        col.K_NOTICED,
        col.K_WITHDRAWN,
        col.K_CLAIM_ENDED,
    )

    def __init__(self) -> None:
        self._facts: list[IntArray] = []
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
        parts = [part[is_kept[part[:, 0]]] for part in self._facts]
        rows = np.concatenate(parts) if parts else np.zeros((0, col.FACT_WIDTH), dtype=np.int64)
        names = ("kind", "at_s", "job", "a", "b", "c", "d", "e")
        return pl.DataFrame(dict(zip(names, rows.T, strict=True))).with_row_index("at")

    def fragmented_pct(self, state: State) -> float:
        """Return the mean share of the pool's GPUs that stood idle on broken nodes, percent."""
        capacity = int(state.c.nodes[col.N_GPUS].sum()) * col.WHOLE
        if not self._fragmented_milli:
            return 0.0
        return round(100 * float(np.mean(self._fragmented_milli)) / capacity, 4)


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


def placements_table(facts: pl.DataFrame, state: State, *, to_s: int) -> pl.DataFrame:
    """Return ``placements.parquet``: a row a job, attempt and node."""
    attempts = attempts_table(facts, to_s=to_s)
    placed = facts.filter(pl.col("kind").is_in([col.K_STARTED, col.K_PLACED]))
    placed = placed.with_columns(
        root=pl.when(pl.col("kind") == col.K_STARTED).then(pl.col("a")).forward_fill()
    ).filter(pl.col("kind") == col.K_PLACED)
    masks = placed["b"].to_numpy()
    placed = placed.select("job", "root", node="a", device_mask="b").with_columns(
        gpu_milli=pl.Series(bits_of(masks) * placed["c"].to_numpy(), dtype=pl.Int64)
    )
    table = attempts.join(placed, on=["job", "root"], how="inner").sort("job", "attempt", "node")
    names = pl.Series(state.job_names, dtype=pl.String)
    nodes = pl.Series(state.node_names, dtype=pl.String)
    kinds = pl.Series(col.KINDS, dtype=pl.String)
    causes = pl.Series(col.END_CAUSES, dtype=pl.String)
    return table.select(
        job=names.gather(table["job"]),
        attempt="attempt",
        **{"class": kinds.gather(table["kind_of"])},
        node=nodes.gather(table["node"]),
        device_mask="device_mask",
        gpu_milli="gpu_milli",
        from_s="from_s",
        to_s="to_s",
        end_cause=causes.gather(table["cause"]),
    )


def reclaims_table(facts: pl.DataFrame, state: State, *, to_s: int) -> pl.DataFrame:
    """Return ``reclaims.parquet``: a row for each borrower that a claim gave notice to."""
    notices = facts.filter(pl.col("kind") == col.K_NOTICED)
    ends = attempts_table(facts, to_s=to_s).filter(pl.col("cause") != col.BY_HORIZON)
    claim_ends = facts.filter(pl.col("kind") == col.K_CLAIM_ENDED)
    withdrawn = facts.filter(pl.col("kind") == col.K_WITHDRAWN)
    by_borrower = _moments(ends["job"], ends["to_s"])
    by_claimant = _moments(claim_ends["job"], claim_ends["at"], claim_ends["a"], claim_ends["at_s"])
    taken_back = _moments(withdrawn["job"], withdrawn["at"], withdrawn["a"])
    rows = []
    for at, asked_s, borrower, claimant, milli, due_s in notices.select(
        "at", "at_s", "job", "a", "d", "e"
    ).iter_rows():
        vacated = next((s for (s,) in by_borrower.get(borrower, ()) if s >= asked_s), None)
        ended = next((row for row in by_claimant.get(claimant, ()) if row[0] > at), None)
        is_back = any(
            row[0] > at and row[1] == claimant and (ended is None or row[0] < ended[0] + 100_000)
            for row in taken_back.get(borrower, ())
        )
        rows.append(
            _reclaim(state, asked_s, borrower, claimant, milli, due_s, vacated, ended, is_back)
        )
    schema = {
        "lender": pl.String,
        "claimant_job": pl.String,
        "borrower_job": pl.String,
        "gpus": pl.Int64,
        "asked_at_s": pl.Int64,
        "due_at_s": pl.Int64,
        "vacated_at_s": pl.Int64,
        "cleaned_at_s": pl.Int64,
        "started_at_s": pl.Int64,
        "outcome": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _moments(job: pl.Series, *columns: pl.Series) -> dict[int, list[tuple[int, ...]]]:
    """Group rows by job, each group in order of its first column."""
    table: dict[int, list[tuple[int, ...]]] = {}
    for key, *row in zip(job.to_list(), *(c.to_list() for c in columns), strict=True):
        table.setdefault(key, []).append(tuple(row))
    for group in table.values():
        group.sort()
    return table


def _reclaim(
    state: State,
    asked_s: int,
    borrower: int,
    claimant: int,
    milli: int,
    due_s: int,
    vacated_s: int | None,
    ended: tuple[int, ...] | None,
    is_back: bool,
) -> tuple[object, ...]:
    outcome, started_s = "open", None
    if ended is not None:
        left_in_time = vacated_s is not None and vacated_s <= ended[2]
        if ended[1] == col.CLAIM_FAULT:
            outcome = "fault"
        elif ended[1] == col.CLAIM_CANCELLED or not left_in_time or (is_back and not left_in_time):
            outcome = "withdrawn"
        else:
            outcome, started_s = "returned", ended[2]
    if outcome == "withdrawn" or (ended is not None and vacated_s and vacated_s > ended[2]):
        vacated_s = None
    cleaned_s = None if vacated_s is None else vacated_s + state.policy.cleaning_s
    owner = int(state.c.jobs[col.J_OWNER, claimant])
    return (
        state.accounts[owner].name or "pool",
        state.job_names[claimant],
        state.job_names[borrower],
        milli // col.WHOLE,
        asked_s,
        due_s,
        vacated_s,
        cleaned_s,
        started_s,
        outcome,
    )
