"""One leads at a time: by a row of the database, by its clock, and by a number that only grows."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from dure.core.errors import StaleWriterError
from dure.ledger.lease import Lease
from dure.ledger.postgres import PostgresLedger
from dure.ledger.postgres_link import Address
from tests.ledger.ledgers import entries
from tests.postgres import programs, schema_of, shared_server

pytestmark = pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")


class Place:
    """A schema with two engines that want to lead it."""

    def __init__(self, schema: str) -> None:
        self.schema, self.address = schema, Address(shared_server().url())
        self.now_s = 100.0
        self.one, self.other = (
            Lease(self.address, schema, name, ttl_s=1000, monotone_s=lambda: self.now_s)
            for name in ("one", "other")
        )

    def expire(self) -> None:
        """Let the database's clock pass the lease's end, without waiting for it."""
        with psycopg.connect(self.address.conninfo, autocommit=True) as connection:
            past = f"UPDATE {self.schema}.lease SET expires_at = clock_timestamp()"
            connection.execute(past.encode())

    def ledger(self, lease: Lease | None) -> PostgresLedger:
        generation = None if lease is None else lease.generation
        return PostgresLedger(self.address, self.schema, generation=generation)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(schema_of(tmp_path))
    yield found
    for lease in (found.one, found.other):
        with suppress(StaleWriterError):
            lease.close()


def test_only_one_leads(place: Place) -> None:
    assert place.one.take()
    assert not place.other.take()
    assert place.one.take()
    assert (place.one.is_held(), place.other.is_held()) == (True, False)


def test_a_lease_that_ran_out_is_taken_over_with_a_higher_number(place: Place) -> None:
    assert place.one.take()
    place.expire()
    assert place.other.take()

    assert (place.one.generation(), place.other.generation()) == (1, 2)
    assert not place.one.renew()
    assert not place.one.is_held()
    assert place.other.renew()


def test_one_who_is_late_but_was_not_replaced_goes_on(place: Place) -> None:
    assert place.one.take()
    place.expire()

    assert place.one.renew()
    assert not place.other.take()


def test_a_leader_that_slept_knows_it_by_its_own_clock(place: Place) -> None:
    assert place.one.take()

    place.now_s += 999
    assert place.one.is_held()
    place.now_s += 1
    assert not place.one.is_held()


def test_what_a_replaced_leader_writes_is_refused_whatever_it_is(place: Place) -> None:
    place.one.take()
    with closing(place.ledger(place.one)) as old, closing(place.ledger(place.other)) as new:
        assert old.append(entries(2), expect=0) == 2
        old.put_projection("pool", 1, 2, b"old")
        place.expire()
        place.other.take()

        with pytest.raises(StaleWriterError):
            old.append(entries(1), expect=2)
        with pytest.raises(StaleWriterError):
            old.put_projection("pool", 1, 2, b"late")
        assert new.append(entries(1), expect=2) == 3
        assert new.get_projection("pool", 1) == (2, b"old")


def test_who_never_led_writes_nothing_under_a_lease(place: Place) -> None:
    with closing(place.ledger(place.one)) as ledger, pytest.raises(StaleWriterError):
        ledger.append(entries(1), expect=0)


def test_people_write_beside_a_leader_and_the_later_one_loses_by_number(place: Place) -> None:
    place.one.take()
    with closing(place.ledger(place.one)) as engine, closing(place.ledger(None)) as portal:
        assert portal.append(entries(1), expect=0) == 1
        assert engine.append(entries(1), expect=1) == 2
        assert portal.append(entries(1), expect=2) == 3


def test_a_lease_that_is_given_away_is_free_at_once(place: Place) -> None:
    assert place.one.take()
    place.one.close()

    assert place.other.take()
    assert place.other.generation() == 2
