"""One attempt of a job on this machine, from its written intent to its acknowledged end.

All that must survive us stands in files; what this object remembers can be found again from them.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable

from dure.core.orders import LAUNCHER_VANISHED, Receipt
from dure.drivers import files, processes
from dure.drivers.ends import EXIT_KILLED, Written, receipt_of, whole, written_at
from dure.drivers.launch import Launch, marks
from dure.drivers.own_program import own_program
from dure.drivers.places import Places
from dure.drivers.workdirs import lay_work_dir

SPAWNS_MAX = 3
LAUNCHER = "dure.drivers.launcher"


class Attempt:
    """One attempt. ``step`` moves it on without waiting and says its end when there is one.

    Args:
        places: where its files lie.
        grace_s: from SIGTERM to SIGKILL.
        now_s: the pool's clock.
    """

    def __init__(self, places: Places, *, grace_s: float, now_s: Callable[[], int]) -> None:
        self.places = places
        self.key = (places.job, places.attempt)
        self.receipt: Receipt | None = None
        self._grace_s, self._now_s = grace_s, now_s
        self._spawned: list[int] = []
        self._spawns_left = SPAWNS_MAX
        self._kill_from_s: float | None = None
        self._asked: set[tuple[int, int]] = set()
        self._told: set[tuple[int, ...]] = set()
        self._lock: Written | None = None
        self._must_stop = False
        self._stop_by_s: int | None = None
        self._order = written_at(places.intent)

    @property
    def gpus(self) -> str:
        """Indices of the real GPUs it was given, "0,3"; "" if none, or if it is acknowledged."""
        environment = (self._order or {}).get("env")
        named = environment.get("CUDA_VISIBLE_DEVICES") if isinstance(environment, dict) else ""
        return named if isinstance(named, str) else ""

    @staticmethod
    def write_intent(places: Places, launch: Launch, *, action_id: str, grace_s: float) -> None:
        """Make folders and scripts, then the intent: durable before anything can run."""
        lay_work_dir(places.work_dir, archive=launch.workdir, project_dir=launch.project_dir)
        for folder in (places.checkpoint_dir, places.scratch_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        places.control_dir.mkdir(mode=0o700, exist_ok=True)
        for folder in (places.job_dir, places.job_dir.parent, places.control_dir.parent):
            files.sync_folder(str(folder))
        for path, text in launch.scripts:
            files.write_durably(str(path), text, mode=0o700)
        if launch.remark:
            files.write_durably(str(places.of_attempt("err")), launch.remark)
        lying = {what: str(places.of_attempt(what)) for what in _FILES}
        intent = {
            "action_id": action_id,
            "steps": launch.steps,
            "env": dict(launch.env),
            "cwd": str(places.work_dir),
            "grace_s": grace_s,
            "notice_signal": launch.notice_signal,
            "notice_first_only": launch.notice_first_only,
            **lying,
        }
        files.write_durably(str(places.intent), json.dumps(intent))

    def step(self) -> Receipt | None:
        """Move on by what the files and ``/proc`` say; return the end when nothing of it runs."""
        if self.receipt is not None:
            return self.receipt
        self._reap()
        lock = self._taken()
        if lock is None:
            self._see_to_the_start()
        elif "kind" in lock:
            self.receipt = self._receipt(lock)
        elif self._ended() is None and processes.is_running(str(lock.get("launcher", "0:0:"))):
            self._see_to_the_stop()
            self._see_to_the_notice()
        else:
            self._see_to_the_end()
        return self.receipt

    def ask_to_stop(self) -> None:
        """Remember durably that it must stop; ``step`` does it."""
        if self.receipt is None and self._ended() is None:
            self._must_stop = True
            path = str(self.places.of_attempt("stop"))
            # On a full disk it is stopped all the same; only a restart would have to ask again.
            with contextlib.suppress(OSError):
                files.create_exclusively(path, json.dumps({"at_s": self._now_s()}))

    def tell_to_leave(self, stop_by_s: int) -> None:
        """Remember the moment by which it must leave; ``step`` tells it."""
        self._stop_by_s = stop_by_s

    def living(self, *, with_session: bool = False) -> list[processes.SeenProcess]:
        """Find the processes of this attempt, its launcher left out."""
        lock = self._taken() or {}
        launcher = str(lock.get("launcher", "0:0:"))
        run = written_at(self.places.of_attempt("run")) or {}
        command = str(run.get("command", "0:0:"))
        # A session's number is not reused while it has members, in one boot.
        same_boot = command.endswith(processes.boot_id())
        return processes.belonging(
            marks(self.places),
            launcher=int(launcher.split(":")[0]) if processes.is_running(launcher) else 0,
            session=whole(run, "session") if with_session and same_boot else 0,
        )

    def _see_to_the_start(self) -> None:
        if not self._order:
            self._settle_unstarted("failed", "IntentUnreadable")
        elif self._is_asked_to_stop():
            self._settle_unstarted("stopped", "NeverStarted")
        elif self._spawned:
            return
        elif self._spawns_left == 0:
            self._settle_unstarted("failed", "LauncherDoesNotStart")
        else:
            self._spawns_left -= 1
            # A machine without room for a process may have it at the next step.
            with contextlib.suppress(OSError):
                self._spawn()

    def _settle_unstarted(self, kind: str, reason: str) -> None:
        """Take the lock ourselves, so that no launcher on its way can start it any more."""
        end = {"kind": kind, "exit_code": 0, "at_s": self._now_s(), "reason": reason}
        self.places.control_dir.mkdir(mode=0o700, exist_ok=True)
        if files.create_exclusively(str(self.places.of_attempt("lock")), json.dumps(end)):
            self.receipt = self._receipt(end)

    def _spawn(self) -> None:
        log = str(self.places.root / "launcher.log")
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        intent = str(self.places.intent)
        pid = os.posix_spawn(
            sys.executable,
            own_program(LAUNCHER, intent),
            {name: os.environ[name] for name in _FOR_PYTHON if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, log, append, 0o600),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        self._spawned.append(pid)

    def _reap(self) -> None:
        for pid in tuple(self._spawned):
            try:
                gone = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                gone = True
            if gone:
                self._spawned.remove(pid)

    def _see_to_the_stop(self) -> None:
        if not self._is_asked_to_stop():
            return
        if self._kill_from_s is None:
            self._kill_from_s = time.monotonic() + self._grace_s
        is_over = time.monotonic() >= self._kill_from_s
        number = signal.SIGKILL if is_over else signal.SIGTERM
        for process in self.living():
            if is_over or process[:2] not in self._asked:
                processes.send(process, number)
                self._asked.add(process[:2])

    def _see_to_the_notice(self) -> None:
        """Signal each process that has a handler, once, also one that gets its handler later.

        Without a handler it would die of the signal: a shell that waits for a trainer, say.
        """
        notice = self.places.of_attempt("notice")
        if self._stop_by_s is not None and files.text_at(str(notice)) != f"{self._stop_by_s}\n":
            files.write_durably(str(notice), f"{self._stop_by_s}\n")
        number = whole(self._order or {}, "notice_signal")
        if not number or not notice.exists():
            return
        path = self.places.of_attempt("noticed")
        if not self._told:
            told = (written_at(path) or {}).get("told")
            pairs = told if isinstance(told, list) else []
            self._told = {tuple(one) for one in pairs if isinstance(one, list)}
        run = written_at(self.places.of_attempt("run")) or {}
        first = whole(run, "session")
        first_only = bool((self._order or {}).get("notice_first_only"))
        for process in self.living():
            if process[:2] in self._told or (first_only and process.pid != first):
                continue
            if processes.catches(process.pid, number) and processes.send(process, number):
                self._told.add(process[:2])
                files.write_durably(str(path), json.dumps({"told": sorted(self._told, key=repr)}))

    def _see_to_the_end(self) -> None:
        """The launcher is gone or done: end what escaped it, then take its word or our own."""
        is_lost = self._ended() is None
        left = self.living(with_session=is_lost)
        for process in left:
            processes.send(process, signal.SIGKILL)
        # Twice, because a process that forks and ends can slip past one look through /proc.
        if left or self.living(with_session=is_lost):
            return
        if is_lost:
            has_run = self.places.of_attempt("run").exists()
            end = {
                "kind": "ended" if has_run else "failed",
                "exit_code": EXIT_KILLED,
                "at_s": self._now_s(),
                "reason": LAUNCHER_VANISHED,
            }
            files.create_exclusively(str(self.places.of_attempt("exit")), json.dumps(end))
        self.receipt = self._receipt(self._ended() or {})

    def _taken(self) -> Written | None:
        """Return who took the lock; once seen, a lock that is removed does not free the attempt."""
        lock = written_at(self.places.of_attempt("lock"))
        if lock is not None and (lock or self._lock is None):
            self._lock = lock
        return self._lock

    def _ended(self) -> Written | None:
        return written_at(self.places.of_attempt("exit"))

    def _is_asked_to_stop(self) -> bool:
        return self._must_stop or self.places.of_attempt("stop").exists()

    def _receipt(self, end: Written) -> Receipt:
        asked = self._is_asked_to_stop()
        return receipt_of(end, self.places, asked_to_stop=asked, now_s=self._now_s())


# Without these an interpreter may not find its own libraries.
_FOR_PYTHON = ("PATH", "LD_LIBRARY_PATH")
_FILES = ("out", "err", "lock", "run", "exit", "stop")
