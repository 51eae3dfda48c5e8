"""Reading a ledger's file: a connection of its own, one page at a time, from any thread."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import TypeVar

import apsw

from dure.core.errors import LedgerError
from dure.core.ledger_record import Record
from dure.ledger.chain import ZERO_HASH, Row, projection_sum, record_hash
from dure.ledger.database import (
    connect,
    hash_of,
    is_at_rest,
    last_record,
    our_words,
    page,
)

Answer = TypeVar("Answer")
# A file at rest that changes under a reader is read anew; a service starts rarely.
REOPENS_MAX = 3


class Reader:
    """Answers questions about a ledger's file; holds no lock on it between two questions.

    Args:
        path: an existing ledger.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._is_open = True
        with our_words(path):
            self._open()

    def _open(self) -> None:
        # A ledger at rest is read as it lies: SQLite would leave files beside it, and it would
        # look open for ever.
        self._mark = self._file_mark() if is_at_rest(self._path) else None
        self._connection = connect(self._path, at_rest=self._mark is not None)

    def _file_mark(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            raise LedgerError(f"{self._path}: found no file; expected a ledger.") from None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _has_moved(self) -> bool:
        if self._mark is None:
            return False
        return not is_at_rest(self._path) or self._file_mark() != self._mark

    def ask(self, question: Callable[[apsw.Connection], Answer]) -> Answer:
        """Put one short question to the file and return its answer.

        Raises:
            LedgerError: if it cannot be read.
        """
        with self._lock, our_words(self._path):
            if not self._is_open:
                raise LedgerError(f"{self._path}: found it closed; open it again to read.")
            for _ in range(REOPENS_MAX):
                try:
                    answer = question(self._connection)
                except (apsw.Error, ValueError) as wrong:
                    if not self._has_moved():
                        if isinstance(wrong, ValueError):
                            raise LedgerError(f"{self._path}: found a damaged {wrong}.") from wrong
                        raise
                else:
                    if not self._has_moved():
                        return answer
                self._connection.close()
                self._open()
        raise LedgerError(f"{self._path}: it is replaced again and again; try later.")

    def head(self) -> tuple[int, bytes]:
        """Return (last seq or 0, its hash or 32 zero bytes)."""
        return self.ask(last_record) or (0, ZERO_HASH)

    def records(self, *, after: int, upto: int) -> Iterator[Record]:
        """Yield the records with ``after < seq <= upto``, which must be there.

        Raises:
            LedgerError: at the first that is missing or does not continue the chain.
        """
        if after >= upto:
            return
        before = ZERO_HASH if after == 0 else self.ask(lambda file: hash_of(file, after))
        while after < upto:
            for row in self._page(after, upto):
                seq, kind, at_s, payload, chained = row
                is_next = before is not None and seq == after + 1
                if not is_next or chained != record_hash(before or b"", seq, kind, at_s, payload):
                    raise LedgerError(
                        f"{self._path}: record {after + 1} is missing or was changed. "
                        "See `dure ledger verify`; `dure restore` brings back a backup."
                    )
                yield Record(*row)
                after, before = seq, chained

    def _page(self, after: int, upto: int) -> list[Row]:
        rows = self.ask(lambda file: page(file, after=after, upto=upto))
        if not rows:
            raise LedgerError(f"{self._path}: found no record {after + 1}; expected up to {upto}.")
        return rows

    def projection(self, name: str, version: int) -> tuple[int, bytes] | None:
        """Return (seq, blob) if there is one of this version and it is whole."""
        query = "SELECT seq, sum, blob FROM projection WHERE name = ? AND version = ?"

        def question(file: apsw.Connection) -> tuple[int, bytes] | None:
            try:
                found = file.execute(query, (name, version)).get
                if found is None:
                    return None
                seq, total, blob = found
                chained_to = ZERO_HASH if seq == 0 else hash_of(file, seq)
            except apsw.CorruptError:
                return None
            if chained_to is None or type(seq) is not int or type(blob) is not bytes:
                return None
            is_whole = total == projection_sum(name, version, seq, blob, chained_to)
            return (seq, blob) if is_whole else None

        return self.ask(question)

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            self._connection.close()
