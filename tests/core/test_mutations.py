"""Would the check notice? Each planted defect must be found in each state that can bear it."""

import copy
from functools import cache
from time import perf_counter

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.check import violations
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.policy import policy_named
from dure.core.pool import Pool
from dure.core.state import Jobs, State
from tests.core.bench import Bench, flat_pool
from tests.core.defects_of_dates import DEFECTS
from tests.core.driving import Drive
from tests.core.worlds import pool_of_rows, random_jobs, random_world


@cache
def sound_states() -> tuple[State, ...]:
    """Return states of several runs, among them such with claims, dates, cleaning and gaps."""
    found = []
    for seed in range(12):
        patience_s = 300 if seed % 2 else 86_400
        world = random_world(seed, jobs=120, reserve_s=patience_s, large_pct=20)
        run = Drive(world, fold_too=False)
        for step in range(120):
            run.step(run.next_s())
            told = (run.state.c.jobs[col.J_STOP_AT, : len(run.state.job_names)] >= 0).any()
            are_dated = run.state.c.scalars[col.S_BOOKED] > 1
            if step % 40 == 39 or are_dated or (told and run.state.c.scalars[col.S_CLAIMS] > 0):
                found.append(copy.deepcopy(run.state))
                if len(found) > 4 * (seed + 1):
                    break
    return (*found, dated_state())


def dated_state() -> State:
    """Return a full pool with two gangs that wait for their dates."""
    bench = Bench(flat_pool(8, 8), "dure", large_pct=50)
    bench.entitle("owner", 8)
    for gpus in (16, 16, 8):
        bench.submit(gpus=gpus, estimate=3600)
    bench.at(0)
    assert bench.state.c.scalars[col.S_BOOKED] == 2
    return bench.state


def test_sound_states_are_sound() -> None:
    assert [violations(state) for state in sound_states() if violations(state)] == []


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_planted_defect_is_found(name: str) -> None:
    planted = missed = 0
    for sound in sound_states():
        state = copy.deepcopy(sound)
        if DEFECTS[name](state):
            planted += 1
            missed += not violations(state)

    assert planted > 0, "no state lets this defect be planted"
    assert missed == 0, f"{missed} of {planted} states with this defect pass the check"


def test_a_wider_silo_is_found() -> None:
    run = Drive(random_world(3, "siloed"), fold_too=False)
    while run.state.c.scalars[col.S_RUNNING] == 0:
        run.step(run.next_s())
    c = run.state.c
    job = int(c.running[0])
    node = c.rows[col.R_NODE, c.jobs[col.J_ROWS, job]]
    c.jobs[col.J_PROVIDER, job] = c.shelves[col.H_PROVIDER, c.nodes[col.N_SHELF, node]] + 1

    assert violations(run.state) == ["a job stands outside its provider's silo"]


def national_pool(nodes: int = 1642) -> Pool:
    rows = [("q", f"c{i // 400}", f"p{i // 100}", f"l{i // 20}", "B200", "C") for i in range(nodes)]
    return pool_of_rows(rows, [(8, 0, 0)] * nodes)


def test_a_large_pool_is_checked_in_milliseconds() -> None:
    state = State(national_pool(), policy_named("dure"))
    jobs = random_jobs(state.pool, 1, 4000, np.random.default_rng(1))
    jobs[col.J_SUBMIT] = 0
    submitted = facts_of([(col.K_SUBMITTED, 0, job) for job in range(4000)])
    plan_cycle(state, Observed([], Jobs([f"j{i}" for i in range(4000)], jobs), submitted), 0)
    assert violations(state) == []

    took_s = []
    for _ in range(5):
        begun_s = perf_counter()
        violations(state)
        took_s.append(perf_counter() - begun_s)

    assert state.c.scalars[col.S_RUNNING] > 1000
    assert min(took_s) < 0.025  # some 4 ms; a loaded machine takes longer
    print(f"{1000 * min(took_s):.1f} ms")
