"""Lending earns credits and borrowing spends them, so that lying about demand does not pay.

Four projects with equal rights live through days of bursts and quiet hours. One of them lies: it
pads its gangs, or keeps GPUs busy in its quiet hours. What counts is when its true work is done.
The idea is Karma's (OSDI'23).
"""

from collections.abc import Callable

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.policy import policy_named
from dure.core.state import ASKED, Account
from tests.core.bench import DEFAULTS, flat_pool
from tests.core.driving import END_S, Drive
from tests.core.worlds import World

PROJECTS, LIAR = 4, 1
GPUS_EACH = 16
HOUR_S = 3600
BURSTS, JOBS_A_BURST = 12, 14
SEEDS = range(24)
Lie = Callable[[IntArray, np.random.Generator], IntArray]


def true_demand(rng: np.random.Generator) -> IntArray:
    """Return everybody's honest jobs: each project has bursts at times of its own."""
    jobs = [
        (int(at_s), project, int(rng.choice([1, 2, 4, 8])), int(rng.integers(600, 7200)))
        for project in range(1, PROJECTS + 1)
        for burst_s in np.sort(rng.integers(0, 96 * HOUR_S, BURSTS)).tolist()
        for at_s in burst_s + rng.integers(0, HOUR_S, JOBS_A_BURST)
    ]
    table = np.zeros((ASKED, len(jobs)), dtype=np.int64)
    for row, value in DEFAULTS.items():
        table[row] = value
    table[col.J_TYPES] = 1
    table[col.J_CKPT_EVERY] = 600
    table[col.J_SUBMIT], owners, table[col.J_GPUS], table[col.J_WORK] = np.array(jobs).T
    table[col.J_OWNER] = table[col.J_PROJECT] = owners
    return table


def pads(jobs: IntArray, rng: np.random.Generator) -> IntArray:
    """The liar asks for twice what its gangs need; they take as long as before."""
    jobs = jobs.copy()
    jobs[col.J_GPUS, jobs[col.J_OWNER] == LIAR] *= 2
    return jobs


def hoards(jobs: IntArray, rng: np.random.Generator) -> IntArray:
    """The liar keeps GPUs busy with nothing: every hour four jobs of four GPUs for an hour."""
    nothing = np.repeat(jobs[:, :1], 4 * 96, axis=1)
    nothing[col.J_SUBMIT] = np.repeat(np.arange(96) * HOUR_S, 4)
    nothing[col.J_GPUS], nothing[col.J_WORK] = 4, HOUR_S
    nothing[col.J_OWNER] = nothing[col.J_PROJECT] = LIAR
    return np.concatenate([jobs, nothing], axis=1)


def mean_waits_s(jobs: IntArray, true: int) -> IntArray:
    """Run the jobs; return how long each project's true ones (the first ``true``) did not run."""
    order = np.argsort(jobs[col.J_SUBMIT], kind="stable")
    accounts = [Account("", col.ACCOUNT_POOL)]
    accounts += [Account(f"P{i}", col.ACCOUNT_PROJECT) for i in range(1, PROJECTS + 1)]
    rights = [
        (col.K_ALLOCATED, 0, col.FOREVER_S, i - 1, i, 0, GPUS_EACH * col.WHOLE, 0)
        for i in range(1, PROJECTS + 1)
    ]
    pool = flat_pool(*[8] * (PROJECTS * GPUS_EACH // 8))
    world = World(1, policy_named("dure"), pool, accounts, rights, jobs[:, order])
    run = Drive(world, fold_too=False)
    while (now_s := run.next_s()) < END_S:
        run.step(now_s)
    done = run.state.c.jobs[:, : jobs.shape[1]]
    waits_s = done[col.J_ENDED] - done[col.J_SUBMIT] - done[col.J_WORK]
    counts = (order < true) & (done[col.J_STATE] == col.COMPLETED)
    return np.array(
        [waits_s[counts & (done[col.J_OWNER] == i)].mean() for i in range(PROJECTS + 1) if i]
    )


@pytest.mark.parametrize("lie", [pads, hoards])
def test_lying_about_demand_does_not_pay(lie: Lie) -> None:
    gained_s = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        jobs = true_demand(rng)
        honest_s = mean_waits_s(jobs, jobs.shape[1])[LIAR - 1]
        gained_s.append(honest_s - mean_waits_s(lie(jobs, rng), jobs.shape[1])[LIAR - 1])

    assert max(gained_s) < 0


def test_who_lent_is_lent_to_first() -> None:
    # For two days three projects use what they have and borrow; the first lends all it has. Then
    # all four have the very same bursts, and only the past tells them apart: by chance the first
    # would wait least in a quarter of the weeks.
    least = 0
    for seed in SEEDS:
        jobs = true_demand(np.random.default_rng(seed))
        one = jobs[:, jobs[col.J_OWNER] == LIAR]
        same = np.tile(one, PROJECTS)
        same[col.J_OWNER] = np.repeat(np.arange(1, PROJECTS + 1), one.shape[1])
        same[col.J_PROJECT] = same[col.J_OWNER]
        same[col.J_SUBMIT] += 48 * HOUR_S
        waits_s = mean_waits_s(
            np.concatenate([same, _before(same, hours=46)], axis=1), same.shape[1]
        )

        least += int(waits_s.argmin() == 0)

    assert least > len(SEEDS) * 2 // 3


def _before(jobs: IntArray, *, hours: int) -> IntArray:
    """Return work of all projects but the first: 20 GPUs each, every hour."""
    others = np.arange(2, PROJECTS + 1)
    before = np.repeat(jobs[:, :1], hours * 5 * others.size, axis=1)
    before[col.J_SUBMIT] = np.repeat(np.arange(hours) * HOUR_S, 5 * others.size)
    before[col.J_GPUS], before[col.J_WORK] = 4, HOUR_S - 120
    before[col.J_OWNER] = before[col.J_PROJECT] = np.tile(others, hours * 5)
    return before
