"""Supply for the office, the audit and providers: calls, proposals, deliveries, payments, moves."""

from collections.abc import Callable, Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, in_thread
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.programme_pages import call_of
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.access import Actor
from dure.services.desks import Refused
from dure.services.programme_views import FieldProblem
from dure.services.supply_screen import SupplyScreen

# The page shows the newest of what grows; the command line and the API show all.
ROWS_MAX = 50
Act = Callable[[SupplyScreen, str, Actor], str | Refused]


def _approve(desk: SupplyScreen, claim: str, by: Actor) -> str | Refused:
    """Approve all that was claimed; less, or nothing, needs its cause and the command line."""
    asked = next((one.amount_krw for one in desk.claims(by=by) if one.claim == claim), 0)
    return desk.decide_claim(claim, approved_krw=asked, cause="", by=by)


# What a button does with the thing that it stands beside.
ACTS: Mapping[str, Act] = {
    "fail": lambda desk, name, by: desk.fail(name, by=by),
    "accept": lambda desk, name, by: desk.accept(name, nodes=(), by=by),
    "approve": _approve,
    "pay": lambda desk, name, by: desk.pay(name, by=by),
}


@get("/supply", opt={"action": "supply.read"}, sync_to_thread=True)
def supply(request: AnyRequest) -> Response[Any]:
    """Show all of supply that the visitor may see."""
    return _page(request, ())


@post("/supply/act", opt={"action": "supply.office"}, status_code=200)
async def act(request: AnyRequest) -> Response[Any]:
    """Do what a button says: mark a call failed, accept nodes, approve or pay a claim."""
    sent, actor = await answers(request), visitor_of(request).actor
    what, desk = ACTS.get(sent.get("act", "")), services_of(request).supply
    if what is None:
        raise MissingPage("there is no such button")
    answer = await in_thread(lambda: what(desk, sent.get("name", ""), actor))
    if isinstance(answer, Refused):
        return _page(request, answer.problems)
    return Redirect("/supply", status_code=303)


@get("/supply/calls/{call:str}", opt={"action": "award.deliberation"}, sync_to_thread=True)
def bids(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Show a supply call's proposals in rank, with the formulas of their computed marks."""
    found = call_of(request, call)
    answer = services_of(request).supply.bids(call, by=visitor_of(request).actor)
    return page(
        request,
        "bids.html",
        call=found,
        bids=() if isinstance(answer, Refused) else answer,
        problems=answer.problems if isinstance(answer, Refused) else (),
    )


def _page(request: AnyRequest, problems: tuple[FieldProblem, ...]) -> Response[Any]:
    desk, actor = services_of(request).supply, visitor_of(request).actor
    return page(
        request,
        "supply.html",
        status_code=422 if problems else 200,
        problems=problems,
        calls=desk.calls(by=actor),
        negotiations=desk.negotiations(by=actor)[-ROWS_MAX:],
        agreements=desk.agreements(by=actor)[-ROWS_MAX:],
        deliveries=desk.deliveries(by=actor)[-ROWS_MAX:],
        claims=desk.claims(by=actor)[-ROWS_MAX:],
        months=desk.service(by=actor)[-ROWS_MAX:],
        transfers=desk.transfers(by=actor)[-ROWS_MAX:],
    )


ROUTES = (supply, act, bids)
