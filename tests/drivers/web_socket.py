"""The client's end of a WebSocket over any stream, for tests; as plain as the protocol allows."""

import os
import socket
from collections.abc import Mapping

from dure.drivers.interactive.websocket import BINARY, TEXT, accept_word

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WAIT_S = 20.0


class WebSocket:
    """A line after its handshake; ``status`` is what the handshake was answered with."""

    def __init__(self, line: socket.socket, path: str, fields: Mapping[str, str]) -> None:
        self._line, self._read = line, b""
        line.settimeout(WAIT_S)
        told = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": KEY,
            "Sec-WebSocket-Version": "13",
            **fields,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        line.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        while b"\r\n\r\n" not in self._read and (more := line.recv(65_536)):
            self._read += more
        self.head, _, self._read = self._read.partition(b"\r\n\r\n")
        self.status = int(self.head.split(b" ")[1])
        assert self.status != 101 or accept_word(KEY).encode() in self.head

    def send(self, content: bytes, kind: int = BINARY) -> None:
        size, mask = len(content), os.urandom(4)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        masked = bytes(one ^ mask[at % 4] for at, one in enumerate(content))
        self._line.sendall(bytes([0x80 | kind]) + length + mask + masked)

    def send_raw(self, content: bytes) -> None:
        self._line.sendall(content)

    def next(self) -> tuple[int, bytes]:
        """Return the next frame, (0, b"") once the line is over."""
        try:
            first, second = self._exactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            return first & 0x0F, self._exactly(size)
        except (OSError, ValueError):
            return 0, b""

    def until(self, words: bytes, kind: int = BINARY) -> bytes:
        """Read frames of a kind until these words have come; fail if the line ends before."""
        found = b""
        while words not in found:
            opcode, content = self.next()
            assert opcode, f"the line ended after {found!r}"
            found += content if opcode == kind else b""
        return found

    def is_over(self) -> bool:
        """Read to the end of the line."""
        while self.next()[0]:
            pass
        return True

    def close(self) -> None:
        self._line.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            more = self._line.recv(65_536)
            if not more:
                raise ValueError("the line is over")
            self._read += more
        content, self._read = self._read[:size], self._read[size:]
        return content


__all__ = ["BINARY", "TEXT", "WebSocket"]
