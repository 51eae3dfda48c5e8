"""FGD: place a task where the fragmentation that the known mix of tasks expects rises least.

Source: Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation
Gradient Descent", USENIX ATC 2023; as its simulator counts it: CPU and GPUs, not memory, and a
score of whole points from 0 to 100, whose ties go to the smallest node name. Without the rounding
it packs worse.
"""

import math

import numpy as np

from dure.core.columns import IntArray
from dure.core.kernel import inner, kernel
from dure.core.packing import (
    CPU,
    FIRST_GPU,
    GPUS,
    MEMORY,
    MILLI,
    MODELS,
    Cluster,
    Tasks,
    fits,
    give_back,
    gpu_milli,
    is_repeat,
    settle,
    take,
)

# The paper's typical tasks are the most popular ones that cover this part of the trace.
TYPICAL_PERCENT = 95


def typical_kinds(kinds: IntArray, counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return the most popular kinds that cover 95 % of the tasks, and how often each occurs.

    Kinds that differ in memory only count as one. Ties in popularity: more CPU first, then more
    milli, more GPUs, the larger mask of models.
    """
    plain = kinds.copy()
    plain[:, MEMORY] = 0
    plain, place = np.unique(plain, axis=0, return_inverse=True)
    count = np.zeros(len(plain), dtype=np.int64)
    np.add.at(count, place.ravel(), counts)
    keys = (-plain[:, MODELS], -plain[:, GPUS], -plain[:, MILLI], -plain[:, CPU], -count)
    order = np.lexsort(keys)
    covered = np.cumsum(count[order])
    end = int(np.searchsorted(100 * covered, TYPICAL_PERCENT * count.sum())) + 1
    return np.ascontiguousarray(plain[order[:end]]), count[order[:end]]


@inner
def fragment_milli(free: IntArray, gpus: int, model: int, kinds: IntArray, counts: IntArray) -> int:
    """Return a node's fragments, added up over ``counts`` of typical kinds.

    For a kind that asks no GPU or cannot run here everything free is a fragment; for another, what
    is free on GPUs that have less than it asks.
    """
    total = gpu_milli(free, gpus)
    fragments = 0
    for kind in range(kinds.shape[0]):
        milli = kinds[kind, MILLI]
        part = total
        may_run = kinds[kind, GPUS] > 0 and kinds[kind, MODELS] >> model & 1 == 1
        if may_run and free[CPU] >= kinds[kind, CPU]:
            enough, small = 0, 0
            for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
                if free[gpu] >= milli:
                    enough += 1
                else:
                    small += free[gpu]
            if enough >= kinds[kind, GPUS]:
                part = small
        fragments += counts[kind] * part
    return fragments


@kernel
def fragment_milli_of_all(cluster: Cluster, kinds: IntArray, counts: IntArray) -> int:
    """Return the fragments of all nodes, added up over ``counts`` of typical kinds."""
    total = 0
    for node in range(len(cluster.gpus)):
        free, gpus, model = cluster.free[node], cluster.gpus[node], cluster.models[node]
        total += fragment_milli(free, gpus, model, kinds, counts)
    return total


@inner
def _points(fall: int, count: int) -> int:
    """Score a fall in fragments, added up over ``count`` tasks: 0 to 100, 50 for none."""
    return int(100.0 / (1.0 + math.exp(-fall / count / 1000.0)))


@inner
def _best_points(
    cluster: Cluster, node: int, kind: IntArray, kinds: IntArray, counts: IntArray, before: int
) -> tuple[int, int]:
    """Return a task's best score on a node where it fits, and the GPU for it, first on a tie."""
    free, gpus, model = cluster.free[node], cluster.gpus[node], cluster.models[node]
    count = counts.sum()
    if kind[GPUS] != 1:
        then = free.copy()
        take(then, gpus, kind, -1)
        return _points(before - fragment_milli(then, gpus, model, kinds, counts), count), -1
    best, best_gpu = -1, -1
    for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
        if free[gpu] >= kind[MILLI] and not is_repeat(free, gpu):
            take(free, gpus, kind, gpu)
            after = fragment_milli(free, gpus, model, kinds, counts)
            give_back(free, kind, gpu)
            points = _points(before - after, count)
            if points > best:
                best, best_gpu = points, gpu
    return best, best_gpu


@kernel
def place_by_fragmentation(
    cluster: Cluster,
    tasks: Tasks,
    kinds: IntArray,
    counts: IntArray,
    known: IntArray,
    first: int,
    end: int,
) -> None:
    """Place tasks ``first`` to ``end`` - 1 in turn by FGD.

    Args:
        cluster: changed in place.
        tasks: ``node`` is filled in.
        kinds: the typical kinds.
        counts: how often each occurs.
        known: what was worked out for a kind and a node, shape (3, kind, node): score, GPU and the
            node's ``changes`` at the time, -1 for never.
        first: the first task to place.
        end: the one after the last.
    """
    for task in range(first, end):
        number = tasks.kind[task]
        kind = tasks.kinds[number]
        best, best_node = -1, -1
        for node in range(len(cluster.gpus)):
            free, gpus, model = cluster.free[node], cluster.gpus[node], cluster.models[node]
            if free[CPU] < kind[CPU] or free[MEMORY] < kind[MEMORY]:
                continue
            if known[2, number, node] != cluster.changes[node]:
                known[2, number, node] = cluster.changes[node]
                known[0, number, node] = -1
                if fits(free, gpus, model, kind):
                    before = fragment_milli(free, gpus, model, kinds, counts)
                    points, gpu = _best_points(cluster, node, kind, kinds, counts, before)
                    known[0, number, node], known[1, number, node] = points, gpu
            if known[0, number, node] > best:
                best, best_node = known[0, number, node], node
        settle(cluster, tasks, task, best_node, known[1, number, max(best_node, 0)])
