"""One's own notices, and letters as pages to be printed."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.core.errors import InputError
from dure.portal.asking import answers, in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.reports.letters import letter_in
from dure.services.notice_desk import MAIL_WISHES
from dure.services.sights import visible_application, visible_applications


@get("/notices", opt={"action": "notice.read"}, sync_to_thread=True)
def notices(request: AnyRequest) -> Response[Any]:
    """List what the visitor was told, latest first."""
    return _page(request)


def _page(request: AnyRequest, *, bad_email: str = "") -> Response[Any]:
    services, visitor = services_of(request), visitor_of(request)
    desk = services.notices
    rows = desk.notices(visitor.actor)
    # Members are told what becomes of their project; its application is its applicant's.
    own = visible_applications(visitor.actor, services.programme)
    return page(
        request,
        "notices.html",
        status_code=422 if bad_email else 200,
        bad_email=bad_email,
        part=part_of(request, rows),
        readable={row.application for row in own},
        unread=sum(not row.is_read for row in rows),
        wish=desk.mail_wish(visitor.actor),
        wishes=MAIL_WISHES,
    )


@post("/notices/read", opt={"action": "notice.read"}, status_code=303)
async def mark_read(request: AnyRequest) -> Redirect:
    """Mark every notice that the visitor has as read."""
    desk, actor = services_of(request).notices, visitor_of(request).actor
    await in_thread(lambda: desk.mark_read([one.notice for one in desk.notices(actor)], by=actor))
    return Redirect("/notices", status_code=303)


@post("/notices/mail", opt={"action": "notice.read"}, status_code=200)
async def choose_mail(request: AnyRequest) -> Response[Any]:
    """Choose how notices come by e-mail, and where to."""
    services, actor = services_of(request), visitor_of(request).actor
    given = await answers(request)
    email = given.get("email", "").strip()
    wish = next((one for one in MAIL_WISHES if one == given.get("mail")), None)

    def choose() -> None:
        services.people.change_email(actor.user, email, by=actor.user)
        if wish is not None:
            services.notices.choose_mail(wish, by=actor)

    try:
        await in_thread(choose)
    except InputError:
        return _page(request, bad_email=email)
    return Redirect("/notices", status_code=303)


@get("/letters/{letter:str}", opt={"action": "letter.read"}, sync_to_thread=True)
def letter(request: AnyRequest, letter: FromPath[str]) -> Response[Any]:
    """Show an official letter."""
    services, visitor = services_of(request), visitor_of(request)
    found = services.notices.letter(letter, visitor.actor)
    if found is None:
        raise MissingPage("there is no such letter")
    of = visible_application(visitor.actor, services.programme, found.application)
    return page(
        request,
        "letter.html",
        letter=letter_in(visitor.lang, found),
        issued=found,
        application_is_readable=of is not None,
    )


ROUTES = (notices, mark_read, choose_mail, letter)
