"""Named events of people and sites: accounts, sign-ins, tokens, keys of agents. No event holds a
secret, only its hash.
"""

from dure.core.events.base import Event


class UserAdded(Event, frozen=True, kw_only=True):
    """An account was opened. ``is_demo`` marks an invented person."""

    user: str
    display_name: str
    password_hash: str
    roles: tuple[str, ...]
    projects: tuple[str, ...] = ()
    provider: str = ""
    email: str = ""
    is_demo: bool = False


class PasswordChanged(Event, frozen=True, kw_only=True):
    """A user has a new password; the sessions opened with the old one are over."""

    user: str
    password_hash: str


class EmailChanged(Event, frozen=True, kw_only=True):
    """A user has another e-mail address; "" for none."""

    user: str
    email: str


class RolesChanged(Event, frozen=True, kw_only=True):
    """A user's roles, projects and provider are now these, all of them."""

    user: str
    roles: tuple[str, ...]
    projects: tuple[str, ...] = ()
    provider: str = ""


class UserDisabled(Event, frozen=True, kw_only=True):
    """A user may not sign in any more; sessions and tokens are over."""

    user: str
    reason: str = ""


class SessionOpened(Event, frozen=True, kw_only=True):
    """A user signed in. The cookie's token is known here by its SHA-256 only."""

    user: str
    token_hash: str
    expires_at_s: int
    address: str = ""


class SessionClosed(Event, frozen=True, kw_only=True):
    """A user signed out."""

    token_hash: str


class TokenIssued(Event, frozen=True, kw_only=True):
    """A user received an API token, known here by its SHA-256 only."""

    user: str
    token: str
    token_hash: str
    label: str
    expires_at_s: int


class AdmissionGiven(Event, frozen=True, kw_only=True):
    """A user was given a link into an interactive session; it works once and not for long.

    Attributes:
        sign_in_hash: of the sign-in or API token that it was given to; it ends with that.
    """

    user: str
    job: str
    token_hash: str
    expires_at_s: int
    sign_in_hash: str


class AdmissionUsed(Event, frozen=True, kw_only=True):
    """A link was followed: its token is worth nothing now, and a browser holds this cookie."""

    token_hash: str
    cookie_hash: str
    expires_at_s: int


class TokenRevoked(Event, frozen=True, kw_only=True):
    """An API token is over."""

    token: str


class SignInHeld(Event, frozen=True, kw_only=True):
    """Too many wrong passwords: sign-in for this name from this address waits."""

    user: str
    address: str
    failures: int
    until_s: int


class SiteEnrolled(Event, frozen=True, kw_only=True):
    """A site's agent has a new key, known here by its id; the key before is worth nothing.

    Attributes:
        provider: whose machines the site has.
        serial: the how manyeth key of this site.
    """

    site: str
    provider: str
    serial: int
    key_id: str


class SiteRevoked(Event, frozen=True, kw_only=True):
    """A site's key is worth nothing any more."""

    site: str
    reason: str = ""


EVENTS: tuple[type[Event], ...] = (
    UserAdded,
    PasswordChanged,
    EmailChanged,
    RolesChanged,
    UserDisabled,
    SessionOpened,
    SessionClosed,
    TokenIssued,
    AdmissionGiven,
    AdmissionUsed,
    TokenRevoked,
    SignInHeld,
    SiteEnrolled,
    SiteRevoked,
)
