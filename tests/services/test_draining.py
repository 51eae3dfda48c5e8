"""Closing nodes to new work: each side opens only what it closed itself."""

import pytest

from dure.services.access import Actor, Forbidden, Role
from dure.services.desks import DrainAnswer
from dure.services.views import closers
from tests.services.live_bench import LiveBench

OPERATOR = Actor("noh", frozenset({Role.OPERATOR}))
PROVIDER = Actor("park", frozenset({Role.PROVIDER}), provider="here")
STRANGER = Actor("lim", frozenset({Role.PROVIDER}), provider="elsewhere")
NODE = "here-0001"


def closed_by(bench: LiveBench) -> list[str]:
    return closers(int(bench.desk.view().closed_by[0]))


def test_a_node_opens_when_each_who_closed_it_has_opened_it() -> None:
    bench = LiveBench()
    runs = bench.submit()
    bench.turn(1)

    assert bench.desk.drain(NODE, reason="new rack", by=OPERATOR) is DrainAnswer.CLOSED
    assert bench.desk.drain(NODE, reason="", by=PROVIDER) is DrainAnswer.CLOSED
    waits = bench.submit()
    bench.turn(1)
    assert closed_by(bench) == ["operator", "provider"]
    assert (bench.state(runs), bench.state(waits)) == ("RUNNING", "PENDING")

    assert bench.desk.resume(NODE, by=PROVIDER) is DrainAnswer.STILL_CLOSED
    bench.turn(1)
    assert (closed_by(bench), bench.state(waits)) == (["operator"], "PENDING")
    assert bench.desk.resume(NODE, by=OPERATOR) is DrainAnswer.OPENED
    bench.turn(1)
    assert (closed_by(bench), bench.state(waits)) == ([], "RUNNING")


def test_a_drain_outlives_the_process() -> None:
    bench = LiveBench()
    bench.desk.drain(NODE, reason="", by=OPERATOR)
    bench.turn(1)

    again = bench.again(at_s=bench.clock.at_s + 60)
    again.turn(1)

    assert closed_by(again) == ["operator"]


def test_only_the_agency_and_the_provider_of_a_node_may_close_it() -> None:
    bench = LiveBench()

    with pytest.raises(Forbidden):
        bench.desk.drain(NODE, reason="", by=STRANGER)
    with pytest.raises(Forbidden):
        bench.desk.resume(NODE, by=STRANGER)
    assert bench.desk.drain("here-0002", reason="", by=OPERATOR) is DrainAnswer.NOT_FOUND
