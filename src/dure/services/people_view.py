"""People as the ledger tells them: accounts, open sessions, API tokens."""

from dataclasses import dataclass, replace

from dure.core.events import Event
from dure.core.events.people import (
    EmailChanged,
    PasswordChanged,
    RolesChanged,
    SessionClosed,
    SessionOpened,
    TokenIssued,
    TokenRevoked,
    UserAdded,
    UserDisabled,
)
from dure.services.access import Actor, Role


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account; ``password_hash`` is argon2id's own format."""

    user: str
    display_name: str
    email: str
    password_hash: str
    roles: frozenset[Role]
    projects: frozenset[str]
    provider: str
    is_demo: bool
    is_disabled: bool = False
    added_at_s: int = 0

    def actor(self) -> Actor:
        """Return the account as the access matrix sees it."""
        return Actor(
            user=self.user,
            roles=self.roles | {Role.PUBLIC},
            projects=self.projects,
            provider=self.provider,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """An open sign-in."""

    user: str
    opened_at_s: int
    expires_at_s: int
    address: str


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token of a program that acts for a user."""

    token: str
    user: str
    label: str
    token_hash: str
    issued_at_s: int
    expires_at_s: int
    is_revoked: bool = False


class PeopleView:
    """Accounts, sessions and tokens: nothing but the events folded in order."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[str, Session] = {}
        self.tokens: dict[str, ApiToken] = {}
        self.token_by_hash: dict[str, str] = {}

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case UserAdded():
                self.accounts[event.user] = _account(event)
            case PasswordChanged():
                self._change(event.user, password_hash=event.password_hash)
                self._close_all(event.user)
            case EmailChanged():
                self._change(event.user, email=event.email)
            case RolesChanged():
                self._change(
                    event.user,
                    roles=_roles(event.roles),
                    projects=frozenset(event.projects),
                    provider=event.provider,
                )
                # A session belongs to the rights it was opened with: change them, sign in again.
                self._close_all(event.user)
            case UserDisabled():
                self._change(event.user, is_disabled=True)
                self._close_all(event.user)
            case SessionOpened():
                self._open(event)
            case SessionClosed():
                self.sessions.pop(event.token_hash, None)
            case TokenIssued():
                self._issue(event)
            case TokenRevoked():
                self.tokens[event.token] = replace(self.tokens[event.token], is_revoked=True)
            case _:
                pass

    def _change(self, user: str, **changes: object) -> None:
        self.accounts[user] = replace(self.accounts[user], **changes)  # type: ignore[arg-type]

    def _close_all(self, user: str) -> None:
        self.sessions = {key: one for key, one in self.sessions.items() if one.user != user}

    def _open(self, event: SessionOpened) -> None:
        # Sessions that ran out are dropped here, so that the table holds those of a day or two.
        self.sessions = {
            key: one for key, one in self.sessions.items() if one.expires_at_s > event.at_s
        }
        self.sessions[event.token_hash] = Session(
            event.user, event.at_s, event.expires_at_s, event.address
        )

    def _issue(self, event: TokenIssued) -> None:
        self.tokens[event.token] = ApiToken(
            event.token, event.user, event.label, event.token_hash, event.at_s, event.expires_at_s
        )
        self.token_by_hash[event.token_hash] = event.token


def _account(event: UserAdded) -> Account:
    return Account(
        user=event.user,
        display_name=event.display_name,
        email=event.email,
        password_hash=event.password_hash,
        roles=_roles(event.roles),
        projects=frozenset(event.projects),
        provider=event.provider,
        is_demo=event.is_demo,
        added_at_s=event.at_s,
    )


def _roles(names: tuple[str, ...]) -> frozenset[Role]:
    return frozenset(Role(name) for name in names)
