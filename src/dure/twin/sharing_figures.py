"""What one run of the sharing scenario says of its promises, from its facts and tables alone."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.twin.run import Result, Run


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one run; times in seconds.

    Attributes:
        wait_s: mean over all jobs of end - submission - duration (restarts and work done twice
            are in it).
        owner_wait_s: the same by owner.
        claims: entitled gangs that named GPUs to come back; ``claim_s_max``: the longest time from
            a claim to its gang's start; ``claims_late``: of those, beyond the promise. What a
            fault broke or somebody cancelled is not in it.
        blocked: times that an owner's entitlement had room for a gang that waited, for longer than
            the promise, without a claim.
        blocked_s_max: the longest of these.
        lost_share: work destroyed by reclaims over capacity x time.
        reclaims: stops of borrowers; ``reclaims_max``: of one job; ``reclaimed_thrice``: share of
            all jobs.
        moved: own gangs that made room for a larger one.
        slowdown_mean: over jobs that were reclaimed: (end - first start) / duration.
        slowdown_p99: its 99th percentile.
        borrower_slowdown_mean: as ``slowdown_mean``, over all jobs that ran on loan.
        borrower_slowdown_p99: its 99th percentile.
        beside_share: idle beside a queue over capacity x time.
    """

    wait_s: float
    owner_wait_s: dict[str, float]
    claims: int
    claim_s_max: int
    claims_late: int
    blocked: int
    blocked_s_max: int
    lost_share: float
    reclaims: int
    reclaims_max: int
    reclaimed_thrice: float
    moved: int
    slowdown_mean: float
    slowdown_p99: float
    borrower_slowdown_mean: float
    borrower_slowdown_p99: float
    beside_share: float


def figures_of(run: Run, result: Result) -> Figures:
    """Read the figures of a run that has ended."""
    facts = run.chronicle.facts()
    holding = _reservations(facts)
    jobs = _jobs(run, result)
    claim_s = _claim_s(facts.filter(~pl.col("at").is_in(holding["at"].implode())))
    reclaimed = _stops(facts, col.BY_RECLAIM)
    count = np.bincount(reclaimed, minlength=jobs.height)
    blocked = _blocked_s(run, facts, set(holding["job"].to_list()))
    slow = jobs["slowdown"].to_numpy()
    borrowed = np.zeros(jobs.height, dtype=bool)
    opened = facts.filter(pl.col("kind").is_in([col.K_STARTED, col.K_RECLASSED]))
    borrowed[opened.filter(pl.col("b") != col.OWN)["job"].to_numpy()] = True
    capacity = _capacity_gpu_s(result)
    lost = facts.filter((pl.col("kind") == col.K_STOPPED) & (pl.col("b") == col.BY_RECLAIM))["d"]
    owner = jobs.group_by("provider").agg(pl.col("lag_s").mean()).sort("provider")
    promise_s = run.inputs.policy.return_s
    return Figures(
        wait_s=_mean(jobs["lag_s"].to_numpy()),
        owner_wait_s=dict(owner.iter_rows()),
        claims=claim_s.size,
        claim_s_max=int(claim_s.max(initial=0)),
        claims_late=int((claim_s > promise_s).sum()),
        blocked=blocked.size,
        blocked_s_max=int(blocked.max(initial=0)),
        lost_share=float(lost.sum()) / col.WHOLE / capacity,
        reclaims=reclaimed.size,
        reclaims_max=int(count.max(initial=0)),
        reclaimed_thrice=float((count >= 3).mean()),
        moved=_stops(facts, col.BY_MOVE).size,
        slowdown_mean=_mean(slow[count > 0]),
        slowdown_p99=_p99(slow[count > 0]),
        borrower_slowdown_mean=_mean(slow[borrowed]),
        borrower_slowdown_p99=_p99(slow[borrowed]),
        beside_share=float(str(result.summary["idle_beside_queue_gpu_s"])) / capacity,
    )


def _jobs(run: Run, result: Result) -> pl.DataFrame:
    """Return the jobs in the engine's order with what each lost to waiting, and its slowdown."""
    duration = run.inputs.jobs["duration_s"].rename("duration_s")
    jobs = result.jobs.with_columns(duration)
    took_s = pl.col("end_at_s") - pl.col("first_start_at_s")
    return jobs.with_columns(
        lag_s=pl.col("end_at_s") - pl.col("submit_at_s") - pl.col("duration_s"),
        slowdown=took_s / pl.max_horizontal("duration_s", 1),
    )


def _capacity_gpu_s(result: Result) -> int:
    span_s = int(str(result.summary["to_s"])) - int(str(result.summary["from_s"]))
    return max(1, span_s * int(result.nodes["gpus"].sum()))


def _stops(facts: pl.DataFrame, cause: int) -> IntArray:
    """Return the job of every stop for a cause."""
    stopped = facts.filter((pl.col("kind") == col.K_STOPPED) & (pl.col("b") == cause))
    return stopped["job"].to_numpy()


def _reservations(facts: pl.DataFrame) -> pl.DataFrame:
    """Return claims that name nobody: who only holds nodes until they are free is blocked."""
    claims = facts.filter(pl.col("kind").is_in([col.K_CLAIMED, col.K_CLAIM_ENDED]))
    due_s = pl.when(pl.col("kind") == col.K_CLAIMED).then(pl.col("a"))
    claims = claims.sort("job", "at").with_columns(due_s=due_s.forward_fill().over("job"))
    return claims.filter(pl.col("due_s") == col.FOREVER_S)


def _claim_s(facts: pl.DataFrame) -> IntArray:
    """Return how long each claim took from asking to the start of its gang."""
    rows = facts.filter(pl.col("kind").is_in([col.K_CLAIMED, col.K_CLAIM_ENDED]))
    rows = rows.sort("job", "at").with_columns(asked_s=pl.col("at_s").shift().over("job"))
    served = (pl.col("kind") == col.K_CLAIM_ENDED) & pl.col("a").is_in(
        [col.CLAIM_SERVED, col.CLAIM_ELSEWHERE]
    )
    rows = rows.filter(served)
    return (rows["at_s"] - rows["asked_s"]).to_numpy()


def _blocked_s(run: Run, facts: pl.DataFrame, holding: set[int]) -> IntArray:
    """Return each wait, longer than the promise, of a gang that its owner's entitlement covered.

    This knows nothing of claims' reasons: it replays what each owner ran as own and had claimed,
    and asks of every wait whether the gang's GPUs stayed within the entitlement all the while.
    What one of those ``holding`` nodes had claimed for itself was in nobody's way but others'.
    """
    state = run.runtime.state
    jobs, rights = state.c.jobs, state.c.rights
    found: dict[tuple[int, int], int] = {}
    promise_s = run.inputs.policy.return_s
    waits = _waits(facts)
    owner_of = jobs[col.J_OWNER]
    milli_of = jobs[col.J_GPUS] * jobs[col.J_MILLI]
    for owner in range(1, len(state.accounts)):
        at_s, taken = _taken(facts, owner_of == owner, milli_of)
        entitled = int(rights[col.E_ENTITLED, owner, 0])
        mine = waits.filter(pl.Series(owner_of[waits["job"].to_numpy()] == owner))
        mine = mine.filter(pl.col("to_s") - pl.col("from_s") > promise_s)
        for job, from_s, to_s in mine.iter_rows():
            steps = (at_s, taken)
            if job in holding:
                steps = _taken(facts.filter(pl.col("job") != job), owner_of == owner, milli_of)
            fits = steps[1] <= entitled - milli_of[job]
            longest_s, begin_s = _longest_s(steps[0], fits, from_s, to_s)
            if longest_s > promise_s:
                # Many may wait for the one place that is missing.
                at = (owner, int(steps[0].searchsorted(begin_s, side="right")))
                found[at] = max(longest_s, found.get(at, 0))
    return np.array(list(found.values()), dtype=np.int64)


def _waits(facts: pl.DataFrame) -> pl.DataFrame:
    """Return every time that a job waited: job, from_s, to_s."""
    kinds = [col.K_SUBMITTED, col.K_STOPPED, col.K_STARTED]
    rows = facts.filter(pl.col("kind").is_in(kinds)).sort("job", "at")
    rows = rows.with_columns(from_s=pl.col("at_s").shift().over("job"))
    return rows.filter(pl.col("kind") == col.K_STARTED).select("job", "from_s", to_s="at_s")


def _taken(
    facts: pl.DataFrame, is_mine: np.ndarray, milli_of: IntArray
) -> tuple[IntArray, IntArray]:
    """Return the moments at which an owner's own and claimed milli-GPUs change, and the sums."""
    own: dict[int, bool] = {}
    deltas: dict[int, int] = {}
    job_of = facts["job"].to_numpy()
    wanted = facts.filter(pl.Series(is_mine[job_of] & (job_of >= 0)))
    for kind, at_s, job, b in wanted.select("kind", "at_s", "job", "b").iter_rows():
        change = 0
        if kind == col.K_CLAIMED:
            change = 1
        elif kind == col.K_CLAIM_ENDED:
            change = -1
        elif kind in (col.K_STARTED, col.K_RECLASSED, col.K_STOPPED, col.K_ENDED):
            is_own = kind in (col.K_STARTED, col.K_RECLASSED) and b == col.OWN
            change = int(is_own) - int(own.get(job, False))
            own[job] = is_own
        if change:
            deltas[at_s] = deltas.get(at_s, 0) + change * int(milli_of[job])
    at_s = np.array(sorted(deltas), dtype=np.int64)
    return at_s, np.cumsum([deltas[int(one)] for one in at_s])


def _longest_s(at_s: IntArray, holds: np.ndarray, from_s: int, to_s: int) -> tuple[int, int]:
    """Return the longest time within [from_s, to_s) in which a step function held, and when that
    began.
    """
    first = max(0, int(np.searchsorted(at_s, from_s, side="right")) - 1)
    last = int(np.searchsorted(at_s, to_s, side="left"))
    best, since_s = (0, from_s), -1
    for i in range(first, last):
        begin_s = max(from_s, int(at_s[i]))
        if holds[i] and since_s < 0:
            since_s = begin_s
        elif not holds[i] and since_s >= 0:
            best, since_s = max(best, (begin_s - since_s, since_s)), -1
    return max(best, (to_s - since_s, since_s)) if since_s >= 0 else best


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def _p99(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.99, method="nearest")) if values.size else 0.0
