"""Facts move the state: one compiled function applies any fact, just decided or read from a log."""

import numpy as np

from dure.core.alarms import push_alarm
from dure.core.bookings import book, unbook
from dure.core.breaker import open_breaker
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.hazard import blame, watch
from dure.core.kernel import inner, inner_of_ints
from dure.core.keys import key_now, key_of, stand_in_line
from dure.core.laxity import watch_deadline
from dure.core.moves import (
    add_running,
    bits,
    book_move,
    charge,
    cordon,
    dequeue,
    drop_running,
    enqueue,
    move_in_line,
    occupy,
    refresh_node,
    set_lent,
    skip_dead,
    sweep_queue,
    take_limits,
    vacate,
)
from dure.core.numbers import column_of, is_of_job
from dure.core.prices import ask_again_after
from dure.core.rights import allocate, count_rights, wake_when_due
from dure.core.shapes import recognise


@inner
def is_stranded(jobs: IntArray, job: int) -> bool:
    """Tell whether a gang waits because a fault ended its last attempt."""
    waits = jobs[J_STATE, job] == PENDING and jobs[J_ATTEMPT, job] > 0
    return bool(waits and jobs[J_STOP_CAUSE, job] == BY_FAULT)


@inner
def _leave_queue(c: Columns, job: int, at_s: int) -> None:
    if is_stranded(c.jobs, job):
        c.scalars[S_STRANDED] -= 1
    c.jobs[J_QUEUED_S, job] += at_s - c.jobs[J_QUEUED_SINCE, job]
    unbook(c, job)
    dequeue(c, job)


@inner
def _close_attempt(c: Columns, job: int, at_s: int) -> None:
    """A job's devices go free, its clock stops; a notice to it has nothing left to ask."""
    jobs = c.jobs
    jobs[J_RUN_S, job] += at_s - jobs[J_STARTED, job]
    jobs[J_STOP_AT, job], jobs[J_STOP_SAVES, job], jobs[J_LEFT, job] = -1, 0, 0
    vacate(c, job, at_s)
    drop_running(c, job)


@inner
def _started(c: Columns, job: int, at_s: int, attempt: int, kind: int) -> None:
    jobs = c.jobs
    _leave_queue(c, job, at_s)
    jobs[J_STATE, job], jobs[J_CLASS, job], jobs[J_ATTEMPT, job] = RUNNING, kind, attempt
    # What was stopped loads what it saved before it goes on.
    restart_s = c.policy[P_RESTART_S] if attempt > 1 else 0
    jobs[J_STARTED, job], jobs[J_RUN_SINCE, job] = at_s, at_s + restart_s
    if jobs[J_FIRST_START, job] < 0:
        jobs[J_FIRST_START, job] = at_s
    if jobs[J_SIZE, job] < jobs[J_GPUS, job] and c.policy[P_GROW_S] > 0:
        push_alarm(c, at_s + c.policy[P_GROW_S], ALARM_RETRY, job)
    add_running(c, job)


@inner
def _stopped(c: Columns, job: int, at_s: int, cause: int, saved_s: int, lost: int) -> None:
    """An attempt ended before its work was done: keep what was saved, wait again."""
    jobs = c.jobs
    _close_attempt(c, job, at_s)
    jobs[J_SAVED, job], jobs[J_LOST, job] = saved_s, jobs[J_LOST, job] + lost
    if cause == BY_CANCEL:
        jobs[J_STATE, job], jobs[J_ENDED, job] = CANCELLED, at_s
        c.scalars[S_BADLY] = 1
        return
    # It waits anew: what was promised for its last wait is settled.
    jobs[J_STATE, job], jobs[J_QUEUED_SINCE, job], jobs[J_PROMISED, job] = PENDING, at_s, -1
    if cause == BY_MOVE:
        book_move(c, job, lost)
    jobs[J_STOP_CAUSE, job] = cause
    if cause == BY_FAULT:
        c.scalars[S_STRANDED] += 1
    if cause == BY_RECLAIM:
        wait_s = c.policy[P_BACKOFF_S] << min(jobs[J_RECLAIMS, job], 10)
        jobs[J_RECLAIMS, job] += 1
        jobs[J_ELIGIBLE, job] = at_s + min(wait_s, c.policy[P_BACKOFF_S_MAX])
        push_alarm(c, jobs[J_ELIGIBLE, job], ALARM_RETRY, job)
    watch_deadline(c, job, at_s + 1)
    # Who made room for a larger gang takes the right it just gave up before anyone else does.
    stand_in_line(c, job, 0 if cause == BY_MOVE else key_now(c, job))


@inner
def _ended(c: Columns, job: int, at_s: int, attempt: int, state: int) -> None:
    """A job ended by itself; word of an attempt that is no longer running is old and ignored."""
    jobs = c.jobs
    running = jobs[J_STATE, job] == RUNNING or jobs[J_STATE, job] == STOPPING
    if not running or jobs[J_ATTEMPT, job] != attempt:
        return
    _close_attempt(c, job, at_s)
    jobs[J_STATE, job], jobs[J_ENDED, job] = state, at_s
    if state != COMPLETED:
        c.scalars[S_BADLY] = 1


@inner
def _drop_claim(c: Columns, job: int) -> None:
    """Release a claim's holds; the list of claims stays in the order they were made."""
    jobs, devices, nodes, s = c.jobs, c.devices, c.nodes, c.scalars
    if jobs[J_CLAIM_DUE, job] < 0:
        return
    jobs[J_CLAIM_DUE, job], jobs[J_CLAIM_ASKED, job] = -1, -1
    kept, held_type = 0, 0
    for i in range(s[S_CLAIMS]):
        if c.claims[i, 0] != job:
            c.claims[kept, 0], c.claims[kept, 1] = c.claims[i, 0], c.claims[i, 1]
            kept += 1
        else:
            held_type = c.claims[i, 1]
    s[S_CLAIMS] = kept
    c.rights[E_CLAIMED, jobs[J_OWNER, job], held_type] -= jobs[J_SIZE, job] * jobs[J_MILLI, job]
    for node in range(nodes.shape[1]):
        if nodes[N_HELD, node] == 0:
            continue
        first, held = nodes[N_FIRST, node], 0
        for d in range(first, first + nodes[N_GPUS, node]):
            if devices[D_HOLD, d] == job + 1:
                devices[D_HOLD, d] = 0
                held += 1
        if held > 0:
            take_limits(c, job, node, held, -1)
            refresh_node(c, node)
    # Its owner may claim anew, even where nothing of what was held is free yet.
    s[S_FREED] |= FREED_RIGHTS


@inner
def _hold(c: Columns, job: int, node: int, mask: int) -> None:
    first = c.nodes[N_FIRST, node]
    for d in range(c.nodes[N_GPUS, node]):
        if mask >> d & 1:
            c.devices[D_HOLD, first + d] = job + 1
    take_limits(c, job, node, bits(mask), 1)
    refresh_node(c, node)
    last = c.scalars[S_CLAIMS] - 1
    if c.claims[last, 1] < 0:
        c.claims[last, 1] = c.nodes[N_TYPE, node]
        c.rights[E_CLAIMED, c.jobs[J_OWNER, job], c.nodes[N_TYPE, node]] += (
            c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]
        )


@inner
def _fault(c: Columns, node: int, count: int, change: int) -> None:
    """Take ``count`` devices (0: all) of a node down, or up again; a software hang changes none."""
    s, gpus = c.scalars, c.nodes[N_GPUS, node]
    first = c.nodes[N_FIRST, node]
    affected = gpus if count == 0 or count > gpus else count
    for d in range(first + gpus - affected, first + gpus):
        # A repair of what was not broken must not make the next fault go unnoticed.
        c.devices[D_DOWN, d] = max(0, c.devices[D_DOWN, d] + change)
    if affected == gpus:
        c.nodes[N_DOWN, node] = max(0, c.nodes[N_DOWN, node] + change)
        # What the pool begins without never failed.
        if change > 0 and s[S_NOW] > s[S_STARTED_AT]:
            c.nodes[N_FAILED_AT, node] = s[S_NOW]
    if change > 0:
        c.hurt[s[S_HURT], 0], c.hurt[s[S_HURT], 1] = node, affected
        s[S_HURT] += 1
        blame(c, node)
    else:
        watch(c, node)
    refresh_node(c, node)


@inner
def _clean(c: Columns, node: int, mask: int) -> None:
    first = c.nodes[N_FIRST, node]
    for d in range(c.nodes[N_GPUS, node]):
        if mask >> d & 1:
            c.devices[D_CLEANING, first + d] = 0
    refresh_node(c, node)


@inner
def _reclass(c: Columns, job: int, at_s: int, attempt: int, kind: int) -> None:
    """A running gang changes class: its attempt ends, the next opens on the same devices."""
    jobs, used = c.jobs, c.jobs[J_USED, job]
    jobs[J_RUN_S, job] += at_s - jobs[J_STARTED, job]
    row = jobs[J_ROWS, job]
    while row >= 0:
        set_lent(c, row, 0)
        row = c.rows[R_NEXT_OF_JOB, row]
    charge(c, job, -used)
    jobs[J_CLASS, job], jobs[J_ATTEMPT, job], jobs[J_STARTED, job] = kind, attempt, at_s
    charge(c, job, used)
    c.scalars[S_FREED] |= FREED_RIGHTS


@inner
def _cancel(c: Columns, job: int, at_s: int) -> None:
    """A person cancels: a waiting job ends here; a running one is stopped by the plan."""
    jobs = c.jobs
    if jobs[J_STATE, job] == PENDING:
        # What is held for it is released by the plan, with the notices that nobody needs any more.
        _leave_queue(c, job, at_s)
        jobs[J_STATE, job], jobs[J_ENDED, job] = CANCELLED, at_s
        c.scalars[S_BADLY] = 1
    elif jobs[J_STATE, job] == RUNNING:
        jobs[J_STOP_AT, job], jobs[J_STOP_CAUSE, job] = at_s, BY_CANCEL
        push_alarm(c, at_s, ALARM_STOP, job)
    elif jobs[J_STATE, job] == STOPPING:
        jobs[J_STOP_CAUSE, job] = BY_CANCEL


@inner
def _tell_to_stop(c: Columns, job: int, stop_at_s: int, saves: int, cause: int) -> None:
    jobs = c.jobs
    jobs[J_STOP_AT, job], jobs[J_STOP_SAVES, job] = stop_at_s, saves
    jobs[J_STOP_CAUSE, job] = cause
    if stop_at_s > c.scalars[S_NOW]:
        push_alarm(c, stop_at_s, ALARM_STOP, job)


@inner
def _lent(c: Columns, job: int, node: int, mask: int) -> None:
    row = c.jobs[J_ROWS, job]
    while row >= 0:
        if c.rows[R_NODE, row] == node:
            set_lent(c, row, mask)
        row = c.rows[R_NEXT_OF_JOB, row]


@inner
def _left(c: Columns, job: int, at_s: int, attempt: int, saved: int) -> None:
    """A backend says that an attempt has left its devices; the plan books it."""
    jobs = c.jobs
    running = jobs[J_STATE, job] == RUNNING or jobs[J_STATE, job] == STOPPING
    if running and jobs[J_ATTEMPT, job] == attempt:
        jobs[J_LEFT, job] = 2 if saved else 1
        push_alarm(c, at_s, ALARM_STOP, job)


@inner
def _submitted(c: Columns, job: int) -> None:
    jobs = c.jobs
    # No submission lies ahead, whatever the clock of the one who handed it in says.
    jobs[J_SUBMIT, job] = min(jobs[J_SUBMIT, job], c.scalars[S_NOW])
    jobs[J_STATE, job], jobs[J_QUEUED_SINCE, job] = PENDING, jobs[J_SUBMIT, job]
    if jobs[J_AFTER, job] != -1:
        c.scalars[S_AFTERS] += 1
    jobs[J_KEY, job] = key_of(c, job)
    recognise(c, job)
    if jobs[J_LOCALITY, job] == LOCALITY_PREFERRED and jobs[J_PATIENCE, job] > 0:
        push_alarm(c, jobs[J_SUBMIT, job] + jobs[J_PATIENCE, job], ALARM_RETRY, job)
    watch_deadline(c, job, c.scalars[S_NOW])
    enqueue(c, job)


@inner
def apply_fact(c: Columns, f: np.ndarray) -> None:
    """Move the state by one fact, a row of ``[kind, at_s, job, a, b, c, d, e]``, its job given by
    the column that it stands in.
    """
    # What a backend's clock says is for the reader; the books go by the pool's own.
    kind, at_s, job = f[0], c.scalars[S_NOW], f[2]
    jobs = c.jobs
    if kind == K_SUBMITTED:
        _submitted(c, job)
    elif kind == K_STARTED:
        _started(c, job, at_s, f[3], f[4])
    elif kind == K_PLACED:
        occupy(c, job, f[3], f[4], f[5])
    elif kind == K_ENDED:
        _ended(c, job, at_s, f[3], f[4])
    elif kind == K_STOPPED:
        _stopped(c, job, at_s, f[4], f[5], f[6])
    elif kind == K_CLEANED:
        _clean(c, f[3], f[4])
    elif kind == K_FAULT:
        _fault(c, f[3], f[5], 1)
    elif kind == K_REPAIRED:
        _fault(c, f[3], f[5], -1)
    elif kind == K_REFUSED:
        _leave_queue(c, job, at_s)
        jobs[J_STATE, job], jobs[J_REASON, job], jobs[J_ENDED, job] = REFUSED, f[3], at_s
        c.scalars[S_BADLY] = 1
    elif kind == K_RECLASSED:
        _reclass(c, job, at_s, f[3], f[4])
    elif kind == K_CLAIMED:
        # What is due by then is a better promise than a date.
        book(c, job, -1, 0)
        jobs[J_CLAIM_DUE, job], jobs[J_CLAIM_ASKED, job] = f[3], at_s
        c.claims[c.scalars[S_CLAIMS], 0], c.claims[c.scalars[S_CLAIMS], 1] = job, -1
        c.scalars[S_CLAIMS] += 1
        wake_when_due(c, job)
    elif kind == K_HELD:
        _hold(c, job, f[3], f[4])
    elif kind == K_NOTICED:
        # Who was only to grow must give something back instead.
        if jobs[J_STOP_AT, job] < 0 or jobs[J_STOP_CAUSE, job] == BY_RESIZE:
            cause = BY_MOVE if f[5] & 2 else BY_RECLAIM
            _tell_to_stop(c, job, f[4], f[5] & 1, cause)
    elif kind == K_WITHDRAWN:
        jobs[J_STOP_AT, job], jobs[J_STOP_SAVES, job] = -1, 0
    elif kind == K_CLAIM_ENDED:
        _drop_claim(c, job)
    elif kind == K_ALLOCATED:
        allocate(c, f)
    else:
        _apply_rare(c, f)


@inner
def _apply_rare(c: Columns, f: np.ndarray) -> None:
    kind, at_s, job = f[0], c.scalars[S_NOW], f[2]
    if kind == K_CANCELLED:
        _cancel(c, job, at_s)
    elif kind == K_STOP_ORDERED:
        c.jobs[J_STATE, job], c.jobs[J_STOP_CAUSE, job] = STOPPING, f[4]
    elif kind == K_VACATED:
        _left(c, job, at_s, f[3], f[4])
    elif kind == K_CORDONED:
        cordon(c, f[3], f[5], f[4])
    elif kind == K_BREAKER:
        open_breaker(c, f[3], f[4])
    elif kind == K_SEATED:
        s = c.scalars
        for column in range(Z_COUNT):
            c.cells[s[S_CELLS], column] = f[3 + column]
        s[S_CELLS] += 1
        count_rights(c, s[S_NOW])
    elif kind == K_SPARED:
        c.nodes[N_SPARE, f[3]], c.nodes[N_SPARE, f[4]] = 0, IS_SPARE
        refresh_node(c, f[3])
        refresh_node(c, f[4])
    elif kind == K_BOOKED:
        book(c, job, f[3], f[4])
    elif kind == K_LENT:
        _lent(c, job, f[3], f[4])
    elif kind == K_RESIZE_DUE:
        _tell_to_stop(c, job, f[3], 1, BY_RESIZE)
    elif kind == K_MOVED_UP:
        move_in_line(c, job, f[3])
    elif kind == K_BESIDE:
        c.scalars[S_BESIDE], c.scalars[S_RESERVED_BESIDE] = f[3], f[4]


@inner
def apply_told(c: Columns, f: np.ndarray) -> None:
    """Move the state by a fact as records have it, its job given by number."""
    if c.scalars[S_LISTED] == c.scalars[S_JOBS] or not is_of_job(f[0]):
        apply_fact(c, f)
        return
    in_columns = f.copy()
    in_columns[2] = column_of(c, f[2])
    # Word of a job that was forgotten is old: it had ended.
    if in_columns[2] >= 0:
        apply_fact(c, in_columns)


@inner_of_ints(7)
def emit(c: Columns, kind: int, job: int, x: int, y: int, z: int, u: int, v: int) -> None:
    """Decide a fact: apply it, and leave it written down with its jobs' numbers."""
    i = c.scalars[S_FACTS]
    f = c.facts[i]
    f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7] = kind, c.scalars[S_NOW], job, x, y, z, u, v
    c.scalars[S_FACTS] = i + 1
    apply_fact(c, f)
    if job >= 0:
        f[2] = c.jobs[J_NUMBER, job]
        ask_again_after(c, kind, job)
    if kind in (K_NOTICED, K_WITHDRAWN):
        f[3] = c.jobs[J_NUMBER, x]


@inner
def end_cycle(c: Columns) -> None:
    """Forget what only this cycle needed, in a plan and in a fold alike."""
    s = c.scalars
    s[S_FREED], s[S_FRESH], s[S_HURT], s[S_DUE], s[S_BADLY] = 0, 0, 0, 0, 0
    skip_dead(c)
    scattered = s[S_Q_DEAD] > 1024 and 2 * s[S_Q_DEAD] > s[S_Q_TAIL] - s[S_Q_HEAD]
    # The queue has four times the room of the jobs, so that no cycle can run over its end.
    if scattered or 4 * s[S_Q_TAIL] > c.queue.size:
        sweep_queue(c)
