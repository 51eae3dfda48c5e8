"""Whatever happens to a ledger's bytes is found, and finding it never crashes."""

import random
import shutil
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import LedgerError
from dure.core.ledger_record import Entry
from dure.ledger import sqlite
from dure.ledger.anchor import Anchor, anchor_path, read_anchor, write_anchor
from dure.ledger.database import wal_path
from dure.ledger.examining import Flaw
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify import examine, verify
from tests.ledger.ledgers import DECODERS, copy_ledger, entries, make_ledger, rewrite, tamper

# A prime, so that every place in a page gets its turn.
FLIP_EVERY = 7


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ledger(tmp_path_factory.mktemp("whole") / "ledger.db")


@pytest.fixture
def ledger(whole: Path, tmp_path: Path) -> Path:
    return copy_ledger(whole, tmp_path / "pool" / "ledger.db")


def as_if_closed(path: Path) -> None:
    """Let the anchor describe the file as it now is, so that only the chain can tell."""
    content = path.read_bytes()
    old = read_anchor(anchor_path(path))
    assert old is not None
    new = Anchor(old.seq, old.hash, len(content), sha256(content).digest())
    write_anchor(anchor_path(path), new, durable=False)


def places(path: Path) -> list[str]:
    return [flaw.where for flaw in verify(path, decoders=DECODERS)]


def test_a_ledger_as_it_was_written_has_no_flaw(whole: Path) -> None:
    seen = examine(whole, decoders=DECODERS)

    assert seen.flaws == []
    assert (seen.seq, seen.at_s, seen.is_closed) == (12, 660, True)
    assert sorted(path.name for path in whole.parent.iterdir()) == [
        "ledger.anchor.json",
        "ledger.db",
    ]


def test_an_empty_ledger_has_no_flaw(tmp_path: Path) -> None:
    SqliteLedger(tmp_path / "ledger.db").close()

    assert verify(tmp_path / "ledger.db") == []


def test_every_flipped_byte_of_the_file_is_found(whole: Path, tmp_path: Path) -> None:
    ledger = copy_ledger(whole, tmp_path / "ledger.db")
    content = whole.read_bytes()
    chance = random.Random(4711)
    with ledger.open("r+b", buffering=0) as file:
        # All of the header, then every k-th byte.
        for place in (*range(100), *range(100, len(content), FLIP_EVERY)):
            file.seek(place)
            file.write(bytes([content[place] ^ chance.randint(1, 255)]))

            assert verify(ledger, decoders=DECODERS) != [], f"byte {place}"

            file.seek(place)
            file.write(content[place : place + 1])
    assert verify(ledger, decoders=DECODERS) == []


def test_every_flipped_byte_of_the_anchor_is_found(ledger: Path) -> None:
    anchor = anchor_path(ledger)
    content = anchor.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= (0x01, 0x20, 0x80)[place % 3]
        anchor.write_bytes(changed)

        assert verify(ledger, decoders=DECODERS) != [], f"byte {place}"


@given(data=st.data())
def test_random_damage_behind_a_forged_anchor_never_crashes(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    ledger = copy_ledger(whole, tmp_path_factory.mktemp("damaged") / "ledger.db")
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    ledger.write_bytes(content)

    found = verify(ledger, decoders=DECODERS)
    as_if_closed(ledger)
    found_behind = verify(ledger, decoders=DECODERS)

    # Damage may cancel itself out, and what only the file's hash sees is gone with it.
    assert bool(found) == (bytes(content) != whole.read_bytes())
    assert all(isinstance(flaw, Flaw) for flaw in (*found, *found_behind))


@pytest.mark.parametrize("kept", [0, 1, 99, 100, 512, 4_095, 4_096, 9_000, -1])
def test_a_truncated_file_is_found(ledger: Path, kept: int) -> None:
    content = ledger.read_bytes()
    ledger.write_bytes(content[:kept])

    assert places(ledger) != []


def test_a_longer_file_is_found(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes() + bytes(4_096))

    assert places(ledger) != []


def test_a_missing_file_is_found(ledger: Path) -> None:
    ledger.unlink()

    assert verify(ledger) == [Flaw(str(ledger), "no file", "a ledger")]


def test_a_missing_anchor_is_found(ledger: Path) -> None:
    anchor_path(ledger).unlink()

    assert places(ledger) == ["ledger.anchor.json"]


def test_a_ledger_in_the_place_of_another_is_found(ledger: Path, tmp_path: Path) -> None:
    other = make_ledger(tmp_path / "other" / "ledger.db", salt="other")
    ledger.write_bytes(other.read_bytes())

    assert places(ledger) == ["ledger.db", "record 12"]


def test_text_in_the_place_of_a_ledger_is_found(ledger: Path) -> None:
    ledger.write_text("not a database, but long enough to be read as one " * 40)

    assert "ledger.db" in places(ledger)


@pytest.mark.parametrize(
    ("statements", "where"),
    [
        (["UPDATE record SET payload = x'0141' WHERE seq = 5"], ["record 5"]),
        (["UPDATE record SET at_s = at_s + 1 WHERE seq = 5"], ["record 5"]),
        (["UPDATE record SET kind = 1 WHERE seq = 2"], ["record 2"]),
        (["UPDATE record SET kind = 9 WHERE seq = 5"], ["record 5", "record 5"]),
        (["UPDATE record SET kind = 300 WHERE seq = 5"], ["record 5"]),
        (["UPDATE record SET hash = zeroblob(32) WHERE seq = 5"], ["record 5", "record 6"]),
        (["UPDATE record SET inflated = 7 WHERE seq = 3"], ["record 3"]),
        (["UPDATE record SET inflated = 99 WHERE seq = 1"], ["record 1"]),
        (["DELETE FROM record WHERE seq = 5"], ["record 6", "record 6"]),
        (["DELETE FROM record WHERE seq = 12"], ["projection 'pool'", "record 12"]),
        (["DELETE FROM record WHERE seq > 9"], ["projection 'pool'", "record 12"]),
        (["INSERT INTO record SELECT 0, kind, at_s, 0, hash, x'' FROM record LIMIT 1"], None),
        (["INSERT INTO record SELECT 13, kind, at_s, 0, hash, x'' FROM record LIMIT 1"], None),
        (
            [
                "UPDATE record SET seq = 99 WHERE seq = 4",
                "UPDATE record SET seq = 4 WHERE seq = 5",
                "UPDATE record SET seq = 5 WHERE seq = 99",
            ],
            ["record 4", "record 5", "record 6"],
        ),
        (["UPDATE projection SET blob = x'00' WHERE name = 'pool'"], ["projection 'pool'"]),
        (["UPDATE projection SET seq = 5 WHERE name = 'views'"], ["projection 'views'"]),
        (["UPDATE projection SET seq = 50 WHERE name = 'views'"], ["projection 'views'"]),
        (["UPDATE projection SET name = 'x' WHERE name = 'views'"], ["projection 'x'"]),
        (["CREATE TABLE extra (a)"], ["ledger.db"]),
        (["PRAGMA user_version = 2"], ["ledger.db"]),
        (["DROP TABLE projection"], ["ledger.db"]),
    ],
)
def test_a_change_is_found_though_the_anchor_fits_the_file(
    ledger: Path, statements: list[str], where: list[str] | None
) -> None:
    tamper(ledger, *statements)
    as_if_closed(ledger)

    found = places(ledger)

    assert found == where if where is not None else found != []


def test_a_forged_chain_is_found_by_the_anchor(ledger: Path) -> None:
    rewrite(ledger, [Entry(2, 0, b"forged"), *entries(12)[1:]])
    as_if_closed(ledger)

    assert "record 12" in places(ledger)


def test_an_anchor_kept_elsewhere_finds_a_ledger_forged_with_its_anchor(
    ledger: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "kept.json"
    outside.write_bytes(anchor_path(ledger).read_bytes())
    forged = make_ledger(tmp_path / "forged" / "ledger.db", 15, salt="forged")

    assert examine(ledger, outside=outside).flaws == []
    assert examine(forged).flaws == []
    assert [flaw.where for flaw in examine(forged, outside=outside).flaws] == ["record 12"]


def test_records_appended_by_something_else_are_found(ledger: Path) -> None:
    rewrite(ledger, [*entries(12), Entry(2, 9_999, b"one more, with the right hash")])

    assert "ledger.db" in places(ledger)


def test_a_payload_that_cannot_be_read_is_found(ledger: Path) -> None:
    def decode(payload: bytes) -> object:
        if payload.startswith(b"gang"):
            raise LedgerError("no such codec")
        return None

    flaws = verify(ledger, decoders={2: decode})

    assert [flaw.where for flaw in flaws] == ["record 3", "record 8"]
    assert "no such codec" in flaws[0].found


def test_a_kind_that_nobody_knows_is_found(ledger: Path) -> None:
    assert len(verify(ledger, decoders={1: bytes})) == 12


def test_a_ledger_in_use_is_verified_and_left_as_it_is(ledger: Path) -> None:
    with closing(SqliteLedger(ledger)) as writer:
        writer.append(entries(3), expect=12)

        seen = examine(ledger, decoders=DECODERS)

        assert (seen.seq, seen.is_closed, seen.flaws) == (15, False, [])
        assert writer.append(entries(1), expect=15) == 16
    assert not wal_path(ledger).exists()
    assert verify(ledger) == []


def test_an_empty_wal_excuses_no_byte(ledger: Path) -> None:
    wal_path(ledger).touch()
    assert verify(ledger) == []

    content = bytearray(ledger.read_bytes())
    unused = content.index(bytes(64), 4_096)
    content[unused + 30] ^= 1
    ledger.write_bytes(content)

    assert places(ledger) == ["ledger.db"]


@pytest.mark.parametrize("anchors", [1, 2])
def test_a_close_cut_short_is_no_flaw(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, anchors: int
) -> None:
    writer = SqliteLedger(ledger)
    writer.put_projection("pool", 1, 12, b"new")
    wrote = []

    def write_until_dark(*arguments: Any, **more: Any) -> None:
        if len(wrote) == anchors:
            raise KeyboardInterrupt
        wrote.append(arguments)
        write_anchor(*arguments, **more)

    # What the disk would hold is copied away, because closing goes on when Python unwinds.
    def seal_and_copy(self: SqliteLedger, connection: apsw.Connection) -> None:
        with suppress(KeyboardInterrupt):
            seal(self, connection)
        shutil.copytree(ledger.parent, tmp_path / "dark")

    seal = SqliteLedger._seal
    monkeypatch.setattr(sqlite, "write_anchor", write_until_dark)
    monkeypatch.setattr(SqliteLedger, "_seal", seal_and_copy)
    writer.close()

    dark = tmp_path / "dark" / "ledger.db"
    assert wal_path(dark).exists()
    assert verify(dark) == []
    monkeypatch.undo()
    SqliteLedger(dark).close()
    assert verify(dark) == []
    assert examine(dark).is_closed


def test_progress_ends_with_all_records(ledger: Path) -> None:
    told: list[tuple[int, int]] = []

    verify(ledger, progress=lambda done, total: told.append((done, total)))

    assert told[-1] == (12, 12)
