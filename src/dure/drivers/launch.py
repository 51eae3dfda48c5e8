"""What exactly a start order becomes on this machine: argument lists, environment, files.

All of it is decided here, as values, so that a test can try hostile words on every field. No word
of a user ever stands in a shell's line of ours: there is none.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dure.core.errors import DriverError
from dure.core.orders import ACTION_ID, NOTICE_SIGNALS, StartOrder, checked_job_id
from dure.drivers.machine import MachineNode

SHELL = "/bin/bash"
# How an attempt was launched and ended; everything else of it is the job's own.
CONTROL = ("lock", "run", "exit", "stop", "noticed")
ATTEMPT_MAX = 1_000_000
# The server's own variables may hold tokens; a job gets these of them and no others.
INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
SIGNALS = {name: int(signal.Signals[f"SIG{name}"]) for name in NOTICE_SIGNALS}


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

    def of_attempt(self, what: str) -> Path:
        """Return ``attempt-N.WHAT``: one of ``CONTROL``; or out, err, script, setup, notice."""
        folder = self.control_dir if what in CONTROL else self.job_dir
        return folder / f"attempt-{self.attempt}.{what}"


@dataclass(frozen=True, slots=True)
class Launch:
    """All that the launcher needs, and the scripts that must lie there before.

    Attributes:
        steps: argument lists, run one after the other until one fails.
        scripts: (path, text) of the user's own scripts.
        notice_signal: number, 0 for none; ``notice_first_only``: for the first process alone.
    """

    steps: tuple[tuple[str, ...], ...]
    env: Mapping[str, str]
    scripts: tuple[tuple[Path, str], ...]
    notice_signal: int
    notice_first_only: bool


def plan_launch(order: StartOrder, places: Places, machine: MachineNode) -> Launch:
    """Turn an order into argument lists and an environment, or refuse it.

    Raises:
        DriverError: if the order names devices that this machine has not, or asks for nothing
            that could be run.
    """
    _check(order, machine)
    recipe = order.recipe
    scripts: list[tuple[Path, str]] = []
    steps: list[tuple[str, ...]] = []
    for what, text in (("setup", recipe.setup), ("script", recipe.script)):
        if text:
            path = places.of_attempt(what)
            scripts.append((path, text))
            # The kernel reads a first line "#!"; everything else is for bash.
            steps.append((str(path),) if text.startswith("#!") else (SHELL, str(path)))
    if recipe.command:
        steps.append(recipe.command)
    own = _own_variables(order, places, machine)
    theirs = {k: v for k, v in recipe.env.items() if not k.startswith("DURE_")}
    notice = recipe.notice_signal.removeprefix("B:")
    return Launch(
        steps=tuple(steps),
        env={**_base(places), **theirs, **own},
        scripts=tuple(scripts),
        notice_signal=0 if notice == "none" else SIGNALS[notice],
        notice_first_only=recipe.notice_signal.startswith("B:"),
    )


def marks(places: Places) -> tuple[str, ...]:
    """Return the variables by which every process of an attempt is known.

    The folder is one of them: two pools on one machine may choose the same ids.
    """
    return (f"DURE_JOB_DIR={places.job_dir}", f"DURE_ATTEMPT={places.attempt}")


def _check(order: StartOrder, machine: MachineNode) -> None:
    def refuse(found: str) -> DriverError:
        return DriverError(f"job {order.job}, attempt {order.attempt}: {found}")

    if ACTION_ID.fullmatch(order.action_id) is None:
        raise refuse(f"the action id {order.action_id[:80]!r} holds other letters than ids have.")
    if bool(order.recipe.script) == bool(order.recipe.command):
        raise refuse("the order must have a script or a command, one of them.")
    if not order.devices or len(set(order.devices)) != len(order.devices):
        raise refuse("the order must name each device once, and at least one.")
    if not 1 <= order.gpu_milli <= 1000:
        raise refuse(f"gpu_milli is {order.gpu_milli}; it must be 1 to 1000.")
    for node, device in order.devices:
        if node != machine.node or not 0 <= device < machine.gpus:
            raise refuse(
                f"({node}, {device}) is not a device of {machine.node}, "
                f"which has 0 to {machine.gpus - 1}."
            )
    if order.recipe.notice_signal.removeprefix("B:") not in {*SIGNALS, "none"}:
        raise refuse(f"there is no signal {order.recipe.notice_signal[:40]!r} for the notice.")
    words = (*order.recipe.command, *order.recipe.env, *order.recipe.env.values())
    if any("\0" in word for word in words) or any(not k or "=" in k for k in order.recipe.env):
        raise refuse("a variable or an argument holds what no process can be given.")


def _base(places: Places) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    home = str(places.work_dir)
    # A shared home would carry one project's caches and keys to the next.
    return {"PATH": os.defpath, **inherited, "HOME": home, "SHELL": SHELL}


def _own_variables(order: StartOrder, places: Places, machine: MachineNode) -> dict[str, str]:
    scratch = str(places.scratch_dir)
    own = {
        "DURE_ACTION": order.action_id,
        "DURE_JOB": order.job,
        "DURE_JOB_NAME": order.recipe.name,
        "DURE_GPUS": str(len(order.devices)),
        "DURE_GPU_MILLI": str(order.gpu_milli),
        "DURE_DEVICES": ",".join(f"{node}:{device}" for node, device in order.devices),
        "DURE_CLASS": order.gang_class,
        "DURE_CHECKPOINT_DIR": str(places.checkpoint_dir),
        "DURE_NOTICE": str(places.of_attempt("notice")),
        "DURE_TMP": scratch,
        "TMPDIR": scratch,
        **dict(mark.split("=", 1) for mark in marks(places)),
    }
    if order.recipe.submit_dir:
        own["DURE_SUBMIT_DIR"] = order.recipe.submit_dir
    if machine.has_gpus:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(str(device) for _, device in order.devices)
    if place := order.recipe.array:
        own |= {"DURE_ARRAY_JOB": place.job, "DURE_ARRAY_INDEX": str(place.index)}
    if order.recipe.dialect == "sbatch":
        own |= _slurm_variables(order, own)
    return own


def _slurm_variables(order: StartOrder, own: Mapping[str, str]) -> dict[str, str]:
    """Return what batch scripts read most; a script that calls ``srun`` needs a Slurm site."""
    place = order.recipe.array
    array = (
        {
            "SLURM_ARRAY_JOB_ID": place.job,
            "SLURM_ARRAY_TASK_ID": str(place.index),
            "SLURM_ARRAY_TASK_COUNT": str(place.count),
            "SLURM_ARRAY_TASK_MIN": str(place.least),
            "SLURM_ARRAY_TASK_MAX": str(place.most),
        }
        if place
        else {}
    )
    return {
        **array,
        "SLURM_JOB_ID": order.job,
        "SLURM_JOB_NAME": order.recipe.name or order.job,
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NNODES": "1",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_GPUS_ON_NODE": own["DURE_GPUS"],
        "SLURM_RESTART_COUNT": str(order.attempt - 1),
        "SLURM_SUBMIT_DIR": own.get("DURE_SUBMIT_DIR", ""),
    }
