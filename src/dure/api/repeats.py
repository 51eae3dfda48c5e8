"""The Idempotency-Key: the same request sent twice is done once and answered alike.

Answers are remembered here for a day, so that a client which lost the answer gets it again. What
must survive a restart (a job taken, an application handed in) is remembered by the services under
the same key.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from litestar import Request, Response

from dure.api.caller import actor_of
from dure.api.problems import ProblemError

HEADER = "idempotency-key"
KEY_LENGTH_MAX = 255
KEPT_MAX = 10_000
AnyRequest = Request[Any, Any, Any]


@dataclass(slots=True)
class _Kept:
    fingerprint: str
    response: Response[Any] | None = None


class Repeats:
    """Answers by (caller, address, key); the oldest are forgotten first."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._lock = Lock()

    def once(
        self, request: AnyRequest, body: bytes, act: Callable[[str], Response[Any]]
    ) -> Response[Any]:
        """Run ``act(key)`` unless this key was answered before.

        Raises:
            ProblemError: 400 without a key, 409 while the first is still running, 422 if the key
                came with another body.
        """
        key = request.headers.get(HEADER, "")
        if not 1 <= len(key) <= KEY_LENGTH_MAX:
            title = f"Send an Idempotency-Key of 1 to {KEY_LENGTH_MAX} characters."
            raise ProblemError(400, "idempotency-key-missing", title)
        actor = actor_of(request)
        place = (actor.user, request.url.path, key)
        fingerprint = hashlib.sha256(body).hexdigest()
        with self._lock:
            known = self._kept.get(place)
            if known is not None:
                return _again(known, fingerprint)
            mine = self._kept[place] = _Kept(fingerprint)
            if len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]
        try:
            # The services keep keys of all callers together, so the caller's name goes with it.
            mine.response = act(f"{actor.user}:{key}")
        except BaseException:
            with self._lock:
                self._kept.pop(place, None)
            raise
        return mine.response


def _again(known: _Kept, fingerprint: str) -> Response[Any]:
    if known.fingerprint != fingerprint:
        title = "This Idempotency-Key came with another request before."
        raise ProblemError(422, "idempotency-key-reused", title)
    if known.response is None:
        title = "The first request with this Idempotency-Key is still running."
        raise ProblemError(409, "idempotency-key-running", title)
    return known.response
