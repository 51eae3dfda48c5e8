"""The smallest moves of the state, compiled: queue, nodes, devices, placement rows.

Everything that keeps a counter true lives here, so no other kernel touches counters.
"""

import numpy as np

from dure.core.alarms import push_alarm
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.line import is_before, join_cohort, leave_cohort, limit_of
from dure.core.prices import ask_again


# --- the queue: sorted by (key, job); dead entries are skipped and swept now and then -------------
@inner
def enqueue(c: Columns, job: int) -> None:
    """Put a waiting job in its place; O(1) at the tail, which is where new jobs go."""
    s, queue = c.scalars, c.queue
    join_cohort(c, job)
    c.fresh[s[S_FRESH]] = job
    s[S_FRESH] += 1
    if c.jobs[J_IN_QUEUE, job] == 1:
        s[S_Q_DEAD] -= 1
        return
    c.jobs[J_IN_QUEUE, job] = 1
    low, high = s[S_Q_HEAD], s[S_Q_TAIL]
    if high > low and is_before(c, job, queue[high - 1]):
        while low < high:
            middle = (low + high) // 2
            if is_before(c, queue[middle], job):
                low = middle + 1
            else:
                high = middle
        for i in range(s[S_Q_TAIL], low, -1):
            queue[i] = queue[i - 1]
    else:
        low = high
    queue[low] = job
    s[S_Q_TAIL] += 1


@inner
def dequeue(c: Columns, job: int) -> None:
    """Take a job out of the line; its entry is only marked, by the job's state, and swept later."""
    s = c.scalars
    leave_cohort(c, job)
    if c.jobs[J_IN_QUEUE, job] == 0:
        return
    if s[S_Q_HEAD] < s[S_Q_TAIL] and c.queue[s[S_Q_HEAD]] == job:
        c.jobs[J_IN_QUEUE, job] = 0
        s[S_Q_HEAD] += 1
    else:
        s[S_Q_DEAD] += 1


@inner
def move_in_line(c: Columns, job: int, key: int) -> None:
    """Give a waiting job another key and the place that goes with it; O(n)."""
    s, queue, at = c.scalars, c.queue, c.scalars[S_Q_HEAD]
    leave_cohort(c, job)
    while queue[at] != job:
        at += 1
    s[S_Q_TAIL] -= 1
    for i in range(at, s[S_Q_TAIL]):
        queue[i] = queue[i + 1]
    c.jobs[J_IN_QUEUE, job], c.jobs[J_KEY, job] = 0, key
    enqueue(c, job)


@inner
def skip_dead(c: Columns) -> None:
    """Move the queue's head over entries of jobs that no longer wait."""
    s = c.scalars
    while s[S_Q_HEAD] < s[S_Q_TAIL] and c.jobs[J_STATE, c.queue[s[S_Q_HEAD]]] != PENDING:
        c.jobs[J_IN_QUEUE, c.queue[s[S_Q_HEAD]]] = 0
        s[S_Q_HEAD] += 1
        s[S_Q_DEAD] -= 1


@inner
def sweep_queue(c: Columns) -> None:
    """Close the gaps that dequeued jobs left."""
    s, queue = c.scalars, c.queue
    kept = 0
    for i in range(s[S_Q_HEAD], s[S_Q_TAIL]):
        job = queue[i]
        if c.jobs[J_STATE, job] == PENDING:
            queue[kept] = job
            kept += 1
        else:
            c.jobs[J_IN_QUEUE, job] = 0
    s[S_Q_HEAD], s[S_Q_TAIL], s[S_Q_DEAD] = 0, kept, 0


# --- nodes and devices ----------------------------------------------------------------------------
@inner
def stands_aside(c: Columns, node: int) -> bool:
    """Tell whether only small gangs that lose little are put on a node: it is on probation, or a
    spare.
    """
    return bool(c.nodes[N_PROBATION, node] > 0 or c.nodes[N_SPARE, node] > 0)


@inner
def refresh_node(c: Columns, node: int) -> None:
    """Recount a node's devices after any change and correct the shelf's histogram and the
    totals.
    """
    ask_again(c, node)
    nodes, devices, s = c.nodes, c.devices, c.scalars
    first = nodes[N_FIRST, node]
    idle, reserved, draining, down, whole = 0, 0, 0, 0, 0
    held = 0
    for d in range(first, first + nodes[N_GPUS, node]):
        free = devices[D_FREE, d]
        if devices[D_HOLD, d] > 0:
            held += 1
        if devices[D_DOWN, d] > 0:
            down += free
        elif devices[D_CLEANING, d] == 1 or nodes[N_CORDONED, node] > 0:
            draining += free
        elif devices[D_HOLD, d] > 0:
            reserved += free
        else:
            idle += free
            if free == WHOLE:
                whole += 1
    s[S_KIND + IDLE] += idle - nodes[N_IDLE, node]
    s[S_KIND + RESERVED] += reserved - nodes[N_RESERVED, node]
    s[S_KIND + DRAINING] += draining - nodes[N_DRAINING, node]
    s[S_KIND + DOWN] += down - nodes[N_DOWN_MILLI, node]
    if idle > nodes[N_IDLE, node]:
        s[S_FREED] |= FREED_ROOM
    # What is being cleaned is room for its last owner alone.
    if reserved > nodes[N_RESERVED, node] or draining > nodes[N_DRAINING, node]:
        s[S_FREED] |= FREED_RIGHTS
    nodes[N_IDLE, node], nodes[N_RESERVED, node] = idle, reserved
    nodes[N_DRAINING, node], nodes[N_DOWN_MILLI, node] = draining, down
    nodes[N_HELD, node] = held
    if stands_aside(c, node):
        whole = 0
    if whole != nodes[N_FREE, node]:
        shelf = nodes[N_SHELF, node]
        c.hist[shelf, nodes[N_FREE, node]] -= 1
        c.hist[shelf, whole] += 1
        nodes[N_FREE, node] = whole


@inner
def cordon(c: Columns, node: int, who: int, is_asked: int) -> None:
    """Keep new work off a node, or lift what the same one asked for; others' wishes stay."""
    others = c.nodes[N_CORDONED, node] & ~(1 << who)
    c.nodes[N_CORDONED, node] = others | (1 << who if is_asked else 0)
    refresh_node(c, node)


@inner
def share_of(total: int, devices: int, gang_gpus: int) -> int:
    """Return a gang's CPU or memory for some of its devices, rounded up."""
    return (total * devices + gang_gpus - 1) // gang_gpus


@inner
def bits(mask: int) -> int:
    """Count the devices in a mask."""
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@inner
def take_limits(c: Columns, job: int, node: int, devices: int, times: int) -> None:
    """Take CPU and memory for some of a gang's devices from a node; ``times`` -1 gives it back."""
    jobs, nodes = c.jobs, c.nodes
    if times < 0 and (jobs[J_CPU, job] > 0 or jobs[J_MEMORY, job] > 0):
        c.scalars[S_FREED] |= FREED_ROOM
    nodes[N_CPU_FREE, node] -= times * share_of(jobs[J_CPU, job], devices, jobs[J_GPUS, job])
    nodes[N_MEMORY_FREE, node] -= times * share_of(jobs[J_MEMORY, job], devices, jobs[J_GPUS, job])


@inner
def _charge_borrower(c: Columns, job: int, milli: int) -> None:
    """Add ``milli`` (or take it away) to what the job's owner borrows, and owes in exchange."""
    owner, each = c.jobs[J_OWNER, job], c.jobs[J_MILLI, job]
    exchange = c.types[T_EXCHANGE, c.jobs[J_PLACED_TYPE, job]]
    c.accounts[A_BORROWED, owner] += milli
    # Rounded device by device, so that what leaves takes away what it brought.
    c.accounts[A_OWES, owner] += milli // each * (each * exchange // WHOLE)


@inner
def charge(c: Columns, job: int, milli: int) -> None:
    """Add ``milli`` (or take it away) to what the job's owner uses in the job's present class."""
    jobs, s = c.jobs, c.scalars
    kind, owner = jobs[J_CLASS, job], jobs[J_OWNER, job]
    s[S_KIND + kind] += milli
    if milli < 0:
        s[S_FREED] |= FREED_RIGHTS
    if kind == OWN:
        c.rights[E_OWN, owner, jobs[J_PLACED_TYPE, job]] += milli
        return
    _charge_borrower(c, job, milli)
    if kind == LOAN:
        s[S_LENT] += milli
        c.types[T_LENT, jobs[J_PLACED_TYPE, job]] += milli
    else:
        c.types[T_SCAVENGED, jobs[J_PLACED_TYPE, job]] += milli


MOVE_AGAIN_S = 4 * 3600  # a job is moved once in so long


@inner
def move_cost(c: Columns, job: int, lost: int) -> int:
    """Return the milli-GPU-s that a move takes of a job: what it loses, and its standstill."""
    idle_s = c.policy[P_DRAIN_S] + c.policy[P_CLEANING_S] + c.policy[P_START_S]
    return int(lost + idle_s * c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job])


@inner
def moved_this_hour(c: Columns) -> int:
    """Return what the moves of the running hour cost, in milli-GPU-s."""
    s = c.scalars
    return int(s[S_MOVED] if s[S_MOVED_HOUR] == s[S_NOW] // 3600 else 0)


@inner
def book_move(c: Columns, job: int, lost: int) -> None:
    """Count a move against the hour's budget."""
    s = c.scalars
    spent = moved_this_hour(c) + move_cost(c, job, lost)
    s[S_MOVED], s[S_MOVED_HOUR] = spent, s[S_NOW] // 3600
    c.jobs[J_MOVABLE_AT, job] = s[S_NOW] + MOVE_AGAIN_S


@inner
def lasts_s(c: Columns, job: int) -> int:
    """Return how long a gang keeps its nodes from others by its own word, cleaning included."""
    return int(limit_of(c, job) + c.policy[P_CLEANING_S])


@inner
def _recount_end(c: Columns, node: int) -> None:
    ends_s, row = 0, c.nodes[N_ROWS, node]
    while row >= 0:
        job = c.rows[R_JOB, row]
        ends_s = max(ends_s, c.jobs[J_RUN_SINCE, job] + lasts_s(c, job))
        row = c.rows[R_NEXT_OF_NODE, row]
    c.nodes[N_ENDS, node] = ends_s


@inner
def lend_part(c: Columns, job: int, milli: int) -> None:
    """Book ``milli`` of what an own gang uses as borrowed (or, below 0, as own again)."""
    s, owner, placed = c.scalars, c.jobs[J_OWNER, job], c.jobs[J_PLACED_TYPE, job]
    s[S_KIND + OWN] -= milli
    s[S_KIND + LOAN] += milli
    c.rights[E_OWN, owner, placed] -= milli
    s[S_LENT] += milli
    c.types[T_LENT, placed] += milli
    _charge_borrower(c, job, milli)


@inner
def set_lent(c: Columns, row: int, mask: int) -> None:
    """Have these devices of a placement row, and no others of it, be on loan."""
    rows = c.rows
    if rows[R_LENT, row] != mask:
        more = bits(mask) - bits(rows[R_LENT, row])
        rows[R_LENT, row] = mask
        lend_part(c, rows[R_JOB, row], more * rows[R_MILLI, row])


@inner
def occupy(c: Columns, job: int, node: int, mask: int, milli: int) -> None:
    """Put a job on the masked devices of a node, ``milli`` of each."""
    s, rows, nodes, devices, jobs = c.scalars, c.rows, c.nodes, c.devices, c.jobs
    row = s[S_ROWS_FREE]
    if row >= 0:
        s[S_ROWS_FREE] = rows[R_NEXT_OF_JOB, row]
    else:
        row = s[S_ROWS_TOP]
        s[S_ROWS_TOP] = row + 1
    rows[R_JOB, row], rows[R_NODE, row] = job, node
    rows[R_MASK, row], rows[R_MILLI, row] = mask, milli
    rows[R_NEXT_OF_NODE, row], nodes[N_ROWS, node] = nodes[N_ROWS, node], row
    rows[R_NEXT_OF_JOB, row], jobs[J_ROWS, job] = jobs[J_ROWS, job], row
    first, held = nodes[N_FIRST, node], 0
    for d in range(nodes[N_GPUS, node]):
        if mask >> d & 1:
            devices[D_FREE, first + d] -= milli
            # What is held for another gang stays held: a short gang may run on it meanwhile.
            if devices[D_HOLD, first + d] == job + 1:
                held += 1
                devices[D_HOLD, first + d] = 0
            devices[D_CLEANING, first + d] = 0
            if devices[D_OWNER, first + d] == jobs[J_OWNER, job] + 1:
                devices[D_CLEAN_AT, first + d] = 0
            devices[D_OWNER, first + d] = jobs[J_OWNER, job] + 1
    take_limits(c, job, node, held, -1)
    take_limits(c, job, node, bits(mask), 1)
    part = milli * bits(mask)
    jobs[J_USED, job] += part
    jobs[J_PLACED_TYPE, job] = nodes[N_TYPE, node]
    charge(c, job, part)
    nodes[N_ENDS, node] = max(nodes[N_ENDS, node], jobs[J_RUN_SINCE, job] + lasts_s(c, job))
    refresh_node(c, node)


@inner
def _leave(c: Columns, row: int, at_s: int) -> None:
    """Free one placement row's devices; a device left by its last tenant is cleaned first."""
    s, rows, nodes, devices = c.scalars, c.rows, c.nodes, c.devices
    job, node, mask, milli = (
        rows[R_JOB, row],
        rows[R_NODE, row],
        rows[R_MASK, row],
        rows[R_MILLI, row],
    )
    if nodes[N_ROWS, node] == row:
        nodes[N_ROWS, node] = rows[R_NEXT_OF_NODE, row]
    else:
        other = nodes[N_ROWS, node]
        while rows[R_NEXT_OF_NODE, other] != row:
            other = rows[R_NEXT_OF_NODE, other]
        rows[R_NEXT_OF_NODE, other] = rows[R_NEXT_OF_NODE, row]
    _recount_end(c, node)
    first, cleaning_s, alarm_at = nodes[N_FIRST, node], c.policy[P_CLEANING_S], -1
    for d in range(first, first + nodes[N_GPUS, node]):
        if mask >> (d - first) & 1:
            devices[D_FREE, d] += milli
            if cleaning_s > 0 and devices[D_FREE, d] == WHOLE:
                clean_at = at_s + cleaning_s
                if devices[D_HOLD, d] > 0:
                    clean_at += c.policy[P_START_S]
                devices[D_CLEANING, d], devices[D_CLEAN_AT, d] = 1, clean_at
                if clean_at != alarm_at:
                    push_alarm(c, clean_at, ALARM_CLEAN, node)
                    alarm_at = clean_at
    take_limits(c, job, node, bits(mask), -1)
    set_lent(c, row, 0)
    charge(c, job, -milli * bits(mask))
    rows[R_NEXT_OF_JOB, row], s[S_ROWS_FREE] = s[S_ROWS_FREE], row
    refresh_node(c, node)


@inner
def vacate(c: Columns, job: int, at_s: int) -> None:
    """Free all devices of a job."""
    row = c.jobs[J_ROWS, job]
    while row >= 0:
        following = c.rows[R_NEXT_OF_JOB, row]
        _leave(c, row, at_s)
        row = following
    c.jobs[J_ROWS, job], c.jobs[J_USED, job] = -1, 0


@inner
def add_running(c: Columns, job: int) -> None:
    """List a job among the running."""
    c.jobs[J_RUN_POS, job] = c.scalars[S_RUNNING]
    c.running[c.scalars[S_RUNNING]] = job
    c.scalars[S_RUNNING] += 1


@inner
def drop_running(c: Columns, job: int) -> None:
    """Take a job from the running; the last of the list takes its place."""
    last = c.running[c.scalars[S_RUNNING] - 1]
    c.running[c.jobs[J_RUN_POS, job]] = last
    c.jobs[J_RUN_POS, last] = c.jobs[J_RUN_POS, job]
    c.jobs[J_RUN_POS, job] = -1
    c.scalars[S_RUNNING] -= 1


def bits_of(masks: IntArray) -> IntArray:
    """Count the devices in each mask, shape as given."""
    return np.bitwise_count(masks).astype(np.int64)
