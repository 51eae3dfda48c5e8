"""How long one pass of the engine takes: a whole nation's line before an empty pool, and then the
passes after a hundredth of the nodes came free.
"""

import copy
import resource
import time
from collections.abc import Callable

import numpy as np

from dure.core import columns as col
from dure.core.check import violations
from dure.core.errors import DureError
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.policy import policy_named
from dure.core.pool import Pool
from dure.core.state import ASKED, Account, CycleRecord, Jobs, State, no_jobs
from dure.core.why import explain_all

NODE_GPUS, LEAF_NODES, POD_LEAVES, SITE_PODS = 8, 32, 8, 16
TYPES = ("B200", "H200")
# Devices of a gang and how often; the national pool's winners ask for as many (docs/models.md).
_SIZES = ((1, 0.30), (2, 0.12), (4, 0.12), (8, 0.26), (16, 0.10), (32, 0.05), (64, 0.03))
_LARGER = (128, 256, 512)
ENTITLED_SHARE = 0.8  # of the capacity; the rest is lent
FREED_SHARE = 0.01


def bench_pool(nodes: int) -> Pool:
    """Return so many nodes of two types in leaves, pods and sites."""
    index = np.arange(nodes)
    leaf, pod = index // LEAF_NODES, index // (LEAF_NODES * POD_LEAVES)
    site = pod // SITE_PODS
    return Pool(
        node=[f"n{i:06}" for i in index.tolist()],
        provider=[f"provider-{i}" for i in site.tolist()],
        cluster=[f"site-{i}" for i in site.tolist()],
        leaf=[f"leaf-{i:05}" for i in leaf.tolist()],
        pod=[f"pod-{i:04}" for i in pod.tolist()],
        site=[f"site-{i}" for i in site.tolist()],
        accelerator=[TYPES[i % len(TYPES)] for i in pod.tolist()],
        grade=["O"] * nodes,
        use=["public"] * nodes,
        gpus=np.full(nodes, NODE_GPUS, dtype=np.int64),
        cpu_milli=np.zeros(nodes, dtype=np.int64),
        memory_mib=np.zeros(nodes, dtype=np.int64),
        in_service_at_s=np.zeros(nodes, dtype=np.int64),
    )


def bench_jobs(count: int, projects: int, rng: np.random.Generator) -> Jobs:
    """Return a line of gangs of every size: two in three may borrow, a third takes any type."""
    columns = np.zeros((ASKED, count), dtype=np.int64)
    sizes = [size for size, _ in _SIZES]
    shares = [share for _, share in _SIZES]
    pick = rng.choice(len(sizes) + 1, size=count, p=[*shares, 1 - sum(shares)])
    gpus = np.array([*sizes, 0])[pick]
    large = gpus == 0
    gpus[large] = rng.choice(_LARGER, size=int(large.sum()))
    columns[col.J_GPUS], columns[col.J_MILLI] = gpus, col.WHOLE
    columns[col.J_PROJECT] = columns[col.J_OWNER] = rng.integers(1, projects + 1, count)
    columns[col.J_PROVIDER], columns[col.J_AFTER] = -1, -1
    columns[col.J_TYPES] = rng.choice([1, 2, 3], size=count)
    columns[col.J_LEVEL] = col.AT_ANY
    columns[col.J_PREEMPTIBLE] = rng.random(count) < 2 / 3
    columns[col.J_ESTIMATE] = rng.integers(1, 96, count) * 900
    columns[col.J_CKPT_EVERY], columns[col.J_CKPT_TAKES] = 3600, 60
    columns[col.J_DEADLINE] = -1
    columns[col.J_WORK] = columns[col.J_ESTIMATE] // 2
    return Jobs([f"j{i}" for i in range(count)], columns)


def _rights(projects: int, capacity: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return allocations in whole nodes, some large, most small, of both types in turn."""
    weight = rng.pareto(1.5, projects) + 1
    gpus = (weight / weight.sum() * ENTITLED_SHARE * capacity / NODE_GPUS).astype(np.int64)
    return [
        (col.K_ALLOCATED, 0, col.FOREVER_S, i, i + 1, i % 2, int(one) * 8 * col.WHOLE, 0)
        for i, one in enumerate(np.maximum(gpus, 1).tolist())
    ]


def waiting_state(nodes: int, pending: int, projects: int, seed: int) -> State:
    """Return an empty pool with a full line, recorded but not planned for."""
    rng = np.random.default_rng(seed)
    state = State(bench_pool(nodes), policy_named("dure"))
    accounts = [Account(f"p{i:05}", col.ACCOUNT_PROJECT) for i in range(projects)]
    jobs = bench_jobs(pending, projects, rng)
    facts = _rights(projects, nodes * NODE_GPUS, rng)
    facts += [(col.K_SUBMITTED, 0, job) for job in range(pending)]
    state.fold(CycleRecord(0, False, accounts, jobs, facts_of(facts)))
    return state


def _free_some(state: State, rng: np.random.Generator) -> Observed:
    """Let the work on a hundredth of the nodes end."""
    c = state.c
    chosen = rng.choice(
        c.nodes.shape[1], max(1, int(FREED_SHARE * c.nodes.shape[1])), replace=False
    )
    ended = set()
    for node in chosen.tolist():
        row = int(c.nodes[col.N_ROWS, node])
        while row >= 0:
            ended.add(int(c.rows[col.R_JOB, row]))
            row = int(c.rows[col.R_NEXT_OF_NODE, row])
    facts: list[tuple[int, ...]] = [
        (col.K_ENDED, state.now_s, job, int(c.jobs[col.J_ATTEMPT, job]), col.COMPLETED)
        for job in sorted(ended)
    ]
    return Observed([], no_jobs(), facts_of(facts))


def run_engine_bench(
    *,
    nodes: int,
    pending: int,
    projects: int,
    repeat: int,
    seed: int,
    tell: Callable[[int], None] | None = None,
) -> dict[str, float | int]:
    """Time full passes and passes after some nodes came free; milliseconds, compiling left out.

    Raises:
        DureError: if an invariant does not hold after a pass: then no figure is worth anything.
    """
    nothing = Observed([], no_jobs(), facts_of([]))
    small = waiting_state(64, 200, 10, seed)
    plan_cycle(small, nothing, 1)
    explain_all(small.c)
    fresh = waiting_state(nodes, pending, projects, seed)
    full_ms, plan_ms, started, state = [], [], 0, fresh
    for round_ in range(repeat):
        state = copy.deepcopy(fresh)
        begun = time.perf_counter()
        plan = plan_cycle(state, nothing, 1)
        planned = time.perf_counter()
        explain_all(state.c)
        full_ms.append((time.perf_counter() - begun) * 1e3)
        plan_ms.append((planned - begun) * 1e3)
        started = int((plan.facts[:, 0] == col.K_STARTED).sum())
        if tell is not None:
            tell(round_ + 1)
    _insist(state)
    freed_ms, rng = [], np.random.default_rng(seed)
    for round_ in range(5 * repeat):
        observed = _free_some(state, rng)
        begun = time.perf_counter()
        plan_cycle(state, observed, state.now_s + 30)
        explain_all(state.c)
        freed_ms.append((time.perf_counter() - begun) * 1e3)
        if tell is not None:
            tell(repeat + round_ + 1)
    _insist(state)
    return {
        "nodes": nodes,
        "pending": pending,
        "projects": projects,
        "full_pass_ms_p50": round(float(np.quantile(full_ms, 0.5)), 2),
        "full_pass_ms_p99": round(float(np.quantile(full_ms, 0.99)), 2),
        "freed_pass_ms_p50": round(float(np.quantile(freed_ms, 0.5)), 2),
        "freed_pass_ms_p99": round(float(np.quantile(freed_ms, 0.99)), 2),
        "gangs_started": started,
        "gangs_per_s": round(started / (float(np.quantile(plan_ms, 0.5)) / 1e3)),
        "rss_mb_max": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def _insist(state: State) -> None:
    if broken := violations(state):
        raise DureError("; ".join(broken[:3]))
