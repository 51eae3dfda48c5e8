"""Lending on a live pool: idle slots are lent, called back, promoted; on paper machines."""

from tests.services.live_bench import ADMIN, LiveBench

BORROWER = "gpus: 2, preemptible: true, checkpoint_takes: 2s"


def test_idle_slots_are_lent_and_come_back_when_their_owner_asks() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    borrower = bench.submit(BORROWER, project="guest")
    bench.turn(10)
    assert bench.attempts(borrower) == [(1, "loan", "")]

    owner = bench.submit("gpus: 2", project="owner")
    bench.turn()
    assert bench.why(owner).code == "WaitingForPreemptedWorkloads"
    assert bench.machine.notices == {(borrower, 1): bench.clock.at_s + 2}
    (loan,) = bench.desk.view().loans
    assert (loan.borrower, loan.lender, loan.claimant_job) == ("guest", "owner", owner)
    bench.end(borrower, exit_code=85, kind="stopped")
    bench.turn(3)

    assert bench.state(owner) == "RUNNING"
    assert bench.why(borrower).code == "WaitingAfterReclaim"
    bench.end(owner)
    bench.turn(10)
    assert bench.attempts(borrower) == [(1, "loan", "reclaimed"), (2, "loan", "")]
    (reclaim,) = bench.desk.view().reclaims
    assert (reclaim.outcome, reclaim.lender, reclaim.gpus) == ("returned", "owner", 2)
    assert reclaim.started_at_s - reclaim.asked_at_s == bench.desk.view().lending.return_s_max


def test_a_borrower_that_does_not_leave_is_stopped_when_its_time_is_over() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    borrower = bench.submit(BORROWER, project="guest")
    bench.turn(2)
    bench.submit("gpus: 2", project="owner")
    bench.turn()

    bench.turn(3)

    assert bench.machine.stopped == {(borrower, 1)}
    assert bench.state(borrower) == "STOPPING"


def test_a_cancellation_is_heard_while_the_job_is_being_stopped_for_its_owner() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    borrower = bench.submit("gpus: 2, preemptible: true", project="guest")
    bench.turn(2)
    bench.submit("gpus: 2", project="owner")
    bench.turn()
    assert bench.state(borrower) == "STOPPING"

    bench.desk.cancel(borrower, by=ADMIN)
    bench.turn()
    bench.end(borrower, exit_code=143, kind="stopped")
    bench.turn(3)

    assert bench.state(borrower) == "CANCELLED"


def test_a_promoted_loan_keeps_its_process_and_ends_by_it() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 1)
    bench.allocate("guest", 1)
    first = bench.submit("preemptible: true", project="guest")
    second = bench.submit("preemptible: true", project="guest")
    bench.turn(2)
    assert bench.attempts(second) == [(1, "loan", "")]

    bench.end(first)
    bench.turn(2)
    assert bench.attempts(second) == [(1, "loan", "promoted"), (2, "own", "")]
    bench.end(second)
    bench.turn(2)

    assert bench.state(second) == "COMPLETED"
    assert len(bench.machine.started) == 2


def test_long_work_that_makes_room_for_work_of_its_owner_is_told_so() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    long = bench.submit(f"{BORROWER}, estimate: 20-00:00:00", project="owner")
    bench.turn(2)

    bench.submit("gpus: 2, estimate: 10m", project="owner")
    bench.turn()
    assert bench.story(long).stop_cause == "yielded"
    bench.end(long, exit_code=85, kind="stopped")
    bench.turn(3)

    assert bench.attempts(long) == [(1, "own", "made_way"), (2, "loan", "yielded")]


def test_work_whose_allocation_ended_runs_on_as_a_loan_and_is_told_so() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2, to_s=bench.clock.at_s + 60)
    job = bench.submit(BORROWER, project="owner")
    bench.turn(2)
    assert bench.attempts(job) == [(1, "own", "")]

    bench.turn(70)
    bench.turn(2)

    assert bench.attempts(job) == [(1, "own", "right_shrank"), (2, "loan", "")]


def test_a_borrower_may_stay_when_the_claimant_is_cancelled() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    borrower = bench.submit("gpus: 2, preemptible: true, checkpoint_takes: 60s", project="guest")
    bench.turn(2)
    owner = bench.submit("gpus: 2", project="owner")
    bench.turn()
    assert bench.story(borrower).stop_by_s > bench.clock.at_s
    assert bench.story(borrower).stop_cause == "reclaimed"

    bench.desk.cancel(owner, by=ADMIN)
    bench.turn(2)

    assert (bench.story(borrower).stop_by_s, bench.story(borrower).stop_cause) == (-1, "")
    assert bench.desk.view().reclaims[0].outcome == "withdrawn"
    bench.turn(120)
    assert bench.attempts(borrower) == [(1, "loan", "")]
