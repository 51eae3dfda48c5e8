"""Folders that people send along with their jobs."""

from collections.abc import Iterable
from typing import Protocol

from dure.services.access import Actor, require


class Shelf(Protocol):
    """Where a pool keeps them, by sender and checksum."""

    bytes_max: int

    def holds(self, user: str, sha256: str) -> bool: ...

    def keep(self, user: str, sha256: str, content: Iterable[bytes]) -> None:
        """Keep an archive, once it is found whole and fit to be unpacked."""
        ...


class Workdirs:
    """Work folders sent to one pool; each belongs to whoever sent it and nobody else can name it.

    Args:
        shelf: where they are kept.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @property
    def bytes_max(self) -> int:
        """Return what the files of one may hold together."""
        return self._shelf.bytes_max

    def holds(self, sha256: str, *, by: Actor) -> bool:
        """Tell whether the asker has sent this archive before."""
        require(by, "job.submit", owner=by.user)
        return self._shelf.holds(by.user, sha256)

    def keep(self, sha256: str, content: Iterable[bytes], *, by: Actor) -> None:
        """Keep an archive of the asker's; sending it twice changes nothing."""
        require(by, "job.submit", owner=by.user)
        self._shelf.keep(by.user, sha256, content)
