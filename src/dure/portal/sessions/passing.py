"""One connection of a browser: requests one after the other, each passed on as the door decides.

Heads are read and written anew on both sides (h11), so that both agree on where a request ends; a
WebSocket's bytes pass as they are once both sides have agreed on one.
"""

import asyncio
import contextlib
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import h11

from dure.core.site_words import NoLine
from dure.portal.sessions import headers
from dure.portal.sessions.door import Answer, Door, Head, Through
from dure.services.ports import Line

# A head that is not whole by then is refused, one that is may be as long as a read.
HEAD_BYTES_MAX = 32 * 1024
READ_BYTES = 64 * 1024
# For the next request of an open connection; for a peer that takes or gives the rest of one.
NEXT_S, STALL_S = 60.0, 120.0
HANDSHAKE_S = 10.0
# Long ones are asked about again and again: whoever may not stay has to go.
RECHECK_S = 5.0


class Broken(Exception):
    """The other side fell silent or spoke nonsense."""


@dataclass(slots=True)
class Side:
    """One of the two connections: its state by the protocol, and its stream."""

    state: h11.Connection
    reader: StreamReader
    writer: StreamWriter

    async def next(self, within_s: float | None) -> h11.Event | None:
        """Return the next event, None if the protocol is to be switched. Raises Broken."""
        try:
            while (event := self.state.next_event()) is h11.NEED_DATA:
                self.state.receive_data(
                    await asyncio.wait_for(self.reader.read(READ_BYTES), within_s)
                )
            return event if isinstance(event, h11.Event) else None
        except (h11.RemoteProtocolError, OSError, TimeoutError) as wrong:
            raise Broken from wrong

    async def send(self, event: h11.Event) -> None:
        """Send an event. Raises Broken."""
        try:
            if content := self.state.send(event):
                self.writer.write(content)
                await asyncio.wait_for(self.writer.drain(), STALL_S)
        except (h11.LocalProtocolError, OSError, TimeoutError) as wrong:
            raise Broken from wrong

    async def copy_to(self, other: "Side") -> None:
        """Pass bytes on as they come, beginning with those read too far."""
        content = self.state.trailing_data[0]
        while True:
            if content:
                other.writer.write(content)
                # Python 3.11's wait_for may swallow that we are cancelled.
                async with asyncio.timeout(STALL_S):
                    await other.writer.drain()
            content = await self.reader.read(READ_BYTES)
            if not content:
                return


class Passing:
    """Serves one connection until either side has enough."""

    def __init__(self, door: Door, reader: StreamReader, writer: StreamWriter) -> None:
        state = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._door, self._browser = door, Side(state, reader, writer)

    async def serve(self) -> None:
        with contextlib.suppress(Broken, OSError, TimeoutError):
            while await self._serve_one():
                self._browser.state.start_next_cycle()

    async def _serve_one(self) -> bool:
        """Serve a request; True if another may follow."""
        try:
            event = await self._browser.next(NEXT_S)
        except Broken:
            if self._browser.state.our_state is h11.SEND_RESPONSE:
                await self._say(Answer(400, {}))
            return False
        if not isinstance(event, h11.Request):
            return False
        head = Head(event.method.decode(), event.target.decode("latin-1"), tuple(event.headers))
        decided = await asyncio.to_thread(self._door.decide, head)
        if isinstance(decided, Through):
            answer = await self._pass(event, head, decided)
        else:
            answer = decided
        if answer is not None:
            await self._say(answer, without_body=head.method == "HEAD")
        states = self._browser.state.states
        if set(states.values()) == {h11.DONE}:
            return True
        # A small body that nobody wanted is read to its end, any other ends the connection.
        return answer is not None and await self._is_read_out()

    async def _is_read_out(self) -> bool:
        for _ in range(4):
            if self._browser.state.their_state is not h11.SEND_BODY:
                break
            await self._browser.next(NEXT_S)
        return set(self._browser.state.states.values()) == {h11.DONE}

    async def _say(self, answer: Answer, *, without_body: bool = False) -> None:
        fields = [(name.encode(), value.encode("latin-1")) for name, value in answer.fields.items()]
        fields.append((b"Content-Length", str(len(answer.body)).encode()))
        await self._browser.send(h11.Response(status_code=answer.status, headers=fields))
        if answer.body and not without_body:
            await self._browser.send(h11.Data(data=answer.body))
        await self._browser.send(h11.EndOfMessage())

    async def _pass(self, request: h11.Request, head: Head, to: Through) -> Answer | None:
        """Pass a request on and its answer back; return what to say if there is none."""
        line = await asyncio.to_thread(self._door.line, to.job)
        if line is None or isinstance(line, NoLine):
            return self._door.without_line(head, line)
        try:
            session = await _side(line)
        except (OSError, TimeoutError):
            return self._door.broken(head)
        try:
            fields = headers.going_in(request.headers, is_websocket=head.is_websocket)
            await session.send(
                h11.Request(method=request.method, target=request.target, headers=fields)
            )
            await self._while_admitted(to, lambda: self._exchange(session, head))
        except Broken:
            if self._browser.state.our_state is h11.SEND_RESPONSE:
                return self._door.broken(head)
            raise
        finally:
            session.writer.close()
        return None

    async def _while_admitted(self, to: Through, act: Callable[[], Awaitable[None]]) -> None:
        """Do something for as long as its visitor is let in."""
        acting = asyncio.ensure_future(act())
        try:
            while not (await asyncio.wait((acting,), timeout=RECHECK_S))[0]:
                if await asyncio.to_thread(self._door.admits, to) is None:
                    raise Broken
            acting.result()
        finally:
            acting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Broken, OSError, TimeoutError):
                await acting

    async def _exchange(self, session: Side, head: Head) -> None:
        if head.is_websocket:
            # Its answer may switch the protocol only once the request is at its end.
            await self._send_body(session)
            await self._send_answer(session)
            return
        sending = asyncio.create_task(self._send_body(session))
        try:
            await self._send_answer(session)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Broken):
                await sending

    async def _send_body(self, session: Side) -> None:
        if self._browser.state.they_are_waiting_for_100_continue:
            await self._browser.send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            event = await self._browser.next(STALL_S)
            if not isinstance(event, (h11.Data, h11.EndOfMessage)):
                return
            # Trailers belong to the connection.
            await session.send(event if isinstance(event, h11.Data) else h11.EndOfMessage())
            if isinstance(event, h11.EndOfMessage):
                return

    async def _send_answer(self, session: Side) -> None:
        while True:
            event = await session.next(None)
            match event:
                case h11.InformationalResponse(status_code=101):
                    fields = headers.switching(event.headers)
                    await self._browser.send(
                        h11.InformationalResponse(status_code=101, headers=fields)
                    )
                    await self._join(session)
                    return
                case h11.InformationalResponse():
                    continue
                case h11.Response():
                    fields = headers.going_out(event.headers)
                    await self._browser.send(
                        h11.Response(status_code=event.status_code, headers=fields)
                    )
                case h11.Data():
                    await self._browser.send(event)
                case h11.EndOfMessage():
                    await self._browser.send(h11.EndOfMessage())
                    return
                case _:
                    raise Broken

    async def _join(self, session: Side) -> None:
        """Pass the bytes of a WebSocket on in both directions until one side ends."""
        both = [
            asyncio.create_task(self._browser.copy_to(session)),
            asyncio.create_task(session.copy_to(self._browser)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        raise Broken


async def _side(line: Line) -> Side:
    """Return the session's side of a line. Raises OSError if it is not who it should be."""
    stream = socket.socket(fileno=line.descriptor)
    if line.tls is None:
        reader, writer = await asyncio.open_connection(sock=stream)
    else:
        reader, writer = await asyncio.open_connection(
            sock=stream, ssl=line.tls, server_hostname="", ssl_handshake_timeout=HANDSHAKE_S
        )
    return Side(h11.Connection(h11.CLIENT), reader, writer)
