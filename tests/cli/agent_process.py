"""A real ``dure up --role agent`` in a process of its own, and a centre with a certificate."""

import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.cli.up_process import DURE, STOP_S_MAX, UpProcess
from tests.drivers.polling import until


def self_signed(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1; its key lies beside it, ``.key``."""
    certificate = folder / "centre.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)]
    words += ["-days", "2", "-subj", "/CN=centre", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    return certificate


def enrol(data: Path, site: str, *options: str) -> Path:
    """Enrol a site of the platform at ``data``; return the file with its key."""
    words = ["site", "enrol", site, "--data", str(data), *options]
    done = subprocess.run([*DURE, *words], capture_output=True, text=True, check=True)
    path = data.with_name(f"{site}.key")
    path.write_text(done.stdout)
    path.chmod(0o600)
    return path


class AgentProcess:
    """One agent over ``data``; ``start`` may be called again after ``kill``."""

    def __init__(
        self, data: Path, site: str, key_file: Path, *options: str, servers: tuple[str, ...]
    ) -> None:
        self.data = data
        self.log = data.with_name(f"{data.name}.log")
        self._words = ["up", "--role", "agent", "--data", str(data), "--site", site]
        self._words += ["--key-file", str(key_file), *options]
        self._words += [word for url in servers for word in ("--server", url)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "AgentProcess":
        with self.log.open("a") as out:
            self._process = subprocess.Popen(
                [*DURE, *self._words], stdout=out, stderr=out, text=True, start_new_session=True
            )
        return self

    @property
    def child(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    def says(self, what: str) -> None:
        def look() -> bool:
            said = self.log.read_text()
            assert what in said or self.child.poll() is None, said
            return what in said

        until(look, within_s=60)

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(STOP_S_MAX)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def jobs(self) -> Path:
        return self.data / "agent" / "jobs"


class Pair:
    """A centre and the agent of one site, over TLS."""

    def __init__(
        self, folder: Path, certificate: Path, stack: ExitStack, *options: str, backend: str
    ) -> None:
        data = folder / "centre"
        key_file = enrol(data, "seoul", "--provider", "hanbit")
        self.up = UpProcess(data, "--backend", "agents", *options, certificate=certificate)
        stack.callback(self.up.close)
        own = ("--slots", "2") if backend == "local" else ("--backend", backend)
        self.agent = AgentProcess(
            folder / "site",
            "seoul",
            key_file,
            "--ca-file",
            str(certificate),
            *own,
            servers=(self.up.url,),
        )
        stack.callback(self.agent.close)
        self.agent.start()
        self.up.start()

    def site(self) -> dict[str, object]:
        (row,) = self.up.http.get("/sites").json()
        return dict(row)

    def output(self, job: str) -> str:
        return str(self.up.http.get(f"/jobs/{job}/output").json()["text"])
