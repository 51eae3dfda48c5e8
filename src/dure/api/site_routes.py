"""Sites with agents: how they do, and the line of their agents, who have a seal for a token."""

from collections.abc import Callable
from typing import Any, cast

import anyio.to_thread
import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.types import ASGIApp

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import HANDLERS, ProblemError, documented, missing
from dure.api.schemas import out
from dure.api.site_lines import Joining
from dure.core.site_words import PushRefusal
from dure.services.sites import Sealed, SiteRow, SitesDesk

AnyRequest = Request[Any, Any, Any]
SEAL, LINE = "dure-seal", "dure-line"
# The first push of a site names all of its nodes.
BODY_BYTES_MAX = 8 << 20
# Anybody may knock; whoever has not the seal of a site's key is answered as if there were no site.
SPEAK = {"action": "site.speak"}
REFUSED = {
    PushRefusal.NOT_LEADING: (503, "not-leading", "Another engine leads, or none yet."),
    PushRefusal.STALE: (409, "stale-push", "A later push was taken before."),
    PushRefusal.OTHER_AGENT: (409, "other-agent", "Another agent speaks for this site."),
}


class SiteOut(msgspec.Struct, frozen=True):
    """A site; ``heard_at_s`` is null where its agent was never heard, or elsewhere."""

    site: str
    provider: str
    state: str
    key_id: str
    enrolled_at_s: int
    heard_at_s: int | None
    nodes: int
    gpus: int


@get("/sites", opt={"action": "site.read"}, responses=documented(400, 401), sync_to_thread=False)
def sites(request: AnyRequest) -> Response[list[SiteOut]]:
    """List the sites with agents that the caller may see, with when each was last heard."""
    rows = services_of(request).sites.rows(by=actor_of(request))
    return listing(request, rows, lambda row: row.site, _shown)


def _shown(row: SiteRow) -> SiteOut:
    return out(SiteOut, row, state=row.state.value)


@post(
    "/sites/{site:str}/exchange",
    opt=SPEAK,
    status_code=200,
    responses=documented(400, 404, 409, 413, 422),
    request_max_body_size=BODY_BYTES_MAX,
)
async def exchange(request: AnyRequest, site: FromPath[str]) -> Response[bytes]:
    """Take what a site's agent pushes, answer with its orders; both sealed by the site's key."""
    desk, said = _desk_of(request), await _said(request)

    def answer() -> Sealed | PushRefusal | None:
        try:
            return desk.exchange(site, said)
        except msgspec.MsgspecError as wrong:
            detail = str(wrong)[:200]
            raise ProblemError(422, "unreadable", "This cannot be read.", detail=detail) from wrong

    return await _sealed(answer)


@post(
    "/sites/{site:str}/workdir",
    opt=SPEAK,
    status_code=200,
    responses=documented(400, 404, 413),
)
async def site_workdir(request: AnyRequest, site: FromPath[str]) -> Response[bytes]:
    """Give a site's agent the work folder that the body names, if an order of its site does."""
    desk, said = _desk_of(request), await _said(request)
    name = said.body.decode(errors="replace")
    return await _sealed(lambda: desk.workdir(site, name, said))


async def _said(request: AnyRequest) -> Sealed:
    return Sealed(await request.body(), request.headers.get(SEAL, ""))


def _desk_of(request: AnyRequest) -> SitesDesk:
    return cast(SitesDesk, request.app.state.sites)


async def _sealed(ask: Callable[[], Sealed | PushRefusal | None]) -> Response[bytes]:
    answer = await anyio.to_thread.run_sync(ask)
    if answer is None:
        raise missing("site")
    if isinstance(answer, PushRefusal):
        raise ProblemError(*REFUSED[answer])
    headers = {SEAL: answer.seal, "Cache-Control": "no-store"}
    return Response(answer.body, media_type="application/octet-stream", headers=headers)


@post(
    "/sites/{site:str}/line",
    opt=SPEAK,
    status_code=200,
    responses=documented(400, 404),
    request_max_body_size=None,
)
async def site_line(request: AnyRequest, site: FromPath[str]) -> ASGIApp:
    """Join a line to a session that this site's agent was called for, with whoever waits for it.

    The token that the call named stands in ``Dure-Line``, the seal is over it. Body and answer are
    the line, both ways at once, until one side ends; the body begins with ``+`` if the session
    listens, ``-`` if not yet. A token is worth one line.
    """
    token, given = request.headers.get(LINE, ""), request.headers.get(SEAL, "")
    found = await anyio.to_thread.run_sync(_desk_of(request).fetch, site, token, given)
    if found is None:
        raise missing("line")
    return Joining(found.line, {SEAL: found.seal, "cache-control": "no-store"})


ROUTES = (sites, exchange, site_workdir, site_line)


def make_agents_app(desk: SitesDesk) -> Litestar:
    """Make what an engine without pages serves: the line of agents, and nothing else."""
    return Litestar(
        path="/api/v1",
        route_handlers=[exchange, site_workdir, site_line],
        exception_handlers=HANDLERS,
        openapi_config=None,
        state=State({"sites": desk}),
    )
