"""How a borrower leaves for a claim, when, and what that costs."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import is_told
from dure.core.kernel import inner
from dure.core.pace import work_s_of


@inner
def leave_by(c: Columns, asked_at_s: int) -> int:
    """Return the last moment at which a borrower may stop for a claim asked at ``asked_at_s``."""
    p = c.policy
    return int(asked_at_s + p[P_RETURN_S] - p[P_DRAIN_S] - p[P_CLEANING_S] - p[P_START_S])


@inner
def last_checkpoint(c: Columns, job: int, at_s: int) -> int:
    """Return when the running job last had all its work saved; its start of running if never."""
    every_s, since_s = c.jobs[J_CKPT_EVERY, job], c.jobs[J_RUN_SINCE, job]
    if every_s <= 0 or at_s < since_s:
        return int(since_s)
    return int(since_s + (at_s - since_s) // every_s * every_s)


@inner
def left_s(c: Columns, job: int) -> int:
    """Return how long a job that runs has still to run by its own word, in seconds; 0 if it
    declared nothing or outlived its word.
    """
    jobs = c.jobs
    ran_s = work_s_of(c, job, max(0, c.scalars[S_NOW] - jobs[J_RUN_SINCE, job]))
    return int(max(0, jobs[J_ESTIMATE, job] - ran_s - jobs[J_SAVED, job]))


@inner
def felt(c: Columns, job: int) -> int:
    """Return how much a borrower feels being sent away, in milli-s: the less, the longer it has
    still to run by its own word.

    It is once a job, not once a GPU: those who wait are people. Of whom nothing is declared, or
    who outlived its word, nobody knows how long it has, so it counts as soon done.
    """
    felt_s = c.policy[P_FELT_S]
    return int(WHOLE * felt_s * felt_s // max(1, felt_s + left_s(c, job)))


@inner
def disturbance(c: Columns, job: int) -> int:
    """Return what sending a borrower away costs besides the work it loses, in milli-s."""
    # Its devices stand still while they are handed over, all of them, however few are needed.
    idle_s = c.policy[P_DRAIN_S] + c.policy[P_CLEANING_S] + c.policy[P_START_S]
    dearer_s = c.policy[P_DEARER_S] * c.jobs[J_RECLAIMS, job]
    return int((dearer_s + idle_s) * c.jobs[J_USED, job] + felt(c, job))


@inner
def saves_at(c: Columns, job: int, latest_s: int) -> int:
    """Return when a running job that must stop by ``latest_s`` will have saved all: on notice, else
    at its next checkpoint; -1 if it will not by then.
    """
    now_s, takes_s, every_s = c.scalars[S_NOW], c.jobs[J_CKPT_TAKES, job], c.jobs[J_CKPT_EVERY, job]
    if takes_s >= 0 and now_s + takes_s <= latest_s:
        return int(now_s + takes_s)
    if every_s > 0:
        saved_at_s = last_checkpoint(c, job, now_s)
        next_s = saved_at_s if saved_at_s >= now_s else saved_at_s + every_s
        if next_s <= latest_s:
            return int(next_s)
    return -1


@inner
def way_out(c: Columns, job: int, latest_s: int) -> tuple[int, int, int]:
    """Choose how a borrower leaves by ``latest_s``: (stop_at_s, 1 if it saves, price in milli-s).

    The price is the work that is lost, the time its devices stand still, what it feels, and more
    for each time it was reclaimed before.
    """
    now_s, jobs = c.scalars[S_NOW], c.jobs
    dearer = disturbance(c, job)
    if is_told(jobs, job):
        return int(jobs[J_STOP_AT, job]), int(jobs[J_STOP_SAVES, job]), 0
    saves_at_s = saves_at(c, job, latest_s)
    if saves_at_s >= 0:
        return saves_at_s, 1, int(dearer)
    unsaved_s = max(0, now_s - last_checkpoint(c, job, now_s))
    return int(now_s), 0, int(dearer + unsaved_s * jobs[J_USED, job])


@inner
def stay_longest(c: Columns, job: int, latest_s: int) -> int:
    """Return the last moment up to ``latest_s`` at which a borrower that can save leaves saved: the
    claimant's right has not begun.
    """
    jobs = c.jobs
    if is_told(jobs, job):
        return int(jobs[J_STOP_AT, job])
    takes_s = jobs[J_CKPT_TAKES, job]
    if takes_s >= 0 and c.scalars[S_NOW] + takes_s <= latest_s:
        return latest_s
    return last_checkpoint(c, job, latest_s)
