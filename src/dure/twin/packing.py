"""The packing experiment of the FGD paper (USENIX ATC 2023): fill a cluster and see what is lost.

A variant's tasks are shuffled by the seed; then tasks drawn uniformly with replacement are appended
until the next would pass 1.3 times the cluster's GPUs. They arrive one by one and never leave; one
that fits nowhere is dropped. The figure is what part of the GPUs is allocated when as many have
been asked for as there are.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dure.core.columns import IntArray
from dure.core.errors import InputError
from dure.core.fragmentation import fragment_milli_of_all, place_by_fragmentation, typical_kinds
from dure.core.learnt_mix import SEQUENCE_STEPS, SEQUENCES, MixPlacer
from dure.core.packing import CPU, GPUS, MILLI, Cluster, Tasks
from dure.core.packing_rules import RULES, place_by_rule
from dure.twin.packing_files import read_cluster, read_tasks

POLICIES = (*RULES, "fgd", "dure")
# Limits of memory: half a gigabyte of tasks, three of what is known of kinds on nodes.
TASKS_MAX = 5_000_000
KNOWN_MAX = 100_000_000
# Tasks placed between two looks at the progress bar.
CHUNK = 250
WARM_TASKS = 60

Place = Callable[[int, int], None]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One cluster and one sequence of tasks.

    Attributes:
        cluster: empty.
        tasks: none placed.
        typical: the trace's typical kinds and how often each occurs.
        end_at_100: the first task that passes the cluster's GPUs.
        seed: all chance comes from it.
    """

    cluster: Cluster
    tasks: Tasks
    typical: tuple[IntArray, IntArray]
    end_at_100: int
    seed: int


@dataclass(frozen=True, slots=True)
class Packed:
    """The figures of an experiment, the cluster as it ended, and where each task went."""

    figures: dict[str, str | int | float]
    cluster: Cluster
    tasks: Tasks


def read_experiment(nodes: Path, tasks: Path, *, variant: str, seed: int) -> Experiment:
    """Read the files and draw the tasks.

    Raises:
        InputError: naming file, row and column; or if the tables are too large together.
    """
    cluster, models = read_cluster(nodes)
    asked = read_tasks(tasks, variant, models)
    if not (asked[:, GPUS] > 0).any():
        raise InputError(
            f"{tasks}, column num_gpu", found="no task with a GPU", expected="some that ask for one"
        )
    experiment = draw_experiment(cluster, asked, seed=seed)
    known = len(experiment.tasks.kinds) * len(cluster.gpus)
    if known > KNOWN_MAX:
        raise InputError(
            str(tasks),
            found=f"{len(experiment.tasks.kinds)} kinds of tasks on {len(cluster.gpus)} nodes",
            expected=f"at most {KNOWN_MAX} pairs of the two",
        )
    return experiment


def draw_experiment(cluster: Cluster, asked: IntArray, *, seed: int) -> Experiment:
    """Shuffle and inflate a trace.

    Args:
        cluster: empty nodes, with a GPU.
        asked: the trace's tasks, shape (task, KIND_WIDTH); one at least asks for a GPU.
        seed: of the order and of the tasks appended.

    Raises:
        InputError: if 130 % of the GPUs are more than TASKS_MAX tasks ask for.
    """
    rng = np.random.default_rng(seed)
    gpu_milli = int(cluster.gpus.sum()) * 1000
    chosen, arrived = _inflated(asked[:, GPUS] * asked[:, MILLI], gpu_milli, rng)
    kinds, kind = np.unique(asked, axis=0, return_inverse=True)
    counts = np.bincount(kind.ravel(), minlength=len(kinds))
    tasks = Tasks(kinds, kind.ravel()[chosen], np.full(len(chosen), -1, dtype=np.int64))
    end = int(np.searchsorted(arrived, gpu_milli, side="right"))
    return Experiment(cluster, tasks, typical_kinds(kinds, counts), end, seed)


def _inflated(
    milli: IntArray, gpu_milli: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return the trace's rows in their order of arrival, and the milli asked for up to each."""
    chosen = rng.permutation(len(milli))
    arrived = np.cumsum(milli[chosen])
    # In whole numbers: 13 tenths.
    while arrived[-1] * 10 <= gpu_milli * 13:
        if len(chosen) + len(milli) > TASKS_MAX:
            raise InputError(
                "the tasks",
                found=f"{len(chosen)} that ask for {arrived[-1] / gpu_milli:.0%} of the GPUs",
                expected=f"130 % with at most {TASKS_MAX}",
                next_step="Take a smaller cluster.",
            )
        chosen = np.concatenate([chosen, rng.integers(0, len(milli), size=len(milli))])
        arrived = np.cumsum(milli[chosen])
    end = int(np.searchsorted(arrived * 10, gpu_milli * 13, side="right"))
    return chosen[:end], arrived[:end]


def pack(experiment: Experiment, policy: str, *, tell: Tell | None = None) -> Packed:
    """Place all tasks by a policy.

    Args:
        experiment: left as it is.
        policy: one of POLICIES.
        tell: called with 0 and the tasks placed, now and then.

    Returns:
        The figures; ``us_per_decision`` is processor time, without compiling.
    """
    _begin(experiment, policy)[2](0, min(WARM_TASKS, len(experiment.tasks.kind)))
    cluster, tasks, place = _begin(experiment, policy)
    begun_s = time.process_time()
    _place_all(place, 0, experiment.end_at_100, tell)
    used_s = time.process_time() - begun_s
    fragments = fragment_milli_of_all(cluster, *experiment.typical)
    begun_s = time.process_time()
    _place_all(place, experiment.end_at_100, len(tasks.kind), tell)
    used_s += time.process_time() - begun_s
    gpu_milli = int(cluster.gpus.sum()) * 1000
    asked = tasks.kinds[tasks.kind, GPUS] * tasks.kinds[tasks.kind, MILLI]
    held = np.concatenate([[0], np.cumsum(np.where(tasks.node >= 0, asked, 0))])
    weight = int(experiment.typical[1].sum())
    return Packed(
        {
            "policy": policy,
            "seed": experiment.seed,
            "nodes": len(cluster.gpus),
            "gpus": int(cluster.gpus.sum()),
            "tasks": len(tasks.kind),
            "dropped": int((tasks.node < 0).sum()),
            "allocated_pct_at_100": round(100 * int(held[experiment.end_at_100]) / gpu_milli, 4),
            "allocated_pct_at_130": round(100 * int(held[-1]) / gpu_milli, 4),
            "fragmented_pct_at_100": round(100 * int(fragments) / weight / gpu_milli, 4),
            "us_per_decision": round(1e6 * used_s / max(len(tasks.kind), 1), 1),
        },
        cluster,
        tasks,
    )


def _place_all(place: Place, first: int, end: int, tell: Tell | None) -> None:
    for start in range(first, end, CHUNK):
        place(start, min(start + CHUNK, end))
        if tell is not None:
            tell(0, min(start + CHUNK, end))


def _begin(experiment: Experiment, policy: str) -> tuple[Cluster, Tasks, Place]:
    """Return an empty cluster, tasks that have not arrived, and what places them in turn."""
    cluster = Cluster(*(one.copy() for one in experiment.cluster))
    tasks = experiment.tasks._replace(node=np.full_like(experiment.tasks.node, -1))
    # Its own stream, so that the tasks are the same whatever the policy.
    rng = np.random.default_rng([experiment.seed, 1])
    if policy == "dure":
        placer = MixPlacer(cluster, tasks, rng.random((SEQUENCES, SEQUENCE_STEPS)))
        return cluster, tasks, placer.place
    if policy == "fgd":
        known = np.full((3, len(tasks.kinds), len(cluster.gpus)), -1, dtype=np.int64)

        def by_fragmentation(first: int, end: int) -> None:
            place_by_fragmentation(cluster, tasks, *experiment.typical, known, first, end)

        return cluster, tasks, by_fragmentation
    draws = rng.random((len(tasks.kind), 2))
    most = np.array([cluster.free[:, CPU].max(), cluster.gpus.max() * 1000]).clip(1)
    held = np.zeros((len(cluster.gpus), int(cluster.gpus.max()) + 1), dtype=np.int64)
    rule = RULES.index(policy)

    def by_rule(first: int, end: int) -> None:
        place_by_rule(rule, cluster, tasks, draws, most, held, first, end)

    return cluster, tasks, by_rule
