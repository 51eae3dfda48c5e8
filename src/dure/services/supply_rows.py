"""The rows of ``supply_views``, made of the folded tables."""

from collections import Counter
from collections.abc import Mapping, Sequence

from dure.core.calls.model import Call
from dure.core.review import ranks
from dure.core.supply.delivering import check_node
from dure.core.supply.measures import measured, supply_of
from dure.core.supply.negotiating import public_gpus
from dure.services.programme import Programme
from dure.services.scoring import bidders
from dure.services.supply_tables import ClaimState, DeliveryState, NegotiationState, TransferState
from dure.services.supply_views import (
    AgreementRow,
    BidRow,
    ClaimRow,
    DeliveryRow,
    LookRow,
    MeasureRow,
    NegotiationRow,
    OfferRow,
    ServiceRow,
    SupplyCallRow,
    TransferRow,
)
from dure.services.views import NEVER_S, Name

# Of a figure that is not told.
HIDDEN = -1


class SupplyRows:
    """Makes a row of each thing that supply knows."""

    def __init__(self, programme: Programme) -> None:
        self._programme = programme
        self._tables, self._supply = programme.tables, programme.supply

    def measures(self, application: str) -> Sequence[MeasureRow]:
        """Return a proposal's computed marks with their formulas; none of an application."""
        state = self._tables.applications.get(application)
        if state is None:
            return ()
        call = self._tables.calls[state.submitted.call]
        return [
            MeasureRow(
                one.criterion,
                _criterion(call, one.criterion),
                one.of,
                one.points,
                call.rubric.get(one.criterion, 0),
                one.formula,
            )
            for one in measured(call, state.answers)
        ]

    def call(self, call: Call, *, tells_bidders: bool) -> SupplyCallRow:
        states = [self._tables.applications[name] for name in self._tables.of_call[call.call]]
        failed, now_s = self._supply.failed.get(call.call), self._programme.clock.now_s()
        if failed is not None:
            status = "failed"
        elif call.call in self._tables.decided_at_s:
            status = "decided"
        elif now_s < call.opens_at_s:
            status = "upcoming"
        else:
            status = "open" if now_s < call.closes_at_s else "closed"
        again = (new for new, old in self._supply.repeats.items() if old == call.call)
        return SupplyCallRow(
            call.call,
            Name(call.name.ko, call.name.en),
            status,
            call.closes_at_s,
            call.budget_krw,
            len(bidders(states)) if tells_bidders else HIDDEN,
            supply_of(call).bidders_min,
            self._supply.failures(call.call),
            failed.then if failed else "",
            self._supply.repeats.get(call.call, ""),
            next(again, ""),
        )

    def decided_bids(self, call: Call) -> list[BidRow]:
        states = [self._tables.applications[name] for name in self._tables.of_call[call.call]]
        decided = {one.submitted.application: one.decided for one in states if one.decided}
        order = ranks({name: one.score_milli for name, one in decided.items()})
        rows = (
            self.bid(name, one.rank, one.decision, one.gpus, one.reason, one.numbers)
            for name, one in decided.items()
        )
        return sorted(rows, key=lambda row: order[row.application])

    def bid(
        self,
        application: str,
        rank: int,
        status: str,
        gpus: int,
        reason: str,
        numbers: Mapping[str, int],
    ) -> BidRow:
        state = self._tables.applications[application]
        is_selected = status == "selected"
        return BidRow(
            rank,
            application,
            state.submitted.organisation,
            state.submitted.accelerator,
            state.submitted.gpus,
            int(state.answers.get("price_krw") or 0),
            numbers.get("score_milli", 0),
            status,
            gpus if is_selected else 0,
            numbers.get("awarded_krw", 0) if is_selected else 0,
            reason,
            tuple(numbers.items()),
            tuple(self.measures(application)),
        )

    def agreement(self, name: str) -> AgreementRow:
        one, supply = self._supply.agreements[name], self._supply
        call = self._tables.calls[one.call]
        paid = [state.paid for state in supply.claims.values() if state.filed.agreement == name]
        return AgreementRow(
            name,
            one.negotiation,
            one.call,
            one.organisation,
            one.provider,
            one.offer.accelerator,
            one.offer.gpus,
            public_gpus(one.offer, call.node_gpus),
            one.offer.price_krw,
            one.offer.months,
            one.offer.title,
            one.digest,
            one.names,
            one.at_s,
            self._programme.delivered_gpus(name),
            supply.accepted_gpus(name),
            sum(event.paid_krw for event in paid if event is not None),
            supply.credit_left_krw(name),
        )

    def delivery(self, state: DeliveryState) -> DeliveryRow:
        told, terms = state.announced, supply_of(self._tables.calls[state.announced.call])
        accepted = state.accepted()
        problems = [check_node(terms, name, look) for name, look in state.looks.items()
                    if look.accepted_at_s is None]  # fmt: skip
        lacks = Counter(one.refusal.value for one in problems if one is not None)
        looks = [
            LookRow("inspection", one.at_s, one.by, len(one.nodes),
                    tuple((item, int(is_ok)) for item, is_ok in one.items.items()),
                    one.evidence, one.note)
            for one in state.inspected
        ] + [
            LookRow("test", one.at_s, one.by, len(one.nodes), tuple(one.results.items()),
                    one.evidence, "")
            for one in state.tested
        ]  # fmt: skip
        return DeliveryRow(
            told.delivery,
            told.agreement,
            told.transfer,
            told.provider,
            told.site,
            told.nodes,
            len(told.nodes) * told.node_gpus,
            tuple(accepted),
            tuple(sorted(lacks.items())),
            tuple(sorted(looks, key=lambda one: one.at_s)),
            told.at_s,
        )

    def claim(self, state: ClaimState) -> ClaimRow:
        filed, decided, paid = state.filed, state.decided, state.paid
        return ClaimRow(
            filed.claim,
            filed.agreement,
            self._supply.agreements[filed.agreement].provider,
            filed.instalment,
            filed.year,
            filed.amount_krw,
            decided.approved_krw if decided else 0,
            paid.paid_krw if paid else 0,
            paid.credit_krw if paid else 0,
            state.status,
            filed.evidence,
            decided.cause if decided else "",
            filed.at_s,
        )

    def service(self, agreement: str, month: str) -> ServiceRow:
        settled = self._supply.credits.get((agreement, month))
        done = self._supply.duties.get((agreement, month))
        due_at_s = self._programme.due_at_s(agreement, month)
        if done is not None:
            duty = "late" if done.is_late else "done"
        else:
            duty = "overdue" if self._programme.clock.now_s() >= due_at_s else "owed"
        provider = self._supply.agreements[agreement].provider
        return ServiceRow(
            agreement,
            month,
            provider,
            settled.availability_ppm if settled else -1,
            settled.percent if settled else 0,
            settled.credit_krw if settled else 0,
            len(self._supply.differs.get((provider, month), ())),
            duty,
            due_at_s,
            done.at_s if done else NEVER_S,
        )


def _criterion(call: Call, criterion: str) -> Name:
    name = call.criteria.get(criterion)
    return Name(criterion, criterion) if name is None else Name(name.ko, name.en)


def negotiation_row(state: NegotiationState) -> NegotiationRow:
    opened = state.opened
    return NegotiationRow(
        opened.negotiation,
        opened.call,
        opened.application,
        opened.organisation,
        opened.provider,
        opened.limit_krw,
        not opened.application,
        state.ended or "open",
        tuple(
            OfferRow(
                one.number,
                one.side,
                one.offer.accelerator,
                one.offer.gpus,
                one.offer.price_krw,
                one.offer.months,
                one.offer.public_percent,
                one.offer.title,
                one.digest,
                one.at_s,
                one.by,
                one.note,
            )
            for one in state.offers
        ),
    )


def transfer_row(state: TransferState) -> TransferRow:
    one = state.planned
    return TransferRow(
        one.transfer,
        state.step,
        one.nodes,
        one.provider,
        one.site,
        one.grade,
        one.drain_at_s,
        one.move_at_s,
        one.back_at_s,
        state.delivery,
        tuple(one.entitled_gpus.items()),
        tuple(one.left_gpus.items()),
    )
