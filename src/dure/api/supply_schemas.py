"""Supply over the wire. Amounts are whole won; what a proposal has not settled yet is null."""

import msgspec

from dure.api.schemas import Words


class SupplyCallOut(msgspec.Struct, frozen=True):
    """A supply call; ``then`` is what a failed one lets follow: repeat or negotiate.

    ``bidders`` is null while the call is open, but for the agency.
    """

    call: str
    name: Words
    status: str
    closes_at_s: int
    budget_krw: int
    bidders: int | None
    bidders_min: int
    failures: int
    then: str
    repeats: str
    repeated_as: str


class MeasureOut(msgspec.Struct, frozen=True):
    """A computed mark with its formula; ``percent`` is its part of the rubric."""

    criterion: str
    name: Words
    of: str
    points: int
    percent: int
    formula: str


class BidOut(msgspec.Struct, frozen=True):
    """A proposal in order of rank, as the call's rule awards."""

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
    numbers: dict[str, int]
    measures: list[MeasureOut]


class OfferOut(msgspec.Struct, frozen=True):
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


class NegotiationOut(msgspec.Struct, frozen=True):
    """A negotiation; ``direct`` where a call failed and nobody was selected."""

    negotiation: str
    call: str
    application: str
    organisation: str
    provider: str
    limit_krw: int
    direct: bool
    status: str
    offers: list[OfferOut]


class SupplyAgreementOut(msgspec.Struct, frozen=True):
    """An agreement; the agency has the right of use, ``title`` says who owns."""

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
    signed_by: list[str]
    at_s: int
    delivered_gpus: int
    accepted_gpus: int
    paid_krw: int
    credit_left_krw: int


class AgreementTextOut(msgspec.Struct, frozen=True):
    """An agreement as people sign it."""

    agreement: str
    text: Words


class LookOut(msgspec.Struct, frozen=True):
    """A protocol: an inspection (1: in order, 0: not) or the figures of tests."""

    kind: str
    at_s: int
    by: str
    nodes: int
    figures: dict[str, int]
    evidence: str
    note: str


class DeliveryOut(msgspec.Struct, frozen=True):
    """A delivery; ``lacks`` counts the nodes not accepted by what keeps them out."""

    delivery: str
    agreement: str
    transfer: str
    provider: str
    site: str
    nodes: list[str]
    gpus: int
    accepted: list[str]
    lacks: dict[str, int]
    looks: list[LookOut]
    at_s: int


class ClaimOut(msgspec.Struct, frozen=True):
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
    evidence: list[str]
    cause: str
    at_s: int


class ServiceMonthOut(msgspec.Struct, frozen=True):
    """A month of an agreement; ``availability_ppm`` is null until it is settled."""

    agreement: str
    month: str
    provider: str
    availability_ppm: int | None
    percent: int
    credit_krw: int
    differs: int
    duty: str
    due_at_s: int
    done_at_s: int | None


class TransferOut(msgspec.Struct, frozen=True):
    transfer: str
    step: str
    nodes: list[str]
    provider: str
    site: str
    grade: str
    drain_at_s: int
    move_at_s: int
    back_at_s: int
    delivery: str
    entitled_gpus: dict[str, int]
    left_gpus: dict[str, int]


class SupplyDone(msgspec.Struct, frozen=True):
    """The number of what was written; its listing shows what came of it."""

    done: str


class RepeatIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new call's number and dates; ``starts_at_s`` 0 moves the start with the closing."""

    call: str
    opens_at_s: int
    closes_at_s: int
    starts_at_s: int = 0


class NegotiationIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A proposal; or the failed call and the provider's name, to negotiate directly."""

    provider: str
    application: str = ""
    call: str = ""
    organisation: str = ""


class OfferIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accelerator: str
    gpus: int
    price_krw: int
    months: int
    public_percent: int
    title: str = "agency"
    note: str = ""


class AgreeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The digest of the offer that was read, and who signs for both sides."""

    digest: str
    names: list[str]


class CauseIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cause: str = ""


class DeliveryIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    site: str
    nodes: list[str]
    node_gpus: int = 8


class InspectionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items and whether each is in order, of ``nodes`` or of all that are not accepted yet."""

    items: dict[str, bool]
    evidence: str
    nodes: list[str] = []
    note: str = ""


class TestIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    results: dict[str, int]
    evidence: str
    nodes: list[str] = []


class AcceptanceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nodes: list[str] = []


class ClaimIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instalment: str
    amount_krw: int
    evidence: list[str]


class ClaimDecisionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is approved, 0 refuses; less than was asked needs a cause."""

    approved_krw: int
    cause: str = ""


class DutyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    month: str
    evidence: str


class TransferIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes or whole clusters; whose inspection and tests they must pass at the new site."""

    nodes: list[str]
    provider: str
    site: str
    call: str
    drain_at_s: int
    move_at_s: int
    back_at_s: int
    grade: str = "C"


class StepIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    step: str
    cause: str = ""
