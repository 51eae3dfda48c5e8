"""``dure up``: the whole platform in one process; ``dure passwd``: a new password."""

import errno
import gc
import logging
import signal
import socket
import time
from contextlib import nullcontext
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from dure.cli import up_options as options
from dure.cli.ledger import DEFAULT_DATA, DataOption, DbOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dure.app.agent import AgentSettings
    from dure.app.assemble import Platform
    from dure.app.imagined_pool import Begin, Scenario
    from dure.app.ledgers import Ledgers
    from dure.app.settings import Settings
    from dure.cli.server import Door
    from dure.ledger.lease import Lease
    from dure.services.ports import Ledger
    from dure.services.publishing import Publisher
    from dure.services.sites import Sites

HOST = "127.0.0.1"
BACKLOG = 128
AWAIT_S = 0.2
ALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


def register(app: typer.Typer) -> None:
    """Add the commands to ``dure``."""
    app.command()(up)
    app.command()(passwd)


def up(
    data: DataOption = DEFAULT_DATA,
    port: options.PortOption = 8470,
    host: options.HostOption = HOST,
    scenario: options.ScenarioOption = "founding",
    speed: options.SpeedOption = 3600,
    slots: options.SlotsOption = None,
    backend: options.BackendOption = "local",
    allocate: options.AllocateOption = None,
    project_quota: options.QuotaOption = "100G",
    db: DbOption = "",
    role: options.RoleOption = "all",
    meter: options.MeterOption = "built-in",
    certificate: options.CertificateOption = None,
    certificate_key: options.CertificateKeyOption = None,
    reach: options.ReachOption = 30,
    server: options.ServerOption = None,
    site: options.SiteOption = "",
    key_file: options.KeyFileOption = None,
    ca_file: options.CaFileOption = None,
    smtp: options.SmtpOption = "",
    smtp_password_file: options.SmtpPasswordFileOption = None,
    mail_from: options.MailFromOption = "",
    public_url: options.PublicUrlOption = "",
    sessions_port: options.SessionsPortOption = 0,
    sessions_url: options.SessionsUrlOption = "",
) -> None:
    """Start the platform on this machine and serve it until it is stopped."""
    from dure.app.agent import AgentSettings
    from dure.app.settings import AGENT, Settings
    from dure.cli.server import Door
    from dure.core.errors import DureError

    _log_to_stderr()
    try:
        if role == AGENT:
            urls = tuple(url.rstrip("/") for url in server or [])
            _serve_site(AgentSettings(data, urls, site, key_file, ca_file, backend, slots, meter))
            return
        settings = Settings(
            data,
            scenario,
            speed,
            slots,
            _allocations(allocate or []),
            db=db,
            role=role,
            backend=backend,
            project_quota_bytes=_quota_bytes(project_quota),
            meter=meter,
            reach_s=reach,
            smtp=smtp,
            smtp_password_file=smtp_password_file,
            mail_from=mail_from,
            public_url=public_url,
            sessions_url=sessions_url.rstrip("/"),
        )
        _run(settings, Door.of(host, certificate, certificate_key), port, sessions_port)
    except DureError as wrong:
        typer.echo(f"dure up: {wrong}", err=True)
        raise typer.Exit(1) from None


def _run(settings: "Settings", door: "Door", port: int, sessions_port: int) -> None:
    """Serve, or only plan; who plans for sites with agents has a door for these."""
    from dure.app.settings import AGENTS
    from dure.cli.sessions_door import sessions_listener

    if settings.serves:
        with (
            _listening(door.host, port) as listener,
            sessions_listener(
                settings, door, port=port, sessions_port=sessions_port, listening=_listening
            ) as (reached, sessions),
        ):
            _serve(reached, door, listener, sessions)
    elif settings.backend == AGENTS:
        with _listening(door.host, port) as listener:
            _plan(settings, door, listener)
    else:
        _plan(settings, door, None)


def passwd(
    who: Annotated[
        str, typer.Argument(metavar="USER", help="A user, or a role of the first ones.")
    ],
    data: DataOption = DEFAULT_DATA,
    db: DbOption = "",
) -> None:
    """Make a new password for an account and show it once; a running service takes it up."""
    from dure.app.assemble import PEOPLE, close_all, open_people
    from dure.app.ledgers import ledgers_of
    from dure.core.errors import DureError
    from dure.services.first_accounts import renew_password
    from dure.services.ports import Ledger

    ledgers: list[Ledger] = []
    try:
        lying = ledgers_of(data, db)
        if not lying.has(PEOPLE):
            place = "that database" if db else data
            typer.echo(f"dure passwd: {place}: no platform was started there yet.", err=True)
            raise typer.Exit(1)
        people, *_ = open_people(data, lying, ledgers)
        renewed = renew_password(people, who)
    except DureError as wrong:
        typer.echo(f"dure passwd: {wrong}", err=True)
        raise typer.Exit(1) from None
    finally:
        close_all(ledgers)
    if renewed is None:
        typer.echo(
            f"dure passwd: there is no account {who!r}; expected a user or a role.", err=True
        )
        raise typer.Exit(1)
    user, password = renewed
    typer.echo(f"{user}  {password}")


def _log_to_stderr() -> None:
    """Let what goes wrong be seen, a line each with its moment, whatever the web server sets up."""
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    ours = logging.getLogger("dure")
    ours.addHandler(lines)
    ours.setLevel(logging.WARNING)
    ours.propagate = False


def _allocations(pairs: list[str]) -> dict[str, int]:
    """Read PROJECT=SLOTS pairs."""
    from dure.core.errors import InputError
    from dure.core.orders import JOB_ID

    found: dict[str, int] = {}
    for pair in pairs:
        project, _, size = pair.rpartition("=")
        fine = JOB_ID.fullmatch(project) and size.isascii() and size.isdigit() and len(size) < 6
        if not fine or project in found:
            raise InputError(
                "--allocate", found=repr(pair[:80]), expected="PROJECT=SLOTS, each once"
            )
        found[project] = int(size)
    return found


def _quota_bytes(text: str) -> int:
    """Read ``100G``, ``1.5T`` or ``512M``, each 1,024 of the one below."""
    from dure.services.requests.values import memory_mib

    return memory_mib(text, "--project-quota", unit="G") << 20


def _listening(host: str, port: int) -> socket.socket:
    """Take the port before anything else, so that a second start fails at once."""
    from dure.core.errors import InputError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol's own number: only then asyncio sends small pieces at once. Else the end of
    # each answer on an open line waits 40 ms for the word that its beginning came.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Who was accepted and vanished is noticed within a minute, on lines where nobody speaks.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ALIVE:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as wrong:
        listener.close()
        if wrong.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        raise InputError(
            f"port {port}" if wrong.errno != errno.EADDRNOTAVAIL else f"--host {host}",
            found={errno.EADDRINUSE: "it in use", errno.EACCES: "no right to it"}.get(
                wrong.errno, "no such address here"
            ),
            expected="a free port of this machine",
            next_step="Stop what uses it, or choose another --port.",
        ) from wrong
    return listener


def _serve(
    settings: "Settings", door: "Door", listener: socket.socket, sessions: socket.socket | None
) -> None:
    from dure.cli.server import make_server
    from dure.cli.sessions_door import serving_sessions

    platform = _assembled(settings, door, listener)
    try:
        server = make_server(platform.services, door, port=listener.getsockname()[1])
        # The server passes a signal on when it has ended; ours ends nothing, so that all is closed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        platform.start()
        _greet(platform, settings, door.url(listener.getsockname()[1]))
        if not server.should_exit:
            with serving_sessions(platform.services.interactive, door, sessions):
                server.run(sockets=[listener])
    finally:
        platform.close()
    typer.echo("stopped; jobs that run go on, and the next start takes them up.")


def _assembled(settings: "Settings", door: "Door", listener: socket.socket | None) -> "Platform":
    from dure.app.assemble import assemble
    from dure.app.warming import is_compiled, warm_engine
    from dure.cli.server import serving_agents

    if not is_compiled():
        typer.echo("compiling the engine, once; this takes a minute or two ...")
    warm_engine()

    def await_sites(sites: "Sites") -> None:
        if listener is not None and (lacking := sites.lacking()):
            typer.echo(f"waiting for the agents of {', '.join(lacking)} to say what they have ...")
            with serving_agents(sites, door, listener):
                while sites.lacking():
                    time.sleep(AWAIT_S)

    # What a long ledger leaves in memory stays there: looking through it for garbage, while it is
    # read and ever after, would only make everybody wait.
    gc.disable()
    try:
        return assemble(settings, begin=_begin(settings), await_sites=await_sites)
    finally:
        gc.freeze()
        gc.enable()


def _plan(settings: "Settings", door: "Door", listener: socket.socket | None) -> None:
    """Run the engines alone until the process is told to stop; portals serve what they decide.

    Args:
        listener: where agents come in, if the pool has any.
    """
    from dure.cli.server import serving_agents

    stop = Event()
    platform = _assembled(settings, door, listener)
    agents = serving_agents(platform.services.sites, door, listener) if listener else nullcontext()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        platform.start()
        with agents:
            pools = ", ".join(platform.services.pools)
            typer.echo(f"Dure {platform.services.version}  engine of {pools}")
            stop.wait()
    finally:
        platform.close()
    typer.echo("stopped; jobs that run go on, and the engine that follows takes them up.")


def _serve_site(settings: "AgentSettings") -> None:
    """Run a site's agent until the process is told to stop."""
    import dure
    from dure.app.agent import assemble_agent

    stop = Event()
    agent = assemble_agent(settings)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        agent.start()
        gpus = int(agent.backend.pool.gpus.sum())
        typer.echo(f"Dure {dure.__version__}  agent of {settings.site}")
        typer.echo(f"  {gpus:,} {agent.backend.summary}; orders from {', '.join(settings.servers)}")
        stop.wait()
    finally:
        agent.close()
    typer.echo("stopped; jobs that run go on, and the next start takes them up.")


def _begin(settings: "Settings") -> "Begin | None":
    """Return what plays the founding scenario, None where it is not wanted."""
    from dure.app.settings import FOUNDING

    if settings.scenario != FOUNDING:
        return None
    from dure.cli.progress import time_passing
    from dure.twin import founding as twin

    class Begin:
        """Brings the founding scenario, and tells a person who waits how far it has come."""

        def __call__(
            self,
            ledgers: "Ledgers",
            *,
            lease: "Lease | None",
            followers: "Mapping[str, Publisher]",
        ) -> "Scenario":
            from_s, to_s = twin.OPERATION_S, twin.FOUNDING_TO_S
            with time_passing("the founding scenario", from_s, to_s) as tell:
                return twin.begin_founding(ledgers, lease=lease, followers=followers, tell=tell)

        def is_begun(self, ledger: "Ledger") -> bool:
            return twin.is_begun(ledger)

    return Begin()


def _greet(platform: "Platform", settings: "Settings", url: str) -> None:
    """Print the address and, at the first start, how to sign in."""
    from dure.services.first_accounts import first_accounts

    backend, services = platform.here.backend, platform.services
    typer.echo(f"Dure {services.version}  {url}")
    for name, desk in services.pools.items():
        view = desk.view()
        what = "simulated GPUs" if view.imagined else backend.summary
        typer.echo(f"  pool {name}: {view.gpus:,} {what}")
    if backend.note:
        typer.echo(f"  {backend.note}")
    if settings.sessions_url:
        typer.echo(f"  sessions: {settings.sessions_url}")
    if platform.has_people:
        typer.echo("  accounts are as they were; a new password: dure passwd USER (or a role)")
        return
    projects = [*settings.allocations, *(row.project for row in services.programme.projects()[:1])]
    providers = [row.provider for row in next(iter(services.pools.values())).view().supply]
    typer.echo("  first accounts (shown this once; a new password: dure passwd USER):")
    for role, user, password in first_accounts(
        services.people, projects=projects, provider=providers[0]
    ):
        typer.echo(f"    {role:<10} {user:<10} {password}")
