"""Clocks that give whole seconds and never go backwards."""

import time
from collections.abc import Callable
from threading import Lock

NS_PER_S = 1_000_000_000


class SystemClock:
    """Seconds since the epoch, as this machine believes; a clock set back stands still instead.

    Args:
        source_s: seconds since the epoch; the system's, unless a test brings its own.
    """

    def __init__(self, source_s: Callable[[], float] = time.time) -> None:
        self._source_s = source_s
        self._last_s = int(source_s())
        self._lock = Lock()

    def now_s(self) -> int:
        with self._lock:
            self._last_s = max(self._last_s, int(self._source_s()))
            return self._last_s


class ScaledClock:
    """Virtual seconds: go on from ``start_s``, ``speed`` of them a real second.

    Args:
        start_s: the moment to go on from, on the pool's own clock.
        speed: virtual seconds a real second, >= 0; 0 stands still.
        monotone_ns: nanoseconds that only grow; the system's, unless a test brings its own.
    """

    def __init__(
        self, start_s: int, *, speed: int, monotone_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        assert speed >= 0, f"speed is {speed}; time does not go backwards"
        self._start_s, self._speed, self._monotone_ns = start_s, speed, monotone_ns
        self._start_ns = monotone_ns()
        self._last_s = start_s
        self._lock = Lock()

    def now_s(self) -> int:
        with self._lock:
            passed_ns = self._monotone_ns() - self._start_ns
            # Whole numbers: after a month at 3600 a float would already lose seconds.
            now_s = self._start_s + passed_ns * self._speed // NS_PER_S
            self._last_s = max(self._last_s, now_s)
            return self._last_s
