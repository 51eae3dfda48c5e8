"""What only a database can do to a ledger: stay away, forget, lose an answer, serve many writers.

That it crashes and comes back is a fault of the plan (tests/faults/database_faults.py).
"""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from dure.core.errors import ConflictError, InputError, LedgerError
from dure.core.ledger_record import KIND_EVENTS, Entry
from dure.ledger.anchor import Anchor, anchor_path, write_anchor
from dure.ledger.postgres import PostgresLedger
from dure.ledger.postgres_link import MIGRATIONS, Address
from dure.ledger.verify_postgres import examine_postgres
from tests.ledger.ledgers import DECODERS, entries
from tests.postgres import PostgresServer, postgres_ledger, programs, schema_of, shared_server

pytestmark = pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")
POOL = "here"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Lend a server that may be hurt: it is this file's alone."""
    with closing(PostgresServer().start()) as lent:
        yield lent


@pytest.fixture
def address(server: PostgresServer) -> Address:
    return Address(server.new_database())


def numbered(number: int) -> Entry:
    return Entry(KIND_EVENTS, number, b"\x01%d" % number)


def append_next(ledger: PostgresLedger, payload: bytes) -> int:
    while True:
        try:
            head = ledger.head()[0]
            return ledger.append([Entry(KIND_EVENTS, 0, payload)], expect=head)
        except ConflictError:
            continue


def test_processes_that_write_at_once_lose_nothing_and_double_nothing(address: Address) -> None:
    PostgresLedger(address, POOL).close()
    children = []
    for name in range(3):
        child = os.fork()
        if child == 0:
            with closing(PostgresLedger(address, POOL)) as ledger:
                for number in range(20):
                    append_next(ledger, b"%d/%d" % (name, number))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]

    with closing(PostgresLedger(address, POOL, read_only=True)) as ledger:
        written = [record.payload for record in ledger.read()]
    assert sorted(written) == sorted(b"%d/%d" % (p, n) for p in range(3) for n in range(20))


def test_a_database_that_stays_away_is_given_up_after_some_tries(
    server: PostgresServer, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dure.ledger.postgres_link.PAUSES_S", (0.0,) * 4)
    with closing(PostgresLedger(address, POOL)) as ledger:
        ledger.append([numbered(0)], expect=0)
        server.end()
        try:
            with pytest.raises(LedgerError, match="after 5 tries"):
                ledger.append([numbered(1)], expect=1)
        finally:
            server.start()

        assert ledger.append([numbered(1)], expect=1) == 2


class CuttingDoor:
    """A socket before the server's that can swallow the next answer and hang up."""

    def __init__(self, folder: Path, behind: Path) -> None:
        self.folder, self._behind = folder, behind
        self.cuts_next = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            there = socket.socket(socket.AF_UNIX)
            there.connect(str(self._behind / ".s.PGSQL.5432"))
            Thread(target=self._pass, args=(client, there, False), daemon=True).start()
            Thread(target=self._pass, args=(there, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        while some := source.recv(65_536):
            if is_answer and self.cuts_next:
                self.cuts_next = False
                break
            target.sendall(some)
        for one in (source, target):
            # Closing alone would not wake who reads the other way.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def test_an_append_whose_answer_was_lost_is_not_written_twice(server: PostgresServer) -> None:
    url = server.new_database()
    folder = server.root / "door"
    folder.mkdir()
    door = CuttingDoor(folder, server.root)
    address = Address(url.replace(f"host={server.root}", f"host={folder}"))
    with closing(PostgresLedger(address, POOL)) as ledger:
        ledger.append([numbered(0)], expect=0)

        door.cuts_next = True
        assert ledger.append([numbered(1)], expect=1) == 2
        assert not door.cuts_next
        assert ledger.append([numbered(2)], expect=2) == 3

        assert [record.at_s for record in ledger.read()] == [0, 1, 2]


def test_a_database_that_forgot_a_record_is_refused(address: Address) -> None:
    with closing(PostgresLedger(address, POOL)) as ledger:
        ledger.append(entries(5), expect=0)
        with psycopg.connect(address.conninfo, autocommit=True) as other:
            other.execute("ALTER TABLE here.record DISABLE TRIGGER records_stay")
            other.execute("DELETE FROM here.record WHERE seq > 3")
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        with pytest.raises(LedgerError, match="record 5 was acknowledged and is not there"):
            ledger.append([numbered(5)], expect=5)


def test_an_anchor_outside_finds_a_database_of_an_older_state(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(postgres_ledger(path)) as ledger:
        ledger.append(entries(3), expect=0)
        head = ledger.head()
    write_anchor(anchor_path(path), Anchor(head[0] + 1, head[1]), durable=False)

    with pytest.raises(LedgerError, match="do not hold record 4"):
        postgres_ledger(path)


def test_what_a_stranger_changes_is_found(address: Address) -> None:
    with closing(PostgresLedger(address, POOL)) as ledger:
        ledger.append(entries(12), expect=0)
        ledger.put_projection("pool", 1, 12, b"state")
    with psycopg.connect(address.conninfo, autocommit=True) as stranger:
        with pytest.raises(psycopg.Error, match="never changed or removed"):
            stranger.execute("UPDATE here.record SET at_s = 7 WHERE seq = 4")
        stranger.execute("ALTER TABLE here.record DISABLE TRIGGER records_stay")
        stranger.execute("UPDATE here.record SET at_s = 7 WHERE seq = 4")
        stranger.execute("UPDATE here.projection SET blob = 'other'")

    found = examine_postgres(address, POOL, decoders=DECODERS)

    assert [flaw.where for flaw in found.flaws] == ["record 4", "projection 'pool'"]
    with (
        closing(PostgresLedger(address, POOL)) as ledger,
        pytest.raises(LedgerError, match="record 4 is missing or was changed"),
    ):
        list(ledger.read())


def test_a_schema_of_a_newer_dure_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    postgres_ledger(path).close()
    newer = len(MIGRATIONS) + 1
    with psycopg.connect(shared_server().url(), autocommit=True) as connection:
        table = f"{schema_of(path)}.migration"
        connection.execute(f"INSERT INTO {table} VALUES ({newer})".encode())

    with pytest.raises(LedgerError, match=f"found tables of version {newer}"):
        postgres_ledger(path)


def test_no_message_tells_the_password(server: PostgresServer) -> None:
    wrong = [
        server.url("missing"),
        server.url().replace("host=/", "host=/nowhere"),
        server.url().replace("dure:", "stranger:"),
    ]
    said = [repr(Address(server.url())), str(Address(server.url()))]
    for url in wrong:
        with pytest.raises(LedgerError) as refused:
            PostgresLedger(Address(url), POOL)
        said.append(str(refused.value))
    with pytest.raises(InputError) as refused_url:
        Address(f"mysql://dure:{server.password}@localhost")
    said.append(str(refused_url.value))

    assert [text for text in said if server.password in text] == []
