"""The reviewer's pages: what one was asked for, giving marks, stepping back."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.desks import Refused
from dure.services.judging_views import ReviewPaper


@get("/reviews", opt={"action": "review.read"}, sync_to_thread=False)
def reviews(request: AnyRequest) -> Response[Any]:
    """List one's own reviews, those not given first."""
    programme, user = services_of(request).programme, visitor_of(request).actor.user
    mine = [row for row in programme.reviews() if row.reviewer == user]
    mine.sort(key=lambda row: (row.is_given, row.due_at_s, row.application))
    return page(request, "reviews.html", part=part_of(request, mine))


@get("/reviews/{application:str}", opt={"action": "review.read"}, sync_to_thread=False)
def review_page(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Show an application that one was asked to review."""
    return _page(request, _paper(request, application), {}, ())


@post("/reviews/{application:str}", opt={"action": "review.give"}, status_code=200)
async def give(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Give one's marks; whatever is wrong comes back, nothing is lost."""
    found, sent = _paper(request, application), await answers(request)
    marks = {name: _points(sent.get(name, "")) for name, _ in found.criteria}
    programme, actor = services_of(request).programme, visitor_of(request).actor
    answer = await in_thread(lambda: programme.review(application, marks, by=actor))
    if isinstance(answer, Refused):
        return _page(request, found, dict(sent), answer.problems)
    return Redirect("/reviews", status_code=303)


@post("/reviews/{application:str}/conflict", opt={"action": "review.recuse"}, status_code=200)
async def step_back(request: AnyRequest, application: FromPath[str]) -> Response[Any]:
    """Declare a conflict of one's own; somebody else is asked at once."""
    found, sent = _paper(request, application), await answers(request)
    desk, actor = services_of(request).judging, visitor_of(request).actor
    reason = sent.get("reason", "")
    answer = await in_thread(
        lambda: desk.declare_conflict(application, actor.user, reason, by=actor)
    )
    if answer is not None:
        return _page(request, found, dict(sent), answer.problems)
    return Redirect("/reviews", status_code=303)


def _points(text: str) -> int:
    """Read points; what is no number is beyond the scale, and refused as such."""
    digits = text.strip()
    return int(digits) if digits.isdecimal() and len(digits) < 4 else -1


def _paper(request: AnyRequest, application: str) -> ReviewPaper:
    found = services_of(request).judging.paper(application, visitor_of(request).actor.user)
    if found is None:
        raise MissingPage("there is no such review")
    return found


def _page(
    request: AnyRequest, found: ReviewPaper, given: dict[str, str], problems: tuple[Any, ...]
) -> Response[Any]:
    services, actor = services_of(request), visitor_of(request).actor
    return page(
        request,
        "review.html",
        status_code=422 if problems else 200,
        paper=found,
        call=services.programme.call(found.call),
        answers=services.judging.answers(found.application, actor) or {},
        files=services.papers.attachments(found.application, actor),
        given=given,
        problems=problems,
    )


ROUTES = (reviews, review_page, give, step_back)
