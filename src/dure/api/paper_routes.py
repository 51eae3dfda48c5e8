"""Drafts of applications with their files, and requests about awards and decisions."""

from typing import Any, Literal

import anyio
import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import documented, missing, taken
from dure.api.schemas import ApplicationTaken, out
from dure.api.work_routes import repeats_of
from dure.services.attachments import SIZE_BYTES_MAX
from dure.services.browser_words import saved_as
from dure.services.desks import PaperDesk, Refused
from dure.services.office_views import RequestRow, WrittenRow

AnyRequest = Request[Any, Any, Any]
Kind = Literal["renewal", "extension", "supplement", "transfer", "advance", "appeal"]
# A little more than a file may have, so that one that is too large is refused by its own rule.
UPLOAD_BYTES_MAX = SIZE_BYTES_MAX + 1024 * 1024


class DraftIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was typed, right or wrong; with ``draft`` the next version of that one."""

    answers: dict[str, Any]
    draft: str = ""


class BeginIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another call to apply to; "" changes the application itself."""

    call: str = ""


class AttachmentOut(msgspec.Struct, frozen=True):
    """A file by the SHA-256 of its content."""

    attachment: str
    name: str
    kind: str
    size_bytes: int


class DraftOut(msgspec.Struct, frozen=True):
    """A draft; ``status``: open, submitted or discarded."""

    draft: str
    call: str
    title: str
    version: int
    saved_at_s: int
    status: str
    application: str
    previous: str
    changes: bool
    fields: dict[str, Any]
    attachments: list[AttachmentOut]


class ProblemOut(msgspec.Struct, frozen=True):
    """What would be refused."""

    field: str
    code: str
    numbers: dict[str, int | str]


class RequestIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for, and why."""

    kind: Kind
    cause: str
    gpus: int = 0
    months: int = 0
    to_project: str = ""


class AnswerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a request is granted, and why."""

    grants: bool
    cause: str = ""


class RequestOut(msgspec.Struct, frozen=True):
    """A request; ``status``: open, granted or refused."""

    request: str
    kind: str
    application: str
    project: str
    allocation: str
    gpus: int
    months: int
    to_project: str
    cause: str
    filed_at_s: int
    filed_by: str
    status: str
    answer: str


def _papers(request: AnyRequest) -> PaperDesk:
    return services_of(request).papers


def draft_out(row: WrittenRow) -> DraftOut:
    files = [out(AttachmentOut, one) for one in row.attachments]
    return out(DraftOut, row, fields=dict(row.fields), attachments=files)


def _draft(answer: WrittenRow | Refused) -> DraftOut:
    return draft_out(taken(answer))


def _request(answer: RequestRow | Refused) -> RequestOut:
    return out(RequestOut, taken(answer))


@get("/drafts", opt={"action": "draft.write"}, responses=documented(400, 401), sync_to_thread=True)
def drafts(request: AnyRequest) -> Response[list[DraftOut]]:
    """List the caller's drafts that are not handed in."""
    rows = _papers(request).drafts(actor_of(request))
    return listing(request, rows, lambda row: row.draft, draft_out)


@get(
    "/drafts/{draft:str}",
    opt={"action": "draft.write"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def draft(request: AnyRequest, draft: FromPath[str]) -> DraftOut:
    """Show a draft of one's own."""
    row = _papers(request).draft(draft, actor_of(request))
    if row is None:
        raise missing("draft")
    return draft_out(row)


@post(
    "/calls/{call:str}/drafts",
    opt={"action": "draft.write"},
    responses=documented(400, 401, 403, 409, 413, 422),
    sync_to_thread=True,
)
def save_draft(
    request: AnyRequest, call: FromPath[str], data: JSONBody[DraftIn]
) -> Response[DraftOut]:
    """Keep what was typed, right or wrong; needs an Idempotency-Key."""
    papers, actor = _papers(request), actor_of(request)

    def act(_: str) -> Response[DraftOut]:
        answer = papers.save(call, data.answers, draft=data.draft, by=actor)
        return Response(_draft(answer), status_code=201)

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


@post(
    "/applications/{application:str}/drafts",
    opt={"action": "draft.write"},
    responses=documented(400, 401, 403, 409, 422),
    sync_to_thread=True,
)
def begin_draft(
    request: AnyRequest, application: FromPath[str], data: JSONBody[BeginIn]
) -> Response[DraftOut]:
    """Begin a draft from an earlier application; needs an Idempotency-Key."""
    papers, actor = _papers(request), actor_of(request)

    def act(_: str) -> Response[DraftOut]:
        answer = papers.begin(application, call=data.call, by=actor)
        return Response(_draft(answer), status_code=201)

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


@post(
    "/drafts/{draft:str}/attachments",
    opt={"action": "draft.write"},
    status_code=200,
    request_max_body_size=UPLOAD_BYTES_MAX,
    responses=documented(400, 401, 403, 413, 422),
)
async def attach(request: AnyRequest, draft: FromPath[str]) -> DraftOut:
    """Keep a file with a draft: content as the body, ``?name=``; ``&field=`` answers with it."""
    papers, actor = _papers(request), actor_of(request)
    content = await request.body()
    name = request.query_params.get("name", "")
    field = request.query_params.get("field", "")
    answer = await anyio.to_thread.run_sync(
        lambda: papers.attach(draft, content, name=name, field=field, by=actor)
    )
    return _draft(answer)


@get(
    "/drafts/{draft:str}/problems",
    opt={"action": "draft.write"},
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def check_draft(request: AnyRequest, draft: FromPath[str]) -> list[ProblemOut]:
    """Tell what would be refused if the draft were handed in now."""
    answer = _papers(request).check(draft, actor_of(request))
    return [ProblemOut(one.field, one.code, dict(one.numbers)) for one in taken(answer)]


@post(
    "/drafts/{draft:str}/submission",
    opt={"action": "draft.write"},
    responses=documented(400, 401, 403, 409, 422),
    sync_to_thread=True,
)
def submit_draft(request: AnyRequest, draft: FromPath[str]) -> Response[ApplicationTaken]:
    """Hand a draft in; where it is refused it stays as it was. Needs an Idempotency-Key."""
    papers, actor = _papers(request), actor_of(request)

    def act(key: str) -> Response[ApplicationTaken]:
        answer = papers.submit(draft, key=key, by=actor)
        return Response(ApplicationTaken(taken(answer).application), status_code=201)

    return repeats_of(request).once(request, draft.encode(), act)


@post(
    "/drafts/{draft:str}/discard",
    opt={"action": "draft.write"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def discard_draft(request: AnyRequest, draft: FromPath[str]) -> DraftOut:
    """Throw a draft away."""
    return _draft(_papers(request).discard(draft, actor_of(request)))


@get(
    "/drafts/{draft:str}/attachments/{attachment:str}",
    opt={"action": "draft.write"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def draft_file(
    request: AnyRequest, draft: FromPath[str], attachment: FromPath[str]
) -> Response[bytes]:
    """Download a file of a draft of one's own."""
    return _file(_papers(request).content(attachment, by=actor_of(request), draft=draft))


@get(
    "/applications/{application:str}/attachments",
    opt={"action": "application.read"},
    responses=documented(400, 401),
    sync_to_thread=True,
)
def attachments(request: AnyRequest, application: FromPath[str]) -> Response[list[AttachmentOut]]:
    """List an application's files."""
    rows = _papers(request).attachments(application, actor_of(request))
    return listing(request, rows, lambda row: row.attachment, lambda row: out(AttachmentOut, row))


@get(
    "/applications/{application:str}/attachments/{attachment:str}",
    opt={"action": "application.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def application_file(
    request: AnyRequest, application: FromPath[str], attachment: FromPath[str]
) -> Response[bytes]:
    """Download a file of an application."""
    papers, actor = _papers(request), actor_of(request)
    return _file(papers.content(attachment, by=actor, application=application))


def _file(found: tuple[Any, bytes] | None) -> Response[bytes]:
    if found is None:
        raise missing("attachment")
    row, content = found
    return Response(content, media_type="application/octet-stream", headers=saved_as(row.name))


@get(
    "/requests",
    opt={"action": "request.read"},
    responses=documented(400, 401),
    sync_to_thread=True,
)
def requests(request: AnyRequest) -> Response[list[RequestOut]]:
    """List the requests of one's projects; all of them for the office and the audit."""
    rows = _papers(request).requests(actor_of(request))
    return listing(request, rows, lambda row: row.request, lambda row: out(RequestOut, row))


@post(
    "/applications/{application:str}/requests",
    opt={"action": "request.file"},
    responses=documented(400, 401, 403, 409, 422),
    sync_to_thread=True,
)
def file_request(
    request: AnyRequest, application: FromPath[str], data: JSONBody[RequestIn]
) -> Response[RequestOut]:
    """Ask for something about an award, or against a decision; needs an Idempotency-Key."""
    papers, actor = _papers(request), actor_of(request)

    def act(_: str) -> Response[RequestOut]:
        answer = papers.file_request(
            application,
            data.kind,
            gpus=data.gpus,
            months=data.months,
            to_project=data.to_project,
            cause=data.cause,
            by=actor,
        )
        return Response(_request(answer), status_code=201)

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


@post(
    "/requests/{request_id:str}/decision",
    opt={"action": "request.decide"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def decide_request(
    request: AnyRequest, request_id: FromPath[str], data: JSONBody[AnswerIn]
) -> RequestOut:
    """Grant or refuse a request; what it changes is done at once."""
    answer = _papers(request).decide_request(
        request_id, grants=data.grants, cause=data.cause, by=actor_of(request)
    )
    return _request(answer)


ROUTES = (
    drafts,
    draft,
    save_draft,
    begin_draft,
    attach,
    check_draft,
    submit_draft,
    discard_draft,
    draft_file,
    attachments,
    application_file,
    requests,
    file_request,
    decide_request,
)
