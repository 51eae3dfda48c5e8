"""Who plans: an engine that leads takes its turns, one that stands by follows the ledger."""

import logging
import time
from collections.abc import Callable
from threading import RLock
from typing import Protocol

from dure.app.engine import Pace, Turns
from dure.core.errors import LedgerError, StaleWriterError
from dure.services.pools import PoolRuntime
from dure.services.publishing import Publisher

log = logging.getLogger("dure.engine")

WAIT_S = 1.0


class Claim(Protocol):
    """A claim to lead one pool (``dure.ledger.lease``)."""

    def take(self) -> bool: ...

    def is_held(self) -> bool: ...

    def generation(self) -> int: ...


class Following:
    """The turns of a pool whose engine is elsewhere: read what it wrote, show it.

    Args:
        lock: of the pool's book, so that people's writes and our reading take turns.
        now_s: the pool's clock; told nothing, so it may stand still until records come.
    """

    def __init__(
        self,
        runtime: PoolRuntime,
        publisher: Publisher,
        now_s: Callable[[], int],
        lock: RLock,
        *,
        poll_s: float,
    ) -> None:
        self._runtime, self._publisher, self._now_s = runtime, publisher, now_s
        self._lock, self._poll_s = lock, poll_s
        self._pace, self._shown = Pace(), -1

    def turn(self) -> float:
        with self._lock:
            self._runtime.catch_up()
            changed = self._runtime.seen != self._shown
            if self._pace.is_due(changed=changed):
                self._pace.publish(self._publisher, self._runtime.state, self._now_s())
                self._shown = self._runtime.seen
        return self._poll_s

    def failed(self, wrong: Exception, count: int) -> None:
        with self._lock:
            self._runtime.refold()


class Led:
    """Takes the turns of a leader while the claim holds, and those of a follower else.

    Args:
        follow: what is done while another leads.
        lead: makes the turns of a leader, after the last record of the one before was read.
    """

    def __init__(self, name: str, claim: Claim, follow: Turns, lead: Callable[[], Turns]) -> None:
        self._name, self._claim, self._follow, self._lead = name, claim, follow, lead
        self._leading: Turns | None = None
        self._look_at_s = 0.0

    def turn(self) -> float:
        if self._leading is None and not self._takes_over():
            return min(self._follow.turn(), WAIT_S)
        if self._leading is None:
            # Nobody writes any more but us: what is there now is all that there is.
            self._follow.turn()
            self._leading = self._lead()
            log.warning("pool %s: this engine leads", self._name)
        if not self._claim.is_held():
            self._step_back()
            return 0.0
        return self._leading.turn()

    def _takes_over(self) -> bool:
        if time.monotonic() < self._look_at_s:
            return False
        self._look_at_s = time.monotonic() + WAIT_S
        return self._claim.take()

    def _step_back(self) -> None:
        """Follow from now on; what was decided and not written is forgotten."""
        log.warning("pool %s: this engine does not lead any more", self._name)
        self._leading = None
        self._follow.failed(LedgerError("another engine leads"), 1)

    def failed(self, wrong: Exception, count: int) -> None:
        if self._leading is None:
            self._follow.failed(wrong, count)
        elif isinstance(wrong, StaleWriterError) or not self._claim.is_held():
            self._step_back()
        else:
            self._leading.failed(wrong, count)


def turns_of(
    name: str, follow: Turns, lead: Callable[[], Turns] | None, claim: Claim | None
) -> Turns:
    """Return the turns of an engine: a leader's, where only one can be; else as the claim says.

    Args:
        lead: None for one who only follows.
        claim: None where no other engine can lead.
    """
    if lead is None:
        return follow
    return lead() if claim is None else Led(name, claim, follow, lead)


def await_begun(name: str, is_begun: Callable[[], bool], claim: Claim | None) -> None:
    """Wait until a pool is there to be followed, or is ours to begin.

    Args:
        claim: None for one who only follows.
    """
    is_told = False
    while not (claim is not None and claim.take()) and not is_begun():
        if not is_told:
            log.warning("pool %s: waiting for its engine to begin it", name)
            is_told = True
        time.sleep(WAIT_S)
