"""The server's end of a WebSocket, as much of it as a terminal needs.

Source:
    RFC 6455: section 4.2.2 (the handshake), 5.2 (frames), 5.4 (fragments), 5.5 (control frames).
"""

import base64
import contextlib
import hashlib
from asyncio import IncompleteReadError, StreamReader
from collections.abc import AsyncIterator

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
# A person pastes; more than this at once is no person.
MESSAGE_BYTES_MAX = 1 << 20
CONTROL_BYTES_MAX = 125
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_word(key: str) -> str:
    """Return what answers a client's ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()


def frame(kind: int, content: bytes) -> bytes:
    """Return a whole message as one frame; a server's are not masked."""
    size = len(content)
    if size < 126:
        head = bytes((0x80 | kind, size))
    elif size < 1 << 16:
        head = bytes((0x80 | kind, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 127)) + size.to_bytes(8, "big")
    return head + content


async def messages(reader: StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Yield (kind, content) of each message and of each control frame, until the line is over.

    What breaks the protocol or is too large ends it as well.
    """
    kind, content = 0, b""
    with contextlib.suppress(IncompleteReadError, OSError):
        while True:
            first, second = await reader.readexactly(2)
            is_last, opcode, size = bool(first & 0x80), first & 0x0F, second & 0x7F
            if size >= 126:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
            is_control = opcode >= CLOSE
            most = CONTROL_BYTES_MAX if is_control else MESSAGE_BYTES_MAX - len(content)
            # Bits of no extension that was agreed on; a client must mask.
            if first & 0x70 or not second & 0x80 or size > most or (is_control and not is_last):
                return
            mask = await reader.readexactly(4)
            part = _unmasked(await reader.readexactly(size), mask)
            if is_control:
                yield opcode, part
                continue
            if (opcode == 0) != bool(kind):
                return
            kind, content = kind or opcode, content + part
            if is_last:
                yield kind, content
                kind, content = 0, b""


def _unmasked(content: bytes, mask: bytes) -> bytes:
    size = len(content)
    if not size:
        return b""
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(content, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")
