"""A backup is verified twice, and a restore brings back all of it or nothing."""

import zipfile
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from dure.core.errors import LedgerError
from dure.ledger import backup, restoring
from dure.ledger.anchor import anchor_path
from dure.ledger.backup import back_up, find_ledgers, restore
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify import verify
from tests.ledger.ledgers import entries, make_ledger, tamper

NAMES = ["founding/ledger.db", "here/ledger.db"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_ledger(tmp_path / "data" / NAMES[0], 30, salt="founding")
    make_ledger(tmp_path / "data" / NAMES[1], 12, salt="here")
    return tmp_path / "data"


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Path:
    back_up(data, tmp_path / "kept.zip")
    return tmp_path / "kept.zip"


def contents(data: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()
    }


def heads(data: Path) -> dict[str, tuple[int, bytes]]:
    found = {}
    for path in find_ledgers(data):
        with closing(SqliteLedger(path, read_only=True)) as ledger:
            found[str(path.relative_to(data))] = ledger.head()
    return found


def test_what_was_backed_up_comes_back(data: Path, archive: Path, tmp_path: Path) -> None:
    manifest = restore(archive, tmp_path / "new")

    assert [copy.name for copy in manifest.ledgers] == NAMES
    assert heads(tmp_path / "new") == heads(data)
    assert [verify(tmp_path / "new" / name) for name in NAMES] == [[], []]
    assert sorted(contents(tmp_path / "new")) == sorted(contents(data))


def test_a_ledger_that_lies_directly_in_the_directory_is_kept_too(tmp_path: Path) -> None:
    make_ledger(tmp_path / "out" / "ledger.db")
    back_up(tmp_path / "out", tmp_path / "kept.zip")
    restore(tmp_path / "kept.zip", tmp_path / "new")

    assert heads(tmp_path / "new") == heads(tmp_path / "out")


def test_equal_ledgers_give_equal_backups(data: Path, archive: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "again.zip")

    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_a_backup_taken_while_a_writer_is_at_work_is_a_moment_of_it(
    data: Path, tmp_path: Path
) -> None:
    stop = Event()

    def write() -> None:
        with closing(SqliteLedger(data / NAMES[1], durable=False)) as ledger:
            while not stop.is_set():
                ledger.append(entries(1), expect=ledger.head()[0])
                ledger.anchor()

    writer = Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(data, tmp_path / f"{number}.zip")
    finally:
        stop.set()
        writer.join()

    for number in range(5):
        restore(tmp_path / f"{number}.zip", tmp_path / "new", force=True)
        seq, chained = heads(tmp_path / "new")[NAMES[1]]
        with closing(SqliteLedger(data / NAMES[1], read_only=True)) as ledger:
            assert [record.hash for record in ledger.read(seq - 1, seq)] == [chained]
    assert verify(data / NAMES[1]) == []


def test_a_backup_leaves_the_ledgers_as_they_were(data: Path, tmp_path: Path) -> None:
    before = contents(data)
    back_up(data, tmp_path / "kept.zip")

    assert contents(data) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "kept.zip"]


def test_nothing_to_back_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"no ledger\.db"):
        back_up(tmp_path, tmp_path / "kept.zip")

    assert list(tmp_path.iterdir()) == []


def test_a_damaged_ledger_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    tamper(data / NAMES[0], "UPDATE record SET at_s = 1 WHERE seq = 5")

    with pytest.raises(LedgerError, match="damaged"):
        back_up(data, tmp_path / "kept.zip")

    assert not (tmp_path / "kept.zip").exists()


def test_a_lost_ledger_is_not_passed_over(data: Path, tmp_path: Path) -> None:
    (data / NAMES[0]).unlink()

    with pytest.raises(LedgerError, match="its anchor and no ledger"):
        back_up(data, tmp_path / "kept.zip")


def test_ledgers_that_are_there_are_replaced_only_by_force(data: Path, archive: Path) -> None:
    with closing(SqliteLedger(data / NAMES[1])) as ledger:
        ledger.append(entries(3), expect=12)
    before = contents(data)

    with pytest.raises(LedgerError, match="--force"):
        restore(archive, data)
    assert contents(data) == before

    restore(archive, data, force=True)
    assert heads(data)[NAMES[1]][0] == 12
    assert [verify(data / name) for name in NAMES] == [[], []]
    assert contents(data)["here/ledger.db.replaced"] == before[NAMES[1]]


def test_a_restore_replaces_a_ledger_that_cannot_be_read(data: Path, archive: Path) -> None:
    (data / NAMES[0]).write_bytes(b"rubble " * 1_000)
    (data / NAMES[0]).with_name("ledger.db-wal").write_bytes(b"more rubble")
    restore(archive, data, force=True)

    assert verify(data / NAMES[0]) == []


def test_a_ledger_in_use_is_not_replaced(data: Path, archive: Path) -> None:
    with closing(SqliteLedger(data / NAMES[1])) as ledger:
        ledger.append(entries(3), expect=12)

        with pytest.raises(LedgerError, match="in use"):
            restore(archive, data, force=True)

        assert ledger.append(entries(3), expect=15) == 18
    assert heads(data)[NAMES[1]][0] == 18
    assert [verify(data / name) for name in NAMES] == [[], []]


def test_a_changed_backup_changes_nothing(data: Path, archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    before = contents(data)
    refused = 0
    for place in range(0, len(content), 101):
        changed = bytearray(content)
        changed[place] ^= 0x55
        (tmp_path / "changed.zip").write_bytes(changed)
        try:
            restore(tmp_path / "changed.zip", tmp_path / "new", force=True)
        except LedgerError:
            refused += 1
        else:
            # A byte that says nothing about a file, such as the time of day in the directory.
            assert heads(tmp_path / "new") == heads(data)
    assert refused > len(content) // 101 * 0.8
    assert contents(data) == before


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_half_a_backup_changes_nothing(data: Path, archive: Path, kept: int) -> None:
    before = contents(data)
    archive.write_bytes(archive.read_bytes()[:kept])

    with pytest.raises(LedgerError):
        restore(archive, data, force=True)

    assert contents(data) == before


def test_a_backup_cannot_write_outside_its_directory(archive: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(evil, "w") as new:
        content = backup.unsealed(old.read(backup.MANIFEST), "")
        content["ledgers"][0]["name"] = "../evil/ledger.db"
        new.writestr(backup.MANIFEST, backup.sealed(content))
        new.writestr("../evil/ledger.db", "evil")

    with pytest.raises(LedgerError, match="no backup of format"):
        restore(evil, tmp_path / "new")

    assert not (tmp_path / "evil").exists()


def test_a_missing_backup_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"kept\.zip: found no file"):
        restore(tmp_path / "kept.zip", tmp_path / "new")


class PowerCut(BaseException):
    """The machine went dark."""


@pytest.mark.parametrize("renames", range(9))
def test_a_restore_cut_short_is_finished_by_the_next(
    data: Path,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    renames: int,
) -> None:
    with closing(SqliteLedger(data / NAMES[1])) as ledger:
        ledger.append(entries(3), expect=12)
    replace = Path.replace
    done = []

    def replace_until_dark(self: Path, target: Path) -> Path:
        # The mark that all is staged is itself a rename; it is not counted.
        if self.name != "ready.new":
            if len(done) == renames:
                raise PowerCut
            done.append(target)
        return replace(self, target)

    with monkeypatch.context() as dark:
        dark.setattr(restoring.Path, "replace", replace_until_dark)
        if renames < 8:
            with pytest.raises(PowerCut):
                restore(archive, data, force=True)
            for name in NAMES:
                with pytest.raises(LedgerError, match="cut short"):
                    SqliteLedger(data / name)
        else:
            restore(archive, data, force=True)
    restore(archive, data, force=True)

    assert [verify(data / name) for name in NAMES] == [[], []]
    assert [seq for seq, _ in heads(data).values()] == [30, 12]
    assert not (data / restoring.STAGE).exists()
    assert anchor_path(data / NAMES[0]).is_file()
