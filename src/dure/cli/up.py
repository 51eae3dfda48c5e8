"""``dure up``: the whole platform in one process; ``dure passwd``: a new password."""

import errno
import gc
import logging
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dure.cli.ledger import DEFAULT_DATA, DataOption, DbOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dure.app.assemble import Platform
    from dure.app.imagined_pool import Begin, Scenario
    from dure.app.ledgers import Ledgers
    from dure.app.settings import Settings
    from dure.ledger.lease import Lease
    from dure.services.ports import Ledger
    from dure.services.publishing import Publisher

HOST = "127.0.0.1"
RoleOption = Annotated[
    str, typer.Option(help="all; or portal or engine beside others on the same --db.")
]
MeterOption = Annotated[
    str, typer.Option(help="built-in, or the address of a Prometheus with DCGM's names.")
]
SmtpOption = Annotated[
    str, typer.Option(metavar="URL", help="A mail server: smtp+starttls://user@host:587.")
]
SmtpPasswordFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Holds the password of its user.")
]
MailFromOption = Annotated[str, typer.Option(metavar="ADDRESS", help="Where mail comes from.")]
PublicUrlOption = Annotated[
    str, typer.Option(metavar="URL", help="Where people reach the pages, for links in mail.")
]
BACKLOG = 128


def register(app: typer.Typer) -> None:
    """Add the commands to ``dure``."""
    app.command()(up)
    app.command()(passwd)


def up(
    data: DataOption = DEFAULT_DATA,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where to serve.")] = 8470,
    scenario: Annotated[
        str, typer.Option(help="founding: an imagined nation beside this machine; empty.")
    ] = "founding",
    speed: Annotated[
        int, typer.Option(help="Seconds of the imagined pool in one of ours; 0 stands still.")
    ] = 3600,
    slots: Annotated[
        int | None, typer.Option(help="Count so many slots here, not GPUs or CPUs.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="What runs the pool here: local (this machine), or slurm.")
    ] = "local",
    allocate: Annotated[
        list[str] | None,
        typer.Option(metavar="PROJECT=SLOTS", help="A project's part of this machine; repeatable."),
    ] = None,
    project_quota: Annotated[
        str, typer.Option(metavar="SIZE", help="What a project's files may take.")
    ] = "100G",
    db: DbOption = "",
    role: RoleOption = "all",
    meter: MeterOption = "built-in",
    smtp: SmtpOption = "",
    smtp_password_file: SmtpPasswordFileOption = None,
    mail_from: MailFromOption = "",
    public_url: PublicUrlOption = "",
) -> None:
    """Start the platform on this machine and serve it until it is stopped."""
    from dure.app.settings import Settings
    from dure.core.errors import DureError

    _log_to_stderr()
    try:
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
            smtp=smtp,
            smtp_password_file=smtp_password_file,
            mail_from=mail_from,
            public_url=public_url,
        )
        if not settings.serves:
            _plan(settings)
            return
        with _listening(port) as listener:
            _serve(settings, listener)
    except DureError as wrong:
        typer.echo(f"dure up: {wrong}", err=True)
        raise typer.Exit(1) from None


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
        people, _ = open_people(lying, ledgers)
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


def _listening(port: int) -> socket.socket:
    """Take the port before anything else, so that a second start fails at once."""
    from dure.core.errors import InputError

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError as wrong:
        listener.close()
        if wrong.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise InputError(
            f"port {port}",
            found="it in use" if wrong.errno == errno.EADDRINUSE else "no right to it",
            expected="a free port",
            next_step="Stop what uses it, or choose another --port.",
        ) from wrong
    return listener


def _serve(settings: "Settings", listener: socket.socket) -> None:
    from dure.cli.server import make_server

    platform = _assembled(settings)
    try:
        server = make_server(platform.services, port=listener.getsockname()[1])
        # The server passes a signal on when it has ended; ours ends nothing, so that all is closed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        platform.start()
        _greet(platform, settings, listener.getsockname()[1])
        if not server.should_exit:
            server.run(sockets=[listener])
    finally:
        platform.close()
    typer.echo("stopped; jobs that run go on, and the next start takes them up.")


def _assembled(settings: "Settings") -> "Platform":
    from dure.app.assemble import assemble
    from dure.app.warming import is_compiled, warm_engine

    if not is_compiled():
        typer.echo("compiling the engine, once; this takes a minute or two ...")
    warm_engine()
    # What a long ledger leaves in memory stays there: looking through it for garbage, while it is
    # read and ever after, would only make everybody wait.
    gc.disable()
    try:
        return assemble(settings, begin=_begin(settings))
    finally:
        gc.freeze()
        gc.enable()


def _plan(settings: "Settings") -> None:
    """Run the engines alone until the process is told to stop; portals serve what they decide."""
    from threading import Event

    stop = Event()
    platform = _assembled(settings)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        platform.start()
        pools = ", ".join(platform.services.pools)
        typer.echo(f"Dure {platform.services.version}  engine of {pools}")
        stop.wait()
    finally:
        platform.close()
    typer.echo("stopped; jobs that run go on, and the engine that follows takes them up.")


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


def _greet(platform: "Platform", settings: "Settings", port: int) -> None:
    """Print the address and, at the first start, how to sign in."""
    from dure.services.first_accounts import first_accounts

    backend, services = platform.here.backend, platform.services
    typer.echo(f"Dure {services.version}  http://{HOST}:{port}")
    for name, desk in services.pools.items():
        view = desk.view()
        what = "simulated GPUs" if view.imagined else backend.summary
        typer.echo(f"  pool {name}: {view.gpus:,} {what}")
    if backend.note:
        typer.echo(f"  {backend.note}")
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
