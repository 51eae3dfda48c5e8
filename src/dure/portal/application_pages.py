"""One application for its team: what was handed in, where it stands, what may still be done."""

from collections.abc import Mapping
from typing import Any, get_args

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.core.events.applying import RequestKind
from dure.portal.asking import answers, in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import SECURITY_HEADERS, page
from dure.portal.visitor import services_of, visitor_of
from dure.services.browser_words import saved_as
from dure.services.desks import Refused
from dure.services.office_views import AttachmentRow
from dure.services.programme_views import ApplicationRow, FieldProblem
from dure.services.sights import visible_application

SAID = ("sent", "asked", "withdrawn")


@get("/applications/{application:str}", opt={"action": "application.read"}, sync_to_thread=True)
def application_page(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Show where an application stands and why."""
    return _page(request, _visible(request, application))


@post(
    "/applications/{application:str}/withdraw",
    opt={"action": "application.withdraw"},
    status_code=200,
)
async def withdraw(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Take an application back; it can be handed in anew from its page."""
    row, actor = _visible(request, application), visitor_of(request).actor
    office = services_of(request).office
    answer = await in_thread(lambda: office.withdraw(application, by=actor))
    if isinstance(answer, Refused):
        return _page(request, row, problems=answer.problems)
    return Redirect(f"/applications/{application}?said=withdrawn", status_code=303)


@post("/applications/{application:str}/begin", opt={"action": "draft.write"}, status_code=200)
async def begin(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Begin a draft from an application: to change it, or for another call."""
    row, actor = _visible(request, application), visitor_of(request).actor
    papers, call = services_of(request).papers, (await answers(request)).get("call", "")
    answer = await in_thread(lambda: papers.begin(application, call=call, by=actor))
    if isinstance(answer, Refused):
        return _page(request, row, problems=answer.problems)
    return Redirect(f"/calls/{answer.call}/apply?draft={answer.draft}", status_code=303)


@post("/applications/{application:str}/requests", opt={"action": "request.file"}, status_code=200)
async def file_request(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Ask for something about an award, or against a decision; what was typed stays."""
    row, actor, sent = (
        _visible(request, application),
        visitor_of(request).actor,
        await answers(request),
    )
    kinds: tuple[RequestKind, ...] = get_args(RequestKind)
    kind = next((one for one in kinds if one == sent.get("kind")), None)
    if kind is None:
        raise MissingPage("there is no such request")
    papers = services_of(request).papers
    answer = await in_thread(
        lambda: papers.file_request(
            application,
            kind,
            gpus=_whole(sent.get("gpus", "")),
            months=_whole(sent.get("months", "")),
            to_project=sent.get("to_project", "").strip(),
            cause=sent.get("cause", ""),
            by=actor,
        )
    )
    if isinstance(answer, Refused):
        return _page(request, row, problems=answer.problems, sent=sent)
    return Redirect(f"/applications/{application}?said=asked", status_code=303)


@get(
    "/applications/{application:str}/files/{attachment:str}",
    opt={"action": "application.read"},
    sync_to_thread=True,
)
def application_file(
    request: AnyRequest, application: FromPath[str], attachment: FromPath[str]
) -> Response[bytes]:
    """Give a file of an application to its team, its reviewers and the office."""
    papers, actor = services_of(request).papers, visitor_of(request).actor
    return _file(papers.content(attachment, by=actor, application=application))


@get(
    "/drafts/{draft:str}/files/{attachment:str}",
    opt={"action": "draft.write"},
    sync_to_thread=True,
)
def draft_file(
    request: AnyRequest, draft: FromPath[str], attachment: FromPath[str]
) -> Response[bytes]:
    """Give a file of a draft of one's own."""
    papers, actor = services_of(request).papers, visitor_of(request).actor
    return _file(papers.content(attachment, by=actor, draft=draft))


@get("/requests", opt={"action": "request.read"}, sync_to_thread=True)
def requests(request: AnyRequest) -> Response[Any]:
    """List the requests of one's projects; the office decides on those that are open."""
    return _requests_page(request)


@post("/requests/{number:str}/decision", opt={"action": "request.decide"}, status_code=200)
async def decide_request(request: AnyRequest, number: FromPath[str]) -> Response[Any]:
    """Grant or refuse a request; what it changes is done at once."""
    papers, actor = services_of(request).papers, visitor_of(request).actor
    sent = await answers(request)
    if sent.get("answer") not in ("grant", "refuse"):
        raise MissingPage("there is no such answer")
    grants, cause = sent["answer"] == "grant", sent.get("cause", "")
    answer = await in_thread(
        lambda: papers.decide_request(number, grants=grants, cause=cause, by=actor)
    )
    if isinstance(answer, Refused):
        return _requests_page(request, number=number, cause=cause, problems=answer.problems)
    return Redirect("/requests", status_code=303)


def _visible(request: AnyRequest, application: str) -> ApplicationRow:
    actor, programme = visitor_of(request).actor, services_of(request).programme
    found = visible_application(actor, programme, application)
    if found is None:
        raise MissingPage("there is no such application")
    return found


def _page(
    request: AnyRequest,
    row: ApplicationRow,
    *,
    problems: tuple[FieldProblem, ...] = (),
    sent: Mapping[str, str] | None = None,
) -> Response[Any]:
    services, actor = services_of(request), visitor_of(request).actor
    programme, papers, name = services.programme, services.papers, row.application
    now_s, said = programme.now_s(), request.query_params.get("said", "")
    return page(
        request,
        "application.html",
        status_code=422 if problems else 200,
        row=row,
        call=programme.call(row.call),
        sizing=services.judging.sizing(name),
        said=said if said in SAID else "",
        way=services.office.way(name, by=actor),
        offer=services.offers.offer(name, actor),
        turn=next((one for one in programme.waitlist() if one.application == name), None),
        given=services.judging.answers(name, actor),
        files=papers.attachments(name, actor),
        possible=papers.possible(name, actor),
        requests=[one for one in papers.requests(actor) if one.application == name],
        open_calls=[
            one for one in programme.calls() if one.call != row.call and one.open_round(now_s)
        ],
        now_s=now_s,
        problems=problems,
        sent=sent or {},
    )


def _requests_page(
    request: AnyRequest,
    *,
    number: str = "",
    cause: str = "",
    problems: tuple[FieldProblem, ...] = (),
) -> Response[Any]:
    rows = services_of(request).papers.requests(visitor_of(request).actor)
    # Those that wait for an answer first, of each the newest.
    newest_first = rows[::-1]
    ordered = sorted(newest_first, key=lambda one: one.status != "open")
    return page(
        request,
        "requests.html",
        status_code=422 if problems else 200,
        part=part_of(request, ordered),
        decided=number,
        cause=cause,
        problems=problems,
    )


def _whole(text: str) -> int:
    """Read a size or a term; what is no number is none, and refused as such."""
    digits = text.strip()
    return int(digits) if digits.isdecimal() and len(digits) < 9 else 0


def _file(found: tuple[AttachmentRow, bytes] | None) -> Response[bytes]:
    if found is None:
        raise MissingPage("there is no such file")
    row, content = found
    headers = {**SECURITY_HEADERS, **saved_as(row.name)}
    return Response(content, media_type="application/octet-stream", headers=headers)


ROUTES = (
    application_page,
    withdraw,
    begin,
    file_request,
    application_file,
    draft_file,
    requests,
    decide_request,
)
