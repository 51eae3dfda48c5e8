"""What only a file can suffer: crashes, full disks, second writers, and what it leaves behind."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Timer

import pytest

from dure.core.errors import ConflictError, LedgerError
from dure.core.ledger_record import Entry
from dure.ledger import database
from dure.ledger.anchor import anchor_path, read_anchor
from dure.ledger.database import require_sqlite
from dure.ledger.sqlite import SqliteLedger, discard
from dure.ledger.verify import verify
from tests.ledger import appender
from tests.ledger.ledgers import entries, make_ledger, tamper

KILLS = 30
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 50)


def grouped(path: Path, group: int = 64) -> SqliteLedger:
    return SqliteLedger(path, durable=False, group=group)


def killed_writer(path: Path, *, after_lines: int, after_s: float) -> int:
    """Start the appender, kill it, return the last record it acknowledged (0 for none)."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.appender", str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "started\n"
    lines = [writer.stdout.readline() for _ in range(after_lines)]
    Timer(after_s, writer.kill).start()
    lines += writer.stdout.readlines()
    assert writer.wait() == -9
    # The last line may itself be cut short.
    return max((int(line) for line in lines if line.endswith("\n")), default=0)


def test_nothing_acknowledged_is_lost_to_kill_9(path: Path) -> None:
    chance = random.Random(4711)
    for _ in range(KILLS):
        acknowledged = killed_writer(
            path,
            after_lines=chance.choice([0, 0, 1, 5, 20]),
            after_s=chance.choice([0.002, 0.02, 0.06]) * chance.random(),
        )

        assert verify(path, decoders={2: bytes}) == []
        # Looking leaves what the crash left, for the next writer to meet; opening repairs it.
        is_looking = acknowledged > 0 and chance.random() < 0.5
        with closing(SqliteLedger(path, read_only=is_looking)) as ledger:
            head = ledger.head()[0]
            kept = [record.payload for record in ledger.read()]
        assert head >= acknowledged
        assert kept == [appender.payload(seq) for seq in range(1, head + 1)]
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.append(entries(1), expect=head) == head + 1
    assert verify(path) == []
    assert head > KILLS


@pytest.mark.parametrize("group", [1, 8])
def test_a_full_disk_leaves_no_half_record_and_passes(path: Path, group: int) -> None:
    with closing(grouped(path, group)) as ledger:
        for number, entry in enumerate(entries(20)):
            ledger.append([entry], expect=number)
        assert ledger._writer is not None
        pages = ledger._writer.pragma("page_count")
        ledger._writer.pragma("max_page_count", pages + 4)
        large = Entry(2, 0, os.urandom(3_000))
        acknowledged = 20
        with pytest.raises(LedgerError, match="the disk is full"):
            while True:
                acknowledged = ledger.append([large], expect=acknowledged)

        assert [record.seq for record in ledger.read()] == list(range(1, acknowledged + 1))
        with pytest.raises(LedgerError, match="the disk is full"):
            ledger.append([large] * 9, expect=acknowledged)

        ledger._writer.pragma("max_page_count", 10**6)
        assert ledger.append([large], expect=acknowledged) == acknowledged + 1
    assert verify(path) == []


def test_a_failed_disk_stops_the_writer_rather_than_guess(path: Path) -> None:
    script = (
        "import os, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from dure.core.errors import LedgerError\n"
        "from dure.core.ledger_record import Entry\n"
        "from dure.ledger.sqlite import SqliteLedger\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "ledger = SqliteLedger(Path(sys.argv[1]))\n"
        "ledger.append([Entry(2, 0, b'first')], expect=0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))\n"
        "for attempt in range(2):\n"
        "    try:\n"
        "        ledger.append([Entry(2, 0, os.urandom(900_000))], expect=1)\n"
        "    except LedgerError as wrong:\n"
        "        print(type(wrong.__cause__).__name__, flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )

    assert done.stdout.split() in (["IOError", "NoneType"], ["FullError", "FullError"]), done.stderr
    with closing(SqliteLedger(path)) as ledger:
        assert [record.payload for record in ledger.read()] == [b"first"]
    assert verify(path) == []


def test_only_a_durable_ledger_waits_for_the_disk(path: Path) -> None:
    waits = []
    for durable in (True, False):
        with closing(SqliteLedger(path, durable=durable)) as ledger:
            assert ledger._writer is not None
            waits.append(ledger._writer.pragma("synchronous"))
            assert ledger._writer.pragma("journal_mode") == "wal"
            assert ledger._writer.pragma("mmap_size") == 0

    # SQLite's numbers: 2 is FULL, 0 is OFF.
    assert waits == [2, 0]


def test_two_writers_of_one_file_take_turns_by_number(path: Path) -> None:
    with closing(SqliteLedger(path)) as one, closing(SqliteLedger(path)) as other:
        one.append(entries(1), expect=0)
        with pytest.raises(ConflictError):
            other.append(entries(1), expect=0)
        other.append(entries(1), expect=1)

        assert one.head() == other.head()
        assert list(one.read()) == list(other.read())
    assert verify(path) == []


@pytest.mark.usefixtures("impatient")
def test_a_grouped_writer_keeps_others_out_with_a_clear_word(path: Path) -> None:
    with closing(grouped(path)) as ledger:
        ledger.append(entries(3), expect=0)

        for other in (SqliteLedger, grouped):
            with pytest.raises(LedgerError, match="one writer"):
                other(path)

        assert ledger.append(entries(1), expect=3) == 4
    assert verify(path) == []


@pytest.mark.usefixtures("impatient")
def test_a_second_process_gets_a_clear_error_while_the_first_writes(path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dure.core.errors import DureError\n"
        "from dure.ledger import database\n"
        "database.BUSY_MS = 50\n"
        "from dure.ledger.sqlite import SqliteLedger\n"
        "try:\n"
        "    SqliteLedger(Path(sys.argv[1]))\n"
        "except DureError as wrong:\n"
        "    print(wrong)\n"
    )
    with closing(grouped(path)) as ledger:
        ledger.append(entries(3), expect=0)
        said = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        ).stdout

        assert "another writer" in said
        assert ledger.append(entries(3), expect=3) == 6
    assert verify(path) == []


@pytest.mark.parametrize(
    "open_it",
    [SqliteLedger, lambda path: SqliteLedger(path, durable=False), grouped],
    ids=["durable", "not-durable", "grouped"],
)
def test_equal_appends_give_equal_files(
    tmp_path: Path, open_it: Callable[[Path], SqliteLedger]
) -> None:
    totals = set()
    for name in ("one", "two"):
        place = tmp_path / name / "ledger.db"
        place.parent.mkdir()
        for session in range(2):
            with closing(open_it(place)) as ledger:
                for number, entry in enumerate(entries(100), start=100 * session):
                    ledger.append([entry], expect=number)
                    if number % 20 == 0:
                        ledger.put_projection("pool", 1, number, b"state" * number)
                    if name == "two" and number % 7 == 0:
                        # Looking must not leave a trace.
                        list(ledger.read(number // 2))
        assert sorted(path.name for path in place.parent.iterdir()) == [
            "ledger.anchor.json",
            "ledger.db",
        ]
        totals.add(sha256(place.read_bytes() + anchor_path(place).read_bytes()).digest())

    assert len(totals) == 1


def test_reading_a_closed_ledger_leaves_nothing_beside_it(path: Path) -> None:
    make_ledger(path)
    before = path.read_bytes()
    with closing(SqliteLedger(path, read_only=True)) as ledger:
        assert len(list(ledger.read())) == 12

    assert sorted(one.name for one in path.parent.iterdir()) == ["ledger.anchor.json", "ledger.db"]
    assert path.read_bytes() == before


def test_a_reader_of_a_closed_ledger_sees_a_writer_that_comes_later(path: Path) -> None:
    make_ledger(path)
    with closing(SqliteLedger(path, read_only=True)) as reader:
        assert reader.head()[0] == 12
        with closing(SqliteLedger(path)) as writer:
            writer.append(entries(3), expect=12)
            assert reader.head()[0] == 15
            assert len(list(reader.read())) == 15
        assert reader.head()[0] == 15


def test_a_ledger_open_for_reading_refuses_to_write(path: Path) -> None:
    make_ledger(path)
    with closing(SqliteLedger(path, read_only=True)) as ledger:
        with pytest.raises(LedgerError, match="reading only"):
            ledger.append(entries(1), expect=12)
        with pytest.raises(LedgerError, match="reading only"):
            ledger.put_projection("pool", 1, 0, b"")


def test_a_ledger_that_is_not_there_cannot_be_read(path: Path) -> None:
    with pytest.raises(LedgerError):
        SqliteLedger(path, read_only=True)

    assert not path.exists()


def test_a_damaged_projection_counts_as_absent(path: Path) -> None:
    make_ledger(path)
    tamper(path, "UPDATE projection SET blob = x'00' WHERE name = 'pool'")

    with closing(SqliteLedger(path)) as ledger:
        assert ledger.get_projection("pool", 1) is None
        assert ledger.get_projection("views", 3) == (6, b"")


def test_reading_stops_at_the_first_record_that_was_changed(path: Path) -> None:
    make_ledger(path)
    tamper(path, "UPDATE record SET at_s = at_s + 1 WHERE seq = 5")

    with closing(SqliteLedger(path)) as ledger:
        seen = []
        with pytest.raises(LedgerError, match="record 5"):
            seen.extend(record.seq for record in ledger.read())
        assert [record.seq for record in ledger.read(upto=4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("lost", ["DELETE FROM record WHERE seq = 12", "DELETE FROM record"])
def test_a_ledger_behind_its_anchor_does_not_open(path: Path, lost: str) -> None:
    make_ledger(path)
    tamper(path, lost)

    with pytest.raises(LedgerError, match="do not hold record 12"):
        SqliteLedger(path)


def test_a_vanished_ledger_is_not_begun_anew_beside_its_anchor(path: Path) -> None:
    make_ledger(path)
    path.unlink()

    with pytest.raises(LedgerError, match="do not hold record 12"):
        SqliteLedger(path)


def test_a_discarded_ledger_can_be_begun_anew(path: Path) -> None:
    make_ledger(path)
    discard(path)

    assert list(path.parent.iterdir()) == []
    make_ledger(path, 3)
    assert verify(path) == []


def test_the_anchor_on_demand_names_the_head(path: Path) -> None:
    for open_it in (SqliteLedger, grouped):
        with closing(open_it(path)) as ledger:
            ledger.append(entries(3), expect=ledger.head()[0])
            anchor = ledger.anchor()

            assert (anchor.seq, anchor.hash) == ledger.head()
            assert read_anchor(anchor_path(path)) == anchor
            assert verify(path) == []
    assert verify(path) == []


def test_another_database_is_not_taken_for_a_ledger(path: Path) -> None:
    tamper(path, "CREATE TABLE other (a)")

    with pytest.raises(LedgerError, match="other tables"):
        SqliteLedger(path)


@pytest.mark.parametrize("content", [b"text", b"text " * 2_000])
def test_a_file_of_something_else_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(LedgerError, match="damaged"):
        SqliteLedger(path)

    assert path.read_bytes() == content


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        SqliteLedger(tmp_path / "nowhere" / "ledger.db")


@pytest.mark.parametrize("version", ["3.51.2", "3.40.1", "2.99.99"])
def test_an_old_sqlite_is_refused(version: str) -> None:
    with pytest.raises(LedgerError, match=r"expected 3\.51\.3"):
        require_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "3.100.0", "4.0.0"])
def test_a_new_sqlite_is_taken(version: str) -> None:
    require_sqlite(version)
