"""The pool ``founding``: an imagined nation that the twin brings, gone on with at its speed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dure.app.engine import Engine, SteppedTime
from dure.app.settings import FOUNDING, Settings
from dure.drivers.clock import ScaledClock
from dure.services.asked import Demand
from dure.services.book import Book
from dure.services.desks import PoolDesk, ProgrammeDesk
from dure.services.pool_desk import WatchedPool
from dure.services.pools import PoolRuntime
from dure.services.ports import Ledger
from dure.services.programme import Programme
from dure.services.programme_screen import ProgrammeScreen
from dure.services.publishing import Publisher, Title
from dure.services.use_source import PoolUse
from dure.services.views import Name

# An imagined pool is brought forward in pieces of this much real time.
STEP_S = 0.02
TITLE = Name("창립 시나리오 (모의)", "Founding scenario (simulated)")


class Scenario(Protocol):
    """An imagined nation that has run to where the platform takes it over.

    Attributes:
        runtime: its pool; the followers know every record of it.
        ledger: its ledger, for closing it.
        book: the same ledger as people write to it.
        programme: its calls, applications, projects, over that book.
        names: providers and clusters as people call them.
        published: by call, figures of reality to set beside the result.
    """

    ledger: Ledger
    programme: Programme

    @property
    def runtime(self) -> PoolRuntime: ...

    @property
    def book(self) -> Book: ...

    @property
    def names(self) -> Mapping[str, Name]: ...

    @property
    def published(self) -> Mapping[str, Mapping[str, Any]]: ...

    def keep(self) -> None:
        """Write down where everything stands, so that the next start is quick."""
        ...

    def run_to(self, until_s: int) -> None:
        """Run every cycle up to ``until_s``, a moment of its own clock."""
        ...


class Begin(Protocol):
    """Opens a scenario in a folder and runs it to its end, or takes up the one that is there."""

    def __call__(self, folder: Path, *, followers: Mapping[str, Publisher]) -> Scenario: ...


@dataclass(frozen=True, slots=True)
class ImaginedPool:
    """The pool ``founding``, assembled; its engine is not started yet."""

    desk: PoolDesk
    engine: Engine
    programme: ProgrammeDesk
    scenario: Scenario


def assemble_founding(settings: Settings, begin: Begin, *, poll_s: float) -> ImaginedPool:
    """Put the imagined pool together; it goes on from its last record, at ``settings.speed``."""
    names: dict[str, Name] = {}
    title = Title(FOUNDING, TITLE, imagined=True, speed=settings.speed, names=names)
    publisher = Publisher(title, Demand())
    scenario = begin(settings.data / FOUNDING, followers={"views": publisher})
    names |= scenario.names
    state = scenario.runtime.state
    clock = ScaledClock(state.now_s, speed=settings.speed)
    publisher.publish(state, state.now_s)
    turns = SteppedTime(
        scenario,
        publisher,
        clock,
        scenario.book.lock,
        step_s=int(STEP_S * settings.speed),
        poll_s=poll_s,
    )
    use = PoolUse(publisher)
    programme = ProgrammeScreen(
        scenario.programme,
        use=use,
        providers=scenario.names,
        published=scenario.published,
    )
    return ImaginedPool(WatchedPool(publisher), Engine(FOUNDING, turns), programme, scenario)
