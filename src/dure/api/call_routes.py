"""The making of calls, and the stages that applications go through."""

from typing import Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import documented, missing, taken
from dure.api.schemas import Words, out, words
from dure.api.work_routes import repeats_of
from dure.services.access import may
from dure.services.desks import OfficeDesk, Refused
from dure.services.office_views import BoardRow, StageRow
from dure.services.sights import visible_application

AnyRequest = Request[Any, Any, Any]


class CallFileIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call as its YAML file."""

    text: str


class CopyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number of the new call."""

    call: str


class ChecklistIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Items of the checklist, whether each is in order, and what should be mended."""

    items: dict[str, bool]
    note: str = ""


class VoteIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the committee's member recognises the application, and why."""

    recognises: bool
    cause: str = ""


class ConclusionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What whoever answers for the stage decided, and why."""

    outcome: Literal["passed", "failed"]
    cause: str = ""


class CallDraftOut(msgspec.Struct, frozen=True):
    """A call as the office keeps it; ``status``: draft, changed (since published), published."""

    call: str
    name: Words
    asks: str
    version: int
    status: str
    source: str
    at_s: int


class StageOut(msgspec.Struct, frozen=True):
    """A stage of an application; ``state``: passed, failed, open or ahead."""

    stage: str
    kind: str
    name: Words | None
    role: str
    passes: str
    state: str
    missing: dict[str, int]
    may: dict[str, str]
    due_at_s: int | None
    items: dict[str, bool]
    cause: str


class BoardOut(msgspec.Struct, frozen=True):
    """An application with all its stages in order."""

    application: str
    call: str
    title: str
    team: str
    status: str
    stages: list[StageOut]


class CountOut(msgspec.Struct, frozen=True):
    """How many it concerned: reviews asked for, applications passed or decided."""

    count: int


def _office(request: AnyRequest) -> OfficeDesk:
    return services_of(request).office


def stage_out(row: StageRow) -> StageOut:
    return out(
        StageOut,
        row,
        name=None if row.name is None else words(row.name),
        missing=dict(row.missing),
        may=dict(row.may),
        items=dict(row.items),
    )


def board_out(row: BoardRow) -> BoardOut:
    return out(BoardOut, row, stages=[stage_out(one) for one in row.stages])


def _board(answer: BoardRow | Refused) -> BoardOut:
    return board_out(taken(answer))


def _count(answer: int | Refused) -> CountOut:
    return CountOut(taken(answer))


@get(
    "/call-drafts",
    opt={"action": "call.draft"},
    responses=documented(400, 401),
    sync_to_thread=True,
)
def call_drafts(request: AnyRequest) -> Response[list[CallDraftOut]]:
    """List the calls that the office keeps, published or not."""
    rows = _office(request).drafts()
    return listing(request, rows, lambda row: row.call, lambda row: out(CallDraftOut, row))


@post(
    "/call-drafts",
    opt={"action": "call.draft"},
    responses=documented(400, 401, 403, 409, 413, 422),
    sync_to_thread=True,
)
def draft_call(request: AnyRequest, data: JSONBody[CallFileIn]) -> Response[CallDraftOut]:
    """Keep a call's file as a draft, a new version if there is one; needs an Idempotency-Key."""
    office, actor = _office(request), actor_of(request)

    def act(_: str) -> Response[CallDraftOut]:
        answer = office.draft_call(data.text, by=actor)
        return Response(out(CallDraftOut, taken(answer)), status_code=201)

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


@post(
    "/calls/{call:str}/copies",
    opt={"action": "call.draft"},
    responses=documented(400, 401, 403, 409, 422),
    sync_to_thread=True,
)
def copy_call(
    request: AnyRequest, call: FromPath[str], data: JSONBody[CopyIn]
) -> Response[CallDraftOut]:
    """Draft a call with the rules of another; needs an Idempotency-Key."""
    office, actor = _office(request), actor_of(request)

    def act(_: str) -> Response[CallDraftOut]:
        answer = office.copy_call(call, data.call, by=actor)
        return Response(out(CallDraftOut, taken(answer)), status_code=201)

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


@post(
    "/calls/{call:str}/publication",
    opt={"action": "call.publish"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def publish_call(request: AnyRequest, call: FromPath[str]) -> CallDraftOut:
    """Announce the newest draft of a call."""
    answer = _office(request).publish_call(call, by=actor_of(request))
    return out(CallDraftOut, taken(answer))


@get(
    "/calls/{call:str}/file",
    opt={"action": "call.read"},
    media_type="application/yaml",
    responses=documented(400, 404),
    sync_to_thread=True,
)
def call_file(request: AnyRequest, call: FromPath[str]) -> bytes:
    """Give a call as its file: to the office its newest draft, to everybody what is published."""
    newest = may(actor_of(request), "call.draft")
    text = _office(request).call_file(call, newest=newest)
    if text is None:
        raise missing("call")
    return text.encode()


@get(
    "/calls/{call:str}/board",
    opt={"action": "stage.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def board(request: AnyRequest, call: FromPath[str]) -> Response[list[BoardOut]]:
    """Show every application of a call in its stages."""
    rows = _office(request).board(call)
    if rows is None:
        raise missing("call")
    return listing(request, rows, lambda row: row.application, board_out)


@post(
    "/calls/{call:str}/stages/{stage:str}/closing",
    opt={"action": "stage.office"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def close_stage(request: AnyRequest, call: FromPath[str], stage: FromPath[str]) -> CountOut:
    """Compare the applications in a stage, and let on whom its rule passes."""
    return _count(_office(request).close_stage(call, stage, by=actor_of(request)))


@post(
    "/calls/{call:str}/decision",
    opt={"action": "award.decide"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def decide(request: AnyRequest, call: FromPath[str]) -> CountOut:
    """Decide on a call by its rules; of a rolling one, on those who are ready."""
    return _count(_office(request).decide(call, by=actor_of(request)))


@get(
    "/applications/{application:str}/stages",
    opt={"action": "application.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def stages(request: AnyRequest, application: FromPath[str]) -> BoardOut:
    """Show an application's way through the stages."""
    services = services_of(request)
    row = visible_application(actor_of(request), services.programme, application)
    found = None if row is None else services.office.way(application)
    if found is None:
        raise missing("application")
    return board_out(found)


@post(
    "/applications/{application:str}/stages/{stage:str}/checklist",
    opt={"action": "stage.act"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def tick(
    request: AnyRequest,
    application: FromPath[str],
    stage: FromPath[str],
    data: JSONBody[ChecklistIn],
) -> BoardOut:
    """Go through a stage's checklist."""
    return _board(
        _office(request).tick(application, stage, data.items, note=data.note, by=actor_of(request))
    )


@post(
    "/applications/{application:str}/stages/{stage:str}/votes",
    opt={"action": "stage.act"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def vote(
    request: AnyRequest, application: FromPath[str], stage: FromPath[str], data: JSONBody[VoteIn]
) -> BoardOut:
    """Recognise an application, or not; a vote is cast once."""
    return _board(
        _office(request).vote(
            application, stage, recognises=data.recognises, cause=data.cause, by=actor_of(request)
        )
    )


@post(
    "/applications/{application:str}/stages/{stage:str}/conclusion",
    opt={"action": "stage.act"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def conclude(
    request: AnyRequest,
    application: FromPath[str],
    stage: FromPath[str],
    data: JSONBody[ConclusionIn],
) -> BoardOut:
    """Say that an application passed or failed a stage."""
    return _board(
        _office(request).conclude(
            application, stage, outcome=data.outcome, cause=data.cause, by=actor_of(request)
        )
    )


@post(
    "/applications/{application:str}/withdrawal",
    opt={"action": "application.withdraw"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def withdraw(request: AnyRequest, application: FromPath[str]) -> BoardOut:
    """Take an application back; possible until its call is decided."""
    return _board(_office(request).withdraw(application, by=actor_of(request)))


ROUTES = (
    call_drafts,
    draft_call,
    copy_call,
    publish_call,
    call_file,
    board,
    close_stage,
    decide,
    stages,
    tick,
    vote,
    conclude,
    withdraw,
)
