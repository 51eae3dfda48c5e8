"""Jobs in YAML: SkyPilot's fields where it has them, ours in a section ``dure:``.

Source:
    SkyPilot, docs/source/reference/yaml-spec.rst. ``accelerators``, ``cpus`` and ``memory`` are for
    each of ``num_nodes`` nodes.
"""

import re
from typing import Any

from dure.core.errors import InputError
from dure.services.requests.images import image_name
from dure.services.requests.model import JobRequest, Note, checked
from dure.services.requests.own_fields import OWN_FIELDS
from dure.services.requests.values import cpus_milli, memory_mib, shown, whole, yes_no
from dure.services.requests.yaml_fields import Field, read_yaml

READ = ("name", "resources", "num_nodes", "envs", "env", "setup", "run", "workdir", "dure")
# SkyPilot's fields that mean something to a cloud and nothing here: kept in the notes.
KEPT = ("file_mounts", "secrets", "service", "config", "volumes", "inputs", "outputs")
READ_RESOURCES = ("accelerators", "cpus", "image_id", "memory", "use_spot")
KEPT_RESOURCES = (
    "accelerator_args", "any_of", "autostop", "cloud", "disk_size", "disk_tier",
    "infra", "instance_type", "job_recovery", "labels", "network_tier", "ordered", "ports",
    "region", "zone",
)  # fmt: skip
OWN = (*OWN_FIELDS, "command")

Found = dict[str, Any]


def parse_job_yaml(text: str, where: str) -> JobRequest:
    """Read a job in YAML.

    Args:
        where: the file as a person would name it.

    Raises:
        InputError: by file, line and field.
    """
    top = read_yaml(text, where).fields((*READ, *KEPT))
    found: Found = {}
    places: dict[str, str] = {}
    notes = [_kept(top[name]) for name in KEPT if name in top]
    if "workdir" in top and not top["workdir"].is_single:
        # A repository to be fetched, in newer files.
        notes.append(_kept(top["workdir"]))
    for name in ("name", "run", "setup", "workdir"):
        if name in top and (name != "workdir" or top[name].is_single):
            _set(found, places, name, top[name], top[name].text())
    for name in ("env", "envs"):
        if name in top:
            variables = top[name].fields(with_empty=True)
            _set(
                found,
                places,
                "env",
                top[name],
                {k: v.text_or_empty() for k, v in variables.items()},
            )
    if "resources" in top:
        notes += _resources(top["resources"], found, places)
    if "num_nodes" in top:
        field = top["num_nodes"]
        _spread(found, places, field, whole(field.text(), field.where, least=1))
    if "dure" in top:
        _own(top["dure"], found, places)
    request = JobRequest(**found, notes=tuple(notes))
    return checked(request, lambda name: places.get(name, f"{where}, {name}"))


def accelerators(field: Field) -> tuple[str, int, int]:
    """Read ``B200:8``, ``{B200: 8}`` or a list of alternatives of the same number.

    Returns:
        (type or types, devices on each node, share of each device in thousandths).
    """
    try:
        choices = [f"{name}:{count.text()}" for name, count in field.fields().items()]
    except InputError:
        choices = list(field.texts())
    types, numbers = [], set()
    for choice in choices:
        form = re.fullmatch(
            r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?::([0-9]{1,4})(\.[0-9]{1,3})?)?", choice
        )
        if form is None:
            raise InputError(
                field.where, found=shown(choice), expected="a type and a number, such as B200:8"
            )
        types.append(form[1])
        milli = int(form[2] or 1) * 1000 + int((form[3] or ".0")[1:].ljust(3, "0"))
        numbers.add(milli)
    milli = numbers.pop() if len(numbers) == 1 else 0
    if milli <= 0 or (milli > 1000 and milli % 1000):
        raise InputError(
            field.where,
            found=shown(", ".join(choices)),
            expected="one number for all types, whole or below 1",
        )
    shared = milli < 1000
    return "|".join(types), 1 if shared else milli // 1000, milli if shared else 1000


def _resources(section: Field, found: Found, places: dict[str, str]) -> list[Note]:
    below = section.fields((*READ_RESOURCES, *KEPT_RESOURCES))
    if "accelerators" in below:
        field = below["accelerators"]
        kind, gpus, milli = accelerators(field)
        _set(found, places, "accelerator", field, kind)
        _set(found, places, "gpus", field, gpus)
        _set(found, places, "gpu_milli", field, milli)
    if "cpus" in below:
        field = below["cpus"]
        _set(found, places, "cpu_milli", field, cpus_milli(field.text(), field.where))
    if "memory" in below:
        field = below["memory"]
        _set(found, places, "memory_mib", field, memory_mib(field.text(), field.where, unit="G"))
    notes = [_kept(below[name]) for name in KEPT_RESOURCES if name in below]
    if "image_id" in below:
        field = below["image_id"]
        if field.is_single and field.text().startswith("docker:"):
            _set(found, places, "image", field, image_name(field.text(), field.where))
        else:
            # A machine image of some cloud, or one a region.
            notes.append(_kept(field))
    if "use_spot" in below:
        field = below["use_spot"]
        is_spot = yes_no(field.text(), field.where)
        _set(found, places, "preemptible", field, is_spot)
        notes.append(Note(field.line, "Read", "use_spot", f"preemptible: {str(is_spot).lower()}"))
    return notes


def _spread(found: Found, places: dict[str, str], field: Field, nodes: int) -> None:
    """Repeat what was asked of one node on each of several."""
    on_each = int(found.get("gpus", 1))
    if nodes > 1:
        _set(found, places, "gpus", field, nodes * on_each)
        _set(found, places, "gpus_per_node", field, on_each)
    _set(found, places, "nodes", field, nodes)


def _own(section: Field, found: Found, places: dict[str, str]) -> None:
    below = section.fields(OWN)
    if "gpus" in below:
        # Said outright, so what ``accelerators`` asked of each node gives way.
        found.pop("gpus_per_node", None)
    for name, field in below.items():
        if name == "command":
            _set(found, places, "command", field, field.texts())
        elif name in ("after", "after_any", "after_start"):
            _set(found, places, name, field, field.texts())
        else:
            goes_to, read = OWN_FIELDS[name]
            _set(found, places, goes_to, field, read(field.text(), field.where))
        places[name] = field.where
    nodes, per_node = found.get("nodes", 0), found.get("gpus_per_node", 0)
    if nodes and per_node and "gpus" not in found:
        found["gpus"] = nodes * per_node


def _set(found: Found, places: dict[str, str], name: str, field: Field, value: Any) -> None:
    found[name], places[name] = value, field.where


def _kept(field: Field) -> Note:
    return Note(field.line, "Kept", field.name)
