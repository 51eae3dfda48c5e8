"""After the agreement: deliveries, money, monthly duties, moves; over a ledger in memory."""

import msgspec
import pytest

from dure.core.calendar import moment_s
from dure.core.events.health import NodeRepaired, TicketOpened
from dure.core.events.programme import AllocationGranted, UseDiffers
from dure.core.events.work import NodeDrained, NodeResumed
from dure.ledger.codec import decode_events
from dure.services.access import Forbidden
from dure.services.supply_screen import SupplyScreen
from dure.services.supply_tables import SupplyTables
from tests.services.programme_desk import OPERATOR, applicant
from tests.services.supply_desk import CALL, SupplyBench, numbers, provider, refusals


def written(bench: SupplyBench, kind: type) -> list[object]:
    events = [one for record in bench.ledger.read() for one in decode_events(record.payload)]
    return [one for one in events if isinstance(one, kind)]


# -- delivery


def test_only_accepted_nodes_enter_the_pool() -> None:
    bench = SupplyBench()
    agreed = bench.agree(gpus=16)
    programme, me = bench.programme, provider("a")
    bench.delivered(agreed.agreement, 1)
    more = {"site": "x", "node_gpus": 8, "pool": bench.pool}
    again = programme.announce_delivery(me, agreed.agreement, nodes=["n0"], **more)
    assert refusals(again) == ["NodeIsDelivered"]
    large = programme.announce_delivery(me, agreed.agreement, nodes=["n5", "n6"], **more)
    assert numbers(large) == {"gpus": 16, "delivered_gpus": 8, "agreed_gpus": 16}
    bench.pool["n5"] = bench.pool["n0"]
    told = programme.announce_delivery(me, agreed.agreement, nodes=["n5"], **more)
    assert not isinstance(told, tuple)
    delivery = told.delivery

    def accept() -> object:
        return programme.accept_nodes(OPERATOR, delivery, pool=bench.pool)

    assert programme.supply.awaits_acceptance("n5")
    assert refusals(accept()) == ["InspectionIsMissing"]
    looked = {"model": True, "cabling": False}
    assert refusals(programme.inspect(OPERATOR, delivery, items=looked, evidence=" ")) == [
        "EvidenceIsMissing"
    ]
    assert refusals(programme.inspect(OPERATOR, delivery, items={"x": True}, evidence="1")) == [
        "ItemIsUnknown"
    ]
    programme.inspect(OPERATOR, delivery, items=looked, evidence="doc-3")
    assert (refusals(accept()), numbers(accept())) == (
        ["ItemIsNotInOrder"],
        {"node": "n5", "item": "cabling"},
    )
    programme.inspect(OPERATOR, delivery, items={"cabling": True}, evidence="doc-4")
    assert refusals(accept()) == ["TestIsMissing"]
    programme.test_nodes(OPERATOR, delivery, results={"healthy": 7, "hot": 80}, evidence="d")
    assert numbers(accept()) == {"node": "n5", "test": "healthy", "found": 7, "least": 8,
                                 "most": "-"}  # fmt: skip
    programme.test_nodes(OPERATOR, delivery, results={"healthy": 8, "hot": 86}, evidence="d")
    assert refusals(accept()) == ["TestIsFailed"]
    programme.test_nodes(OPERATOR, delivery, results={"hot": 85}, evidence="d")
    assert refusals(accept()) == []
    assert not programme.supply.awaits_acceptance("n5")
    assert programme.supply.accepted_gpus(agreed.agreement) == 16
    closed = [one.node for one in written(bench, NodeDrained)]  # type: ignore[attr-defined]
    opened = [one.node for one in written(bench, NodeResumed)]  # type: ignore[attr-defined]
    assert closed == opened == ["n0", "n5"]


def test_a_provider_delivers_and_claims_its_own_and_decides_nothing() -> None:
    bench = SupplyBench()
    agreed = bench.agree()

    with pytest.raises(Forbidden):
        bench.programme.claim(
            provider("b"), agreed.agreement, instalment="first", amount_krw=1, evidence=["x"]
        )
    with pytest.raises(Forbidden):
        bench.programme.accept_nodes(provider("a"), "v-0001", pool={})
    with pytest.raises(Forbidden):
        bench.programme.fail_call(applicant("someone"), "s")


# -- money


def test_a_claim_is_approved_and_paid_within_its_year_and_less_its_credits() -> None:
    bench = SupplyBench()
    agreed = bench.agree(gpus=32, price_krw=800)
    programme, me, name = bench.programme, provider("a"), agreed.agreement
    bench.clock.at_s = moment_s("2026-06-01")
    nodes = bench.delivered(name, 4)
    # One of four nodes is down for nine days of June: 7.5 % of capacity, so half the month's part.
    bench.programme.book.append(
        [
            TicketOpened(
                at_s=moment_s("2026-06-05"), by="rule:health", ticket="k1", node=nodes[0],
                provider="a-cloud", cause="xid", fault_at_s=moment_s("2026-06-04"), action="reset",
            ),
            NodeRepaired(
                at_s=moment_s("2026-06-13"), by="a.person", ticket="k1", node=nodes[0],
                done="reset", until_s=moment_s("2026-06-14"),
            ),
        ]
    )  # fmt: skip
    assert refusals(programme.settle_month(OPERATOR, "2026-06")) == ["MonthIsNotOver"]
    bench.clock.at_s = moment_s("2026-07-05")
    settled = programme.settle_month(OPERATOR, "2026-06")
    (credit,) = settled
    assert (credit.availability_ppm, credit.percent, credit.credit_krw) == (925_000, 10, 6)  # type: ignore[union-attr]
    assert refusals(programme.settle_month(OPERATOR, "2026-06")) == ["MonthIsSettled"]

    def claim(amount: int, instalment: str = "first", *evidence: str) -> object:
        return programme.claim(
            me, name, instalment=instalment, amount_krw=amount, evidence=evidence or ("i-1",)
        )

    assert numbers(claim(481)) == {
        "amount_krw": 481, "left_krw": 480, "instalment": "first", "most_krw": 480
    }  # fmt: skip
    assert numbers(claim(1, "second")) == {"year": "2027", "found": "2026"}
    assert refusals(claim(1, "first", " ")) == ["EvidenceIsMissing"]
    assert refusals(claim(400)) == []
    assert numbers(claim(100))["left_krw"] == 80
    assert refusals(programme.decide_claim(OPERATOR, "c-0001", approved_krw=401)) == [
        "ApprovalIsOverClaim"
    ]
    assert refusals(programme.decide_claim(OPERATOR, "c-0001", approved_krw=300)) == [
        "RequestNeedsACause"
    ]
    assert refusals(programme.pay(OPERATOR, "c-0001")) == ["ClaimIsNotApproved"]
    programme.decide_claim(OPERATOR, "c-0001", approved_krw=300, cause="증빙 부족")
    assert refusals(claim(180)) == []
    paid = programme.pay(OPERATOR, "c-0001")
    assert (paid.paid_krw, paid.credit_krw) == (294, 6)  # type: ignore[union-attr]
    assert programme.supply.credit_left_krw(name) == 0
    # The other was approved, and not paid before the year was over: it lapses.
    programme.decide_claim(OPERATOR, "c-0002", approved_krw=180)
    bench.clock.at_s = moment_s("2027-01-02")
    assert refusals(programme.pay(OPERATOR, "c-0002")) == ["ClaimIsOutOfYear"]


def test_a_years_appropriation_is_shared_by_all_agreements_of_a_call() -> None:
    call = msgspec.structs.replace(CALL, budget_krw=2_000)
    bench = SupplyBench(call)
    agreed = bench.agree(gpus=32, price_krw=1_000)
    bench.clock.at_s = moment_s("2026-06-01")
    bench.delivered(agreed.agreement, 4)

    answer = bench.programme.claim(
        provider("a"), agreed.agreement, instalment="first", amount_krw=600, evidence=["i"]
    )

    assert (refusals(answer), numbers(answer)) == (
        ["AppropriationIsSpent"],
        {"amount_krw": 600, "year": "2026", "left_krw": 550},
    )


def test_a_report_is_owed_each_month_and_marked_when_late() -> None:
    bench = SupplyBench()
    agreed = bench.agree()
    programme, me, name = bench.programme, provider("a"), agreed.agreement
    bench.clock.at_s = moment_s("2026-06-20")
    bench.delivered(name)

    assert programme.duty_months(name) == []
    bench.clock.at_s = moment_s("2026-08-11")
    assert programme.duty_months(name) == ["2026-06", "2026-07"]
    june = programme.report_duty(me, name, "2026-06", evidence="report-6")
    july = programme.report_duty(me, name, "2026-07", evidence="report-7")
    assert june.is_late and july.is_late  # type: ignore[union-attr]
    bench.programme.book.append(
        [
            UseDiffers("2026-06", "a-cloud", who, 100, 90, 100, at_s=bench.clock.at_s, by="k")
            for who in ("p-1", "p-2", "p-1")
        ]
    )
    rows = SupplyScreen(programme, lambda: None).service(by=OPERATOR)  # type: ignore[arg-type,return-value]
    assert [(one.month, one.differs, one.duty) for one in rows] == [
        ("2026-06", 2, "late"), ("2026-07", 0, "late")
    ]  # fmt: skip
    assert refusals(programme.report_duty(me, name, "2026-06", evidence="x")) == ["DutyIsDone"]
    assert refusals(programme.report_duty(me, name, "2026-05", evidence="x")) == ["DutyIsNotOwed"]
    assert refusals(programme.report_duty(me, name, "2026-08", evidence="x")) == ["MonthIsNotOver"]
    assert refusals(programme.report_duty(me, name, "2026-0x", evidence="x")) == ["FieldIsNoDate"]
    bench.clock.at_s = moment_s("2026-09-10 23:59")
    august = programme.report_duty(me, name, "2026-08", evidence="report-8")
    assert not august.is_late  # type: ignore[union-attr]


# -- transfer


def grant(bench: SupplyBench, gpus: int, from_: str, to: str) -> None:
    bench.programme.book.append(
        [
            AllocationGranted(
                f"a-{gpus}-{from_}", "s", "", "p-1", "B200", gpus, moment_s(from_), moment_s(to),
                at_s=bench.clock.at_s, by="operator",
            )
        ]
    )  # fmt: skip


def plan(bench: SupplyBench, *nodes: str, **other: object) -> object:
    days = {"drain_at_s": "2026-07-01", "move_at_s": "2026-07-03", "back_at_s": "2026-07-10"}
    wish = {name: moment_s(day) for name, day in days.items()} | {
        "provider": "centre", "site": "haenam", "grade": "C", "call": "s", **other
    }  # fmt: skip
    return bench.programme.plan_transfer(OPERATOR, nodes=nodes, pool=bench.pool, **wish)  # type: ignore[arg-type]


def test_a_cluster_moves_when_those_entitled_can_be_served_without_it() -> None:
    bench = SupplyBench()
    agreed = bench.agree()
    bench.clock.at_s = moment_s("2026-06-01")
    bench.delivered(agreed.agreement, 4)
    grant(bench, 16, "2026-06-01", "2026-12-01")
    grant(bench, 8, "2026-07-09", "2026-12-01")
    programme = bench.programme

    refused = plan(bench, "n0", "n1")
    assert (refusals(refused), numbers(refused)) == (
        ["OwnWorkWouldWait"],
        {"accelerator": "B200", "left_gpus": 16, "entitled_gpus": 24},
    )
    # Back a day earlier, before the second allocation begins, it can be done.
    planned = plan(bench, "n0", "n1", back_at_s=moment_s("2026-07-09"))
    assert planned.left_gpus == {"B200": 16}  # type: ignore[attr-defined]
    assert refusals(plan(bench, "n1")) == ["NodeIsMoving"]
    assert refusals(plan(bench, "n2")) == ["OwnWorkWouldWait"]
    assert refusals(plan(bench, "n2", drain_at_s=moment_s("2026-08-01"))) == ["DatesAreOutOfOrder"]

    early = programme.drain_transfer(OPERATOR, "t-0001", pool=bench.pool)
    assert (refusals(early), numbers(early)) == (
        ["TransferIsNotDue"],
        {"due_at_s": moment_s("2026-07-01")},
    )
    bench.clock.at_s = moment_s("2026-07-01")
    assert refusals(programme.move_transfer(OPERATOR, "t-0001", pool=bench.pool)) == [
        "TransferIsOutOfOrder"
    ]
    assert refusals(programme.drain_transfer(OPERATOR, "t-0001", pool=bench.pool)) == []
    bench.clock.at_s = moment_s("2026-07-03")
    busy = bench.pool["n1"]
    bench.pool["n1"] = type(busy)(**{**{f: getattr(busy, f) for f in busy.__slots__},
                                     "is_busy": True})  # fmt: skip
    assert numbers(programme.move_transfer(OPERATOR, "t-0001", pool=bench.pool)) == {
        "nodes": 1, "node": "n1"
    }  # fmt: skip
    bench.pool["n1"] = busy
    assert refusals(programme.move_transfer(OPERATOR, "t-0001", pool=bench.pool)) == []
    assert programme.supply.awaits_acceptance("n0")
    cancelled = programme.cancel_transfer(OPERATOR, "t-0001", cause="", pool=bench.pool)
    assert refusals(cancelled) == ["TransferIsOutOfOrder"]

    bench.inspect_all("v-0002")
    bench.clock.at_s = moment_s("2026-07-08")
    assert refusals(programme.accept_nodes(OPERATOR, "v-0002", pool=bench.pool)) == []
    assert programme.supply.transfers["t-0001"].step == "done"
    # The old provider answers until the drain; what was accepted from it stays accepted.
    served = {node: to_s for node, _, _, to_s in programme.supply.served(agreed.agreement)}
    assert served["n0"] == moment_s("2026-07-01") and served["n3"] is None
    assert programme.supply.accepted_gpus(agreed.agreement) == 32


def test_a_transfer_cancelled_opens_its_nodes_again() -> None:
    bench = SupplyBench()
    agreed = bench.agree()
    bench.clock.at_s = moment_s("2026-06-01")
    bench.delivered(agreed.agreement, 2)
    plan(bench, "n0")
    bench.clock.at_s = moment_s("2026-07-01")
    bench.programme.drain_transfer(OPERATOR, "t-0001", pool=bench.pool)

    bench.programme.cancel_transfer(OPERATOR, "t-0001", cause="일정 변경", pool=bench.pool)

    drained = [one.node for one in written(bench, NodeDrained)]  # type: ignore[attr-defined]
    resumed = [one.node for one in written(bench, NodeResumed)]  # type: ignore[attr-defined]
    assert sorted(drained) == sorted(resumed) == ["n0", "n0", "n1"]
    assert refusals(plan(bench, "n0", drain_at_s=moment_s("2026-07-01"))) == []


def test_folding_the_ledger_again_gives_the_same_tables() -> None:
    bench = SupplyBench()
    agreed = bench.agree()
    bench.clock.at_s = moment_s("2026-06-01")
    bench.delivered(agreed.agreement, 2)
    plan(bench, "n0")

    again = SupplyTables()
    for record in bench.ledger.read():
        for event in decode_events(record.payload):
            again.fold(event)

    now = bench.programme.supply
    for name in ("agreements", "deliveries", "transfers", "negotiations", "delivery_of"):
        assert getattr(again, name) == getattr(now, name), name


# -- notices


def test_a_providers_people_are_told_what_concerns_it_and_the_office_what_comes_in() -> None:
    bench = SupplyBench()
    agreed = bench.agree(gpus=16)
    bench.delivered(agreed.agreement, 1)
    programme, me, other = bench.programme, provider("a"), provider("b")
    more = {"site": "x", "node_gpus": 8, "pool": bench.pool}
    bench.pool["n5"] = bench.pool["n0"]
    late = programme.announce_delivery(me, agreed.agreement, nodes=["n5"], **more)
    assert not isinstance(late, tuple)
    items = {"model": True, "cabling": False}
    programme.inspect(OPERATOR, late.delivery, items=items, evidence="doc-3", note="loose cables")

    mine = [(one.code, one.numbers.get("name")) for one in programme.mailbox(me)]
    office = [one.code for one in programme.mailbox(OPERATOR)]

    assert mine[0] == ("inspection_lacks", late.delivery)
    assert ("supply_agreed", agreed.agreement) in mine
    assert ("negotiation_opened", agreed.negotiation) in mine
    assert office[0] == "delivery_came" and "supply_offer_came" in office
    assert not {"supply_agreed", "inspection_lacks"} & {
        one.code for one in programme.mailbox(other)
    }
