"""The door of sessions over real sockets, and behind it an application that means no good."""

import json
import socket
import socketserver
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import httpx

from dure.cli.up import _listening
from dure.core.site_words import NoLine
from dure.drivers.interactive.lines import Line
from dure.drivers.interactive.websocket import accept_word
from dure.portal.sessions.server import SessionServer
from dure.services.access import Actor
from dure.services.desks import Services
from dure.services.interactive import Address, Interactive, Link
from dure.services.views import JobRow, JobStory
from tests.drivers.web_socket import WebSocket
from tests.portal.filled import FixedClock
from tests.portal.filled_here import FilledPool, here_view
from tests.portal.filled_programme import filled_people_and_admissions, filled_services

OWNER, COLLEAGUE = "kang.min", "seo.yun"
HOSTILE = {
    "Set-Cookie": "dure_session=stolen; Path=/; Domain=test",
    "Clear-Site-Data": '"*"',
    "Strict-Transport-Security": "max-age=1; includeSubDomains",
    "Access-Control-Allow-Origin": "*",
    "X-Accel-Redirect": "/secret",
    "Referrer-Policy": "unsafe-url",
    "X-Frame-Options": "ALLOWALL",
    "Alt-Svc": 'h3=":1"',
}
COOKIES = (
    "theirs=1; Path=/x; Domain=sessions.test; HttpOnly",
    "DURE_Session=x",
    " dure_admission =x",
    "__Host-dure_admission=x; Secure; Path=/",
    "__Secure-dure_session=x; Secure",
    "dure_session",
)


class Hostile(BaseHTTPRequestHandler):
    """Tells what it was sent, and says whatever could hurt the portal."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            self._echo()
        elif self.path == "/broken":
            self.wfile.write(b"HTTP/1.1 two hundred\r\n\r\n")
        elif self.path == "/chunks":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        else:
            self._tell(b"")

    def do_POST(self) -> None:
        is_in_chunks = "Transfer-Encoding" in self.headers
        size = int(self.headers.get("Content-Length") or 0)
        self._tell(self._chunks() if is_in_chunks else self.rfile.read(size))

    def do_HEAD(self) -> None:
        self._tell(b"")

    def _chunks(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _tell(self, body: bytes) -> None:
        told = {"target": self.path, "fields": self.headers.items(), "bytes": len(body)}
        content = json.dumps(told).encode()
        self.send_response(200)
        for name, value in HOSTILE.items():
            self.send_header(name, value)
        for cookie in COOKIES:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _echo(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Set-Cookie: dure_session=stolen\r\nSec-WebSocket-Accept: "
            + accept_word(self.headers["Sec-WebSocket-Key"]).encode()
            + b"\r\n\r\n"
        )
        while content := self.connection.recv(65_536):
            # Frames of a client are masked, those of a server are not: told as they came, in one.
            self.connection.sendall(bytes((0x82, len(content))) + content)
        self.close_connection = True

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class SessionPool(FilledPool):
    """A pool with sessions: ``rows`` may be changed, ``reach`` is the way to each."""

    def __init__(
        self, reach: Callable[[str], Line | NoLine | None], *, kind: str = "jupyter"
    ) -> None:
        super().__init__(here_view(), takes_jobs=True)
        row = replace(here_view().jobs.row(0), interactive=kind)
        self.rows: dict[str, JobRow] = {
            "here-1": replace(row, job="here-1", user=OWNER, project="p-2026-1-0003"),
            "here-2": replace(row, job="here-2", user=COLLEAGUE, project="p-2026-1-0003"),
            "here-3": replace(row, job="here-3", user=OWNER, interactive=""),
            "here-4": replace(row, job="here-4", user=OWNER, state="PENDING"),
        }
        self.shown = replace(self.shown, story=self._story)
        self.line = reach  # type: ignore[method-assign]

    def _story(self, job: str) -> JobStory | None:
        return JobStory(self.rows[job], (), {}) if job in self.rows else None


class SessionWorld:
    """A door over a pool; behind it the hostile application, or whatever ``reach`` leads to."""

    def __init__(
        self,
        reach: Callable[[str], Line | NoLine | None] | None = None,
        *,
        kind: str = "jupyter",
        address: str = "http://*.sessions.test:8471",
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dure-door-")
        place = str(Path(self._folder.name) / "app.sock")
        self._app = _Server(place, Hostile)
        Thread(target=self._app.serve_forever, args=(0.02,), daemon=True).start()

        def hostile(job: str) -> Line | None:
            line = socket.socket(socket.AF_UNIX)
            line.connect(place)
            return Line(line.detach())

        self.clock = FixedClock()
        self.pool = SessionPool(reach or hostile, kind=kind)
        filled = filled_services(self.clock)
        pools = {**filled.pools, "here": self.pool}
        people, self.admissions = filled_people_and_admissions(self.clock)
        interactive = Interactive(pools, people, self.admissions, Address(address))
        self.services: Services = replace(
            filled, pools=pools, people=people, interactive=interactive
        )
        self._listener = _listening("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.server = SessionServer(interactive, self._listener)
        self.server.start()

    def close(self) -> None:
        self.server.stop()
        self._listener.close()
        self._app.shutdown()
        self._app.server_close()
        self._folder.cleanup()

    def actor(self, user: str) -> Actor:
        account = self.services.people.account(user)
        assert account is not None
        return account.actor()

    def link(self, user: str = OWNER, job: str = "here-1", sign_in: str = "") -> str:
        """Return the path of a link into a session."""
        found = self.services.interactive.open(self.actor(user), job, sign_in=sign_in)
        assert isinstance(found, Link), found
        return urlsplit(found.url).path

    def host(self, job: str = "here-1") -> str:
        return f"{job}.sessions.test:{self.port}"

    def client(self, job: str = "here-1", **fields: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"host": self.host(job), **fields},
            trust_env=False,
            timeout=20,
        )

    def cookie(self, user: str = OWNER, job: str = "here-1", sign_in: str = "") -> str:
        """Follow a link; return the cookie that came of it, as a browser sends it back."""
        with self.client(job) as client:
            answer = client.get(self.link(user, job, sign_in))
        assert answer.status_code == 303, answer.text
        return answer.headers["set-cookie"].split(";")[0]

    def socket(self, path: str, fields: Mapping[str, str], job: str = "here-1") -> WebSocket:
        line = socket.create_connection(("127.0.0.1", self.port))
        return WebSocket(line, path, {"Host": self.host(job), **fields})

    def raw(self, content: bytes) -> bytes:
        """Send bytes and read the answer until the door closes the line."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: line.recv(65_536), b""))
