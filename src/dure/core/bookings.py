"""The list of dates: which waiting gangs start at latest when, on which kind of node.

A gang's first date in a wait is its promise. It may be brought forward, never put off; who no
longer waits has none.
"""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.moves import lasts_s
from dure.core.placement import shape_of


@inner
def _copy_row(c: Columns, source: int, target: int) -> None:
    for k in range(B_COUNT):
        c.booked[target, k] = c.booked[source, k]


@inner
def _remove(c: Columns, job: int) -> None:
    s, at = c.scalars, 0
    if c.jobs[J_DATE, job] < 0:
        return
    while c.booked[at, B_JOB] != job:
        at += 1
    s[S_BOOKED] -= 1
    for i in range(at, s[S_BOOKED]):
        _copy_row(c, i + 1, i)
    c.jobs[J_DATE, job] = -1


@inner
def unbook(c: Columns, job: int) -> None:
    """Take a gang off the list, if it is there; others may now use what was kept for it."""
    if c.jobs[J_DATE, job] >= 0:
        _remove(c, job)
        c.scalars[S_FREED] |= FREED_RIGHTS


@inner
def nodes_of(c: Columns, job: int, group: int) -> int:
    """Return how many nodes of a kind a gang takes, parts of a node counted as whole."""
    need, _, extra = shape_of(c, job, c.groups[G_GPUS, group])
    return int(need + (1 if extra > 0 else 0))


@inner
def book(c: Columns, job: int, date_s: int, group: int) -> None:
    """Give a gang a date, or an earlier one; -1 gives it up, and the promise with it."""
    jobs, s, booked = c.jobs, c.scalars, c.booked
    if date_s < 0:
        unbook(c, job)
        jobs[J_PROMISED, job] = -1
        return
    _remove(c, job)
    if jobs[J_PROMISED, job] < 0:
        jobs[J_PROMISED, job] = date_s
    at = s[S_BOOKED]
    while at > 0:
        before_s, other = booked[at - 1, B_DATE], booked[at - 1, B_JOB]
        if before_s < date_s or (before_s == date_s and other < job):
            break
        _copy_row(c, at - 1, at)
        at -= 1
    booked[at, B_JOB], booked[at, B_DATE], booked[at, B_GROUP] = job, date_s, group
    booked[at, B_NODES], booked[at, B_LASTS] = nodes_of(c, job, group), lasts_s(c, job)
    jobs[J_DATE, job], jobs[J_DATE_GROUP, job] = date_s, group
    s[S_BOOKED] += 1
