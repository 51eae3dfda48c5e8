"""``reclaims.parquet``: what became of each borrower that a claim gave notice to."""

import polars as pl

from dure.core import columns as col
from dure.core.forgetting import JobRows
from dure.core.state import State
from dure.twin.chronicle import names_of

_KINDS = (col.K_NOTICED, col.K_WITHDRAWN, col.K_CLAIM_ENDED)
SCHEMA = {
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


class Reclaims:
    """Gathers what the table is made of, from some jobs of a run after others.

    Each job is added once, when all is written down about it; of jobs that neither lent nor
    borrowed nothing is kept.
    """

    def __init__(self) -> None:
        self._facts: list[pl.DataFrame] = []
        self._ends: list[pl.DataFrame] = []
        self._claimants: set[int] = set()
        self._names: dict[int, str] = {}
        self._lenders: dict[int, str] = {}

    def add(self, facts: pl.DataFrame, attempts: pl.DataFrame, jobs: JobRows, state: State) -> None:
        """Take what is written down about these jobs (``chronicle``)."""
        # An own gang that is moved for a larger one borrows nothing.
        is_move = (pl.col("kind") == col.K_NOTICED) & (pl.col("c") >= 2)
        facts = facts.filter(pl.col("kind").is_in(_KINDS) & ~is_move)
        noticed = facts.filter(pl.col("kind") == col.K_NOTICED)
        claimed = facts.filter(pl.col("kind") == col.K_CLAIM_ENDED)
        borrowers = noticed["job"].unique()
        is_end = pl.col("job").is_in(borrowers.implode()) & (pl.col("cause") != col.BY_HORIZON)
        self._facts.append(facts)
        self._ends.append(attempts.filter(is_end).select("job", "to_s"))
        self._claimants.update(noticed["a"].to_list(), claimed["job"].to_list())
        # Who claimed in vain to the horizon is known by its notices alone.
        waiting = pl.Series(sorted(self._claimants - self._lenders.keys()), dtype=pl.Int64)
        claimants = waiting.filter(waiting.is_in(pl.Series(jobs.numbers).implode()))
        for numbers in (borrowers, claimants):
            self._names |= zip(numbers.to_list(), names_of(jobs, numbers).to_list(), strict=True)
        owners = jobs.columns[col.J_OWNER, jobs.numbers.searchsorted(claimants.to_numpy())]
        for number, owner in zip(claimants.to_list(), owners.tolist(), strict=True):
            self._lenders[number] = state.accounts[owner].name or "pool"

    def table(self, *, cleaning_s: int) -> pl.DataFrame:
        """Return ``reclaims.parquet``; every job must have been added."""
        facts = pl.concat(self._facts).sort("at")
        ends = pl.concat(self._ends)
        claim_ends = facts.filter(pl.col("kind") == col.K_CLAIM_ENDED)
        withdrawn = facts.filter(pl.col("kind") == col.K_WITHDRAWN)
        by_borrower = _moments(ends["job"], ends["to_s"])
        by_claimant = _moments(
            claim_ends["job"], claim_ends["at"], claim_ends["a"], claim_ends["at_s"]
        )
        taken_back = _moments(withdrawn["job"], withdrawn["at"], withdrawn["a"])
        rows = []
        notices = facts.filter(pl.col("kind") == col.K_NOTICED)
        for at, asked_s, borrower, claimant, milli, due_s in notices.select(
            "at", "at_s", "job", "a", "d", "e"
        ).iter_rows():
            vacated = next((s for (s,) in by_borrower.get(borrower, ()) if s >= asked_s), None)
            ended = next((row for row in by_claimant.get(claimant, ()) if row[0] > at), None)
            is_back = any(
                row[0] > at
                and row[1] == claimant
                and (ended is None or row[0] < ended[0] + 100_000)
                for row in taken_back.get(borrower, ())
            )
            rows.append(
                (
                    self._lenders[claimant],
                    self._names[claimant],
                    self._names[borrower],
                    milli // col.WHOLE,
                    asked_s,
                    due_s,
                    *_outcome(vacated, ended, is_back, cleaning_s),
                )
            )
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _moments(job: pl.Series, *columns: pl.Series) -> dict[int, list[tuple[int, ...]]]:
    """Group rows by job, each group in order of its first column."""
    table: dict[int, list[tuple[int, ...]]] = {}
    for key, *row in zip(job.to_list(), *(c.to_list() for c in columns), strict=True):
        table.setdefault(key, []).append(tuple(row))
    for group in table.values():
        group.sort()
    return table


def _outcome(
    vacated_s: int | None, ended: tuple[int, ...] | None, is_back: bool, cleaning_s: int
) -> tuple[int | None, int | None, int | None, str]:
    """Return when the borrower left, when its devices were clean, when the claimant started, and
    the outcome.
    """
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
    cleaned_s = None if vacated_s is None else vacated_s + cleaning_s
    return vacated_s, cleaned_s, started_s, outcome
