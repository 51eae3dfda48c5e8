"""The backend ``local``: jobs as processes of this machine, on its GPUs or on counted slots.

Launched exactly once: the intent is durable before the launcher starts, the launcher takes the
attempt's lock before the command starts, and both outlive a kill of this process at any moment.
Nothing here waits: ``observe`` moves everything on.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock

from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.drivers import files, processes
from dure.drivers.attempt import Attempt
from dure.drivers.ends import printed
from dure.drivers.launch import plan_launch
from dure.drivers.machine import MachineNode, used_gpu_mib
from dure.drivers.places import Places, open_intents

GRACE_S = 5.0
# A driver keeps some hundred MiB on an empty GPU; a job's data are more.
GPU_MIB_MAX = 1024


class LocalDriver:
    """Starts, tells, stops and observes jobs on this machine; takes up again what runs already.

    Args:
        root: folder of the pool, ``DIR/here``; ``jobs/JOB/`` in it is a job's own.
        machine: what may be handed out.
        grace_s: from SIGTERM to SIGKILL when an attempt is stopped.
        now_s: the pool's clock.
    """

    def __init__(
        self,
        root: Path,
        machine: MachineNode,
        *,
        grace_s: float = GRACE_S,
        now_s: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        self.root = root.resolve()
        self._machine, self._grace_s, self._now_s = machine, grace_s, now_s
        self._container = shutil.which("apptainer") or ""
        self._lock = RLock()
        self._open: dict[tuple[str, int], Attempt] = {}
        # What hinders an attempt from being moved on; each ``observe`` tries again.
        self.troubles: dict[tuple[str, int], str] = {}
        for name in ("jobs", "control", "open", "scratch"):
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for job, attempt in open_intents(self.root):
            self._open[job, attempt] = self._attempt(self._places(job, attempt))

    def start(self, order: StartOrder) -> None:
        """Start an attempt unless it was started before; durable when this returns.

        Raises:
            DriverError: if the order cannot be carried out here, or an earlier attempt of the job
                has not ended; nothing was started then.
        """
        places = self._places(order.job, order.attempt)
        with self._lock:
            key = (order.job, order.attempt)
            if key in self._open or places.of_attempt("lock").exists():
                return
            launch = plan_launch(order, places, self._machine, container=self._container)
            job = order.job
            for attempt in [attempt for other, attempt in self._open if other == job]:
                if self._move((job, attempt)) is None:
                    raise DriverError(
                        f"job {job}: attempt {attempt} has not ended, so attempt {order.attempt} "
                        "is not started. Stop it, wait for its receipt, then order again."
                    )
            try:
                Attempt.write_intent(
                    places, launch, action_id=order.action_id, grace_s=self._grace_s
                )
            except OSError as wrong:
                raise DriverError(
                    f"job {job}: its folder cannot be written ({wrong}); free the disk, "
                    "or look at its permissions."
                ) from wrong
            self._open[key] = self._attempt(places)
            self._move(key)

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        """Tell an attempt that it must leave by ``stop_by_s``; no effect on one that has ended."""
        with self._lock:
            if found := self._open.get((job, attempt)):
                found.tell_to_leave(stop_by_s)
                self._move((job, attempt))

    def stop(self, job: str, attempt: int) -> None:
        """Begin to stop an attempt; ``observe`` ends it by force once its grace is over."""
        with self._lock:
            if found := self._open.get((job, attempt)):
                found.ask_to_stop()
                self._move((job, attempt))

    def observe(self) -> Sequence[Receipt]:
        """Move every attempt on; return the ends not acknowledged yet, sorted by job, attempt."""
        with self._lock:
            receipts = [self._move(key) for key in sorted(self._open)]
            return [receipt for receipt in receipts if receipt is not None]

    def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Forget ends that the ledger holds. Their files stay; their intents go."""
        if not receipts:
            return
        with self._lock:
            for receipt in receipts:
                found = self._open.get((receipt.job, receipt.attempt))
                if found is not None and self._move(found.key) is not None:
                    files.remove(str(found.places.intent))
                    del self._open[found.key]
            files.sync_folder(str(self.root / "open"))

    def running(self) -> Sequence[tuple[str, int]]:
        """Return (job, attempt) of what was started and has no receipt yet, sorted."""
        with self._lock:
            return sorted(key for key, found in self._open.items() if found.receipt is None)

    def clean(self, job: str, attempt: int) -> dict[str, object]:
        """Leave nothing of an ended attempt for the next owner, and say what was found.

        Returns:
            job, attempt, at_s; processes (pids that were still there and were killed),
            processes_left; scratch_files, scratch_bytes (in its private ``TMPDIR``, removed);
            gpu_mib (in use on the fullest of its GPUs, -1 if it had none or nobody can tell);
            is_clean.

        Raises:
            DriverError: if the attempt has not ended, or its GPUs do not tell what they hold.
        """
        places = self._places(job, attempt)
        with self._lock:
            found = self._open.get((job, attempt))
            if found is not None and self._move(found.key) is None:
                raise DriverError(f"job {job}: attempt {attempt} runs; stop it before cleaning.")
            owner = found or self._attempt(places)
            gpus = owner.gpus if self._machine.has_gpus else ""
            found_here = _cleaned(owner, gpus)
            return {"job": job, "attempt": attempt, "at_s": self._now_s(), **found_here}

    def output(
        self, job: str, attempt: int, *, stream: str = "out", from_byte: int = 0
    ) -> tuple[bytes, int]:
        """Read what an attempt has printed so far; see ``ends.printed``."""
        return printed(self._places(job, attempt), stream=stream, from_byte=from_byte)

    def nodes(self) -> Sequence[NodeReport]:
        """Nothing to say: while this machine is down, so are we."""
        return ()

    def _move(self, key: tuple[str, int]) -> Receipt | None:
        """Move one attempt on; what hinders it must not hinder the others."""
        self.troubles.pop(key, None)
        try:
            return self._open[key].step()
        except (OSError, LookupError, TypeError, ValueError) as wrong:
            self.troubles[key] = f"{type(wrong).__name__}: {wrong}"
            return None

    def _attempt(self, places: Places) -> Attempt:
        return Attempt(places, grace_s=self._grace_s, now_s=self._now_s)

    def _places(self, job: str, attempt: int) -> Places:
        return Places(self.root, job, attempt)


def _cleaned(owner: Attempt, gpus: str) -> dict[str, object]:
    escaped = owner.living()
    for process in escaped:
        processes.send(process, 9)
    deadline_s = time.monotonic() + 1
    while (left := owner.living()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    scratch = owner.places.scratch_dir
    count, size = _emptied(scratch)
    gpu_mib = used_gpu_mib(gpus) if gpus else -1
    return {
        "processes": [process.pid for process in escaped],
        "processes_left": [process.pid for process in left],
        "scratch_files": count,
        "scratch_bytes": size,
        "gpu_mib": gpu_mib,
        "is_clean": not left and not scratch.exists() and gpu_mib <= GPU_MIB_MAX,
    }


def _emptied(folder: Path) -> tuple[int, int]:
    """Remove a folder, whatever its owner made of its permissions; count its files and bytes."""
    count = size = 0
    if not folder.is_symlink() and folder.is_dir():
        folder.chmod(0o700)
    # Top down, so that a folder is opened up before it is looked into.
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(place, name)
            about = os.lstat(path)
            if stat.S_ISDIR(about.st_mode):
                os.chmod(path, 0o700)
            else:
                count, size = count + 1, size + about.st_size
    shutil.rmtree(folder, ignore_errors=True)
    return count, size
