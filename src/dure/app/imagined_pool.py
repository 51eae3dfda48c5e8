"""The pool ``founding``: an imagined nation that the twin brings, gone on with at its speed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dure.app.engine import Engine, SteppedTime
from dure.app.leading import Following, turns_of
from dure.app.ledgers import Ledgers
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

if TYPE_CHECKING:
    from dure.ledger.lease import Lease

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

    def follow(self) -> int:
        """Have the clock stand where the pool stands, however it got there; return the moment."""
        ...

    def stand_at_head(self) -> int:
        """Do as ``follow``, with the imagined machines too, to go on from there."""
        ...


class Begin(Protocol):
    """Opens a scenario and runs it to its end, or takes up the one that is there."""

    def __call__(
        self, ledgers: Ledgers, *, lease: "Lease | None", followers: Mapping[str, Publisher]
    ) -> Scenario: ...

    def is_begun(self, ledger: Ledger) -> bool:
        """Tell whether the scenario has run to its end in this ledger."""
        ...


@dataclass(frozen=True, slots=True)
class ImaginedPool:
    """The pool ``founding``, assembled; its engine is not started yet."""

    desk: PoolDesk
    engine: Engine
    programme: ProgrammeDesk
    scenario: Scenario


def assemble_founding(
    settings: Settings, begin: Begin, ledgers: Ledgers, lease: "Lease | None" = None
) -> ImaginedPool:
    """Put the imagined pool together; it goes on from its last record, at ``settings.speed``.

    Args:
        lease: to lead the pool, where several engines may.
    """
    names: dict[str, Name] = {}
    title = Title(FOUNDING, TITLE, imagined=True, speed=settings.speed, names=names)
    publisher = Publisher(title, Demand())
    scenario = begin(ledgers, lease=lease, followers={"views": publisher})
    names |= scenario.names
    publisher.publish(scenario.runtime.state, scenario.runtime.state.now_s)

    def lead() -> SteppedTime:
        at_s = scenario.stand_at_head()
        return SteppedTime(
            scenario,
            publisher,
            ScaledClock(at_s, speed=settings.speed),
            scenario.book.lock,
            step_s=int(STEP_S * settings.speed),
            poll_s=settings.poll_s,
        )

    turns = turns_of(
        FOUNDING,
        Following(
            scenario.runtime,
            publisher,
            scenario.follow,
            scenario.book.lock,
            poll_s=settings.poll_s,
        ),
        lead if settings.plans else None,
        lease,
    )
    use = PoolUse(publisher)
    programme = ProgrammeScreen(
        scenario.programme,
        use=use,
        providers=scenario.names,
        published=scenario.published,
    )
    return ImaginedPool(WatchedPool(publisher), Engine(FOUNDING, turns), programme, scenario)
