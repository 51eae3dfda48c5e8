"""Who comes in: each request is refused, answered by the door itself, or let through to its job.

The door speaks for one origin a session, ``JOB.HOST``. In its origin lie three kinds of paths: the
way in (``/.dure/enter/TOKEN``), files of ours for the terminal's page (``/.dure/static/NAME``), and
everything else, which is the session's.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from urllib.parse import parse_qs, urlsplit

from dure.core.site_words import NoLine
from dure.portal.public_pages import CONTENT_TYPES
from dure.portal.render import SECURITY_HEADERS, bare_page, static_files
from dure.portal.sessions.headers import Field, cookies_named
from dure.portal.visitor import LANG_COOKIE, preferred
from dure.reports.formats import LANGS, Lang
from dure.services.browser_words import host_cookie
from dure.services.interactive import ENTER, Admitted, Interactive
from dure.services.people import SESSION_S
from dure.services.ports import Line

STATIC = "/.dure/static/"
TTY = "/tty"
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
# Whoever was let in is not asked about again for so long.
ASKED_S = 3.0
REMEMBERED_MAX = 1_000
# A session that does not listen yet is tried again by the page itself.
AGAIN_S = "2"
FROM_ELSEWHERE = ("cross-site", "same-site")


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body; ``fields`` have small names."""

    method: str
    target: str
    fields: Sequence[Field]

    def field(self, name: str) -> str:
        """Return a field, "" if it is not there; of several, all with commas between them."""
        wanted = name.encode()
        return ", ".join(value.decode("latin-1") for key, value in self.fields if key == wanted)

    @property
    def is_websocket(self) -> bool:
        return self.method == "GET" and self.field("upgrade").lower() == "websocket"

    @property
    def lang(self) -> Lang:
        chosen = [one for one in LANGS if one in cookies_named(self.fields, LANG_COOKIE)]
        return chosen[0] if chosen else preferred(self.field("accept-language"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door says itself."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Through:
    """The request is let through to this job, for as long as ``Door.admits`` says so."""

    job: str
    cookies: tuple[str, ...]


class Door:
    """Decides on each request. Every method may wait for the ledger."""

    def __init__(self, interactive: Interactive) -> None:
        address = interactive.address
        assert address is not None, "a door has an address"
        self._interactive, self._address = interactive, address
        self.cookie = host_cookie("dure_admission", is_secure=address.is_secure)
        self._lock = Lock()
        self._asked: dict[tuple[str, str], tuple[float, Admitted | None]] = {}

    def decide(self, head: Head) -> Answer | Through:
        """Answer a request, or let it through."""
        host = head.field("host")
        job = self._address.job_at(host)
        if not job or not head.target.startswith("/") or head.method not in METHODS:
            return self._note(head, 404, "nothing")
        path = urlsplit(head.target).path
        if path.startswith(ENTER):
            return self._enter(head, job, path.removeprefix(ENTER))
        if path.startswith(STATIC):
            return _static(path.removeprefix(STATIC))
        if not self._is_from_here(head):
            return self._note(head, 403, "elsewhere")
        cookies = tuple(cookies_named(head.fields, self.cookie)[:4])
        found = self.admits(Through(job, cookies))
        if found is None:
            return self._note(head, 401, "unknown")
        if found.kind == "shell" and path != TTY:
            return self._terminal(head, job) if path == "/" else self._note(head, 404, "nothing")
        return Through(job, cookies)

    def admits(self, wish: Through) -> Admitted | None:
        """Tell whom a request's cookies let in now, give or take ``ASKED_S``."""
        for cookie in wish.cookies:
            key, now_s = (wish.job, cookie), time.monotonic()
            with self._lock:
                asked_s, found = self._asked.get(key, (float("-inf"), None))
            if now_s - asked_s > ASKED_S:
                found = self._interactive.admitted(wish.job, cookie)
                with self._lock:
                    if len(self._asked) >= REMEMBERED_MAX:
                        self._asked.clear()
                    self._asked[key] = (now_s, found)
            if found is not None:
                return found
        return None

    def line(self, job: str) -> Line | NoLine | None:
        """Return a stream to a session; None if it does not listen (yet). May take seconds."""
        return self._interactive.line(job)

    def without_line(self, head: Head, why: NoLine | None) -> Answer:
        """Return the page that comes again by itself until there is a line to the session."""
        word = "not_yet" if why is None else why.value
        return self._note(head, 503, word, **{"Refresh": AGAIN_S, "Retry-After": AGAIN_S})

    def broken(self, head: Head) -> Answer:
        """Return what is said of a session that does not answer as it should."""
        return self._note(head, 502, "broken")

    def _enter(self, head: Head, job: str, token: str) -> Answer:
        # A link is followed by a person: no script, no picture and no frame may use it up.
        is_page = head.field("sec-fetch-dest") in ("", "document")
        cookie = self._interactive.enter(job, token) if head.method == "GET" and is_page else None
        if cookie is None:
            return self._note(head, 403, "link_is_over")
        secure = "; Secure" if self._address.is_secure else ""
        fields = {
            **_HEADERS,
            "Location": "/",
            "Set-Cookie": f"{self.cookie}={cookie}; Path=/; Max-Age={SESSION_S}; HttpOnly; "
            f"SameSite=Lax{secure}",
        }
        lang = parse_qs(urlsplit(head.target).query).get("lang", [""])[0]
        if lang in LANGS:
            fields["Location"] = f"/?lang={lang}"
        return Answer(303, fields)

    def _is_from_here(self, head: Head) -> bool:
        """Tell whether a request comes of this very origin, or is a person who follows a link.

        The cookie comes with requests that pages of other sessions make, where they are of one
        site; and a WebSocket is open to every page of the world but for its ``Origin``.
        """
        scheme = "https" if self._address.is_secure else "http"
        own = f"{scheme}://{head.field('host').lower()}"
        origin, site = head.field("origin").lower(), head.field("sec-fetch-site")
        if head.is_websocket:
            return origin == own
        is_safe = head.method in ("GET", "HEAD")
        if origin and origin != own:
            return False
        if site in FROM_ELSEWHERE:
            dest, mode = head.field("sec-fetch-dest"), head.field("sec-fetch-mode")
            return is_safe and (mode, dest) == ("navigate", "document")
        # Whoever changes something says where it comes from: every browser of today does.
        return is_safe or bool(origin) or site == "same-origin"

    def _terminal(self, head: Head, job: str) -> Answer:
        line = self.line(job)
        if line is None or isinstance(line, NoLine):
            # A node may take seconds to begin; a page of ours would say that its line was lost.
            return self.without_line(head, line)
        os.close(line.descriptor)
        host = head.field("host").lower()
        socket = f"{'wss' if self._address.is_secure else 'ws'}://{host}"
        wish = parse_qs(urlsplit(head.target).query).get("lang", [""])[0]
        lang = next((one for one in LANGS if one == wish), head.lang)
        policy = _HEADERS["Content-Security-Policy"] + f"; connect-src 'self' {socket}"
        page = bare_page("terminal.html", lang, job=job, static=_static_href)
        return _html(200, page, {"Content-Security-Policy": policy})

    def _note(self, head: Head, status: int, word: str, **fields: str) -> Answer:
        page = bare_page("session_note.html", head.lang, word=word)
        return _html(status, page, fields)


_HEADERS: Mapping[str, str] = {
    **SECURITY_HEADERS,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _html(status: int, page: str, fields: Mapping[str, str]) -> Answer:
    kind = {"Content-Type": "text/html; charset=utf-8"}
    return Answer(status, {**_HEADERS, **kind, **fields}, page.encode())


def _static_href(name: str) -> str:
    return f"{STATIC}{name}?v={static_files()[name][1]}"


def _static(name: str) -> Answer:
    known = static_files().get(name)
    if known is None:
        return Answer(404, _HEADERS)
    kind = {"Content-Type": CONTENT_TYPES[name.rsplit(".", 1)[-1]]}
    return Answer(200, {**_HEADERS, **kind, "Cache-Control": "private, max-age=3600"}, known[0])
