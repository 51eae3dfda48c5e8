"""Waiting for the outside world: looking again and again, never longer than a stated bound."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, within_s: float = 30) -> Found:
    """Return the first true answer of ``look``; fail if there is none in time."""
    deadline_s = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, f"nothing within {within_s} s: {look}"
        time.sleep(0.01)
    return found
