"""The meter of a pool whose sites have agents: it is told what they measured."""

import logging
from collections import deque
from threading import Lock

import numpy as np

from dure.core.errors import DriverError
from dure.core.measured import METRICS, Measured
from dure.core.site_readings import Reading, measured_of

log = logging.getLogger("dure.sites")

# A site that measured and says nothing for so long lags.
LAG_S = 60
# A site that lags holds up what is concluded from silence, everywhere, but not for longer.
HELD_S_MAX = 7_200
WAITING_MAX = 10_000


class RemoteMeter:
    """Gives what agents told in the order in which it came. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: deque[tuple[str, Measured]] = deque()
        self._upto: dict[str, int] = {}
        self._told_s = 0

    def take(self, site: str, reading: Reading) -> None:
        """Take what a site's agent says; what cannot be read is set aside."""
        measured = measured_of(reading, prefix=f"{site}.")
        with self._lock:
            if measured is None or len(self._waiting) >= WAITING_MAX:
                log.error("%s: a reading of its meter is set aside", site)
                return
            self._waiting.append((site, measured))

    def read(self, now_s: int) -> Measured:
        """Return the next reading, with how far all sites have come.

        Raises:
            DriverError: if there is none and a site lags: whoever is not heard through it is not
                silent.
        """
        with self._lock:
            if self._waiting:
                site, measured = self._waiting.popleft()
                self._upto[site] = max(measured.upto_s, self._upto.get(site, 0))
            else:
                site, measured = "", _nothing(now_s)
            lagging = {
                name: upto_s
                for name, upto_s in self._upto.items()
                if LAG_S < now_s - upto_s < HELD_S_MAX
            }
            if not site and lagging:
                raise DriverError(f"no measurements of {', '.join(sorted(lagging))}")
            self._told_s = max(self._told_s, min([now_s, *lagging.values()]))
            return Measured(
                measured.units,
                measured.unit,
                measured.at_s,
                measured.values,
                measured.given,
                self._told_s,
                measured.signals,
                measured.aside,
            )

    def close(self) -> None:
        """Nothing is kept open."""


def _nothing(now_s: int) -> Measured:
    none = np.zeros(0, dtype=np.int64)
    values = np.zeros((len(METRICS), 0))
    return Measured([], none, none, values, values > 0, now_s)
