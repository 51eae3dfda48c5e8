"""Interactive sessions: begin one, see one's own, open one in a browser."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.core.errors import InputError
from dure.core.orders import INTERACTIVE_KINDS
from dure.portal.asking import answers, in_thread
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.access import may, require
from dure.services.desks import Refused, Submission, Submitted, WorkForm
from dure.services.requests.session_text import session_text
from dure.services.sights import find_story

Problems = tuple[tuple[str, dict[str, Any]], ...]
BEGIN = {"action": "interactive.begin"}
HOURS = (1, 2, 4, 8, 12)


@get("/sessions", opt=BEGIN, sync_to_thread=False)
def sessions(request: AnyRequest) -> Response[Any]:
    """Show one's own sessions and the form for another."""
    return _sessions_page(request, {}, ())


@post("/sessions", opt=BEGIN, status_code=200)
async def begin(request: AnyRequest) -> Response[Any]:
    """Hand a session in as a job; its page says when it starts, and opens it then."""
    given = dict(await answers(request))
    actor, services = visitor_of(request).actor, services_of(request)
    kind, pool, project = (given.get(name, "") for name in ("kind", "pool", "project"))
    gpus, hours, desk = given.get("gpus", "1"), given.get("hours", ""), services.pools.get(pool)
    is_whole = all(one.isdecimal() and len(one) < 7 for one in (gpus, hours))
    if desk is None or not desk.has_sessions() or kind not in INTERACTIVE_KINDS or not is_whole:
        return _sessions_page(request, given, (("sessions.choose", {}),))
    require(actor, "job.submit", owner=project or actor.user)
    text = session_text(
        kind, gpus=int(gpus), time=f"{hours}h", preemptible=given.get("preemptible") == "1"
    )
    submission = Submission(WorkForm.YAML, text, project, given.get("key", ""))
    try:
        answer = await in_thread(lambda: desk.submit(submission, by=actor))
    except InputError as error:
        return _sessions_page(request, given, (("", {"text": str(error)}),))
    if isinstance(answer, Submitted):
        return Redirect(f"/jobs/{answer.job}?pool={pool}&answer=submitted", status_code=303)
    return _sessions_page(request, given, _problems(answer))


@post("/sessions/{job:str}/open", opt=BEGIN, status_code=200, sync_to_thread=True)
def open_session(request: AnyRequest, job: FromPath[str]) -> Response[Any]:
    """Lead the owner into a session that runs, by a link that works once."""
    visitor, services = visitor_of(request), services_of(request)
    if find_story(visitor.actor, services, job) is None:
        raise MissingPage("there is no such job")
    answer = services.interactive.open(visitor.actor, job, sign_in=visitor.session)
    if isinstance(answer, Refused):
        return _sessions_page(request, {}, _problems(answer))
    # A page and not a redirection: a form of ours may lead to this origin alone.
    return page(request, "enter.html", job=job, href=f"{answer.url}?lang={visitor.lang}")


def _problems(answer: Refused) -> Problems:
    return tuple((f"problem.{one.code}", dict(one.numbers)) for one in answer.problems)


def _sessions_page(request: AnyRequest, given: dict[str, str], problems: Problems) -> Response[Any]:
    visitor, services = visitor_of(request), services_of(request)
    actor = visitor.actor
    return page(
        request,
        "sessions.html",
        status_code=422 if problems else 200,
        given=given,
        problems=problems,
        rows=services.interactive.sessions(actor),
        open_pools=[
            (name, desk.view()) for name, desk in services.pools.items() if desk.has_sessions()
        ],
        projects=[""] * may(actor, "job.submit", owner=actor.user) + sorted(actor.projects),
        kinds=INTERACTIVE_KINDS,
        hours=HOURS,
        key=given.get("key") or request.app.state.random_bytes(16).hex(),
    )


ROUTES = (sessions, begin, open_session)
