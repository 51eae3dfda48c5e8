"""Names of container images: the reference grammar of OCI registries, and SkyPilot's prefix.

Source:
    github.com/distribution/reference, reference.go and regexp.go; SkyPilot, yaml-spec.rst
    (``image_id: docker:NAME``).
"""

import re

from dure.core.errors import InputError
from dure.services.requests.values import shown

NAME_LENGTH_MAX = 255
_WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_WORD}(?:/{_WORD})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)
PREFIXES = ("docker://", "docker:")


def image_name(text: str, where: str) -> str:
    """Return an image's name without its prefix.

    Raises:
        InputError: unless it is an OCI reference, such as ``ghcr.io/team/train:v2``.
    """
    name = next((text.removeprefix(one) for one in PREFIXES if text.startswith(one)), text)
    form = REFERENCE.fullmatch(name)
    if form is None or len(form["name"]) > NAME_LENGTH_MAX:
        raise InputError(
            where,
            found=shown(text),
            expected="an image such as docker:ghcr.io/team/train:v2 (host/name:tag@digest)",
        )
    return name
