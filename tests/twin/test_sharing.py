"""The sharing scenario: what it makes of a trace, and that its promises are really looked at."""

from pathlib import Path

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.core.policy import policy_named
from dure.twin.run import Inputs, Run
from dure.twin.sharing import BUCKETS_S, Case, jobs_of, owners_of, pool_of_owners
from dure.twin.sharing_figures import figures_of
from dure.twin.sharing_table import Measurement
from dure.twin.tables import read_jobs


@pytest.fixture
def trace(tmp_path: Path) -> pl.DataFrame:
    """Two owners, both with more work than GPUs for a day, then a long quiet time."""
    rows = [
        (f"j{i:03}", f"org-{i % 2}", 400 * i, 3000 if i % 3 else 30_000, 8 if i % 4 == 0 else 1)
        for i in range(160)
    ]
    rows += [("last-0", "org-0", 400_000, 60, 1), ("last-1", "org-1", 400_000, 60, 1)]
    names = ["job", "provider", "submit_at_s", "duration_s", "gpus"]
    path = tmp_path / "jobs.parquet"
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(path)
    return read_jobs(path)


def test_an_owner_has_room_for_its_largest_job_and_a_quarter_more_than_its_mean() -> None:
    jobs = pl.DataFrame(
        {
            "provider": ["a", "a", "b", "b"],
            "submit_at_s": [0, 100, 0, 100],
            "duration_s": [100, 100, 1, 1],
            "gpus": [10, 6, 64, 1],
        }
    )

    # a keeps 16 busy over its 100 s: 20, so 24; b needs its largest job's 64.
    assert owners_of(jobs) == {"a": 24, "b": 64}


def test_jobs_without_an_owner_are_refused(trace: pl.DataFrame) -> None:
    with pytest.raises(InputError):
        owners_of(trace.with_columns(provider=pl.lit("")))


def test_estimates_are_buckets_above_the_truth(trace: pl.DataFrame) -> None:
    jobs = jobs_of(trace, Case(), seed=1)

    assert (jobs["estimate_s"] >= jobs["duration_s"]).all()
    assert set(jobs["estimate_s"].to_list()) <= set(BUCKETS_S)
    assert jobs.equals(jobs_of(trace, Case(), seed=1))


def test_a_shift_turns_each_owner_round_the_same_span(trace: pl.DataFrame) -> None:
    plain, turned = jobs_of(trace, Case(), seed=1), jobs_of(trace, Case(shift=1), seed=1)

    assert not plain["submit_at_s"].equals(turned["submit_at_s"])
    assert turned["submit_at_s"].is_between(0, plain["submit_at_s"][-1]).all()
    assert plain.drop("submit_at_s").sort("job").equals(turned.drop("submit_at_s").sort("job"))


def test_a_flood_brings_every_job_of_an_owner_three_more_times(trace: pl.DataFrame) -> None:
    jobs = jobs_of(trace, Case(flooded_by="org-0"), seed=1)

    count = dict(jobs.group_by("provider").len().iter_rows())
    assert count == {"org-0": 324, "org-1": 81}
    assert jobs["job"].n_unique() == jobs.height


def test_the_table_keeps_its_promises_on_a_small_trace(trace: pl.DataFrame) -> None:
    measured = Measurement(trace, policy_named("dure"), shifts=2, seed=1)

    lines = {line.what: line for line in measured.run()}

    # Own work that cannot save within the promise is not moved: blocked is possible, late not.
    assert [measured.figures[name][0].claims_late for name in ("firm", "rare")] == [0, 0]
    for name in ("shared", "random", "none"):
        assert lines[f"entitled gangs start in time ({name})"].holds is True
        assert lines[f"room that no claim could reach ({name})"].holds is True
    assert measured.figures["shared"][0].claims > 0
    assert lines["idle beside a queue (shared)"].holds is True


def test_a_gang_that_is_blocked_without_a_claim_is_noticed(trace: pl.DataFrame) -> None:
    # Greedy knows no owners: their gangs wait behind others' for longer than any promise.
    run = Run(Inputs(jobs_of(trace, Case(), seed=1), pool_of_owners(trace), policy_named("greedy")))

    assert figures_of(run, run.go()).blocked > 0
