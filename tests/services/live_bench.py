"""A live pool on paper: a real ledger, engine and desk; machines that do what a test says."""

from collections.abc import Mapping, Sequence

import numpy as np

from dure.app.care import Cared
from dure.app.engine import RealTime
from dure.core.events.programme import AllocationGranted
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.policy import Policy
from dure.core.pool import Pool
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.asked import Demand
from dure.services.desks import Submission, Submitted, WorkForm
from dure.services.driver_hands import DriverHands
from dure.services.keeping import Keeper
from dure.services.kept_book import KeptBook
from dure.services.pool_desk import WorkingPool
from dure.services.pools import PoolRuntime
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.publishing import Publisher, Title
from dure.services.reading import EventReader
from dure.services.views import JobStory, Name, Why

ADMIN = Actor("admin", frozenset({Role.ADMIN}))
START_S = 1_790_000_000


class SetClock:
    """A clock that a test moves."""

    def __init__(self, at_s: int) -> None:
        self.at_s = at_s

    def now_s(self) -> int:
        return self.at_s


class PaperMachine:
    """A backend whose attempts end when a test says so."""

    def __init__(self) -> None:
        self.started: list[StartOrder] = []
        self.notices: dict[tuple[str, int], int] = {}
        self.stopped: set[tuple[str, int]] = set()
        self.cleaned: list[tuple[str, int]] = []
        self.receipts: dict[tuple[str, int], Receipt] = {}
        self.printed: dict[tuple[str, int, str], bytes] = {}
        self.is_dirty = False
        self.reports: list[NodeReport] = []
        self.withheld: list[str] = []
        self.start_error: Exception | None = None

    def start(self, order: StartOrder) -> None:
        if self.start_error is not None:
            raise self.start_error
        if (order.job, order.attempt) not in [(one.job, one.attempt) for one in self.started]:
            self.started.append(order)

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        self.notices[job, attempt] = stop_by_s

    def stop(self, job: str, attempt: int) -> None:
        self.stopped.add((job, attempt))

    def observe(self) -> Sequence[Receipt]:
        return [self.receipts[key] for key in sorted(self.receipts)]

    def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        for one in receipts:
            self.receipts.pop((one.job, one.attempt), None)

    def clean(self, job: str, attempt: int) -> Mapping[str, object]:
        self.cleaned.append((job, attempt))
        found: dict[str, object] = {"job": job, "attempt": attempt, "is_clean": not self.is_dirty}
        return found | ({"is_clean": False, "withheld": self.withheld} if self.withheld else {})

    def nodes(self) -> Sequence[NodeReport]:
        return tuple(self.reports)

    def output(
        self, job: str, attempt: int, *, stream: str = "out", from_byte: int = 0
    ) -> tuple[bytes, int]:
        content = self.printed.get((job, attempt, stream), b"")
        begin = min(from_byte, len(content))
        return content[begin:], max(begin, len(content))


class LiveBench:
    """One pool of ``slots`` slots, brought forward by ``turn``."""

    def __init__(
        self,
        slots: int = 4,
        *,
        ledger: Ledger | None = None,
        machine: PaperMachine | None = None,
        at_s: int = START_S,
        pool: Pool | None = None,
        **changes: int,
    ) -> None:
        self.clock = SetClock(at_s)
        self.ledger = ledger or MemoryLedger()
        self.machine = machine or PaperMachine()
        self.evidence: list[Mapping[str, object]] = []
        self.demand = Demand()
        decode = self.demand.reading(decode_events)
        self.book = KeptBook(self.ledger, encode=encode_events, decode=decode)
        self.book.attach(self.demand)
        self.cared = Cared.attached_to(self.book)
        self.programme = Programme(self.book, self.clock)
        self.hands = DriverHands(self.machine, self.demand, self.evidence.append, pool="here")
        self.reader = EventReader(self.demand)
        self.runtime = PoolRuntime(self.ledger, self.hands, reader=self.reader, decode=decode)
        self.publisher = Publisher(Title("here", Name("여기", "here")), self.demand)
        followers = {"hands": self.hands.standing, "views": self.publisher}
        self.keeper = Keeper(self.runtime, self.book, followers)
        if self.ledger.head()[0] == 0:
            rules = {"cleaning_s": 1, "start_s": 1, "backoff_s": 5} | changes
            policy = Policy(instant_stop=False, **rules)
            self.runtime.found(pool or pool_of_slots(slots), policy, at_s=at_s)
        self.keeper.begin()
        self.hands.repeat(self.runtime.state)
        self.turns = RealTime(
            self.runtime,
            self.hands,
            self.reader,
            self.publisher,
            self.clock,
            self.book.lock,
            self.keeper,
            cycle_s=0.0,
            poll_s=0.0,
        )
        self.publisher.publish(self.runtime.state, at_s)
        self.desk = WorkingPool(
            self.publisher,
            self.book,
            self.demand,
            self.clock,
            self.machine,
            lambda: None,
            self.programme.supply.awaits_acceptance,
        )

    def again(self, *, at_s: int) -> "LiveBench":
        """Return the pool as the next process finds it."""
        return LiveBench(ledger=self.ledger, machine=self.machine, at_s=at_s)

    def turn(self, seconds: int = 0) -> None:
        """Let time pass, then do what is to be done, until nothing is."""
        for _ in range(max(1, seconds)):
            self.clock.at_s += 1 if seconds else 0
            for _ in range(2):
                self.turns.turn()
        self.publisher.publish(self.runtime.state, self.clock.at_s)

    def allocate(self, project: str, gpus: int, *, to_s: int = 1 << 40) -> None:
        event = AllocationGranted(
            allocation=f"a-{project}",
            call="",
            application="",
            project=project,
            accelerator="slot",
            gpus=gpus,
            from_s=self.clock.at_s,
            to_s=to_s,
            at_s=self.clock.at_s,
            by="test",
        )
        self.book.append([event])

    def submit(self, dure: str = "", *, project: str = "", key: str = "", by: Actor = ADMIN) -> str:
        """Submit a job with a line of our own fields; return its name."""
        answer = self.desk.submit(self.submission(dure, project=project, key=key), by=by)
        assert isinstance(answer, Submitted), answer
        return answer.job

    def submission(self, dure: str = "", *, project: str = "", key: str = "") -> Submission:
        text = "run: train\n" + (f"dure: {{{dure}}}\n" if dure else "")
        return Submission(WorkForm.YAML, text, project, key)

    def end(
        self,
        job: str,
        *,
        exit_code: int = 0,
        kind: str = "ended",
        reason: str = "",
        measured: tuple[int, int] | None = None,
    ) -> None:
        """Have the newest attempt of a job end; ``measured`` is when it began and was over."""
        attempt = max(one.attempt for one in self.machine.started if one.job == job)
        began_at_s, at_s = measured or (0, self.clock.at_s)
        self.machine.receipts[job, attempt] = Receipt(
            kind, job, attempt, at_s, exit_code, exit_code == 85, reason, began_at_s
        )

    def story(self, job: str) -> JobStory:
        story = self.desk.view().story(job)
        assert story is not None
        return story

    def state(self, job: str) -> str:
        return self.story(job).row.state

    def why(self, job: str) -> Why:
        why = self.desk.view().why(job)
        assert why is not None, f"{job} does not wait"
        return why

    def attempts(self, job: str) -> list[tuple[int, str, str]]:
        return [(one.attempt, one.kind, one.end_cause) for one in self.story(job).attempts]


def pool_of_slots(slots: int) -> Pool:
    return Pool(
        node=["here-0001"],
        provider=["here"],
        cluster=["here"],
        leaf=["l"],
        pod=["p"],
        site=["s"],
        accelerator=["slot"],
        gpus=np.array([slots]),
        cpu_milli=np.array([8_000]),
        memory_mib=np.array([16_000]),
        grade=["C"],
        use=["public"],
        in_service_at_s=np.zeros(1, dtype=np.int64),
    )
