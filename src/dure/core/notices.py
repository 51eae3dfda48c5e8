"""Which event tells whom, in which words: one rule for mailboxes, mail and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dure.core.events import Event
from dure.core.events import programme as ev
from dure.core.events import supply as sv
from dure.core.events.applying import RequestDecided, RequestFiled
from dure.core.events.calls import ChecklistFilled
from dure.core.events.judging import ReviewerReplaced
from dure.core.events.notices import LetterIssued
from dure.core.events.offers import AgreementSigned, AwardDeclined, OfferLapsed

# ``lead``, ``holder``, ``recalled``: the team of the application, allocation or recall that is
# named; ``supplier``: the people of the provider whose negotiation, agreement, delivery or claim is
# named; ``user``: who is named; ``office``: the agency.
Audience = Literal["lead", "holder", "recalled", "supplier", "user", "office"]
Numbers = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Told:
    """Something that somebody is told.

    Attributes:
        who: as the audience says; "" for the office.
        code: ``notice.CODE`` is its sentence.
        subject: what it is about; with code and moment it tells notices apart.
        application, letter: what it leads to; "" for none.
    """

    audience: Audience
    who: str
    code: str
    subject: str
    numbers: Numbers = field(default_factory=dict)
    application: str = ""
    letter: str = ""


def told(event: Event) -> tuple[Told, ...]:
    """Return who is told what of an event; most events tell nobody."""
    numbers: dict[str, int | str]
    match event:
        case ev.ApplicationSubmitted():
            code = "received" if event.version == 1 else "changed"
            return (_lead(event.application, code, version=event.version),)
        case ev.ApplicationWithdrawn():
            return (_lead(event.application, "withdrawn"),)
        case ChecklistFilled() if event.note:
            return (_lead(event.application, "to_mend", note=event.note),)
        case ev.ReviewerAssigned():
            return (_asked(event.application, event.reviewer, event.stage, event.due_at_s),)
        case ReviewerReplaced():
            return (
                _asked(event.application, event.successor, event.stage, event.due_at_s),
                Told("user", event.reviewer, "review_over", f"{event.application}/{event.stage}",
                     {"application": event.application}),
            )  # fmt: skip
        case LetterIssued():
            numbers = {
                "letter": event.letter,
                "application": event.application,
            }
            return (
                Told("user", event.to, f"letter_{event.kind}", event.letter, numbers,
                     event.application, event.letter),
            )  # fmt: skip
        case AgreementSigned():
            return (_lead(event.application, "signed", gpus=event.gpus, name=event.name),)
        case AwardDeclined():
            return (
                _lead(event.application, "declined"),
                _office(event.application, "award_declined", gpus=event.gpus, cause=event.cause),
            )
        case OfferLapsed():
            return (_office(event.application, "offer_lapsed", gpus=event.gpus),)
        case _:
            return _told_of_allocations(event)


def _told_of_allocations(event: Event) -> tuple[Told, ...]:
    numbers: dict[str, int | str]
    match event:
        case ev.AllocationGranted(application=application) if application:
            numbers = {"allocation": event.allocation, "gpus": event.gpus,
                       "from_s": event.from_s, "to_s": event.to_s}  # fmt: skip
            return (_lead(application, "allocated", accelerator=event.accelerator, **numbers),)
        case ev.AllocationEnded(cause="term"):
            numbers = {"allocation": event.allocation}
            return (Told("holder", event.allocation, "ended", event.allocation, numbers),)
        case ev.RecallWithdrawn():
            numbers = {"recall": event.recall}
            return (Told("recalled", event.recall, "recall_withdrawn", event.recall, numbers),)
        case ev.RecallAnswered(answer="objected"):
            numbers = {"recall": event.recall, "project": event.project}
            return (Told("office", "", "recall_objected", event.recall, numbers),)
        case RequestFiled():
            return (_office(event.application, "request_filed", kind=event.kind,
                            request=event.request),)  # fmt: skip
        case RequestDecided():
            return (_lead(event.application, f"request_{event.outcome}", kind=event.kind,
                          request=event.request, cause=event.cause),)  # fmt: skip
        case _:
            return _told_of_supply(event)


def _told_of_supply(event: Event) -> tuple[Told, ...]:
    match event:
        case sv.NegotiationOpened():
            return (_supplier(event.negotiation, "negotiation_opened", limit_krw=event.limit_krw),)
        case sv.OfferMade():
            terms = {"number": event.number, "gpus": event.offer.gpus,
                     "price_krw": event.offer.price_krw}  # fmt: skip
            if event.side == "agency":
                return (_supplier(event.negotiation, "supply_offer", **terms),)
            return (_of_supply("office", event.negotiation, "supply_offer_came", **terms),)
        case sv.NegotiationBrokenOff():
            return (_supplier(event.negotiation, "negotiation_over", cause=event.cause),)
        case sv.SupplyAgreed():
            return (_supplier(event.agreement, "supply_agreed", gpus=event.offer.gpus,
                              price_krw=event.offer.price_krw),)  # fmt: skip
        case sv.DeliveryAnnounced():
            return (_of_supply("office", event.delivery, "delivery_came", nodes=len(event.nodes)),)
        case sv.NodesInspected() if not all(event.items.values()):
            lacks = sum(not is_fine for is_fine in event.items.values())
            return (_supplier(event.delivery, "inspection_lacks", lacks=lacks,
                              nodes=len(event.nodes), note=event.note),)  # fmt: skip
        case sv.NodesAccepted():
            return (_supplier(event.delivery, "nodes_accepted", nodes=len(event.nodes)),)
        case sv.ClaimFiled():
            return (_of_supply("office", event.claim, "claim_came", amount_krw=event.amount_krw),)
        case sv.ClaimDecided():
            code = "claim_approved" if event.approved_krw else "claim_refused"
            return (_supplier(event.claim, code, approved_krw=event.approved_krw,
                              cause=event.cause),)  # fmt: skip
        case sv.ClaimPaid():
            return (_supplier(event.claim, "claim_paid", paid_krw=event.paid_krw,
                              credit_krw=event.credit_krw),)  # fmt: skip
        case sv.ServiceCreditGiven() if event.credit_krw:
            return (_supplier(event.agreement, "service_credit", month=event.month,
                              credit_krw=event.credit_krw),)  # fmt: skip
        case _:
            return ()


def _supplier(name: str, code: str, **numbers: int | str) -> Told:
    return _of_supply("supplier", name, code, **numbers)


def _of_supply(
    audience: Literal["supplier", "office"], name: str, code: str, **numbers: int | str
) -> Told:
    who = name if audience == "supplier" else ""
    return Told(audience, who, code, name, {"name": name, **numbers})


def _lead(application: str, code: str, **numbers: int | str) -> Told:
    subject = str(numbers.get("request") or numbers.get("allocation") or application)
    whole: dict[str, int | str] = {"application": application, **numbers}
    return Told("lead", application, code, subject, whole, application)


def _office(application: str, code: str, **numbers: int | str) -> Told:
    subject = str(numbers.get("request") or application)
    return Told("office", "", code, subject, {"application": application, **numbers}, application)


def _asked(application: str, reviewer: str, stage: str, due_at_s: int) -> Told:
    code = "review_asked_by" if due_at_s else "review_asked"
    numbers: dict[str, int | str] = {"application": application, "due_at_s": due_at_s}
    return Told("user", reviewer, code, f"{application}/{stage}", numbers)
