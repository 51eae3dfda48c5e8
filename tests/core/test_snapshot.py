"""A state that was packed and unpacked is the state, and plans on as if nothing had happened."""

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.errors import DureError
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.core.snapshot import pack_state, unpack_state
from dure.core.state import ASKED, Account, Jobs, State, no_jobs

NODES = 6


def small_pool(nodes: int = NODES) -> Pool:
    texts = dict.fromkeys(("provider", "cluster", "pod", "site"), ["p"] * nodes)
    return Pool(
        node=[f"n{i}" for i in range(nodes)],
        leaf=[f"leaf-{i // 2}" for i in range(nodes)],
        accelerator=["B200"] * nodes,
        grade=["C"] * nodes,
        use=["public"] * nodes,
        gpus=np.full(nodes, 8, dtype=np.int64),
        cpu_milli=np.zeros(nodes, dtype=np.int64),
        memory_mib=np.zeros(nodes, dtype=np.int64),
        in_service_at_s=np.zeros(nodes, dtype=np.int64),
        **texts,
    )


def jobs_of(sizes: list[int], *, first: int, at_s: int) -> Jobs:
    columns = np.zeros((ASKED, len(sizes)), dtype=np.int64)
    columns[col.J_PROVIDER], columns[col.J_AFTER] = -1, -1
    columns[col.J_OWNER], columns[col.J_PROJECT] = 1, 1
    columns[col.J_SUBMIT], columns[col.J_GPUS] = at_s, sizes
    columns[col.J_MILLI], columns[col.J_TYPES], columns[col.J_PREEMPTIBLE] = col.WHOLE, 1, 1
    columns[col.J_LEVEL], columns[col.J_WORK] = col.AT_ANY, 1000
    columns[[col.J_ESTIMATE, col.J_CKPT_TAKES, col.J_DEADLINE]] = -1
    return Jobs([f"j{first + i}" for i in range(len(sizes))], columns)


def submitted(state: State, sizes: list[int], at_s: int) -> Observed:
    first = len(state.job_names)
    rows = [(col.K_SUBMITTED, at_s, first + i) for i in range(len(sizes))]
    return Observed([], jobs_of(sizes, first=first, at_s=at_s), facts_of(rows))


def busy_state(jobs: int) -> State:
    """Return a state with running, waiting and ended jobs, a fault and an allocation."""
    state = State(small_pool(), Policy())
    right = (col.K_ALLOCATED, 0, 10_000, 0, 1, 0, 16 * col.WHOLE, 0)
    plan_cycle(
        state,
        Observed([Account("p-1", col.ACCOUNT_PROJECT)], no_jobs(), facts_of([right])),
        0,
    )
    for i in range(jobs):
        plan_cycle(state, submitted(state, [1 + i % 9, 16], 10 * i + 1), 10 * i + 1)
    running = int(state.c.running[0])
    ended = (col.K_ENDED, 10 * jobs, running, int(state.c.jobs[col.J_ATTEMPT, running]), 3)
    fault = (col.K_FAULT, 10 * jobs, -1, 2, 1, 0)
    plan_cycle(state, Observed([], no_jobs(), facts_of([ended, fault])), 10 * jobs)
    return state


@pytest.mark.parametrize("jobs", [0, 3, 400])
def test_a_state_comes_back_as_it_was(jobs: int) -> None:
    state = busy_state(max(jobs, 1)) if jobs else State(small_pool(), Policy())

    back = unpack_state(pack_state(state), state.pool, state.policy)

    assert back.digest() == state.digest()
    assert (back.job_names, back.job_index) == (state.job_names, state.job_index)
    assert (back.accounts, back.account_index) == (state.accounts, state.account_index)
    assert pack_state(back) == pack_state(state)


def test_a_state_that_came_back_decides_the_same() -> None:
    state = busy_state(60)
    back = unpack_state(pack_state(state), state.pool, state.policy)

    for at_s in range(1000, 2000, 10):
        one = plan_cycle(state, submitted(state, [at_s % 17 + 1], at_s), at_s)
        other = plan_cycle(back, submitted(back, [at_s % 17 + 1], at_s), at_s)
        assert np.array_equal(one.facts, other.facts)

    assert back.digest() == state.digest()


def test_what_is_no_state_of_this_pool_is_refused() -> None:
    packed = pack_state(busy_state(3))

    with pytest.raises(DureError, match="not of this pool"):
        unpack_state(packed, small_pool(2), Policy())
    with pytest.raises(DureError, match="version"):
        unpack_state(b"\x09" + packed[1:], small_pool(), Policy())
    with pytest.raises(DureError, match="damaged"):
        unpack_state(packed[:-9], small_pool(), Policy())
