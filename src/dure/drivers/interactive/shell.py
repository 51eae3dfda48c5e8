"""A terminal that people reach through the portal: one shell, seen by whoever has its page open.

What the door lets through asks for a WebSocket: what is typed comes as binary messages, the size
of the window as text, ``{"rows": 24, "cols": 80}``. What the shell prints goes out as binary
messages, and as text what a person should know: ``{"ends_at_s": ..., "stop_by_s": ...}``, both in
epoch seconds, the latter 0 unless the job was told to leave; ``{"is_over": true}`` at the end.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import termios
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

from dure.drivers.interactive import websocket
from dure.drivers.interactive.lines import listen

SHELL = "bash"
HEAD_BYTES_MAX = 16_384
READ_BYTES = 65_536
# What a page that is opened again is shown of what was printed before.
KEPT_BYTES = 1 << 18
PAGES_MAX = 16
# Who does not read for so long is let go, so that the shell is not held up for the others.
DRAIN_S = 10.0
LOOK_S = 1.0
GOODBYE_S = 2.0
SIZE_MAX = 1_000


def run(folder: str, inside: tuple[str, ...], *, ends_at_s: float) -> int:
    """Run a shell and serve it until it ends or its time is up; return the exit code."""
    return asyncio.run(_Terminal(ends_at_s).serve(folder, inside))


class _Terminal:
    def __init__(self, ends_at_s: float) -> None:
        self._ends_at_s = int(ends_at_s)
        self._stop_by_s = 0
        self._master, self._pid = -1, 0
        self._kept = bytearray()
        self._pages: dict[StreamWriter, asyncio.Task[None]] = {}

    async def serve(self, folder: str, inside: tuple[str, ...]) -> int:
        listener = listen(folder)
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            listener.close()
            _become_shell(inside)
        os.set_blocking(self._master, False)
        server = await asyncio.start_unix_server(
            self._serve_page, sock=listener, limit=HEAD_BYTES_MAX
        )
        watching = asyncio.create_task(self._watch())
        printing = asyncio.create_task(self._print())
        await asyncio.wait((watching, printing), return_when=asyncio.FIRST_COMPLETED)
        # Its terminal may close before a shell is gone, and stay open after it.
        status = await watching
        printing.cancel()
        await self._tell({"is_over": True})
        server.close()
        if served := tuple(self._pages.values()):
            for page in tuple(self._pages):
                page.close()
            await asyncio.wait(served, timeout=GOODBYE_S)
        if status is None:
            os.kill(self._pid, signal.SIGHUP)
            return 0
        # A shell ends with what its last command ended with, which is no mistake of the session.
        code = os.waitstatus_to_exitcode(status)
        return code if code in (126, 127) else 0 if code >= 0 else 128 - code

    async def _print(self) -> None:
        """Pass on what the shell prints until it has ended."""
        while True:
            await self._ready(asyncio.get_running_loop().add_reader, is_reader=True)
            try:
                content = os.read(self._master, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not content:
                return
            self._kept += content
            del self._kept[:-KEPT_BYTES]
            await self._send(websocket.frame(websocket.BINARY, content))

    async def _watch(self) -> int | None:
        """Tell of a notice once it is there; return how the shell ended, None if time is up."""
        notice = os.environ.get("DURE_NOTICE", "")
        while time.time() < self._ends_at_s:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                return status
            with contextlib.suppress(OSError, ValueError), open(notice, encoding="ascii") as file:
                stop_by_s = int(file.read(32))
                if stop_by_s != self._stop_by_s:
                    self._stop_by_s = stop_by_s
                    await self._tell(self._times())
            await asyncio.sleep(LOOK_S)
        return None

    async def _serve_page(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = _key_of(head)
            if not key or len(self._pages) >= PAGES_MAX:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + websocket.accept_word(key).encode() + b"\r\n\r\n"
            )
            told = json.dumps(self._times()).encode()
            writer.write(websocket.frame(websocket.TEXT, told))
            writer.write(websocket.frame(websocket.BINARY, bytes(self._kept)))
            served = asyncio.current_task()
            assert served is not None
            self._pages[writer] = served
            await self._take(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._pages.pop(writer, None)
            writer.close()

    async def _take(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Type what a page sends."""
        async for kind, content in websocket.messages(reader):
            if kind == websocket.BINARY:
                await self._type(content)
            elif kind == websocket.TEXT:
                self._resize(content)
            elif kind == websocket.PING:
                writer.write(websocket.frame(websocket.PONG, content))
            elif kind == websocket.CLOSE:
                writer.write(websocket.frame(websocket.CLOSE, content[:2]))
                return

    async def _type(self, content: bytes) -> None:
        while content:
            try:
                content = content[os.write(self._master, content) :]
            except BlockingIOError:
                await self._ready(asyncio.get_running_loop().add_writer, is_reader=False)

    def _resize(self, content: bytes) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            size = json.loads(content)
            rows, cols = (min(max(int(size[one]), 1), SIZE_MAX) for one in ("rows", "cols"))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    async def _ready(self, add: Callable[..., None], *, is_reader: bool) -> None:
        """Wait until the shell's terminal can be read, or written to."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        add(self._master, ready.set)
        try:
            await ready.wait()
        finally:
            (loop.remove_reader if is_reader else loop.remove_writer)(self._master)

    def _times(self) -> dict[str, object]:
        return {"ends_at_s": self._ends_at_s, "stop_by_s": self._stop_by_s}

    async def _tell(self, words: dict[str, object]) -> None:
        await self._send(websocket.frame(websocket.TEXT, json.dumps(words).encode()))

    async def _send(self, frame: bytes) -> None:
        """Send to every page; the shell waits for the slowest, and not for long."""
        for page in tuple(self._pages):
            page.write(frame)
        for page in tuple(self._pages):
            try:
                await asyncio.wait_for(page.drain(), DRAIN_S)
            except (OSError, TimeoutError):
                self._pages.pop(page, None)
                page.transport.abort()


def _key_of(head: bytes) -> str:
    """Return the key of a request for a WebSocket, "" of any other."""
    request, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): text.strip() for name, _, text in (one.partition(":") for one in lines)}
    is_one = request.startswith("GET /tty ") and fields.get("upgrade", "").lower() == "websocket"
    return fields.get("sec-websocket-key", "") if is_one else ""


def _become_shell(inside: tuple[str, ...]) -> None:
    """Turn this child into the shell; never returns."""
    argv = [*inside, SHELL]
    prompt = f"{os.environ.get('DURE_JOB', 'dure')}:\\w\\$ "
    try:
        os.execvpe(argv[0], argv, {"PS1": prompt, **os.environ, "TERM": "xterm-256color"})
    except OSError as wrong:
        os.write(2, f"dure: {argv[0]}: {wrong.strerror}\r\n".encode())
    os._exit(127)
