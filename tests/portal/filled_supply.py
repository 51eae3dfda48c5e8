"""Supply with something in every list, for tests of screens; all of it is invented."""

from dure.core.calendar import moment_s
from dure.core.supply.moving import PoolNode
from dure.services.supply_screen import SupplyScreen
from tests.portal.filled import founding_view
from tests.services.supply_desk import OPERATOR, SupplyBench, provider


def filled_bench(who: str = "naver") -> SupplyBench:
    """Return a supply call decided, agreed and delivered, with claims, a month and a move."""
    bench, me = SupplyBench(first=who), provider(who)
    agreed = bench.agree()
    bench.clock.at_s = moment_s("2026-04-01")
    bench.delivered(agreed.agreement, 2)
    programme = bench.programme
    more = programme.announce_delivery(
        me, agreed.agreement, site="sejong", nodes=["m0", "m1"], node_gpus=8, pool={}
    )
    assert not isinstance(more, tuple), more
    for amount in (100, 40):
        programme.claim(
            me, agreed.agreement, instalment="first", amount_krw=amount, evidence=["i-1"]
        )
    programme.decide_claim(OPERATOR, "c-0001", approved_krw=100)
    bench.clock.at_s = moment_s("2026-06-15")
    programme.settle_month(OPERATOR, "2026-04")
    programme.report_duty(me, agreed.agreement, "2026-04", evidence="report-4")
    planned = programme.plan_transfer(
        OPERATOR,
        nodes=["n0"],
        provider="centre",
        site="haenam",
        grade="C",
        call="s",
        drain_at_s=moment_s("2026-07-01"),
        move_at_s=moment_s("2026-07-03"),
        back_at_s=moment_s("2026-07-10"),
        pool={"n0": PoolNode("n0", "B200", 8, "chuncheon", "C", is_public=True)},
    )
    assert not isinstance(planned, tuple), planned
    return bench


def filled_supply() -> SupplyScreen:
    view = founding_view()
    return SupplyScreen(filled_bench().programme, lambda: view)
