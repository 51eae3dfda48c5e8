"""Templates into pages: the words of both languages, formats, headers.

Every page leaves here with the same strict headers: no script, style, picture or connection from
anywhere else, nothing inline, no framing.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Cookie
from markupsafe import Markup

from dure.portal.visitor import (
    LANG_COOKIE,
    THEME_COOKIE,
    THEMES,
    VISIT_COOKIE,
    Visitor,
    csrf_of,
    is_secure,
    secret_cookie,
    services_of,
    visitor_of,
)
from dure.portal.words import words_in
from dure.reports.formats import LANGS, Lang
from dure.services.access import is_open_to
from dure.services.views import DEVICE_STATES, NEVER_S

YEAR_S = 365 * 86_400
SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
            "form-action 'self'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
# Page, its words' key, the action that opens it: the order of the menu.
MENU = (
    ("/", "overview", "pool.read"),
    ("/map", "map", "pool.read"),
    ("/loans", "loans", "pool.read"),
    ("/calls", "calls", "call.read"),
    ("/waitlist", "waitlist", "waitlist.overview"),
    ("/applications", "applications", "draft.write"),
    ("/projects", "projects", "project.read"),
    ("/jobs", "jobs", "job.read"),
    ("/tickets", "tickets", "ticket.read"),
    ("/reviews", "reviews", "review.bid"),
    ("/stages", "stages", "stage.act"),
    ("/requests", "requests", "request.read"),
    ("/supply", "supply", "supply.read"),
    ("/operator", "operator", "programme.read"),
    ("/help", "help", "service.read"),
)

AnyRequest = Request[Any, Any, Any]


def page(
    request: AnyRequest, template: str, *, status_code: int = 200, **values: Any
) -> Response[str]:
    """Render a template for the request's visitor."""
    visitor = visitor_of(request)
    cookies, visitor = _new_cookies(request, visitor)
    services = services_of(request)
    html = (
        _environment()
        .get_template(template)
        .render(
            **words_in(visitor.lang),
            **values,
            visitor=visitor,
            lang=visitor.lang,
            theme=visitor.theme,
            path=request.url.path,
            other_lang_href=_with_query(request, "lang", "en" if visitor.lang == "ko" else "ko"),
            theme_hrefs=[(name, _with_query(request, "theme", name)) for name in THEMES],
            csrf_field=Markup('<input type="hidden" name="csrf" value="{}">').format(visitor.csrf),
            menu=[entry for entry in MENU if is_open_to(visitor.actor, entry[2])],
            may_open=lambda action: is_open_to(visitor.actor, action),
            unread_notices=services.notices.unread(visitor.actor),
            pools=services.pools,
            version=services.version,
            has_imagined=any(desk.view().imagined for desk in services.pools.values()),
        )
    )
    return Response(
        html,
        status_code=status_code,
        media_type="text/html; charset=utf-8",
        headers={**SECURITY_HEADERS, "Cache-Control": "no-store", "Content-Language": visitor.lang},
        cookies=cookies,
    )


def bare_page(template: str, lang: Lang, **values: Any) -> str:
    """Render a template that stands alone, for somebody of whom no more is known than this."""
    return _environment().get_template(template).render(**words_in(lang), **values, lang=lang)


def _new_cookies(request: AnyRequest, visitor: Visitor) -> tuple[list[Cookie], Visitor]:
    """Remember a choice of language or theme; give a form for visitors something to belong to."""
    secure = is_secure(request)
    cookies = [
        Cookie(key=name, value=str(value), path="/", max_age=YEAR_S, samesite="lax", secure=secure)
        for name, key, value, allowed in (
            (LANG_COOKIE, "lang", request.query_params.get("lang"), LANGS),
            (THEME_COOKIE, "theme", request.query_params.get("theme"), THEMES),
        )
        if value in allowed
    ]
    if not visitor.session and not visitor.visit and request.url.path == "/login":
        visit = request.app.state.random_bytes(32).hex()
        cookies.append(secret_cookie(request, VISIT_COOKIE, visit))
        visitor = Visitor(
            visitor.actor, visitor.account, visitor.lang, visitor.theme, visitor.session, visit
        )
        assert visitor.csrf == csrf_of(visit)
    return cookies, visitor


def _with_query(request: AnyRequest, key: str, value: str) -> str:
    kept = [(name, one) for name, one in request.query_params.multi_items() if name != key]
    return f"{request.url.path}?{urlencode([*kept, (key, value)])}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dure.portal", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        static=static_href, KINDS=DEVICE_STATES, NEVER_S=NEVER_S, enumerate=enumerate, zip=zip
    )
    return environment


@cache
def static_files() -> Mapping[str, tuple[bytes, str]]:
    """Return every file under ``static/`` with its fingerprint, by name."""
    folder = resources.files("dure.portal") / "static"
    found = {}
    for file in folder.iterdir():
        content = file.read_bytes()
        found[file.name] = (content, hashlib.sha256(content).hexdigest()[:12])
    return found


def static_href(name: str) -> str:
    """Return a file's address; it changes with the content, so browsers may keep it for long."""
    return f"/static/{name}?v={static_files()[name][1]}"
