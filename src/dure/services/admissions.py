"""Ways into interactive sessions: a link that works once, and the cookie that comes of it.

Both are random, and known here by their SHA-256 only. They end when the sign-in that they were
given to ends, and with everything that ends sign-ins: a new password, other roles, disabling.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dure.core.events import Event
from dure.core.events.people import (
    AdmissionGiven,
    AdmissionUsed,
    PasswordChanged,
    RolesChanged,
    SessionClosed,
    TokenRevoked,
    UserDisabled,
)
from dure.services.book import Book
from dure.services.people import SESSION_S, TOKEN_BYTES, RandomBytes
from dure.services.ports import Clock

LINK_S = 120


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom a link or a cookie admits, to which job, until when."""

    user: str
    job: str
    expires_at_s: int
    sign_in_hash: str


class Admissions:
    """Gives links and takes them; a view of the ledger of people.

    Args:
        book: the ledger of people.
        random_bytes: a source fit for secrets.
    """

    def __init__(self, book: Book, clock: Clock, random_bytes: RandomBytes) -> None:
        self._book, self._clock, self._random_bytes = book, clock, random_bytes
        self._links: dict[str, Admission] = {}
        self._cookies: dict[str, Admission] = {}
        book.attach(self)

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case AdmissionGiven():
                self._drop(lambda one: one.expires_at_s <= event.at_s)
                self._links[event.token_hash] = Admission(
                    event.user, event.job, event.expires_at_s, event.sign_in_hash
                )
            case AdmissionUsed():
                if link := self._links.pop(event.token_hash, None):
                    self._cookies[event.cookie_hash] = replace(
                        link, expires_at_s=event.expires_at_s
                    )
            case SessionClosed():
                self._drop(lambda one: one.sign_in_hash == event.token_hash)
            case TokenRevoked():
                # A token's name is the beginning of its hash.
                self._drop(lambda one: one.sign_in_hash.startswith(event.token))
            case PasswordChanged() | RolesChanged() | UserDisabled():
                self._drop(lambda one: one.user == event.user)
            case _:
                pass

    def give(self, user: str, job: str, *, sign_in: str) -> str:
        """Return the token of a new link into ``job``; it is kept nowhere.

        Args:
            sign_in: the cookie or API token that it is given to.
        """
        now_s, token = self._clock.now_s(), self._secret()
        event = AdmissionGiven(
            at_s=now_s,
            by=user,
            user=user,
            job=job,
            token_hash=_digest(token),
            expires_at_s=now_s + LINK_S,
            sign_in_hash=_digest(sign_in),
        )
        self._book.decide(lambda _: ([event], None))
        return token

    def use(self, token: str, job: str) -> str | None:
        """Return the cookie that a link is exchanged for; None if it was used, or is over, or leads
        elsewhere. Of several that bring one token at a time, one gets a cookie.
        """
        cookie, now_s = self._secret(), self._clock.now_s()

        def decide(before: Sequence[Event]) -> tuple[Sequence[Event], str | None]:
            link = self._links.get(_digest(token))
            used = [one.token_hash for one in before if isinstance(one, AdmissionUsed)]
            if link is None or link.job != job or link.expires_at_s <= now_s:
                return (), None
            if _digest(token) in used:
                return (), None
            event = AdmissionUsed(
                at_s=now_s,
                by=link.user,
                token_hash=_digest(token),
                cookie_hash=_digest(cookie),
                expires_at_s=now_s + SESSION_S,
            )
            return [event], cookie

        return self._book.decide(decide)

    def holder(self, cookie: str, job: str) -> str:
        """Return who holds a cookie of this job, "" if it is of another, of none, or over."""
        found = self._cookies.get(_digest(cookie))
        is_good = found and found.job == job and found.expires_at_s > self._clock.now_s()
        return found.user if found and is_good else ""

    def _drop(self, is_over: Callable[[Admission], bool]) -> None:
        self._links = {key: one for key, one in self._links.items() if not is_over(one)}
        self._cookies = {key: one for key, one in self._cookies.items() if not is_over(one)}

    def _secret(self) -> str:
        return self._random_bytes(TOKEN_BYTES).hex()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).hexdigest()
