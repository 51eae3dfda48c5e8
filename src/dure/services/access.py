"""Who may do what: one table, and no is the default.

Every use case takes an ``Actor`` and calls ``require`` first. A screen that hides a button asks
``may``; both read ``ACCESS``. A page as such is opened by ``is_open_to``, what it shows by ``may``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from dure.core.errors import DureError


class Role(Enum):
    """The closed list of roles. A person may have several."""

    PUBLIC = "public"
    APPLICANT = "applicant"
    MEMBER = "member"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    PROVIDER = "provider"
    AUDITOR = "auditor"
    ADMIN = "admin"


# What these roles may do, they may do with what is their own: their application, project, provider.
OWNERS = frozenset({Role.APPLICANT, Role.MEMBER, Role.REVIEWER, Role.PROVIDER})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks.

    Attributes:
        user: the account's name, or ``rule:NAME`` for a rule of the programme.
        roles: all roles held; everybody is also PUBLIC.
        projects: the projects that an applicant leads or a member works in.
        provider: the provider that a provider operator works for, "" for none.
    """

    user: str
    roles: frozenset[Role]
    projects: frozenset[str] = frozenset()
    provider: str = ""

    @property
    def is_signed_in(self) -> bool:
        """Tell whether this is a person with an account."""
        return self.user != ""

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
_WORKERS = frozenset({Role.APPLICANT, Role.MEMBER, Role.PROVIDER})
_WORKERS_AND_WATCHERS = _OFFICE_AND_AUDIT | _WORKERS
_SIGNED_IN = _EVERYBODY - {Role.PUBLIC}

# The matrix: action -> roles. An action that is not here is for nobody.
ACCESS: Mapping[str, frozenset[Role]] = {
    # the programme
    "call.read": _EVERYBODY,
    "call.draft": _OFFICE,
    # providers see and do what is their own: their proposals, deliveries, claims
    "supply.read": _OFFICE_AND_AUDIT | {Role.PROVIDER},
    "supply.office": _OFFICE,
    "supply.provide": _OFFICE | {Role.PROVIDER},
    "call.publish": _OFFICE,
    "stage.read": _OFFICE_AND_AUDIT,
    # the door of what follows; which stage is whose, its role says
    "stage.act": _OFFICE | {Role.REVIEWER, Role.PROVIDER},
    "stage.office": _OFFICE,
    "stage.committee": _OFFICE | {Role.REVIEWER},
    "stage.provider": _OFFICE | {Role.PROVIDER},
    # a draft is its writer's alone
    "draft.write": frozenset({Role.APPLICANT, Role.PROVIDER}),
    "application.submit": _APPLICANT_OR_OFFICE | {Role.PROVIDER},
    "application.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.REVIEWER, Role.PROVIDER},
    "application.withdraw": _APPLICANT_OR_OFFICE | {Role.PROVIDER},
    "review.assign": _OFFICE,
    "reviewer.register": _OFFICE | {Role.REVIEWER},
    # applicants review where the call lets peers review one another
    "review.give": frozenset({Role.REVIEWER, Role.APPLICANT}),
    "review.bid": frozenset({Role.REVIEWER}),
    "review.recuse": frozenset({Role.REVIEWER, Role.APPLICANT}),
    "review.challenge": _OFFICE,
    # the door to both: what a caller may declare is decided inside
    "review.conflict": _OFFICE | {Role.REVIEWER, Role.APPLICANT},
    "review.read": _OFFICE_AND_AUDIT | {Role.REVIEWER, Role.APPLICANT},
    "award.decide": _OFFICE,
    "award.propose": _OFFICE,
    "award.sign_minutes": _OFFICE,
    "award.deliberation": _OFFICE_AND_AUDIT,
    "award.read": _EVERYBODY,
    "award.sign": _APPLICANT_OR_OFFICE,
    "offer.lapse": _OFFICE,
    "request.file": _APPLICANT_OR_OFFICE,
    "request.read": _OFFICE_AND_AUDIT | {Role.APPLICANT},
    "request.decide": _OFFICE,
    "award.decline": _APPLICANT_OR_OFFICE | {Role.PROVIDER},
    "allocation.grant": _OFFICE,
    "project.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.MEMBER},
    "allocation.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.MEMBER},
    "allocation.return": frozenset({Role.APPLICANT, Role.ADMIN}),
    "allocation.end": _OFFICE,
    # everybody sees the waitlist's length and sizes; a name is for its owner and the office
    "waitlist.overview": _EVERYBODY,
    "waitlist.read": _OFFICE_AND_AUDIT | {Role.APPLICANT},
    # a mailbox is one's own; what the office is told, its people are told
    "notice.read": _SIGNED_IN,
    "notice.office": _OFFICE,
    "letter.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.MEMBER},
    "use.check": _OFFICE,
    "use.read": _WORKERS_AND_WATCHERS,
    "programme.read": _OFFICE_AND_AUDIT,
    "recall.notify": _OFFICE,
    "recall.answer": frozenset({Role.APPLICANT, Role.ADMIN}),
    "recall.carry_out": _OFFICE,
    "recall.withdraw": _OFFICE,
    "handover.carry_out": _OFFICE,
    # work
    "job.submit": _WORKERS | {Role.ADMIN},
    "job.cancel": _WORKERS | _OFFICE,
    "job.read": _WORKERS_AND_WATCHERS,
    # what a job prints is its team's own; a provider runs machines and does not read along
    "job.output": frozenset({Role.APPLICANT, Role.MEMBER, Role.OPERATOR, Role.ADMIN}),
    # a session speaks for whoever began it, so it opens to nobody else, whatever their role
    "interactive.begin": _WORKERS | {Role.ADMIN},
    # files are the team's own, as output is; how much they take is everybody's who answers for it
    "data.read": frozenset({Role.APPLICANT, Role.MEMBER}),
    "data.write": frozenset({Role.APPLICANT, Role.MEMBER}),
    "storage.read": _OFFICE_AND_AUDIT | {Role.APPLICANT, Role.MEMBER},
    # the pool
    "pool.read": _EVERYBODY,
    "loan.read": _WORKERS_AND_WATCHERS,
    "node.drain": _OFFICE | {Role.PROVIDER},
    "ticket.read": _OFFICE_AND_AUDIT | {Role.PROVIDER},
    "ticket.repair": _OFFICE | {Role.PROVIDER},
    "breaker.reset": _OFFICE,
    "use.compare": _OFFICE | {Role.PROVIDER},
    "idle.answer": _WORKERS | {Role.ADMIN},
    "idle.rule": _OFFICE,
    "site.read": _OFFICE_AND_AUDIT | {Role.PROVIDER},
    # the line of a site's agent, who has no account: the seal of the site's key opens it
    "site.speak": _EVERYBODY,
    "report.read": _OFFICE_AND_AUDIT | {Role.PROVIDER},
    "ledger.verify": _OFFICE_AND_AUDIT,
    # people
    "people.read": _OFFICE_AND_AUDIT,
    "people.change": frozenset({Role.ADMIN}),
    "self.read": _SIGNED_IN,
    "self.change": _SIGNED_IN,
    "session.open": _EVERYBODY,
    "session.close": _EVERYBODY,
    # the service itself: help, health, metrics, words and pictures of the screens
    "service.read": _EVERYBODY,
}


def is_open_to(actor: Actor, action: str) -> bool:
    """Tell whether ``actor`` has a role for ``action`` at all, be it for their own things only."""
    allowed = ACCESS.get(action, frozenset())
    return Role.PUBLIC in allowed or bool(actor.roles & allowed)


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


def may_any(actor: Actor, action: str, owners: Iterable[str]) -> bool:
    """Tell whether ``actor`` may do it with something that belongs to several at once.

    A job belongs to its user, its project and the provider whose capacity it draws on.
    """
    return any(may(actor, action, owner=owner) for owner in owners)


def require(actor: Actor, action: str, *, owner: str | None = None) -> None:
    """Raise ``Forbidden`` unless ``may``."""
    if not may(actor, action, owner=owner):
        raise Forbidden(actor, action, owner)
