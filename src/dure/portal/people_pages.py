"""Signing in and out, and one's own page: password and tokens."""

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from dure.core.errors import InputError
from dure.portal.asking import answers, in_thread
from dure.portal.doors import AnyRequest, is_from_here, safe_path
from dure.portal.render import page
from dure.portal.visitor import VISIT_COOKIE, csrf_of, secret_cookie, services_of, visitor_of
from dure.services.browser_words import SESSION_COOKIE
from dure.services.people import SESSION_S, SignInRefusal
from dure.services.sights import visible_applications, visible_projects

CARRIED = "carried-"
TOKEN_DAYS = (7, 30, 90, 366)


@get("/login", opt={"action": "session.open"}, sync_to_thread=False)
def login_form(request: AnyRequest) -> Response[Any]:
    """Show the sign-in form; ``?next=`` is where it leads back to."""
    return _login_page(request, safe_path(request.query_params.get("next", "/")), "", {})


@post("/login", opt={"action": "session.open"}, status_code=200)
async def login(request: AnyRequest) -> Response[Any]:
    """Open a session. A form that was on its way when a session ended goes on from here."""
    given = dict(await answers(request))
    next_path = safe_path(given.get("next", "/"))
    carried = {
        key.removeprefix(CARRIED): value for key, value in given.items() if key.startswith(CARRIED)
    }
    people = services_of(request).people
    address = request.client.host if request.client else ""
    answer = await in_thread(
        lambda: people.sign_in(given.get("user", ""), given.get("password", ""), address=address)
    )
    if isinstance(answer, SignInRefusal):
        return _login_page(request, next_path, answer.value, carried, user=given.get("user", ""))
    cookie = secret_cookie(request, SESSION_COOKIE, answer.token, max_age=SESSION_S)
    if carried and is_from_here(request):
        response: Response[Any] = page(
            request,
            "carry_on.html",
            next=next_path,
            carried=carried,
            token=csrf_of(answer.token),
        )
        response.cookies = [*response.cookies, cookie]
        return response
    visit = secret_cookie(request, VISIT_COOKIE, "", max_age=0)
    return Redirect(next_path, status_code=303, cookies=[cookie, visit])


def _login_page(
    request: AnyRequest, next_path: str, problem: str, carried: dict[str, str], *, user: str = ""
) -> Response[Any]:
    return page(
        request,
        "login.html",
        status_code=401 if problem else 200,
        next=next_path,
        problem=problem,
        carried=carried,
        user=user,
    )


@post("/logout", opt={"action": "session.close"}, status_code=303, sync_to_thread=True)
def logout(request: AnyRequest) -> Response[Any]:
    """End the session."""
    services_of(request).people.sign_out(visitor_of(request).session)
    forgotten = secret_cookie(request, SESSION_COOKIE, "", max_age=0)
    return Redirect("/", status_code=303, cookies=[forgotten])


@get("/me", opt={"action": "self.read"}, sync_to_thread=False)
def me(request: AnyRequest) -> Response[Any]:
    """Show one's own account, applications, projects and tokens."""
    return _my_page(request)


@post("/me/password", opt={"action": "self.change"}, status_code=200)
async def change_password(request: AnyRequest) -> Response[Any]:
    """Set a new password after checking the old one; all sessions end."""
    given = await answers(request)
    visitor = visitor_of(request)
    people = services_of(request).people

    def change() -> str:
        if not people.knows(visitor.actor.user, given.get("old", "")):
            return "wrong_password"
        if given.get("new", "") != given.get("again", ""):
            return "not_the_same"
        try:
            people.change_password(visitor.actor.user, given.get("new", ""), by=visitor.actor.user)
        except InputError:
            return "password_length"
        return ""

    problem = await in_thread(change)
    if problem:
        return _my_page(request, problem=problem)
    return Redirect("/login?next=/me", status_code=303)


@post("/me/tokens", opt={"action": "self.change"}, status_code=200)
async def issue_token(request: AnyRequest) -> Response[Any]:
    """Issue an API token and show it this once."""
    given = await answers(request)
    user = visitor_of(request).actor.user
    days = given.get("days", "")
    try:
        text, _ = await in_thread(
            lambda: services_of(request).people.issue_token(
                user,
                label=given.get("label", "").strip() or "API",
                days=int(days) if days.isdecimal() and len(days) < 4 else 0,
                by=user,
            )
        )
    except InputError:
        return _my_page(request, problem="token")
    return _my_page(request, new_token=text)


@post("/me/tokens/revoke", opt={"action": "self.change"}, status_code=303)
async def revoke_token(request: AnyRequest) -> Response[Any]:
    """End one of one's own tokens."""
    given = await answers(request)
    people, user = services_of(request).people, visitor_of(request).actor.user
    if given.get("token", "") in {one.token for one in people.tokens_of(user)}:
        await in_thread(lambda: people.revoke_token(given["token"], by=user))
    return Redirect("/me", status_code=303)


def _my_page(request: AnyRequest, *, problem: str = "", new_token: str = "") -> Response[Any]:
    services, visitor = services_of(request), visitor_of(request)
    applications = [
        row
        for row in visible_applications(visitor.actor, services.programme)
        if row.owner == visitor.actor.user
    ]
    return page(
        request,
        "me.html",
        status_code=422 if problem else 200,
        tokens=services.people.tokens_of(visitor.actor.user),
        token_days=TOKEN_DAYS,
        applications=applications,
        projects=[
            row
            for row in visible_projects(visitor.actor, services.programme)
            if row.project in visitor.actor.projects
        ],
        problem=problem,
        new_token=new_token,
    )


ROUTES = (login_form, login, logout, me, change_password, issue_token, revoke_token)
