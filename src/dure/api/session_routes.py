"""Interactive sessions: one's own that are not over, and a link into one."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath

from dure.api.caller import actor_of, services_of
from dure.api.finding import job_of
from dure.api.problems import documented, refused_as_problem
from dure.api.schemas import JobOut, out
from dure.services.refusing import Refused

AnyRequest = Request[Any, Any, Any]
BEGIN = {"action": "interactive.begin"}


class SessionOut(msgspec.Struct, frozen=True):
    """A session of the caller; ``row`` is its job's."""

    pool: str
    row: JobOut


class SessionLink(msgspec.Struct, frozen=True):
    """A link into a session: it works once, within ``lasts_s`` seconds."""

    url: str
    lasts_s: int


@get("/sessions", opt=BEGIN, responses=documented(401, 403), sync_to_thread=True)
def sessions(request: AnyRequest) -> list[SessionOut]:
    """List the caller's own sessions that are not over."""
    found = services_of(request).interactive.sessions(actor_of(request))
    return [SessionOut(pool, out(JobOut, row)) for pool, row in found]


@post(
    "/jobs/{job:str}/session",
    opt=BEGIN,
    status_code=200,
    responses=documented(400, 401, 403, 404, 422),
    sync_to_thread=True,
)
def session_link(request: AnyRequest, job: FromPath[str]) -> Response[SessionLink]:
    """Give the owner of a session that runs a link that opens it in a browser, once."""
    job_of(request, job)
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    answer = services_of(request).interactive.open(actor_of(request), job, sign_in=token)
    if isinstance(answer, Refused):
        raise refused_as_problem(answer)
    link = SessionLink(answer.url, answer.lasts_s)
    return Response(link, headers={"Cache-Control": "no-store"})


ROUTES = (sessions, session_link)
