"""Where everything of an attempt lies, made of checked ids only."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dure.core.errors import InputError
from dure.core.orders import checked_job_id
from dure.drivers import files

# How an attempt was launched and ended; everything else of it is the job's own.
CONTROL = ("lock", "run", "exit", "stop", "noticed", "env", "steps", "remark", "slurm")
ATTEMPT_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything of one attempt lies; made of checked ids only.

    Args:
        root: the folder of the pool, ``DIR/here``.
    """

    root: Path
    job: str
    attempt: int

    def __post_init__(self) -> None:
        checked_job_id(self.job)
        assert 1 <= self.attempt <= ATTEMPT_MAX, f"attempt {self.attempt} of {self.job}"

    @property
    def job_dir(self) -> Path:
        return self.root / "jobs" / self.job

    @property
    def control_dir(self) -> Path:
        """Return where ``CONTROL`` lies: a job that clears its own folder must not start anew."""
        return self.root / "control" / self.job

    @property
    def work_dir(self) -> Path:
        """Return the job's current directory; it stays over attempts."""
        return self.job_dir / "work"

    @property
    def checkpoint_dir(self) -> Path:
        return self.job_dir / "checkpoint"

    @property
    def scratch_dir(self) -> Path:
        """Return the attempt's private ``TMPDIR``; it goes when the attempt is cleaned."""
        return self.root / "scratch" / f"{self.job}~{self.attempt}"

    @property
    def intent(self) -> Path:
        """Return the order as written before launching; there until acknowledged."""
        return self.root / "open" / f"{self.job}~{self.attempt}"

    @property
    def done(self) -> Path:
        """Return what an attempt elsewhere writes last; there until acknowledged."""
        return self.root / "done" / f"{self.job}~{self.attempt}"

    def clean_of(self, node: str) -> Path:
        """Return what was found on a node when it was cleaned up after the attempt."""
        return self.control_dir / f"attempt-{self.attempt}.clean.{node}"

    @property
    def gate_dir(self) -> Path:
        """Return where an interactive session elsewhere tells how it is reached."""
        return self.control_dir / f"attempt-{self.attempt}.gate"

    def project_dir(self, project: str) -> Path:
        """Return the folder of a project's files, which all its jobs share."""
        return self.root / "projects" / checked_job_id(project)

    def of_attempt(self, what: str) -> Path:
        """Return ``attempt-N.WHAT``: one of ``CONTROL``; or out, err, script, setup, notice."""
        folder = self.control_dir if what in CONTROL else self.job_dir
        return folder / f"attempt-{self.attempt}.{what}"


def open_intents(root: Path) -> Sequence[tuple[str, int]]:
    """Return (job, attempt) of what was ordered and not acknowledged, by the folder ``open``."""
    return named_intents(root / "open")


def named_intents(folder: Path) -> Sequence[tuple[str, int]]:
    """Return (job, attempt) of the files of a folder, each named ``JOB~ATTEMPT``."""
    found = []
    for name in sorted(os.listdir(folder)):
        job, _, attempt = name.partition("~")
        if not attempt.isdecimal():
            # Half of a write that a crash cut off: the order was never accepted.
            files.remove(str(folder / name))
            continue
        try:
            found.append((Places(folder, job, int(attempt)).job, int(attempt)))
        except (InputError, AssertionError):
            continue
    return found
