"""Accounts, sign-in, sessions and API tokens.

Passwords are kept as argon2id hashes, tokens as SHA-256 (they are random, so nothing slower is
needed). Every change is an event in the ledger before it takes effect. Wrong passwords are counted
in memory only: whoever guesses must not be able to fill the ledger.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from threading import RLock

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.people import (
    EmailChanged,
    PasswordChanged,
    RolesChanged,
    SessionClosed,
    SessionOpened,
    SignInHeld,
    TokenIssued,
    TokenRevoked,
    UserAdded,
    UserDisabled,
)
from dure.core.mail import check_address
from dure.services.access import PUBLIC_ACTOR, Actor, Role
from dure.services.book import Book
from dure.services.people_view import Account, ApiToken, PeopleView
from dure.services.ports import Clock

SESSION_S = 12 * 3600
TOKEN_DAYS_MAX = 366
TOKENS_MAX = 20
TOKEN_BYTES = 32
PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 10, 200
USER_NAME = re.compile(r"[a-z][a-z0-9._-]{1,39}")
# After this many wrong passwords a name waits, twice as long each time, up to a quarter of an hour.
FREE_FAILURES, HOLD_S_FIRST, HOLD_S_MAX = 5, 30, 900
# How many (name, address) pairs are remembered; the oldest are forgotten first.
COUNTED_MAX = 10_000

RandomBytes = Callable[[int], bytes]


class SignInRefusal(Enum):
    """Why nobody was signed in. One answer for a wrong name and a wrong password."""

    WRONG = "wrong"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session was opened; ``token`` goes into the cookie and is kept nowhere here."""

    token: str
    account: Account
    expires_at_s: int


@dataclass(slots=True)
class _Failures:
    # Against which hash; a password set anew lets its owner in at once.
    password_hash: str
    count: int = 0
    until_s: int = 0


class People:
    """Who there is, and who is asking.

    Args:
        book: the ledger of people (the pool in real time: its clock is the wall clock).
        clock: that ledger's clock.
        random_bytes: a source fit for secrets.
        hasher: argon2id; tests pass a cheaper one.
    """

    def __init__(
        self,
        book: Book,
        clock: Clock,
        random_bytes: RandomBytes,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._book, self._clock, self.random_bytes = book, clock, random_bytes
        self._hasher = hasher or PasswordHasher()
        # Which projects a person leads, besides those of the account; the programme knows.
        self.led_by: Callable[[str], frozenset[str]] = lambda user: frozenset()
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._lock = RLock()
        self.view = PeopleView()
        book.attach(self.view)
        # Verified when the name is unknown, so that the answer takes as long as for a known one.
        self._nobody_hash = self._hasher.hash(self._secret())

    # --- accounts --------------------------------------------------------------------------

    def add(
        self,
        user: str,
        password: str,
        *,
        roles: Sequence[Role],
        by: str,
        display_name: str = "",
        email: str = "",
        projects: Sequence[str] = (),
        provider: str = "",
        is_demo: bool = False,
    ) -> Account:
        """Open an account. Raises InputError on an impossible name or password."""
        if USER_NAME.fullmatch(user) is None:
            raise InputError(
                "user", found=repr(user), expected="2 to 40 of a-z 0-9 . _ -, a letter first"
            )
        check_password(password)
        with self._book.lock:
            self._book.catch_up()
            if user in self.view.accounts:
                raise InputError("user", found=repr(user), expected="a name not yet taken")
            event = UserAdded(
                at_s=self._clock.now_s(),
                by=by,
                user=user,
                display_name=display_name or user,
                password_hash=self._hasher.hash(password),
                roles=tuple(sorted(role.value for role in roles)),
                projects=tuple(sorted(projects)),
                provider=provider,
                email=email,
                is_demo=is_demo,
            )
            self._book.append([event])
            return self.view.accounts[user]

    def change_email(self, user: str, email: str, *, by: str) -> None:
        """Set the address to which notices go; "" for none. Raises InputError."""
        if email:
            check_address(email, "email")
        known = self.view.accounts.get(user)
        if known is not None and known.email == email:
            return
        self._record(EmailChanged(at_s=self._clock.now_s(), by=by, user=user, email=email))

    def account(self, user: str) -> Account | None:
        return self.view.accounts.get(user)

    def accounts(self) -> list[Account]:
        return [self.view.accounts[user] for user in sorted(self.view.accounts)]

    def change_password(self, user: str, password: str, *, by: str) -> None:
        """Set a new password; all sessions of the user end."""
        check_password(password)
        digest = self._hasher.hash(password)
        self._record(
            PasswordChanged(at_s=self._clock.now_s(), by=by, user=user, password_hash=digest)
        )

    def change_roles(
        self,
        user: str,
        roles: Sequence[Role],
        *,
        by: str,
        projects: Sequence[str],
        provider: str = "",
    ) -> None:
        """Replace what a user may do; all sessions of the user end."""
        names = tuple(sorted(role.value for role in roles))
        self._record(
            RolesChanged(
                at_s=self._clock.now_s(),
                by=by,
                user=user,
                roles=names,
                projects=tuple(sorted(projects)),
                provider=provider,
            )
        )

    def disable(self, user: str, *, by: str, reason: str) -> None:
        """End a user's sessions and tokens, and take no more."""
        self._record(UserDisabled(at_s=self._clock.now_s(), by=by, user=user, reason=reason))

    # --- signing in ------------------------------------------------------------------------

    def check(self, user: str, password: str, *, address: str) -> Account | SignInRefusal:
        """Check a password; slow on purpose (argon2id), about 50 ms, and slower after failures.

        A password that another process set (``dure passwd``) counts from then on, and ends the
        waiting of whoever had forgotten the old one.
        """
        now_s = self._clock.now_s()
        self._book.catch_up()
        account = self.view.accounts.get(user)
        with self._lock:
            failures = self._failures_of(user, address, account)
            if failures is not None and now_s < failures.until_s:
                return SignInRefusal.HELD
        if not self._matches(account, password):
            return self._count_failure(user, address, account, now_s)
        assert account is not None
        with self._lock:
            self._failures.pop((user, address), None)
        if self._hasher.check_needs_rehash(account.password_hash):
            self.change_password(user, password, by="rule:rehash")
        return self.view.accounts[user]

    def sign_in(self, user: str, password: str, *, address: str) -> SignedIn | SignInRefusal:
        """Check a password and open a session."""
        account = self.check(user, password, address=address)
        if isinstance(account, SignInRefusal):
            return account
        now_s = self._clock.now_s()
        token = self._secret()
        expires_at_s = now_s + SESSION_S
        self._record(
            SessionOpened(
                at_s=now_s,
                by=user,
                user=user,
                token_hash=_digest(token),
                expires_at_s=expires_at_s,
                address=address,
            )
        )
        return SignedIn(token, account, expires_at_s)

    def sign_out(self, token: str) -> None:
        """End the session of a cookie; a cookie of none changes nothing."""
        session = self.view.sessions.get(_digest(token))
        if session is not None:
            self._record(
                SessionClosed(at_s=self._clock.now_s(), by=session.user, token_hash=_digest(token))
            )

    def knows(self, user: str, password: str) -> bool:
        """Tell whether this is the user's password; slow on purpose."""
        return self._matches(self.view.accounts.get(user), password)

    def actor_of_session(self, token: str) -> Actor:
        """Return who holds this cookie, ``PUBLIC_ACTOR`` if its session is over."""
        session = self.view.sessions.get(_digest(token))
        if session is None or session.expires_at_s <= self._clock.now_s():
            return PUBLIC_ACTOR
        return self._actor(session.user)

    # --- API tokens ------------------------------------------------------------------------

    def issue_token(
        self, user: str, *, label: str, days: int, by: str, makes_room: bool = False
    ) -> tuple[str, ApiToken]:
        """Give a program of ``user`` a token; its text is returned this once and kept nowhere.

        Args:
            makes_room: end the oldest token of the same label if the user has no more left to get.
        """
        if not 1 <= days <= TOKEN_DAYS_MAX:
            raise InputError("days", found=str(days), expected=f"1 to {TOKEN_DAYS_MAX}")
        alive = self.tokens_of(user)
        of_label = [one.token for one in alive if one.label == label[:80]]
        if makes_room and len(alive) >= TOKENS_MAX and of_label:
            self.revoke_token(of_label[-1], by=by)
        elif len(alive) >= TOKENS_MAX:
            raise InputError(
                "tokens",
                found=f"{TOKENS_MAX} in use",
                expected=f"fewer than {TOKENS_MAX}",
                next_step="Revoke one first.",
            )
        now_s = self._clock.now_s()
        text = f"dure_{self._secret()}"
        event = TokenIssued(
            at_s=now_s,
            by=by,
            user=user,
            token=_digest(text)[:12],
            token_hash=_digest(text),
            label=label[:80],
            expires_at_s=now_s + days * 86_400,
        )
        self._record(event)
        return text, self.view.tokens[event.token]

    def revoke_token(self, token: str, *, by: str) -> None:
        """End an API token; ending it twice changes nothing."""
        known = self.view.tokens.get(token)
        if known is not None and not known.is_revoked:
            self._record(TokenRevoked(at_s=self._clock.now_s(), by=by, token=token))

    def tokens_of(self, user: str) -> list[ApiToken]:
        """Return a user's tokens that still open doors, newest first."""
        now_s = self._clock.now_s()
        alive = [
            one
            for one in self.view.tokens.values()
            if one.user == user and not one.is_revoked and one.expires_at_s > now_s
        ]
        return sorted(alive, key=lambda one: (-one.issued_at_s, one.token))

    def actor_of_token(self, text: str) -> Actor:
        """Return for whom a program speaks, ``PUBLIC_ACTOR`` if the token is unknown or over."""
        token = self.view.tokens.get(self.view.token_by_hash.get(_digest(text), ""))
        if token is None or token.is_revoked or token.expires_at_s <= self._clock.now_s():
            return PUBLIC_ACTOR
        return self._actor(token.user)

    # --- inside ----------------------------------------------------------------------------

    def _actor(self, user: str) -> Actor:
        account = self.view.accounts.get(user)
        if account is None or account.is_disabled:
            return PUBLIC_ACTOR
        actor = account.actor()
        return replace(actor, projects=actor.projects | self.led_by(user))

    def _record(self, event: Event) -> None:
        self._book.decide(lambda _: ([event], None))

    def _secret(self) -> str:
        return self.random_bytes(TOKEN_BYTES).hex()

    def _matches(self, account: Account | None, password: str) -> bool:
        usable = account is not None and not account.is_disabled
        expected = account.password_hash if account is not None else self._nobody_hash
        try:
            self._hasher.verify(expected, password[:PASSWORD_LENGTH_MAX])
        except Argon2Error:
            return False
        return usable

    def _failures_of(self, user: str, address: str, account: Account | None) -> _Failures | None:
        failures = self._failures.get((user, address))
        is_same = failures is not None and failures.password_hash == _hash_of(account)
        return failures if is_same else None

    def _count_failure(
        self, user: str, address: str, account: Account | None, now_s: int
    ) -> SignInRefusal:
        with self._lock:
            failures = self._failures_of(user, address, account) or _Failures(_hash_of(account))
            self._failures.pop((user, address), None)
            self._failures[(user, address)] = failures
            if len(self._failures) > COUNTED_MAX:
                del self._failures[next(iter(self._failures))]
            failures.count += 1
            over = failures.count - FREE_FAILURES
            if over < 0:
                return SignInRefusal.WRONG
            failures.until_s = now_s + min(HOLD_S_FIRST << min(over, 10), HOLD_S_MAX)
        if over == 0 and account is not None:
            self._record(
                SignInHeld(
                    at_s=now_s,
                    by="rule:sign-in",
                    user=user,
                    address=address,
                    failures=failures.count,
                    until_s=failures.until_s,
                )
            )
        return SignInRefusal.HELD


def check_password(password: str) -> None:
    """Raise InputError unless the password can be used; length is all that is asked of it."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise InputError(
            "password",
            found=f"{len(password)} characters",
            expected=f"{PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX}",
        )


def _hash_of(account: Account | None) -> str:
    return account.password_hash if account is not None else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()
