"""Deadlines: least slack first among an owner's jobs, nobody else the worse for it."""

import numpy as np
import pytest

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import World, random_world


def test_who_must_start_soon_goes_first() -> None:
    bench = Bench(flat_pool(8))
    bench.entitle("owner", 8)
    running = bench.submit("owner", gpus=8)
    bench.at(0)
    early = bench.submit("owner", gpus=8, work=100, estimate=100)
    late = bench.submit("owner", gpus=8, work=100, estimate=100, deadline=9_000)
    bench.at(10)
    bench.at(5_300)
    assert bench.told(col.K_MOVED_UP) == [[late, 8_900 - col.FOREVER_S, 0, 0, 0, 0]]

    bench.end(running)
    bench.at(6_000)

    assert (bench.is_(late), bench.is_(early)) == ("RUNNING", "PENDING")


def test_who_cannot_make_it_goes_back_to_its_place() -> None:
    bench = Bench(flat_pool(8))
    bench.entitle("owner", 8)
    running = bench.submit("owner", gpus=8)
    bench.at(0)
    early = bench.submit("owner", gpus=8, estimate=100)
    late = bench.submit("owner", gpus=8, work=100, estimate=100, deadline=900)
    bench.at(10)
    assert bench.number(col.J_KEY, late) < 0
    bench.at(801)
    assert bench.told(col.K_MOVED_UP) == [[late, 2 * 100 * 8, 0, 0, 0, 0]]

    bench.end(running)
    bench.at(850)

    assert (bench.is_(late), bench.is_(early)) == ("PENDING", "RUNNING")


def test_it_goes_first_among_its_owners_loans_and_no_one_elses() -> None:
    bench = Bench(flat_pool(8))
    bench.entitle("lender", 8)
    running = bench.submit("lender", gpus=8)
    bench.at(0)
    jobs = [bench.submit(name, gpus=4, estimate=500) for name in ("a", "b")]
    urgent = bench.submit("a", gpus=4, estimate=500, deadline=3_000)
    bench.at(10)

    bench.end(running)
    bench.at(1_000)
    bench.at(1_010)

    # The devices go one to each owner, as they would without a deadline.
    assert [bench.is_(job) for job in (*jobs, urgent)] == ["PENDING", "RUNNING", "RUNNING"]


def met(jobs: list[tuple[int, int]], *, urgent_s: int) -> int:
    """Run (work, deadline) one after another on one node; return how many meet their deadline."""
    rules = {"estimate_weight": 0, "cleaning_s": 0, "start_s": 0}
    bench = Bench(flat_pool(8), urgent_s=urgent_s, **rules)
    bench.entitle("owner", 8)
    ids = [
        bench.submit("owner", gpus=8, work=work, estimate=work, deadline=deadline)
        for work, deadline in jobs
    ]
    bench.at(0)
    left, now_s = set(ids), 0
    while left:
        job = next(job for job in ids if bench.is_(job) == "RUNNING")
        end_s = bench.number(col.J_STARTED, job) + bench.number(col.J_WORK, job)
        alarm_s = bench.state.next_alarm_s
        now_s = max(now_s + 1, end_s if alarm_s is None else min(end_s, alarm_s))
        if now_s >= end_s:
            bench.end(job)
            left.remove(job)
        bench.at(now_s)
    return sum(
        bench.number(col.J_ENDED, job) <= deadline
        for job, (_, deadline) in zip(ids, jobs, strict=True)
    )


def feasible(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return jobs, in random order, that one node can do in time one after another."""
    work = rng.integers(50, 900, 8).tolist()
    ends = np.cumsum(work) + rng.integers(0, 60, 8)
    jobs = [(one, int(end)) for one, end in zip(work, np.maximum.accumulate(ends), strict=True)]
    # A deadline may not leave less than the work of all with earlier ones: EDF meets them all.
    return [jobs[i] for i in rng.permutation(8)]


@pytest.mark.parametrize("seed", range(12))
def test_slack_order_meets_what_the_order_of_submission_misses(seed: int) -> None:
    jobs = feasible(np.random.default_rng(seed))

    in_order, by_slack = met(jobs, urgent_s=0), met(jobs, urgent_s=1_000_000)

    assert by_slack >= in_order
    assert in_order < 8


def test_slack_order_meets_them_all_where_work_is_equal() -> None:
    # With equal work the order of latest starts is the order of deadlines, which is optimal.
    for seed in range(12):
        rng = np.random.default_rng(seed)
        deadlines = rng.permutation(300 * np.arange(1, 9) + rng.integers(0, 40)).tolist()
        jobs = [(300, int(one)) for one in deadlines]

        assert met(jobs, urgent_s=1_000_000) == 8
        assert deadlines == sorted(deadlines) or met(jobs, urgent_s=0) < 8


def hurried_world(seed: int, **rules: object) -> World:
    """Return a world in which half of the jobs have deadlines, some of them out of reach."""
    world = random_world(seed, jobs=140, **rules)
    jobs, rng = world.jobs, np.random.default_rng(seed)
    some = rng.random(140) < 0.5
    jobs[col.J_ESTIMATE, some] = jobs[col.J_WORK, some] + rng.integers(0, 300, int(some.sum()))
    jobs[col.J_DEADLINE, some] = jobs[col.J_SUBMIT, some] + rng.integers(0, 6_000, int(some.sum()))
    return world


@pytest.mark.parametrize("seed", range(700, 712))
def test_deadlines_break_no_promise(seed: int) -> None:
    run = Drive(hurried_world(seed, urgent_s=900))
    promises, moved = Promises(run.state), 0
    for record in run.cycles():
        promises.read(record)
        moved += int((record.decided[:, 0] == col.K_MOVED_UP).sum())

    assert promises.broken == []
    assert moved > 0
