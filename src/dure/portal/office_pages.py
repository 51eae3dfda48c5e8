"""One's own applications and drafts."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.access import is_open_to
from dure.services.sights import visible_applications


@get("/applications", opt={"action": "application.read"}, sync_to_thread=True)
def applications(request: AnyRequest) -> Response[Any]:
    """Show the applications that the visitor may see, and the drafts that are theirs."""
    services, actor = services_of(request), visitor_of(request).actor
    rows = visible_applications(actor, services.programme)
    drafts = services.papers.drafts(actor) if is_open_to(actor, "draft.write") else []
    return page(request, "applications.html", part=part_of(request, rows), drafts=drafts)


@post("/drafts/{draft:str}/discard", opt={"action": "draft.write"}, status_code=303)
async def discard(request: AnyRequest, draft: FromPath[str]) -> Redirect:
    """Throw a draft of one's own away."""
    papers, actor = services_of(request).papers, visitor_of(request).actor
    if papers.draft(draft, actor) is None:
        raise MissingPage("there is no such draft")
    await in_thread(lambda: papers.discard(draft, actor))
    return Redirect("/applications", status_code=303)


ROUTES = (applications, discard)
