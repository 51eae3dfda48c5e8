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
from dure.core.orders import ACTION_ID, NOTICE_SIGNALS, StartOrder
from dure.drivers.interactive.lines import session_step
from dure.drivers.machine import MachineNode
from dure.drivers.places import Places
from dure.drivers.workdirs import archive_of

SHELL = "/bin/bash"
# The variables by which every process of an attempt is known.
DIR_MARK, ATTEMPT_MARK = "DURE_JOB_DIR", "DURE_ATTEMPT"
NO_CONTAINER = "dure: no apptainer to use here, so not the image {} either: a plain process\n"
NO_SESSION = "dure: here no session is put into an image, so not {} either: a plain process\n"
SEVERAL_NODES = "dure: on several nodes no image is used, so not {} either: a plain process\n"
# The server's own variables may hold tokens; a job gets these of them and no others.
INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
SIGNALS = {name: int(signal.Signals[f"SIG{name}"]) for name in NOTICE_SIGNALS}


@dataclass(frozen=True, slots=True)
class Launch:
    """All that the launcher needs, and the scripts that must lie there before.

    Attributes:
        steps: argument lists, run one after the other until one fails.
        scripts: (path, text) of the user's own scripts.
        notice_signal: number, 0 for none; ``notice_first_only``: for the first process alone.
        project_dir: must be there before; a link ``project`` in the work folder leads to it.
        workdir: archive of what the work folder holds at first.
        remark: what the person should know, at the beginning of its standard error.
        inside_if_there: the words before each step that run it in the order's image, for a node
            that finds out itself whether it has that program; ``remark`` is for when it has not.
    """

    steps: tuple[tuple[str, ...], ...]
    env: Mapping[str, str]
    scripts: tuple[tuple[Path, str], ...]
    notice_signal: int
    notice_first_only: bool
    project_dir: Path | None = None
    workdir: Path | None = None
    remark: str = ""
    inside_if_there: tuple[str, ...] = ()


def plan_launch(
    order: StartOrder, places: Places, machine: MachineNode, *, container: str = ""
) -> Launch:
    """Turn an order into argument lists and an environment on this machine, or refuse it.

    Args:
        container: the program ``apptainer``, "" where there is none; what asks for an image runs
            as a plain process then, and is told.

    Raises:
        DriverError: if the order names devices that this machine has not, or asks for nothing
            that could be run.
    """
    own = own_variables(order, places, scratch=str(places.scratch_dir))
    if machine.has_gpus:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(str(device) for _, device in order.devices)
    if order.recipe.dialect == "sbatch":
        own |= _slurm_variables(order, own)
    gpus = {machine.node: machine.gpus}
    inside: tuple[str, ...] = ()
    if order.recipe.image and container:
        inside = in_image(
            order, places, container, scratch=str(places.scratch_dir), nvidia=machine.has_gpus
        )
    return launch_of(
        order,
        places,
        gpus=gpus,
        env=_base(places),
        own=own,
        inside=inside,
    )


def launch_of(
    order: StartOrder,
    places: Places,
    *,
    gpus: Mapping[str, int],
    env: Mapping[str, str],
    own: Mapping[str, str],
    reserved: tuple[str, ...] = ("DURE_",),
    inside: tuple[str, ...] = (),
    inside_if_there: tuple[str, ...] = (),
    gate: Path | None = None,
) -> Launch:
    """Put a launch together, or refuse the order.

    Args:
        gpus: devices by node, of every node that an order may name.
        env: what a job finds unless it says otherwise; ``own``: whatever it says.
        reserved: what names of variables begin with that no job may set.
        inside: the words before each step that run it in the order's image; without them what
            asks for an image runs as a plain process, and is told.
        inside_if_there: the same where only the node knows whether it has such a program.
        gate: folder of an interactive session's gate; None where it is reached without one.

    Raises:
        DriverError: as ``plan_launch``.
    """
    _check(order, gpus)
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
    steps = [(*inside, *step) for step in steps]
    if recipe.interactive:
        # Our own program stands outside of any image, what it starts inside.
        steps.append(session_step(recipe, scratch=own["DURE_TMP"], inside=inside, gate=gate))
    theirs = {k: v for k, v in recipe.env.items() if not k.startswith(reserved)}
    notice = recipe.notice_signal.removeprefix("B:")
    return Launch(
        steps=tuple(steps),
        env={**env, **theirs, **own},
        scripts=tuple(scripts),
        notice_signal=0 if notice == "none" else SIGNALS[notice],
        notice_first_only=recipe.notice_signal.startswith("B:"),
        project_dir=places.project_dir(recipe.project) if recipe.project else None,
        workdir=archive_of(places.root, recipe.workdir) if recipe.workdir else None,
        remark=_remark(order, gate) if recipe.image and not inside else "",
        inside_if_there=inside_if_there,
    )


def spans_nodes(order: StartOrder) -> bool:
    """Tell whether an order is for several nodes."""
    return len({node for node, _ in order.devices}) > 1


def _remark(order: StartOrder, gate: Path | None) -> str:
    words = SEVERAL_NODES if spans_nodes(order) else NO_CONTAINER
    if order.recipe.interactive and gate is not None:
        words = NO_SESSION
    return words.format(order.recipe.image)


def in_image(
    order: StartOrder, places: Places, container: str, *, scratch: str, nvidia: bool
) -> tuple[str, ...]:
    """Return the words before a step that run it in the order's image, on the job's own folders.

    Args:
        container: the program, ``apptainer``.
        scratch: the attempt's ``TMPDIR``.

    Raises:
        DriverError: if the folders have a name that cannot be told to a container.
    """
    shown = [str(places.job_dir), scratch]
    if order.recipe.project:
        shown.append(str(places.project_dir(order.recipe.project)))
    if any(sign in str(places.root) for sign in ":,"):
        raise DriverError(
            f"job {order.job}: {places.root} has a ':' or ',' in its name, so it cannot be shown "
            "to a container. Choose another --data, or leave the image out."
        )
    return (
        container,
        "exec",
        *(("--nv",) if nvidia else ()),
        *(f"--bind={folder}" for folder in shown),
        f"--pwd={places.work_dir}",
        f"docker://{order.recipe.image}",
    )


def own_variables(order: StartOrder, places: Places, *, scratch: str) -> dict[str, str]:
    """Return what we tell a job; the same on every backend."""
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
    if order.recipe.project:
        own["DURE_PROJECT_DIR"] = str(places.project_dir(order.recipe.project))
    if order.recipe.submit_dir:
        own["DURE_SUBMIT_DIR"] = order.recipe.submit_dir
    if place := order.recipe.array:
        own |= {"DURE_ARRAY_JOB": place.job, "DURE_ARRAY_INDEX": str(place.index)}
        if order.recipe.dialect == "sbatch":
            own |= {
                "SLURM_ARRAY_JOB_ID": place.job,
                "SLURM_ARRAY_TASK_ID": str(place.index),
                "SLURM_ARRAY_TASK_COUNT": str(place.count),
                "SLURM_ARRAY_TASK_MIN": str(place.least),
                "SLURM_ARRAY_TASK_MAX": str(place.most),
            }
    return own


def marks(places: Places) -> tuple[str, ...]:
    """Return the variables by which every process of an attempt is known.

    The folder is one of them: two pools on one machine may choose the same ids.
    """
    return (f"DURE_JOB_DIR={places.job_dir}", f"DURE_ATTEMPT={places.attempt}")


def _check(order: StartOrder, gpus: Mapping[str, int]) -> None:
    def refuse(found: str) -> DriverError:
        return DriverError(f"job {order.job}, attempt {order.attempt}: {found}")

    if ACTION_ID.fullmatch(order.action_id) is None:
        raise refuse(f"the action id {order.action_id[:80]!r} holds other letters than ids have.")
    work = (order.recipe.script, order.recipe.command, order.recipe.interactive)
    if sum(map(bool, work)) != 1:
        raise refuse("the order must have a script, a command or a session, one of them.")
    if not order.devices or len(set(order.devices)) != len(order.devices):
        raise refuse("the order must name each device once, and at least one.")
    if not 1 <= order.gpu_milli <= 1000:
        raise refuse(f"gpu_milli is {order.gpu_milli}; it must be 1 to 1000.")
    for node, device in order.devices:
        if not 0 <= device < gpus.get(node, 0):
            raise refuse(f"({node}, {device}) is not a device here ({_shown(gpus)}).")
    if order.recipe.notice_signal.removeprefix("B:") not in {*SIGNALS, "none"}:
        raise refuse(f"there is no signal {order.recipe.notice_signal[:40]!r} for the notice.")
    recipe = order.recipe
    words = (*recipe.command, *recipe.env, *recipe.env.values(), recipe.name, recipe.submit_dir)
    words = (*words, recipe.image)
    if not all(_can_be_given(word) for word in words) or any(not k or "=" in k for k in recipe.env):
        raise refuse("a variable or an argument holds what no process can be given.")
    if not all(_can_be_given(text.replace("\0", "")) for text in (recipe.script, recipe.setup)):
        raise refuse("a script holds letters that no file can hold.")


def _can_be_given(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _shown(gpus: Mapping[str, int]) -> str:
    if len(gpus) > 1:
        return f"{len(gpus)} nodes with {sum(gpus.values())} devices"
    return "".join(f"{node} has 0 to {count - 1}" for node, count in gpus.items())


def _base(places: Places) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    home = str(places.work_dir)
    # A shared home would carry one project's caches and keys to the next.
    return {"PATH": os.defpath, **inherited, "HOME": home, "SHELL": SHELL}


def _slurm_variables(order: StartOrder, own: Mapping[str, str]) -> dict[str, str]:
    """Return what batch scripts read most; a script that calls ``srun`` needs a Slurm site."""
    return {
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
