"""Errors as RFC 9457 problems: a stable code, a sentence, and what is wrong field by field."""

import logging
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from dure.api.caller import actor_of
from dure.core.errors import ConflictError, DriverError, DureError, InputError, LedgerError
from dure.core.storage import FileError, FileRefusal, PartError
from dure.services.access import Forbidden
from dure.services.desks import Refused

log = logging.getLogger("dure.api")

MEDIA_TYPE = "application/problem+json"
# A full disk or a database that restarts: worth another try so many seconds later.
RETRY_S = "5"
AnyRequest = Request[Any, Any, Any]
Answer = TypeVar("Answer")


class FieldError(msgspec.Struct, frozen=True):
    """One field that is wrong; ``numbers`` fill the sentence of ``code``."""

    field: str
    code: str
    numbers: dict[str, int | str] = {}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457; ``code`` is stable, ``detail`` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str = ""
    errors: list[FieldError] = []


class ProblemError(DureError):
    """Something that is answered as a problem; raised by routes."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        detail: str = "",
        refused: Refused | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status, self.code, self.title, self.detail = status, code, title, detail
        problems = refused.problems if refused is not None else ()
        self.errors = [FieldError(one.field, one.code, dict(one.numbers)) for one in problems]


def missing(what: str) -> ProblemError:
    """Return the answer for what does not exist, or may not be seen: the same for both."""
    return ProblemError(404, "not-found", f"There is no such {what}, or it is not yours to see.")


def refused_as_problem(refused: Refused) -> ProblemError:
    return ProblemError(422, "refused", "It was not taken.", refused=refused)


def taken(answer: Answer | Refused) -> Answer:
    """Return what a desk answered; what it refused is raised as a problem."""
    if isinstance(answer, Refused):
        raise refused_as_problem(answer)
    return answer


def answer(request: AnyRequest, problem: Problem) -> Response[bytes]:
    """Return a problem as a response."""
    headers = {"Cache-Control": "no-store"}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="dure"'
    if problem.status == 503:
        headers["Retry-After"] = RETRY_S
    complete = msgspec.structs.replace(problem, instance=request.url.path)
    return Response(
        msgspec.json.encode(complete),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def make(status: int, code: str, title: str, detail: str = "") -> Problem:
    return Problem(f"urn:dure:problem:{code}", title, status, code, detail)


def _on_problem(request: AnyRequest, error: ProblemError) -> Response[bytes]:
    problem = make(error.status, error.code, error.title, error.detail)
    return answer(request, msgspec.structs.replace(problem, errors=error.errors))


def _on_forbidden(request: AnyRequest, error: Forbidden) -> Response[bytes]:
    if not actor_of(request).is_signed_in:
        title = "Sign in first: send a token as 'Authorization: Bearer ...'."
        return answer(request, make(401, "unauthenticated", title))
    return answer(request, make(403, "forbidden", "Your roles do not allow this.", str(error)))


def _on_file(request: AnyRequest, error: FileError) -> Response[bytes]:
    if error.refusal is FileRefusal.NOT_FOUND:
        return _on_problem(request, missing("file"))
    problem = make(422, "refused", "It was not done.")
    wrong = FieldError("", error.refusal.value, dict(error.numbers))
    return answer(request, msgspec.structs.replace(problem, errors=[wrong]))


def _on_part(request: AnyRequest, error: PartError) -> Response[bytes]:
    problem = make(409, "part-out-of-place", "The upload goes on at another byte.", str(error))
    wrong = FieldError("offset", "PartOutOfPlace", {"offset": error.offset})
    return answer(request, msgspec.structs.replace(problem, errors=[wrong]))


def _on_disk(request: AnyRequest, error: DriverError) -> Response[bytes]:
    log.error("%s %s: %s", request.method, request.url.path, error)
    return answer(request, make(507, "disk", "The disk or machine did not take it; try later."))


def _on_input(request: AnyRequest, error: InputError) -> Response[bytes]:
    return answer(request, make(422, "unreadable", "This cannot be read.", str(error)))


def _on_conflict(request: AnyRequest, error: ConflictError) -> Response[bytes]:
    title = "Something else was written meanwhile; nothing was changed. Send it again."
    return answer(request, make(409, "conflict", title))


def _on_ledger(request: AnyRequest, error: LedgerError) -> Response[bytes]:
    log.error("%s %s: %s", request.method, request.url.path, error)
    title = "It could not be written; nothing was changed. Send it again in a while, same key."
    return answer(request, make(503, "not-written", title))


def _on_validation(request: AnyRequest, error: ValidationException) -> Response[bytes]:
    return answer(request, make(400, "invalid", "The request is not valid.", error.detail))


def _on_http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    codes = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
    code = codes.get(error.status_code, "invalid" if error.status_code < 500 else "broken")
    return answer(request, make(error.status_code, code, error.detail.splitlines()[0][:200]))


def _on_anything(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(request, make(500, "broken", "Something went wrong on our side."))


HANDLERS: dict[Any, Any] = {
    ProblemError: _on_problem,
    Forbidden: _on_forbidden,
    FileError: _on_file,
    PartError: _on_part,
    DriverError: _on_disk,
    InputError: _on_input,
    ConflictError: _on_conflict,
    LedgerError: _on_ledger,
    ValidationException: _on_validation,
    HTTPException: _on_http,
    Exception: _on_anything,
}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the problem answers of a route for the OpenAPI document."""
    words = {
        400: "The request is not valid",
        401: "Not signed in",
        403: "Not allowed",
        404: "No such thing, or not yours to see",
        409: "Still running, or a conflict",
        413: "Too large",
        422: "Read, but not taken",
        429: "Too many attempts",
    }
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=words[status],
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status in statuses
    }
