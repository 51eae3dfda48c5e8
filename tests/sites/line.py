"""A centre and an agent in one process, with the sealed words of the real line between them."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from dure.core.errors import DriverError
from dure.core.orders import Receipt
from dure.core.sealing import BY_AGENT, BY_CENTRE, is_sealed, key_bytes, key_id, seal
from dure.core.site_readings import Reading
from dure.core.site_words import Answer, Push, PushRefusal, SiteNode, answer_of, encoded
from dure.drivers.agent_memory import AgentMemory
from dure.drivers.centre import HttpCentre
from dure.drivers.ends import PrintedFiles
from dure.drivers.remote.driver import RemoteDriver
from dure.drivers.remote.gate import SiteGate
from dure.drivers.spool import Spool
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.book import Book
from dure.services.enrolments import Enrolments
from dure.services.ports import Driver
from dure.services.site_agent import Opener, SiteAgent
from dure.services.site_meter import SiteMeter
from dure.services.sites import Sealed, Sites

SITE = "seoul"
SECRET = bytes(32)


class HandClock:
    """A clock that a test sets; it begins late enough for any receipt of a real backend."""

    def __init__(self, now_s: int = 4_000_000_000) -> None:
        self.at_s = now_s

    def now_s(self) -> int:
        return self.at_s


class Line:
    """The centre as an agent reaches it, or does not.

    Attributes:
        is_cut: nothing gets through.
        loses_answers: what is said is heard, and the answer is lost.
        said: every sealed push, as somebody on the way could keep it.
    """

    def __init__(self, centre: "CentreSide", key: str, *, site: str = SITE) -> None:
        self._centre, self.key, self._site = centre, key_bytes(key), site
        self.is_cut, self.loses_answers = False, False
        self.said: list[Sealed] = []
        self.answers: list[Sealed] = []
        self.change: Callable[[Sealed], Sealed] = lambda answer: answer

    def exchange(self, push: Push) -> Answer:
        if self.is_cut:
            raise DriverError("the centre is out of reach")
        body = encoded(push)
        said = Sealed(body, seal(self.key, by=BY_AGENT, site=self._site, body=body))
        self.said.append(said)
        answer = self._centre.sites.exchange(self._site, said)
        if not isinstance(answer, Sealed):
            raise DriverError(f"refused: {answer}")
        if self.loses_answers:
            raise DriverError("the answer is lost")
        self.answers.append(answer)
        answer = self.change(answer)
        if not is_sealed(self.key, answer.seal, by=BY_CENTRE, site=self._site, body=answer.body):
            raise DriverError("its answer has not the seal of this site's key")
        return answer_of(answer.body)

    def fetch(self, workdir: str) -> None:
        raise DriverError("no work folders on this line")


class CentreSide:
    """Enrolment, gate and driver of the engine, over ``root``.

    Args:
        nodes: devices by node of each site.
    """

    def __init__(
        self,
        root: Path,
        nodes: dict[str, int],
        *,
        clock: HandClock | None = None,
        sites: Sequence[str] = (SITE,),
    ) -> None:
        self.root, self._expected = root, dict.fromkeys(sites, nodes)
        self.clock = clock or HandClock()
        book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
        self.enrolments = Enrolments(book, self.clock, lambda: SECRET)
        self.hear: Callable[[str, Reading], None] = lambda site, reading: None
        self.keys = {site: self.enrolments.enrol(site, by="test") for site in sites}
        self.key = self.keys[sites[0]]
        self.begin()

    def begin(self) -> None:
        """Start anew, as after a kill; the ledger of people stays."""
        self.gate = SiteGate(self.root / "sites")
        self.sites = Sites(self.enrolments, self.gate)
        self.driver = RemoteDriver(
            self.root,
            self._expected,
            generation=self.gate.next_generation(),
            now_s=self.clock.now_s,
            inventory=self.gate.inventory,
            hear=self.hear,
        )
        self.gate.let_through_to(self.driver)

    def refusal(self, said: Sealed, site: str = SITE) -> PushRefusal | None:
        """Say something sealed; return why it was refused, None for "no such site or key"."""
        answer = self.sites.exchange(site, said)
        assert not isinstance(answer, Sealed), "it was taken"
        return answer


class AgentSide:
    """An agent over a backend of its own; ``begin`` may be called again, as after a kill."""

    def __init__(
        self,
        folder: Path,
        line: Line | HttpCentre,
        make: Callable[[], Driver],
        nodes: Sequence[SiteNode],
        *,
        meter: SiteMeter | None = None,
        opener: Opener | None = None,
    ) -> None:
        self._folder, self.line, self._make, self._nodes = folder, line, make, nodes
        self._meter, self._opener = meter, opener
        folder.mkdir(parents=True, exist_ok=True)
        self.begin()

    def begin(self) -> None:
        self.backend = self._make()
        self.memory = AgentMemory(self._folder / "agent.json", key_id=key_id(self.line.key))
        self.spool = Spool(self._folder / "spool")
        self.agent = SiteAgent(
            self.backend,
            self.spool,
            self.line,
            PrintedFiles(self._folder),
            self.memory,
            self._nodes,
            self._meter,
            self._opener,
        )

    def spooled(self) -> int:
        with closing(Spool(self._folder / "spool")) as spool:
            return len(list(spool.lines()))


def node_named(name: str, gpus: int) -> SiteNode:
    return SiteNode(name, "cluster", "leaf", "pod", "slot", gpus, 0, 0)


def ends(receipts: Sequence[Receipt]) -> list[tuple[str, int, str]]:
    """Return (job, attempt, kind) of receipts, in their order."""
    return [(one.job, one.attempt, one.kind) for one in receipts]
