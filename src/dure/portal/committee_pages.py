"""The committee's page: a share-out before it, what moving it does, the minutes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, in_thread, part_of
from dure.portal.doors import AnyRequest
from dure.portal.programme_pages import call_of
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.committee import Move
from dure.services.desks import Refused
from dure.services.judging_views import ProposalRow

NAMES_LENGTH_MAX = 4000


@get("/committee/{call:str}", opt={"action": "award.deliberation"}, sync_to_thread=False)
def committee(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Show what is before the committee, the newest unless ``?number=`` names another."""
    return _page(request, call, ())


@post("/committee/{call:str}/propose", opt={"action": "award.propose"}, status_code=200)
async def propose(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Propose the share-out of the call's own rule."""
    desk, actor = services_of(request).judging, visitor_of(request).actor
    call_of(request, call)
    return _after(request, call, await in_thread(lambda: desk.propose(call, by=actor)))


@post("/committee/{call:str}/move", opt={"action": "award.propose"}, status_code=200)
async def move(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Propose anew with the line moved, an application pinned, released, excluded, readmitted."""
    desk, actor, sent = (
        services_of(request).judging,
        visitor_of(request).actor,
        await answers(request),
    )
    call_of(request, call)
    line = sent.get("line", "").strip()
    named = {name: _names(sent.get(name, "")) for name in ("pin", "release", "exclude", "readmit")}
    wish = Move(
        # What is no number is beyond the scale, and refused as such.
        None if not line else 1000 * int(line) if line.isdecimal() and len(line) < 4 else -1,
        named["pin"],
        named["release"],
        dict.fromkeys(named["exclude"], sent.get("reason", "")),
        named["readmit"],
    )
    answer = await in_thread(lambda: desk.move(call, wish, by=actor))
    return _after(request, call, answer, sent)


@post("/committee/{call:str}/sign", opt={"action": "award.sign_minutes"}, status_code=200)
async def sign(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Sign the minutes of the proposal that was shown."""
    desk, actor, sent = (
        services_of(request).judging,
        visitor_of(request).actor,
        await answers(request),
    )
    call_of(request, call)
    number = sent.get("number", "")
    members = [one.strip() for one in sent.get("names", "")[:NAMES_LENGTH_MAX].split("\n")]
    answer = await in_thread(
        lambda: desk.sign_minutes(
            call,
            number=int(number) if number.isdecimal() and len(number) < 7 else 0,
            digest=sent.get("digest", ""),
            names=[one for one in members if one],
            by=actor,
        )
    )
    return _after(request, call, answer, sent)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _after(
    request: AnyRequest,
    call: str,
    answer: ProposalRow | Refused,
    sent: Mapping[str, str] = MappingProxyType({}),
) -> Response[Any]:
    if isinstance(answer, Refused):
        return _page(request, call, answer.problems, sent)
    return Redirect(f"/committee/{call}", status_code=303)


def _page(
    request: AnyRequest,
    call: str,
    problems: tuple[Any, ...],
    sent: Mapping[str, str] = MappingProxyType({}),
) -> Response[Any]:
    found, desk = call_of(request, call), services_of(request).judging
    proposals = desk.proposals(call)
    wish = request.query_params.get("number", "")
    number = int(wish) if wish.isdecimal() and len(wish) < 7 else len(proposals)
    shown = next((one for one in proposals if one.number == number), None)
    moved = desk.compare(call, number - 1, number) if number > 1 and shown else None
    return page(
        request,
        "committee.html",
        status_code=422 if problems else 200,
        call=found,
        proposals=proposals,
        shown=shown,
        moved=None if isinstance(moved, Refused) else moved,
        awards=part_of(request, desk.proposed_awards(call, number) or ()),
        problems=problems,
        sent=sent,
    )


ROUTES = (committee, propose, move, sign)
