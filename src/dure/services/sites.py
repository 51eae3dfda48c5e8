"""Sites with agents: what their agents say and are told, and how each site does."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from dure.core.sealing import BY_AGENT, BY_CENTRE, is_sealed, seal
from dure.core.site_words import (
    Answer,
    Push,
    PushRefusal,
    SiteNode,
    encoded,
    line_words,
    push_of,
)
from dure.services.access import Actor, may
from dure.services.enrolments import Enrolment, Enrolments

log = logging.getLogger("dure.sites")


class SiteState(Enum):
    """How a site does. The values are stable: screens translate them."""

    REVOKED = "revoked"
    AWAITED = "awaited"  # its agent was never heard, or the pool was founded without it
    IN_REACH = "in-reach"
    OUT_OF_REACH = "out-of-reach"
    UNKNOWN = "unknown"  # this process does not lead, so agents do not speak to it


class FetchedLine(Protocol):
    """The centre's end of a line to a session, for which an agent came."""

    @property
    def descriptor(self) -> int:
        """Return its descriptor, which stays the line's own."""
        ...

    def told(self, *, listens: bool) -> bool:
        """Take the agent's word; False if nobody waits for the line (any more)."""
        ...

    def over(self) -> None:
        """Nothing more comes of it."""
        ...


class Gate(Protocol):
    """Where agents come in, behind the seal."""

    def is_open(self) -> bool:
        """Tell whether this process leads the pool, so that agents speak to it."""
        ...

    def exchange(self, site: str, serial: int, push: Push) -> Answer | PushRefusal: ...

    def inventory(self, site: str) -> Sequence[SiteNode] | None: ...

    def heard_at_s(self, site: str) -> int | None: ...

    def is_out_of_reach(self, site: str) -> bool: ...

    def archive(self, site: str, workdir: str) -> bytes | None: ...

    def fetch(self, site: str, token: str) -> FetchedLine | None: ...

    def end_lines(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site as people see it.

    Attributes:
        heard_at_s: when its agent was last heard, None if never or not by this process.
        nodes, gpus: what its agent last said that it has.
    """

    site: str
    provider: str
    state: SiteState
    key_id: str
    enrolled_at_s: int
    heard_at_s: int | None
    nodes: int
    gpus: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """Words with the seal of whoever says them."""

    body: bytes
    seal: str


@dataclass(frozen=True, slots=True)
class SealedLine:
    """A line, and the seal by which the agent knows who gives it."""

    line: FetchedLine
    seal: str


class SitesDesk(Protocol):
    """What screens and machines ask about sites."""

    def rows(self, *, by: Actor) -> Sequence[SiteRow]: ...

    def exchange(self, site: str, said: Sealed) -> Sealed | PushRefusal | None:
        """Take what an agent says; None unless its seal is right."""
        ...

    def workdir(self, site: str, workdir: str, said: Sealed) -> Sealed | None:
        """Return a work folder that an order of this site names; None for anything else."""
        ...

    def fetch(self, site: str, token: str, given: str) -> SealedLine | None:
        """Return the line to a session of this site that a token names, once; else None."""
        ...

    def end_lines(self) -> None:
        """End every line to a session: the service ends. Sessions go on."""
        ...


class NoSites:
    """The desk of a platform whose backend is its own."""

    def rows(self, *, by: Actor) -> Sequence[SiteRow]:
        return ()

    def exchange(self, site: str, said: Sealed) -> Sealed | PushRefusal | None:
        return None

    def workdir(self, site: str, workdir: str, said: Sealed) -> Sealed | None:
        return None

    def fetch(self, site: str, token: str, given: str) -> SealedLine | None:
        return None

    def end_lines(self) -> None:
        """There are none."""


class Sites:
    """The desk of a pool whose sites have agents."""

    def __init__(self, enrolments: Enrolments, gate: Gate) -> None:
        self._enrolments, self._gate = enrolments, gate

    def rows(self, *, by: Actor) -> Sequence[SiteRow]:
        """Return the sites that the asker may see."""
        found = self._enrolments.sites()
        return [self._row(one) for one in found if may(by, "site.read", owner=one.provider)]

    def lacking(self) -> Sequence[str]:
        """Return the sites whose agents have not said yet what they have."""
        enrolled = [one.site for one in self._enrolments.sites() if not one.is_revoked]
        return [site for site in enrolled if self._gate.inventory(site) is None]

    def exchange(self, site: str, said: Sealed) -> Sealed | PushRefusal | None:
        """Take what an agent says, answer under our seal; None unless its seal is right.

        Raises:
            msgspec.MsgspecError: if the seal is right and what it says cannot be read.
        """
        enrolled, key = self._known(site, said)
        if enrolled is None or key is None:
            return None
        answer = self._gate.exchange(site, enrolled.serial, push_of(said.body))
        if isinstance(answer, PushRefusal):
            return answer
        body = encoded(answer)
        return Sealed(body, seal(key, by=BY_CENTRE, site=site, body=body))

    def workdir(self, site: str, workdir: str, said: Sealed) -> Sealed | None:
        """Return the archive of a work folder; the seal is over its name."""
        _, key = self._known(site, said)
        if key is None or said.body != workdir.encode():
            return None
        content = self._gate.archive(site, workdir)
        if content is None:
            return None
        return Sealed(content, seal(key, by=BY_CENTRE, site=site, body=content))

    def fetch(self, site: str, token: str, given: str) -> SealedLine | None:
        """Return the line that a token names; ``given`` is the seal over it."""
        words = line_words(token)
        _, key = self._known(site, Sealed(words, given))
        line = self._gate.fetch(site, token) if key else None
        if key is None or line is None:
            return None
        return SealedLine(line, seal(key, by=BY_CENTRE, site=site, body=words))

    def end_lines(self) -> None:
        """End every line to a session."""
        self._gate.end_lines()

    def _known(self, site: str, said: Sealed) -> tuple[Enrolment | None, bytes | None]:
        enrolled = self._enrolments.site(site)
        key = self._enrolments.key_of(enrolled) if enrolled else None
        if key is None or not is_sealed(key, said.seal, by=BY_AGENT, site=site, body=said.body):
            return None, None
        return enrolled, key

    def _row(self, enrolled: Enrolment) -> SiteRow:
        nodes = self._gate.inventory(enrolled.site) or ()
        heard_at_s = self._gate.heard_at_s(enrolled.site)
        if enrolled.is_revoked:
            state = SiteState.REVOKED
        elif not self._gate.is_open():
            state = SiteState.UNKNOWN
        elif not nodes or heard_at_s is None:
            state = SiteState.AWAITED
        elif self._gate.is_out_of_reach(enrolled.site):
            state = SiteState.OUT_OF_REACH
        else:
            state = SiteState.IN_REACH
        return SiteRow(
            enrolled.site,
            enrolled.provider,
            state,
            enrolled.key_id,
            enrolled.enrolled_at_s,
            heard_at_s,
            len(nodes),
            sum(one.gpus for one in nodes),
        )
