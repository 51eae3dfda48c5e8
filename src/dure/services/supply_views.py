"""What screens see of supply. Amounts are whole won; words of codes are in the catalogues."""

from dataclasses import dataclass

from dure.services.views import NEVER_S, Name


@dataclass(frozen=True, slots=True)
class SupplyCallRow:
    """A supply call. ``status``: upcoming, open, closed, failed, decided.

    Attributes:
        bidders: -1 where it is not told yet.
        failures: in a row, those that it repeats included.
        then: what a failed one lets follow: repeat, negotiate; "" if it did not fail.
        repeats, repeated_as: the calls before and after it.
    """

    call: str
    name: Name
    status: str
    closes_at_s: int
    budget_krw: int
    bidders: int
    bidders_min: int
    failures: int
    then: str
    repeats: str
    repeated_as: str


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """A computed mark; ``formula`` has the proposal's numbers in it."""

    criterion: str
    name: Name
    of: str
    points: int
    percent: int
    formula: str


@dataclass(frozen=True, slots=True)
class BidRow:
    """A proposal in order of rank; ``status``: selected, waitlisted, rejected."""

    rank: int
    application: str
    organisation: str
    accelerator: str
    gpus_asked: int
    price_krw: int
    score_milli: int
    status: str
    gpus: int
    awarded_krw: int
    reason: str
    numbers: tuple[tuple[str, int], ...]
    measures: tuple[MeasureRow, ...]


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer of a negotiation; ``side``: agency or provider."""

    number: int
    side: str
    accelerator: str
    gpus: int
    price_krw: int
    months: int
    public_percent: int
    title: str
    digest: str
    at_s: int
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class NegotiationRow:
    """A negotiation. ``status``: open, agreed, broken_off; ``direct`` without a proposal."""

    negotiation: str
    call: str
    application: str
    organisation: str
    provider: str
    limit_krw: int
    direct: bool
    status: str
    offers: tuple[OfferRow, ...]


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """An agreement with what became of it so far."""

    agreement: str
    negotiation: str
    call: str
    organisation: str
    provider: str
    accelerator: str
    gpus: int
    public_gpus: int
    price_krw: int
    months: int
    title: str
    digest: str
    signed_by: tuple[str, ...]
    at_s: int
    delivered_gpus: int
    accepted_gpus: int
    paid_krw: int
    credit_left_krw: int


@dataclass(frozen=True, slots=True)
class LookRow:
    """A protocol of a delivery. ``kind``: inspection (figures are 1 or 0) or test."""

    kind: str
    at_s: int
    by: str
    nodes: int
    figures: tuple[tuple[str, int], ...]
    evidence: str
    note: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery. ``lacks``: of nodes not accepted, the problem's code and how many have it."""

    delivery: str
    agreement: str
    transfer: str
    provider: str
    site: str
    nodes: tuple[str, ...]
    gpus: int
    accepted: tuple[str, ...]
    lacks: tuple[tuple[str, int], ...]
    looks: tuple[LookRow, ...]
    at_s: int


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim. ``status``: open, approved, refused, paid."""

    claim: str
    agreement: str
    provider: str
    instalment: str
    year: int
    amount_krw: int
    approved_krw: int
    paid_krw: int
    credit_krw: int
    status: str
    evidence: tuple[str, ...]
    cause: str
    at_s: int


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A month of an agreement: availability, credit, report, what the two accountings disagree on.

    Attributes:
        differs: projects whose use the provider counts otherwise than our ledger.
        availability_ppm: -1 until the month is settled.
        duty: ``done``, ``late`` (handed in late), ``owed`` or ``overdue``.
    """

    agreement: str
    month: str
    provider: str
    availability_ppm: int
    percent: int
    credit_krw: int
    differs: int
    duty: str
    due_at_s: int
    done_at_s: int = NEVER_S


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A planned migration. ``step``: planned, drained, moved, done, cancelled."""

    transfer: str
    step: str
    nodes: tuple[str, ...]
    provider: str
    site: str
    grade: str
    drain_at_s: int
    move_at_s: int
    back_at_s: int
    delivery: str
    entitled_gpus: tuple[tuple[str, int], ...]
    left_gpus: tuple[tuple[str, int], ...]
