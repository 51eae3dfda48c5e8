"""Job arrays: ``0-15``, ``1,3,5-7``, ``0-20:4``; one job for each index, as Slurm's ``--array``.

``0-99%4`` has at most four of them at work at a time.
"""

import re

from dure.core.errors import InputError
from dure.services.requests.values import shown

# Slurm's own default (MaxArraySize) is 1,001 with indices below it.
ELEMENTS_MAX = 1_000
INDEX_MAX = 4_000_000
LIMIT = re.compile(r"0*[1-9][0-9]{0,6}")
PART = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7})(?::([0-9]{1,7}))?)?")


def array_indices(text: str, where: str) -> tuple[int, ...]:
    """Return the indices of an array in rising order, each once.

    Raises:
        InputError: if the text is none, or names too many or too high ones.
    """
    spec, percent, at_once = text.partition("%")
    if percent and LIMIT.fullmatch(at_once) is None:
        raise InputError(
            where,
            found=shown(text),
            expected="after % how many may be at work at a time, such as 0-99%4",
        )
    found: set[int] = set()
    for part in spec.split(","):
        form = PART.fullmatch(part)
        first = int(form[1]) if form else 0
        last = int(form[2]) if form and form[2] else first
        step = int(form[3]) if form and form[3] else 1
        if form is None or last < first or step < 1:
            raise InputError(
                where,
                found=shown(text),
                expected="indices such as 0-15, 1,3,5-7, 0-20:4 or 0-99%4",
            )
        if last > INDEX_MAX or (last - first) // step >= ELEMENTS_MAX:
            found.update(range(ELEMENTS_MAX + 1))
            break
        found.update(range(first, last + 1, step))
    if len(found) > ELEMENTS_MAX:
        raise InputError(
            where,
            found=shown(text),
            expected=f"at most {ELEMENTS_MAX} indices, none above {INDEX_MAX}",
            next_step="Hand in several arrays.",
        )
    return tuple(sorted(found))


def at_once(text: str) -> int:
    """Return how many of an array may be at work at a time, 0 if any number may."""
    return int(text.partition("%")[2] or 0)


def array_text(text: str, where: str) -> str:
    """Return an array's text if it is one."""
    array_indices(text, where)
    return text
