"""Who calls: a program with a token, or a page of ours with its session cookie (reading only)."""

from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from dure.services.access import PUBLIC_ACTOR, Actor, Forbidden, is_open_to
from dure.services.browser_words import SESSION_COOKIE, host_cookie
from dure.services.desks import Services

Connection = ASGIConnection[Any, Any, Any, Any]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def services_of(connection: Connection) -> Services:
    return cast(Services, connection.app.state.services)


def actor_of(connection: Connection) -> Actor:
    """Return who calls; worked out once a request."""
    known = connection.scope["state"].get("actor")
    if known is None:
        known = _read(connection)
        connection.scope["state"]["actor"] = known
    return cast(Actor, known)


def _read(connection: Connection) -> Actor:
    people = services_of(connection).people
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return people.actor_of_token(token.strip())
    # A cookie is sent by the browser whoever asks it to, so it opens nothing that changes anything.
    if connection.scope.get("method") in SAFE_METHODS:
        cookie = host_cookie(SESSION_COOKIE, is_secure=connection.app.state.is_secure)
        return people.actor_of_session(connection.cookies.get(cookie, ""))
    return PUBLIC_ACTOR


def guard_door(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a request through if its route's action is open to the caller; no action, no entry."""
    action = str(handler.opt.get("action", ""))
    actor = actor_of(connection)
    if not is_open_to(actor, action):
        raise Forbidden(actor, action, None)
