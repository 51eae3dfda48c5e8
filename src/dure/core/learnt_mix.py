"""The product's packing rule as it runs: it learns the mix of tasks from those that have arrived.

It starts from nothing. The mix is taken anew after 1, 50, 66, 86, ... tasks, each time 3 in 10
more, so that it is never much out of date and taking it costs a bounded part of all decisions.
"""

import numpy as np

from dure.core.columns import IntArray
from dure.core.packing import CPU, GPUS, MEMORY, MILLI, Cluster, FloatArray, Tasks
from dure.core.spare_value import NO_RISE, Memo, Mix, Rises, place_by_waste

# docs/packing.md has the figures for other values of all of these.
SEQUENCES = 32
# More steps than tasks fit on a node of 8 GPUs; what does not fit is skipped.
SEQUENCE_STEPS = 60
# A rise is rounded to this many milli, so that equal nodes tie and the first of them is filled up.
STEP_MILLI = 60
# The waste by one kind counts a twentieth: it knows nothing of how kinds are combined, but it sees
# gangs, which are too rare to come up in the sequences and yet ask for much.
ONE_KIND_PARTS = 20
MILLION = 1_000_000
FIRST_LOOK = 50
# States met under one mix; more are worked out each time.
MEMO_SLOTS = 1 << 18


class MixPlacer:
    """Places tasks in turn, each by what those before it have shown.

    Args:
        cluster: changed in place.
        tasks: ``node`` is filled in; of later tasks nothing but their number in ``kinds`` is read.
        draws: numbers in [0, 1), shape (sequence, step); all chance comes from them.
    """

    def __init__(self, cluster: Cluster, tasks: Tasks, draws: FloatArray) -> None:
        self._cluster, self._tasks, self._draws = cluster, tasks, draws
        self._seen = np.zeros(len(tasks.kinds), dtype=np.int64)
        self._counted = 0
        # The first task brings the first mix.
        self._look_at = 0
        self._mix: Mix
        self._memo: Memo
        self._rises: Rises

    def place(self, first: int, end: int) -> None:
        """Place tasks ``first`` to ``end`` - 1; they follow those placed before."""
        while first < end:
            if first >= self._look_at:
                self._learn(first)
            until = min(end, self._look_at)
            place_by_waste(
                self._cluster, self._tasks, self._mix, self._memo, self._rises, first, until
            )
            first = until

    def _learn(self, task: int) -> None:
        """Take the mix of all tasks up to and with ``task``, which has arrived."""
        kinds = self._tasks.kind[self._counted : task + 1]
        self._seen += np.bincount(kinds, minlength=len(self._seen))
        self._counted = task + 1
        known = np.flatnonzero(self._seen)
        self._mix = learn_mix(self._tasks.kinds[known], self._seen[known], self._draws)
        self._memo = empty_memo(MEMO_SLOTS)
        self._rises = unknown_rises(len(self._seen), len(self._cluster.gpus))
        self._look_at = FIRST_LOOK if task < FIRST_LOOK else task * 13 // 10 + 1


def learn_mix(kinds: IntArray, counts: IntArray, draws: FloatArray) -> Mix:
    """Return the mix that the tasks seen so far suggest.

    Args:
        kinds: the kinds seen, shape (kind, KIND_WIDTH).
        counts: how often each was seen, >= 1.
        draws: numbers in [0, 1), shape (sequence, step); a kind that asks for GPUs comes up in a
            step as often as it was seen. Equal draws under a later mix give nearly equal sequences.
    """
    asking = np.flatnonzero(kinds[:, GPUS] > 0)
    asked = counts * kinds[:, GPUS] * kinds[:, MILLI]
    # Parts in a million, so that products stay small however many tasks were seen.
    weights = MILLION * asked // max(int(asked.sum()), 1)
    sequences = np.empty((0, draws.shape[1]), dtype=np.int64)
    least = np.zeros(3, dtype=np.int64)
    if len(asking):
        ends = np.cumsum(counts[asking])
        # The product of a float below 1 and a count is below the count, if rounded down.
        chosen = np.floor(draws * ends[-1]).astype(np.int64)
        sequences = asking[np.searchsorted(ends, chosen, side="right")]
        least = kinds[asking][:, [CPU, MEMORY, MILLI]].min(axis=0)
    weight = ONE_KIND_PARTS * max(int(weights.sum()), 1)
    scale = np.array([weight, len(draws), weight * len(draws) * STEP_MILLI], dtype=np.int64)
    return Mix(kinds, weights, sequences, least, scale)


def empty_memo(slots: int) -> Memo:
    """Return a memo without entries; ``slots`` is a power of 2."""
    names = np.zeros((slots, 2), dtype=np.uint64)
    return Memo(names, np.zeros(slots, dtype=np.int64), np.zeros(1, dtype=np.int64))


def unknown_rises(kinds: int, nodes: int) -> Rises:
    """Return a table in which nothing is worked out yet."""
    rise = np.full((kinds, nodes), NO_RISE, dtype=np.int64)
    return Rises(rise, np.full_like(rise, -1), np.full_like(rise, -1))
