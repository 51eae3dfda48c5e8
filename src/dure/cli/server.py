"""The web server: pages and API behind one port, run by the thread that calls it."""

import socket
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from dure.api.application import make_app
from dure.api.stream import listeners_of
from dure.cli.addresses import is_loopback
from dure.core.errors import InputError
from dure.portal.site import make_site
from dure.services.desks import Services

PORT = 8470
# An open page holds a line for live figures; it is not waited for longer than this on the way out.
GOODBYE_S = 2
API_PATHS = ("/api/", "/healthz", "/metrics")


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate and its key; without them the server stays on this machine."""

    certificate: Path
    key: Path


class Server(uvicorn.Server):
    """Ends the open lines of live figures before it waits for requests to finish."""

    def __init__(self, config: uvicorn.Config, api: Litestar) -> None:
        super().__init__(config)
        self._listeners = listeners_of(api.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, let what is open finish, stop."""
        self._listeners.is_closing = True
        await super().shutdown(sockets)


def make_server(
    services: Services,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    tls: Tls | None = None,
    is_behind_proxy: bool = False,
) -> Server:
    """Make a server; ``run()`` serves in the calling thread until ``should_exit`` is set.

    Args:
        host: where to listen. Beyond this machine only with ``tls``, or behind a proxy on this
            machine that speaks TLS (then listen on loopback).
        is_behind_proxy: believe the proxy's word for the caller's address and the scheme.

    Raises:
        InputError: if ``host`` can be reached from elsewhere and nothing protects passwords.
    """
    if not is_loopback(host) and tls is None:
        raise InputError(
            "--host",
            found=host,
            expected="an address of this machine only (127.0.0.1)",
            next_step="Give a certificate, or put a proxy with TLS in front.",
        )
    api = make_app(services)
    site = make_site(services, is_secure=tls is not None or is_behind_proxy)
    config = uvicorn.Config(
        front_door(api, site),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GOODBYE_S,
        proxy_headers=is_behind_proxy,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
    )
    return Server(config, api)


def serve(services: Services, *, host: str = "127.0.0.1", port: int = PORT) -> None:
    """Serve pages and API until the process is told to stop."""
    make_server(services, host=host, port=port).run()


def front_door(api: Litestar, site: Litestar) -> ASGIApp:
    """Join the two applications: the API's paths to one, everything else to the other."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        # No websockets, and nothing to do at start and end.
        if scope["type"] != ScopeType.HTTP:
            return
        app = api if scope["path"].startswith(API_PATHS) else site
        await app(scope, receive, send)

    return door
