"""Who may do what: one table, and no is the default.

Every use case takes an ``Actor`` and calls ``require`` first. A screen that hides a button asks
``may``; both read ``ACCESS``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dure.core.errors import DureError


class Role(Enum):
    """The closed list of roles. A person may have several."""

    PUBLIC = "public"
    APPLICANT = "applicant"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    PROVIDER = "provider"
    AUDITOR = "auditor"
    ADMIN = "admin"


# What these roles may do, they may do with what is their own: their application, project, provider.
OWNERS = frozenset({Role.APPLICANT, Role.REVIEWER, Role.PROVIDER})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks.

    Attributes:
        user: the account's name, or ``rule:NAME`` for a rule of the programme.
        roles: all roles held; everybody is also PUBLIC.
        projects: the projects that an applicant leads or works in.
        provider: the provider that a provider operator works for, "" for none.
    """

    user: str
    roles: frozenset[Role]
    projects: frozenset[str] = frozenset()
    provider: str = ""

    def owns(self, owner: str) -> bool:
        """Tell whether ``owner`` (a user, project or provider) is this actor's own."""
        return owner != "" and (
            owner == self.user or owner == self.provider or owner in self.projects
        )


PUBLIC_ACTOR = Actor("", frozenset({Role.PUBLIC}))


class Forbidden(DureError):
    """The actor may not do this; the text names the action and the roles that may."""

    def __init__(self, actor: Actor, action: str, owner: str | None) -> None:
        roles = (
            ", ".join(sorted(role.value for role in ACCESS.get(action, frozenset()))) or "nobody"
        )
        whose = f" of {owner}" if owner else ""
        held = ", ".join(sorted(role.value for role in actor.roles)) or "no role"
        super().__init__(
            f"{actor.user or 'a visitor'} ({held}) may not do {action}{whose}; "
            f"it is for: {roles} (applicants, reviewers and providers: their own only)."
        )
        self.action, self.owner = action, owner


_EVERYBODY = frozenset(Role)
_OFFICE = frozenset({Role.OPERATOR, Role.ADMIN})
_OFFICE_AND_AUDIT = _OFFICE | {Role.AUDITOR}
_APPLICANT_OR_OFFICE = _OFFICE | {Role.APPLICANT}

# The matrix: action -> roles. An action that is not here is for nobody.
ACCESS: Mapping[str, frozenset[Role]] = {
    # the programme
    "call.read": _EVERYBODY,
    "call.publish": _OFFICE,
    "application.submit": _APPLICANT_OR_OFFICE,
    "application.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.REVIEWER},
    "application.withdraw": _APPLICANT_OR_OFFICE,
    "review.assign": _OFFICE,
    "review.give": frozenset({Role.REVIEWER}),
    "review.read": _OFFICE_AND_AUDIT | {Role.REVIEWER},
    "award.decide": _OFFICE,
    "award.read": _EVERYBODY,
    "award.sign": _APPLICANT_OR_OFFICE,
    "award.decline": _APPLICANT_OR_OFFICE,
    "allocation.grant": _OFFICE,
    "allocation.read": _OFFICE_AND_AUDIT | {Role.APPLICANT},
    "allocation.return": frozenset({Role.APPLICANT, Role.ADMIN}),
    "allocation.end": _OFFICE,
    "waitlist.read": _OFFICE_AND_AUDIT | {Role.APPLICANT},
    "use.check": _OFFICE,
    "use.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.PROVIDER},
    "recall.notify": _OFFICE,
    "recall.answer": frozenset({Role.APPLICANT, Role.ADMIN}),
    "recall.carry_out": _OFFICE,
    "recall.withdraw": _OFFICE,
    "handover.carry_out": _OFFICE,
    # work
    "job.submit": frozenset({Role.APPLICANT, Role.PROVIDER, Role.ADMIN}),
    "job.cancel": frozenset({Role.APPLICANT, Role.PROVIDER, Role.ADMIN, Role.OPERATOR}),
    "job.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.PROVIDER},
    # the pool
    "pool.read": _EVERYBODY,
    "loan.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.PROVIDER},
    "node.drain": _OFFICE | {Role.PROVIDER},
    "report.read": _OFFICE_AND_AUDIT | {Role.PROVIDER},
    "ledger.verify": _OFFICE_AND_AUDIT,
    "people.change": frozenset({Role.ADMIN}),
}


def may(actor: Actor, action: str, *, owner: str | None = None) -> bool:
    """Tell whether ``actor`` may do ``action`` with something of ``owner``.

    Args:
        actor: who asks.
        action: a key of ``ACCESS``; any other is for nobody.
        owner: the user, project or provider whose thing it is. An action that is for everybody
            needs none; for an applicant, reviewer or provider any other action without one is
            refused, so that a forgotten owner never opens a door.
    """
    allowed = ACCESS.get(action, frozenset())
    if Role.PUBLIC in allowed:
        return True
    held = actor.roles & allowed
    if held - OWNERS:
        return True
    return bool(held) and owner is not None and actor.owns(owner)


def require(actor: Actor, action: str, *, owner: str | None = None) -> None:
    """Raise ``Forbidden`` unless ``may``."""
    if not may(actor, action, owner=owner):
        raise Forbidden(actor, action, owner)
