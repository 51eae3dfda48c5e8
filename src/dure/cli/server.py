"""The web server: pages and API behind one port, run by the thread that calls it."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import uvicorn
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from dure.api.application import make_app
from dure.api.site_routes import make_agents_app
from dure.api.stream import listeners_of
from dure.core.addresses import is_loopback
from dure.core.errors import InputError
from dure.portal.site import make_site
from dure.services.desks import Services
from dure.services.sites import SitesDesk

PORT = 8470
# An open page holds a line for live figures; it is not waited for longer than this on the way out.
GOODBYE_S = 2
API_PATHS = ("/api/", "/healthz", "/metrics")


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate and its key; without them the server stays on this machine."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server listens: beyond this machine only with a certificate, or behind a proxy on
    this machine that speaks TLS (then on loopback).

    Raises:
        InputError: if ``host`` can be reached from elsewhere and nothing protects passwords.
    """

    host: str = "127.0.0.1"
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and self.tls is None:
            raise InputError(
                "--host",
                found=self.host,
                expected="an address of this machine only (127.0.0.1)",
                next_step="Give --certificate and --certificate-key, or put a proxy with TLS in "
                "front.",
            )

    @classmethod
    def of(cls, host: str, certificate: Path | None, key: Path | None) -> "Door":
        """Return the door that options name. Raises InputError if they fit no door."""
        if (certificate is None) != (key is None):
            raise InputError(
                "--certificate",
                found="one of the two files",
                expected="--certificate and --certificate-key together",
            )
        tls = Tls(certificate, key) if certificate is not None and key is not None else None
        if tls is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
            except OSError as wrong:
                raise InputError(
                    "--certificate", found=str(wrong), expected="a certificate and its key in PEM"
                ) from wrong
        return cls(host, tls)

    def url(self, port: int) -> str:
        """Return the address under which it is reached."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"

    def config(self, app: ASGIApp, port: int, *, is_behind_proxy: bool = False) -> uvicorn.Config:
        """Return how to serve an application here."""
        return uvicorn.Config(
            app,
            host=self.host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=GOODBYE_S,
            proxy_headers=is_behind_proxy,
            ssl_certfile=str(self.tls.certificate) if self.tls else None,
            ssl_keyfile=str(self.tls.key) if self.tls else None,
        )


class Server(uvicorn.Server):
    """Ends the open lines of live figures and sessions before it waits for requests to finish."""

    def __init__(self, config: uvicorn.Config, api: Litestar, sites: SitesDesk) -> None:
        super().__init__(config)
        self._listeners, self._sites = listeners_of(api.state), sites

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, let what is open finish, stop."""
        self._listeners.is_closing = True
        self._sites.end_lines()
        await super().shutdown(sockets)


def make_server(
    services: Services,
    door: Door | None = None,
    *,
    port: int = PORT,
    is_behind_proxy: bool = False,
) -> Server:
    """Make a server; ``run()`` serves in the calling thread until ``should_exit`` is set.

    Args:
        door: where to listen; this machine alone without one.
        is_behind_proxy: believe the proxy's word for the caller's address and the scheme.
    """
    door = door or Door()
    is_secure = door.tls is not None or is_behind_proxy
    api = make_app(services, is_secure=is_secure)
    site = make_site(services, is_secure=is_secure)
    config = door.config(front_door(api, site), port, is_behind_proxy=is_behind_proxy)
    return Server(config, api, services.sites)


@contextmanager
def serving_agents(sites: SitesDesk, door: Door, listener: socket.socket) -> Iterator[None]:
    """Let agents in, and nobody else, for as long as the block runs; the listener stays open."""
    app = make_agents_app(sites)
    server = uvicorn.Server(door.config(app, listener.getsockname()[1]))
    # A server closes what it was given.
    ours = listener.dup()
    thread = Thread(target=lambda: server.run(sockets=[ours]), name="dure-agents", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(2 * GOODBYE_S)


def serve(services: Services, *, host: str = "127.0.0.1", port: int = PORT) -> None:
    """Serve pages and API until the process is told to stop."""
    make_server(services, Door(host), port=port).run()


def front_door(api: Litestar, site: Litestar) -> ASGIApp:
    """Join the two applications: the API's paths to one, everything else to the other."""

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        # No websockets, and nothing to do at start and end.
        if scope["type"] != ScopeType.HTTP:
            return
        app = api if scope["path"].startswith(API_PATHS) else site
        await app(scope, receive, send)

    return door
