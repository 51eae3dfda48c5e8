"""What a node's free GPUs are worth: how much of them the tasks still to come will leave unused.

The product's packing rule puts a task where this waste rises least. Two estimates are added:

* ``unused_after_sequences``: tasks of the mix learnt so far are dealt to the node in a fixed random
  order until it is full; what stays free, on average over the sequences, is waste.
* ``unused_by_one_kind``: for each kind alone, what stays free when the node is filled with it.

Everything is counted in whole milli-GPUs, so that no two machines disagree about a tie.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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

WordArray = NDArray[np.uint64]

# More tasks of a kind than any node holds, for kinds that ask no CPU and no memory.
MANY = 1_000_000
# No choice on a node: the task does not fit.
NO_RISE = np.iinfo(np.int64).max


class Mix(NamedTuple):
    """What is known of the tasks to come.

    Attributes:
        kinds: the kinds seen, shape (kind, KIND_WIDTH).
        weights: each kind's part in a million of the GPUs that were asked for.
        sequences: indices of kinds that ask for GPUs, shape (sequence, step).
        least: the smallest CPU, memory and milli of a kind that asks for GPUs, shape (3,).
        scale: weight of the milli unused after sequences, weight of those unused by one kind, and
            the step to which a rise in their sum is rounded, shape (3,).
    """

    kinds: IntArray
    weights: IntArray
    sequences: IntArray
    least: IntArray
    scale: IntArray


class Memo(NamedTuple):
    """The waste of states met before, as an open hash table; equal nodes share their entry.

    Attributes:
        names: 128 bits a state, shape (a power of 2, 2); a free slot holds 0.
        waste: shape (the same power of 2,).
        used: how many slots are taken, shape (1,).
    """

    names: WordArray
    waste: IntArray
    used: IntArray


class Rises(NamedTuple):
    """What each kind would add to each node's waste, kept until the node changes.

    Attributes:
        rise: in whole steps, NO_RISE where it does not fit, shape (kind, node).
        gpu: the GPU to use, for kinds with one.
        at_change: the node's ``changes`` when it was worked out, -1 never.
    """

    rise: IntArray
    gpu: IntArray
    at_change: IntArray


@inner
def unused_after_sequences(
    free: IntArray,
    gpus: int,
    model: int,
    kinds: IntArray,
    sequences: IntArray,
    least: IntArray,
    left: IntArray,
) -> int:
    """Return the milli left free after each sequence, added up over the sequences.

    Args:
        free: the node's row.
        gpus: its GPUs.
        model: its model's bit.
        kinds: shape (kind, KIND_WIDTH).
        sequences: indices of kinds that ask for GPUs, shape (sequence, step). What does not fit is
            skipped; one GPU or a share goes to the tightest, several take whole ones.
        least: the smallest CPU, memory and milli of any kind in the sequences: with less free,
            nothing fits.
        left: scratch, as wide as ``free``.
    """
    start = gpu_milli(free, gpus)
    end = FIRST_GPU + gpus
    waste = 0
    for sequence in range(sequences.shape[0]):
        total = start
        for column in range(end):
            left[column] = free[column]
        for step in range(sequences.shape[1]):
            if left[CPU] < least[0] or left[MEMORY] < least[1] or total < least[2]:
                break
            # A row of ``kinds`` as an array of its own would cost as much as the rest of the step.
            kind = sequences[sequence, step]
            if left[CPU] < kinds[kind, CPU] or left[MEMORY] < kinds[kind, MEMORY]:
                continue
            if kinds[kind, MODELS] >> model & 1 == 0:
                continue
            asked, milli = kinds[kind, GPUS], kinds[kind, MILLI]
            if asked == 1:
                best, best_gpu = MANY, -1
                for gpu in range(FIRST_GPU, end):
                    if milli <= left[gpu] < best:
                        best, best_gpu = left[gpu], gpu
                if best_gpu < 0:
                    continue
                left[best_gpu] -= milli
            else:
                count = 0
                for gpu in range(FIRST_GPU, end):
                    count += left[gpu] >= milli
                if count < asked:
                    continue
                count = asked
                for gpu in range(FIRST_GPU, end):
                    if count > 0 and left[gpu] >= milli:
                        left[gpu] -= milli
                        count -= 1
            left[CPU] -= kinds[kind, CPU]
            left[MEMORY] -= kinds[kind, MEMORY]
            total -= asked * milli
        waste += total
    return waste


@inner
def unused_by_one_kind(
    free: IntArray, gpus: int, model: int, kinds: IntArray, weights: IntArray
) -> int:
    """Return the milli left free if one kind filled the node, each times its weight.

    A kind that asks no GPU or cannot run here leaves everything.
    """
    total = gpu_milli(free, gpus)
    waste = 0
    for index in range(kinds.shape[0]):
        kind = kinds[index]
        used = 0
        if kind[GPUS] > 0 and fits(free, gpus, model, kind):
            tasks = MANY
            if kind[CPU] > 0:
                tasks = min(tasks, free[CPU] // kind[CPU])
            if kind[MEMORY] > 0:
                tasks = min(tasks, free[MEMORY] // kind[MEMORY])
            usable = 0
            for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
                if free[gpu] >= kind[MILLI]:
                    usable += free[gpu]
            used = min(usable, tasks * kind[GPUS] * kind[MILLI])
        waste += weights[index] * (total - used)
    return waste


@inner
def _stirred(word: np.uint64, value: int) -> np.uint64:
    """Stir a value into a 64-bit word (the finaliser of MurmurHash3)."""
    word = word ^ np.uint64(value)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return word ^ (word >> np.uint64(33))


@inner
def _name(free: IntArray, gpus: int, model: int, left: IntArray) -> tuple[np.uint64, np.uint64]:
    """Return 128 bits that stand for a node's state; the order of its GPUs does not matter."""
    end = FIRST_GPU + gpus
    for gpu in range(FIRST_GPU, end):
        place = gpu
        while place > FIRST_GPU and left[place - 1] > free[gpu]:
            left[place] = left[place - 1]
            place -= 1
        left[place] = free[gpu]
    first = _stirred(_stirred(np.uint64(model + 1), free[CPU]), free[MEMORY])
    second = _stirred(first + np.uint64(0x9E3779B97F4A7C15), gpus)
    for gpu in range(FIRST_GPU, end):
        first = _stirred(first + np.uint64(1), left[gpu])
        second = _stirred(second + np.uint64(2), left[gpu])
    return first | np.uint64(1), second


@inner
def waste(free: IntArray, gpus: int, model: int, mix: Mix, memo: Memo, left: IntArray) -> int:
    """Return a node's expected waste, in the units of ``mix.scale``."""
    first, second = _name(free, gpus, model, left)
    mask = np.uint64(len(memo.waste) - 1)
    slot = second & mask
    while memo.names[slot, 0] != 0:
        if memo.names[slot, 0] == first and memo.names[slot, 1] == second:
            return memo.waste[slot]
        slot = (slot + np.uint64(1)) & mask
    total = mix.scale[0] * unused_after_sequences(
        free, gpus, model, mix.kinds, mix.sequences, mix.least, left
    ) + mix.scale[1] * unused_by_one_kind(free, gpus, model, mix.kinds, mix.weights)
    # A table that is nearly full answers slowly: then nothing more is remembered.
    if memo.used[0] * 4 < len(memo.waste) * 3:
        memo.names[slot, 0], memo.names[slot, 1] = first, second
        memo.waste[slot] = total
        memo.used[0] += 1
    return total


@inner
def _rise(
    cluster: Cluster, node: int, kind: IntArray, mix: Mix, memo: Memo, left: IntArray
) -> tuple[int, int]:
    """Return the least rise in a node's waste if a task is placed there, and the GPU for it."""
    free, gpus, model = cluster.free[node], cluster.gpus[node], cluster.models[node]
    before = waste(free, gpus, model, mix, memo, left)
    best, best_gpu = NO_RISE, -1
    if kind[GPUS] == 1:
        for gpu in range(FIRST_GPU, FIRST_GPU + gpus):
            if free[gpu] >= kind[MILLI] and not is_repeat(free, gpu):
                take(free, gpus, kind, gpu)
                after = waste(free, gpus, model, mix, memo, left)
                give_back(free, kind, gpu)
                if after - before < best:
                    best, best_gpu = after - before, gpu
    else:
        then = free.copy()
        take(then, gpus, kind, -1)
        best = waste(then, gpus, model, mix, memo, left) - before
    step = mix.scale[2]
    return (2 * best + step) // (2 * step), best_gpu


@kernel
def place_by_waste(
    cluster: Cluster, tasks: Tasks, mix: Mix, memo: Memo, rises: Rises, first: int, end: int
) -> None:
    """Place tasks ``first`` to ``end`` - 1 in turn where waste rises least, ties to the first node.

    A task that fits somewhere is placed. ``memo`` and ``rises`` must come from the same ``mix``.
    """
    left = np.empty(cluster.free.shape[1], dtype=np.int64)
    for task in range(first, end):
        number = tasks.kind[task]
        kind = tasks.kinds[number]
        best, best_node = NO_RISE, -1
        for node in range(len(cluster.gpus)):
            free = cluster.free[node]
            if free[CPU] < kind[CPU] or free[MEMORY] < kind[MEMORY]:
                continue
            if rises.at_change[number, node] != cluster.changes[node]:
                rises.at_change[number, node] = cluster.changes[node]
                rises.rise[number, node] = NO_RISE
                if fits(free, cluster.gpus[node], cluster.models[node], kind):
                    rise, gpu = _rise(cluster, node, kind, mix, memo, left)
                    rises.rise[number, node], rises.gpu[number, node] = rise, gpu
            if rises.rise[number, node] < best:
                best, best_node = rises.rise[number, node], node
        gpu = rises.gpu[number, best_node] if best_node >= 0 else -1
        settle(cluster, tasks, task, best_node, gpu)
