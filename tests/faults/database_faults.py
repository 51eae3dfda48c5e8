"""Faults of a database and of those who write to it: crashes, kills, leaders that sleep."""

import random
import signal
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from threading import Thread

from dure.core.errors import ConflictError, StaleWriterError
from dure.core.ledger_record import KIND_EVENTS, Entry
from dure.ledger.lease import Lease
from dure.ledger.postgres import PostgresLedger
from dure.ledger.postgres_link import Address
from dure.ledger.verify_postgres import examine_postgres
from tests.faults.ledger_faults import DECODERS, SIGKILL, WORKS, look
from tests.faults.ledger_works import entry, payload
from tests.faults.plan import Fault
from tests.faults.victim import victim
from tests.postgres import PostgresServer, programs, shared_server

ENGINES, RACE_S, TTL_S = 3, 0.5, 0.03
WRITTEN = 200


@cache
def url() -> str:
    return shared_server().new_database()


def database() -> Address:
    return Address(url())


@cache
def frail_server() -> PostgresServer:
    """Return a server of our own that may be hurt."""
    import atexit

    server = PostgresServer().start()
    atexit.register(server.close)
    return server


def a_schema(chance: random.Random) -> str:
    return f"f{chance.randrange(2**60)}"


def kill_writer(place: Path, chance: random.Random) -> None:
    schema = a_schema(chance)
    die_after_us = chance.choice([2_000, 20_000, 100_000]) + chance.randrange(2_000)
    status, told = victim(WORKS).work(
        "write_database", place / schema, url=url(), die_after_us=die_after_us
    )
    assert status == -SIGKILL
    with closing(PostgresLedger(database(), schema)) as ledger:
        look(ledger, max(told, default=0))
    assert examine_postgres(database(), schema, decoders=DECODERS).flaws == []


def crash(place: Path, chance: random.Random) -> None:
    """Have the server crash and come back while a writer goes on; it only has to wait."""
    server = frail_server()
    address = Address(server.new_database())
    acknowledged: list[int] = []
    with closing(PostgresLedger(address, "here")) as ledger:

        def write() -> None:
            for seq in range(WRITTEN):
                acknowledged.append(ledger.append([entry(seq + 1)], expect=seq))

        writer = Thread(target=write)
        writer.start()
        wanted = chance.randrange(1, WRITTEN)
        while len(acknowledged) < wanted:
            time.sleep(0.001)
        server.end(chance.choice([signal.SIGQUIT, signal.SIGINT]))
        server.start()
        writer.join()

        assert acknowledged == list(range(1, WRITTEN + 1))
        assert [one.payload for one in ledger.read()] == [payload(seq) for seq in acknowledged]
    assert examine_postgres(address, "here", decoders=DECODERS).flaws == []


def sleep(place: Path, chance: random.Random) -> None:
    """Have engines race for a lease that ends in a moment, and sleep past it while they lead.

    Each record names the generation under which it was decided; none comes after a later one.
    """
    schema, until_s = a_schema(chance), time.monotonic() + RACE_S
    acknowledged: list[bytes] = []
    seeds = [chance.random() for _ in range(ENGINES)]

    def engine(number: int) -> None:
        own = random.Random(seeds[number])
        lease = Lease(database(), schema, f"engine {number}", ttl_s=TTL_S)
        with (
            closing(lease),
            closing(PostgresLedger(database(), schema, generation=lease.generation)) as ledger,
        ):
            while time.monotonic() < until_s:
                if not lease.take():
                    time.sleep(0.005)
                    continue
                decided = b"%d/%d/%d" % (lease.generation(), number, own.randrange(2**30))
                head = ledger.head()[0]
                # Slept here, as a stopped process would: its own clock is not asked again.
                time.sleep(own.choice([0, 0, 0.001, 2 * TTL_S]))
                try:
                    ledger.append([Entry(KIND_EVENTS, 0, decided)], expect=head)
                except (ConflictError, StaleWriterError):
                    continue
                acknowledged.append(decided)

    engines = [Thread(target=engine, args=(number,)) for number in range(ENGINES)]
    for one in engines:
        one.start()
    for one in engines:
        one.join()

    with closing(PostgresLedger(database(), schema, read_only=True)) as ledger:
        written = [record.payload for record in ledger.read()]
    assert sorted(written) == sorted(acknowledged)
    generations = [int(one.split(b"/")[0]) for one in written]
    assert generations == sorted(generations), "a leader wrote after another had taken over"
    assert len(set(generations)) > 1, "nobody was replaced, so nothing was tried"


NEEDS = "" if programs() else "no PostgreSQL: make setup-postgres"
FAULTS = (
    Fault("PostgreSQL: kill -9 of a writer", kill_writer, often=200, seldom=10, needs=NEEDS),
    Fault("PostgreSQL: a crash under a writer", crash, often=10, seldom=1, needs=NEEDS),
    Fault("PostgreSQL: leaders that sleep too long", sleep, often=200, seldom=4, needs=NEEDS),
)
