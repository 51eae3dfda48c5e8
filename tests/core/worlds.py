"""Random pools, jobs and events for the engine's tests: everything follows from one seed."""

from dataclasses import dataclass, field, replace

import numpy as np

from dure.core import columns as col
from dure.core.columns import IntArray
from dure.core.policy import Policy, policy_named
from dure.core.pool import Pool, Rate
from dure.core.state import ASKED, Account, Jobs

FactRow = tuple[int, ...]
TYPES = ("B200", "H200", "NPU")
SPAN_S = 6_000


@dataclass
class World:
    """What a simulated run is made of.

    Attributes:
        allocations: facts of the first moment.
        jobs: columns as a submission brings them, ordered by submission.
        script: faults, repairs, cordons, cancels, later allocations: ``(at_s, fact)``, sorted.
    """

    seed: int
    policy: Policy
    pool: Pool
    accounts: list[Account]
    allocations: list[FactRow]
    jobs: IntArray
    script: list[tuple[int, FactRow]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [f"j{i}" for i in range(self.jobs.shape[1])]

    def jobs_of(self, chosen: slice) -> Jobs:
        return Jobs(self.names[chosen], self.jobs[:, chosen])


def pool_of_rows(rows: list[tuple[str, ...]], sizes: list[tuple[int, int, int]]) -> Pool:
    """Make a pool of (provider, cluster, pod, leaf, accelerator, grade) and (gpus, cpu, memory)."""
    provider, cluster, pod, leaf, accelerator, grade = (
        list(part) for part in zip(*rows, strict=True)
    )
    gpus, cpu, memory = np.array(sizes, dtype=np.int64).reshape(-1, 3).T
    return Pool(
        node=[f"n{i:03}" for i in range(len(rows))],
        provider=provider,
        cluster=cluster,
        pod=pod,
        leaf=leaf,
        site=[name[:2] for name in cluster],
        accelerator=accelerator,
        gpus=gpus.copy(),
        cpu_milli=cpu.copy(),
        memory_mib=memory.copy(),
        grade=grade,
        use=["public"] * len(rows),
        in_service_at_s=np.zeros(len(rows), dtype=np.int64),
    )


def random_pool(rng: np.random.Generator) -> Pool:
    """Return 1..4 clusters, each of a type, with pods, leaves, a grade and a node size."""
    rows: list[tuple[str, ...]] = []
    sizes: list[tuple[int, int, int]] = []
    for k in range(int(rng.integers(1, 5))):
        accelerator = TYPES[int(rng.integers(0, 3))]
        gpus = int(rng.choice([1, 2, 4, 8, 8, 8]))
        provider, cluster = f"q{int(rng.integers(0, 2))}", f"s{k % 2}c{k}"
        grade = str(rng.choice(["C", "C", "S", "O"]))
        limits = (16_000 * gpus, 64 * gpus) if rng.random() < 0.3 else (0, 0)
        for pod in range(int(rng.integers(1, 3))):
            for leaf in range(int(rng.integers(1, 4))):
                for _ in range(int(rng.integers(1, 5))):
                    rows.append((provider, cluster, f"p{pod}", f"l{leaf}", accelerator, grade))
                    sizes.append((gpus, *limits))
    return pool_of_rows(rows, sizes)


def with_rates(pool: Pool, rng: np.random.Generator) -> Pool:
    """Return the pool with types of different speed and worth."""
    rates = {
        kind: Rate(int(rng.choice([333, 1000, 2500])), int(rng.choice([500, 1000, 4321])))
        for kind in pool.types
    }
    return replace(pool, rates=rates)


def random_accounts(pool: Pool, rng: np.random.Generator) -> list[Account]:
    accounts = [Account("", col.ACCOUNT_POOL)]
    accounts += [Account(name, col.ACCOUNT_PROVIDER) for name in pool.providers]
    accounts += [
        Account(f"P{i}", col.ACCOUNT_PROJECT, int(rng.integers(1, 4)))
        for i in range(int(rng.integers(1, 6)))
    ]
    return accounts


def capacity_of(pool: Pool) -> IntArray:
    """Return the milli-GPU of each type."""
    capacity = np.zeros(len(pool.types), dtype=np.int64)
    np.add.at(capacity, [pool.types.index(t) for t in pool.accelerator], pool.gpus * col.WHOLE)
    return capacity


def random_allocations(
    pool: Pool, accounts: list[Account], rng: np.random.Generator
) -> tuple[list[FactRow], list[tuple[int, FactRow]]]:
    """Return facts of the first moment, and later ones: allocations begin, shrink, grow and end.

    At every moment the pool can keep what it has allocated.
    """
    first: list[FactRow] = []
    later: list[tuple[int, FactRow]] = []
    left = capacity_of(pool)
    for account in range(1, len(accounts)):
        for kind in range(len(pool.types)):
            if rng.random() < 0.35:
                continue
            milli = int(rng.integers(0, left[kind] // col.WHOLE + 1)) * col.WHOLE
            if milli == 0:
                continue
            left[kind] -= milli
            from_s = int(rng.choice([0, 0, rng.integers(0, SPAN_S)]))
            to_s = col.FOREVER_S if rng.random() < 0.6 else from_s + int(rng.integers(1, SPAN_S))
            index = len(first)
            first.append((col.K_ALLOCATED, 0, to_s, index, account, kind, milli, from_s))
            if rng.random() < 0.3:
                at_s, part = int(rng.integers(1, SPAN_S)), int(rng.integers(0, milli // 1000 + 1))
                fact = (col.K_ALLOCATED, at_s, to_s, index, account, kind, part * 1000, from_s)
                later.append((at_s, fact))
    return first, later


def random_jobs(pool: Pool, accounts: int, count: int, rng: np.random.Generator) -> IntArray:
    """Return jobs with every column that decides something."""
    jobs = np.zeros((ASKED, count), dtype=np.int64)
    # In some worlds much happens in the same second.
    grain_s = int(rng.choice([1, 20, 60]))
    submit = rng.integers(0, SPAN_S, count) // grain_s * grain_s
    submit[rng.random(count) < 0.3] = SPAN_S // 3
    submit[: count // 20] = 0
    jobs[col.J_SUBMIT] = np.sort(submit)
    largest = int(pool.gpus.max())
    jobs[col.J_GPUS] = rng.choice([1, 1, 1, 2, 3, 4, 8, 8, 12, 16, 20, 32], count)
    small = rng.random(count) < 0.3
    jobs[col.J_GPUS, small] = rng.integers(1, largest + 1, int(small.sum()))
    jobs[col.J_MILLI] = col.WHOLE
    parts = (rng.random(count) < 0.25) & (jobs[col.J_GPUS] <= 4)
    jobs[col.J_MILLI, parts] = rng.choice([100, 250, 333, 500, 501, 999], int(parts.sum()))
    shaped = (rng.random(count) < 0.15) & (jobs[col.J_GPUS] % 2 == 0)
    jobs[col.J_NODES, shaped] = 2
    each = shaped & (rng.random(count) < 0.5)
    jobs[col.J_GPN, each] = jobs[col.J_GPUS, each] // 2
    jobs[col.J_OWNER] = rng.integers(0, accounts, count)
    jobs[col.J_PROJECT] = jobs[col.J_OWNER]
    jobs[col.J_PROVIDER] = rng.integers(-1, len(pool.providers), count)
    everything = (1 << len(pool.types)) - 1
    jobs[col.J_TYPES] = np.where(
        rng.random(count) < 0.5, everything, rng.integers(1, everything + 1, count)
    )
    jobs[col.J_TYPES, rng.random(count) < 0.02] = 0
    jobs[col.J_CLASS_ASKED] = rng.choice([0, 0, 0, 0, 1, 2, 3], count)
    jobs[col.J_LOCALITY] = rng.choice([0, 0, 0, 1, 2], count)
    jobs[col.J_LEVEL] = np.where(jobs[col.J_LOCALITY] > 0, rng.integers(0, 5, count), col.AT_ANY)
    jobs[col.J_PATIENCE] = np.where(jobs[col.J_LOCALITY] == 1, rng.integers(0, 900, count), 0)
    jobs[col.J_WORK] = rng.integers(0, 1200, count) // grain_s * grain_s
    jobs[col.J_ESTIMATE] = np.where(
        rng.random(count) < 0.6, jobs[col.J_WORK] + rng.integers(-60, 600, count), -1
    )
    jobs[col.J_ESTIMATE] = np.maximum(jobs[col.J_ESTIMATE], -1)
    jobs[col.J_CKPT_EVERY] = rng.choice([0, 60, 300, 900, 3000], count)
    jobs[col.J_CKPT_TAKES] = rng.choice([-1, -1, 0, 30, 700], count)
    jobs[col.J_PREEMPTIBLE] = rng.random(count) < 0.8
    jobs[col.J_GRADE] = rng.choice([0, 0, 0, 1, 2], count)
    jobs[col.J_DEADLINE] = -1
    jobs[col.J_AFTER] = np.where(rng.random(count) < 0.1, rng.integers(-1, count + 3, count), -1)
    limited = rng.random(count) < 0.2
    jobs[col.J_CPU, limited] = (
        1000 * rng.integers(1, 17, int(limited.sum())) * jobs[col.J_GPUS, limited]
    )
    jobs[col.J_MEMORY, limited] = (
        rng.integers(1, 65, int(limited.sum())) * jobs[col.J_GPUS, limited]
    )
    # Chance of its own, so that what else a seed gives stays as it is.
    elastic = rng.spawn(1)[0]
    some = elastic.random(count) < 0.5
    jobs[col.J_MIN_GPUS, some] = elastic.integers(0, jobs[col.J_GPUS, some] + 1)
    return jobs


def random_preferences(pool: Pool, types: IntArray, rng: np.random.Generator) -> IntArray:
    """Return for each job some of its types in an order of preference, packed."""
    packed = []
    for mask in types.tolist():
        order = rng.permutation([kind for kind in range(len(pool.types)) if mask >> kind & 1])
        chosen = order[: int(rng.integers(0, order.size + 1))].tolist()
        packed.append(sum(int(kind) + 1 << 6 * place for place, kind in enumerate(chosen)))
    return np.array(packed, dtype=np.int64)


def random_segments(jobs: IntArray, rng: np.random.Generator) -> IntArray:
    """Return for some jobs the size of their segments, now and then one that does not divide."""
    segments = np.where(
        rng.random(jobs.shape[1]) < 0.3, rng.choice([2, 3, 4, 8, 16], jobs.shape[1]), 0
    )
    fits = jobs[col.J_GPUS] % np.maximum(segments, 1) == 0
    return np.where(fits | (rng.random(jobs.shape[1]) < 0.02), segments, 0)


def random_troubles(pool: Pool, jobs: int, rng: np.random.Generator) -> list[tuple[int, FactRow]]:
    """Return faults and repairs (zero-length, partial, overlapping too), cordons, cancels."""
    script: list[tuple[int, FactRow]] = []
    for _ in range(int(rng.integers(0, 25))):
        node, at_s = int(rng.integers(0, len(pool.node))), int(rng.integers(0, SPAN_S))
        lasts_s = int(rng.choice([0, 1, 60, 900, 4000]))
        devices = int(rng.choice([0, 0, 1, 2, 70]))
        script.append((at_s, (col.K_FAULT, at_s, -1, node, 1, devices)))
        script.append((at_s + lasts_s, (col.K_REPAIRED, at_s + lasts_s, -1, node, 1, devices)))
    for _ in range(int(rng.integers(0, 4))):
        node, at_s = int(rng.integers(0, len(pool.node))), int(rng.integers(0, SPAN_S))
        script.append((at_s, (col.K_CORDONED, at_s, -1, node, 1, node % 3)))
        back_s = at_s + int(rng.integers(0, 2000))
        script.append((back_s, (col.K_CORDONED, back_s, -1, node, 0, node % 3)))
    for job in rng.integers(0, jobs, jobs // 15).tolist():
        script.append((int(rng.integers(0, SPAN_S + 900)), (col.K_CANCELLED, 0, job)))
    return script


def random_world(seed: int, policy: str = "dure", *, jobs: int = 120, **rules: object) -> World:
    """Return the world of a seed; equal seeds give equal worlds."""
    rng = np.random.default_rng(seed)
    pool = random_pool(rng)
    accounts = random_accounts(pool, rng)
    first, script = random_allocations(pool, accounts, rng)
    columns = random_jobs(pool, len(accounts), jobs, rng)
    if seed % 2:
        rng_of_rates = np.random.default_rng(seed)
        pool = with_rates(pool, rng_of_rates)
        columns[col.J_PREFERRED] = random_preferences(pool, columns[col.J_TYPES], rng_of_rates)
        columns[col.J_SEGMENT] = random_segments(columns, rng_of_rates)
    script += random_troubles(pool, jobs, rng)
    script.sort()
    return World(
        seed,
        policy_named(policy, **{"swap": True, "lemon_faults": 3} | rules),
        pool,
        accounts,
        first,
        columns,
        script,
    )
