"""What a backend says of its nodes closes and opens them, and ends what stands there."""

from dure.core.orders import NodeReport
from dure.services.access import Actor, Role
from dure.services.views import closers
from tests.services.live_bench import LiveBench

OPERATOR = Actor("noh", frozenset({Role.OPERATOR}))
NODE = "here-0001"
DOWN = NodeReport(NODE, "down", "", "not responding")
OPEN = NodeReport(NODE, "open")
CLOSED = NodeReport(NODE, "closed", "provider", "new cables")


def closed_by(bench: LiveBench) -> list[str]:
    return closers(int(bench.desk.view().closed_by[0]))


def test_a_node_that_its_site_drains_takes_no_new_work_until_it_is_back() -> None:
    bench = LiveBench()
    runs = bench.submit()
    bench.turn(1)

    bench.machine.reports = [CLOSED]
    waits = bench.submit()
    bench.turn(1)
    assert closed_by(bench) == ["provider"]
    assert (bench.state(runs), bench.state(waits)) == ("RUNNING", "PENDING")
    seen = bench.runtime.seen
    bench.turn(5)
    assert bench.runtime.seen == seen, "what is known already is not written again"

    bench.machine.reports = [OPEN]
    bench.turn(1)
    assert (closed_by(bench), bench.state(waits)) == ([], "RUNNING")


def test_what_a_person_closed_stays_closed_whatever_the_site_says() -> None:
    bench = LiveBench()
    bench.desk.drain(NODE, reason="", by=OPERATOR)
    bench.machine.reports = [CLOSED]
    bench.turn(1)
    assert closed_by(bench) == ["operator", "provider"]

    bench.machine.reports = [OPEN]
    bench.turn(1)

    assert closed_by(bench) == ["operator"]


def test_a_node_that_went_down_loses_its_jobs_and_they_run_again() -> None:
    bench = LiveBench()
    job = bench.submit("preemptible: true")
    bench.turn(1)

    bench.machine.reports = [DOWN]
    bench.turn(1)
    assert bench.state(job) == "STOPPING"
    assert bench.machine.stopped == {(job, 1)}
    bench.end(job, exit_code=137, kind="ended", reason="NodeFailed")
    bench.turn(2)
    assert bench.state(job) == "PENDING"
    assert bench.desk.view().kinds_milli[6] == 4000

    bench.machine.reports = [OPEN]
    bench.turn(3)
    assert bench.attempts(job) == [(1, "own", "fault"), (2, "own", "")]
    assert bench.desk.view().kinds_milli[6] == 0


def test_a_closed_node_is_still_known_as_such_after_a_restart() -> None:
    bench = LiveBench()
    bench.machine.reports = [CLOSED]
    bench.turn(1)

    again = bench.again(at_s=bench.clock.at_s + 60)
    again.turn(1)
    assert closed_by(again) == ["provider"]
    again.machine.reports = [OPEN]
    again.turn(1)

    assert closed_by(again) == []


def test_a_node_that_nobody_knows_hinders_nothing() -> None:
    bench = LiveBench()
    bench.machine.reports = [NodeReport("here-9999", "down"), CLOSED]

    job = bench.submit()
    bench.turn(1)

    assert closed_by(bench) == ["provider"]
    assert bench.state(job) == "PENDING"


def test_an_end_whose_node_is_withheld_is_told_at_once_and_the_node_is_closed_with_it() -> None:
    bench = LiveBench(slots=1)
    job, waits = bench.submit("preemptible: true"), bench.submit()
    bench.turn(1)
    bench.machine.withheld = [NODE]
    bench.machine.reports = [NodeReport(NODE, "closed", "health", "not proven clean")]
    bench.end(job, exit_code=0)

    bench.turn(3)
    assert (bench.state(job), bench.state(waits)) == ("COMPLETED", "PENDING")
    assert closed_by(bench) == ["health"]

    bench.machine.reports = [OPEN]
    bench.turn(1)
    assert bench.state(waits) == "RUNNING"
