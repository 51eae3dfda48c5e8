"""The built-in meter: what the attempts of this machine use, and its GPUs if it has some.

Processor time and memory come from ``/proc``; utilisation, memory and power of GPUs from
``nvidia-smi``; XIDs from the kernel's log where we may read it. What cannot be measured is absent.
"""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dure.core.errors import DriverError
from dure.core.measured import (
    BUSY,
    CPU,
    HOST,
    MEMORY,
    METRICS,
    POWER,
    Aside,
    Measured,
    SetAside,
    Signal,
    Unit,
)
from dure.drivers import processes
from dure.drivers.launch import ATTEMPT_MARK, DIR_MARK
from dure.drivers.machine import MachineNode

FIELDS = ("index", "pci.bus_id", "utilization.gpu", "memory.used", "power.draw")
QUESTION = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
ASK_S_MAX = 10
# Row of ``METRICS`` and how many of ours one of theirs is: percent, MiB, W.
SCALES = ((BUSY, 10.0), (MEMORY, 1.0), (POWER, 1000.0))
XID_LINE = re.compile(r"NVRM: Xid \(PCI:([0-9A-Fa-f:.]+)\): (\d{1,6})\b")
KERNEL_LOG = "/dev/kmsg"
KERNEL_LINE_BYTES_MAX = 8_192
TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")
MIB = 1_048_576

Row = tuple[Unit, dict[int, float]]


class NoMeter:
    """Where nothing is measured by ourselves: a site whose GPUs a Prometheus knows, or nobody."""

    def read(self, now_s: int) -> Measured:
        none = np.zeros(0, dtype=np.int64)
        values = np.zeros((len(METRICS), 0))
        return Measured([], none, none, values, values > 0, now_s)

    def close(self) -> None: ...


class Sampler:
    """Measures this machine each time it is asked.

    Args:
        root: folder of the pool, ``DIR/here``; processes of its attempts are told by it.
        ask: what ``nvidia-smi`` answers to ``QUESTION``; the real one unless a test brings its own.
        kernel_lines: the kernel's newest lines at each call; the real ones likewise.
    """

    def __init__(
        self,
        root: Path,
        machine: MachineNode,
        *,
        ask: Callable[[], str] | None = None,
        kernel_lines: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._jobs_dir, self._machine = root.resolve() / "jobs", machine
        self._ask = ask or _ask_nvidia
        self._kernel_lines = kernel_lines or (_KernelLog() if machine.has_gpus else lambda: ())
        self._last: dict[tuple[str, str], int] = {}
        self._total_ms: dict[str, int] = {}
        self._looked = False
        self._gpu_at: dict[str, int] = {}

    def read(self, now_s: int) -> Measured:
        """Return a sample of the machine, one of each GPU, and of each running job's processes.

        Raises:
            DriverError: if the machine has GPUs and they do not answer.
        """
        aside: list[SetAside] = []
        rows = [self._of_machine(), *self._of_jobs(), *self._of_gpus(aside)]
        values = np.zeros((len(METRICS), len(rows)))
        given = np.zeros((len(METRICS), len(rows)), dtype=np.bool_)
        for place, (_, found) in enumerate(rows):
            for row, value in found.items():
                values[row, place], given[row, place] = value, True
        places = np.arange(len(rows), dtype=np.int64)
        moments = np.full(len(rows), now_s, dtype=np.int64)
        units = [unit for unit, _ in rows]
        signals = self._signals(now_s)
        return Measured(units, places, moments, values, given, now_s, signals, aside)

    def close(self) -> None:
        """Nothing is kept open that needs closing before the process ends."""

    def _of_machine(self) -> Row:
        """Measure the machine as a whole, which also says that it is there."""
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        with open("/proc/meminfo", encoding="ascii") as file:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in file}
        used = kib["MemTotal"] - kib["MemAvailable"]
        # All but idle and waiting for a disk.
        busy_ms = TICK_MS * (sum(ticks) - ticks[3] - ticks[4])
        return Unit(self._machine.node, HOST), {MEMORY: used // 1024, CPU: busy_ms}

    def _of_jobs(self) -> list[Row]:
        """Add up the processes of each job; its processor time counts over its attempts."""
        memory: dict[str, int] = {}
        seen: dict[tuple[str, str], int] = {}
        for key, (cpu_ms, rss_bytes) in _used_by_attempt(str(self._jobs_dir)).items():
            memory[key[0]] = memory.get(key[0], 0) + rss_bytes
            # The first look at what ran before us says nothing of how long it took.
            before = self._last.get(key, 0 if self._looked else cpu_ms)
            seen[key] = cpu_ms
            grown = max(0, cpu_ms - before)
            self._total_ms[key[0]] = self._total_ms.get(key[0], 0) + grown
        self._last, self._looked = seen, True
        self._total_ms = {job: ms for job, ms in self._total_ms.items() if job in memory}
        node = self._machine.node
        return [
            (Unit(node, HOST, job), {MEMORY: memory[job] // MIB, CPU: self._total_ms[job]})
            for job in sorted(memory)
        ]

    def _of_gpus(self, aside: list[SetAside]) -> list[Row]:
        rows: list[Row] = []
        for line in self._ask().splitlines() if self._machine.has_gpus else ():
            parts = [part.strip() for part in line.split(",")]
            if len(parts) != len(FIELDS) or not parts[0].isdecimal():
                aside.append(SetAside(Aside.UNREADABLE, f"nvidia-smi: {line[:80]!r}"))
                continue
            self._gpu_at[_bus(parts[1])] = int(parts[0])
            found = {}
            for (row, scale), text in zip(SCALES, parts[2:], strict=True):
                # "[N/A]" and "[Not Supported]": this model does not measure it.
                if not text.startswith("["):
                    found[row] = scale * _number(text)
            rows.append((Unit(self._machine.node, int(parts[0])), found))
        return rows

    def _signals(self, now_s: int) -> list[Signal]:
        found = []
        for line in self._kernel_lines():
            if (told := XID_LINE.search(line)) is not None:
                device = self._gpu_at.get(_bus(told[1]), HOST)
                found.append(Signal(now_s, self._machine.node, device, int(told[2])))
        return found


def _used_by_attempt(jobs_dir: str) -> Mapping[tuple[str, str], tuple[int, int]]:
    """Return (processor time in ms, resident bytes) by (job, attempt), from one look at all."""
    found: dict[int, tuple[str, str]] = {}
    children: dict[int, list[int]] = {}
    for process in processes.every_process():
        children.setdefault(process.parent, []).append(process.pid)
        if (key := _attempt_of(process.pid, jobs_dir)) is not None:
            found[process.pid] = key
    # A process may have cleared its environment; its parent has not.
    waiting = list(found)
    while waiting:
        parent = waiting.pop()
        for child in children.get(parent, ()):
            if child not in found:
                found[child] = found[parent]
                waiting.append(child)
    used: dict[tuple[str, str], tuple[int, int]] = {}
    for pid, key in found.items():
        cpu_ms, rss_bytes = _used(pid)
        before_ms, before_bytes = used.get(key, (0, 0))
        used[key] = (before_ms + cpu_ms, before_bytes + rss_bytes)
    return used


def _attempt_of(pid: int, jobs_dir: str) -> tuple[str, str] | None:
    words = processes.environment(pid)
    folder, attempt = words.get(DIR_MARK, ""), words.get(ATTEMPT_MARK, "")
    if os.path.dirname(folder) != jobs_dir or not attempt.isdecimal():
        return None
    return os.path.basename(folder), attempt


def _used(pid: int) -> tuple[int, int]:
    """Return a process's time, its ended children's included, and what it has in memory."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
        with open(f"/proc/{pid}/statm", "rb") as file:
            pages = int(file.read().split()[1])
    except (OSError, IndexError):
        return 0, 0
    fields = line[line.rindex(b")") + 2 :].split()
    return TICK_MS * sum(map(int, fields[11:15])), pages * os.sysconf("SC_PAGE_SIZE")


def _ask_nvidia() -> str:
    try:
        asked = subprocess.run(
            QUESTION, capture_output=True, text=True, timeout=ASK_S_MAX, check=True
        )
    except (OSError, subprocess.SubprocessError) as wrong:
        raise DriverError(f"nvidia-smi does not measure: {type(wrong).__name__}") from wrong
    return asked.stdout


def _bus(text: str) -> str:
    """Return a PCI address without its domain and function: tools write those differently."""
    return ":".join(text.lower().split(".")[0].split(":")[-2:])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


class _KernelLog:
    """The kernel's lines since the last call; none where we may not read them."""

    def __init__(self) -> None:
        try:
            self._file = os.open(KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError:
            self._file = -1

    def __call__(self) -> Sequence[str]:
        lines: list[str] = []
        while self._file >= 0:
            try:
                lines.append(os.read(self._file, KERNEL_LINE_BYTES_MAX).decode(errors="replace"))
            except BrokenPipeError:
                continue  # lines were overwritten before we read them
            except OSError:
                break
        return lines
