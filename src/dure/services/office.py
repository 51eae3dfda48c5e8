"""What all use cases of the programme share: the book, the clock, the tables, whose thing it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dure.core.calls.pullback import recall_policy_of
from dure.core.events import Event
from dure.core.recall import RecallPolicy
from dure.core.sizing import Sizing
from dure.services.access import Actor, require
from dure.services.book import Book
from dure.services.correspondence import Correspondence
from dure.services.paper_tables import PaperTables
from dure.services.ports import Clock
from dure.services.programme_states import ApplicationState
from dure.services.programme_tables import ProgrammeTables
from dure.services.supply_tables import SupplyTables


class Office:
    """The programme's desk in one pool.

    Args:
        book: the pool's book; nothing may have been read from it yet.
        clock: the pool's clock.
        recall_policy: how use is checked.
        sizing: what right-sizing assumes.
    """

    def __init__(
        self,
        book: Book,
        clock: Clock,
        *,
        recall_policy: RecallPolicy | None = None,
        sizing: Sizing | None = None,
    ) -> None:
        self.book, self.clock = book, clock
        self.recall_policy = recall_policy or RecallPolicy()
        self.sizing = sizing or Sizing()
        self.tables = ProgrammeTables()
        self.papers = PaperTables()
        self.supply = SupplyTables()
        self.letters = Correspondence(self.tables, self.supply)
        for view in (self.tables, self.papers, self.supply, self.letters):
            book.attach(view)

    @contextmanager
    def _reading(self) -> Iterator[ProgrammeTables]:
        """Hold the book still from the read to the write: nothing decided on is stale."""
        with self.book.lock:
            self.book.catch_up()
            yield self.tables

    def _write(self, events: Sequence[Event]) -> None:
        """Write events, and the letters that they call for, in one transaction."""
        self.book.append([*events, *self.letters.letters_for(events)])

    def policy_of(self, call: str) -> RecallPolicy:
        """Return how a call has use checked now; of an allocation without one, the usual way."""
        terms = self.tables.calls.get(call)
        if terms is None:
            return self.recall_policy
        return recall_policy_of(terms, self.recall_policy, at_s=self.clock.now_s())

    def _require_team(self, actor: Actor, action: str, application: ApplicationState) -> None:
        """Let the lead, the project's people and the office through."""
        submitted = application.submitted
        owner = submitted.project if actor.owns(submitted.project) else submitted.lead
        require(actor, action, owner=owner)
