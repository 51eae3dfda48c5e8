"""Long lists in parts: an opaque cursor, and the next part's address in the ``Link`` header."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response

from dure.api.problems import ProblemError

LIMIT, LIMIT_MAX = 100, 1000
AnyRequest = Request[Any, Any, Any]
Row = TypeVar("Row")
Shown = TypeVar("Shown")


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where the last part ended: its place, and the name that stood there."""

    place: int
    name: str


def listing(
    request: AnyRequest,
    rows: Sequence[Row],
    name_of: Callable[[Row], str],
    show: Callable[[Row], Shown],
) -> Response[list[Shown]]:
    """Return the part of ``rows`` that ``?cursor=`` and ``?limit=`` name.

    The cursor remembers the last name shown, so that a list which grew or shrank in between is
    taken up again behind that name.
    """
    limit = _limit(request.query_params.get("limit", str(LIMIT)))
    first = _first(rows, name_of, request.query_params.get("cursor", ""))
    part = rows[first : first + limit]
    headers = {"Cache-Control": "no-store"}
    if first + limit < len(rows):
        cursor = _written(_Cursor(first + limit - 1, name_of(part[-1])))
        kept = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
        query = urlencode([*kept, ("cursor", cursor)])
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Response([show(row) for row in part], headers=headers)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= LIMIT_MAX:
        raise ProblemError(400, "invalid", f"limit is {text[:20]!r}; expected 1 to {LIMIT_MAX}.")
    return int(text)


def _first(rows: Sequence[Row], name_of: Callable[[Row], str], text: str) -> int:
    if not text:
        return 0
    cursor = _read(text)
    if 0 <= cursor.place < len(rows) and name_of(rows[cursor.place]) == cursor.name:
        return cursor.place + 1
    for place, row in enumerate(rows):
        if name_of(row) == cursor.name:
            return place + 1
    # What stood there is gone: go on at the same place.
    return min(max(cursor.place, 0), len(rows))


def _written(cursor: _Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read(text: str) -> _Cursor:
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(packed, type=_Cursor)
    except (binascii.Error, ValueError) as error:
        raise ProblemError(400, "invalid", "The cursor cannot be read; start without one.") from (
            error
        )
