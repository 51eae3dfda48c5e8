"""A site's side of lines to its sessions: each is opened towards the centre when it is called for.

The session's end is the one that the door has on the session's own machine; the other is a request
to the centre, HTTP/1.1, whose body and answer are the two directions of the line.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from threading import Thread
from typing import Protocol
from urllib.parse import urlsplit

import h11

from dure.core.sealing import BY_AGENT, BY_CENTRE, is_sealed, seal
from dure.core.site_words import LISTENS, NOBODY, Call, NoLine, line_words
from dure.drivers.centre import CONNECT_S_MAX, HEADER, HttpCentre

log = logging.getLogger("dure.sessions")

LINE = "dure-line"
LINES_MAX = 256
READ_BYTES = 65_536
HANDSHAKE_S, ANSWER_S_MAX, STALL_S, GOODBYE_S = 10.0, 10.0, 120.0, 5.0
STOP_S_MAX = 5.0
# Firewalls forget lines on which nobody speaks; a centre that vanished is noticed within a minute.
ALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class Opened(Protocol):
    """A stream to a session; see ``drivers.interactive.lines.Line``."""

    @property
    def descriptor(self) -> int: ...

    @property
    def tls(self) -> ssl.SSLContext | None: ...


Streams = tuple[StreamReader, StreamWriter]
Reach = Callable[[str, int], Opened | NoLine | None]


class SiteLines:
    """Opens lines in a thread of its own, until ``close``.

    Args:
        reach: the way to a session on the site; None if nobody listens there (yet).
    """

    def __init__(self, reach: Reach, centre: HttpCentre) -> None:
        self._reach, self._centre = reach, centre
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="dure-lines", daemon=True)
        self._thread.start()

    def open(self, call: Call) -> None:
        """Open a line; returns at once."""
        self._loop.call_soon_threadsafe(self._begin, call)

    def close(self) -> None:
        """End every line; sessions go on."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(STOP_S_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S_MAX)

    async def _end(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _begin(self, call: Call) -> None:
        if len(self._open) >= LINES_MAX:
            log.warning("job %s: %d lines are open, so no other is", call.job, len(self._open))
            return
        task = self._loop.create_task(self._serve(call))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, call: Call) -> None:
        session: Streams | None = None
        try:
            session = await self._session(call)
            await self._join(call, session)
        except (OSError, TimeoutError, h11.ProtocolError) as wrong:
            log.warning("job %s: a line to the centre ended: %r", call.job, wrong)
        finally:
            if session is not None:
                session[1].close()

    async def _session(self, call: Call) -> Streams | None:
        """Return the session's end, None if nobody listens there, or not who should."""
        line = await asyncio.to_thread(self._reach, call.job, call.attempt)
        if line is None or isinstance(line, NoLine):
            return None
        stream = socket.socket(fileno=line.descriptor)
        if line.tls is None:
            return await asyncio.open_connection(sock=stream)
        try:
            return await asyncio.open_connection(
                sock=stream, ssl=line.tls, server_hostname="", ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError as wrong:
            log.warning("job %s: its gate is not who it should be: %s", call.job, wrong)
            return None

    async def _join(self, call: Call, session: Streams | None) -> None:
        centre = await _AtCentre.reached(self._centre)
        try:
            await centre.ask(call.token, LISTENS if session else NOBODY)
            if session is None:
                await centre.end()
                return
            await centre.answered()
            both = (
                asyncio.create_task(centre.copy_from(session[0])),
                asyncio.create_task(centre.copy_to(session[1])),
            )
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if both[0].done() and both[0].exception() is None:
                    # What the session said last is heard before the line goes.
                    await asyncio.wait(both, timeout=GOODBYE_S)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            centre.close()


class _AtCentre:
    """The centre's end of one line: a request whose body goes on while its answer comes."""

    def __init__(self, centre: HttpCentre, url: str, streams: Streams) -> None:
        self._centre, self._url = centre, url
        self._reader, self._writer = streams
        self._state, self._words = h11.Connection(h11.CLIENT), b""

    @classmethod
    async def reached(cls, centre: HttpCentre) -> "_AtCentre":
        """Connect to the address that answered last. Raises OSError, TimeoutError."""
        url = centre.url
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        async with asyncio.timeout(CONNECT_S_MAX + HANDSHAKE_S):
            streams = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if is_tls else 80),
                ssl=centre.trusted if is_tls else None,
                ssl_handshake_timeout=HANDSHAKE_S if is_tls else None,
            )
        stream = streams[1].get_extra_info("socket")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ALIVE:
            stream.setsockopt(socket.IPPROTO_TCP, option, value)
        return cls(centre, url, streams)

    async def ask(self, token: str, first: bytes) -> None:
        """Come for the line of this token, and say whether anybody listens."""
        self._words = line_words(token)
        site, parts = self._centre.site, urlsplit(self._url)
        own = seal(self._centre.key, by=BY_AGENT, site=site, body=self._words)
        fields = {
            "host": parts.netloc,
            "content-type": "application/octet-stream",
            "transfer-encoding": "chunked",
            "connection": "close",
            HEADER: own,
            LINE: token,
        }
        target = f"{parts.path}/api/v1/sites/{site}/line"
        await self._send(h11.Request(method="POST", target=target, headers=list(fields.items())))
        await self._send(h11.Data(data=first))

    async def end(self) -> None:
        """Say that nothing more comes, and wait until that was heard."""
        await self._send(h11.EndOfMessage())
        await self.answered()

    async def answered(self) -> None:
        """Wait for the centre's word. Raises OSError unless it is the centre's, and yes."""
        async with asyncio.timeout(ANSWER_S_MAX):
            event = await self._next()
        if not isinstance(event, h11.Response) or event.status_code != 200:
            raise ConnectionError(f"the centre gives no line: {getattr(event, 'status_code', '')}")
        given = next((value for name, value in event.headers if name == HEADER.encode()), b"")
        if not is_sealed(
            self._centre.key,
            given.decode("latin-1"),
            by=BY_CENTRE,
            site=self._centre.site,
            body=self._words,
        ):
            raise ConnectionError("its answer has not the seal of this site's key")

    async def copy_from(self, session: StreamReader) -> None:
        """Send what a session says, to its end."""
        while content := await session.read(READ_BYTES):
            await self._send(h11.Data(data=content))
        await self._send(h11.EndOfMessage())

    async def copy_to(self, session: StreamWriter) -> None:
        """Tell a session what comes, to the end of the line."""
        while isinstance(event := await self._next(), h11.Data):
            session.write(event.data)
            await _drained(session)

    def close(self) -> None:
        self._writer.close()

    async def _next(self) -> object:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(await self._reader.read(READ_BYTES))
        return event

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._state.send(event) or b"")
        await _drained(self._writer)


async def _drained(writer: StreamWriter) -> None:
    # Python 3.11's wait_for may swallow that we are cancelled.
    async with asyncio.timeout(STALL_S):
        await writer.drain()
