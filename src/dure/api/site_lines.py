"""A line to a session at a site, joined: the agent's request on one side, a stream on the other."""

import asyncio
import contextlib
import os
import socket
from asyncio import StreamReader, StreamWriter, Timeout
from collections.abc import Mapping

from litestar.types import Receive, Scope, Send

from dure.core.site_words import LISTENS
from dure.services.sites import FetchedLine

# For the agent's first byte; for a side that takes nothing; for a line on which nobody speaks; for
# the last word.
FIRST_S, STALL_S, IDLE_S, GOODBYE_S = 10.0, 120.0, 3_600.0, 5.0
READ_BYTES = 65_536


class Joining:
    """The answer to an agent that came for a line: it lasts as long as the line.

    At most 64 KiB wait in each direction beside what the kernel holds; whoever sends faster waits.
    """

    def __init__(self, line: FetchedLine, fields: Mapping[str, str]) -> None:
        self._line = line
        # A proxy on the way must not collect what people type.
        told = {"content-type": "application/octet-stream", "x-accel-buffering": "no", **fields}
        self._head = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, as an ASGI application."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._head})
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(FIRST_S):
                    content, has_more = await _next(receive)
                listens = content[:1] == LISTENS
                if self._line.told(listens=listens) and listens and has_more:
                    await self._join(content[1:], receive, send)
            with contextlib.suppress(TimeoutError):
                await _end(receive, send)
        finally:
            self._line.over()

    async def _join(self, content: bytes, receive: Receive, send: Send) -> None:
        stream = socket.socket(fileno=os.dup(self._line.descriptor))
        reader, writer = await asyncio.open_connection(sock=stream)
        try:
            async with asyncio.timeout(IDLE_S) as idle:
                both = (
                    asyncio.create_task(_to_door(content, receive, writer, idle)),
                    asyncio.create_task(_to_agent(reader, send, idle)),
                )
                try:
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for one in both:
                        one.cancel()
                    await asyncio.gather(*both, return_exceptions=True)
        finally:
            writer.close()


async def _end(receive: Receive, send: Send) -> None:
    """End the answer; what the agent still says is read for nobody, so that it hears the end."""

    async def read_out() -> None:
        while (await _next(receive))[1]:
            pass

    reading = asyncio.create_task(read_out())
    try:
        async with asyncio.timeout(GOODBYE_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        reading.cancel()


async def _to_door(content: bytes, receive: Receive, writer: StreamWriter, idle: Timeout) -> None:
    has_more = True
    while True:
        if content:
            _moved(idle)
            writer.write(content)
            # Python 3.11's wait_for may swallow that we are cancelled.
            async with asyncio.timeout(STALL_S):
                await writer.drain()
        if not has_more:
            return
        content, has_more = await _next(receive)


async def _to_agent(reader: StreamReader, send: Send, idle: Timeout) -> None:
    while content := await reader.read(READ_BYTES):
        _moved(idle)
        async with asyncio.timeout(STALL_S):
            await send({"type": "http.response.body", "body": content, "more_body": True})


def _moved(idle: Timeout) -> None:
    idle.reschedule(asyncio.get_running_loop().time() + IDLE_S)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """Return a piece of the agent's body, and whether more of it may come."""
    message = await receive()
    if message["type"] != "http.request":
        return b"", False
    return message["body"], message["more_body"]
