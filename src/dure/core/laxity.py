"""Deadlines: a job that must start soon goes before others of its owner, the least slack first.

The latest start is the deadline less what the job says it still needs. Jobs that wait are in order
of slack when they are in order of their latest starts, and those do not move: so a job whose time
nears gets its latest start for a key, far below all others. It goes first among its owner's, within
what its owner is entitled to and in its owner's turn for loans; nobody's right is touched. When the
latest start has passed it goes back to its place: favouring it would only make others late.
"""

from dure.core.alarms import push_alarm
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner, kernel


@kernel
def latest_start_s(column: IntArray) -> int:
    """Return when a job must start at the latest, with all its devices, or ``FOREVER_S`` if it
    does not say.

    Args:
        column: of the job, shape (J_COUNT,).
    """
    if column[J_DEADLINE] < 0 or column[J_ESTIMATE] < 0:
        return FOREVER_S
    return int(column[J_DEADLINE] - max(0, column[J_ESTIMATE] - column[J_SAVED]))


@inner
def watch_deadline(c: Columns, job: int, from_s: int) -> None:
    """Wake the cycle when a waiting job becomes urgent, and when it is too late for it."""
    latest_s = latest_start_s(c.jobs[:, job])
    if latest_s == FOREVER_S or c.policy[P_URGENT_S] == 0:
        return
    push_alarm(c, max(latest_s - c.policy[P_URGENT_S], from_s), ALARM_LAXITY, job)
    if latest_s >= from_s:
        push_alarm(c, latest_s + 1, ALARM_LAXITY, job)


@inner
def key_by_laxity(c: Columns, job: int) -> int:
    """Return the key by which a waiting job stands in the line while it is urgent, else 0."""
    latest_s, now_s = latest_start_s(c.jobs[:, job]), c.scalars[S_NOW]
    if c.policy[P_URGENT_S] > 0 and latest_s - c.policy[P_URGENT_S] <= now_s <= latest_s:
        return int(latest_s - FOREVER_S)
    return 0
