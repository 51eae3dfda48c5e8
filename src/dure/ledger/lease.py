"""Who leads a pool: one row in its database, compared and set, with an end by the database's clock.

Each take-over gives the leader a higher generation. What a leader appends carries its generation
(``PostgresLedger``), so that one who slept through a take-over writes nothing any more.
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock, Thread

from dure.core.errors import LedgerError
from dure.ledger.postgres_link import Address, Connection, Link, migrate

log = logging.getLogger("dure.lease")

# A leader that died is followed after at most this and one more look.
TTL_S = 5.0
RENEW_S = 1.0
UNTIL = "clock_timestamp() + make_interval(secs => %(ttl)s)"
TAKE = (
    f"INSERT INTO lease VALUES ('engine', 1, %(holder)s, {UNTIL}) "
    "ON CONFLICT (name) DO UPDATE SET generation = lease.generation + 1, "
    "holder = excluded.holder, expires_at = excluded.expires_at "
    "WHERE lease.expires_at <= clock_timestamp() RETURNING generation"
)
RENEW = (
    f"UPDATE lease SET expires_at = {UNTIL} "
    "WHERE name = 'engine' AND generation = %(generation)s RETURNING generation"
)
RELEASE = (
    "UPDATE lease SET expires_at = clock_timestamp() "
    "WHERE name = 'engine' AND generation = %(generation)s"
)


class Lease:
    """A claim to lead one pool. Safe for threads.

    Args:
        address: the database.
        schema: the pool's.
        holder: who we are, in words for a person.
        ttl_s: how long a claim holds without being renewed.
        monotone_s: seconds that only grow, also while the process is stopped.
    """

    def __init__(
        self,
        address: Address,
        schema: str,
        holder: str,
        *,
        ttl_s: float = TTL_S,
        monotone_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = Link(address, schema)
        self._holder, self._ttl_s, self._monotone_s = holder, ttl_s, monotone_s
        self._lock = Lock()
        self._generation, self._until_s = 0, 0.0
        self._stop = Event()
        self._thread: Thread | None = None
        migrate(self._link)

    def generation(self) -> int:
        """Return the generation last taken, 0 before the first; a later one may exist."""
        return self._generation

    def is_held(self) -> bool:
        """Tell whether nobody else can lead now, by our own clock that never stops."""
        return self._generation > 0 and self._monotone_s() < self._until_s

    def take(self) -> bool:
        """Lead if nobody does; True if we do now. Raises LedgerError if nobody answers."""
        with self._lock:
            if self.is_held():
                return True
            # Counted from before the question: our time is over before the database says so.
            asked_s = self._monotone_s()
            found = self._ask(TAKE)
            if found is not None:
                self._generation, self._until_s = found, asked_s + self._ttl_s
            return found is not None

    def renew(self) -> bool:
        """Go on leading; False once another has taken over."""
        with self._lock:
            if self._generation == 0:
                return False
            asked_s = self._monotone_s()
            if self._ask(RENEW) is None:
                self._until_s = 0.0
                return False
            self._until_s = asked_s + self._ttl_s
            return True

    def keep_renewed(self) -> None:
        """Renew from a thread of its own until ``close``, however long a turn of ours takes."""
        if self._thread is None:
            name = f"dure-lease-{self._link.schema}"
            self._thread = Thread(target=self._renew_on, name=name, daemon=True)
            self._thread.start()

    def _renew_on(self) -> None:
        while not self._stop.wait(RENEW_S):
            try:
                if self.is_held() and not self.renew():
                    log.error("pool %s: another engine leads now", self._link.schema)
            except LedgerError as wrong:
                log.warning("pool %s: its lease was not renewed: %s", self._link.schema, wrong)

    def _ask(self, statement: str) -> int | None:
        values = {"holder": self._holder, "generation": self._generation, "ttl": self._ttl_s}

        def work(connection: Connection) -> int | None:
            cursor = connection.execute(statement.encode(), values)
            found = cursor.fetchone() if cursor.description else None
            return found[0] if found is not None and isinstance(found[0], int) else None

        # A claim that is asked twice after a lost answer would stand in its own way; the next
        # look asks again.
        return self._link.run(work, tries=1)

    def close(self) -> None:
        """Give the lead away, so that the next one need not wait. Repeating is harmless."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._ttl_s)
        with self._lock:
            if self.is_held():
                try:
                    self._ask(RELEASE)
                except LedgerError as wrong:
                    log.warning("pool %s: its lease runs out by itself: %s", self._link, wrong)
            self._until_s = 0.0
        self._link.close()
