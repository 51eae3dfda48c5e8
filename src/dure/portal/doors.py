"""The doors of the portal: who may open a page, which forms are taken, what an error looks like.

Every route names its action (``opt={"action": ...}``); one guard holds it against the access
matrix and checks the form token of everything that is not a plain read. A route without an action
is closed to everybody.
"""

import hmac
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Request, Response
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect

from dure.core.errors import ConflictError, DriverError, DureError, InputError, LedgerError
from dure.portal.render import page
from dure.portal.visitor import Connection, csrf_of, visitor_of
from dure.services.access import ACCESS, Forbidden, is_open_to

log = logging.getLogger("dure.portal")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_BYTES_MAX = 256 * 1024
CSRF_FIELD = "csrf"

AnyRequest = Request[Any, Any, Any]


class MissingPage(DureError):
    """There is no such thing, or not for this visitor; both look the same from outside."""


class StaleForm(DureError):
    """The form's token does not belong to this browser's session."""


async def guard_door(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let a request through if its route's action is open to the visitor and its form is theirs."""
    action = str(handler.opt.get("action", ""))
    visitor = visitor_of(connection)
    is_form = connection.scope.get("method") not in SAFE_METHODS
    form: Mapping[str, Any] = {}
    if handler.opt.get("is_large") and not is_open_to(visitor.actor, action):
        # Nobody who may not send it has it read first.
        raise Forbidden(visitor.actor, action, None)
    if is_form:
        assert isinstance(connection, Request)
        # Kept for the page that asks to sign in: what was written must not be lost.
        form = connection.scope["state"]["form"] = await connection.form()
    if not is_open_to(visitor.actor, action):
        raise Forbidden(visitor.actor, action, None)
    if is_form:
        expected = csrf_of(visitor.session or visitor.visit)
        sent = str(form.get(CSRF_FIELD, ""))
        if not expected or not hmac.compare_digest(sent.encode(), expected.encode()):
            raise StaleForm("the form belongs to another session; open the page again.")


def is_from_here(request: AnyRequest) -> bool:
    """Tell whether the browser says that one of our own pages sent this request."""
    site = request.headers.get("sec-fetch-site", "")
    if site:
        return site == "same-origin"
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc == request.headers.get("host", "")


def safe_path(path: str) -> str:
    """Return a path of this site that a link may lead back to, "/" for anything else."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and "\\" not in path
    return path if fine and path.isprintable() else "/"


def _on_forbidden(request: AnyRequest, error: Forbidden) -> Response[Any]:
    visitor = visitor_of(request)
    if visitor.actor.is_signed_in:
        is_for = sorted(role.value for role in ACCESS.get(error.action, frozenset()))
        return page(
            request, "error.html", status_code=403, code_name="forbidden", is_for=is_for, detail=""
        )
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method in SAFE_METHODS:
        return Redirect(f"/login?next={quote(path, safe='')}", status_code=303)
    carried: dict[str, str] = {}
    if is_from_here(request):
        form = request.scope["state"].get("form", {})
        carried = {
            key: one for key in form if key != CSRF_FIELD and isinstance(one := form[key], str)
        }
    return page(request, "login.html", status_code=401, next=path, carried=carried, problem="ended")


def _on_stale_form(request: AnyRequest, error: StaleForm) -> Response[Any]:
    return page(request, "error.html", status_code=403, code_name="stale_form", detail="")


def _on_missing(request: AnyRequest, error: Exception) -> Response[Any]:
    return page(request, "error.html", status_code=404, code_name="missing", detail="")


def _on_input(request: AnyRequest, error: InputError) -> Response[Any]:
    return page(request, "error.html", status_code=400, code_name="input", detail=str(error))


def _on_disk(request: AnyRequest, error: DriverError) -> Response[Any]:
    log.error("%s %s: %s", request.method, request.url.path, error)
    return page(request, "error.html", status_code=507, code_name="broken", detail="")


def _on_conflict(request: AnyRequest, error: ConflictError) -> Response[Any]:
    return page(request, "error.html", status_code=409, code_name="conflict", detail="")


def _on_ledger(request: AnyRequest, error: LedgerError) -> Response[Any]:
    log.error("%s %s: %s", request.method, request.url.path, error)
    return page(request, "error.html", status_code=503, code_name="not_written", detail="")


def _on_http(request: AnyRequest, error: HTTPException) -> Response[Any]:
    if isinstance(error, (NotAuthorizedException, PermissionDeniedException)):
        return page(
            request,
            "error.html",
            status_code=error.status_code,
            code_name="forbidden",
            is_for=(),
            detail="",
        )
    codes = {404: "missing", 405: "missing", 413: "too_large"}
    code = codes.get(error.status_code, "input" if error.status_code < 500 else "broken")
    return page(request, "error.html", status_code=error.status_code, code_name=code, detail="")


def _on_anything(request: AnyRequest, error: Exception) -> Response[Any]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return page(request, "error.html", status_code=500, code_name="broken", detail="")


ERROR_PAGES: dict[Any, Any] = {
    Forbidden: _on_forbidden,
    StaleForm: _on_stale_form,
    MissingPage: _on_missing,
    InputError: _on_input,
    DriverError: _on_disk,
    ConflictError: _on_conflict,
    LedgerError: _on_ledger,
    HTTPException: _on_http,
    Exception: _on_anything,
}
