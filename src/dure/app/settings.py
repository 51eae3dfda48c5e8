"""What a person may set about a platform that runs, with its defaults (docs/operate.md)."""

from dataclasses import dataclass, field
from pathlib import Path

from dure.core.errors import InputError

HERE = "here"
FOUNDING = "founding"
# The folder of what applications hold, in the data directory.
ATTACHMENTS = "attachments"
SCENARIOS = (FOUNDING, "empty")
LOCAL, SLURM, AGENTS = "local", "slurm", "agents"
OWN_BACKENDS = (LOCAL, SLURM)
BACKENDS = (*OWN_BACKENDS, AGENTS)
SPEED_MAX = 1_000_000
ALL, PORTAL, ENGINE, AGENT = "all", "portal", "engine", "agent"
ROLES = (ALL, PORTAL, ENGINE, AGENT)


@dataclass(frozen=True, slots=True)
class Settings:
    """One platform.

    Attributes:
        data: its folder; everything it keeps lies there.
        scenario: ``founding`` (an imagined nation beside this machine) or ``empty``.
        speed: seconds of the imagined pool in one of ours.
        slots: count this many on this machine; None for its GPUs, or its CPUs.
        allocations: GPUs (or slots) of this machine by project; others keep what they have.
        cycle_s: how often orders that stand are said again, whatever happened in between.
        poll_s: how often the engine looks whether anything happened.
        cleaning_s: what devices need between owners.
        db: address of the database that holds the ledgers; "" for files in ``data``. It may hold
            a password, so it is written nowhere.
        role: what this process does: plan and serve (``all``), or one of them.
        backend: what runs the pool ``here``: ``local`` (this machine), ``slurm``, or ``agents``
            (the sites that are enrolled).
        meter: ``built-in``, or the address of a Prometheus that knows this pool's GPUs.
        sample_s: how often the meter is read.
        project_quota_bytes: what the files of one project may take, snapshots included.
        workdir_bytes: what the files of a folder sent with a job may hold together.
        reach_s: a site whose agent was not heard for longer is out of reach, and closed.
        smtp: the mail server's address, ``smtp+starttls://user@host:587``; "" sends no mail.
        smtp_password_file: the file that holds that user's password; it is shown nowhere.
        mail_from: the address that mail comes from.
        public_url: where people reach the pages, for the links in mail; "" for none.
        sessions_url: where people reach interactive sessions, ``https://*.sessions.example.kr``:
            a host for each, all of which lead to the sessions' port; "" for nowhere.
    """

    data: Path
    scenario: str = FOUNDING
    speed: int = 3600
    slots: int | None = None
    allocations: dict[str, int] = field(default_factory=dict)
    cycle_s: float = 5.0
    poll_s: float = 0.2
    cleaning_s: int = 1
    db: str = field(default="", repr=False)
    role: str = ALL
    backend: str = LOCAL
    meter: str = "built-in"
    sample_s: float = 15.0
    project_quota_bytes: int = 100 << 30
    workdir_bytes: int = 64 << 20
    reach_s: int = 30
    smtp: str = ""
    smtp_password_file: Path | None = None
    mail_from: str = ""
    public_url: str = ""
    sessions_url: str = ""

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise InputError(
                "--scenario", found=repr(self.scenario), expected=f"one of {', '.join(SCENARIOS)}"
            )
        if self.backend not in BACKENDS:
            raise InputError(
                "--backend", found=repr(self.backend), expected=f"one of {', '.join(BACKENDS)}"
            )
        if not 0 <= self.speed <= SPEED_MAX:
            raise InputError("--speed", found=str(self.speed), expected=f"0 to {SPEED_MAX}")
        if self.role not in ROLES:
            raise InputError("--role", found=repr(self.role), expected=f"one of {', '.join(ROLES)}")
        assert self.role != AGENT, "an agent has settings of its own"
        if self.smtp and not self.mail_from:
            raise InputError(
                "--mail-from", found="nothing", expected="the address that mail comes from"
            )
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise InputError(
                "--public-url", found=repr(self.public_url[:80]), expected="https://..."
            )
        if self.role != ALL and not self.db:
            raise InputError(
                "--role",
                found=f"{self.role} without a database",
                expected="--db: a file of SQLite has one process",
            )

    @property
    def plans(self) -> bool:
        """Whether this process has engines."""
        return self.role != PORTAL

    @property
    def serves(self) -> bool:
        """Whether this process answers over HTTP."""
        return self.role != ENGINE
