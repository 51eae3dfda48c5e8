"""The door of sessions, for the tests that stand before it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from dure.portal.sessions import door, passing
from tests.portal.session_world import SessionWorld


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionWorld]:
    # Whoever loses the right to stay goes at once, so that no test waits for it.
    monkeypatch.setattr(door, "ASKED_S", -1.0)
    monkeypatch.setattr(passing, "RECHECK_S", 0.05)
    with closing(SessionWorld()) as world:
        yield world
