"""``reclaims.parquet``: what became of each borrower that a claim gave notice to."""

import polars as pl

from dure.core import columns as col
from dure.core.forgetting import JobRows
from dure.core.state import State
from dure.twin.chronicle import names_of

_CLAIMS = (col.K_NOTICED, col.K_CLAIM_ENDED)
_LEAVING = (col.K_STOPPED, col.K_ENDED)  # who only changes class stays where it is
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
        self._claimants: set[int] = set()
        self._names: dict[int, str] = {}
        self._lenders: dict[int, str] = {}

    def add(self, facts: pl.DataFrame, jobs: JobRows, state: State) -> None:
        """Take what is written down about these jobs (``chronicle``)."""
        # An own gang that is moved for a larger one borrows nothing.
        is_move = (pl.col("kind") == col.K_NOTICED) & (pl.col("c") >= 2)
        told = facts.filter(pl.col("kind").is_in(_CLAIMS) & ~is_move)
        noticed = told.filter(pl.col("kind") == col.K_NOTICED)
        claimed = told.filter(pl.col("kind") == col.K_CLAIM_ENDED)
        borrowers = noticed["job"].unique()
        left = pl.col("kind").is_in(_LEAVING) & pl.col("job").is_in(borrowers.implode())
        self._facts += [told, facts.filter(left)]
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
        left = facts.filter(pl.col("kind").is_in(_LEAVING))
        claim_ends = facts.filter(pl.col("kind") == col.K_CLAIM_ENDED)
        by_borrower = _moments(left["job"], left["at"], left["at_s"])
        by_claimant = _moments(
            claim_ends["job"], claim_ends["at"], claim_ends["a"], claim_ends["at_s"]
        )
        rows = []
        notices = facts.filter(pl.col("kind") == col.K_NOTICED)
        for at, asked_s, borrower, claimant, milli, due_s in notices.select(
            "at", "at_s", "job", "a", "d", "e"
        ).iter_rows():
            ended = next((row for row in by_claimant.get(claimant, ()) if row[0] > at), None)
            gone = next((row for row in by_borrower.get(borrower, ()) if row[0] > at), None)
            rows.append(
                (
                    self._lenders[claimant],
                    self._names[claimant],
                    self._names[borrower],
                    milli // col.WHOLE,
                    asked_s,
                    due_s,
                    *_outcome(gone, ended, cleaning_s),
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
    gone: tuple[int, ...] | None, ended: tuple[int, ...] | None, cleaning_s: int
) -> tuple[int | None, int | None, int | None, str]:
    """Return when the borrower left, when its devices were clean, when the claimant started, and
    the outcome. Who left after its claim had ended did not leave for it.
    """
    if gone is not None and ended is not None and gone[0] > ended[0]:
        gone = None
    vacated_s = None if gone is None else gone[1]
    cleaned_s = None if gone is None else gone[1] + cleaning_s
    if ended is None:
        return vacated_s, cleaned_s, None, "open"
    if ended[1] == col.CLAIM_FAULT:
        return vacated_s, cleaned_s, None, "fault"
    if ended[1] == col.CLAIM_CANCELLED or gone is None:
        return None, None, None, "withdrawn"
    return vacated_s, cleaned_s, ended[2], "returned"
