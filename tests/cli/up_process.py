"""A real ``dure up`` in a process of its own, and commands that speak to it, for tests."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.drivers.polling import until

DURE = [sys.executable, "-c", "from dure.cli.main import main; main()"]
# Where kernels are not compiled yet, the first start compiles them.
START_S_MAX = 300.0
STOP_S_MAX = 20.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class UpProcess:
    """One service over ``data``; ``start`` may be called again after ``kill`` or ``stop``.

    Args:
        certificate: with its key beside it; the service speaks TLS then.
    """

    def __init__(
        self, data: Path, *options: str, slots: int = 2, certificate: Path | None = None
    ) -> None:
        self.data, self.port = data, free_port()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._verify: ssl.SSLContext | bool = True
        if certificate is not None:
            self._verify = ssl.create_default_context(cafile=str(certificate))
            key = certificate.with_suffix(".key")
            options += ("--certificate", str(certificate), "--certificate-key", str(key))
        self._options = ["--scenario", "empty", "--slots", str(slots), *options]
        self._process: subprocess.Popen[str] | None = None
        self.printed = ""
        self.passwords: dict[str, str] = {}
        self.http = httpx.Client(
            base_url=f"{self.url}/api/v1", trust_env=False, timeout=30, verify=self._verify
        )
        self._token = ""

    def start(self, *options: str, within_s: float = START_S_MAX) -> "UpProcess":
        words = ["up", "--data", str(self.data), "--port", str(self.port)]
        log = self.data.with_name(self.data.name + ".log")
        with log.open("w") as out:
            self._process = subprocess.Popen(
                [*DURE, *words, *self._options, *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        until(lambda: self._answers(log), within_s=within_s)
        self.printed = log.read_text()
        for line in self.printed.splitlines():
            parts = line.split()
            if len(parts) == 3 and parts[2].count("-") == 2:
                self.passwords[parts[0]] = parts[2]
        if not self._token and "admin" in self.passwords:
            self.sign_in()
        return self

    def _answers(self, log: Path) -> bool:
        assert self.child.poll() is None, f"dure up ended: {log.read_text()}"
        with contextlib.suppress(httpx.TransportError):
            address = f"{self.url}/healthz"
            return httpx.get(address, trust_env=False, verify=self._verify).status_code == 200
        return False

    @property
    def child(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    def sign_in(self) -> None:
        words = {"user": "admin", "password": self.passwords["admin"]}
        answer = self.http.post("/login", json=words)
        assert answer.status_code == 200, answer.text
        self._token = str(answer.json()["token"])
        self.http.headers["authorization"] = f"Bearer {self._token}"

    def kill(self) -> None:
        """End it as a power cut would; jobs run on."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(STOP_S_MAX)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code."""
        self.child.send_signal(number)
        return self.child.wait(STOP_S_MAX)

    def close(self) -> None:
        self.http.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def run(self, *words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a ``dure`` command that speaks to this service as the administrator."""
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
        }
        env = {**kept, "DURE_URL": self.url, "DURE_TOKEN": self._token, "DURE_LANG": "en"}
        return subprocess.run(
            [*DURE, *words], capture_output=True, text=True, cwd=cwd, env=env, timeout=60
        )

    def submit(self, run: str, dure: str = "", *, project: str = "", key: str = "") -> str:
        """Submit a script over the API; return the job's name."""
        text = "run: |\n" + "".join(f"  {line}\n" for line in run.splitlines())
        text += f"dure: {{{dure}}}\n" if dure else ""
        body = {"form": "yaml", "text": text, "project": project}
        answer = self.http.post(
            "/pools/here/jobs", json=body, headers={"idempotency-key": key or os.urandom(8).hex()}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job"])

    def job(self, name: str) -> dict[str, Any]:
        answer = self.http.get(f"/jobs/{name}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def state(self, name: str) -> str:
        return str(self.job(name)["row"]["state"])

    def wait_for(self, name: str, *states: str, within_s: float = 60) -> dict[str, Any]:
        until(lambda: self.state(name) in states, within_s=within_s)
        return self.job(name)

    def attempts(self, name: str) -> Sequence[tuple[str, str]]:
        return [(one["kind"], one["end_cause"]) for one in self.job(name)["attempts"]]
