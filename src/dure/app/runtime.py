"""The concrete ledgers of a pool: in memory, grouped for the twin, durable for life."""

from pathlib import Path

from dure.ledger.memory import MemoryLedger
from dure.ledger.sqlite import SqliteLedger, discard
from dure.services.ports import Ledger

TWIN_GROUP = 1024


def twin_ledger(path: Path | None) -> Ledger:
    """Return a new ledger for a run of the twin: in memory, or a file that replaces an old one."""
    if path is None:
        return MemoryLedger()
    discard(path)
    return SqliteLedger(path, durable=False, group=TWIN_GROUP)


def recorded_ledger(path: Path) -> Ledger:
    """Open an existing ledger to read it."""
    return SqliteLedger(path, read_only=True)


def grouped_ledger(path: Path) -> Ledger:
    """Open a ledger, or make it, for work that may be done again after a power cut."""
    return SqliteLedger(path, durable=False, group=TWIN_GROUP)


def lasting_ledger(path: Path) -> Ledger:
    """Open a ledger, or make it, for life: what it acknowledged stays."""
    return SqliteLedger(path)
