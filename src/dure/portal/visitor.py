"""Who looks at a page, in which language and theme; read from cookies when first asked for."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Literal, cast

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from dure.reports.formats import LANGS, Lang
from dure.services.access import Actor
from dure.services.browser_words import SESSION_COOKIE, host_cookie
from dure.services.desks import Services
from dure.services.people_view import Account

# Before signing in there is no session yet; this one ties the sign-in form to the browser.
VISIT_COOKIE = "dure_visit"
LANG_COOKIE, THEME_COOKIE = "dure_lang", "dure_theme"
THEMES = ("auto", "light", "dark")
Theme = Literal["auto", "light", "dark"]
Connection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person (or nobody) behind a request."""

    actor: Actor
    account: Account | None
    lang: Lang
    theme: Theme
    session: str
    visit: str

    @property
    def csrf(self) -> str:
        """The token that this browser's forms carry.

        It is derived from the browser's own secret cookie, so it needs no memory here, and a page
        opened before a restart can still be sent after it.
        """
        return csrf_of(self.session or self.visit)


def csrf_of(secret: str) -> str:
    """Return the form token that belongs to a cookie, "" to none."""
    if not secret:
        return ""
    return hmac.new(secret.encode(), b"dure form", hashlib.sha256).hexdigest()


def visitor_of(connection: Connection) -> Visitor:
    """Return the request's visitor; worked out once a request."""
    known = connection.scope["state"].get("visitor")
    if known is None:
        known = _read(connection)
        connection.scope["state"]["visitor"] = known
    return cast(Visitor, known)


def services_of(connection: Connection) -> Services:
    return cast(Services, connection.app.state.services)


def is_secure(connection: Connection) -> bool:
    """Tell whether browsers come by HTTPS: always, but on plain http on this very machine."""
    return bool(connection.app.state.is_secure)


def kept_as(connection: Connection, name: str) -> str:
    """Return the name of a cookie that holds a secret."""
    return host_cookie(name, is_secure=is_secure(connection))


def secret_cookie(
    connection: Connection, name: str, value: str, *, max_age: int | None = None
) -> Cookie:
    """Return a cookie that no script and no other site gets at; of ``max_age`` 0 to forget it."""
    return Cookie(
        key=kept_as(connection, name),
        value=value,
        path="/",
        max_age=max_age,
        httponly=True,
        samesite="lax",
        secure=is_secure(connection),
    )


def _read(connection: Connection) -> Visitor:
    cookies, people = connection.cookies, services_of(connection).people
    session = cookies.get(kept_as(connection, SESSION_COOKIE), "")
    actor = people.actor_of_session(session)
    return Visitor(
        actor=actor,
        account=people.account(actor.user) if actor.is_signed_in else None,
        lang=_lang(connection),
        theme=_theme(connection),
        session=session if actor.is_signed_in else "",
        visit=cookies.get(kept_as(connection, VISIT_COOKIE), ""),
    )


def _lang(connection: Connection) -> Lang:
    """Choose by the link, the cookie, the browser's wish, and Korean, in this order."""
    for wish in (connection.query_params.get("lang"), connection.cookies.get(LANG_COOKIE)):
        if wish in LANGS:
            return cast(Lang, wish)
    return preferred(connection.headers.get("accept-language", ""))


def preferred(header: str) -> Lang:
    """Return the first language we have of an Accept-Language header, by its weights."""
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, tag.lower().split("-")[0]))
        except ValueError:
            continue
    for weight_down, _, lang in sorted(wishes):
        if weight_down < 0 and lang in LANGS:
            return lang
    return "ko"


def _theme(connection: Connection) -> Theme:
    for wish in (connection.query_params.get("theme"), connection.cookies.get(THEME_COOKIE)):
        if wish in THEMES:
            return cast(Theme, wish)
    return "auto"
