"""Faults of ledgers: kills at every operation of the disk, torn files, full disks."""

import random
import shutil
from contextlib import closing
from functools import cache
from pathlib import Path

from dure.core.errors import LedgerError
from dure.ledger.anchor import anchor_path
from dure.ledger.backup import back_up, restore
from dure.ledger.database import wal_path
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify import verify
from dure.services.ports import Ledger
from tests.faults.disk import FAIL, FULL, KILL
from tests.faults.ledger_works import RECORDS, entry, payload
from tests.faults.plan import Fault
from tests.faults.victim import victim

WORKS = "tests.faults.ledger_works"
DECODERS = {2: bytes}
SIGKILL = 9


@cache
def operations(place: Path) -> int:
    """Return how often the whole work touches the disk: each time is a point to die at."""
    status, told = victim(WORKS).work("write_file", place / "counted.db", what=KILL, at=0)
    assert status == 0 and told[-1] > 100, (status, told)
    return told[-1]


def look(ledger: Ledger, acknowledged: int) -> None:
    """See that what was acknowledged is there, that all is what was written, and go on."""
    head = ledger.head()[0]
    assert head >= acknowledged, f"record {acknowledged} was acknowledged; {head} is the last"
    kept = [record.payload for record in ledger.read()]
    assert kept == [payload(seq) for seq in range(1, head + 1)]
    found = ledger.get_projection("pool", 1)
    assert found is None or (found[0] <= head and found[1] == payload(found[0]) * 5)
    assert ledger.append([entry(head + 1)], expect=head) == head + 1


def look_at_file(path: Path, acknowledged: int) -> None:
    if path.exists():
        assert verify(path, decoders=DECODERS) == []
    with closing(SqliteLedger(path)) as ledger:
        look(ledger, acknowledged)
    assert verify(path, decoders=DECODERS) == []


def kill(place: Path, chance: random.Random) -> None:
    path = place / "ledger.db"
    at = chance.randint(1, operations(place.parent))
    status, told = victim(WORKS).work("write_file", path, what=KILL, at=at)
    assert status == -SIGKILL
    look_at_file(path, max(told, default=0))


def fill_up(place: Path, chance: random.Random) -> None:
    path = place / "ledger.db"
    at = chance.randint(1, operations(place.parent))
    status, told = victim(WORKS).work("write_file", path, what=FULL, at=at)
    assert status == 0
    look_at_file(path, max(told))
    assert max(told) >= RECORDS


def fail(place: Path, chance: random.Random) -> None:
    path = place / "ledger.db"
    at = chance.randint(1, operations(place.parent))
    status, told = victim(WORKS).work("write_file", path, what=FAIL, at=at)
    assert status == 0
    look_at_file(path, max(told))


def limit(place: Path, chance: random.Random) -> None:
    path = place / "ledger.db"
    status, told = victim(WORKS).work("write_limited", path, largest=chance.randint(0, 150_000))
    assert status == 0
    look_at_file(path, max(told))
    assert max(told) >= RECORDS


def tear(place: Path, chance: random.Random) -> None:
    """Cut a file somewhere: what is left is a beginning of the truth, or is refused in words."""
    path = place / "ledger.db"
    victim(WORKS).work("write_and_stay", path, upto=chance.randint(1, 40))
    torn = chance.choice([path, wal_path(path), wal_path(path), anchor_path(path)])
    size = torn.stat().st_size
    if size:
        with torn.open("r+b") as file:
            file.truncate(max(0, size - chance.choice([1, 100, 4096, chance.randint(1, size)])))
    flaws = verify(path, decoders=DECODERS)
    try:
        with closing(SqliteLedger(path)) as ledger:
            kept = [record.payload for record in ledger.read()]
    except LedgerError:
        # A log that was cut is like one that was never written; anything else is noticed.
        assert flaws or torn != wal_path(path)
        return
    assert kept == [payload(seq) for seq in range(1, len(kept) + 1)]


def cut_backup(place: Path, chance: random.Random) -> None:
    """Damage a backup: it is restored whole, or nothing is changed."""
    path = place / "data" / "here" / "ledger.db"
    path.parent.mkdir(parents=True)
    victim(WORKS).work("write_and_stay", path, upto=12)
    back_up(place / "data", place / "kept.zip")
    content = bytearray((place / "kept.zip").read_bytes())
    if chance.random() < 0.5:
        del content[chance.randrange(len(content)) :]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    (place / "kept.zip").write_bytes(bytes(content))
    shutil.rmtree(place / "data")
    try:
        restore(place / "kept.zip", place / "data")
    except LedgerError:
        assert not path.exists()
    else:
        look_at_file(path, 12)


FAULTS = (
    Fault("SQLite: kill -9 at an operation of the disk", kill, often=2_000, seldom=150),
    Fault("SQLite: the disk is full for a while", fill_up, often=500, seldom=60),
    Fault("SQLite: one operation of the disk fails", fail, often=500, seldom=60),
    Fault("SQLite: no file may grow beyond a size", limit, often=200, seldom=20),
    Fault("SQLite: a torn file", tear, often=500, seldom=60),
    Fault("backup: cut or with a flipped bit", cut_backup, often=200, seldom=15),
)
