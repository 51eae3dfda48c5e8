"""Lines to sessions at sites with agents: wanted here, fetched by the agent, given to the door.

Nobody calls a site. Whoever wants a line waits; the agent reads of it in the answer to its next
push, opens the session's end, and comes for the line with a request of its own, by the token that
only that answer has. What the door is given is one end of a pair of sockets; the other is joined
with the agent's request.
"""

import logging
import secrets
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock

from dure.core.site_words import Call, NoLine
from dure.drivers.interactive.lines import Line

log = logging.getLogger("dure.sessions")

# An agent asks four times a second; a site that is busy with its backend takes longer.
FETCH_S_MAX = 10.0
LINES_MAX = 256
# Whoever waits holds a thread of the door: a silent site must leave some for the others.
WAITING_MAX, WAITING_OF_SITE_MAX = 32, 16


@dataclass(eq=False, slots=True)
class _Wanted:
    """A line that somebody waits for. ``settled`` is set once ``found`` is the answer."""

    site: str
    call: Call
    settled: Event = field(default_factory=Event)
    found: Line | NoLine | None = NoLine.SITE_IS_SILENT
    is_given_up: bool = False


class FetchedLine:
    """The centre's end of a line that an agent came for; it is over with ``over``."""

    def __init__(self, lines: "CalledLines", wanted: _Wanted) -> None:
        self._lines, self._wanted = lines, wanted
        self.site = wanted.site
        self._ours, self._doors = socket.socketpair()

    @property
    def descriptor(self) -> int:
        """Return this end's descriptor, which stays ours."""
        return self._ours.fileno()

    def told(self, *, listens: bool) -> bool:
        """Take the agent's word; False if nobody waits for the line (any more)."""
        return self._lines.settle(self._wanted, self._doors if listens else None)

    def end(self) -> None:
        """Let whoever reads or writes at either end see that the line is over."""
        self._ours.shutdown(socket.SHUT_RDWR)

    def over(self) -> None:
        self._lines.forget(self)
        self._ours.close()
        self._doors.close()


class CalledLines:
    """The way to the sessions of a pool whose sites have agents. Safe for threads.

    Args:
        site_of: tells at which site in reach an attempt runs; "" for none.
        fetch_s: a line that no agent fetched by then is given up.
    """

    def __init__(self, site_of: Callable[[str, int], str], *, fetch_s: float = FETCH_S_MAX) -> None:
        self._site_of, self._fetch_s = site_of, fetch_s
        self._lock = Lock()
        self._wanted: dict[str, _Wanted] = {}
        # By site, fetched or not.
        self._waiting: Counter[str] = Counter()
        self._fetched: set[FetchedLine] = set()

    def reach(self, job: str, attempt: int) -> Line | NoLine | None:
        """Have the session's site open a line, and wait for it.

        Returns:
            The line; None if nobody listens there (yet); or why there is none.
        """
        site = self._site_of(job, attempt)
        if not site:
            return NoLine.SITE_IS_SILENT
        wanted = _Wanted(site, Call(job, attempt, secrets.token_hex(32)))
        with self._lock:
            if self._is_full(site):
                return NoLine.TOO_MANY_LINES
            self._wanted[wanted.call.token] = wanted
            self._waiting[site] += 1
        wanted.settled.wait(self._fetch_s)
        with self._lock:
            self._wanted.pop(wanted.call.token, None)
            self._waiting[site] -= 1
            wanted.is_given_up = True
            if not wanted.settled.is_set():
                log.warning("%s: nobody fetched a line to job %s", site, job)
            return wanted.found

    def calls(self, site: str) -> list[Call]:
        """Return what a site's agent is to fetch."""
        with self._lock:
            return [one.call for one in self._wanted.values() if one.site == site]

    def fetch(self, site: str, token: str) -> FetchedLine | None:
        """Give a line to its own site's agent, once; None for everybody else."""
        with self._lock:
            wanted = self._wanted.get(token)
            if wanted is None or wanted.site != site:
                return None
            del self._wanted[token]
            fetched = FetchedLine(self, wanted)
            self._fetched.add(fetched)
            return fetched

    def settle(self, wanted: _Wanted, doors: socket.socket | None) -> bool:
        """Tell whoever waits what came of it; False if nobody does."""
        with self._lock:
            if wanted.is_given_up or wanted.settled.is_set():
                return False
            wanted.found = Line(doors.detach()) if doors else None
            wanted.settled.set()
            return True

    def forget(self, fetched: FetchedLine) -> None:
        with self._lock:
            self._fetched.discard(fetched)

    def end(self) -> None:
        """End every line."""
        with self._lock:
            for fetched in self._fetched:
                fetched.end()

    def _is_full(self, site: str) -> bool:
        waiting, fetched = self._waiting[site], sum(one.site == site for one in self._fetched)
        is_crowded = waiting >= WAITING_OF_SITE_MAX or self._waiting.total() >= WAITING_MAX
        return is_crowded or waiting + fetched >= LINES_MAX
