"""A live pool from a person's request to the end of a process and back, on paper machines."""

import pytest

from dure.core.errors import DriverError, InputError
from dure.core.orders import ArrayPlace
from dure.services.access import Actor, Forbidden, Role
from dure.services.desks import CancelAnswer, Refused, Submission, Submitted, WorkForm
from dure.services.driver_hands import LOST_MAX, START_TRIES_MAX
from dure.services.programme_views import FieldProblem
from dure.services.replaying import replay
from dure.services.views import Why
from tests.services.live_bench import ADMIN, START_S, LiveBench

MEMBER = Actor("kim", frozenset({Role.MEMBER}), frozenset({"p-1"}))
BORROWER = "gpus: 2, preemptible: true, checkpoint_takes: 2s"


def test_a_job_is_started_once_on_the_devices_that_were_planned() -> None:
    bench = LiveBench()
    job = bench.submit("gpus: 2")

    bench.turn()
    bench.turn()

    (order,) = bench.machine.started
    assert (order.job, order.attempt, order.gang_class) == (job, 1, "own")
    assert order.devices == (("here-0001", 0), ("here-0001", 1))
    assert order.recipe.script == "train"
    assert bench.state(job) == "RUNNING"


@pytest.mark.parametrize(
    ("exit_code", "kind", "state"),
    [(0, "ended", "COMPLETED"), (3, "ended", "FAILED"), (1, "failed", "FAILED")],
)
def test_the_end_of_a_process_is_the_end_of_its_job(exit_code: int, kind: str, state: str) -> None:
    bench = LiveBench()
    job = bench.submit()
    bench.turn()

    bench.end(job, exit_code=exit_code, kind=kind)
    bench.turn(3)

    assert bench.state(job) == state
    assert bench.attempts(job) == [(1, "own", "done")]
    assert bench.machine.receipts == {}


def test_a_job_taken_and_not_yet_looked_at_has_its_page() -> None:
    bench = LiveBench()

    job = bench.submit("gpus: 2, estimate: 90s")

    story = bench.story(job)
    assert (story.row.state, story.row.reason) == ("PENDING", "WaitingForNextCycle")
    assert story.asked["estimate_s"] == "90"
    assert bench.why(job).code == "WaitingForNextCycle"


def test_the_same_key_and_text_give_the_same_job_even_after_a_restart() -> None:
    bench = LiveBench()
    job = bench.submit(key="k-1")
    bench.turn()

    again = bench.again(at_s=START_S + 60)
    answer = again.desk.submit(again.submission(key="k-1"), by=ADMIN)
    other = again.desk.submit(again.submission("gpus: 2", key="k-1"), by=ADMIN)

    assert answer == Submitted(job, (job,), is_repeat=True)
    assert isinstance(other, Refused)
    assert other.problems[0].code == "KeyIsUsed"
    again.turn()
    assert len(again.machine.started) == 1


def test_an_array_is_one_job_for_each_index_and_survives_a_restart() -> None:
    bench = LiveBench()
    array = bench.submit('array: "1-5:2"', key="k-1")
    alone = bench.submit()
    bench.turn()

    elements = [f"{array}_{index}" for index in (1, 3, 5)]
    assert [one.job for one in bench.machine.started] == [*elements, alone]
    place = bench.machine.started[1].recipe.array
    assert place == ArrayPlace(array, index=3, count=3, least=1, most=5)
    assert bench.machine.started[3].recipe.array is None

    again = bench.again(at_s=START_S + 60)
    repeat = again.desk.submit(again.submission('array: "1-5:2"', key="k-1"), by=ADMIN)
    assert repeat == Submitted(array, tuple(elements), is_repeat=True)
    assert again.desk.cancel(elements[0], by=ADMIN) is CancelAnswer.STOPPING
    again.turn()
    assert [again.state(job) for job in elements] == ["STOPPING", "RUNNING", "RUNNING"]
    later = again.submit()
    assert later not in (array, alone, *elements)


def test_a_job_may_wait_for_one_element_or_for_a_whole_array() -> None:
    bench = LiveBench()
    array = bench.submit('array: "0-1"')
    whole = bench.submit(f"after: {array}")
    follower = bench.submit(f"after: {array}_1")
    bench.turn()

    assert (bench.state(whole), bench.state(follower)) == ("PENDING", "PENDING")
    bench.end(f"{array}_1")
    bench.turn(2)
    assert (bench.state(whole), bench.state(follower)) == ("PENDING", "RUNNING")
    assert bench.why(whole) == Why("WaitingForJob", {"job": f"{array}_0"})
    bench.end(f"{array}_0")
    bench.turn(2)
    assert bench.state(whole) == "RUNNING"


def test_only_ones_own_projects_are_drawn_on() -> None:
    bench = LiveBench()

    with pytest.raises(Forbidden):
        bench.submit(project="p-2", by=MEMBER)
    with pytest.raises(Forbidden):
        bench.desk.submit(
            Submission(WorkForm.YAML, "run: x\ndure: {project: p-2}\n", "", ""), by=MEMBER
        )

    assert bench.submit(project="p-1", by=MEMBER) == "here-1"


def test_unreadable_text_is_told_by_its_place_and_takes_no_number() -> None:
    bench = LiveBench()

    with pytest.raises(InputError, match="gpus"):
        bench.submit("gpus: many")

    assert bench.submit() == "here-1"


@pytest.mark.parametrize("after", ["after", "after_any", "after_start"])
def test_a_job_after_others_that_cannot_be_meant_is_refused(after: str) -> None:
    bench = LiveBench()
    bench.submit()
    bench.submit()

    answer = bench.desk.submit(bench.submission(f"{after}: [here-1, here-9]"), by=ADMIN)

    assert isinstance(answer, Refused)
    assert answer.problems[0] == FieldProblem(after, "AfterIsUnknown", {"job": "here-9"})


def test_a_job_waits_for_the_one_before_it() -> None:
    bench = LiveBench()
    first = bench.submit()
    second = bench.submit(f"after: {first}")
    bench.turn()

    assert bench.why(second).code == "WaitingForJob"
    bench.end(first)
    bench.turn(2)

    assert bench.state(second) == "RUNNING"


def test_what_can_never_fit_is_refused_at_once_with_the_reason() -> None:
    bench = LiveBench()
    large = bench.submit("gpus: 5")
    typed = bench.submit("accelerator: B200")

    bench.turn()

    assert (bench.state(large), bench.story(large).row.reason) == ("REFUSED", "NeverFits")
    assert (bench.state(typed), bench.story(typed).row.reason) == (
        "REFUSED",
        "UnknownAccelerator",
    )
    assert bench.machine.started == []


def test_a_waiting_job_that_is_cancelled_never_starts() -> None:
    bench = LiveBench(slots=1)
    first, second = bench.submit(), bench.submit()
    bench.turn()

    answer = bench.desk.cancel(second, by=ADMIN)
    bench.turn()
    bench.end(first)
    bench.turn(3)

    assert answer is CancelAnswer.CANCELLED
    assert bench.state(second) == "CANCELLED"
    assert len(bench.machine.started) == 1
    assert bench.desk.cancel(second, by=ADMIN) is CancelAnswer.ALREADY_ENDED
    assert bench.desk.cancel("here-9", by=ADMIN) is CancelAnswer.NOT_FOUND


def test_a_running_job_that_is_cancelled_is_stopped_and_ends_as_cancelled() -> None:
    bench = LiveBench()
    job = bench.submit()
    bench.turn()

    assert bench.desk.cancel(job, by=ADMIN) is CancelAnswer.STOPPING
    bench.turn()
    assert bench.state(job) == "STOPPING"
    assert bench.machine.stopped == {(job, 1)}
    bench.end(job, exit_code=143, kind="stopped")
    bench.turn(3)

    assert bench.state(job) == "CANCELLED"
    assert bench.attempts(job) == [(1, "own", "cancelled")]


def test_nothing_is_handed_on_before_the_machine_is_clean() -> None:
    bench = LiveBench(slots=1)
    first, second = bench.submit(), bench.submit()
    bench.turn()
    bench.machine.is_dirty = True

    bench.end(first)
    bench.turn(5)
    assert (bench.state(first), bench.state(second)) == ("RUNNING", "PENDING")
    bench.machine.is_dirty = False
    bench.turn(3)

    assert (bench.state(first), bench.state(second)) == ("COMPLETED", "RUNNING")
    assert bench.evidence[0]["is_clean"] is False
    assert bench.evidence[-1] == {"job": first, "attempt": 1, "is_clean": True}


def test_a_start_that_fails_is_tried_again_and_at_last_fails_the_job() -> None:
    bench = LiveBench()
    bench.machine.start_error = DriverError("the disk is full")
    job = bench.submit()

    bench.turn(3)
    assert bench.state(job) == "RUNNING"
    bench.turn(START_TRIES_MAX)

    assert bench.state(job) == "FAILED"


def test_a_start_that_fails_for_a_while_succeeds_in_the_end() -> None:
    bench = LiveBench()
    bench.machine.start_error = DriverError("the disk is full")
    job = bench.submit()
    bench.turn(3)

    bench.machine.start_error = None
    bench.turn(2)

    assert [order.job for order in bench.machine.started] == [job]


def test_a_job_lost_with_its_machine_runs_again_but_not_for_ever() -> None:
    bench = LiveBench()
    job = bench.submit()
    bench.turn()

    for _ in range(LOST_MAX):
        bench.end(job, exit_code=137, reason="LauncherVanished")
        bench.turn(3)
        assert bench.state(job) == "RUNNING"
    bench.end(job, exit_code=137, reason="LauncherVanished")
    bench.turn(3)

    assert bench.state(job) == "FAILED"
    assert len(bench.machine.started) == 1 + LOST_MAX


def test_the_next_process_goes_on_where_the_last_one_was_killed() -> None:
    bench = LiveBench(slots=2)
    running, waiting = bench.submit("gpus: 2"), bench.submit("gpus: 2")
    bench.turn(10)
    taken = bench.submit()
    ended_s = bench.clock.at_s
    bench.end(running)

    again = bench.again(at_s=ended_s + 7200)
    assert again.state(running) == "RUNNING"
    assert again.why(taken).code == "WaitingForNextCycle"
    again.turn(5)

    row = again.story(running).row
    assert (row.state, row.end_at_s) == ("COMPLETED", ended_s)
    assert again.state(waiting) == "RUNNING"
    assert [one.job for one in again.machine.started] == [running, waiting]
    # What stood idle while nobody looked is not counted as use.
    assert again.desk.view().kinds_gpu_s[0] < 2 * 60


def test_every_recorded_plan_is_decided_again_byte_for_byte() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    borrower = bench.submit(BORROWER, project="guest")
    bench.turn(10)
    owner = bench.submit("gpus: 2", project="owner")
    bench.turn()
    bench.end(borrower, exit_code=85, kind="stopped")
    bench.turn(10)
    bench.end(owner)
    again = bench.again(at_s=bench.clock.at_s + 3600)
    again.turn(10)

    replayed = replay(bench.ledger, 1, None)

    assert replayed.different == ()
    assert replayed.cycles > 5
    assert (
        again.runtime.state.digest()
        == LiveBench(
            ledger=bench.ledger, machine=bench.machine, at_s=bench.clock.at_s
        ).runtime.state.digest()
    )


def test_an_idle_pool_writes_nothing() -> None:
    bench = LiveBench()
    bench.turn(3)
    before = bench.ledger.head()

    bench.turn(100)

    assert bench.ledger.head() == before


def test_a_job_taken_right_before_a_kill_starts_with_nothing_else_to_wake_the_pool() -> None:
    bench = LiveBench()
    job = bench.submit()

    again = bench.again(at_s=START_S + 60)
    again.turn()

    assert again.state(job) == "RUNNING"


def test_a_list_tells_what_a_job_used_and_how_it_ended() -> None:
    bench = LiveBench(slots=4)
    ran, waits = bench.submit("gpus: 4"), bench.submit("gpus: 3")
    bench.turn()
    bench.turn(10)
    running = bench.story(ran).row
    bench.end(ran, exit_code=3)
    bench.turn(1)
    over, fresh = bench.story(ran).row, bench.story(waits).row

    assert (running.held_s, running.gpu_s, running.exit_code) == (10, 40, None)
    assert (over.held_s, over.gpu_s, over.exit_code) == (11, 44, 3)
    assert (fresh.held_s, fresh.gpu_s, fresh.exit_code) == (0, 0, None)
