"""One site as the engine knows it: orders that stand, ends that came in, when it was last heard.

An attempt that was ordered has a file, ``open/JOB~ATTEMPT``, until the agent has heard that the
ledger holds its end. A kill of this process loses nothing of it; after a power cut the engine
gives its orders again from the ledger.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

from dure.core.errors import DriverError, DureError
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_readings import Reading
from dure.core.site_words import (
    MIRROR_BYTES_MAX,
    SITE_OUT_OF_REACH,
    Answer,
    Ended,
    Forget,
    Held,
    Notice,
    NotStarted,
    NumberedOrder,
    Order,
    Printed,
    Push,
    PushRefusal,
    Start,
    Stop,
)
from dure.drivers.remote.kept import Kept, KeptFiles, Key, is_sound, sound
from dure.drivers.remote.prints import keep_printed

log = logging.getLogger("dure.sites")

# An answer ends after so much; the agent asks again at once.
ANSWER_BYTES_WANTED = 1 << 20


@dataclass(slots=True)
class _Open:
    """An attempt, and the numbers of its orders.

    Attributes:
        kept: None for one that the site was never told to run.
        is_sent: its start was in an answer, be it that nobody received it.
        receipt: how it ended; the agent says it again to every new engine.
    """

    kept: Kept | None
    numbers: dict[type, int] = field(default_factory=dict)
    is_sent: bool = False
    receipt: Receipt | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    is_acknowledged: bool = False

    @property
    def runs(self) -> bool:
        """Tell whether its end is still to come."""
        return self.receipt is None and not self.is_acknowledged


class SiteDesk:
    """Orders and ends of one site, for one generation of the engine. Safe for threads.

    Args:
        root: the folder of the pool; what the site's jobs print is mirrored below it.
        folder: the site's own.
        generation: of this engine; higher than that of any before.
        reach_s: a site not heard of for longer is out of reach.
        now_s: the pool's clock.
        hear: takes what the site measured.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        *,
        generation: int,
        reach_s: int,
        now_s: Callable[[], int],
        hear: Callable[[str, Reading], None] = lambda site, reading: None,
    ) -> None:
        self._root, self.site, self._files = root, folder.name, KeptFiles(folder)
        self._generation, self._reach_s, self._now_s = generation, reach_s, now_s
        self._hear = hear
        # Of the agent's run: its last reading that was heard.
        self._measured = (0, 0)
        self._lock = RLock()
        self._open: dict[Key, _Open] = {}
        self._orders: dict[int, Order] = {}
        self._number, self._looks = 0, 0
        self._not_started: dict[Key, str] = {}
        self._nodes: Sequence[NodeReport] = ()
        # Whoever begins waits as long for the agent as one who was just heard.
        self.heard_at_s = now_s()
        # Of the agent that speaks now: its newest push, and the last of its reports that we have.
        self._last, self._kept = (0, 0), 0
        for key, kept, is_acknowledged in self._files.all():
            self._take_up(key, kept, is_acknowledged=is_acknowledged)

    # --- for the engine ----------------------------------------------------------------------

    def start(self, order: StartOrder) -> None:
        """Order a start unless it was ordered before.

        Raises:
            DriverError: if the site could not start it when it was last asked; the next call asks
                it again.
        """
        key = (order.job, order.attempt)
        with self._lock:
            if key in self._open:
                return
            if reason := self._not_started.pop(key, ""):
                raise DriverError(f"job {order.job}: {self.site} cannot start it: {reason}")
            for (job, attempt), opened in self._open.items():
                if job == order.job and opened.runs:
                    raise DriverError(
                        f"job {job}: attempt {attempt} has not ended, so attempt {order.attempt} "
                        "is not started."
                    )
            kept = Kept(order)
            self._files.write(key, kept)
            opened = self._open[key] = _Open(kept)
            self._give(opened, Start(order))

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        """Order a notice; said again once it was taken, since the job may not have been there."""
        with self._lock:
            opened = self._open.get((job, attempt))
            if opened is None or opened.kept is None or not opened.runs:
                return
            if opened.kept.stop_by_s != stop_by_s:
                opened.kept.stop_by_s = stop_by_s
                self._files.write((job, attempt), opened.kept)
            self._give(opened, Notice(job, attempt, stop_by_s))

    def stop(self, job: str, attempt: int) -> None:
        """Order a stop; said again once it was taken."""
        with self._lock:
            opened = self._open.get((job, attempt))
            if opened is None or opened.kept is None or not opened.runs:
                return
            if not opened.kept.is_stopped:
                opened.kept.is_stopped = True
                self._files.write((job, attempt), opened.kept)
            self._give(opened, Stop(job, attempt))

    def observe(self) -> list[Receipt]:
        """Return the ends not acknowledged yet; take back what a lost site was never told."""
        with self._lock:
            # What stood before us was ordered again between the first look and the second.
            self._looks += 1
            if self.is_out_of_reach():
                self._take_back()
            found = [self._open[key] for key in sorted(self._open)]
            return [
                opened.receipt
                for opened in found
                if opened.receipt is not None and not opened.is_acknowledged
            ]

    def acknowledge(self, job: str, attempt: int) -> None:
        """The ledger holds this end: the agent may forget it."""
        with self._lock:
            opened = self._open.get((job, attempt))
            if opened is None or opened.receipt is None or opened.is_acknowledged:
                return
            opened.is_acknowledged = True
            self._withdraw(opened)
            self._give(opened, Forget(job, attempt))
            self._files.acknowledge((job, attempt))

    def clean(self, job: str, attempt: int) -> dict[str, Any]:
        """Return what the agent found when it cleaned up.

        Raises:
            DriverError: if the attempt has not ended.
        """
        with self._lock:
            opened = self._open.get((job, attempt))
            if opened is None or opened.receipt is None:
                raise DriverError(f"job {job}: attempt {attempt} has not ended at {self.site}.")
            return {**opened.evidence, "job": job, "attempt": attempt, "site": self.site}

    def nodes(self) -> Sequence[NodeReport]:
        """Return what the agent last said of its nodes."""
        with self._lock:
            return self._nodes

    def knows(self, job: str, attempt: int) -> bool:
        """Tell whether this site was told to run an attempt; what else it speaks of is not its."""
        with self._lock:
            opened = self._open.get((job, attempt))
            return opened is not None and opened.kept is not None

    def runs(self, job: str, attempt: int) -> bool:
        """Tell whether this site was told to run an attempt, and its end is still to come."""
        with self._lock:
            opened = self._open.get((job, attempt))
            return opened is not None and opened.kept is not None and opened.runs

    def wants(self, workdir: str) -> bool:
        """Tell whether an order that stands names this work folder."""
        with self._lock:
            kept = [opened.kept for opened in self._open.values()]
            return any(one is not None and one.order.recipe.workdir == workdir for one in kept)

    def is_out_of_reach(self) -> bool:
        return self._now_s() - self.heard_at_s > self._reach_s

    # --- for the agent -----------------------------------------------------------------------

    def meet_agent(self) -> None:
        """Another agent speaks for the site: it knows nothing of what the one before was told."""
        with self._lock:
            self._last, self._kept, self._measured = (0, 0), 0, (0, 0)

    def exchange(self, push: Push) -> Answer | PushRefusal:
        """Take what the agent says, answer with what it is to do."""
        with self._lock:
            if self._looks < 2:
                return PushRefusal.NOT_LEADING
            if push.generation != self._generation:
                self.heard_at_s = self._now_s()
                return self._answer(push)
            if (push.run, push.count) <= self._last:
                return PushRefusal.STALE
            self._last = (push.run, push.count)
            self.heard_at_s = self._now_s()
            # Nodes first: one that is closed because of an end is closed before the end is told.
            if push.nodes is not None:
                self._nodes = tuple(one for one in push.nodes if is_sound(one))
            for refused in push.refused:
                self._take_refusal(refused)
            for ended in push.reports:
                self._take_end(ended)
            held = [
                Held(one.job, one.attempt, one.stream, self._keep_printed(one))
                for one in push.printed
            ]
            for reading in push.readings:
                if (push.run, reading.number) > self._measured:
                    self._measured = (push.run, reading.number)
                    self._hear(self.site, reading)
            self._drop_forgotten(push.taken)
            return self._answer(push, list(self._after(push.taken)), held)

    # --- inside ------------------------------------------------------------------------------

    def _answer(
        self, push: Push, orders: Sequence[NumberedOrder] = (), held: Sequence[Held] = ()
    ) -> Answer:
        return Answer(
            generation=self._generation,
            run=push.run,
            count=push.count,
            kept=self._kept if push.generation == self._generation else 0,
            orders=list(orders),
            held=list(held),
            measured=self._measured[1] if self._measured[0] == push.run else 0,
        )

    def _take_up(self, key: Key, kept: Kept, *, is_acknowledged: bool) -> None:
        """Give the orders of an attempt that stood before us anew."""
        # Whether it was sent nobody wrote down.
        opened = self._open[key] = _Open(kept, is_sent=True, is_acknowledged=is_acknowledged)
        if is_acknowledged:
            self._give(opened, Forget(*key))
            return
        if kept.taken_back_s >= 0:
            _taken_back(opened, key, kept.taken_back_s)
            return
        self._give(opened, Start(kept.order))
        if kept.stop_by_s >= 0:
            self._give(opened, Notice(*key, kept.stop_by_s))
        if kept.is_stopped:
            self._give(opened, Stop(*key))

    def _give(self, opened: _Open, order: Order) -> None:
        """Put an order last in the line; an older one of its kind is worth nothing any more."""
        if before := opened.numbers.get(type(order), 0):
            self._orders.pop(before, None)
        self._number += 1
        opened.numbers[type(order)] = self._number
        self._orders[self._number] = order

    def _withdraw(self, opened: _Open) -> None:
        for number in opened.numbers.values():
            self._orders.pop(number, None)
        opened.numbers.clear()

    def _after(self, taken: int) -> Iterator[NumberedOrder]:
        size = 0
        for number, order in self._orders.items():
            if number <= taken:
                continue
            if size > ANSWER_BYTES_WANTED:
                return
            size += 256
            if isinstance(order, Start):
                self._open[order.order.job, order.order.attempt].is_sent = True
                size += len(order.order.recipe.script) + len(order.order.recipe.setup)
            yield NumberedOrder(number, order)

    def _take_end(self, ended: Ended) -> None:
        if ended.number <= self._kept:
            return
        self._kept = ended.number
        key = (ended.receipt.job, ended.receipt.attempt)
        opened = self._open.get(key)
        if opened is None:
            self._set_aside(key)
        elif opened.runs:
            opened.receipt = sound(ended.receipt, self._now_s())
            opened.evidence = {"is_clean": False, **ended.evidence}
            self._withdraw(opened)

    def _set_aside(self, key: Key) -> None:
        """Have the agent forget an end of which the ledger wants to know nothing."""
        try:
            self._files.path(key)
        except (DureError, AssertionError) as wrong:
            log.error("%s: an end of %r is set aside: %s", self.site, key, wrong)
            return
        log.warning("%s: nobody waits for the end of job %s, attempt %d", self.site, *key)
        opened = self._open[key] = _Open(None, is_sent=True, is_acknowledged=True)
        self._give(opened, Forget(*key))

    def _keep_printed(self, piece: Printed) -> int:
        """Mirror output of what this site was told to run, of nothing else."""
        if not self.knows(piece.job, piece.attempt):
            return MIRROR_BYTES_MAX
        return keep_printed(self._root, piece)

    def _take_refusal(self, refused: NotStarted) -> None:
        key = (refused.job, refused.attempt)
        opened = self._open.get(key)
        if opened is None or opened.numbers.get(Start) != refused.number:
            return
        self._not_started[key] = refused.reason
        self._remove(key)

    def _drop_forgotten(self, taken: int) -> None:
        over = [
            key
            for key, opened in self._open.items()
            if opened.is_acknowledged and opened.numbers.get(Forget, taken + 1) <= taken
        ]
        for key in over:
            self._remove(key)

    def _take_back(self) -> None:
        """Nobody has heard of these orders, so nothing can have come of them."""
        for key, opened in self._open.items():
            if opened.kept is not None and opened.runs and not opened.is_sent:
                log.warning("%s is out of reach: job %s, attempt %d taken back", self.site, *key)
                opened.kept.taken_back_s = self._now_s()
                _taken_back(opened, key, opened.kept.taken_back_s)
                self._withdraw(opened)
                self._files.write(key, opened.kept)

    def _remove(self, key: Key) -> None:
        self._withdraw(self._open.pop(key))
        self._files.remove(key)


def _taken_back(opened: _Open, key: Key, at_s: int) -> None:
    opened.receipt = Receipt("stopped", *key, at_s, reason=SITE_OUT_OF_REACH, began_at_s=at_s)
    opened.evidence = {"at_s": at_s, "is_clean": True, "is_sent": False}
