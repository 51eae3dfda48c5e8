"""Supply up to the agreement: failed calls, proposals in rank, negotiations."""

from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import ProblemError, documented, missing, taken
from dure.api.schemas import out, words
from dure.api.supply_schemas import (
    AgreeIn,
    AgreementTextOut,
    BidOut,
    CauseIn,
    MeasureOut,
    NegotiationIn,
    NegotiationOut,
    OfferIn,
    OfferOut,
    RepeatIn,
    SupplyAgreementOut,
    SupplyCallOut,
    SupplyDone,
)
from dure.api.work_routes import repeats_of
from dure.core.events.supply import SupplyOffer
from dure.services.desks import Refused
from dure.services.supply_screen import SupplyScreen
from dure.services.supply_views import BidRow, NegotiationRow, SupplyCallRow

AnyRequest = Request[Any, Any, Any]
READ, OFFICE, PROVIDE = ({"action": f"supply.{action}"} for action in ("read", "office", "provide"))
LISTED, WRITTEN = documented(400, 401, 403), documented(400, 401, 403, 404, 409, 422)
TITLES = ("agency", "provider")


def desk_of(request: AnyRequest) -> SupplyScreen:
    return services_of(request).supply


def done(answer: str | Refused) -> SupplyDone:
    """Answer what was written; a refusal is raised as its problem."""
    return SupplyDone(taken(answer))


def once(
    request: AnyRequest, body: msgspec.Struct, act: Callable[[], str | Refused]
) -> Response[SupplyDone]:
    """Do what makes a new thing once for each Idempotency-Key."""
    return repeats_of(request).once(
        request, msgspec.json.encode(body), lambda _: Response(done(act()), status_code=201)
    )


def one_of(field: str, found: str, known: tuple[str, ...]) -> str:
    """Return a word of a closed list; any other is answered 400."""
    if found not in known:
        title = f"{field} is {found[:20]!r}; expected one of {', '.join(known)}."
        raise ProblemError(400, "invalid", title)
    return found


def _call(row: SupplyCallRow) -> SupplyCallOut:
    return out(SupplyCallOut, row, bidders=None if row.bidders < 0 else row.bidders)


def _bid(row: BidRow) -> BidOut:
    measures = [out(MeasureOut, one) for one in row.measures]
    return out(BidOut, row, numbers=dict(row.numbers), measures=measures)


def _negotiation(row: NegotiationRow) -> NegotiationOut:
    return out(NegotiationOut, row, offers=[out(OfferOut, one) for one in row.offers])


@get("/supply/calls", opt={"action": "call.read"}, responses=documented(400), sync_to_thread=True)
def supply_calls(request: AnyRequest) -> Response[list[SupplyCallOut]]:
    """List the supply calls, with their bidders and what a failed one lets follow."""
    rows = desk_of(request).calls(by=actor_of(request))
    return listing(request, rows, lambda row: row.call, _call)


@get("/supply/calls/{call:str}/bids", opt={"action": "award.deliberation"},
     responses=documented(400, 401, 403, 422), sync_to_thread=True)  # fmt: skip
def bids(request: AnyRequest, call: FromPath[str]) -> Response[list[BidOut]]:
    """List the proposals in rank with their formulas; ``?portions=50,30`` asks what these give."""
    wish = request.query_params.get("portions", "")
    parts = [one.strip() for one in wish.split(",")] if wish else []
    if not all(one.isdecimal() and len(one) <= 3 for one in parts):
        raise ProblemError(400, "invalid", f"portions is {wish[:40]!r}; expected percents.")
    portions = [int(one) for one in parts] if wish else None
    answer = desk_of(request).bids(call, by=actor_of(request), portions=portions)
    return listing(request, taken(answer), lambda row: row.application, _bid)


@post("/supply/calls/{call:str}/failure", opt=OFFICE, status_code=200, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def fail_call(request: AnyRequest, call: FromPath[str]) -> SupplyDone:
    """Say that a call failed for want of bidders."""
    return done(desk_of(request).fail(call, by=actor_of(request)))


@post("/supply/calls/{call:str}/repeats", opt=OFFICE, responses=WRITTEN, sync_to_thread=True)
def repeat_call(
    request: AnyRequest, call: FromPath[str], data: JSONBody[RepeatIn]
) -> Response[SupplyDone]:
    """Draft a failed call again, linked to it, with other dates; needs an Idempotency-Key."""
    desk, actor = desk_of(request), actor_of(request)
    return once(
        request,
        data,
        lambda: desk.repeat(
            call,
            data.call,
            opens_at_s=data.opens_at_s,
            closes_at_s=data.closes_at_s,
            starts_at_s=data.starts_at_s,
            by=actor,
        ),
    )


@get("/supply/negotiations", opt=READ, responses=LISTED, sync_to_thread=True)
def negotiations(request: AnyRequest) -> Response[list[NegotiationOut]]:
    """List the negotiations with all offers."""
    rows = desk_of(request).negotiations(by=actor_of(request))
    return listing(request, rows, lambda row: row.negotiation, _negotiation)


@post("/supply/negotiations", opt=OFFICE, responses=WRITTEN, sync_to_thread=True)
def negotiate(request: AnyRequest, data: JSONBody[NegotiationIn]) -> Response[SupplyDone]:
    """Open a negotiation; needs an Idempotency-Key."""
    desk, actor = desk_of(request), actor_of(request)
    return once(
        request,
        data,
        lambda: desk.negotiate(
            provider=data.provider,
            application=data.application,
            call=data.call,
            organisation=data.organisation,
            by=actor,
        ),
    )


@post("/supply/negotiations/{negotiation:str}/offers", opt=PROVIDE, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def make_offer(
    request: AnyRequest, negotiation: FromPath[str], data: JSONBody[OfferIn]
) -> Response[SupplyDone]:
    """Offer terms to the other side; needs an Idempotency-Key."""
    desk, actor = desk_of(request), actor_of(request)
    title = one_of("title", data.title, TITLES)
    offer = SupplyOffer(
        data.accelerator,
        data.gpus,
        data.price_krw,
        data.months,
        data.public_percent,
        cast(Literal["agency", "provider"], title),
    )
    return once(request, data, lambda: desk.offer(negotiation, offer, note=data.note, by=actor))


@post("/supply/negotiations/{negotiation:str}/agreement", opt=PROVIDE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def agree(request: AnyRequest, negotiation: FromPath[str], data: JSONBody[AgreeIn]) -> SupplyDone:
    """Accept the other side's last offer: the agreement is signed."""
    actor = actor_of(request)
    answer = desk_of(request).agree(negotiation, digest=data.digest, names=data.names, by=actor)
    return done(answer)


@post("/supply/negotiations/{negotiation:str}/end", opt=OFFICE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def break_off(
    request: AnyRequest, negotiation: FromPath[str], data: JSONBody[CauseIn]
) -> SupplyDone:
    """End a negotiation without an agreement."""
    return done(desk_of(request).break_off(negotiation, cause=data.cause, by=actor_of(request)))


@get("/supply/agreements", opt=READ, responses=LISTED, sync_to_thread=True)
def agreements(request: AnyRequest) -> Response[list[SupplyAgreementOut]]:
    """List the agreements with what was delivered, accepted and paid."""
    rows = desk_of(request).agreements(by=actor_of(request))
    return listing(
        request,
        rows,
        lambda row: row.agreement,
        lambda row: out(SupplyAgreementOut, row, signed_by=list(row.signed_by)),
    )


@get("/supply/agreements/{agreement:str}/text", opt=READ,
     responses=documented(400, 401, 403, 404), sync_to_thread=True)  # fmt: skip
def agreement_text(request: AnyRequest, agreement: FromPath[str]) -> AgreementTextOut:
    """Show an agreement as it reads in both languages."""
    found = desk_of(request).agreement_text(agreement, by=actor_of(request))
    if found is None:
        raise missing("agreement")
    return AgreementTextOut(agreement, words(found))


ROUTES = (
    supply_calls,
    bids,
    fail_call,
    repeat_call,
    negotiations,
    negotiate,
    make_offer,
    agree,
    break_off,
    agreements,
    agreement_text,
)
