"""A small ledger with everything in it, for tests that damage one."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import apsw

from dure.core.ledger_record import KIND_CYCLE, KIND_EVENTS, Entry
from dure.ledger.anchor import anchor_path
from dure.ledger.chain import Row, link
from dure.ledger.database import stored
from dure.ledger.sqlite import SqliteLedger

DECODERS = {KIND_CYCLE: bytes.decode, KIND_EVENTS: bytes}


def entries(count: int, *, salt: str = "") -> list[Entry]:
    """Return short, long, compressible and other entries, the same ones every time."""
    noise = b"".join(sha256(f"{salt}{number}".encode()).digest() for number in range(60))
    payloads = (b"", b"\x01[]", b"gang " * 300, noise, salt.encode())
    return [
        Entry(KIND_EVENTS, 60 * number, payloads[number % len(payloads)]) for number in range(count)
    ]


def make_ledger(path: Path, count: int = 12, *, salt: str = "") -> Path:
    """Write a ledger with two projections and close it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(SqliteLedger(path, durable=False)) as ledger:
        for number, entry in enumerate(entries(count, salt=salt)):
            ledger.append([entry], expect=number)
        ledger.put_projection("pool", 1, count, b"state" * 100)
        ledger.put_projection("views", 3, count // 2, b"")
    return path


def copy_ledger(source: Path, target: Path) -> Path:
    """Copy a closed ledger with its anchor."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    shutil.copyfile(anchor_path(source), anchor_path(target))
    return target


def tamper(path: Path, *statements: str, values: Sequence[object] = ()) -> None:
    """Change a ledger by SQL, as someone with the file and a little knowledge would."""
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement, values or None)
    connection.close()


def rewrite(path: Path, kept: Sequence[Entry]) -> None:
    """Forge a whole chain, with hashes that are right."""
    rows: list[Row] = link(bytes(32), 0, kept)
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM record")
    connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", map(stored, rows))
    connection.close()
