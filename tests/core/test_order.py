"""The line and the alarms against lists that Python sorts; the order of loans against a rule."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core import columns as col
from dure.core.alarms import pop_alarms, push_alarm
from dure.core.columns import Columns
from dure.core.kernel import kernel
from dure.core.moves import dequeue, enqueue, skip_dead, sweep_queue
from dure.core.policy import policy_named
from dure.core.state import Jobs, State
from tests.core.worlds import pool_of_rows, random_jobs

ALARMS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60
)


@kernel
def push(c: Columns, at_s: int, what: int, who: int) -> None:
    push_alarm(c, at_s, what, who)


@kernel
def pop(c: Columns, now_s: int) -> None:
    pop_alarms(c, now_s)


@kernel
def move(c: Columns, job: int, what: int) -> None:
    """0 joins the line, 1 leaves it, 2 the head's gaps are skipped, 3 all gaps are closed."""
    if what == 0:
        c.jobs[J_STATE, job] = PENDING
        enqueue(c, job)
    elif what == 1:
        c.jobs[J_STATE, job] = RUNNING
        dequeue(c, job)
    elif what == 2:
        skip_dead(c)
    else:
        sweep_queue(c)


J_STATE, PENDING, RUNNING = col.J_STATE, col.PENDING, col.RUNNING


def small_state(jobs: int, policy: str = "fifo") -> State:
    pool = pool_of_rows([("q", "c", "p", "l", "B200", "C")], [(8, 0, 0)])
    state = State(pool, policy_named(policy))
    columns = random_jobs(pool, 1, jobs, np.random.default_rng(jobs))
    state.prepare([], Jobs([f"j{i}" for i in range(jobs)], columns), np.zeros((0, 8), np.int64))
    state.c.jobs[col.J_SIZE] = state.c.jobs[col.J_GPUS]
    return state


@given(alarms=ALARMS, moments=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_alarms_come_out_in_order_and_in_time(
    alarms: list[tuple[int, int, int]], moments: list[int]
) -> None:
    state, left = small_state(1), sorted(alarms)
    for alarm in alarms:
        push(state.c, *alarm)

    for now_s in sorted(moments):
        pop(state.c, now_s)
        due = [tuple(row) for row in state.c.due[: state.c.scalars[col.S_DUE]].tolist()]
        expected = [alarm for alarm in left if alarm[0] <= now_s]
        left = left[len(expected) :]
        assert due == expected
        assert state.next_alarm_s == (left[0][0] if left else None)


@settings(max_examples=60)
@given(data=st.data())
def test_the_line_is_what_a_sorted_list_would_be(data: st.DataObject) -> None:
    jobs = 12
    state, line = small_state(jobs), set[int]()
    state.c.jobs[col.J_KEY, :jobs] = data.draw(
        st.lists(st.integers(0, 3), min_size=jobs, max_size=jobs)
    )
    state.c.jobs[col.J_STATE, :jobs] = col.RUNNING
    moves = data.draw(st.lists(st.tuples(st.integers(0, jobs - 1), st.integers(0, 5)), max_size=80))

    for job, what in moves:
        if what <= 2:
            # Whoever waits starts; whoever does not wait joins again.
            move(state.c, job, 1 if job in line else 0)
            line ^= {job}
        else:
            move(state.c, job, min(what - 1, 3))
        s = state.c.scalars
        found = state.c.queue[s[col.S_Q_HEAD] : s[col.S_Q_TAIL]].tolist()
        found = [one for one in found if int(state.c.jobs[col.J_STATE, one]) == col.PENDING]
        assert found == sorted(line, key=lambda one: (int(state.c.jobs[col.J_KEY, one]), one))
        gaps = int(s[col.S_Q_TAIL] - s[col.S_Q_HEAD]) - len(found)
        assert int(s[col.S_Q_DEAD]) == gaps
