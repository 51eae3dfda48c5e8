"""The founding scenario for tests: whole days with invariants, or a quiet quarter in seconds."""

from collections.abc import Sequence

from dure.core.calendar import DAY_S
from dure.core.ledger_record import Entry, Record
from dure.ledger.memory import MemoryLedger
from dure.services.ports import Ledger
from dure.twin.founding_pool import NATIONAL_POOL, OPERATION_S, Founding
from dure.twin.founding_world import World
from dure.twin.tables import read_pool

# Of the usual demand: a quarter has a few thousand jobs, nearly everybody under-uses.
QUIET_LOAD = 0.04


def quiet_world(seed: int) -> World:
    """Return the national pool with next to no work, and faults all the same."""
    return World(read_pool(NATIONAL_POOL), seed, OPERATION_S, load=QUIET_LOAD)


def after_days(days: float) -> int:
    """Return a moment of the operation."""
    return OPERATION_S + int(days * DAY_S)


def played(days: float, *, seed: int = 1, ledger: Ledger | None = None) -> Founding:
    """Play so many days of the quiet world."""
    founding = Founding(ledger or MemoryLedger(), seed=seed, world=quiet_world)
    founding.run_to(after_days(days))
    return founding


def first_records(ledger: Ledger, upto: int) -> MemoryLedger:
    """Return a ledger that was cut off after a record: what a killed process leaves."""
    cut = MemoryLedger()
    cut.append(entries(list(ledger.read(0, upto))), expect=0)
    return cut


def entries(records: Sequence[Record]) -> list[Entry]:
    return [Entry(one.kind, one.at_s, one.payload) for one in records]
