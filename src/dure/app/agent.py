"""The agent beside a site's backend, assembled: no ledger, no screens, one line to the centre."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dure.app.backends import Backend, own_backend
from dure.app.care import BUILT_IN, FIRST_S, meter_of
from dure.app.data_lock import DataLock
from dure.app.engine import Engine
from dure.app.settings import LOCAL, OWN_BACKENDS
from dure.app.site_pool import own_pool, site_nodes
from dure.core.addresses import is_loopback
from dure.core.errors import InputError
from dure.core.sealing import key_bytes, key_id
from dure.drivers.agent_memory import AgentMemory
from dure.drivers.centre import HttpCentre
from dure.drivers.clock import SystemClock
from dure.drivers.ends import PrintedFiles
from dure.drivers.files import text_at
from dure.drivers.site_lines import SiteLines
from dure.drivers.spool import Spool
from dure.services.enrolments import SITE
from dure.services.site_agent import SiteAgent
from dure.services.site_meter import SiteMeter

AGENT_FOLDER = "agent"


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One site's agent.

    Attributes:
        data: its folder; the jobs of the site lie in ``DATA/agent/jobs``.
        servers: addresses of the centre; several where engines stand by for one another.
        site: the name under which the site is enrolled.
        key_file: holds the key that enrolling printed.
        ca_file: certificates that count instead of the system's.
        backend: ``local`` or ``slurm``.
        slots: count this many on this machine; None for its GPUs, or its CPUs.
        meter: ``built-in``, or the address of a Prometheus that knows the site's GPUs.
    """

    data: Path
    servers: tuple[str, ...]
    site: str
    key_file: Path | None
    ca_file: Path | None = None
    backend: str = LOCAL
    slots: int | None = None
    meter: str = BUILT_IN

    def __post_init__(self) -> None:
        if not self.servers:
            raise InputError("--server", found="none", expected="the address of the centre")
        for url in self.servers:
            _check_url(url)
        if SITE.fullmatch(self.site) is None:
            raise InputError("--site", found=repr(self.site[:80]), expected="an enrolled site")
        if self.key_file is None:
            raise InputError(
                "--key-file", found="none", expected="a file with what dure site enrol printed"
            )
        if self.backend not in OWN_BACKENDS:
            raise InputError(
                "--backend",
                found=repr(self.backend),
                expected=f"one of {', '.join(OWN_BACKENDS)} for an agent",
            )

    def key(self) -> bytes:
        """Read the site's key. Raises InputError if there is none, or others may read it."""
        assert self.key_file is not None
        text = text_at(str(self.key_file), bytes_max=1_000)
        if text is None:
            raise InputError("--key-file", found=f"no {self.key_file}", expected="a file")
        if self.key_file.stat().st_mode & 0o077:
            raise InputError(
                "--key-file",
                found=f"{self.key_file} readable by others",
                expected="one of your own",
                next_step=f"chmod 600 {self.key_file}",
            )
        return key_bytes(text)


@dataclass(slots=True)
class Agent:
    """An agent, assembled; ``start`` lets it run in a thread of its own."""

    backend: Backend
    _engines: tuple[Engine, ...]
    _meter: SiteMeter
    _lines: SiteLines | None
    _centre: HttpCentre
    _spool: Spool
    _lock: DataLock

    def start(self) -> None:
        for engine in self._engines:
            engine.start()

    def close(self) -> None:
        """End in order; jobs of the site run on."""
        for engine in self._engines:
            engine.stop()
        self._meter.close()
        if self._lines is not None:
            self._lines.close()
        self._centre.close()
        self._spool.close()
        self._lock.release()


class _Turns:
    """The agent's turns, as an engine takes them."""

    def __init__(self, agent: SiteAgent) -> None:
        self._agent = agent

    def turn(self) -> float:
        return self._agent.turn()

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: the next turn looks anew, and the centre is asked again."""


def assemble_agent(settings: AgentSettings) -> Agent:
    """Put an agent together: take up what runs, what is spooled, what was heard.

    Raises:
        InputError, DriverError: what hinders a start, in words for a person.
    """
    key = settings.key()
    root = settings.data / AGENT_FOLDER
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataLock(settings.data)
    try:
        memory = AgentMemory(root / "agent.json", key_id=key_id(key))
        founded = own_pool(memory.nodes) if memory.nodes else None
        clock = SystemClock()
        now_s = clock.now_s
        backend = own_backend(settings.backend, root, founded, now_s, slots=settings.slots)
        if founded is None:
            memory.learn_nodes(site_nodes(backend.pool))
        centre = HttpCentre(
            settings.servers, settings.site, key, root=root, ca_file=settings.ca_file
        )
        since_s = now_s() - FIRST_S
        meter = SiteMeter(meter_of(settings.meter, backend.meter, since_s=since_s), clock)
        lines = SiteLines(backend.lines.reach, centre) if backend.lines else None
        spool = Spool(root / "spool")
        agent = SiteAgent(
            backend.open(),
            spool,
            centre,
            PrintedFiles(root),
            memory,
            site_nodes(backend.pool),
            meter,
            lines,
        )
    except BaseException:
        lock.release()
        raise
    engines = (Engine(settings.site, _Turns(agent)), Engine(f"{settings.site}-meter", meter))
    return Agent(backend, engines, meter, lines, centre, spool, lock)


def _check_url(url: str) -> None:
    """Refuse an address over which orders would go in clear, or that is none."""
    parts = urlsplit(url)
    fine = parts.scheme in ("http", "https") and parts.hostname and not parts.query
    if not fine or not re.fullmatch(r"\S{1,300}", url) or parts.username:
        raise InputError("--server", found=repr(url[:80]), expected="https://HOST:PORT")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise InputError(
            "--server",
            found=repr(url[:80]),
            expected="https, or http to this machine itself",
            next_step="Serve the centre with --certificate and --certificate-key.",
        )
