"""Who may not review what: conflicts that are found, and those that somebody declares.

제척 (found by rule), 기피 (an applicant's challenge, upheld), 회피 (the reviewer steps back).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Conflict(Enum):
    """Why a reviewer may not review an application. The values are stable."""

    SAME_ORGANISATION = "SameOrganisation"
    PARTNER = "Partner"
    CO_APPLICATION = "CoApplication"
    SUPERVISION = "Supervision"
    SUPPLIER = "Supplier"
    RECUSED = "Recused"
    CHALLENGED = "Challenged"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person of the pool.

    Attributes:
        areas: words for what they know.
        partners: organisations with which theirs works together.
        supervised: people whom they supervise or supervised, or who supervised them.
        suppliers: organisations that pay them or theirs, providers of GPUs among them.
    """

    name: str
    organisation: str
    areas: tuple[str, ...] = ()
    partners: tuple[str, ...] = ()
    supervised: tuple[str, ...] = ()
    suppliers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An application as conflicts and affinity see it.

    Attributes:
        people: its lead and members.
        organisations: its lead institution and its partners.
        text: what it is about.
    """

    application: str
    people: tuple[str, ...]
    organisations: tuple[str, ...]
    text: str = ""


def conflict_of(
    reviewer: Reviewer, entry: Entry, *, applicants: frozenset[str] = frozenset()
) -> Conflict | None:
    """Find what keeps a reviewer from an application by rule, the gravest first; None for nothing.

    Args:
        applicants: people who apply in the same call and are no peers: they review nothing in it.
    """
    if reviewer.name in entry.people or reviewer.name in applicants:
        return Conflict.CO_APPLICATION
    if reviewer.organisation and reviewer.organisation in entry.organisations:
        return Conflict.SAME_ORGANISATION
    ties = (
        (Conflict.SUPERVISION, reviewer.supervised, entry.people),
        (Conflict.SUPPLIER, reviewer.suppliers, entry.organisations),
        (Conflict.PARTNER, reviewer.partners, entry.organisations),
    )
    return next((kind for kind, ours, theirs in ties if set(ours) & set(theirs)), None)


def people_of(entries: Sequence[Entry]) -> frozenset[str]:
    """Return everybody who applies."""
    return frozenset(person for entry in entries for person in entry.people)
