"""A job that holds GPUs idle is told to save, stopped as at a reclaim, and waits again."""

from dure.core.events.idle import IdleNoticed, IdleStopped, IdleTaken
from tests.services.live_bench import LiveBench


def idle_pool() -> tuple[LiveBench, str, str]:
    """Return a pool of two slots, a job on both of them, and another that waits."""
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("team", 0)
    idle = bench.submit("gpus: 2, preemptible: true", project="team")
    bench.turn(1)
    waits = bench.submit("gpus: 2, preemptible: true", project="team")
    bench.turn(1)
    assert (bench.state(idle), bench.state(waits)) == ("RUNNING", "PENDING")
    return bench, idle, waits


def tell(bench: LiveBench, job: str) -> None:
    """Write what the rule writes: the notice, and that its time is over."""
    at_s = bench.clock.at_s
    notice = IdleNoticed(
        at_s=at_s, by="rule:idle-held", case="i-1", job=job, project="team", user="admin", gpus=2,
        gpus_held=2, node="here-0001", device=0, busy_milli_max=0, threshold_milli=50, samples=240,
        from_s=at_s - 3_600, to_s=at_s, due_at_s=at_s,
    )  # fmt: skip
    taken = IdleTaken(at_s=at_s, by="rule:idle-held", case="i-1", job=job, stop_by_s=at_s + 60)
    bench.book.append([notice, taken])


def take(bench: LiveBench, job: str) -> None:
    tell(bench, job)
    bench.turn(1)


def test_it_is_told_then_stopped_and_others_run_on_its_gpus() -> None:
    bench, idle, waits = idle_pool()
    told_s = bench.clock.at_s

    take(bench, idle)
    assert bench.machine.notices == {(idle, 1): told_s + 60}
    assert bench.machine.stopped == set()

    bench.clock.at_s += 60
    bench.book.append(
        [IdleStopped(at_s=bench.clock.at_s, by="rule:idle-held", case="i-1", job=idle)]
    )
    bench.turn(1)
    assert bench.machine.stopped == {(idle, 1)}
    bench.end(idle, kind="stopped", exit_code=85)
    bench.turn(3)

    assert (bench.state(idle), bench.state(waits)) == ("PENDING", "RUNNING")
    assert bench.attempts(idle) == [(1, "loan", "reclaimed")]
    bench.end(waits)
    bench.turn(60)
    assert bench.state(idle) == "RUNNING"
    assert bench.machine.notices == {(idle, 1): told_s + 60}, "its next attempt begins anew"


def test_one_that_saves_and_leaves_by_itself_waits_as_well() -> None:
    bench, idle, waits = idle_pool()

    take(bench, idle)
    bench.end(idle, kind="stopped", exit_code=85)
    bench.turn(3)

    assert (bench.state(idle), bench.state(waits)) == ("PENDING", "RUNNING")
    assert bench.attempts(idle) == [(1, "loan", "reclaimed")]
    # The stop that comes after it has nothing left to stop.
    bench.book.append(
        [IdleStopped(at_s=bench.clock.at_s, by="rule:idle-held", case="i-1", job=idle)]
    )
    bench.turn(3)
    assert bench.machine.stopped == set()


def test_a_notice_outlives_the_process() -> None:
    bench, idle, _ = idle_pool()
    at_s = bench.clock.at_s
    tell(bench, idle)

    again = bench.again(at_s=at_s + 5)
    again.turn(1)

    assert again.machine.notices == {(idle, 1): at_s + 60}
