"""A binary heap of (key, id) in two arrays: the least key first; ties by the lesser id."""

import numpy as np

from dure.core.kernel import inner


@inner
def _is_behind(keys: np.ndarray, ids: np.ndarray, i: int, j: int) -> bool:
    return bool(keys[i] > keys[j] or (keys[i] == keys[j] and ids[i] > ids[j]))


@inner
def sink_pair(keys: np.ndarray, ids: np.ndarray, at: int, count: int) -> None:
    """Put the pair at ``at``, whose key may have grown, in its place among the first ``count``."""
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and _is_behind(keys, ids, child, child + 1):
            child += 1
        if not _is_behind(keys, ids, at, child):
            return
        keys[at], keys[child] = keys[child], keys[at]
        ids[at], ids[child] = ids[child], ids[at]
        at = child


@inner
def push_pair(keys: np.ndarray, ids: np.ndarray, count: int, key: int, of: int) -> None:
    """Add a pair to the ``count`` that are there."""
    at = count
    keys[at], ids[at] = key, of
    while at > 0 and _is_behind(keys, ids, (at - 1) // 2, at):
        above = (at - 1) // 2
        keys[at], keys[above] = keys[above], keys[at]
        ids[at], ids[above] = ids[above], ids[at]
        at = above
