"""Supply as tables: nothing but its events, and those of nodes' health, folded in order."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dure.core.events import Event
from dure.core.events import health as hv
from dure.core.events import supply as ev
from dure.core.events.programme import UseDiffers
from dure.core.events.work import NodeDrained
from dure.core.supply.delivering import NodeLook
from dure.core.supply.paying import Claimed

HEALTH = "health"


@dataclass(slots=True)
class NegotiationState:
    """A negotiation with its offers; ``ended`` says how it ended, "" while it is open."""

    opened: ev.NegotiationOpened
    offers: list[ev.OfferMade] = field(default_factory=list)
    ended: str = ""


@dataclass(slots=True)
class DeliveryState:
    """A delivery, and what was found of each of its nodes."""

    announced: ev.DeliveryAnnounced
    looks: dict[str, NodeLook]
    inspected: list[ev.NodesInspected] = field(default_factory=list)
    tested: list[ev.NodesTested] = field(default_factory=list)

    def accepted(self) -> list[str]:
        return [name for name, one in self.looks.items() if one.accepted_at_s is not None]


@dataclass(slots=True)
class ClaimState:
    """A claim; ``decided`` and ``paid`` are None until then."""

    filed: ev.ClaimFiled
    decided: ev.ClaimDecided | None = None
    paid: ev.ClaimPaid | None = None

    @property
    def status(self) -> str:
        """Return open, approved, refused or paid."""
        if self.paid is not None:
            return "paid"
        if self.decided is None:
            return "open"
        return "approved" if self.decided.approved_krw else "refused"

    def counts(self) -> Claimed:
        """Return it as later claims must reckon with it: asked until it is decided."""
        filed, decided = self.filed, self.decided
        krw = filed.amount_krw if decided is None else decided.approved_krw
        return Claimed(filed.agreement, filed.instalment, filed.year, krw)


@dataclass(slots=True)
class TransferState:
    """A transfer. ``step``: planned, drained, moved, done or cancelled."""

    planned: ev.TransferPlanned
    step: str = "planned"
    delivery: str = ""


class SupplyTables:
    """Failures, negotiations, agreements, deliveries, claims, credits, duties and transfers."""

    def __init__(self) -> None:
        self.failed: dict[str, ev.CallFailed] = {}
        self.repeats: dict[str, str] = {}
        self.negotiations: dict[str, NegotiationState] = {}
        self.agreements: dict[str, ev.SupplyAgreed] = {}
        self.deliveries: dict[str, DeliveryState] = {}
        # Of each node: the delivery that it came with last.
        self.delivery_of: dict[str, str] = {}
        self.claims: dict[str, ClaimState] = {}
        self.credits: dict[tuple[str, str], ev.ServiceCreditGiven] = {}
        self.duties: dict[tuple[str, str], ev.DutyDone] = {}
        self.transfers: dict[str, TransferState] = {}
        # Of each provider and month: whose use its accounting counts otherwise than our ledger.
        self.differs: dict[tuple[str, str], set[str]] = defaultdict(set)
        # When a node was drained to move to another site.
        self.left_at_s: dict[str, int] = {}
        # Times during which a node was broken; the end of one that lasts is None.
        self.outages: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
        self._fold: dict[type[Event], Callable[[Any], None]] = {
            ev.CallFailed: self._call_failed,
            ev.CallRepeated: self._call_repeated,
            ev.NegotiationOpened: self._negotiation_opened,
            ev.OfferMade: self._offer_made,
            ev.NegotiationBrokenOff: self._broken_off,
            ev.SupplyAgreed: self._agreed,
            ev.DeliveryAnnounced: self._delivery_announced,
            ev.NodesInspected: self._inspected,
            ev.NodesTested: self._tested,
            ev.NodesAccepted: self._accepted,
            ev.ClaimFiled: self._claim_filed,
            ev.ClaimDecided: self._claim_decided,
            ev.ClaimPaid: self._claim_paid,
            ev.ServiceCreditGiven: self._credit_given,
            ev.DutyDone: self._duty_done,
            ev.TransferPlanned: self._transfer_planned,
            ev.TransferStepped: self._transfer_stepped,
            hv.TicketOpened: self._ticket_opened,
            hv.TicketRenewed: self._ticket_renewed,
            hv.NodeRepaired: self._healthy_again,
            hv.TicketClosed: self._healthy_again,
            NodeDrained: self._drained,
            UseDiffers: self._use_differs,
        }

    def provider_of(self, name: str) -> str:
        """Return whose a negotiation, agreement, delivery or claim is, "" where none is known."""
        if name in self.claims:
            name = self.claims[name].filed.agreement
        if name in self.negotiations:
            return self.negotiations[name].opened.provider
        if name in self.deliveries:
            return self.deliveries[name].announced.provider
        return self.agreements[name].provider if name in self.agreements else ""

    def fold(self, event: Event) -> None:
        """Take in one event; those of other rooms pass."""
        fold = self._fold.get(type(event))
        if fold is not None:
            fold(event)

    def failures(self, call: str) -> int:
        """Return how often a call has failed in a row, those that it repeats included."""
        failed = self.failed.get(call)
        return failed.failures if failed else self.failures_before(call)

    def failures_before(self, call: str) -> int:
        """Return how often those that a call repeats have failed."""
        before = self.repeats.get(call)
        return self.failures(before) if before else 0

    def accepted_gpus(self, agreement: str) -> int:
        """Return the GPUs of an agreement that were accepted; moving them takes none away."""
        return sum(
            len(one.accepted()) * one.announced.node_gpus
            for one in self.deliveries.values()
            if one.announced.agreement == agreement
        )

    def served(self, agreement: str) -> Iterator[tuple[str, int, int, int | None]]:
        """Yield (node, GPUs, from, until) that a provider answers for; None while it does.

        It answers from the acceptance until the node is drained to move to another site.
        """
        for one in self.deliveries.values():
            if one.announced.agreement == agreement:
                for name in one.accepted():
                    at_s = one.looks[name].accepted_at_s
                    assert at_s is not None
                    yield name, one.announced.node_gpus, at_s, self.left_at_s.get(name)

    def awaits_acceptance(self, node: str) -> bool:
        """Tell whether a node was delivered, here or at its new site, and not accepted there."""
        delivery = self.deliveries.get(self.delivery_of.get(node, ""))
        return delivery is not None and delivery.looks[node].accepted_at_s is None

    def down_s(self, node: str, from_s: int, to_s: int) -> int:
        """Return how long a node was broken within an interval."""
        return sum(
            max(0, min(to_s if end is None else end, to_s) - max(begin, from_s))
            for begin, end in self.outages.get(node, ())
        )

    def credit_left_krw(self, agreement: str) -> int:
        """Return what credits are open: given, not yet held against a payment."""
        given = sum(one.credit_krw for (name, _), one in self.credits.items() if name == agreement)
        return given - sum(
            one.paid.credit_krw
            for one in self.claims.values()
            if one.paid is not None and one.filed.agreement == agreement
        )

    def moving(self) -> frozenset[str]:
        """Return the nodes of transfers that are neither done nor cancelled."""
        return frozenset(
            name
            for one in self.transfers.values()
            if one.step not in ("done", "cancelled")
            for name in one.planned.nodes
        )

    def _call_failed(self, event: ev.CallFailed) -> None:
        self.failed[event.call] = event

    def _call_repeated(self, event: ev.CallRepeated) -> None:
        self.repeats[event.call] = event.repeats

    def _negotiation_opened(self, event: ev.NegotiationOpened) -> None:
        self.negotiations[event.negotiation] = NegotiationState(event)

    def _offer_made(self, event: ev.OfferMade) -> None:
        self.negotiations[event.negotiation].offers.append(event)

    def _broken_off(self, event: ev.NegotiationBrokenOff) -> None:
        self.negotiations[event.negotiation].ended = "broken_off"

    def _agreed(self, event: ev.SupplyAgreed) -> None:
        self.negotiations[event.negotiation].ended = "agreed"
        self.agreements[event.agreement] = event

    def _delivery_announced(self, event: ev.DeliveryAnnounced) -> None:
        looks = {name: NodeLook() for name in event.nodes}
        self.deliveries[event.delivery] = DeliveryState(event, looks)
        for name in event.nodes:
            self.delivery_of[name] = event.delivery
        if event.transfer:
            self.transfers[event.transfer].delivery = event.delivery

    def _inspected(self, event: ev.NodesInspected) -> None:
        state = self.deliveries[event.delivery]
        state.inspected.append(event)
        for name in event.nodes:
            state.looks[name].items.update(event.items)

    def _tested(self, event: ev.NodesTested) -> None:
        state = self.deliveries[event.delivery]
        state.tested.append(event)
        for name in event.nodes:
            state.looks[name].results.update(event.results)

    def _accepted(self, event: ev.NodesAccepted) -> None:
        state = self.deliveries[event.delivery]
        for name in event.nodes:
            state.looks[name].accepted_at_s = event.at_s
        transfer = self.transfers.get(state.announced.transfer)
        if transfer is not None and len(state.accepted()) == len(state.looks):
            transfer.step = "done"

    def _claim_filed(self, event: ev.ClaimFiled) -> None:
        self.claims[event.claim] = ClaimState(event)

    def _claim_decided(self, event: ev.ClaimDecided) -> None:
        self.claims[event.claim].decided = event

    def _claim_paid(self, event: ev.ClaimPaid) -> None:
        self.claims[event.claim].paid = event

    def _credit_given(self, event: ev.ServiceCreditGiven) -> None:
        self.credits[event.agreement, event.month] = event

    def _duty_done(self, event: ev.DutyDone) -> None:
        self.duties[event.agreement, event.month] = event

    def _transfer_planned(self, event: ev.TransferPlanned) -> None:
        self.transfers[event.transfer] = TransferState(event)

    def _transfer_stepped(self, event: ev.TransferStepped) -> None:
        state = self.transfers[event.transfer]
        state.step = event.step
        for name in state.planned.nodes:
            if event.step == "drained":
                self.left_at_s[name] = event.at_s
            elif event.step == "cancelled":
                self.left_at_s.pop(name, None)

    def _use_differs(self, event: UseDiffers) -> None:
        self.differs[event.provider, event.month].add(event.who)

    def _ticket_opened(self, event: hv.TicketOpened) -> None:
        # One that the breaker holds goes on working until a person closes it.
        if not event.held:
            self._broken(event.node, event.fault_at_s)

    def _ticket_renewed(self, event: hv.TicketRenewed) -> None:
        self._broken(event.node, event.fault_at_s)

    def _drained(self, event: NodeDrained) -> None:
        if event.who == HEALTH:
            self._broken(event.node, event.at_s)

    def _broken(self, node: str, at_s: int) -> None:
        before = self.outages[node]
        if not before or before[-1][1] is not None:
            # A fault may be told after the repair of the one before; no second counts twice.
            before.append((max(at_s, (before[-1][1] or 0) if before else at_s), None))

    def _healthy_again(self, event: hv.NodeRepaired | hv.TicketClosed) -> None:
        outages = self.outages[event.node]
        if outages and outages[-1][1] is None:
            outages[-1] = (outages[-1][0], max(event.at_s, outages[-1][0]))
