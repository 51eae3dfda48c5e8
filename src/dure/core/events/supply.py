"""Named events of supply: from the call that failed to the cluster that moved to another site."""

from typing import Literal

import msgspec

from dure.core.calls.supply import Title
from dure.core.events.base import Event

Side = Literal["agency", "provider"]


class SupplyOffer(msgspec.Struct, frozen=True):
    """What is negotiated, and in the end agreed.

    Attributes:
        price_krw: of everything, for the whole term.
        public_percent: of the GPUs, for public use; whole nodes, rounded up.
        title: who owns what is bought (소유); the agency has the right of use (이용권) either way.
    """

    accelerator: str
    gpus: int
    price_krw: int
    months: int
    public_percent: int
    title: Title = "agency"


class CallFailed(Event, frozen=True):
    """A supply call had too few bidders (유찰); those who bid stand rejected beside.

    Attributes:
        failures: of this call and those that it repeats, this one included.
        then: what the call's rule lets follow.
    """

    call: str
    bidders: int
    bidders_min: int
    failures: int
    then: Literal["repeat", "negotiate"]


class CallRepeated(Event, frozen=True):
    """A failed call is announced again; ``call`` is the new one, drafted beside with its dates."""

    call: str
    repeats: str


class NegotiationOpened(Event, frozen=True):
    """The agency negotiates with a provider.

    Attributes:
        application: the proposal selected; "" where a call failed as often as its rule asks and
            one provider is negotiated with directly (수의계약).
        provider: as the pool names it; whoever works for it acts for it.
        limit_krw: no price may be higher: what was awarded, or what is left of the budget.
    """

    negotiation: str
    call: str
    application: str
    organisation: str
    provider: str
    limit_krw: int


class OfferMade(Event, frozen=True):
    """One side offered terms; ``number`` counts the offers of both from 1.

    Attributes:
        digest: SHA-256 of the negotiation, the number and the terms; agreeing names it.
    """

    negotiation: str
    number: int
    side: Side
    offer: SupplyOffer
    digest: str
    note: str = ""


class NegotiationBrokenOff(Event, frozen=True):
    """A negotiation ended without an agreement."""

    negotiation: str
    cause: str = ""


class SupplyAgreed(Event, frozen=True):
    """The other side accepted the last offer; both signed.

    Attributes:
        number, digest: of the offer that was signed.
        names: who signed.
    """

    agreement: str
    negotiation: str
    call: str
    application: str
    organisation: str
    provider: str
    offer: SupplyOffer
    number: int
    digest: str
    names: tuple[str, ...]


class DeliveryAnnounced(Event, frozen=True):
    """Nodes came to a site; they take no work before each of them is accepted.

    Attributes:
        agreement: which they fulfil; "" where they were moved (``transfer``).
        call: whose inspection and tests they must pass.
        provider: who runs them there.
    """

    delivery: str
    agreement: str
    call: str
    provider: str
    site: str
    nodes: tuple[str, ...]
    node_gpus: int
    transfer: str = ""


class NodesInspected(Event, frozen=True):
    """Somebody looked at nodes, item by item; the last look counts.

    Attributes:
        evidence: the protocol's number, or the SHA-256 of its file.
    """

    delivery: str
    nodes: tuple[str, ...]
    items: dict[str, bool]
    evidence: str
    note: str = ""


class NodesTested(Event, frozen=True):
    """Acceptance tests of nodes; the last figure of each test counts."""

    delivery: str
    nodes: tuple[str, ...]
    results: dict[str, int]
    evidence: str


class NodesAccepted(Event, frozen=True):
    """Nodes passed everything: from now on they are in the pool."""

    delivery: str
    nodes: tuple[str, ...]


class ClaimFiled(Event, frozen=True):
    """A provider asked for reimbursement of what it paid, with the evidence.

    Attributes:
        year: the fiscal year.
        evidence: numbers of invoices, or SHA-256 of their files.
    """

    claim: str
    agreement: str
    instalment: str
    year: int
    amount_krw: int
    evidence: tuple[str, ...]


class ClaimDecided(Event, frozen=True):
    """The agency approved a claim, in whole or part, or refused it (0)."""

    claim: str
    approved_krw: int
    cause: str = ""


class ClaimPaid(Event, frozen=True):
    """An approved claim was paid, less the credits that stood open."""

    claim: str
    paid_krw: int
    credit_krw: int = 0


class ServiceCreditGiven(Event, frozen=True):
    """A month's faults of a provider's nodes were settled; ``credit_krw`` may be 0.

    Attributes:
        down_gpu_s: GPU-seconds during which accepted nodes were broken, by their tickets.
        capacity_gpu_s: accepted GPUs x time of the month.
        availability_ppm: millionths of capacity that were not down, rounded down.
        percent: of the month's part of the price.
    """

    agreement: str
    month: str
    down_gpu_s: int
    capacity_gpu_s: int
    availability_ppm: int
    percent: int
    credit_krw: int


class DutyDone(Event, frozen=True):
    """A provider handed in its report of a month; ``is_late`` after the agreed day."""

    agreement: str
    month: str
    evidence: str
    due_at_s: int
    is_late: bool


class TransferPlanned(Event, frozen=True):
    """Nodes are to move to another site; nothing has happened to them yet.

    Attributes:
        provider: who runs them there.
        call: whose inspection and tests they must pass there.
        drain_at_s, move_at_s, back_at_s: no new work from, moved on, accepted again by.
        entitled_gpus, left_gpus: by accelerator: most that projects are entitled to in that time,
            and what is left in the pool.
        from_providers: who runs them until then.
    """

    transfer: str
    nodes: tuple[str, ...]
    provider: str
    site: str
    grade: str
    call: str
    drain_at_s: int
    move_at_s: int
    back_at_s: int
    entitled_gpus: dict[str, int]
    left_gpus: dict[str, int]
    from_providers: tuple[str, ...] = ()


class TransferStepped(Event, frozen=True):
    """A transfer went a step on.

    Attributes:
        step: ``drained``: the nodes take no new work; ``moved``: they stand at the new site, a
            delivery there is announced beside; ``cancelled``: they stay and are open again.
    """

    transfer: str
    step: Literal["drained", "moved", "cancelled"]
    cause: str = ""


EVENTS: tuple[type[Event], ...] = (
    CallFailed,
    CallRepeated,
    NegotiationOpened,
    OfferMade,
    NegotiationBrokenOff,
    SupplyAgreed,
    DeliveryAnnounced,
    NodesInspected,
    NodesTested,
    NodesAccepted,
    ClaimFiled,
    ClaimDecided,
    ClaimPaid,
    ServiceCreditGiven,
    DutyDone,
    TransferPlanned,
    TransferStepped,
)
