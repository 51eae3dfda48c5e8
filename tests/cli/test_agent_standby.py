"""An agent whose engine dies: the one that stands by, on another machine, takes the site over."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dure.ledger.postgres_link import Address
from dure.ledger.verify_postgres import examine_postgres
from tests.cli.agent_process import AgentProcess, enrol, self_signed
from tests.cli.up_process import DURE, UpProcess, free_port
from tests.drivers.polling import until
from tests.postgres import programs, shared_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl"),
]


class Engine:
    """``dure up --role engine`` that lets agents in; its data directory is its own."""

    def __init__(self, data: Path, certificate: Path) -> None:
        self.port, self.log = free_port(), data.with_name(f"{data.name}.log")
        self.url = f"https://127.0.0.1:{self.port}"
        words = ["up", "--data", str(data), "--role", "engine", "--scenario", "empty"]
        words += ["--backend", "agents", "--port", str(self.port)]
        words += ["--certificate", str(certificate)]
        words += ["--certificate-key", str(certificate.with_suffix(".key"))]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [*DURE, *words], stdout=out, stderr=out, start_new_session=True
            )

    def says(self, what: str) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return what in self.log.read_text()

        until(look, within_s=300)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    with ExitStack() as opened:
        yield opened


def test_the_engine_that_stood_by_on_another_machine_goes_on_with_the_site(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shared_server().new_database()
    monkeypatch.setenv("DURE_DB", url)
    certificate = self_signed(tmp_path)
    first_data, second_data = tmp_path / "first", tmp_path / "second"
    key_file = enrol(first_data, "seoul")
    (second_data / "people").mkdir(parents=True)
    shutil.copy(first_data / "people" / "site-secret", second_data / "people" / "site-secret")
    first = Engine(first_data, certificate)
    stack.callback(first.close)
    first.says("waiting for the agents of seoul")
    second = Engine(second_data, certificate)
    stack.callback(second.close)
    agent = AgentProcess(
        tmp_path / "site",
        "seoul",
        key_file,
        "--ca-file",
        str(certificate),
        "--slots",
        "2",
        servers=(first.url, second.url),
    )
    stack.callback(agent.close)
    agent.start()
    first.says("engine of here")
    second.says("engine of here")
    portal = UpProcess(tmp_path / "portal", "--role", "portal", "--backend", "agents")
    stack.callback(portal.close)
    portal.start()
    portal.wait_for(portal.submit("echo one"), "COMPLETED")
    long = portal.submit("echo start >> starts; while [ ! -e go ]; do sleep 0.05; done")
    work = agent.jobs / long / "work"
    until(lambda: (work / "starts").exists())

    first.process.send_signal(signal.SIGKILL)
    (work / "go").touch()
    shown = portal.wait_for(long, "COMPLETED")
    portal.wait_for(portal.submit("echo two"), "COMPLETED")

    second.says("this engine leads")
    assert len(shown["attempts"]) == 1
    assert (work / "starts").read_text() == "start\n"
    assert [row["state"] for row in portal.http.get("/sites").json()] == ["unknown"]
    assert examine_postgres(Address(url), "here").flaws == []
