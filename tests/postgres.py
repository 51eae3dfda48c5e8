"""A real PostgreSQL of Debian in a directory of its own, for tests; gone with their process."""

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dure.ledger.anchor import anchor_path
from tests.drivers.polling import until

if TYPE_CHECKING:
    from dure.ledger.postgres import PostgresLedger

START_S_MAX = 60.0


def programs() -> Path | None:
    """Return where the newest server's programs lie; None if none is installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class PostgresServer:
    """One server that listens on a socket in its directory alone, with a password."""

    def __init__(self) -> None:
        bin_dir = programs()
        assert bin_dir is not None, "see tools/setup-postgres.sh"
        self._bin = bin_dir
        # A socket's path has 107 letters at most, so it is not below pytest's own folders.
        self.root = Path(tempfile.mkdtemp(prefix="dure-pg-"))
        self.data = self.root / "data"
        self.password = f"secret-{secrets.token_hex(8)}"
        # A test that is killed takes its server along.
        self._as_user = ["setpriv", "--pdeathsig=QUIT"]
        if os.geteuid() == 0:
            # The server refuses to run as root.
            shutil.chown(self.root, "postgres")
            self._as_user += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        word = self.root / "password"
        word.write_text(self.password)
        word.chmod(0o644)
        self._run("initdb", "-D", str(self.data), "-U", "dure", "--auth=scram-sha-256",
                  f"--pwfile={word}", "--no-sync", "--encoding=UTF8", "--locale=C")  # fmt: skip
        word.unlink()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as_user, str(self._bin / program), *words]
        subprocess.run(command, check=True, capture_output=True, cwd=self.root)

    def start(self) -> "PostgresServer":
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.root),
            "shared_buffers": "32MB",
            "max_connections": "60",
            "log_min_messages": "warning",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = (self.root / "log").open("ab")
        self._process = subprocess.Popen(
            [*self._as_user, str(self._bin / "postgres"), "-D", str(self.data), *words],
            stdout=log, stderr=log, cwd=self.root, start_new_session=True,
        )  # fmt: skip
        log.close()
        until(self._answers, within_s=START_S_MAX)
        return self

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log()
        command = [str(self._bin / "pg_isready"), "-q", "-h", str(self.root), "-U", "dure"]
        return subprocess.run(command, check=False).returncode == 0

    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://dure:{self.password}@/{database}?host={self.root}"

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        import psycopg

        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def end(self, number: int = signal.SIGINT) -> None:
        """Stop the server; SIGQUIT leaves it as a crash would."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        self.end(signal.SIGQUIT)
        shutil.rmtree(self.root, ignore_errors=True)


@cache
def shared_server() -> PostgresServer:
    """Start one server for all tests of this process that ask for no one of their own."""
    server = PostgresServer().start()
    atexit.register(server.close)
    return server


def schema_of(path: Path) -> str:
    """Return a schema's name that belongs to ``path`` alone."""
    return "t" + sha256(str(path).encode()).hexdigest()[:24]


def postgres_ledger(path: Path, **options: Any) -> "PostgresLedger":
    """Open a ledger on the shared server whose schema and anchor belong to ``path``."""
    from dure.ledger.postgres import PostgresLedger
    from dure.ledger.postgres_link import Address

    address = Address(shared_server().url())
    return PostgresLedger(address, schema_of(path), anchor=anchor_path(path), **options)
