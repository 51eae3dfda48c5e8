"""How running gangs stop: at once or when told, saved or not; an elastic one may go on smaller."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import goes_on, pick_kept, picked
from dure.core.facts import emit
from dure.core.kernel import inner, inner_of_ints
from dure.core.leaving import last_checkpoint
from dure.core.pace import work_s_of
from dure.core.starting import start


@inner_of_ints(3)
def stop_borrower(c: Columns, job: int, cause: int, saves: int) -> None:
    """Stop a running job now; without ``saves`` it falls back to its last checkpoint."""
    jobs, now_s = c.jobs, c.scalars[S_NOW]
    if c.policy[P_INSTANT] == 0 and jobs[J_LEFT, job] == 0:
        if jobs[J_STATE, job] == RUNNING:
            emit(c, K_STOP_ORDERED, job, jobs[J_ATTEMPT, job], cause, 0, 0, 0)
        return
    ran_s = max(0, now_s - jobs[J_RUN_SINCE, job])  # not yet, while it loads what it saved
    kept_s = ran_s if saves > 0 else last_checkpoint(c, job, now_s) - jobs[J_RUN_SINCE, job]
    lost_s = ran_s - kept_s
    lost = lost_s * jobs[J_USED, job]
    saved_s = jobs[J_SAVED, job] + work_s_of(c, job, kept_s)
    emit(c, K_STOPPED, job, jobs[J_ATTEMPT, job], cause, saved_s, lost, 0)


@inner
def loan_class(c: Columns, milli: int, kind: int) -> int:
    """A gang that fits into what nobody is entitled to disturbs no lender: it scavenges."""
    types = c.types
    left = types[T_CAPACITY, kind] - types[T_ENTITLED, kind] - types[T_SCAVENGED, kind]
    left -= c.rights[E_OWN, 0, kind]
    return SCAVENGE if milli <= left else LOAN


@inner
def resize(c: Columns, job: int, count: int, saves: int) -> None:
    """End a gang's attempt and open the next on the ``count`` rows of ``picks``."""
    kind, type_ = c.jobs[J_CLASS, job], c.jobs[J_PLACED_TYPE, job]
    stop_borrower(c, job, BY_RESIZE, saves)
    if kind != OWN:
        kind = loan_class(c, picked(c, count) * c.jobs[J_MILLI, job], type_)
    start(c, job, kind, count, 0)


@inner_of_ints(3)
def let_go(c: Columns, job: int, cause: int, saves: int) -> None:
    """Stop a job whose time has come; an elastic one goes on at once with what it keeps."""
    has_left = c.policy[P_INSTANT] == 1 or c.jobs[J_LEFT, job] > 0
    if cause == BY_RECLAIM and has_left and goes_on(c, job):
        resize(c, job, pick_kept(c, job), saves)
    else:
        stop_borrower(c, job, cause, saves)


@inner
def stop_due(c: Columns) -> None:
    """Stop whoever's time has come, and book whoever has left by itself; who is to grow does so
    when everyone else was served (``core.growing``).
    """
    s, jobs = c.scalars, c.jobs
    for i in range(s[S_DUE]):
        if c.due[i, 1] != ALARM_STOP:
            continue
        job = c.due[i, 2]
        active = jobs[J_STATE, job] == RUNNING or jobs[J_STATE, job] == STOPPING
        asked = jobs[J_STOP_AT, job] >= 0 or jobs[J_STATE, job] == STOPPING
        if not active or (asked and jobs[J_STOP_CAUSE, job] == BY_RESIZE):
            continue
        if jobs[J_LEFT, job] > 0:
            cause = jobs[J_STOP_CAUSE, job] if asked else BY_PREEMPTION
            let_go(c, job, cause, jobs[J_LEFT, job] - 1)
        elif 0 <= jobs[J_STOP_AT, job] <= s[S_NOW]:
            let_go(c, job, jobs[J_STOP_CAUSE, job], jobs[J_STOP_SAVES, job])


@inner
def stop_noticed_now(c: Columns) -> int:
    """Stop whom this cycle's claims gave no reason to run on; return how many own gangs moved."""
    s, jobs, moved = c.scalars, c.jobs, 0
    i = s[S_RUNNING] - 1
    while i >= 0:
        job = c.running[i]
        is_due = 0 <= jobs[J_STOP_AT, job] <= s[S_NOW] and jobs[J_STOP_CAUSE, job] != BY_RESIZE
        if jobs[J_STATE, job] == RUNNING and is_due:
            let_go(c, job, jobs[J_STOP_CAUSE, job], jobs[J_STOP_SAVES, job])
            if jobs[J_STATE, job] == PENDING and jobs[J_STOP_CAUSE, job] == BY_MOVE:
                moved += 1
        i = min(i - 1, s[S_RUNNING] - 1)
    return moved
