"""A job's number, which facts know it by for ever, and the column it stands in meanwhile."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner


@inner
def column_of(c: Columns, number: int) -> int:
    """Return the column that a job stands in by its number, -1 if it was forgotten."""
    s = c.scalars
    # Whoever came since something was last forgotten stands in one piece.
    at = number - (s[S_LISTED] - s[S_JOBS])
    if at >= s[S_JOBS] or (at >= 0 and c.jobs[J_NUMBER, at] == number):
        return int(at)
    low, high = 0, s[S_JOBS]
    while low < high:
        middle = (low + high) // 2
        if c.jobs[J_NUMBER, middle] < number:
            low = middle + 1
        else:
            high = middle
    return int(low if low < s[S_JOBS] and c.jobs[J_NUMBER, low] == number else -1)


@inner
def is_of_job(kind: int) -> bool:
    """Tell whether a fact's third number is a job; other kinds may keep something else there."""
    if kind in (K_SUBMITTED, K_ENDED, K_CANCELLED, K_VACATED):
        return True
    return bool(K_REFUSED <= kind <= K_CLAIM_ENDED or K_BOOKED <= kind <= K_MOVED_UP)
