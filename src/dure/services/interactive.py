"""Interactive sessions as people reach them: ordinary jobs, each with an address of its own.

What a session serves is its owner's code, or that of whatever they installed, so nobody else is let
in, and it is another origin than the portal's, and than every other session's: a host name for
each job. Whoever comes is asked at the door, every time.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dure.core.errors import InputError
from dure.core.site_words import NoLine
from dure.services.access import Actor, Forbidden, require
from dure.services.admissions import LINK_S, Admissions
from dure.services.people import People
from dure.services.ports import Line
from dure.services.programme_views import FieldProblem
from dure.services.refusing import Refused
from dure.services.views import JobRow

if TYPE_CHECKING:
    from dure.services.desks import PoolDesk

ALIVE = ("PENDING", "RUNNING", "STOPPING")
RUNS = ("RUNNING", "STOPPING")
ENTER = "/.dure/enter/"
# A job's name as a part of a host's.
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where sessions are reached: ``http://*.localhost:8471``, the star for the job's name.

    Raises:
        InputError: unless it is a scheme, a host that begins with ``*.`` and perhaps a port.
    """

    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        is_whole = self.url == f"{parts.scheme}://{host}" and host.startswith("*.")
        if parts.scheme not in ("http", "https") or not is_whole or "*" in host[1:]:
            raise InputError(
                "--sessions-url",
                found=repr(self.url[:80]),
                expected="an address with a star for the session, such as "
                "https://*.sessions.example.kr",
            )

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https:")

    def of(self, job: str) -> str:
        """Return the origin of a job's session."""
        return self.url.replace("*", job)

    def job_at(self, host: str) -> str:
        """Return the job that a ``Host`` field names, "" if it is no host of ours.

        The port does not count: a tunnel may lead here from another.
        """
        name = host.lower().rpartition(":")[0] if ":" in host else host.lower()
        job, _, rest = name.partition(".")
        suffix = (urlsplit(self.url).hostname or "").removeprefix("*.")
        return job if rest == suffix and LABEL.fullmatch(job) else ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link into a session: it works once, and for so long."""

    url: str
    lasts_s: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody stands at the door of their own session.

    Attributes:
        kind: ``jupyter`` or ``shell``.
    """

    user: str
    kind: str


class Interactive:
    """Links into sessions, and who may come in.

    Args:
        address: where sessions are reached; None where that is not set up.
    """

    def __init__(
        self,
        pools: "Mapping[str, PoolDesk]",
        people: People,
        admissions: Admissions,
        address: Address | None,
    ) -> None:
        self._pools, self._people, self._admissions = pools, people, admissions
        self.address = address

    def sessions(self, actor: Actor) -> list[tuple[str, JobRow]]:
        """Return one's own sessions that are not over, with the pool of each."""
        found = []
        for name, view in ((name, desk.view()) for name, desk in self._with_sessions()):
            for index, user in enumerate(view.jobs.user):
                if user == actor.user and view.jobs.state[index] in ALIVE:
                    row = view.jobs.row(index)
                    found += [(name, row)] if row.interactive else []
        return found

    def open(self, actor: Actor, job: str, *, sign_in: str) -> Link | Refused:
        """Give the owner of a session that runs a link into it.

        Args:
            sign_in: the cookie or API token by which they asked; the way in ends with it.

        Raises:
            Forbidden: for anybody but the owner.
        """
        require(actor, "interactive.begin", owner=actor.user)
        found = self._find(job)
        if found is None or not found[1].interactive:
            return _refused("JobIsNoSession", job)
        _, row = found
        if row.user != actor.user:
            raise Forbidden(actor, "interactive.begin", row.user)
        if row.state not in RUNS:
            return _refused("SessionDoesNotRun", job)
        if self.address is None:
            return _refused("SessionsHaveNoAddress", job)
        token = self._admissions.give(actor.user, job, sign_in=sign_in)
        return Link(f"{self.address.of(job)}{ENTER}{token}", LINK_S)

    def enter(self, job: str, token: str) -> str | None:
        """Return the cookie that a link is exchanged for; None if it leads nowhere (any more)."""
        return self._admissions.use(token, job)

    def admitted(self, job: str, cookie: str) -> Admitted | None:
        """Tell whom a cookie lets into a session that runs now; None for nobody."""
        user = self._admissions.holder(cookie, job) if cookie else ""
        account, found = self._people.account(user), self._find(job)
        if account is None or account.is_disabled or found is None:
            return None
        row = found[1]
        is_owners = row.user == user and row.interactive and row.state in RUNS
        return Admitted(user, row.interactive) if is_owners else None

    def line(self, job: str) -> Line | NoLine | None:
        """Return a stream to a session; None if it does not listen (yet). May take seconds."""
        found = self._find(job)
        return found[0].line(job) if found else None

    def _with_sessions(self) -> "Iterator[tuple[str, PoolDesk]]":
        return ((name, desk) for name, desk in self._pools.items() if desk.has_sessions())

    def _find(self, job: str) -> "tuple[PoolDesk, JobRow] | None":
        for _, desk in self._with_sessions():
            if (story := desk.view().story(job)) is not None:
                return desk, story.row
        return None


def _refused(code: str, job: str) -> Refused:
    return Refused((FieldProblem("", code, {"job": job}),))
