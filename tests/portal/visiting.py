"""Visitors of the portal in tests: signed in as somebody, with the form token of their session."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from httpx import Response
from litestar.testing import TestClient

from dure.portal.site import make_site
from dure.portal.visitor import csrf_of
from dure.services.access import Role
from dure.services.browser_words import SESSION_COOKIE
from dure.services.desks import Services
from dure.services.people import SignedIn
from tests.portal.filled_programme import PASSWORD, USERS, CountedBytes

BASE = "http://portal.test"
USER_OF = {role: user for user, _, role, _, _ in USERS}


class Visit:
    """A browser without scripts."""

    def __init__(self, client: TestClient, services: Services, user: str) -> None:
        self.client, self.services, self.token = client, services, ""
        if user:
            answer = services.people.sign_in(user, PASSWORD, address="test")
            assert isinstance(answer, SignedIn)
            self.token = answer.token
            client.cookies.set(SESSION_COOKIE, answer.token)

    def get(self, path: str, **options: object) -> Response:
        return self.client.get(path, follow_redirects=False, **options)  # type: ignore[arg-type]

    def post(self, path: str, form: dict[str, str] | None = None, **options: object) -> Response:
        """Send a form with the token that the page of this session would carry."""
        data = {"csrf": csrf_of(self.token), **(form or {})}
        return self.client.post(path, data=data, follow_redirects=False, **options)  # type: ignore[arg-type]


@contextmanager
def visiting(services: Services, role: Role | None = None) -> Iterator[Visit]:
    """Open the portal as one of a role; None is somebody who is not signed in."""
    site = make_site(services, random_bytes=CountedBytes())
    user = USER_OF[role] if role is not None else ""
    with TestClient(site, base_url=BASE) as client:
        yield Visit(client, services, user)


def hidden_fields(html: str) -> dict[str, str]:
    """Return the hidden fields of a page's main form."""
    main = html[html.index("<main") :]
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', main))
