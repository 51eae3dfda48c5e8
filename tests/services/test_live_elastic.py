"""Elastic jobs and deadlines on a live pool, on paper machines."""

from datetime import UTC, datetime

from tests.services.live_bench import LiveBench

ELASTIC = "gpus: 2, min_gpus: 1, preemptible: true, checkpoint_takes: 2s"


def leave(bench: LiveBench, job: str) -> None:
    """Let a job save and leave, as it was told to."""
    bench.end(job, exit_code=85, kind="stopped")
    bench.turn(4)


def test_an_elastic_job_gives_a_slot_up_and_gets_it_again() -> None:
    bench = LiveBench(slots=2, grow_s=5)
    bench.allocate("owner", 1)
    bench.allocate("guest", 1)
    elastic = bench.submit(ELASTIC, project="guest")
    bench.turn(2)
    (loan,) = bench.desk.view().loans
    assert (loan.job, loan.gpus) == (elastic, 1)

    owner = bench.submit("gpus: 1", project="owner")
    bench.turn()
    assert (elastic, 1) in bench.machine.notices
    leave(bench, elastic)
    assert bench.attempts(elastic) == [(1, "own", "resized"), (2, "own", "")]
    assert bench.state(owner) == "RUNNING"
    assert bench.desk.view().loans == []

    bench.end(owner)
    bench.turn(8)
    assert (elastic, 2) in bench.machine.notices
    leave(bench, elastic)

    orders = [one for one in bench.machine.started if one.job == elastic]
    assert [(one.attempt, len(one.devices)) for one in orders] == [(1, 2), (2, 1), (3, 2)]


def test_a_deadline_out_of_reach_is_told() -> None:
    bench = LiveBench(slots=1)
    bench.submit()
    bench.turn()
    at_s = bench.clock.at_s + 50
    deadline = datetime.fromtimestamp(at_s, UTC).isoformat()
    job = bench.submit(f"estimate: 100s, deadline: '{deadline}'")
    bench.turn(2)

    assert ("later_deadline", {"deadline_at_s": at_s}) in bench.why(job).would_help
