"""The agent's meter: what is measured waits in memory for the line, an hour's worth and more."""

import logging
from collections import deque
from threading import Lock

import msgspec

from dure.core.errors import DriverError
from dure.core.site_readings import Reading, reading_of
from dure.services.ports import Clock, Meter

log = logging.getLogger("dure.agent")

SAMPLE_S = 15.0
# Of a site of 1,000 GPUs an hour is some 16 MiB.
KEPT_BYTES_MAX = 64 << 20
# A push may have 8 MiB.
READING_BYTES_MAX = 4 << 20


class SiteMeter:
    """The turns of an agent's meter, and what of it has not been told yet. Safe for threads.

    Attributes:
        lost: readings that were dropped, the oldest first, because the line was away too long.
    """

    def __init__(self, meter: Meter, clock: Clock, *, every_s: float = SAMPLE_S) -> None:
        self._meter, self._clock, self._every_s = meter, clock, every_s
        self._lock = Lock()
        self._waiting: deque[tuple[Reading, int]] = deque()
        self._number, self._bytes, self.lost = 0, 0, 0
        self._trouble = ""

    def turn(self) -> float:
        """Read what is new; return in how many seconds to come again."""
        try:
            measured = self._meter.read(self._clock.now_s())
        except DriverError as wrong:
            if str(wrong) != self._trouble:
                log.warning("%s", wrong)
            self._trouble = str(wrong)
            return self._every_s
        self._trouble = ""
        if len(measured.at_s) or measured.signals or measured.aside:
            with self._lock:
                self._number += 1
                reading = reading_of(measured, number=self._number)
                size = len(msgspec.json.encode(reading))
                if size > READING_BYTES_MAX:
                    # It would stand in the way of everything else for ever.
                    self.lost += 1
                    log.error("a reading of %d bytes is dropped", size)
                    return self._every_s
                self._waiting.append((reading, size))
                self._bytes += size
                while self._bytes > KEPT_BYTES_MAX:
                    self._drop_first()
                    self.lost += 1
        return self._every_s

    def waiting(self, bytes_max: int) -> list[Reading]:
        """Return the oldest readings that were not told, at least one if there are any."""
        found: list[Reading] = []
        size = 0
        with self._lock:
            for reading, its in self._waiting:
                if found and size + its > bytes_max:
                    break
                found.append(reading)
                size += its
        return found

    def told(self, number: int) -> None:
        """The centre has everything up to this number."""
        with self._lock:
            while self._waiting and self._waiting[0][0].number <= number:
                self._drop_first()

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: the next turn reads on."""

    def close(self) -> None:
        self._meter.close()

    def _drop_first(self) -> None:
        _, size = self._waiting.popleft()
        self._bytes -= size
