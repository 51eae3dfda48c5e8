"""What lies beside the ledgers and belongs to them: it goes into the same backup, summed.

The ledgers' room knows of each part its name, its bytes and their sum; what is in it, and where it
belongs, is known to whoever hands in a ``Beside``.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol, cast

import msgspec

from dure.core.errors import LedgerError

PARTS_MAX = 5_000
CHUNK_BYTES = 2**20
PART_NAME = re.compile(r"(?:[a-z]+/)?[A-Za-z0-9][A-Za-z0-9_.-]*\.tar")

# Told (what, done, in all) while a backup or a restore is on its way.
Tell = Callable[[str, int, int], None]


def tell_nobody(what: str, done: int, total: int) -> None:
    """Show nothing."""


class Kept(msgspec.Struct, frozen=True):
    """One part of a backup that is no ledger."""

    name: str
    bytes: int
    sha256: str


class Part(Protocol):
    """Something to be kept."""

    @property
    def name(self) -> str:
        """Return its name in the backup, as ``PART_NAME`` has it."""
        ...

    def write(self, into: IO[bytes]) -> None:
        """Write all of it; ``into`` is not asked to seek."""
        ...


class Beside(Protocol):
    """Everything that is kept with the ledgers of one data directory."""

    def parts(self, ledgers: Sequence[Path]) -> Sequence[Part]:
        """Return what is to be kept with these copies of ledgers, which were taken before."""
        ...

    def require_room(self, names: Sequence[str]) -> None:
        """Raise LedgerError if a part's place is taken, or no part has this name."""
        ...

    def stage(self, name: str, source: IO[bytes]) -> None:
        """Unpack a part beside its place and check it; nothing that is in use changes."""
        ...

    def place(self) -> None:
        """Put what is staged into its place. Repeating is harmless, after any interruption."""
        ...

    def clear(self) -> None:
        """Forget what is staged."""
        ...


class Nothing:
    """A data directory that is its ledgers and nothing more."""

    def parts(self, ledgers: Sequence[Path]) -> Sequence[Part]:
        return ()

    def require_room(self, names: Sequence[str]) -> None:
        for name in names:
            raise LedgerError(f"found {name} in it, which belongs to a platform.")

    def stage(self, name: str, source: IO[bytes]) -> None:
        raise AssertionError("no part has room here")

    def place(self) -> None: ...

    def clear(self) -> None: ...


class _Summed:
    """Bytes on their way, counted and summed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._digest, self.bytes = stream, sha256(), 0

    def write(self, part: bytes) -> int:
        self._digest.update(part)
        self.bytes += len(part)
        return self._stream.write(part)

    def read(self, size: int = -1) -> bytes:
        part = self._stream.read(size)
        self._digest.update(part)
        self.bytes += len(part)
        return part

    def kept(self, name: str) -> Kept:
        return Kept(name, self.bytes, self._digest.hexdigest())


def write_part(part: Part, stream: IO[bytes]) -> Kept:
    """Write a part and say what was written."""
    assert PART_NAME.fullmatch(part.name), part.name
    summed = _Summed(stream)
    part.write(cast(IO[bytes], summed))
    return summed.kept(part.name)


@contextmanager
def reading_part(expected: Kept, stream: IO[bytes], where: str) -> Iterator[IO[bytes]]:
    """Lend a part to be read; once it was, all of it must have been what was written.

    Raises:
        LedgerError: if it was not. What was made of it must then be forgotten.
    """
    summed = _Summed(stream)
    yield cast(IO[bytes], summed)
    while summed.read(CHUNK_BYTES):
        pass
    found = summed.kept(expected.name)
    if found != expected:
        raise LedgerError(
            f"{where}: {expected.name}: found {found.bytes} bytes with sha256 {found.sha256}, "
            f"expected {expected.bytes} with {expected.sha256}. "
            "The backup is damaged; nothing was changed. Take an earlier one."
        )
