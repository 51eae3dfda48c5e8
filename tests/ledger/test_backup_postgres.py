"""One archive for ledgers of files and of a database: from either to either, all or nothing."""

from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from dure.core.errors import LedgerError
from dure.ledger.anchor import anchor_path
from dure.ledger.backup import back_up, restore
from dure.ledger.backup_postgres import back_up_database, ledgers_in, restore_database
from dure.ledger.postgres import PostgresLedger
from dure.ledger.postgres_link import Address
from dure.ledger.verify import verify
from dure.ledger.verify_postgres import examine_postgres
from tests.ledger.ledgers import entries, make_ledger
from tests.postgres import programs, shared_server

pytestmark = pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")


@pytest.fixture
def address() -> Address:
    return Address(shared_server().new_database())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Keep two ledgers of files in an archive."""
    make_ledger(tmp_path / "from" / "here" / "ledger.db", 40)
    make_ledger(tmp_path / "from" / "people" / "ledger.db", 7, salt="people")
    back_up(tmp_path / "from", tmp_path / "kept.zip")
    return tmp_path / "kept.zip"


def test_a_platform_moves_to_a_database_and_back(
    tmp_path: Path, archive: Path, address: Address
) -> None:
    first = restore_database(archive, address, tmp_path / "data")
    assert ledgers_in(address) == ["here", "people"]
    assert examine_postgres(address, "here", anchor=tmp_path / "no.json").flaws == []

    second = back_up_database(address, tmp_path / "data", tmp_path / "again.zip")
    restore(tmp_path / "again.zip", tmp_path / "to")

    heads = [(copy.name, copy.seq, copy.head) for copy in first.ledgers]
    assert [(copy.name, copy.seq, copy.head) for copy in second.ledgers] == heads
    for name in ("here", "people"):
        there, back = (tmp_path / place / name / "ledger.db" for place in ("from", "to"))
        assert verify(back) == []
        assert back.read_bytes() == there.read_bytes()


def test_what_is_there_is_replaced_only_by_force_and_stays_beside(
    tmp_path: Path, archive: Path, address: Address
) -> None:
    with closing(PostgresLedger(address, "here")) as ledger:
        assert ledger.head()[0] == 0

    with pytest.raises(LedgerError, match="found here there already"):
        restore_database(archive, address, tmp_path / "data")
    restore_database(archive, address, tmp_path / "data", force=True)

    anchor = anchor_path(tmp_path / "data" / "here" / "ledger.db")
    with closing(PostgresLedger(address, "here", anchor=anchor)) as ledger:
        assert ledger.head()[0] == 40
        assert ledger.get_projection("pool", 1) == (40, b"state" * 100)
    with closing(PostgresLedger(address, "here_replaced", read_only=True)) as ledger:
        assert ledger.head()[0] == 0
    assert ledgers_in(address) == ["here", "people"]


def test_nothing_is_restored_under_a_service(
    tmp_path: Path, archive: Path, address: Address
) -> None:
    with (
        closing(PostgresLedger(address, "people")),
        pytest.raises(LedgerError, match="stop its services first"),
    ):
        restore_database(archive, address, tmp_path / "data", force=True)

    assert ledgers_in(address) == ["people"]


def test_a_database_without_an_anchored_record_is_not_backed_up(
    tmp_path: Path, archive: Path, address: Address
) -> None:
    restore_database(archive, address, tmp_path / "data")
    people, here = (anchor_path(tmp_path / "data" / n / "ledger.db") for n in ("people", "here"))
    here.write_bytes(people.read_bytes())

    with pytest.raises(LedgerError, match="is damaged and was not backed up: record 7"):
        back_up_database(address, tmp_path / "data", tmp_path / "again.zip")

    assert not (tmp_path / "again.zip").exists()


def test_a_backup_taken_while_the_database_is_written_to_is_a_moment_of_it(
    tmp_path: Path, address: Address
) -> None:
    stop = Event()

    def write() -> None:
        with closing(PostgresLedger(address, "here")) as ledger:
            while not stop.is_set():
                ledger.append(entries(3), expect=ledger.head()[0])

    PostgresLedger(address, "here").close()
    writer = Thread(target=write)
    writer.start()
    try:
        kept = [
            back_up_database(address, tmp_path / "data", tmp_path / f"{number}.zip")
            for number in range(4)
        ]
    finally:
        stop.set()
        writer.join()

    seqs = [one.ledgers[0].seq for one in kept]
    assert seqs == sorted(seqs) and seqs[-1] > seqs[0]
    for number, one in enumerate(kept):
        restore(tmp_path / f"{number}.zip", tmp_path / f"to{number}")
        assert verify(tmp_path / f"to{number}" / "here" / "ledger.db") == []
        with closing(PostgresLedger(address, "here", read_only=True)) as ledger:
            chained = [record.hash.hex() for record in ledger.read(0, seqs[number])][-1:]
        assert chained == ([one.ledgers[0].head] if seqs[number] else [])
