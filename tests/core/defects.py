"""Defects to plant in a state: each breaks one thing that must hold. They say if they could."""

from collections.abc import Callable

import numpy as np

from dure.core import columns as col
from dure.core.state import State

Defect = Callable[[State], bool]
DEFECTS: dict[str, Defect] = {}


def defect(plant: Defect) -> Defect:
    DEFECTS[plant.__name__] = plant
    return plant


def running(state: State) -> list[int]:
    return state.c.running[: state.c.scalars[col.S_RUNNING]].tolist()


def waiting(state: State) -> list[int]:
    c, s = state.c, state.c.scalars
    line = c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]]
    return line[c.jobs[col.J_STATE, line] == col.PENDING].tolist()


def claimed(state: State) -> list[int]:
    return state.c.claims[: state.c.scalars[col.S_CLAIMS], 0].tolist()


def add(name: str, matrix: str, row: int, by: int = 1) -> None:
    """List a defect: one number of a matrix is off, wherever something stands."""

    def plant(state: State) -> bool:
        array = getattr(state.c, matrix)
        array[row, 0] += by
        return True

    DEFECTS[name] = plant


def renumber(name: str, job: int, number: int) -> None:
    """List a defect: a job goes by a number that is another's, or nobody's yet."""

    def plant(state: State) -> bool:
        if len(state.job_names) < 3:
            return False
        state.c.jobs[col.J_NUMBER, job] = number
        return True

    DEFECTS[name] = plant


renumber("a_number_given_twice", 1, 0)
renumber("a_number_that_nobody_has_yet", 0, 1 << 40)
add("free_devices_of_a_node_off_by_one", "nodes", col.N_FREE)
add("idle_of_a_node_off", "nodes", col.N_IDLE, 1000)
add("reserved_of_a_node_off", "nodes", col.N_RESERVED, 1000)
add("draining_of_a_node_off", "nodes", col.N_DRAINING, 500)
add("down_of_a_node_off", "nodes", col.N_DOWN_MILLI, 1000)
add("held_of_a_node_off", "nodes", col.N_HELD)
add("cpu_of_a_node_off", "nodes", col.N_CPU_FREE, -1)
add("memory_of_a_node_off", "nodes", col.N_MEMORY_FREE, 1)
add("free_share_of_a_device_off", "devices", col.D_FREE, -1)
add("a_device_repaired_twice", "devices", col.D_DOWN, -9)
add("leaf_histogram_off", "hist", 0)
add("a_provider_shut_that_no_node_knows", "breakers", col.BREAKER_OPEN)
add("a_spare_that_nobody_counts", "nodes", col.N_SPARE, col.IS_SPARE)
add("a_node_shut_whose_provider_is_not", "nodes", col.N_CORDONED, 1 << col.OF_BREAKER)
add("scavenged_of_a_type_off", "types", col.T_SCAVENGED, 1000)
add("entitled_of_a_type_off", "types", col.T_ENTITLED, 1000)
add("borrowed_of_an_account_off", "accounts", col.A_BORROWED, -1000)


def scalar(name: str, place: int, by: int) -> None:
    def plant(state: State) -> bool:
        state.c.scalars[place] += by
        return True

    DEFECTS[name] = plant


for number, kind in enumerate(col.KINDS):
    scalar(f"{kind}_of_the_pool_off", col.S_KIND + number, 1)
    scalar(f"{kind}_booked_off", col.S_SUM + number, 1)
scalar("time_stands_where_books_do_not", col.S_NOW, 1)
scalar("lent_off", col.S_LENT, 1000)
scalar("stranded_off", col.S_STRANDED, 1)
scalar("spares_off", col.S_SPARES, 1)
scalar("an_alarm_is_lost_in_front", col.S_NOW, 100_000)


@defect
def kinds_swapped(state: State) -> bool:
    s = state.c.scalars
    s[col.S_KIND + col.OWN] -= 1000
    s[col.S_KIND + col.LOAN] += 1000
    return True


@defect
def a_row_doubled(state: State) -> bool:
    for job in running(state):
        row, top = int(state.c.jobs[col.J_ROWS, job]), int(state.c.scalars[col.S_ROWS_TOP])
        state.c.rows[:, top] = state.c.rows[:, row]
        state.c.rows[col.R_NEXT_OF_JOB, row] = top
        state.c.scalars[col.S_ROWS_TOP] += 1
        return True
    return False


@defect
def a_row_on_another_device(state: State) -> bool:
    for job in running(state):
        row = int(state.c.jobs[col.J_ROWS, job])
        gpus = int(state.c.nodes[col.N_GPUS, state.c.rows[col.R_NODE, row]])
        mask = int(state.c.rows[col.R_MASK, row])
        if mask != (1 << gpus) - 1:
            state.c.rows[col.R_MASK, row] = ((mask << 1) | (mask >> (gpus - 1))) & ((1 << gpus) - 1)
            return True
    return False


@defect
def a_row_beyond_its_node(state: State) -> bool:
    for job in running(state):
        state.c.rows[col.R_MASK, state.c.jobs[col.J_ROWS, job]] <<= 20
        return True
    return False


@defect
def a_row_on_another_node(state: State) -> bool:
    for job in running(state):
        row = state.c.jobs[col.J_ROWS, job]
        state.c.rows[col.R_NODE, row] = (state.c.rows[col.R_NODE, row] + 1) % len(state.node_names)
        return len(state.node_names) > 1
    return False


@defect
def a_row_forgotten(state: State) -> bool:
    for job in running(state):
        state.c.jobs[col.J_ROWS, job] = -1
        return True
    return False


@defect
def a_device_given_to_two(state: State) -> bool:
    """Another running job is set on a device that has one, and every sum is corrected."""
    for job in running(state):
        row = state.c.jobs[col.J_ROWS, job]
        node, mask = state.c.rows[col.R_NODE, row], int(state.c.rows[col.R_MASK, row])
        for other in running(state):
            theirs = state.c.jobs[col.J_ROWS, other]
            same = state.c.rows[col.R_NODE, theirs] == node and other != job
            if same and state.c.rows[col.R_MASK, theirs].bit_count() == mask.bit_count():
                state.c.rows[col.R_MASK, theirs] = mask
                return bool((state.c.jobs[col.J_MILLI, [job, other]] == col.WHOLE).all())
    return False


@defect
def a_dirty_device_reused(state: State) -> bool:
    dirty = np.flatnonzero(state.c.devices[col.D_CLEANING] > 0)
    if dirty.size:
        state.c.devices[col.D_CLEANING, dirty[0]] = 0
    return bool(dirty.size)


@defect
def a_device_never_cleaned_to_the_end(state: State) -> bool:
    dirty = np.flatnonzero(state.c.devices[col.D_CLEANING] > 0)
    if dirty.size:
        state.c.devices[col.D_CLEAN_AT, dirty[0]] = state.now_s
    return bool(dirty.size)


@defect
def work_on_a_device_that_is_down(state: State) -> bool:
    for job in running(state):
        row = state.c.jobs[col.J_ROWS, job]
        first = state.c.nodes[col.N_FIRST, state.c.rows[col.R_NODE, row]]
        mask = int(state.c.rows[col.R_MASK, row])
        state.c.devices[col.D_DOWN, first + (mask & -mask).bit_length() - 1] += 1
        return True
    return False


@defect
def a_grade_above_its_site(state: State) -> bool:
    for job in running(state):
        node = state.c.rows[col.R_NODE, state.c.jobs[col.J_ROWS, job]]
        grade = state.c.shelves[col.H_GRADE, state.c.nodes[col.N_SHELF, node]]
        state.c.jobs[col.J_GRADE, job] = grade + 1
        return True
    return False


@defect
def a_type_not_accepted(state: State) -> bool:
    for job in running(state):
        state.c.jobs[col.J_TYPES, job] = 0
        return True
    return False


@defect
def a_gang_beyond_its_leaf(state: State) -> bool:
    for job in running(state):
        row = state.c.jobs[col.J_ROWS, job]
        if state.c.rows[col.R_NEXT_OF_JOB, row] >= 0:
            state.c.jobs[col.J_LOCALITY, job] = col.LOCALITY_REQUIRED
            state.c.jobs[col.J_LEVEL, job] = col.AT_NODE
            return True
    return False


@defect
def a_job_before_its_parent(state: State) -> bool:
    run, line = running(state), waiting(state)
    if run and line:
        state.c.jobs[col.J_AFTER, run[0]] = line[0]
    return bool(run and line)


@defect
def a_job_after_one_that_failed(state: State) -> bool:
    bad = np.flatnonzero(state.c.jobs[col.J_STATE] == col.REFUSED)
    line = waiting(state)
    if bad.size and line:
        state.c.jobs[col.J_AFTER, line[0]] = bad[0]
    return bool(bad.size and line)


@defect
def a_job_twice_in_the_line(state: State) -> bool:
    line, s = waiting(state), state.c.scalars
    if line:
        state.c.queue[s[col.S_Q_TAIL]] = line[-1]
        s[col.S_Q_TAIL] += 1
    return bool(line)


@defect
def a_job_lost_from_the_line(state: State) -> bool:
    if waiting(state):
        state.c.scalars[col.S_Q_TAIL] -= 1
        last = state.c.queue[state.c.scalars[col.S_Q_TAIL]]
        return bool(state.c.jobs[col.J_STATE, last] == col.PENDING)
    return False


@defect
def the_line_out_of_order(state: State) -> bool:
    line = waiting(state)
    if len(line) > 1:
        first, last = (int(np.flatnonzero(state.c.queue == job)[0]) for job in (line[0], line[-1]))
        state.c.queue[[first, last]] = state.c.queue[[last, first]]
    return len(line) > 1


@defect
def a_job_passed_for_too_long(state: State) -> bool:
    c, s = state.c, state.c.scalars
    s[col.S_IMPATIENT] = s[col.S_JOBS]
    return bool((c.jobs[col.J_KEY, waiting(state)] > c.jobs[col.J_SUBMIT, waiting(state)]).any())


@defect
def a_running_job_not_listed(state: State) -> bool:
    if running(state):
        state.c.scalars[col.S_RUNNING] -= 1
    return bool(running(state))


@defect
def a_running_job_said_to_wait(state: State) -> bool:
    for job in running(state):
        state.c.jobs[col.J_STATE, job] = col.PENDING
        return True
    return False


@defect
def an_end_without_an_end(state: State) -> bool:
    for job in waiting(state):
        state.c.jobs[col.J_ENDED, job] = state.now_s
        return True
    return False


@defect
def a_second_of_waiting_lost(state: State) -> bool:
    for job in waiting(state):
        state.c.jobs[col.J_QUEUED_S, job] -= 1
        return True
    return False


@defect
def a_second_of_running_doubled(state: State) -> bool:
    for job in running(state):
        state.c.jobs[col.J_RUN_S, job] += 1
        return True
    return False


@defect
def alarms_out_of_order(state: State) -> bool:
    count = int(state.c.scalars[col.S_ALARMS])
    if count > 2 and state.c.alarms[0, 0] < state.c.alarms[count - 1, 0]:
        state.c.alarms[[0, count - 1]] = state.c.alarms[[count - 1, 0]]
        return True
    return False


@defect
def a_class_that_no_counter_knows(state: State) -> bool:
    for job in running(state):
        state.c.jobs[col.J_CLASS, job] = (state.c.jobs[col.J_CLASS, job] + 1) % 3
        return True
    return False
