"""The last steps of a restore, which go on after any interruption; and how a ledger learns of one.

Everything is unpacked and verified in ``DIR/.restore`` first. Then a file named ``ready`` says that
all that is left is renaming, which the next restore finishes. Until it is gone no ledger opens.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import apsw

from dure.core.errors import LedgerError
from dure.ledger.anchor import anchor_path, sync_directory, unsealed
from dure.ledger.database import is_at_rest, wal_path

STAGE = ".restore"
READY = "ready"


def require_no_restore(ledger: Path) -> None:
    """Raise LedgerError if a restore over this ledger was cut short."""
    for data in (ledger.parent, ledger.parent.parent):
        if (data / STAGE / READY).exists():
            raise LedgerError(
                f"{ledger}: a restore into {data} was cut short. Run `dure restore` again; "
                "it finishes it first."
            )


def finish_restore(data: Path, place_others: Callable[[], None]) -> None:
    """Rename what is staged into its place, if a restore got that far. Repeating is harmless.

    Args:
        place_others: does the same for what lies beside the ledgers; they come last.
    """
    stage = data / STAGE
    ready = stage / READY
    if not ready.exists():
        return
    names = unsealed(ready.read_bytes(), str(ready))["ledgers"]
    assert isinstance(names, list)
    place_others()
    for name in names:
        staged, target = stage / name, data / name
        target.parent.mkdir(exist_ok=True)
        # While the staged file is there, what stands in the target's place is the old one.
        if staged.exists():
            _set_aside(target)
            staged.replace(target)
        if anchor_path(staged).exists():
            anchor_path(staged).replace(anchor_path(target))
        sync_directory(target.parent)
    sync_directory(data)
    ready.unlink()
    sync_directory(stage)
    shutil.rmtree(stage)


def _set_aside(ledger: Path) -> None:
    """Move a ledger to ``ledger.db.replaced``, with what belongs to it; the ledger itself last."""
    aside = _aside(ledger)
    for old, new in (
        (anchor_path(ledger), anchor_path(aside)),
        (wal_path(ledger), wal_path(aside)),
        (ledger, aside),
    ):
        if old.exists():
            old.replace(new)
    ledger.with_name(ledger.name + "-shm").unlink(missing_ok=True)


def forget_set_aside(ledger: Path) -> None:
    """Remove what an earlier restore set aside, so that two ledgers never mix there."""
    aside = _aside(ledger)
    for path in (aside, wal_path(aside), anchor_path(aside)):
        path.unlink(missing_ok=True)


def _aside(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + ".replaced")


def require_idle(ledger: Path) -> None:
    """Raise LedgerError if any program has this ledger open. A damaged or missing one is idle."""
    if not ledger.exists() or is_at_rest(ledger):
        return
    try:
        connection = apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            # What a crash left must still be there if this restore comes to nothing.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("locking_mode", "exclusive")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except (apsw.BusyError, apsw.LockedError) as wrong:
        raise LedgerError(f"{ledger}: is in use; stop its service before restoring.") from wrong
    except apsw.Error:
        pass
