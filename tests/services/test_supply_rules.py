"""Whatever is done in whatever order: no won twice, no node at work that was not accepted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.calendar import DAY_S, moment_s
from dure.core.events.supply import NegotiationOpened, OfferMade
from dure.core.events.work import NodeDrained, NodeResumed
from dure.core.supply.moving import PoolNode
from dure.ledger.codec import decode_events
from tests.services.programme_desk import OPERATOR
from tests.services.supply_desk import SupplyBench, offer, provider

BIDDERS = ("a", "b", "c")
BUDGET = 1_000
PRICES = st.sampled_from([300, 600, 900])

acts_of_negotiation = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "ask", "propose", "agree", "agree", "break", "decline"]),
        st.sampled_from(BIDDERS),
        PRICES,
    ),
    min_size=8,
    max_size=30,
)


def decided(prices: list[int]) -> tuple[SupplyBench, dict[str, str]]:
    bench = SupplyBench()
    bench.publish()
    names = {who: bench.bid(who, 32, krw) for who, krw in zip(BIDDERS, prices, strict=True)}
    bench.close({name: 90 - place for place, name in enumerate(names.values())})
    return bench, names


@settings(max_examples=150, deadline=None)
@given(prices=st.lists(PRICES, min_size=3, max_size=3), acts=acts_of_negotiation)
def test_agreements_never_cost_more_than_the_budget(
    prices: list[int], acts: list[tuple[str, str, int]]
) -> None:
    bench, names = decided(prices)
    programme, supply = bench.programme, bench.programme.supply

    def open_of(who: str) -> str:
        states = supply.negotiations.values()
        mine = [one.opened.negotiation for one in states
                if one.opened.provider == f"{who}-cloud" and not one.ended]  # fmt: skip
        return mine[0] if mine else "none"

    for act, who, krw in acts:
        negotiation = open_of(who)
        side = OPERATOR if act == "ask" else provider(who)
        if act == "open":
            programme.open_negotiation(OPERATOR, provider=f"{who}-cloud", application=names[who])
        elif act in ("ask", "propose") and negotiation != "none":
            programme.offer(side, negotiation, offer(32, krw))
        elif act == "agree" and negotiation != "none":
            offers = supply.negotiations[negotiation].offers
            last = offers[-1] if offers else None
            other = OPERATOR if last is not None and last.side == "provider" else provider(who)
            programme.agree(
                other, negotiation, digest=last.digest if last else "", names=("kim", "lee")
            )
        elif act == "break" and negotiation != "none":
            programme.break_off(OPERATOR, negotiation, cause="x")
        elif act == "decline":
            programme.decline(provider(who), names[who])
        assert sum(one.offer.price_krw for one in supply.agreements.values()) <= BUDGET

    signed = [one.application for one in supply.agreements.values()]
    assert len(set(signed)) == len(signed)
    for one in supply.agreements.values():
        assert programme.tables.applications[one.application].declined_at_s is None
        assert one.offer.price_krw <= supply.negotiations[one.negotiation].opened.limit_krw
    # Applications in = decided + waiting + withdrawn.
    counts = programme.tables.counts("s")
    assert counts["submitted"] == 3 == counts["decided"] + counts["waiting"] + counts["withdrawn"]


acts_of_delivery = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(0, 5), st.integers(1, 3)),
        st.tuples(st.just("inspect"), st.integers(0, 1), st.sampled_from([0, 0, 1, 2])),
        st.tuples(st.just("test"), st.integers(0, 1), st.sampled_from([0, 0, 1, 2])),
        st.tuples(st.just("accept"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("plan"), st.integers(0, 3), st.just(0)),
        st.tuples(st.sampled_from(["drained", "moved", "cancelled"]), st.just(0), st.just(0)),
    ),
    min_size=12,
    max_size=40,
)


def do(bench: SupplyBench, agreement: str, act: str, which: int, how: int) -> None:
    """Do one thing, allowed or not."""
    programme, pool = bench.programme, bench.pool
    delivery, transfer = f"v-{which + 1:04d}", f"t-{which + 1:04d}"
    now_s = bench.clock.at_s
    if act == "deliver":
        nodes = [f"n{place}" for place in range(which, which + how)]
        programme.announce_delivery(
            provider("a"), agreement, site="x", nodes=nodes, node_gpus=8, pool=pool
        )
    elif act == "inspect":
        items = {"model": how != 1, "cabling": how != 2}
        programme.inspect(OPERATOR, delivery, items=items, evidence="e")
    elif act == "test":
        results = {"healthy": 8 - (how == 1), "hot": 80 + 10 * (how == 2)}
        programme.test_nodes(OPERATOR, delivery, results=results, evidence="e")
    elif act == "accept":
        programme.accept_nodes(OPERATOR, delivery, pool=pool)
    elif act == "plan":
        programme.plan_transfer(
            OPERATOR, nodes=[f"n{which}"], provider="centre", site="y", grade="C", call="s",
            drain_at_s=now_s, move_at_s=now_s + 1, back_at_s=now_s + DAY_S, pool=pool,
        )  # fmt: skip
    elif act == "drained":
        programme.drain_transfer(OPERATOR, transfer, pool=pool)
    elif act == "moved":
        programme.move_transfer(OPERATOR, transfer, pool=pool)
    else:
        programme.cancel_transfer(OPERATOR, transfer, cause="x", pool=pool)


@settings(max_examples=150, deadline=None)
@given(acts_of_delivery)
def test_a_node_that_was_delivered_or_moved_works_only_once_it_is_accepted(
    acts: list[tuple[str, int, int]],
) -> None:
    bench = SupplyBench()
    agreed = bench.agree()
    bench.clock.at_s = moment_s("2026-06-01")
    names = [f"n{place}" for place in range(8)]
    bench.pool = {name: PoolNode(name, "B200", 8, "x", "C", is_public=True) for name in names}

    for act, which, how in acts:
        do(bench, agreed.agreement, act, which, how)
        bench.clock.at_s += 60

    closed: set[str] = set()
    for record in bench.ledger.read():
        for event in decode_events(record.payload):
            if isinstance(event, NodeDrained):
                closed.add(event.node)
            elif isinstance(event, NodeResumed):
                closed.discard(event.node)
    supply = bench.programme.supply
    waiting = {name for name in names if supply.awaits_acceptance(name)}
    drained = {name for one in supply.transfers.values() if one.step == "drained"
               for name in one.planned.nodes}  # fmt: skip
    assert closed == waiting | drained
    # And nobody is paid for more than was agreed.
    assert supply.accepted_gpus(agreed.agreement) <= agreed.offer.gpus


def test_the_property_of_negotiations_comes_to_agreements_at_all() -> None:
    bench, names = decided([400, 500, 600])
    opened = bench.programme.open_negotiation(OPERATOR, provider="a-cloud", application=names["a"])
    assert isinstance(opened, NegotiationOpened)
    made = bench.programme.offer(provider("a"), opened.negotiation, offer(32, 400))
    assert isinstance(made, OfferMade)
    bench.programme.agree(OPERATOR, opened.negotiation, digest=made.digest, names=("kim", "lee"))

    assert len(bench.programme.supply.agreements) == 1
