"""Deliveries and moves beside a running pool: work waits until its node is accepted."""

import msgspec

from dure.core.calendar import DAY_S, moment_s
from dure.services.desks import DrainAnswer
from dure.services.supply_screen import SupplyScreen
from tests.services.live_bench import LiveBench
from tests.services.programme_desk import OPERATOR
from tests.services.supply_desk import CALL, SupplyBench, provider

NODE = "here-0001"
LIVE_CALL = msgspec.structs.replace(
    CALL,
    opens_at_s=moment_s("2026-10-01"),
    closes_at_s=moment_s("2026-10-20"),
    starts_at_s=moment_s("2026-11-01"),
    exchange_units={"slot": 1},
    node_gpus=4,
)


def agreed_beside(live: LiveBench) -> tuple[SupplyBench, SupplyScreen, str]:
    bench = SupplyBench(LIVE_CALL, live=live)
    agreed = bench.agree(gpus=4)
    return bench, SupplyScreen(live.programme, live.desk.view), agreed.agreement


def test_a_node_takes_no_work_from_its_delivery_to_its_acceptance() -> None:
    live = LiveBench()
    bench, screen, agreement = agreed_beside(live)

    told = screen.deliver(agreement, site="here", nodes=[NODE], node_gpus=4, by=provider("a"))
    assert told == "v-0001"
    live.turn(1)
    job = live.submit()
    live.turn(1)
    assert live.state(job) == "PENDING"
    # Nobody opens it by hand.
    assert live.desk.resume(NODE, by=OPERATOR) is DrainAnswer.STILL_CLOSED
    live.turn(1)
    assert live.state(job) == "PENDING"
    bench.inspect_all("v-0001")
    assert screen.accept("v-0001", nodes=(), by=OPERATOR) == "v-0001"
    live.turn(1)
    assert live.state(job) == "RUNNING"


def test_a_node_moves_when_its_work_is_over_and_works_again_when_accepted_there() -> None:
    live = LiveBench()
    bench, screen, _ = agreed_beside(live)
    runs = live.submit()
    live.turn(1)
    now_s = live.clock.at_s
    days = {"drain_at_s": now_s + 1, "move_at_s": now_s + 2, "back_at_s": now_s + 9 * DAY_S}

    def plan() -> object:
        return screen.plan_transfer(
            nodes=["here"], provider="centre", site="haenam", grade="C", call="s", by=OPERATOR,
            **days,
        )  # fmt: skip

    live.allocate("p-1", 1, to_s=now_s + DAY_S)
    refused = plan()
    # One GPU is entitled, and none would be left.
    assert [one.code for one in refused.problems] == ["OwnWorkWouldWait"]  # type: ignore[attr-defined]
    days = {name: at_s + DAY_S for name, at_s in days.items()}
    assert plan() == "t-0001"
    live.clock.at_s = days["move_at_s"]
    live.turn(1)

    assert screen.step_transfer("t-0001", "drained", cause="", by=OPERATOR) == "t-0001"
    waits = live.submit()
    live.turn(1)
    assert (live.state(runs), live.state(waits)) == ("RUNNING", "PENDING")
    busy = screen.step_transfer("t-0001", "moved", cause="", by=OPERATOR)
    assert [one.code for one in busy.problems] == ["NodesAreBusy"]  # type: ignore[union-attr]
    live.end(runs)
    live.turn(3)
    assert screen.step_transfer("t-0001", "moved", cause="", by=OPERATOR) == "t-0001"
    assert live.desk.resume(NODE, by=OPERATOR) is DrainAnswer.STILL_CLOSED
    (delivery,) = screen.deliveries(by=OPERATOR)
    bench.inspect_all(delivery.delivery)
    screen.accept(delivery.delivery, nodes=(), by=OPERATOR)
    live.turn(1)

    assert live.state(waits) == "RUNNING"
    assert [one.step for one in screen.transfers(by=OPERATOR)] == ["done"]
