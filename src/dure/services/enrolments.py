"""Which sites there are, and whose key is good: each site's agent has one of its own."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from dure.core.errors import InputError
from dure.core.events import Event
from dure.core.events.people import SiteEnrolled, SiteRevoked
from dure.core.sealing import key_bytes, key_id, site_key
from dure.services.book import Book
from dure.services.ports import Clock

# A site's name begins the names of its nodes, so it is this plain; no dot, which ends it there.
SITE = re.compile(r"[a-z][a-z0-9-]{0,31}")
PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A site as it was enrolled last.

    Attributes:
        serial: of its key; each enrolment has the next one.
        key_id: names the key without telling it.
    """

    site: str
    provider: str
    serial: int
    key_id: str
    enrolled_at_s: int
    is_revoked: bool = False


class Enrolments:
    """Enrols and revokes sites; a view of the ledger of people.

    Args:
        book: the ledger of people.
        secret: returns what keys are derived from; asked only where a key is needed.
    """

    def __init__(self, book: Book, clock: Clock, secret: Callable[[], bytes]) -> None:
        self._book, self._clock, self._secret = book, clock, secret
        self._sites: dict[str, Enrolment] = {}
        book.attach(self)

    def fold(self, event: Event) -> None:
        """Take in one event; those of others are passed over."""
        match event:
            case SiteEnrolled():
                self._sites[event.site] = Enrolment(
                    event.site, event.provider, event.serial, event.key_id, event.at_s
                )
            case SiteRevoked():
                self._sites[event.site] = replace(self._sites[event.site], is_revoked=True)
            case _:
                pass

    def enrol(self, site: str, *, provider: str = "", by: str) -> str:
        """Make a site's next key; returned this once. A key before is worth nothing from now on.

        Raises:
            InputError: if the name cannot be one.
        """
        provider = provider or site
        if SITE.fullmatch(site) is None:
            raise InputError(
                "site", found=repr(site[:80]), expected="1 to 32 of a-z 0-9 -, a letter first"
            )
        if PROVIDER.fullmatch(provider) is None:
            raise InputError("--provider", found=repr(provider[:80]), expected="a provider's name")
        with self._book.lock:
            self._book.catch_up()
            known = self._sites.get(site)
            serial = 1 + (known.serial if known else 0)
            key = site_key(self._secret(), site, serial)
            event = SiteEnrolled(
                at_s=self._clock.now_s(),
                by=by,
                site=site,
                provider=provider,
                serial=serial,
                key_id=key_id(key_bytes(key)),
            )
            self._book.append([event])
        return key

    def revoke(self, site: str, *, by: str, reason: str = "") -> bool:
        """End a site's key; False if it has none. Its nodes are closed once it is silent."""
        with self._book.lock:
            self._book.catch_up()
            known = self._sites.get(site)
            if known is None or known.is_revoked:
                return False
            self._book.append(
                [SiteRevoked(at_s=self._clock.now_s(), by=by, site=site, reason=reason)]
            )
        return True

    def sites(self) -> list[Enrolment]:
        """Return every site that was ever enrolled, by name."""
        return [self._sites[name] for name in sorted(self._sites)]

    def site(self, name: str) -> Enrolment | None:
        return self._sites.get(name)

    def key_of(self, enrolled: Enrolment) -> bytes | None:
        """Return a site's key, None if it is revoked or was made with another secret than ours."""
        if enrolled.is_revoked:
            return None
        key = key_bytes(site_key(self._secret(), enrolled.site, enrolled.serial))
        return key if key_id(key) == enrolled.key_id else None
