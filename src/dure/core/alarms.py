"""When the cycle must look again: a binary heap of (at_s, what, who), smallest first; ties by what,
then who.
"""

import numpy as np

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner


@inner
def _before(alarms: np.ndarray, i: int, j: int) -> bool:
    for k in range(3):
        if alarms[i, k] != alarms[j, k]:
            return bool(alarms[i, k] < alarms[j, k])
    return False


@inner
def _swap(alarms: np.ndarray, i: int, j: int) -> None:
    for k in range(3):
        alarms[i, k], alarms[j, k] = alarms[j, k], alarms[i, k]


@inner
def push_alarm(c: Columns, at_s: int, what: int, who: int) -> None:
    """Wake the cycle at ``at_s``; the array has room (the caller of a cycle sees to that)."""
    i = c.scalars[S_ALARMS]
    c.alarms[i, 0], c.alarms[i, 1], c.alarms[i, 2] = at_s, what, who
    c.scalars[S_ALARMS] = i + 1
    while i > 0 and _before(c.alarms, i, (i - 1) // 2):
        _swap(c.alarms, i, (i - 1) // 2)
        i = (i - 1) // 2


@inner
def pop_alarms(c: Columns, now_s: int) -> None:
    """Move every alarm up to ``now_s`` from the heap to ``due``, in order."""
    s, alarms = c.scalars, c.alarms
    s[S_DUE] = 0
    while s[S_ALARMS] > 0 and alarms[0, 0] <= now_s:
        for k in range(3):
            c.due[s[S_DUE], k] = alarms[0, k]
        s[S_DUE] += 1
        last = s[S_ALARMS] - 1
        s[S_ALARMS] = last
        for k in range(3):
            alarms[0, k] = alarms[last, k]
        i = 0
        while True:
            least = i
            for child in (2 * i + 1, 2 * i + 2):
                if child < last and _before(alarms, child, least):
                    least = child
            if least == i:
                break
            _swap(alarms, i, least)
            i = least
