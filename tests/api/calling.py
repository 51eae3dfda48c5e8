"""Programs that call the API in tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from httpx import Response
from litestar.testing import TestClient

from dure.api.application import make_app
from dure.services.access import Role
from dure.services.desks import Services
from tests.portal.visiting import USER_OF

_keys = count(1)


class Caller:
    """A program with a user's token, or with none."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client = client
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **headers: str) -> Response:
        return self.client.get(f"/api/v1{path}", headers={**self.headers, **headers})

    def post(self, path: str, body: object, *, key: str | None = None) -> Response:
        """Send JSON with a key of its own, the one given, or with none for ""."""
        key = f"key-{next(_keys)}" if key is None else key
        headers = {**self.headers, **({"idempotency-key": key} if key else {})}
        return self.client.post(f"/api/v1{path}", json=body, headers=headers)


@contextmanager
def calling(services: Services, role: Role | None = None) -> Iterator[Caller]:
    """Call as one of a role; None has no token."""
    token = ""
    if role is not None:
        user = USER_OF[role]
        token, _ = services.people.issue_token(user, label="test", days=1, by=user, makes_room=True)
    with TestClient(make_app(services)) as client:
        yield Caller(client, token)
