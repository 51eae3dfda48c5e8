"""The stages of a call: its board, what waits for whom, checklists, votes and conclusions."""

from collections.abc import Mapping
from typing import Any, get_args

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.core.calendar import DAY_S, moment_s
from dure.core.calls.stages import Outcome
from dure.core.errors import InputError
from dure.portal.asking import answers, in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.programme_pages import call_of
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.access import Actor, is_open_to
from dure.services.desks import Refused
from dure.services.office_desks import OfficeDesk
from dure.services.office_views import BoardRow, StageRow
from dure.services.programme_views import FieldProblem

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
STATES = ("open", "ahead", "passed", "failed")
Problems = tuple[FieldProblem, ...]


@get("/stages", opt={"action": "stage.act"}, sync_to_thread=True)
def awaited(request: AnyRequest) -> Response[Any]:
    """List what waits for the visitor in the stages of all calls."""
    rows = services_of(request).office.awaited(visitor_of(request).actor)
    return page(request, "stages.html", part=part_of(request, rows))


@get("/calls/{call:str}/board", opt={"action": "stage.read"}, sync_to_thread=True)
def board(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Show where every application of a call is, and what its stages lack."""
    return _board(request, call)


@post(
    "/calls/{call:str}/stages/{stage:str}/assign", opt={"action": "review.assign"}, status_code=200
)
async def assign(request: AnyRequest, call: FromPath[str], stage: FromPath[str]) -> Response[Any]:
    """Ask reviewers of the pool for every application in a stage, until the end of a day."""
    desk, actor, sent = (
        services_of(request).judging,
        visitor_of(request).actor,
        await answers(request),
    )
    day = sent.get("due", "").strip()
    try:
        due_at_s = moment_s(day) + DAY_S if day else 0
    except InputError:
        return _board(request, call, (FieldProblem("due", "FieldIsNoDate", {}),), sent)
    answer = await in_thread(
        lambda: desk.assign_reviewers(call, stage=stage, due_at_s=due_at_s, reviewers={}, by=actor)
    )
    return _done(request, call, answer, sent, said="assigned")


@post("/calls/{call:str}/replace", opt={"action": "review.assign"}, status_code=200)
async def replace_late(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Ask others in place of reviewers whose deadline is past."""
    desk, actor = services_of(request).judging, visitor_of(request).actor
    answer = await in_thread(lambda: desk.replace_late(call, due_at_s=0, by=actor))
    return _done(request, call, answer, {}, said="replaced")


@post("/calls/{call:str}/stages/{stage:str}/close", opt={"action": "stage.office"}, status_code=200)
async def close(request: AnyRequest, call: FromPath[str], stage: FromPath[str]) -> Response[Any]:
    """Compare the applications in a stage, and let on whom its rule passes."""
    office, actor = services_of(request).office, visitor_of(request).actor
    answer = await in_thread(lambda: office.close_stage(call, stage, by=actor))
    return _done(request, call, answer, {}, said="passed")


@post("/calls/{call:str}/decide", opt={"action": "award.decide"}, status_code=200)
async def decide(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Decide on a call by its rules, without a committee."""
    office, actor = services_of(request).office, visitor_of(request).actor
    answer = await in_thread(lambda: office.decide(call, by=actor))
    return _done(request, call, answer, {}, said="decided")


@get(
    "/applications/{application:str}/stages/{stage:str}",
    opt={"action": "stage.act"},
    sync_to_thread=True,
)
def stage_page(
    request: AnyRequest, application: FromPath[str], stage: FromPath[str]
) -> Response[Any]:
    """Show an application to whoever says what becomes of it in a stage."""
    return _stage(request, application, stage)


@post(
    "/applications/{application:str}/stages/{stage:str}/checklist",
    opt={"action": "stage.act"},
    status_code=200,
)
async def tick(
    request: AnyRequest, application: FromPath[str], stage: FromPath[str]
) -> Response[Any]:
    """Go through a stage's checklist: what is ticked is in order, the rest is not."""
    sent, actor, office = await _asked(request)
    _, here = _mine(request, application, stage)
    ticked = sent.get("items", "").split(", ")
    items = {name: name in ticked for name, _ in here.items}
    note = sent.get("note", "")
    answer = await in_thread(lambda: office.tick(application, stage, items, note=note, by=actor))
    return _acted(request, application, stage, answer, sent)


@post(
    "/applications/{application:str}/stages/{stage:str}/vote",
    opt={"action": "stage.act"},
    status_code=200,
)
async def vote(
    request: AnyRequest, application: FromPath[str], stage: FromPath[str]
) -> Response[Any]:
    """Recognise an application, or not; a vote is cast once."""
    sent, actor, office = await _asked(request)
    _mine(request, application, stage)
    wish, cause = sent.get("recognises", ""), sent.get("cause", "")
    if wish not in ("yes", "no"):
        problems = (FieldProblem("recognises", "FieldIsMissing", {}),)
        return _stage(request, application, stage, problems, sent)
    answer = await in_thread(
        lambda: office.vote(application, stage, recognises=wish == "yes", cause=cause, by=actor)
    )
    return _acted(request, application, stage, answer, sent)


@post(
    "/applications/{application:str}/stages/{stage:str}/conclusion",
    opt={"action": "stage.act"},
    status_code=200,
)
async def conclude(
    request: AnyRequest, application: FromPath[str], stage: FromPath[str]
) -> Response[Any]:
    """Say that an application passed or failed a stage, and why."""
    sent, actor, office = await _asked(request)
    _mine(request, application, stage)
    cause = sent.get("cause", "")
    wish = next((one for one in OUTCOMES if one == sent.get("outcome")), None)
    if wish is None:
        problems = (FieldProblem("outcome", "FieldIsMissing", {}),)
        return _stage(request, application, stage, problems, sent)
    answer = await in_thread(
        lambda: office.conclude(application, stage, outcome=wish, cause=cause, by=actor)
    )
    return _acted(request, application, stage, answer, sent)


async def _asked(request: AnyRequest) -> tuple[Mapping[str, str], Actor, OfficeDesk]:
    """Return what was sent, by whom, and the desk that does it."""
    return await answers(request), visitor_of(request).actor, services_of(request).office


def _mine(request: AnyRequest, application: str, stage: str) -> tuple[BoardRow, StageRow]:
    """Return an application in a stage that the visitor has to do with."""
    services, actor = services_of(request), visitor_of(request).actor
    row = services.office.way(application, by=actor)
    here = next((one for one in row.stages if one.stage == stage), None) if row else None
    if row is None or here is None:
        raise MissingPage("there is no such stage")
    if services.judging.answers(application, actor) is None:
        raise MissingPage("there is no such stage")
    return row, here


def _stage(
    request: AnyRequest,
    application: str,
    stage: str,
    problems: Problems = (),
    sent: Mapping[str, str] | None = None,
) -> Response[Any]:
    services, actor = services_of(request), visitor_of(request).actor
    row, here = _mine(request, application, stage)
    return page(
        request,
        "stage.html",
        status_code=422 if problems else 200,
        row=row,
        here=here,
        call=services.programme.call(row.call),
        given=services.judging.answers(application, actor),
        files=services.papers.attachments(application, actor),
        sizing=services.judging.sizing(application),
        problems=problems,
        sent=sent or {},
    )


def _acted(
    request: AnyRequest,
    application: str,
    stage: str,
    answer: BoardRow | Refused,
    sent: Mapping[str, str],
) -> Response[Any]:
    if isinstance(answer, Refused):
        return _stage(request, application, stage, answer.problems, sent)
    return Redirect(f"/applications/{application}/stages/{stage}", status_code=303)


def _done(
    request: AnyRequest, call: str, answer: int | Refused, sent: Mapping[str, str], *, said: str
) -> Response[Any]:
    if isinstance(answer, Refused):
        return _board(request, call, answer.problems, sent)
    return Redirect(f"/calls/{call}/board?{said}={answer}", status_code=303)


def _board(
    request: AnyRequest, call: str, problems: Problems = (), sent: Mapping[str, str] | None = None
) -> Response[Any]:
    services, actor = services_of(request), visitor_of(request).actor
    found, rows = call_of(request, call), services.office.board(call)
    if rows is None:
        raise MissingPage("this call has no board")
    wish, query = request.query_params.get("state", ""), request.query_params
    counts = {
        said: int(text)
        for said in ("assigned", "replaced", "passed", "decided")
        if (text := query.get(said, "")).isdecimal() and len(text) < 7
    }
    shown = [row for row in rows if wish not in STATES or wish in {one.state for one in row.stages}]
    return page(
        request,
        "board.html",
        status_code=422 if problems else 200,
        call=found,
        stages=services.office.stages(call),
        part=part_of(request, shown),
        state=wish if wish in STATES else "",
        states=STATES,
        acts=is_open_to(actor, "stage.office"),
        counts=counts,
        problems=problems,
        sent=sent or {},
    )


ROUTES = (awaited, board, assign, replace_late, close, decide, stage_page, tick, vote, conclude)
