"""The running service as the command line sees it: requests, lists in parts, errors in one line."""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from dure.cli.output import StopError, catalogue_has, say, stop, words
from dure.cli.session import checked_url, token_for
from dure.core.addresses import is_loopback

TIMEOUT_S = 60.0
PART_ROWS = 1000
# A request with an idempotency key may be sent again when its answer was lost.
TRIES, RETRY_S = 3, 0.5
# The server could not read what the user wrote: wrong input, not a refusal.
UNREADABLE = ("unreadable", "invalid", "too-large")


class UnreachableError(StopError):
    """Nothing answers, or what answers is broken off."""


class ProblemAnswerError(StopError):
    """The service said no; ``problem`` is its stable code."""

    def __init__(self, text: str, *, problem: str, code: int = 1) -> None:
        super().__init__(text, code=code)
        self.problem = problem


class MissingError(ProblemAnswerError):
    """It does not exist, or may not be seen."""


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a list; ``has_more`` if it goes on."""

    rows: list[dict[str, Any]]
    has_more: bool


class Service:
    """A running Dure. Every method raises StopError with one line for the user."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = checked_url(url)
        token = token_for(self.url) if token is None else token
        self.is_here = is_loopback(urlsplit(self.url).hostname or "")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=TIMEOUT_S,
            # A proxy of the environment has no business between a machine and itself.
            trust_env=not self.is_here,
            headers={"authorization": f"Bearer {token}"} if token else {},
        )

    def get(self, path: str, /, **query: str | int) -> Any:
        """Return the document at ``/api/v1`` + path."""
        return _document(self._send("GET", path, query), self.url)

    def get_file(self, path: str, **query: str | int) -> bytes:
        """Return a file as it is."""
        return self._send("GET", path, query).content

    def rows(self, path: str, /, *, limit: int = 0, **query: str | int) -> Part:
        """Return the first ``limit`` rows of a listing; 0 for all of them."""
        size = min(limit, PART_ROWS) if limit else PART_ROWS
        answer = self._send("GET", path, {**query, "limit": size})
        rows = list(_document(answer, self.url))
        while (link := answer.links.get("next")) and (not limit or len(rows) < limit):
            answer = self._request("GET", str(link["url"]), {})
            rows += _document(answer, self.url)
        return Part(rows[: limit or None], "next" in answer.links or 0 < limit < len(rows))

    def post(self, path: str, body: Any, *, key: str = "", **query: str) -> Any:
        """Send a document; one with ``key`` is sent again if its answer is lost."""
        headers = {"idempotency-key": key} if key else {}
        for left in reversed(range(TRIES if key else 1)):
            try:
                answer = self._send("POST", path, query, json=body, headers=headers)
                return _document(answer, self.url)
            except UnreachableError as lost:
                if not left or isinstance(lost.__cause__, httpx.ConnectError):
                    raise
                time.sleep(RETRY_S * (TRIES - left))
        raise AssertionError("the last try returned or raised")

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        wait_s: float = TIMEOUT_S,
        **more: Any,
    ) -> httpx.Response:
        """Send anything to ``/api/v1`` + path; ``wait_s`` for an answer that takes its time."""
        timeout = httpx.Timeout(TIMEOUT_S, read=wait_s)
        return self._send(method, path, query or {}, timeout=timeout, **more)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Get a file piece by piece; a line that breaks raises UnreachableError."""
        try:
            with self._http.stream("GET", f"/api/v1{path}", headers=headers) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _as_error(answer, self.url)
                yield answer
        except httpx.HTTPError as wrong:
            why = str(wrong) or type(wrong).__name__
            raise UnreachableError(say("error.lost", url=self.url, why=why)) from wrong

    def upload(self, path: str, content: bytes, **query: str) -> Any:
        """Send a file as it is."""
        headers = {"content-type": "application/octet-stream"}
        answer = self._send("POST", path, query, content=content, headers=headers)
        return _document(answer, self.url)

    def _send(self, method: str, path: str, query: Any, **more: Any) -> httpx.Response:
        kept = {name: value for name, value in query.items() if value != ""}
        return self._request(method, f"/api/v1{path}", kept, **more)

    def _request(self, method: str, address: str, query: Any, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, address, params=query or None, **more)
        except httpx.ConnectError as wrong:
            raise UnreachableError(say("error.no_service", url=self.url)) from wrong
        except httpx.HTTPError as wrong:
            why = str(wrong) or type(wrong).__name__
            raise UnreachableError(say("error.lost", url=self.url, why=why)) from wrong
        if answer.status_code >= 400:
            raise _as_error(answer, self.url)
        return answer


def path_of(*parts: str) -> str:
    """Join the parts of a path; a name with a slash or a question mark stays one part."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def new_key() -> str:
    """Return a key by which the service knows one wish, however often it is sent."""
    return uuid.uuid4().hex


def _document(answer: httpx.Response, url: str) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise stop("not_dure", url=url) from None


def _as_error(answer: httpx.Response, url: str) -> StopError:
    """Turn an answer that says no into one line."""
    try:
        problem = answer.json()
        code, title = str(problem["code"]), str(problem["title"])
    except (ValueError, KeyError, TypeError):
        return stop("not_dure", url=url)
    fields = [_field(one) for one in problem.get("errors", ())]
    sentence = words(f"cli.problem.{code.replace('-', '_')}", otherwise=title, url=url)
    detail = str(problem.get("detail", ""))
    text = " ".join(part for part in (sentence, *fields, detail) if part)
    if code == "not-found":
        return MissingError(text, problem=code)
    return ProblemAnswerError(text, problem=code, code=2 if code in UNREADABLE else 1)


def _field(problem: dict[str, Any]) -> str:
    """Return what is wrong with one field, by its name in the file."""
    code, field = str(problem["code"]), str(problem["field"])
    numbers = problem.get("numbers", {})
    for family in ("problem", "whyshort"):
        if catalogue_has(f"{family}.{code}"):
            sentence = words(f"{family}.{code}", otherwise=code, **numbers)
            break
    else:
        told = ", ".join(f"{name} {value}" for name, value in numbers.items())
        sentence = f"{code} ({told})" if told else code
    return f"{field}: {sentence}" if field else sentence
