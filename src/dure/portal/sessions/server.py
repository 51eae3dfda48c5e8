"""The sessions' own listener, served by a thread of its own: people's traffic holds up no page."""

import asyncio
import contextlib
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

from dure.portal.sessions.door import Door
from dure.portal.sessions.passing import HEAD_BYTES_MAX, Passing
from dure.services.interactive import Interactive

CONNECTIONS_MAX = 1_000
START_S_MAX, STOP_S_MAX = 5.0, 5.0
# Some of them wait for lines that a site has to open; the others must not wait with them.
THREADS_MAX = 64


class SessionServer:
    """Serves sessions between ``start`` and ``stop``.

    Args:
        interactive: has an address.
        listener: listens already; it stays the caller's.
        tls: to speak https.
    """

    def __init__(
        self, interactive: Interactive, listener: socket.socket, tls: ssl.SSLContext | None = None
    ) -> None:
        self._door, self._listener, self._tls = Door(interactive), listener, tls
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="dure-sessions", daemon=True)
        self._is_serving = Event()
        self._is_over = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Return once it serves."""
        self._thread.start()
        self._is_serving.wait(START_S_MAX)

    def stop(self) -> None:
        """End every connection, and the thread; once more, it waits for the same end."""
        if self._thread.is_alive():
            # Another stop may have closed the loop since.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._is_over.set)
            self._thread.join(STOP_S_MAX)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        threads = ThreadPoolExecutor(THREADS_MAX, "dure-sessions")
        self._loop.set_default_executor(threads)
        server = self._loop.run_until_complete(
            # A server closes what it was given.
            asyncio.start_server(
                self._serve, sock=self._listener.dup(), limit=HEAD_BYTES_MAX, ssl=self._tls
            )
        )
        self._loop.call_soon(self._is_serving.set)
        self._loop.run_until_complete(self._is_over.wait())
        server.close()
        for task in self._open:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.gather(*self._open, return_exceptions=True))
        threads.shutdown(wait=False)
        self._loop.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            await Passing(self._door, reader, writer).serve()
        except asyncio.CancelledError:
            # The server ends; asyncio would print it otherwise.
            pass
        finally:
            self._open.discard(task)
            writer.close()
