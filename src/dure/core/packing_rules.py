"""The published rules that packing is compared with: they look at one node and one task at a time.

Source: the FGD paper's simulator (USENIX ATC 2023), which scores nodes in whole points from 0 to
100 and gives ties to the smallest node name. Random takes any node and GPU. DotProd (Tetris,
SIGCOMM 2014) avoids nodes that have much left of what is asked. Clustering (Gandiva, OSDI 2018)
puts like with like. Packing (MLaaS, NSDI 2022) prefers GPUs in part used, then used nodes. BestFit
leaves least. All but Random put a share on the tightest GPU that has it.
"""

from dure.core.columns import WHOLE, IntArray
from dure.core.kernel import inner, kernel
from dure.core.packing import (
    CPU,
    FIRST_GPU,
    GPUS,
    MILLI,
    Cluster,
    FloatArray,
    Tasks,
    fits,
    gpu_milli,
    gpus_with,
    settle,
    tightest_gpu,
)

RANDOM, DOTPROD, CLUSTERING, PACKING, BESTFIT = range(5)
RULES = ("random", "dotprod", "clustering", "packing", "bestfit")


@inner
def _dotprod(free: IntArray, gpus: int, kind: IntArray, most: IntArray) -> int:
    """Score low where both sides of the product are large, as parts of the largest node's."""
    cpu = (free[CPU] / most[0]) * (kind[CPU] / most[0])
    gpu = (gpu_milli(free, gpus) / most[1]) * (kind[GPUS] * kind[MILLI] / most[1])
    return int(100.0 * (1.0 - (cpu + gpu) / 2.0))


@inner
def _clustering(free: IntArray, gpus: int, kind: IntArray, most: IntArray, held: IntArray) -> int:
    """Score by what the node holds: only the like, also the like, nothing, only others."""
    if kind[GPUS] == 0:
        return 0
    sorts = 0
    for each in range(len(held)):
        sorts += held[each] > 0
    base = 0
    if held[sort_of(kind)] > 0:
        base = 75 if sorts == 1 else 50
    elif sorts == 0:
        base = 25
    return base + 25 * (most[1] - gpu_milli(free, gpus)) // most[1]


@inner
def _packing(free: IntArray, gpus: int, kind: IntArray) -> int:
    """Score shared GPUs from 50 up, whole ones of a used node from 33, of a free one below."""
    if kind[GPUS] == 0:
        return 0
    whole = gpus_with(free, gpus, WHOLE)
    if whole == gpus:
        return max(33 - whole, whole)
    if kind[GPUS] > 1:
        return max(50 - kind[GPUS], 33)
    tightest = free[tightest_gpu(free, gpus, kind[MILLI])]
    if tightest == WHOLE:
        return 49
    return max(100 - tightest * 100 // WHOLE // 10, 50)


@inner
def _bestfit(free: IntArray, gpus: int, kind: IntArray, most: IntArray) -> int:
    """Score high where little CPU and GPU is left, as parts of the largest node's."""
    cpu = free[CPU] - kind[CPU]
    gpu = gpu_milli(free, gpus) - kind[GPUS] * kind[MILLI]
    return 100 - -(-50 * (cpu * most[1] + gpu * most[0]) // (most[0] * most[1]))


@inner
def sort_of(kind: IntArray) -> int:
    """Return 0 for a share, else the number of whole GPUs."""
    return 0 if kind[MILLI] < WHOLE else kind[GPUS]


@inner
def points(
    rule: int, free: IntArray, gpus: int, kind: IntArray, most: IntArray, held: IntArray
) -> int:
    """Score a node where a task fits, more is better; Random scores all alike."""
    if rule == DOTPROD:
        return _dotprod(free, gpus, kind, most)
    if rule == CLUSTERING:
        return _clustering(free, gpus, kind, most, held)
    if rule == PACKING:
        return _packing(free, gpus, kind)
    if rule == BESTFIT:
        return _bestfit(free, gpus, kind, most)
    return 0


@inner
def _any_node(cluster: Cluster, kind: IntArray, draw: float) -> int:
    count = 0
    for node in range(len(cluster.gpus)):
        count += fits(cluster.free[node], cluster.gpus[node], cluster.models[node], kind)
    chosen = int(draw * count)
    for node in range(len(cluster.gpus)):
        if fits(cluster.free[node], cluster.gpus[node], cluster.models[node], kind):
            if chosen == 0:
                return node
            chosen -= 1
    return -1


@inner
def _any_gpu(free: IntArray, gpus: int, milli: int, draw: float) -> int:
    chosen = int(draw * gpus_with(free, gpus, milli))
    for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
        if free[gpu] >= milli:
            if chosen == 0:
                return gpu
            chosen -= 1
    return -1


@inner
def _best_node(rule: int, cluster: Cluster, kind: IntArray, most: IntArray, held: IntArray) -> int:
    best, best_node = -1, -1
    for node in range(len(cluster.gpus)):
        free, gpus = cluster.free[node], cluster.gpus[node]
        if fits(free, gpus, cluster.models[node], kind):
            score = points(rule, free, gpus, kind, most, held[node])
            if score > best:
                best, best_node = score, node
    return best_node


@kernel
def place_by_rule(
    rule: int,
    cluster: Cluster,
    tasks: Tasks,
    draws: FloatArray,
    most: IntArray,
    held: IntArray,
    first: int,
    end: int,
) -> None:
    """Place tasks ``first`` to ``end`` - 1 in turn by a rule, ties to the first node.

    Args:
        rule: one of the numbers above.
        cluster: changed in place.
        tasks: ``node`` is filled in.
        draws: numbers in [0, 1) for Random's node and GPU, shape (task, 2).
        most: CPU and GPU milli of the largest node, >= 1, shape (2,).
        held: tasks of each sort on each node (0 shares, n of n GPUs), shape (node, most GPUs + 1).
        first: the first task to place.
        end: the one after the last.
    """
    for task in range(first, end):
        kind = tasks.kinds[tasks.kind[task]]
        if rule == RANDOM:
            node = _any_node(cluster, kind, draws[task, 0])
        else:
            node = _best_node(rule, cluster, kind, most, held)
        gpu = -1
        if node >= 0 and kind[GPUS] > 0:
            held[node, sort_of(kind)] += 1
            if rule == RANDOM:
                gpu = _any_gpu(cluster.free[node], cluster.gpus[node], kind[MILLI], draws[task, 1])
            else:
                gpu = tightest_gpu(cluster.free[node], cluster.gpus[node], kind[MILLI])
        settle(cluster, tasks, task, node, gpu)
