"""Which processes belong to an attempt, told from ``/proc`` without ever mistaking a reused pid.

The launcher imports this module and must start within milliseconds: a few modules of the library.
"""

import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

GONE = ("Z", "X", "x")


class SeenProcess(NamedTuple):
    """A process as ``/proc/PID/stat`` shows it; ``started`` is in ticks since the boot."""

    pid: int
    started: int
    parent: int
    session: int
    state: str


def boot_id() -> str:
    """Return what tells this boot of the machine from every other one."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def seen(pid: int) -> SeenProcess | None:
    """Return the process that has this pid now, a zombie included; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, so count from the last one.
    fields = line[line.rindex(b")") + 2 :].split()
    return SeenProcess(pid, int(fields[19]), int(fields[1]), int(fields[3]), fields[0].decode())


def identity(pid: int) -> str:
    """Return what names this process and never another one, after a reboot neither."""
    process = seen(pid)
    started = process.started if process else 0
    return f"{pid}:{started}:{boot_id()}"


def is_running(identity_text: str) -> bool:
    """Tell whether the process of ``identity`` is still there; a zombie is not."""
    pid, _, rest = identity_text.partition(":")
    process = seen(int(pid)) if pid.isdecimal() else None
    return (
        process is not None
        and process.state not in GONE
        and rest == f"{process.started}:{boot_id()}"
    )


def every_process() -> Iterator[SeenProcess]:
    """Yield the machine's living processes, in no order."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            process = seen(int(name))
            if process is not None and process.state not in GONE:
                yield process


def belonging(marks: tuple[str, ...], *, launcher: int = 0, session: int = 0) -> list[SeenProcess]:
    """Find the living processes of an attempt, sorted by pid.

    A process belongs to it if its environment at its start held all ``marks`` (``NAME=value``),
    or if it descends from the launcher (who inherits all orphans), or if it is in the session.

    Args:
        launcher: pid of the running launcher, who is not counted itself; 0 if it is gone.
        session: the session to match; 0 for none.
    """
    found: dict[int, SeenProcess] = {}
    children: dict[int, list[SeenProcess]] = {}
    ours = {os.getpid(), launcher}
    for process in every_process():
        children.setdefault(process.parent, []).append(process)
        in_session = session > 0 and process.session == session
        if process.pid not in ours and (in_session or _has_marks(process.pid, marks)):
            found[process.pid] = process
    waiting = [launcher] if launcher else []
    while waiting:
        for child in children.pop(waiting.pop(), ()):
            if child.pid not in ours:
                found[child.pid] = child
                waiting.append(child.pid)
    return sorted(found.values())


def send(process: SeenProcess, number: int) -> bool:
    """Send a signal to exactly this process; False if it is gone or not ours to signal."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The handle holds the pid: what stands there now is what will get the signal.
        now = seen(process.pid)
        if now is None or now.started != process.started:
            return False
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)
    return True


def catches(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for this signal; without one it would die of it."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


def environment(pid: int) -> dict[str, str]:
    """Return a process's environment at its start; empty if it is not ours to see, or gone."""
    pairs = (os.fsdecode(word).partition("=") for word in _environment(pid))
    return {name: value for name, _, value in pairs}


def _has_marks(pid: int, marks: tuple[str, ...]) -> bool:
    held = set(_environment(pid))
    return bool(marks) and all(os.fsencode(mark) in held for mark in marks)


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        # Another user's process, or one that went while we looked.
        return []
