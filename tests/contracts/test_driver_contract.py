"""What every backend owes the pool, whatever it runs work on."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dure.core.orders import EXIT_SAVED, Receipt
from tests.contracts.driver_bench import (
    AgentBench,
    Behaviour,
    Bench,
    LocalBench,
    SlurmBench,
    WorkingBench,
)
from tests.drivers.polling import until

STOP_BY_S = 4_000_000_000


BACKENDS = (
    "local",
    pytest.param("slurm", marks=pytest.mark.slurm),
    "agent with local",
    pytest.param("agent with slurm", marks=pytest.mark.slurm),
)


@pytest.fixture(params=BACKENDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "site" if "agent" in request.param else tmp_path
    own: WorkingBench
    if "slurm" in request.param:
        own = SlurmBench(root, request.getfixturevalue("slurm_cluster"))
    else:
        own = LocalBench(root)
    made: Bench = AgentBench(tmp_path, own) if "agent" in request.param else own
    yield made
    made.close()


def observed(bench: Bench) -> Sequence[Receipt]:
    bench.pass_time()
    return bench.driver.observe()


def end_of(bench: Bench, job: str, *, attempt: int = 1) -> Receipt:
    def look() -> list[Receipt]:
        return [one for one in observed(bench) if (one.job, one.attempt) == (job, attempt)]

    return until(look)[0]


def start(bench: Bench, job: str, behaviour: Behaviour, *, attempt: int = 1) -> None:
    bench.driver.start(bench.order(job, behaviour, attempt=attempt))


def start_and_see_at_work(bench: Bench, job: str, behaviour: Behaviour) -> None:
    start(bench, job, behaviour)
    until(lambda: observed(bench) or bench.is_at_work(job))


def test_an_end_is_reported_with_its_exit_code(bench: Bench) -> None:
    start(bench, "good", Behaviour.SUCCEEDS)
    start(bench, "bad", Behaviour.FAILS)

    good, bad = end_of(bench, "good"), end_of(bench, "bad")

    assert (good.kind, good.exit_code, good.saved) == ("ended", 0, False)
    assert (bad.kind, bad.exit_code, bad.saved) == ("ended", 3, False)


def test_a_receipt_says_when_its_nodes_began_it_and_were_done(bench: Bench) -> None:
    ordered_s = int(time.time())
    start_and_see_at_work(bench, "metered", Behaviour.RUNS_ON)
    worked_s = int(time.time())
    until(lambda: int(time.time()) > worked_s)
    bench.driver.stop("metered", 1)

    over = end_of(bench, "metered")

    assert ordered_s <= over.began_at_s <= worked_s < over.at_s <= time.time()


def test_who_never_began_used_nothing(bench: Bench) -> None:
    start(bench, "early", Behaviour.RUNS_ON)
    bench.driver.notify("early", 1, stop_by_s=STOP_BY_S)
    bench.driver.stop("early", 1)

    over = end_of(bench, "early")

    assert bench.starts("early") == 0
    assert over.began_at_s == over.at_s > 0


def test_what_cannot_start_has_a_named_failure(bench: Bench) -> None:
    start(bench, "nothing", Behaviour.CANNOT_START)

    failed = end_of(bench, "nothing")

    assert failed.kind == "failed"
    assert failed.reason != ""


def test_starting_twice_starts_once(bench: Bench) -> None:
    start(bench, "twice", Behaviour.SUCCEEDS)
    start(bench, "twice", Behaviour.SUCCEEDS)
    end_of(bench, "twice")
    start(bench, "twice", Behaviour.SUCCEEDS)
    bench.driver.acknowledge(observed(bench))
    start(bench, "twice", Behaviour.SUCCEEDS)

    assert observed(bench) == []
    assert bench.starts("twice") == 1


def test_a_receipt_is_reported_until_it_is_acknowledged(bench: Bench) -> None:
    start(bench, "one", Behaviour.SUCCEEDS)
    start(bench, "two", Behaviour.FAILS)
    first, second = end_of(bench, "one"), end_of(bench, "two")

    again = observed(bench)
    bench.driver.acknowledge([first])
    left = observed(bench)
    bench.driver.acknowledge([first, second])

    assert set(again) == {first, second}
    assert list(left) == [second]
    assert list(observed(bench)) == []


def test_a_stop_is_reported_once_nothing_runs(bench: Bench) -> None:
    start_and_see_at_work(bench, "endless", Behaviour.RUNS_ON)

    bench.driver.stop("endless", 1)
    bench.driver.stop("endless", 1)
    stopped = end_of(bench, "endless")

    assert (stopped.kind, stopped.saved) == ("stopped", False)
    assert list(observed(bench)) == [stopped]


def test_who_defies_a_stop_is_stopped_all_the_same(bench: Bench) -> None:
    start_and_see_at_work(bench, "stubborn", Behaviour.DEFIES_STOP)

    bench.driver.stop("stubborn", 1)

    assert end_of(bench, "stubborn").kind == "stopped"


def test_who_saves_on_notice_leaves_saved(bench: Bench) -> None:
    start_and_see_at_work(bench, "careful", Behaviour.SAVES_ON_NOTICE)

    bench.driver.notify("careful", 1, stop_by_s=STOP_BY_S)
    bench.driver.notify("careful", 1, stop_by_s=STOP_BY_S)
    left = end_of(bench, "careful")

    assert (left.kind, left.saved, left.exit_code) == ("stopped", True, EXIT_SAVED)


def test_a_notice_harms_nobody_who_does_not_listen(bench: Bench) -> None:
    start_and_see_at_work(bench, "deaf", Behaviour.RUNS_ON)

    bench.driver.notify("deaf", 1, stop_by_s=STOP_BY_S)

    for _ in range(5):
        assert list(observed(bench)) == []
    bench.driver.stop("deaf", 1)
    assert end_of(bench, "deaf").kind == "stopped"


def test_what_runs_is_taken_up_again_after_a_restart(bench: Bench) -> None:
    start_and_see_at_work(bench, "long", Behaviour.SAVES_ON_NOTICE)

    bench.restart()
    start(bench, "long", Behaviour.SAVES_ON_NOTICE)
    assert list(observed(bench)) == []
    bench.driver.notify("long", 1, stop_by_s=STOP_BY_S)

    assert end_of(bench, "long").saved
    assert bench.starts("long") == 1


def test_receipts_outlive_a_restart_unless_acknowledged(bench: Bench) -> None:
    start(bench, "one", Behaviour.SUCCEEDS)
    start(bench, "two", Behaviour.FAILS)
    first, second = end_of(bench, "one"), end_of(bench, "two")
    bench.driver.acknowledge([first])

    bench.restart()

    assert end_of(bench, "two") == second
    assert list(observed(bench)) == [second]


def test_a_stop_outlives_a_restart(bench: Bench) -> None:
    start_and_see_at_work(bench, "stubborn", Behaviour.DEFIES_STOP)
    bench.driver.stop("stubborn", 1)

    bench.restart()

    assert end_of(bench, "stubborn").kind == "stopped"


def test_the_next_attempt_is_a_start_of_its_own(bench: Bench) -> None:
    start(bench, "again", Behaviour.FAILS)
    first = end_of(bench, "again")
    start(bench, "again", Behaviour.SUCCEEDS, attempt=2)

    second = end_of(bench, "again", attempt=2)

    assert [(one.attempt, one.exit_code) for one in (first, second)] == [(1, 3), (2, 0)]
    assert bench.starts("again") == 2


def test_what_was_never_started_can_be_told_and_stopped_without_effect(bench: Bench) -> None:
    bench.driver.notify("unknown", 1, stop_by_s=STOP_BY_S)
    bench.driver.stop("unknown", 1)

    assert list(observed(bench)) == []
