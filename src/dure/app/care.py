"""Measuring a pool, assembled: its meter, the store, what follows from it, and the desk."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dure.app.engine import Engine
from dure.app.leading import WAIT_S
from dure.core.errors import InputError
from dure.core.health import Health, HealthPolicy
from dure.core.idle_held import IdleCases
from dure.core.measured import Sieve
from dure.drivers.prometheus_meter import PrometheusMeter
from dure.drivers.telemetry_files import TelemetryFiles
from dure.services.book import Book
from dure.services.care_desk import CareDesk
from dure.services.metering import Holders, Metering
from dure.services.ports import Clock, Meter
from dure.services.publishing import Publisher
from dure.services.watches import HealthWatch, IdleWatch

TELEMETRY = "telemetry"
BUILT_IN = "built-in"
# Without samples of our own, a Prometheus is asked for so much of the past.
FIRST_S = 300


@dataclass(frozen=True, slots=True)
class Cared:
    """What people and rules know of a pool's health; views of its book.

    They must be attached before anything is read from the book.
    """

    health: Health
    cases: IdleCases

    @classmethod
    def attached_to(cls, book: Book) -> "Cared":
        cared = cls(Health(), IdleCases())
        book.attach(cared.health)
        book.attach(cared.cases)
        return cared


@dataclass(frozen=True, slots=True)
class Care:
    """A pool's measuring; its engine is not started yet."""

    desk: CareDesk
    engine: Engine
    metering: Metering


def assemble_care(
    root: Path,
    meter_name: str,
    built_in: Meter,
    cared: Cared,
    book: Book,
    publisher: Publisher,
    clock: Clock,
    engine: Engine,
    *,
    may_decide: Callable[[], bool],
    sample_s: float,
) -> Care:
    """Put a pool's measuring together.

    Args:
        root: the pool's folder.
        meter_name: ``built-in``, or the address of a Prometheus.
        engine: the pool's own, to be woken.
        may_decide: whether this process leads the pool: only who leads measures and decides.

    Raises:
        InputError: if ``meter_name`` is neither.
    """
    view = publisher.view
    store = TelemetryFiles(root / TELEMETRY)
    nodes = view().nodes
    sieve = Sieve(dict(zip(nodes.ids, nodes.gpus.tolist(), strict=True)))
    since_s = max(store.newest_s(), clock.now_s() - FIRST_S)
    meter = meter_of(meter_name, built_in, since_s=since_s)
    policy = HealthPolicy()
    watches = (
        HealthWatch(book, cared.health, view, engine.wake, policy=policy),
        IdleWatch(book, cared.cases, store, view, engine.wake),
    )
    metering = Metering(
        meter,
        sieve,
        store,
        lambda: Holders(view()).of,
        clock,
        listeners=[watch.hear for watch in watches],
        every_s=sample_s,
    )
    desk = CareDesk(
        metering,
        book,
        cared.health,
        cared.cases,
        view,
        clock,
        engine.wake,
        publisher.used_at,
        policy=policy,
    )
    turns = WhileLeading(metering, may_decide)
    return Care(desk, Engine(f"{engine.name}-meter", turns), metering)


class WhileLeading:
    """Takes the turns of a meter while this process leads its pool, and rests else."""

    def __init__(self, metering: Metering, may_decide: Callable[[], bool]) -> None:
        self._metering, self._may_decide = metering, may_decide

    def turn(self) -> float:
        return self._metering.turn() if self._may_decide() else WAIT_S

    def failed(self, wrong: Exception, count: int) -> None:
        self._metering.failed(wrong, count)


def meter_of(name: str, built_in: Meter, *, since_s: int) -> Meter:
    """Return the meter of this name. Raises InputError if there is none."""
    return built_in if name == BUILT_IN else _prometheus(name, since_s)


def _prometheus(url: str, since_s: int) -> Meter:
    if not url.startswith(("http://", "https://")):
        raise InputError(
            "--meter", found=repr(url[:80]), expected=f"{BUILT_IN}, or a Prometheus' http address"
        )
    return PrometheusMeter(url, since_s=since_s, token=os.environ.get("DURE_METER_TOKEN", ""))
