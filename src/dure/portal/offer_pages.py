"""The agreement on an award: read, signed, or given up."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, in_thread
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.desks import Refused
from dure.services.offer_desk import OfferRow
from dure.services.programme_views import FieldProblem


@get(
    "/applications/{application:str}/agreement",
    opt={"action": "application.read"},
    sync_to_thread=True,
)
def agreement(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Show the agreement, and a form to sign it or to give the award up."""
    return _page(request, _offer(request, application), ())


@post("/applications/{application:str}/accept", opt={"action": "award.sign"}, status_code=200)
async def accept(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Sign the agreement that was shown."""
    sent, actor = await answers(request), visitor_of(request).actor
    offers, found = services_of(request).offers, _offer(request, application)
    name, digest = sent.get("name", ""), sent.get("digest", "")
    answer = await in_thread(lambda: offers.accept(application, name=name, digest=digest, by=actor))
    return _answered(request, found, answer)


@post("/applications/{application:str}/decline", opt={"action": "award.decline"}, status_code=200)
async def decline(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Give an award, or one's place in line, up."""
    sent, actor = await answers(request), visitor_of(request).actor
    offers, found = services_of(request).offers, _offer(request, application)
    cause = sent.get("cause", "")
    answer = await in_thread(lambda: offers.decline(application, cause=cause, by=actor))
    return _answered(request, found, answer)


def _answered(
    request: AnyRequest, found: OfferRow, answer: OfferRow | Refused | None
) -> Response[Any]:
    if isinstance(answer, Refused):
        return _page(request, found, answer.problems)
    return Redirect(f"/applications/{found.application}", status_code=303)


def _offer(request: AnyRequest, application: str) -> OfferRow:
    found = services_of(request).offers.offer(application, visitor_of(request).actor)
    if found is None or not found.text_ko:
        raise MissingPage("there is no such offer")
    return found


def _page(
    request: AnyRequest, found: OfferRow, problems: tuple[FieldProblem, ...]
) -> Response[Any]:
    return page(
        request,
        "agreement.html",
        status_code=422 if problems else 200,
        offer=found,
        problems=problems,
    )


ROUTES = (agreement, accept, decline)
