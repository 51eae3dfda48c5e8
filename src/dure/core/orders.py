"""What the pool tells a backend and what a backend tells the pool: values both rooms know.

Services decide and drivers carry out, strangers to one another; these are the words between them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from dure.core.errors import InputError

# A job says with this exit code that it saved and wants to be started again later.
EXIT_SAVED: Final = 85

# Reasons of an end that the backend brought on, not the job: it may run again elsewhere.
LAUNCHER_VANISHED: Final = "LauncherVanished"
NODE_FAILED: Final = "NodeFailed"
JOB_VANISHED: Final = "JobVanished"
JOB_PREEMPTED: Final = "JobPreempted"
JOB_REQUEUED: Final = "JobRequeued"
LOST_REASONS: Final = frozenset(
    {LAUNCHER_VANISHED, NODE_FAILED, JOB_VANISHED, JOB_PREEMPTED, JOB_REQUEUED}
)

# What may tell a job to save: signals that a programme can catch and that mean nothing else to it.
NOTICE_SIGNALS: Final = (
    "USR1",
    "USR2",
    "TERM",
    "INT",
    "HUP",
    "QUIT",
    "CONT",
    "ALRM",
    "WINCH",
    "URG",
)

# What an interactive session is: a notebook server, or a terminal.
INTERACTIVE_KINDS: Final = ("jupyter", "shell")

# Ids become file names, arguments and comments of other schedulers, so they are this plain.
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ACTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,127}")

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def checked_job_id(text: str) -> str:
    """Return ``text`` if it may be a job's id, before any path or argument is made of it.

    Raises:
        InputError: if it is anything but 1 to 64 letters, digits, ``.``, ``_``, ``-``.
    """
    if JOB_ID.fullmatch(text) is None:
        raise InputError(
            "job id",
            found=repr(text[:80]),
            expected="1 to 64 of the letters A-Z, a-z, digits, '.', '_' and '-', "
            "the first one a letter or a digit",
        )
    return text


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """Which element of a job array a job is.

    Attributes:
        job: id of the whole array; an element's own id is ``JOB_INDEX``.
        index: its own; ``least`` and ``most`` are those of the array's ``count`` elements.
    """

    job: str
    index: int
    count: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one attempt of a job runs. A backend never adds to it a word that a shell would read.

    Attributes:
        script: text of the job's own script; its first line may name an interpreter (``#!``),
            bash otherwise. Empty if there is a ``command``.
        command: program and arguments, run as they are. Empty if there is a ``script``.
        setup: text of a script that runs before, in every attempt; the attempt ends if it fails.
        env: variables of the user; names beginning with ``DURE_`` are ours and overrule these.
        notice_signal: what tells the job to save: ``USR1``; ``B:USR1`` for its first process
            alone; ``none`` for the notice file alone.
        name: what a person called the job; for display.
        submit_dir: where it was submitted from, if on this machine; "" otherwise.
        dialect: ``dure`` or ``sbatch``: whether it expects Slurm's variables.
        array: its place in a job array; None if it is in none.
        project: whose files it finds in ``DURE_PROJECT_DIR``; "" if it has none.
        workdir: what its work folder holds at first, ``USER/SHA256`` of an archive that the pool
            keeps; "" if it begins empty.
        image: container image, an OCI reference; "" if it runs as a plain process.
        interactive: one of ``INTERACTIVE_KINDS``, instead of a script or a command: a program of
            ours that people reach through the portal; "" for none.
        interactive_s: it ends by itself after so many seconds.
    """

    script: str = ""
    command: tuple[str, ...] = ()
    setup: str = ""
    env: Mapping[str, str] = field(default_factory=lambda: NO_ENVIRONMENT)
    notice_signal: str = "USR1"
    name: str = ""
    submit_dir: str = ""
    dialect: str = "dure"
    array: ArrayPlace | None = None
    project: str = ""
    workdir: str = ""
    image: str = ""
    interactive: str = ""
    interactive_s: int = 0


NO_RECIPE: Final = Recipe()


@dataclass(frozen=True, slots=True)
class StartOrder:
    """Start one attempt of a job on named devices. ``action_id`` makes repeats harmless.

    Attributes:
        devices: (node, device of the node), one or more.
        gpu_milli: share of each device; 1000 is the whole.
        gang_class: ``own``, ``loan`` or ``scavenge``.
    """

    action_id: str
    job: str
    attempt: int
    devices: tuple[tuple[str, int], ...]
    gpu_milli: int
    recipe: Recipe = NO_RECIPE
    gang_class: str = "own"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a backend did or saw.

    Attributes:
        kind: ``ended`` (by itself), ``stopped`` (we asked), ``failed`` (could not start).
        saved: its work up to now is in a checkpoint (a job that said so, exit 85).
        exit_code: of the process; 0 for success, 128 + N if signal N ended it.
        reason: why it failed, or what else is worth knowing; "" if there is nothing.
        began_at_s: when its nodes began it, <= ``at_s``; ``at_s`` if they never did, 0 if the
            backend does not know.
    """

    kind: str
    job: str
    attempt: int
    at_s: int
    exit_code: int = 0
    saved: bool = False
    reason: str = ""
    began_at_s: int = 0


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a backend says of one of its nodes now.

    Attributes:
        state: ``open``; ``closed`` to new work, what runs there runs on; ``down``.
        who: who closed it, one of ``CORDONERS``; "" unless it is closed.
        reason: in the backend's words, "" if it gives none.
    """

    node: str
    state: Literal["open", "closed", "down"]
    who: str = ""
    reason: str = ""
