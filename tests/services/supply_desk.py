"""A small supply programme on a ledger in memory: a call, bidders, a pool of nodes."""

from collections.abc import Mapping

from dure.core.calendar import moment_s
from dure.core.calls.model import Call, Field, Option, Stage, Words
from dure.core.calls.supply import (
    AcceptanceTest,
    Computed,
    Instalment,
    ServiceCredit,
    SupplyTerms,
)
from dure.core.conflicts import Reviewer
from dure.core.events import Event
from dure.core.events.programme import ApplicationSubmitted
from dure.core.events.supply import OfferMade, SupplyAgreed, SupplyOffer
from dure.core.programme import Problem
from dure.core.supply.moving import PoolNode
from dure.services.access import Actor, Role
from tests.services.live_bench import LiveBench
from tests.services.programme_desk import OPERATOR, Desk, SetClock, reviewer_actor

__all__ = ["OPERATOR", "SetClock", "SupplyBench"]

NAME = Words("이름", "name")
TERMS = SupplyTerms(
    bidders_min=2,
    repeats=1,
    computed=(
        Computed("figures", "public_percent", zero=0, full=100),
        Computed("cooling", "cooling", points={"liquid": 100, "air": 50}),
    ),
    public_percent_min=70,
    inspection={"model": NAME, "cabling": NAME},
    tests=(AcceptanceTest("healthy", NAME, least=8), AcceptanceTest("hot", NAME, most=85)),
    instalments=(Instalment("first", 60, 2026), Instalment("second", 40, 2027)),
    appropriations_krw={"2026": 550, "2027": 500},
    credits=(ServiceCredit(990_000, 10), ServiceCredit(900_000, 50)),
)
CALL = Call(
    call="s",
    name=Words("공급", "supply"),
    kind="supply",
    opens_at_s=moment_s("2026-01-05"),
    closes_at_s=moment_s("2026-01-31"),
    starts_at_s=moment_s("2026-03-01"),
    budget_krw=1_000,
    exchange_units={"H200": 4, "B200": 8},
    months_max=60,
    rubric={"figures": 30, "cooling": 10, "plan": 60},
    score_min_milli=50_000,
    form=(
        Field("public_percent", "number", required=True, most=100),
        Field("cooling", "choice", options=(Option("air", NAME), Option("liquid", NAME))),
    ),
    stages=(Stage("written", "written", "reviewer", "complete", reviewers=2, weight=1),),
    supply=TERMS,
)


class SupplyBench(Desk):
    """The usual way of a supply call, with what a pool knows of its nodes."""

    def __init__(
        self, call: Call = CALL, *, first: str = "a", live: LiveBench | None = None
    ) -> None:
        super().__init__(call)
        self.first = first
        if live is not None:
            self.programme, self.clock = live.programme, live.clock  # type: ignore[assignment]
        self.clock.at_s = call.opens_at_s
        self.pool: dict[str, PoolNode] = {}

    def bid(self, who: str, gpus: int, price_krw: int, **answers: object) -> str:
        """Hand a proposal in; return its number."""
        fields = {
            "title_ko": f"{who} 제안",
            "organisation": f"org-{who}",
            "accelerator": self.call.accelerators[0],
            "gpus": gpus,
            "months": 12,
            "price_krw": price_krw,
            "in_service_on": "2026-06-01",
            "public_percent": 80,
            "cooling": "liquid",
            **answers,
        }
        answer = self.programme.apply(provider(who), self.call.call, fields)
        assert isinstance(answer, ApplicationSubmitted), answer
        return answer.application

    def close(self, points: Mapping[str, int]) -> None:
        """Close the call, have every proposal marked, and decide."""
        self.clock.at_s = self.call.closes_at_s
        people = [Reviewer(f"r{place}", f"review-org-{place}") for place in range(3)]
        self.programme.assign_reviewers(OPERATOR, self.call.call, people)
        for name, mark in points.items():
            for _, who in self.programme.tables.applications[name].asked:
                self.programme.review(reviewer_actor(who), name, {"plan": mark})
        decided = self.programme.decide(OPERATOR, self.call.call)
        assert isinstance(decided, tuple), decided

    def agree(self, gpus: int = 32, price_krw: int = 800) -> SupplyAgreed:
        """Bring one of two bidders to the agreement."""
        self.publish()
        first = self.bid(self.first, gpus, price_krw)
        second = self.bid("b", gpus, price_krw, public_percent=70)
        self.close({first: 90, second: 60})
        opened = self.programme.open_negotiation(
            OPERATOR, provider=f"{self.first}-cloud", application=first
        )
        assert not isinstance(opened, tuple), opened
        terms = offer(gpus, price_krw, accelerator=self.call.accelerators[0])
        made = self.programme.offer(provider(self.first), opened.negotiation, terms)
        assert isinstance(made, OfferMade), made
        agreed = self.programme.agree(
            OPERATOR, opened.negotiation, digest=made.digest, names=("kim", "lee")
        )
        assert isinstance(agreed, SupplyAgreed), agreed
        return agreed

    def delivered(self, agreement: str, nodes: int = 4) -> list[str]:
        """Deliver nodes of 8 that the pool knows, and have all accepted; return their names."""
        names = [f"n{place}" for place in range(nodes)]
        self.pool |= {name: PoolNode(name, "B200", 8, "here", "C", True) for name in names}
        told = self.programme.announce_delivery(
            provider(self.first),
            agreement,
            site="chuncheon",
            nodes=names,
            node_gpus=8,
            pool=self.pool,
        )
        assert not isinstance(told, tuple), told
        self.inspect_all(told.delivery)
        accepted = self.programme.accept_nodes(OPERATOR, told.delivery, pool=self.pool)
        assert not isinstance(accepted, tuple), accepted
        return names

    def inspect_all(self, delivery: str) -> None:
        programme = self.programme
        items = {"model": True, "cabling": True}
        assert not isinstance(
            programme.inspect(OPERATOR, delivery, items=items, evidence="doc-1"), tuple
        )
        results = {"healthy": 8, "hot": 80}
        assert not isinstance(
            programme.test_nodes(OPERATOR, delivery, results=results, evidence="doc-2"), tuple
        )


def provider(who: str) -> Actor:
    return Actor(f"{who}.person", frozenset({Role.PROVIDER}), provider=f"{who}-cloud")


def offer(gpus: int = 32, price_krw: int = 800, **other: object) -> SupplyOffer:
    terms = {"accelerator": "B200", "months": 12, "public_percent": 80, "title": "agency", **other}
    return SupplyOffer(gpus=gpus, price_krw=price_krw, **terms)  # type: ignore[arg-type]


def refusals(answer: Event | tuple[object, ...] | object) -> list[str]:
    """Return the refusals' values of an answer; an event has none."""
    if not isinstance(answer, tuple):
        return []
    return [one.refusal.value for one in answer if isinstance(one, Problem)]


def numbers(answer: object) -> dict[str, int | str]:
    """Return the numbers of the first refusal."""
    assert isinstance(answer, tuple) and isinstance(answer[0], Problem), answer
    return dict(answer[0].numbers)
