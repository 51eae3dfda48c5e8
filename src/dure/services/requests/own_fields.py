"""The fields that are ours alone, read alike from YAML (``dure:``) and scripts (``#DURE``)."""

from collections.abc import Callable
from typing import Any

from dure.core.errors import InputError
from dure.core.orders import INTERACTIVE_KINDS
from dure.services.requests.arrays import array_text
from dure.services.requests.images import image_name
from dure.services.requests.values import (
    cpus_milli,
    duration_s,
    locality,
    memory_mib,
    moment_s,
    shown,
    whole,
    yes_no,
)

Reader = Callable[[str, str], Any]


def one_of(*words: str) -> Reader:
    """Return a reader of a closed list of words."""

    def read(text: str, where: str) -> str:
        if text not in words:
            raise InputError(where, found=shown(text), expected=f"one of {', '.join(words)}")
        return text

    return read


def as_it_is(text: str, _where: str) -> str:
    """Return the text; the request as a whole is checked later."""
    return text


def ids(text: str, _where: str) -> tuple[str, ...]:
    """Read ids with commas between them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


# Field as a person writes it -> (field of the request, how it is read).
OWN_FIELDS: dict[str, tuple[str, Reader]] = {
    "project": ("project", as_it_is),
    "class": ("gang_class", one_of("own", "loan", "scavenge")),
    "preemptible": ("preemptible", yes_no),
    "gpus": ("gpus", whole),
    "gpu_milli": ("gpu_milli", whole),
    "min_gpus": ("min_gpus", whole),
    "nodes": ("nodes", whole),
    "gpus_per_node": ("gpus_per_node", whole),
    "segment_gpus": ("segment_gpus", whole),
    "accelerator": ("accelerator", as_it_is),
    "cpu": ("cpu_milli", cpus_milli),
    "memory": ("memory_mib", lambda text, where: memory_mib(text, where, unit="G")),
    "estimate": ("estimate_s", duration_s),
    "checkpoint_every": ("checkpoint_every_s", duration_s),
    "checkpoint_takes": ("checkpoint_takes_s", duration_s),
    "locality": ("locality", locality),
    "grade": ("grade", one_of("C", "S", "O")),
    "deadline": ("deadline_at_s", moment_s),
    "after": ("after", ids),
    "after_any": ("after_any", ids),
    "after_start": ("after_start", ids),
    "array": ("array", array_text),
    "image": ("image", image_name),
    "interactive": ("interactive", one_of(*INTERACTIVE_KINDS)),
    "notice_signal": ("notice_signal", lambda text, _where: text.removeprefix("SIG")),
}
