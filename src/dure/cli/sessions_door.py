"""The door of interactive sessions beside the web server: its port, its address, its life."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dure.cli.server import Door
from dure.core.addresses import is_loopback
from dure.core.errors import InputError

if TYPE_CHECKING:
    from dure.app.settings import Settings
    from dure.services.interactive import Address, Interactive

PORT_MAX = 65_535
Listening = Callable[[str, int], socket.socket]


@contextmanager
def sessions_listener(
    settings: "Settings", door: Door, *, port: int, sessions_port: int, listening: Listening
) -> "Iterator[tuple[Settings, socket.socket | None]]":
    """Take the sessions' port; give the settings with the address where people reach them.

    Without ``--sessions-url`` that is a name of this very machine, so there is a door only where
    the pages are this machine's alone as well.

    Args:
        port: of the pages. sessions_port: 0 for the next after it, or any, where that is taken.

    Raises:
        InputError: if an address cannot be one of sessions, or the port that is wished is taken.
    """
    from dure.app.settings import AGENTS
    from dure.services.interactive import Address

    pages = urlsplit(settings.public_url).hostname or door.host
    is_ours_alone = is_loopback(door.host) and is_loopback(pages) and door.tls is None
    # Agents speak to whoever leads, so a portal alone has no lines to sessions at their sites.
    has_lines = settings.backend != AGENTS or settings.plans
    if not has_lines or not (settings.sessions_url or is_ours_alone):
        yield replace(settings, sessions_url=""), None
        return
    if settings.sessions_url:
        _require_apart(Address(settings.sessions_url), pages, door)
    with _taken(door.host, port, sessions_port, listening) as listener:
        own = f"http://*.localhost:{listener.getsockname()[1]}"
        yield replace(settings, sessions_url=settings.sessions_url or own), listener


@contextmanager
def serving_sessions(
    interactive: "Interactive", door: Door, listener: socket.socket | None
) -> Iterator[None]:
    """Let people into their sessions for as long as the block runs."""
    from dure.portal.sessions.server import SessionServer

    if listener is None:
        yield
        return
    tls = None
    if door.tls is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(door.tls.certificate, door.tls.key)
    server = SessionServer(interactive, listener, tls)
    server.start()
    try:
        yield
    finally:
        server.stop()


def _taken(host: str, port: int, sessions_port: int, listening: Listening) -> socket.socket:
    try:
        return listening(host, sessions_port or (port + 1 if port < PORT_MAX else 0))
    except InputError as wrong:
        if sessions_port:
            raise InputError(
                f"--sessions-port {sessions_port}",
                found=wrong.found,
                expected=wrong.expected,
                next_step="Stop what uses it, or choose another.",
            ) from wrong
        return listening(host, 0)


def _require_apart(address: "Address", pages: str, door: Door) -> None:
    """Refuse addresses under which a session's pages would be of the portal's own origin or read
    what it says in clear.
    """
    if address.job_at(pages):
        raise InputError(
            "--sessions-url",
            found=f"{address.url}, which the pages' own host {pages} fits as well",
            expected="hosts for sessions alone, best of a domain of their own",
        )
    if door.tls is not None and not address.is_secure:
        raise InputError("--sessions-url", found=address.url, expected="https, as for the pages")
