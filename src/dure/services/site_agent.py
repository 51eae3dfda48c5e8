"""The agent beside a site's backend: pulls orders and carries them out, pushes what became of them.

While the centre is out of reach what runs goes on, and each end is cleaned up after and spooled. An
end leaves the spool only when the ledger holds it, so it is told at least once; it has a number and
its attempt, so it is heard once.
"""

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

import msgspec

from dure.core.errors import DriverError, DureError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_words import (
    MIRROR_BYTES_MAX,
    Answer,
    Call,
    Ended,
    Forget,
    Held,
    Notice,
    NotStarted,
    NumberedOrder,
    Printed,
    Push,
    SiteNode,
    Start,
    Stop,
)
from dure.services.ports import Driver
from dure.services.site_meter import SiteMeter

log = logging.getLogger("dure.agent")

Key = tuple[str, int]
POLL_S, RETRY_S = 0.25, 1.0
# Of so many attempts that run the output is looked at in one turn; the others have theirs next.
LOOKED_AT_MAX = 200
REPORT_BYTES_MAX, PRINT_BYTES_MAX, READING_BYTES_MAX = 256 << 10, 192 << 10, 1 << 20
STREAMS = ("out", "err")
REASON_LENGTH_MAX = 500
# A cleaning that fails is tried with every turn; a person is told of it now and then.
TELL_EVERY = 50


class Spool(Protocol):
    """Lines by number that outlive any crash."""

    def lines(self) -> Iterable[tuple[int, bytes]]: ...

    def append(self, contents: Sequence[bytes]) -> Sequence[int]: ...

    def drop(self, numbers: Sequence[int]) -> None: ...


class Centre(Protocol):
    """The engine, as far as it can be reached."""

    def exchange(self, push: Push) -> Answer:
        """Say, and be told. Raises DriverError if nobody answers, or not as the centre would."""
        ...

    def fetch(self, workdir: str) -> None:
        """Have a work folder here that an order names. Raises DriverError."""
        ...


class Opener(Protocol):
    """The ways to the site's sessions, from the centre's side of the walls."""

    def open(self, call: Call) -> None:
        """Open the line that the centre called for; returns at once, says what fails in a log."""
        ...


class Prints(Protocol):
    """What attempts printed."""

    def output(
        self, job: str, attempt: int, *, stream: str = "out", from_byte: int = 0
    ) -> tuple[bytes, int]: ...


class Memory(Protocol):
    """What the agent knows of itself and the engine over its restarts."""

    @property
    def agent(self) -> str: ...

    @property
    def run(self) -> int: ...

    @property
    def generation(self) -> int: ...

    def learn_generation(self, generation: int) -> None:
        """Refuse what is older from now on; durable."""
        ...


class SiteAgent:
    """One agent's turns.

    Args:
        backend: the site's own.
        inventory: what the site has.
        meter: takes its turns elsewhere; None where nothing is measured.
        opener: of lines to sessions; None where these are out of reach.

    Attributes:
        trouble: why the centre did not answer the last push; "" if it did.
    """

    def __init__(
        self,
        backend: Driver,
        spool: Spool,
        centre: Centre,
        prints: Prints,
        memory: Memory,
        inventory: Sequence[SiteNode],
        meter: SiteMeter | None = None,
        opener: Opener | None = None,
    ) -> None:
        self._backend, self._spool, self._centre = backend, spool, centre
        self._opener = opener
        # Of the calls in the last answer: each is said until its line was fetched.
        self._called: set[str] = set()
        self._prints, self._memory, self._inventory = prints, memory, list(inventory)
        self._meter = meter
        self._ends: dict[int, Ended] = {}
        for number, line in spool.lines():
            ended = msgspec.json.decode(line, type=Ended)
            self._ends[number] = msgspec.structs.replace(ended, number=number)
        self._spooled = {_key(ended.receipt): number for number, ended in self._ends.items()}
        self._count, self._taken, self._kept = 0, 0, 0
        # Of the engine that answered last; 0 until one has answered.
        self._generation = 0
        self._refused: list[NotStarted] = []
        self._told_nodes: list[NodeReport] | None = None
        # How many bytes of each stream the centre has, of every attempt that it ordered.
        self._held: dict[Key, dict[str, int]] = {}
        self._looked_at = 0
        self._clean_tries: dict[Key, int] = {}
        self.trouble = ""

    def turn(self) -> float:
        """Look, say, do what is ordered; return in how many seconds to come again."""
        self._look()
        self._count += 1
        push = self._push()
        try:
            answer = self._answer_to(push)
        except DriverError as wrong:
            if str(wrong) != self.trouble:
                log.warning("%s", wrong)
            self.trouble = str(wrong)
            return RETRY_S
        if self.trouble:
            log.warning("the centre answers again")
            self.trouble = ""
        if answer.generation != self._generation:
            self._greet(answer.generation)
            return 0.0
        return self._take(push, answer)

    def _answer_to(self, push: Push) -> Answer:
        """Return the answer to this very push of an engine not older than the last one.

        Raises:
            DriverError: if there is none; the next turn says the same again.
        """
        answer = self._centre.exchange(push)
        if (answer.run, answer.count) != (push.run, push.count):
            raise DriverError("the centre answers another push; its answer is refused.")
        if answer.generation < self._memory.generation:
            raise DriverError(
                f"an engine of generation {answer.generation} answers, and "
                f"{self._memory.generation} was heard before; its orders are refused."
            )
        return answer

    def _take(self, push: Push, answer: Answer) -> float:
        if push.nodes is not None:
            self._told_nodes = push.nodes
        told = {refused.number for refused in push.refused}
        self._refused = [one for one in self._refused if one.number not in told]
        self._kept = answer.kept
        if self._meter:
            self._meter.told(answer.measured)
        grown = [self._hold(held) for held in answer.held]
        for is_over, some in groupby(answer.orders, lambda one: isinstance(one.order, Forget)):
            carry_out = self._forget if is_over else self._carry_out
            carry_out(list(some))
        self._open_lines(answer.calls)
        has_more = any(number > self._kept for number in self._ends)
        return 0.0 if answer.orders or any(grown) or has_more else POLL_S

    # --- looking -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Clean up after what ended, and spool the end once nothing is left or nodes are closed."""
        ended = [
            Ended(0, receipt, evidence)
            for receipt in self._backend.observe()
            if _key(receipt) not in self._spooled
            and (evidence := self._cleaned(_key(receipt))) is not None
        ]
        numbers = self._spool.append([msgspec.json.encode(one) for one in ended])
        for number, one in zip(numbers, ended, strict=True):
            self._ends[number] = msgspec.structs.replace(one, number=number)
            self._spooled[_key(one.receipt)] = number
            self._clean_tries.pop(_key(one.receipt), None)

    def _cleaned(self, key: Key) -> dict[str, object] | None:
        try:
            found = dict(self._backend.clean(*key))
        except (DriverError, OSError) as wrong:
            found = {"is_clean": False, "wrong": str(wrong)}
        if found["is_clean"] or found.get("withheld"):
            return found
        tries = self._clean_tries[key] = self._clean_tries.get(key, 0) + 1
        if tries % TELL_EVERY == 1:
            log.error("job %s, attempt %d cannot be cleaned up yet: %s", *key, found)
        return None

    # --- saying ------------------------------------------------------------------------------

    def _push(self) -> Push:
        is_greeted = self._generation > 0
        nodes = list(self._backend.nodes())
        printed, lacking = self._printed() if is_greeted else ([], set())
        return Push(
            agent=self._memory.agent,
            run=self._memory.run,
            count=self._count,
            generation=self._generation,
            taken=self._taken,
            reports=self._reports(lacking) if is_greeted else [],
            refused=self._refused,
            nodes=None if nodes == self._told_nodes else nodes,
            printed=printed,
            inventory=None if is_greeted else self._inventory,
            readings=self._meter.waiting(READING_BYTES_MAX) if self._meter and is_greeted else [],
        )

    def _reports(self, lacking: set[Key]) -> list[Ended]:
        """Return the next ends in order, up to one whose output is still under way."""
        found, size = [], 0
        for number, ended in self._ends.items():
            if number <= self._kept:
                continue
            if _key(ended.receipt) in lacking or size > REPORT_BYTES_MAX:
                break
            size += len(msgspec.json.encode(ended))
            found.append(ended)
        return found

    def _printed(self) -> tuple[list[Printed], set[Key]]:
        """Return the next pieces of output, and the attempts of which some is still to be said."""
        pieces, size = [], 0
        lacking: set[Key] = set()
        for key in self._to_look_at():
            for stream, offset in self._held[key].items():
                if offset >= MIRROR_BYTES_MAX:
                    continue
                content, _ = self._prints.output(*key, stream=stream, from_byte=offset)
                if not content:
                    continue
                lacking.add(key)
                if content := content[: PRINT_BYTES_MAX - size]:
                    pieces.append(Printed(*key, stream, offset, content))
                    size += len(content)
        return pieces, lacking

    def _to_look_at(self) -> list[Key]:
        """Return the attempts that ended, and some of those that run, in turns."""
        ended = [key for key in self._spooled if key in self._held]
        running = [key for key in self._held if key not in self._spooled]
        first = self._looked_at if self._looked_at < len(running) else 0
        self._looked_at = first + LOOKED_AT_MAX
        return ended + running[first : self._looked_at]

    def _hold(self, held: Held) -> bool:
        """The centre has so much of a stream; True if that is more than before."""
        streams = self._held.get((held.job, held.attempt), {})
        if held.stream not in streams:
            return False
        before, streams[held.stream] = streams[held.stream], held.size
        return held.size > before

    # --- doing -------------------------------------------------------------------------------

    def _greet(self, generation: int) -> None:
        """A new engine: it knows nothing of what we said, and orders everything that stands."""
        self._memory.learn_generation(generation)
        log.warning("an engine of generation %d answers", generation)
        self._generation, self._taken, self._kept = generation, 0, 0
        self._refused, self._told_nodes = [], None
        # It tells how much of each it has when the first piece comes.
        self._held = {key: dict.fromkeys(STREAMS, 0) for key in {*self._held, *self._spooled}}

    def _carry_out(self, orders: Sequence[NumberedOrder]) -> None:
        """Carry out orders unless their number was passed: one that comes twice is refused."""
        for ordered in orders:
            if ordered.number <= self._taken:
                continue
            match ordered.order:
                case Start(order=order):
                    self._start(ordered.number, order)
                case Notice() | Stop():
                    self._tell(ordered.order)
            self._taken = ordered.number

    def _open_lines(self, calls: Sequence[Call]) -> None:
        """Open each line once, to what this site was ordered to run and nothing else."""
        for call in calls:
            key = (call.job, call.attempt)
            runs = key in self._held and key not in self._spooled
            if self._opener and runs and call.token not in self._called:
                self._opener.open(call)
        self._called = {call.token for call in calls}

    def _start(self, number: int, order: StartOrder) -> None:
        key = (order.job, order.attempt)
        try:
            if key not in self._spooled:
                if order.recipe.workdir:
                    self._centre.fetch(order.recipe.workdir)
                self._backend.start(order)
        except Exception as wrong:
            # Whatever is wrong with one order, those behind it must not wait for it.
            log.warning("job %s, attempt %d cannot be started: %r", *key, wrong)
            self._refused.append(NotStarted(number, *key, str(wrong)[:REASON_LENGTH_MAX]))
            return
        self._held.setdefault(key, dict.fromkeys(STREAMS, 0))

    def _tell(self, order: Notice | Stop) -> None:
        try:
            if isinstance(order, Notice):
                self._backend.notify(order.job, order.attempt, stop_by_s=order.stop_by_s)
            else:
                self._backend.stop(order.job, order.attempt)
        except (DureError, OSError) as wrong:
            # The engine says it again until the end has come.
            log.warning("job %s, attempt %d cannot be told: %s", order.job, order.attempt, wrong)

    def _forget(self, orders: Sequence[NumberedOrder]) -> None:
        """Let go of what the ledger holds, many at the price of one."""
        fresh = [one for one in orders if one.number > self._taken]
        keys = [
            (one.order.job, one.order.attempt) for one in fresh if isinstance(one.order, Forget)
        ]
        numbers = [self._spooled[key] for key in keys if key in self._spooled]
        self._backend.acknowledge([self._ends[number].receipt for number in numbers])
        self._spool.drop(numbers)
        for key in keys:
            self._ends.pop(self._spooled.pop(key, 0), None)
            self._held.pop(key, None)
        self._taken = max([self._taken, *(one.number for one in fresh)])


def _key(receipt: Receipt) -> Key:
    return receipt.job, receipt.attempt
