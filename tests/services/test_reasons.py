"""Why a job waits, what would help, when it starts at the earliest."""

from dure.services.views import Holder
from tests.services.live_bench import LiveBench


def test_a_job_beyond_its_allocation_can_never_start_as_its_own() -> None:
    bench = LiveBench(slots=4)
    bench.allocate("a", 1)
    job = bench.submit("gpus: 2", project="a")
    bench.turn()

    why = bench.why(job)

    assert why.code == "ExceedsMaxQuota"
    assert (why.numbers["gpus"], why.numbers["entitled_gpus"]) == (2, 1)
    assert why.would_help == (
        ("allow_preemption", {"gpus": 2, "accelerator": "slot"}),
        ("smaller", {"gpus": 1, "accelerator": "slot"}),
    )
    assert (why.earliest_s, why.half, why.most) == (-1, None, None)


def test_a_job_waits_for_its_own_projects_jobs_if_it_may_not_borrow() -> None:
    bench = LiveBench(slots=4)
    bench.allocate("a", 1)
    runs = bench.submit("estimate: 100s", project="a")
    bench.turn()
    job = bench.submit(project="a")
    bench.turn(10)

    why = bench.why(job)

    assert why.code == "WaitingForQuota"
    # The first job said 100 s and began 11 s ago; a second of cleaning follows.
    assert why.earliest_s == bench.clock.at_s - 10 + 100 + 1
    assert [code for code, _ in why.would_help] == ["allow_preemption"]
    numbers = {"gpus": 1, "entitled_gpus": 1, "left_gpus": 0, "used_gpus": 1, "jobs": 1}
    assert why.numbers == numbers
    assert why.held_by == (Holder(runs, "own", 1, bench.clock.at_s - 10 + 100),)


def test_a_full_pool_says_who_is_first_and_when_room_is_expected() -> None:
    bench = LiveBench(slots=2)
    bench.submit("gpus: 2, estimate: 50s")
    bench.turn()
    first, second = bench.submit("gpus: 2, estimate: 60s"), bench.submit("gpus: 1")
    bench.turn()

    assert bench.why(first).code == "WaitingForRoom"
    assert bench.why(first).earliest_s == bench.clock.at_s + 50 + 1
    # No room either: those before it are a number, not the gate.
    assert bench.why(second).code == "WaitingForRoom"
    assert bench.why(second).numbers["ahead"] == 1
    assert bench.why(second).numbers["own_gpus"] == 2
    # What the one before it will take leaves nothing that is known of.
    assert bench.why(second).earliest_s == -1
    assert bench.story(first).row.reason == "WaitingForRoom"


def test_a_job_that_outlived_its_estimate_may_end_at_any_moment() -> None:
    bench = LiveBench(slots=1)
    bench.submit("estimate: 5s")
    bench.turn()
    job = bench.submit()
    bench.turn(60)

    assert bench.why(job).earliest_s == bench.clock.at_s + 1


def test_what_fits_in_number_but_not_in_place_says_so() -> None:
    bench = LiveBench(slots=2)
    half = "gpus: 1, gpu_milli: 600"
    bench.submit(half)
    bench.submit(half)
    bench.turn()
    # Two devices have 400 of 1000 left each: 800 in all, and no place for 600.
    job = bench.submit(half)
    bench.turn()

    why = bench.why(job)
    assert why.code == "TopologyPlacementFailed"
    assert (why.numbers["nodes"], why.numbers["free_nodes"]) == (1, 0)


def test_a_job_that_runs_or_ended_waits_for_nothing() -> None:
    bench = LiveBench()
    job = bench.submit()
    bench.turn()

    assert bench.desk.view().why(job) is None
    assert bench.desk.view().why("here-99") is None
    assert bench.desk.view().story("here-99") is None
