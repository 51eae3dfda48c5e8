"""Portal and engines in processes of their own over one database: who leads, who follows, who is
refused.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from dure.ledger.postgres_link import Address
from dure.ledger.verify_postgres import examine_postgres
from tests.cli.up_process import DURE, UpProcess
from tests.drivers.polling import until
from tests.postgres import programs, shared_server

pytestmark = pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")
START_S_MAX = 300.0


class EngineProcess:
    """One ``dure up --role engine``; what it says goes to a file."""

    def __init__(self, data: Path, name: str) -> None:
        self.log = data.with_name(f"{name}.log")
        words = ["up", "--data", str(data), "--role", "engine", "--scenario", "empty"]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [*DURE, *words, "--slots", "2"], stdout=out, stderr=out, start_new_session=True
            )

    def says(self, what: str, *, times: int = 1) -> None:
        until(lambda: self._has_said(what) >= times, within_s=START_S_MAX)

    def _has_said(self, what: str) -> int:
        assert self.process.poll() is None, self.log.read_text()
        return self.log.read_text().count(what)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> str:
    url = shared_server().new_database()
    monkeypatch.setenv("DURE_DB", url)
    # What a process says is looked for while it runs.
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return url


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def generation(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT generation FROM here.lease").fetchone()
    assert found is not None
    return int(found[0])


def test_an_engine_that_dies_or_sleeps_is_followed_and_writes_nothing_more(
    tmp_path: Path, database: str, stack: ExitStack
) -> None:
    data = tmp_path / "data"
    first = EngineProcess(data, "first")
    stack.callback(first.close)
    first.says("pool here: this engine leads")
    portal = UpProcess(data, "--role", "portal")
    stack.callback(portal.close)
    portal.start()
    second = EngineProcess(data, "second")
    stack.callback(second.close)
    second.says("engine of here")
    # A portal submits, an engine plans, the portal shows; through the database alone.
    portal.wait_for(portal.submit("echo one"), "COMPLETED")
    long = portal.submit("sleep 600")
    portal.wait_for(long, "RUNNING")
    assert generation(database) == 1

    # A leader that sleeps is replaced; what it runs goes on.
    first.send(signal.SIGSTOP)
    portal.wait_for(portal.submit("echo two"), "COMPLETED")
    assert generation(database) == 2
    first.send(signal.SIGCONT)
    first.says("this engine does not lead any more")

    # A leader that dies is replaced by the one that slept.
    second.send(signal.SIGKILL)
    portal.wait_for(portal.submit("echo three"), "COMPLETED")
    assert generation(database) == 3
    assert portal.attempts(long) == [("own", "")]
    assert portal.run("cancel", long).returncode == 0
    portal.wait_for(long, "CANCELLED")
    assert first._has_said("Traceback") == 0
    assert examine_postgres(Address(database), "here").flaws == []
    word = Address(database)._secret
    said = [one.read_text() for one in tmp_path.glob("*.log")]
    assert len(said) == 3 and not any(word in text for text in said)


def refused(*words: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "DURE_DB"}
    done = subprocess.run([*DURE, "up", *words], capture_output=True, text=True, env=env)
    assert done.returncode == 1
    return done.stderr


def test_roles_that_cannot_be_are_refused_in_a_line(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path), "--scenario", "empty")

    assert "one of all, portal, engine, agent" in refused(*data, "--role", "king")
    assert "--server: found none" in refused(*data, "--role", "agent")
    assert "portal without a database" in refused(*data, "--role", "portal")
    assert "engine without a database" in refused(*data, "--role", "engine")
    assert "postgresql://USER@HOST" in refused(*data, "--db", "mysql://me:secret@there/db")
    assert "secret" not in refused(*data, "--db", "mysql://me:secret@there/db")
