"""Look at a ledger in a database as a stranger would: is every record what it was?"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from dure.core.errors import LedgerError
from dure.ledger.database import StoredRow
from dure.ledger.examining import (
    INT64_MAX,
    Decoders,
    Examination,
    Progress,
    check_outside,
    check_projections,
    check_records,
    holds,
    no_progress,
    read_noted_anchor,
)
from dure.ledger.postgres import hash_of, stored_page
from dure.ledger.postgres_link import Address, Connection, Link, require_version


def examine_postgres(
    address: Address,
    schema: str,
    *,
    anchor: Path | None = None,
    decoders: Decoders | None = None,
    outside: Path | None = None,
    progress: Progress = no_progress,
) -> Examination:
    """Return every flaw of a ledger in a database; it is only read, and may be in use.

    The database answers for its own pages; what it says is held against the chain and the anchors.

    Args:
        anchor: the one in the data directory, if there is one.
        decoders: as for a file (``verify.examine``).
        outside: an anchor that was kept elsewhere; its record must be here too.
    """
    link = Link(address, schema)
    seen = Examination(str(link), is_closed=False)
    try:
        link.run(lambda found: require_version(found, link))
        shelf = _Schema(link)
        kept = None if anchor is None else read_noted_anchor(seen, anchor)
        check_records(seen, shelf, decoders, progress)
        check_projections(seen, shelf)
        if kept is not None:
            holds(seen, shelf, kept)
        if outside is not None:
            check_outside(seen, shelf, outside)
    except (LedgerError, ValueError, OverflowError, MemoryError) as wrong:
        seen.note(seen.ledger, found=str(wrong), expected="a ledger that can be read")
    finally:
        link.close()
    return seen


class _Schema:
    """The records of a schema (``Shelf``)."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def page(self, after: int) -> list[StoredRow]:
        return self._link.run(lambda found: stored_page(found, after=after, upto=INT64_MAX))

    def ends(self) -> tuple[object, object]:
        query = "SELECT min(seq), max(seq) FROM record"
        row = self._link.run(lambda found: found.execute(query).fetchone())
        return (None, None) if row is None else (row[0], row[1])

    def hash_of(self, seq: int) -> bytes | None:
        return self._link.run(lambda found: hash_of(found, seq))

    def projections(self) -> Iterable[tuple[object, object, object, object, object]]:
        after = ""
        while (row := self._link.run(partial(_projection, after=after))) is not None:
            after = str(row[0])
            yield row


def _projection(
    connection: Connection, *, after: str
) -> tuple[object, object, object, object, object] | None:
    """Return the next projection by name: one at a time, since they may be long."""
    query = (
        "SELECT name, version, seq, sum, blob FROM projection WHERE name > %s ORDER BY name LIMIT 1"
    )
    row = connection.execute(query, (after,), binary=True).fetchone()
    return None if row is None else (row[0], row[1], row[2], row[3], row[4])
