"""Answers to awards: the agreement, accepting it, giving the award up."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.problems import documented, missing, taken
from dure.api.schemas import Words, out
from dure.services.desks import Refused
from dure.services.offer_desk import OfferRow

AnyRequest = Request[Any, Any, Any]


class OfferOut(msgspec.Struct, frozen=True):
    """An award, or a place in line, with the agreement; ``digest`` is SHA-256 of both texts.

    ``due_at_s`` is the first moment at which it is too late to answer, null for no deadline.
    """

    application: str
    status: str
    accelerator: str
    gpus: int
    due_at_s: int | None
    signed_at_s: int | None
    signed_by: str
    can_sign: bool
    can_decline: bool
    agreement: Words
    digest: str


class AcceptanceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs, as they write their name, and the digest of the agreement that they read."""

    name: str
    digest: str


class DecliningIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cause: str = ""


def offer_out(answer: OfferRow | Refused | None) -> OfferOut:
    row = taken(answer)
    if row is None:
        raise missing("offer")
    return out(OfferOut, row, agreement=Words(row.text_ko, row.text_en))


@get(
    "/applications/{application:str}/agreement",
    opt={"action": "application.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def agreement(request: AnyRequest, application: FromPath[str]) -> OfferOut:
    """Show what is to be signed for an award, and until when."""
    return offer_out(services_of(request).offers.offer(application, actor_of(request)))


@post(
    "/applications/{application:str}/acceptance",
    opt={"action": "award.sign"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def accept(
    request: AnyRequest, application: FromPath[str], data: JSONBody[AcceptanceIn]
) -> OfferOut:
    """Sign the agreement: the allocation is granted; one that waits signs ahead of its turn."""
    offers, actor = services_of(request).offers, actor_of(request)
    return offer_out(offers.accept(application, name=data.name, digest=data.digest, by=actor))


@post(
    "/applications/{application:str}/declining",
    opt={"action": "award.decline"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def decline(
    request: AnyRequest, application: FromPath[str], data: JSONBody[DecliningIn]
) -> OfferOut:
    """Give an award, or one's place in line, up; the next in line gets what comes free."""
    offers, actor = services_of(request).offers, actor_of(request)
    return offer_out(offers.decline(application, cause=data.cause, by=actor))


ROUTES = (agreement, accept, decline)
