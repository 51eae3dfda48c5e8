"""What is held against a provider's accounting: an attempt as its nodes measured it."""

import pytest

from tests.services.live_bench import START_S, LiveBench

MONTH = "2026-09"


def used(bench: LiveBench) -> dict[str, int]:
    return bench.publisher.used_at("here", MONTH)


def running(bench: LiveBench, project: str = "team") -> str:
    """Start a job on two devices at the bench's first second."""
    job = bench.submit("gpus: 2, preemptible: true", project=project)
    bench.turn()
    assert bench.state(job) == "RUNNING"
    return job


@pytest.mark.parametrize(
    ("kind", "code", "measured", "gpu_s"),
    [
        ("ended", 0, (START_S + 3, START_S + 58), 2 * 55),
        ("stopped", 85, (START_S + 3, START_S + 58), 2 * 55),
        # It never began.
        ("failed", 1, (START_S + 58, START_S + 58), 0),
        # No backend says when: what was booked.
        ("ended", 0, None, 2 * 60),
        # Nobody measures more than was given.
        ("ended", 0, (START_S - 500, START_S + 60), 2 * 60),
    ],
)
def test_use_at_a_provider_is_what_its_nodes_measured(
    kind: str, code: int, measured: tuple[int, int] | None, gpu_s: int
) -> None:
    bench = LiveBench(slots=2)
    bench.allocate("team", 2)
    job = running(bench)
    bench.clock.at_s += 60

    bench.end(job, kind=kind, exit_code=code, measured=measured)
    bench.turns.turn()
    bench.publisher.publish(bench.runtime.state, bench.clock.at_s)

    assert used(bench) == ({"team": gpu_s} if gpu_s else {})


def test_a_run_that_changed_class_is_measured_as_one() -> None:
    bench = LiveBench(slots=4)
    bench.allocate("owner", 2)
    bench.allocate("team", 2)
    first, job = running(bench), running(bench)
    bench.clock.at_s += 30
    bench.end(first, measured=(START_S + 1, START_S + 1))
    bench.turn()
    assert [kind for _, kind, _ in bench.attempts(job)] == ["loan", "own"]
    bench.clock.at_s += 30

    bench.end(job, measured=(START_S + 40, START_S + 58))
    bench.turn()

    assert used(bench) == {"team": 2 * 18}
    (month,) = [one for one in bench.publisher.months() if one.who == "team"]
    assert (month.own_gpu_s, month.loan_gpu_s) == (2 * 1 + 2 * 30, 2 * 30)


def test_what_was_measured_is_known_after_a_restart() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("team", 2)
    job = running(bench)
    bench.clock.at_s += 60
    bench.end(job, measured=(START_S + 3, START_S + 58))
    bench.turn()
    bench.keeper.keep()

    again = bench.again(at_s=bench.clock.at_s)

    assert used(again) == used(bench) == {"team": 2 * 55}
