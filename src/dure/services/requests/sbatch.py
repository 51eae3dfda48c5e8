"""Batch scripts of Slurm, unchanged: what their ``#SBATCH`` lines ask, as a request of ours.

A directive that has no meaning here is kept as a note. One that would change *what* runs (a
heterogeneous job) is refused: running something else would be worse than not running.

Source:
    sbatch(1) of Slurm 22.05. Lines ``#DURE name=value`` beside them hold our own fields; to Slurm
    they are comments.
"""

import difflib
from dataclasses import dataclass, field
from typing import Any

from dure.core.errors import InputError
from dure.services.requests.arrays import array_text
from dure.services.requests.model import JobRequest, Note, checked
from dure.services.requests.own_fields import OWN_FIELDS
from dure.services.requests.sbatch_words import (
    FLAGS,
    REFUSED,
    Gres,
    Option,
    after_jobs,
    gres,
    mebibytes,
    node_range,
    notice,
    options,
    switches,
    typed_count,
    variables,
)
from dure.services.requests.values import shown, slurm_time_s, whole

NO_GRES = Gres("", 0)
COUNTS = {
    "ntasks": "tasks",
    "ntasks-per-node": "tasks_per_node",
    "cpus-per-task": "cpus_per_task",
    "cpus-per-gpu": "cpus_per_gpu",
}
MEMORY = {
    "mem": "memory_mib",
    "mem-per-cpu": "memory_per_cpu_mib",
    "mem-per-gpu": "memory_per_gpu_mib",
}
READ = {
    "job-name", "account", "nodes", "gpus", "gres", "gpus-per-node", "gpus-per-task", "time",
    "signal", "dependency", "switches", "export", "array", *COUNTS, *MEMORY,
}  # fmt: skip


@dataclass(slots=True)
class Asked:
    """What the directives said so far, before it is put together.

    Attributes:
        found: fields of the request; ``own``: those of ``#DURE`` lines, which overrule.
        places: where each field stands, for a message.
        nodes: (fewest, most); (0, 0) if not asked.
    """

    found: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    nodes: tuple[int, int] = (0, 0)
    gpus: Gres = NO_GRES
    gpus_per_node: Gres = NO_GRES
    gpus_per_task: Gres = NO_GRES
    tasks: int = 0
    tasks_per_node: int = 0
    cpus_per_task: int = 0
    cpus_per_gpu: int = 0
    memory_mib: int = 0
    memory_per_cpu_mib: int = 0
    memory_per_gpu_mib: int = 0

    def put(self, name: str, value: Any, option: Option) -> None:
        self.found[name], self.places[name] = value, option.where

    def keep(self, option: Option, words: str = "") -> None:
        """Note that an option has no effect here."""
        self.notes.append(Note(option.line, "Kept", words or option.words))

    def explain(self, option: Option, meaning: str) -> None:
        """Note how an option was understood."""
        self.notes.append(Note(option.line, "Read", option.words, meaning))


def parse_sbatch(text: str, where: str) -> JobRequest:
    """Read a batch script; the whole text, directives and all, is what runs.

    Args:
        where: the file as a person would name it.

    Raises:
        InputError: by file, line and directive.
    """
    if not text.startswith("#!"):
        raise InputError(
            f"{where}, line 1",
            found=shown(text.split("\n", 1)[0]),
            expected="'#!' and an interpreter, such as #!/bin/bash, as sbatch wants it",
        )
    asked = Asked()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            # sbatch reads no directive after the first command.
            break
        if line.startswith("#SBATCH"):
            for option in options(line[len("#SBATCH") :], number, where):
                _take(option, asked)
        elif line.startswith("#DURE"):
            _take_own(line[len("#DURE") :].strip(), f"{where}, line {number}", asked)
    found = {**asked.found, **_shape(asked)}
    if "gpus" in asked.own:
        found.pop("gpus_per_node", None)
    found |= asked.own
    request = JobRequest(**found, run=text, dialect="sbatch", notes=tuple(asked.notes))
    return checked(request, lambda name: asked.places.get(name, f"{where}, {name}"))


def _take(option: Option, asked: Asked) -> None:
    if option.name in REFUSED:
        raise InputError(option.where, found=option.words[:80], expected=REFUSED[option.name])
    if option.name in ("requeue", "no-requeue"):
        # Slurm's own word for "may be stopped and started again".
        is_preemptible = option.name == "requeue"
        asked.put("preemptible", is_preemptible, option)
        asked.explain(option, f"preemptible: {str(is_preemptible).lower()}")
    elif option.name not in READ or option.name in FLAGS:
        asked.keep(option)
    elif option.value is None:
        raise InputError(option.where, found="no value", expected=f"--{option.name}=VALUE")
    elif option.name in COUNTS:
        setattr(asked, COUNTS[option.name], whole(option.value, option.where, least=1, most=10**6))
    elif option.name in MEMORY:
        amount_mib = mebibytes(option.value, option.where)
        setattr(asked, MEMORY[option.name], amount_mib)
        if amount_mib == 0:
            asked.keep(option)
    elif option.name in ("nodes", "gpus", "gres", "gpus-per-node", "gpus-per-task"):
        _take_size(option, option.value, asked)
    else:
        _take_value(option, option.value, asked)


def _take_size(option: Option, value: str, asked: Asked) -> None:
    match option.name:
        case "nodes":
            asked.nodes = node_range(value, option.where)
            asked.places["nodes"] = option.where
            return
        case "gres":
            asked.gpus_per_node = found = gres(value, option.where)
            if found.other:
                asked.keep(option, f"--gres={found.other}")
        case "gpus":
            asked.gpus = found = typed_count(value, option.where)
        case "gpus-per-node":
            asked.gpus_per_node = found = typed_count(value, option.where)
        case _:
            asked.gpus_per_task = found = typed_count(value, option.where)
    asked.places["gpus"] = asked.places["gpus_per_node"] = option.where
    if found.kind:
        asked.put("accelerator", found.kind, option)


def _take_value(option: Option, value: str, asked: Asked) -> None:
    match option.name:
        case "job-name":
            asked.put("name", value, option)
        case "account":
            asked.put("project", value, option)
        case "array":
            asked.put("array", array_text(value, option.where), option)
        case "time":
            asked.put("estimate_s", slurm_time_s(value, option.where), option)
        case "signal":
            name, before_s = notice(value, option.where)
            asked.put("notice_signal", name, option)
            asked.put("checkpoint_takes_s", before_s, option)
            asked.explain(option, f"notice_signal: {name}, checkpoint_takes: {before_s}s")
        case "dependency":
            for name, jobs in after_jobs(value, option.where).items():
                asked.put(name, jobs, option)
            if "aftercorr" in value:
                asked.explain(option, f"after: {','.join(jobs)}; all of them must succeed")
            if "+" in value:
                asked.explain(option, "no delay after the start")
        case "switches":
            locality = switches(value, option.where)
            if locality is None:
                asked.keep(option)
            else:
                asked.put("locality", locality, option)
                asked.explain(option, f"locality: {locality}")
        case _:
            env, other = variables(value)
            asked.put("env", env, option)
            if other:
                asked.keep(option, f"--export={other}")


def _take_own(text: str, where: str, asked: Asked) -> None:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or name not in OWN_FIELDS:
        near = difflib.get_close_matches(name[:80], OWN_FIELDS, n=1)
        raise InputError(
            where,
            found=shown(text),
            expected=f"#DURE name=value, name one of {', '.join(sorted(OWN_FIELDS))}",
            next_step=f"Did you mean {near[0]}?" if near else "",
        )
    goes_to, read = OWN_FIELDS[name]
    asked.own[goes_to] = read(value.strip(), f"{where}, {name}")
    asked.places[goes_to] = asked.places[name] = f"{where}, {name}"


def _shape(asked: Asked) -> dict[str, Any]:
    """Put together how many GPUs on how many nodes, and what of a node goes with them."""
    fewest, most = asked.nodes
    nodes = max(1, most)
    tasks_per_node = asked.tasks_per_node or -(-asked.tasks // nodes) or 1
    per_node = asked.gpus_per_node.number
    if not per_node and asked.gpus_per_task.number:
        per_node = asked.gpus_per_task.number * tasks_per_node
    gpus = asked.gpus.number or per_node * nodes
    if gpus == 0:
        gpus = nodes
        asked.notes.append(Note(0, "Read", "no GPUs asked for", f"gpus: {gpus}"))
    shape: dict[str, Any] = {"gpus": gpus}
    if most:
        shape["nodes"] = most
    if per_node and most > 1:
        shape["gpus_per_node"] = per_node
    if 0 < fewest < most:
        shape["min_gpus"] = max(1, gpus * fewest // most)
    on_node = per_node or -(-gpus // nodes)
    cpus = asked.cpus_per_task * tasks_per_node or asked.cpus_per_gpu * on_node
    memory_mib = (
        asked.memory_mib
        or asked.memory_per_cpu_mib * (cpus or tasks_per_node)
        or asked.memory_per_gpu_mib * on_node
    )
    return {**shape, "cpu_milli": cpus * 1000, "memory_mib": memory_mib}
