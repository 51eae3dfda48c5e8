"""Named events between a decision and its allocation: offers, answers, and who is next."""

from typing import Literal

from dure.core.events.base import Event


class AwardOffered(Event, frozen=True):
    """An award was offered to a project, which accepts it by signing the agreement.

    Attributes:
        due_at_s: the first moment at which it is too late to accept; 0 for no deadline.
        cause: decision, or handover to one that waited; then ``HandedOver`` stands before it.
    """

    application: str
    call: str
    project: str
    accelerator: str
    gpus: int
    due_at_s: int = 0
    cause: Literal["decision", "handover"] = "decision"


class AgreementSigned(Event, frozen=True):
    """A project accepted its award and signed the agreement; or, while it waits, ahead of it.

    Attributes:
        gpus: the size agreed on.
        name: of whoever signed, as they wrote it.
        digest: SHA-256 of what was signed: both texts, a line break between.
    """

    application: str
    call: str
    project: str
    gpus: int
    name: str = ""
    digest: str = ""
    text_ko: str = ""
    text_en: str = ""


class AwardDeclined(Event, frozen=True):
    """A project gave its award up before it began, or its place in line (then ``gpus`` is 0)."""

    application: str
    call: str
    project: str
    accelerator: str
    gpus: int
    cause: str = ""


class OfferLapsed(Event, frozen=True):
    """Nobody answered an offer in time; its GPUs go to the waitlist."""

    application: str
    call: str
    project: str
    accelerator: str
    gpus: int
    due_at_s: int


class HandedOver(Event, frozen=True):
    """Freed capacity went to the next in line that it fits: at once, or as an offer.

    Attributes:
        allocation: which it is, or will be when the offer is accepted.
        from_allocations: where the GPUs came from; declined awards by their application's id; empty
            for capacity that was never awarded.
        position: the application's place in line at that moment.
        skipped: applications before it that want more than was free.
    """

    call: str
    application: str
    project: str
    accelerator: str
    gpus: int
    allocation: str
    from_allocations: tuple[str, ...]
    position: int
    skipped: tuple[str, ...] = ()


EVENTS: tuple[type[Event], ...] = (
    AwardOffered,
    AgreementSigned,
    AwardDeclined,
    OfferLapsed,
    HandedOver,
)
