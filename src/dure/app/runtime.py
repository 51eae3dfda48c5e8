"""The concrete ledgers of the twin: in memory, in a file of its own, or one that was recorded."""

from pathlib import Path

from dure.app.ledgers import TWIN_GROUP
from dure.ledger.memory import MemoryLedger
from dure.ledger.sqlite import SqliteLedger, discard
from dure.services.ports import Ledger


def twin_ledger(path: Path | None) -> Ledger:
    """Return a new ledger for a run of the twin: in memory, or a file that replaces an old one."""
    if path is None:
        return MemoryLedger()
    discard(path)
    return SqliteLedger(path, durable=False, group=TWIN_GROUP)


def recorded_ledger(path: Path) -> Ledger:
    """Open an existing ledger to read it."""
    return SqliteLedger(path, read_only=True)
