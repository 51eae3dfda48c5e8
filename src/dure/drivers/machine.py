"""What this machine has: its GPUs, or slots counted instead, as the nodes of the pool ``here``."""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dure.core.errors import DriverError, InputError

NODE = "here-0001"
# A counted slot is a place to run, of no GPU type; a job that names a type does not fit on it.
SLOT = "slot"
SLOTS_MAX = 4_096
ASK_S_MAX = 20
# Marketing words around the one that people and accelerator fields use.
NO_MODEL = {"nvidia", "tesla", "geforce", "graphics", "device"}
QUESTION = ["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]


@dataclass(frozen=True, slots=True)
class MachineNode:
    """A node of the pool ``here``, in the words of the pool's own table.

    Attributes:
        gpus: devices that can be handed out: real GPUs, or slots.
        has_gpus: they are real, so jobs are told theirs in ``CUDA_VISIBLE_DEVICES``.
        note: what a person should know, "" if nothing.
    """

    node: str
    accelerator: str
    gpus: int
    cpu_milli: int
    memory_mib: int
    has_gpus: bool
    provider: str = "here"
    cluster: str = "here"
    leaf: str = "here-leaf-01"
    pod: str = "here-pod-01"
    site: str = "here"
    note: str = ""


def this_machine(
    *, slots: int | None = None, ask: Callable[[], str | None] | None = None
) -> tuple[MachineNode, ...]:
    """Count what this machine can run.

    Args:
        slots: count this many instead of its GPUs; None for ``DURE_SLOTS``, else the GPUs that
            it has, else its CPUs.
        ask: what ``nvidia-smi`` answers, None if there is none; the real one unless a test
            brings its own.

    Raises:
        InputError: if ``DURE_SLOTS`` or ``slots`` is not a count.
        DriverError: if there are GPUs that do not answer: counting slots would share them out
            twice, so nothing starts.
    """
    wanted = slots if slots is not None else _slots_wanted(os.environ.get("DURE_SLOTS", ""))
    if wanted is not None:
        return (_node(SLOT, _checked_slots(wanted), has_gpus=False),)
    answer = (ask or _ask_nvidia)()
    if answer is None:
        return (_node(SLOT, max(1, len(os.sched_getaffinity(0))), has_gpus=False),)
    models = gpu_models(answer)
    if not models:
        raise DriverError(
            "nvidia-smi names no GPU though the machine has some; look at its driver."
        )
    note = "" if len(set(models)) == 1 else f"GPUs differ: {', '.join(models)}; all count as one"
    return (_node(models[0], len(models), has_gpus=True, note=note),)


def gpu_models(answer: str) -> list[str]:
    """Read nvidia-smi's list: the model of each GPU in the order of its index, ``H100``, ``B200``.

    Raises:
        DriverError: if a line is not ``index, name, memory``.
    """
    models: dict[int, str] = {}
    for line in answer.splitlines():
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split(",")]
        if len(parts) < 3 or not parts[0].isdecimal():
            raise DriverError(f"nvidia-smi answers {line[:80]!r}; 'index, name, memory' expected.")
        models[int(parts[0])] = gpu_model(parts[1])
    return [model for _, model in sorted(models.items())]


def gpu_model(name: str) -> str:
    """Return the model in a product's name: "NVIDIA H100 80GB HBM3" is an ``H100``."""
    words = [word for word in re.findall(r"[^ _]+", name) if word.lower() not in NO_MODEL]
    if len(words) > 1 and words[0].upper() in {"RTX", "GTX", "QUADRO"}:
        return "".join(words[:2]).upper()
    return re.split(r"[-/]", words[0])[0].upper() if words else "GPU"


def _slots_wanted(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise InputError("DURE_SLOTS", found=repr(text[:40]), expected="a count, such as 8")
    return int(text)


def _checked_slots(slots: int) -> int:
    if not 1 <= slots <= SLOTS_MAX:
        raise InputError("slots", found=str(slots), expected=f"1 to {SLOTS_MAX}")
    return slots


def _ask_nvidia() -> str | None:
    devices = [path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdecimal()]
    asked = _asked(QUESTION)
    if asked is None:
        # Device files without the tool: they can be counted, not named.
        lines = [f"{path.name[6:]}, GPU, 0" for path in devices]
        return "\n".join(lines) or None
    if asked.returncode != 0:
        if not devices:
            return None
        words = (asked.stderr or asked.stdout).strip()[:200]
        raise DriverError(f"nvidia-smi fails ({asked.returncode}): {words}")
    return asked.stdout


def used_gpu_mib(gpus: str) -> int:
    """Return the memory in use on the fullest of some GPUs, in MiB; -1 if no tool can tell.

    Args:
        gpus: their indices, as in ``CUDA_VISIBLE_DEVICES``.

    Raises:
        DriverError: if the tool is there and does not tell: nobody can say that they are empty.
    """
    question = ["nvidia-smi", "-i", gpus, "--query-gpu=memory.used", *QUESTION[2:]]
    asked = _asked(question)
    if asked is None:
        return -1
    used = [line.strip() for line in asked.stdout.splitlines() if line.strip()]
    if asked.returncode != 0 or not used or not all(one.isdecimal() for one in used):
        words = (asked.stderr or asked.stdout).strip()[:200]
        raise DriverError(f"nvidia-smi does not tell the memory in use on GPU {gpus}: {words}")
    return max(map(int, used))


def _asked(question: list[str]) -> subprocess.CompletedProcess[str] | None:
    """Ask the tool; None if it is not there."""
    try:
        return subprocess.run(question, capture_output=True, text=True, timeout=ASK_S_MAX)
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as late:
        raise DriverError(f"nvidia-smi does not answer within {ASK_S_MAX} s.") from late


def _node(accelerator: str, gpus: int, *, has_gpus: bool, note: str = "") -> MachineNode:
    return MachineNode(
        node=NODE,
        accelerator=accelerator,
        gpus=gpus,
        cpu_milli=len(os.sched_getaffinity(0)) * 1000,
        memory_mib=_memory_mib(),
        has_gpus=has_gpus,
        note=note,
    )


def _memory_mib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_048_576
