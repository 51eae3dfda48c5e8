"""Where a task goes that asks for CPU, memory and GPUs or a share of one: what fits, what it takes.

A node is a row of what it has free: ``CPU`` (milli), ``MEMORY`` (MiB), then its GPUs (milli each,
1000 is a whole one). A task's kind is a row of what it asks: ``CPU``, ``MEMORY``, ``GPUS``,
``MILLI`` of each GPU, ``MODELS`` (a mask of the models it may use). A share is of one GPU; several
GPUs are whole ones. Tasks stay, so every choice decides what later ones find.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dure.core.columns import IntArray
from dure.core.kernel import inner

FloatArray = NDArray[np.float64]

CPU, MEMORY, GPUS, MILLI, MODELS = 0, 1, 2, 3, 4
KIND_WIDTH = 5
# The columns of a node before its GPUs.
FIRST_GPU = 2


class Cluster(NamedTuple):
    """Nodes in the order of their names, which decides ties.

    Attributes:
        free: shape (node, FIRST_GPU + most GPUs of any); places beyond a node's GPUs hold 0.
        gpus: GPUs of each node.
        models: the number of each node's GPU model; bit ``1 << number`` of a kind's MODELS.
        changes: how often each node changed, so that what was worked out for it can be kept.
    """

    free: IntArray
    gpus: IntArray
    models: IntArray
    changes: IntArray


class Tasks(NamedTuple):
    """Tasks in the order of their arrival.

    Attributes:
        kinds: shape (kind, KIND_WIDTH).
        kind: each task's kind, shape (task,).
        node: where each was placed, -1 if it was dropped or has not arrived, shape (task,).
    """

    kinds: IntArray
    kind: IntArray
    node: IntArray


@inner
def gpus_with(free: IntArray, gpus: int, milli: int) -> int:
    """Return how many of a node's GPUs have at least ``milli`` free."""
    count = 0
    for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
        if free[gpu] >= milli:
            count += 1
    return count


@inner
def gpu_milli(free: IntArray, gpus: int) -> int:
    """Return what is free on all of a node's GPUs."""
    total = 0
    for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
        total += free[gpu]
    return total


@inner
def fits(free: IntArray, gpus: int, model: int, kind: IntArray) -> bool:
    """Tell whether a task may and can run on a node now; one without GPUs may use any model."""
    if free[CPU] < kind[CPU] or free[MEMORY] < kind[MEMORY]:
        return False
    if kind[GPUS] == 0:
        return True
    if kind[MODELS] >> model & 1 == 0:
        return False
    return gpus_with(free, gpus, kind[MILLI]) >= kind[GPUS]


@inner
def tightest_gpu(free: IntArray, gpus: int, milli: int) -> int:
    """Return the GPU with the least free that has ``milli``, the first on a tie; -1 if none."""
    best = -1
    for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
        if free[gpu] >= milli and (best < 0 or free[gpu] < free[best]):
            best = gpu
    return best


@inner
def take(free: IntArray, gpus: int, kind: IntArray, gpu: int) -> None:
    """Take what a task asks: one GPU's part from ``gpu``, several from the first whole ones."""
    free[CPU] -= kind[CPU]
    free[MEMORY] -= kind[MEMORY]
    if kind[GPUS] == 1:
        free[gpu] -= kind[MILLI]
        return
    left = kind[GPUS]
    for each in range(FIRST_GPU, FIRST_GPU + gpus):
        if left > 0 and free[each] >= kind[MILLI]:
            free[each] -= kind[MILLI]
            left -= 1


@inner
def give_back(free: IntArray, kind: IntArray, gpu: int) -> None:
    """Undo ``take`` of a task with at most one GPU."""
    free[CPU] += kind[CPU]
    free[MEMORY] += kind[MEMORY]
    if kind[GPUS] == 1:
        free[gpu] += kind[MILLI]


@inner
def is_repeat(free: IntArray, gpu: int) -> bool:
    """Tell whether an earlier GPU of the node has just as much free: the choice is the same."""
    other = FIRST_GPU
    while free[other] != free[gpu]:
        other += 1
    return other < gpu


@inner
def settle(cluster: Cluster, tasks: Tasks, task: int, node: int, gpu: int) -> None:
    """Place a task on a node, or drop it where ``node`` is -1."""
    tasks.node[task] = node
    if node >= 0:
        take(cluster.free[node], cluster.gpus[node], tasks.kinds[tasks.kind[task]], gpu)
        cluster.changes[node] += 1
