"""Supply as screens use it: rows of ``supply_views``, and the use cases with the pool's nodes."""

from collections.abc import Callable, Mapping, Sequence

from dure.core.events import Event
from dure.core.events.supply import SupplyOffer
from dure.core.programme import Problem
from dure.core.supply.moving import PoolNode
from dure.reports.supply_agreement import supply_agreement
from dure.services.access import Actor, may, may_any, require
from dure.services.programme import Programme
from dure.services.refusing import Refused, refused
from dure.services.supply_rows import SupplyRows, negotiation_row, transfer_row
from dure.services.supply_views import (
    AgreementRow,
    BidRow,
    ClaimRow,
    DeliveryRow,
    MeasureRow,
    NegotiationRow,
    ServiceRow,
    SupplyCallRow,
    TransferRow,
)
from dure.services.views import NO_JOB, Name, PoolView


class SupplyScreen:
    """Answers for one programme and the pool that its nodes enter.

    What is written returns the number of its thing, or why it was refused; the listings show what
    came of it. Of what belongs to a provider, a reader sees what is their own.

    Args:
        view: the newest view of the pool.
    """

    def __init__(self, programme: Programme, view: Callable[[], PoolView]) -> None:
        self._programme, self._view = programme, view
        self._tables, self._supply = programme.tables, programme.supply
        self._rows = SupplyRows(programme)

    def nodes(self) -> Mapping[str, PoolNode]:
        """Return the pool's nodes as deliveries and transfers ask for them."""
        view = self._view()
        nodes, first = view.nodes, view.nodes.first_device()
        found = {}
        for place, name in enumerate(nodes.ids):
            begin, gpus = int(first[place]), int(nodes.gpus[place])
            busy = (view.device_job[begin : begin + gpus] != NO_JOB).any()
            found[name] = PoolNode(
                name,
                nodes.accelerators[nodes.accelerator[place]],
                gpus,
                nodes.sites[place] if nodes.sites else "",
                nodes.grades[place] if nodes.grades else "C",
                bool(nodes.is_public[place]),
                not view.closed_by[place],
                bool(busy),
                nodes.providers[nodes.provider[place]],
            )
        return found

    # -- calls and proposals

    def calls(self, *, by: Actor) -> Sequence[SupplyCallRow]:
        """Return the supply calls; how many bid is the office's alone until a call closes."""
        now_s, is_office = self._programme.clock.now_s(), may(by, "supply.office")
        return [
            self._rows.call(one, tells_bidders=is_office or now_s >= one.closes_at_s)
            for one in list(self._tables.calls.values())
            if one.kind == "supply"
        ]

    def bids(
        self, call: str, *, by: Actor, portions: Sequence[int] | None = None
    ) -> Sequence[BidRow] | Refused:
        """Return the proposals in rank, as the call's rule, or other portions, would award now.

        After the decision: as decided, unless ``portions`` asks what else could have been.
        """
        require(by, "award.deliberation")
        if call in self._tables.decided_at_s and portions is None:
            return self._rows.decided_bids(self._tables.calls[call])
        awards = self._programme.share_of_supply(call, portions=portions)
        if awards and isinstance(awards[0], Problem):
            return refused(awards)
        return [
            self._rows.bid(
                one.application, one.rank, one.decision, one.gpus, one.reason.value, one.numbers
            )
            for one in awards
            if not isinstance(one, Problem)
        ]

    def measures(self, application: str) -> Sequence[MeasureRow]:
        """Return a proposal's computed marks with their formulas; none of an application."""
        return self._rows.measures(application)

    def fail(self, call: str, *, by: Actor) -> str | Refused:
        return _done(self._programme.fail_call(by, call))

    def repeat(
        self,
        call: str,
        name: str,
        *,
        opens_at_s: int,
        closes_at_s: int,
        starts_at_s: int,
        by: Actor,
    ) -> str | Refused:
        return _done(
            self._programme.repeat_call(
                by,
                call,
                name,
                opens_at_s=opens_at_s,
                closes_at_s=closes_at_s,
                starts_at_s=starts_at_s,
            )
        )

    # -- negotiations and agreements

    def negotiations(self, *, by: Actor) -> Sequence[NegotiationRow]:
        states = list(self._supply.negotiations.values())
        return [negotiation_row(one) for one in states if _sees(by, one.opened.provider)]

    def negotiate(
        self, *, provider: str, application: str, call: str, organisation: str, by: Actor
    ) -> str | Refused:
        return _done(
            self._programme.open_negotiation(
                by,
                provider=provider,
                application=application,
                call=call,
                organisation=organisation,
            )
        )

    def offer(self, negotiation: str, offer: SupplyOffer, *, note: str, by: Actor) -> str | Refused:
        return _done(self._programme.offer(by, negotiation, offer, note=note))

    def break_off(self, negotiation: str, *, cause: str, by: Actor) -> str | Refused:
        return _done(self._programme.break_off(by, negotiation, cause=cause))

    def agree(
        self, negotiation: str, *, digest: str, names: Sequence[str], by: Actor
    ) -> str | Refused:
        return _done(self._programme.agree(by, negotiation, digest=digest, names=names))

    def agreements(self, *, by: Actor) -> Sequence[AgreementRow]:
        names = list(self._supply.agreements)
        rows = [self._rows.agreement(one) for one in names]
        return [one for one in rows if _sees(by, one.provider)]

    def agreement_text(self, agreement: str, *, by: Actor) -> Name | None:
        """Return an agreement as it reads in both languages; None if it is not theirs to see."""
        found = self._supply.agreements.get(agreement)
        if found is None or not _sees(by, found.provider):
            return None
        call = self._tables.calls[found.call]
        return Name(supply_agreement("ko", call, found), supply_agreement("en", call, found))

    # -- delivery

    def deliveries(self, *, by: Actor) -> Sequence[DeliveryRow]:
        states = list(self._supply.deliveries.values())
        return [self._rows.delivery(one) for one in states if _sees(by, one.announced.provider)]

    def deliver(
        self, agreement: str, *, site: str, nodes: Sequence[str], node_gpus: int, by: Actor
    ) -> str | Refused:
        return _done(
            self._programme.announce_delivery(
                by, agreement, site=site, nodes=nodes, node_gpus=node_gpus, pool=self.nodes()
            )
        )

    def inspect(
        self,
        delivery: str,
        *,
        items: Mapping[str, bool],
        nodes: Sequence[str],
        evidence: str,
        note: str,
        by: Actor,
    ) -> str | Refused:
        return _done(
            self._programme.inspect(
                by, delivery, items=items, evidence=evidence, nodes=nodes, note=note
            )
        )

    def test(
        self,
        delivery: str,
        *,
        results: Mapping[str, int],
        nodes: Sequence[str],
        evidence: str,
        by: Actor,
    ) -> str | Refused:
        return _done(
            self._programme.test_nodes(
                by, delivery, results=results, evidence=evidence, nodes=nodes
            )
        )

    def accept(self, delivery: str, *, nodes: Sequence[str], by: Actor) -> str | Refused:
        return _done(self._programme.accept_nodes(by, delivery, nodes=nodes, pool=self.nodes()))

    # -- money and duties

    def claims(self, *, by: Actor) -> Sequence[ClaimRow]:
        rows = [self._rows.claim(one) for one in list(self._supply.claims.values())]
        return [one for one in rows if _sees(by, one.provider)]

    def claim(
        self,
        agreement: str,
        *,
        instalment: str,
        amount_krw: int,
        evidence: Sequence[str],
        by: Actor,
    ) -> str | Refused:
        return _done(
            self._programme.claim(
                by, agreement, instalment=instalment, amount_krw=amount_krw, evidence=evidence
            )
        )

    def decide_claim(
        self, claim: str, *, approved_krw: int, cause: str, by: Actor
    ) -> str | Refused:
        return _done(
            self._programme.decide_claim(by, claim, approved_krw=approved_krw, cause=cause)
        )

    def pay(self, claim: str, *, by: Actor) -> str | Refused:
        return _done(self._programme.pay(by, claim))

    def settle(self, month: str, *, by: Actor) -> str | Refused:
        return _done(self._programme.settle_month(by, month))

    def report(self, agreement: str, month: str, *, evidence: str, by: Actor) -> str | Refused:
        return _done(self._programme.report_duty(by, agreement, month, evidence=evidence))

    def service(self, *, by: Actor) -> Sequence[ServiceRow]:
        """Return every month of every agreement that is over: availability, credit, report."""
        return [
            self._rows.service(name, month)
            for name, one in list(self._supply.agreements.items())
            if _sees(by, one.provider)
            for month in self._programme.duty_months(name)
        ]

    # -- transfers

    def transfers(self, *, by: Actor) -> Sequence[TransferRow]:
        states = list(self._supply.transfers.values())
        return [
            transfer_row(one)
            for one in states
            if may_any(by, "supply.read", (one.planned.provider, *one.planned.from_providers))
        ]

    def plan_transfer(
        self,
        *,
        nodes: Sequence[str],
        provider: str,
        site: str,
        grade: str,
        call: str,
        drain_at_s: int,
        move_at_s: int,
        back_at_s: int,
        by: Actor,
    ) -> str | Refused:
        """Plan a move of nodes, or of whole clusters where these are named."""
        return _done(
            self._programme.plan_transfer(
                by,
                nodes=self._nodes_of(nodes),
                provider=provider,
                site=site,
                grade=grade,
                call=call,
                drain_at_s=drain_at_s,
                move_at_s=move_at_s,
                back_at_s=back_at_s,
                pool=self.nodes(),
            )
        )

    def step_transfer(self, transfer: str, step: str, *, cause: str, by: Actor) -> str | Refused:
        """Go a step on. ``step``: drained, moved or cancelled."""
        programme, pool = self._programme, self.nodes()
        if step == "cancelled":
            return _done(programme.cancel_transfer(by, transfer, cause=cause, pool=pool))
        go = programme.drain_transfer if step == "drained" else programme.move_transfer
        return _done(go(by, transfer, pool=pool))

    def _nodes_of(self, names: Sequence[str]) -> list[str]:
        """Put a cluster's nodes in its name's place."""
        nodes, found = self._view().nodes, []
        for name in names:
            if name in nodes.ids or name not in nodes.clusters:
                found.append(name)
                continue
            cluster = nodes.clusters.index(name)
            found += [one for place, one in enumerate(nodes.ids) if nodes.cluster[place] == cluster]
        return found


def _sees(actor: Actor, provider: str) -> bool:
    return may(actor, "supply.read", owner=provider)


def _done(answer: Event | tuple[Event, ...] | tuple[Problem, ...]) -> str | Refused:
    """Return the number of what an event is about, its first field; or why nothing was done."""
    if not isinstance(answer, tuple):
        return str(getattr(answer, answer.__struct_fields__[0]))
    problems = [one for one in answer if isinstance(one, Problem)]
    return refused(problems) if problems else ""
