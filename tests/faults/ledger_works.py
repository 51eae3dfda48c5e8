"""What children do with a ledger while faults befall them; each acknowledged record is told."""

import os
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from dure.core.errors import LedgerError
from dure.core.ledger_record import KIND_EVENTS, Entry
from dure.ledger.sqlite import SqliteLedger
from dure.services.ports import Ledger
from tests.faults.disk import FULL, KILL, Disk
from tests.faults.victim import Tell

RECORDS = 14


def payload(seq: int) -> bytes:
    """Return what record ``seq`` holds; now and then a long one, spread over many pages."""
    return b"\x01%d/" % seq * (3_000 if seq % 5 == 0 else 3)


def entry(seq: int) -> Entry:
    return Entry(KIND_EVENTS, seq, payload(seq))


def fill(ledger: Ledger, tell: Tell, upto: int) -> None:
    """Append up to a record: one, or some in one transaction; keep a projection now and then."""
    seq = ledger.head()[0]
    while seq < upto:
        some = 3 if seq % 4 == 0 else 1
        seq = ledger.append([entry(seq + 1 + n) for n in range(some)], expect=seq)
        tell(seq)
        if seq % 3 == 0:
            ledger.put_projection("pool", 1, seq, payload(seq) * 5)


def write_file(path: Path, tell: Tell, what: str = KILL, at: int = 0, upto: int = RECORDS) -> None:
    """Open, fill, anchor, go on and close; begin anew after what can be refused."""
    disk = Disk(what, at)
    for _ in range(4):
        with suppress(LedgerError), closing(SqliteLedger(path)) as ledger:
            fill(ledger, tell, upto // 2)
            ledger.anchor()
            fill(ledger, tell, upto)
    if not at:
        tell(disk.count)
    if what == FULL:
        disk.at = 0
        with closing(SqliteLedger(path)) as ledger:
            fill(ledger, tell, upto)


def write_and_stay(path: Path, tell: Tell, upto: int) -> None:
    """Fill a ledger and die without closing it: what it wrote last is in the WAL."""
    fill(SqliteLedger(path), tell, upto)
    os.kill(os.getpid(), signal.SIGKILL)


def write_limited(path: Path, tell: Tell, largest: int, upto: int = RECORDS) -> None:
    """Do as ``write_file`` while no file may grow beyond a size; then without a limit."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    _try_to_fill(path, tell, upto)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with closing(SqliteLedger(path)) as ledger:
        fill(ledger, tell, upto)


def _try_to_fill(path: Path, tell: Tell, upto: int) -> None:
    for _ in range(3):
        ledger: SqliteLedger | None = None
        try:
            ledger = SqliteLedger(path)
            fill(ledger, tell, upto)
        except LedgerError:
            pass
        finally:
            if ledger is not None:
                with suppress(LedgerError):
                    ledger.close()


def write_database(path: Path, tell: Tell, url: str, die_after_us: int) -> None:
    """Append to a database until a timer kills us, wherever that finds us."""
    from dure.ledger.postgres import PostgresLedger
    from dure.ledger.postgres_link import Address

    ledger = PostgresLedger(Address(url), path.name)
    signal.setitimer(signal.ITIMER_REAL, die_after_us / 1e6)
    signal.signal(signal.SIGALRM, _die)
    fill(ledger, tell, 100_000)


_die: Callable[[int, object], None] = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
