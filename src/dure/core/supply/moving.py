"""Moving a cluster to another site: only while those entitled can be served without it.

Entitlements count GPUs of a type, not places, so they follow a cluster by themselves; what can go
wrong is the time between the two sites.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dure.core.calls.form import GRADES
from dure.core.programme import Problem, Refusal

# C holds anything, O public data only.
_RANK = {grade: place for place, grade in enumerate(reversed(GRADES))}


@dataclass(frozen=True, slots=True)
class PoolNode:
    """A node as planning a move sees it.

    Attributes:
        is_public: for public use; the provider's own stay with it.
        provider: who runs it.
        is_open: takes new work.
        is_busy: something runs on it.
    """

    node: str
    accelerator: str
    gpus: int
    site: str
    grade: str
    is_public: bool
    is_open: bool = True
    is_busy: bool = False
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Right:
    """GPUs of a type that a project is entitled to for a time."""

    accelerator: str
    gpus: int
    from_s: int
    to_s: int


def peak_gpus(rights: Iterable[Right], *, from_s: int, to_s: int) -> dict[str, int]:
    """Return the most GPUs of each type that projects are entitled to at once in an interval."""
    steps: list[tuple[int, int, str]] = []
    for one in rights:
        begin_s, end_s = max(one.from_s, from_s), min(one.to_s, to_s)
        if begin_s < end_s:
            steps += [(begin_s, one.gpus, one.accelerator), (end_s, -one.gpus, one.accelerator)]
    now: Counter[str] = Counter()
    peak: dict[str, int] = {}
    # What ends at a moment is free at that moment: ends come before beginnings.
    for _, gpus, accelerator in sorted(steps):
        now[accelerator] += gpus
        peak[accelerator] = max(peak.get(accelerator, 0), now[accelerator])
    return peak


def check_nodes(
    names: Sequence[str], pool: Mapping[str, PoolNode], moving: frozenset[str], *, grade: str
) -> Problem | None:
    """Tell why nodes cannot move at all: unknown, moving already, own use, a lower grade there."""
    for name in names:
        node = pool.get(name)
        if node is None:
            return Problem("nodes", Refusal.NODE_IS_UNKNOWN, {"node": name})
        if name in moving:
            return Problem("nodes", Refusal.NODE_IS_MOVING, {"node": name})
        if not node.is_public:
            return Problem("nodes", Refusal.NODE_IS_FOR_OWN_USE, {"node": name})
        if _RANK.get(grade, -1) < _RANK.get(node.grade, 0):
            numbers: dict[str, int | str] = {"node": name, "found": grade, "least": node.grade}
            return Problem("grade", Refusal.SITE_GRADE_IS_LOWER, numbers)
    return None


def left_gpus(
    names: Iterable[str], pool: Mapping[str, PoolNode], moving: frozenset[str]
) -> dict[str, int]:
    """Return what stays for projects of each type that moves: public, open, not moving."""
    gone = {*names, *moving}
    kinds = {pool[name].accelerator for name in names}
    return {
        kind: sum(
            one.gpus
            for one in pool.values()
            if one.accelerator == kind and one.is_public and one.is_open and one.node not in gone
        )
        for kind in sorted(kinds)
    }


def check_service(entitled: Mapping[str, int], left: Mapping[str, int]) -> Problem | None:
    """Refuse a move that would leave somebody's own work without GPUs, with both numbers."""
    for kind, gpus in left.items():
        if entitled.get(kind, 0) > gpus:
            numbers: dict[str, int | str] = {"accelerator": kind, "left_gpus": gpus}
            numbers["entitled_gpus"] = entitled[kind]
            return Problem("nodes", Refusal.OWN_WORK_WOULD_WAIT, numbers)
    return None
