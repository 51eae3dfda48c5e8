"""``dure bench portal``: submissions over HTTP at a steady rate and in a burst; is one lost?"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from dure.app.ledgers import ledgers_of
from dure.app.settings import HERE
from dure.core.errors import DureError
from dure.core.events.work import JobRequested
from dure.core.ledger_record import KIND_EVENTS
from dure.ledger.codec import decode_events

START_S_MAX, STOP_S_MAX = 300.0, 60.0
CONNECTIONS, TRIES_MAX = 64, 5
# One runs and the others wait, so that the queue grows as it would on a busy day. Jobs outlive the
# service by design; this one looks whether it is still there, and leaves nothing behind.
JOB = (
    "name: bench\nrun: while kill -0 {service} 2>/dev/null; do sleep 1; done\n"
    "dure: {{preemptible: true}}\n"
)


@dataclass(slots=True)
class Told:
    """What came of the submissions of one part: when each was answered, and with which job."""

    jobs: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    refused: int = 0
    wall_s: float = 0.0
    server_cpu_s: float = 0.0

    def figures(self, name: str) -> dict[str, object]:
        took_s = sorted(self.took_s) or [0.0]
        return {
            f"{name}_taken": len(self.jobs),
            f"{name}_refused": self.refused,
            f"{name}_per_s": round(len(self.jobs) / self.wall_s, 1) if self.wall_s else 0,
            f"{name}_ms_p50": round(1000 * took_s[len(took_s) // 2], 1),
            f"{name}_ms_p99": round(1000 * took_s[len(took_s) * 99 // 100], 1),
            f"{name}_server_cpu_ms": round(1000 * self.server_cpu_s / len(took_s), 2),
        }


def run_portal_bench(
    data: Path, *, db: str, rate: int, seconds: int, burst: int, burst_seconds: int
) -> dict[str, object]:
    """Submit to a ``dure up`` of its own, end it, and look for every job in its ledger.

    Args:
        data: an empty folder.
        db: a database for the ledgers, or "".
        rate: submissions offered a second, for ``seconds``; then ``burst`` for ``burst_seconds``.

    Raises:
        DureError: if the service does not start.
    """
    with _service(data, db) as (url, password, process):
        parts = ((rate, seconds), (burst, burst_seconds))
        steady, peak = asyncio.run(_submit_all(url, password, process, parts))
    with closing(ledgers_of(data, db).open(HERE)) as ledger:
        kept = [
            event.job
            for record in ledger.read()
            if record.kind == KIND_EVENTS
            for event in decode_events(record.payload)
            if isinstance(event, JobRequested)
        ]
    told = [*steady.jobs, *peak.jobs]
    return {
        **steady.figures("steady"),
        **peak.figures("burst"),
        "lost": len(set(told) - set(kept)),
        "doubled": len(kept) - len(set(kept)),
        "seconds": seconds,
        "burst_seconds": burst_seconds,
    }


@contextmanager
def _service(data: Path, db: str) -> Iterator[tuple[str, str, int]]:
    """Run ``dure up``; give its address, the administrator's password and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = ["up", "--data", str(data), "--port", str(port), "--scenario", "empty", "--slots", "1"]
    program = [sys.executable, "-c", "from dure.cli.main import main; main()"]
    log = data.with_name(data.name + ".log")
    env = {**os.environ, "PYTHONUNBUFFERED": "1"} | ({"DURE_DB": db} if db else {})
    with log.open("w") as out:
        child = subprocess.Popen([*program, *words], stdout=out, stderr=out, env=env)
    try:
        deadline_s = time.monotonic() + START_S_MAX
        while not (password := _password(log.read_text())):
            if child.poll() is not None or time.monotonic() > deadline_s:
                raise DureError(f"`dure up` did not start: {log.read_text()[-400:]}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", password, child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            child.kill()


def _password(printed: str) -> str:
    for line in printed.splitlines():
        words = line.split()
        if words[:1] == ["admin"] and len(words) == 3:
            return words[2]
    return ""


async def _submit_all(
    url: str, password: str, process: int, parts: tuple[tuple[int, int], ...]
) -> tuple[Told, ...]:
    answer = httpx.post(
        f"{url}/api/v1/login", json={"user": "admin", "password": password}, trust_env=False
    )
    port, token = int(url.rpartition(":")[2]), answer.json()["token"]
    return tuple([await _submit_at(port, token, process, *part) for part in parts])


async def _submit_at(port: int, token: str, process: int, rate: int, seconds: int) -> Told:
    """Offer submissions at their moments, whether or not the earlier ones are answered."""
    due: asyncio.Queue[float] = asyncio.Queue()
    told, begin_s = Told(server_cpu_s=-_cpu_s(process)), time.perf_counter()
    lines = [
        asyncio.create_task(_Line(port, token, process).serve(due, told))
        for _ in range(CONNECTIONS)
    ]
    for number in range(rate * seconds):
        moment_s = begin_s + number / rate
        if (rest_s := moment_s - time.perf_counter()) > 0:
            await asyncio.sleep(rest_s)
        due.put_nowait(moment_s)
    await due.join()
    told.wall_s = time.perf_counter() - begin_s
    told.server_cpu_s += _cpu_s(process)
    for line in lines:
        line.cancel()
    await asyncio.gather(*lines, return_exceptions=True)
    return told


class _Line:
    """One connection that submits again and again; plain, so that it takes little of the CPU."""

    def __init__(self, port: int, token: str, service: int) -> None:
        self._port = port
        text = JOB.format(service=service)
        self._body = json.dumps({"form": "yaml", "text": text, "project": ""}).encode()
        self._head = (
            f"POST /api/v1/pools/{HERE}/jobs HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"authorization: Bearer {token}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(self._body)}\r\nidempotency-key: "
        ).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def serve(self, due: "asyncio.Queue[float]", told: Told) -> None:
        while True:
            moment_s = await due.get()
            key = os.urandom(8).hex().encode()
            status, content = 0, b""
            for _ in range(TRIES_MAX):
                try:
                    status, content = await self._submit(key)
                    break
                except (OSError, asyncio.IncompleteReadError):
                    # The answer may be lost; the same key brings the same job.
                    self._streams = None
            told.took_s.append(time.perf_counter() - moment_s)
            if status == 201:
                told.jobs.append(json.loads(content)["job"])
            else:
                told.refused += 1
            due.task_done()

    async def _submit(self, key: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(b"%b%b\r\n\r\n%b" % (self._head, key, self._body))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        return int(head.split(b" ", 2)[1]), await reader.readexactly(size)


def _cpu_s(process: int) -> float:
    """Return the CPU seconds that a process has used (proc(5): fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
