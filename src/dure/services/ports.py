"""What the use cases need from outside: the ledger, clocks and hands, as protocols."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import polars as pl

from dure.core.ledger_record import KIND_CYCLE, KIND_EVENTS, Entry, Record
from dure.core.mail import Mail
from dure.core.measured import Measured
from dure.core.orders import NodeReport, Receipt, StartOrder
from dure.core.site_words import NoLine
from dure.core.storage import FileEntry, Parts, SnapshotRow, SpaceUse, Upload

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "KIND_CYCLE",
    "KIND_EVENTS",
    "Clock",
    "Content",
    "Driver",
    "Entry",
    "Files",
    "Ledger",
    "Line",
    "Lines",
    "Meter",
    "NodeReport",
    "Receipt",
    "Record",
    "StartOrder",
    "TelemetryStore",
]


class Ledger(Protocol):
    """An append-only chain of records, and blobs that can be rebuilt from them."""

    def head(self) -> tuple[int, bytes]:
        """Return (last seq or 0, its hash or 32 zero bytes)."""
        ...

    def append(self, entries: Sequence[Entry], *, expect: int) -> int:
        """Write all or none; return the new head. Raises ConflictError unless head == expect."""
        ...

    def read(self, after: int = 0, upto: int | None = None) -> Iterator[Record]:
        """Yield records with ``after < seq <= upto`` in order."""
        ...

    def put_projection(self, name: str, version: int, seq: int, blob: bytes) -> None:
        """Keep something that folding the records up to ``seq`` would give again."""
        ...

    def get_projection(self, name: str, version: int) -> tuple[int, bytes] | None:
        """Return (seq, blob), or None if there is none of this version."""
        ...

    def close(self) -> None: ...


class Clock(Protocol):
    """The pool's clock."""

    def now_s(self) -> int: ...


class Files(Protocol):
    """Content that is too large for the ledger, each under the SHA-256 of itself."""

    def put(self, name: str, content: bytes) -> None:
        """Keep content for good; durable on return. Raises DriverError."""
        ...

    def get(self, name: str) -> bytes | None: ...


class Post(Protocol):
    """A way for mail out."""

    def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises MailRefused for good, DriverError for now."""
        ...


class Driver(Protocol):
    """Hands of one backend. Every call is idempotent by (job, attempt)."""

    def start(self, order: StartOrder) -> None: ...

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        """Tell a borrower that it must leave by ``stop_by_s``; it may save and leave sooner."""
        ...

    def stop(self, job: str, attempt: int) -> None: ...

    def observe(self) -> Sequence[Receipt]:
        """Return what happened and is not acknowledged yet; nothing is lost."""
        ...

    def acknowledge(self, receipts: Sequence[Receipt]) -> None:
        """Forget receipts that the ledger now holds: they are not reported again."""
        ...

    def clean(self, job: str, attempt: int) -> Mapping[str, object]:
        """Leave nothing of an ended attempt for the next owner, and say what was found.

        Returns:
            job, attempt, ``is_clean``; ``withheld``, if it is not: the nodes that the backend
            keeps closed until they are proven clean. Whatever else is evidence.
        """
        ...

    def nodes(self) -> Sequence[NodeReport]:
        """Return what is known of the nodes now; nothing where there is nothing to say."""
        ...


class Line(Protocol):
    """A stream to an interactive session."""

    @property
    def descriptor(self) -> int:
        """Return its descriptor, which whoever got it closes."""
        ...

    @property
    def tls(self) -> "SSLContext | None":
        """Return what to speak over it as its client; None where it stays on this machine."""
        ...


class Lines(Protocol):
    """Ways to the interactive sessions of a backend."""

    def reach(self, job: str, attempt: int) -> Line | NoLine | None:
        """Return a stream to a session; None if nobody listens there (yet). May take seconds."""
        ...


class Meter(Protocol):
    """Eyes on what GPUs and jobs really use."""

    def read(self, now_s: int) -> Measured:
        """Return what was measured since the last call, a part of it if that is much.

        Raises DriverError if the source does not answer; the next call asks for the same again.
        """
        ...

    def close(self) -> None: ...


class TelemetryStore(Protocol):
    """Samples and their roll-ups, tables of ``reports.rollups``.

    Attributes:
        lost: samples that could not be kept. torn: files found damaged.
    """

    @property
    def lost(self) -> int: ...

    @property
    def torn(self) -> int: ...

    def add(self, samples: pl.DataFrame) -> None:
        """Take samples; they are durable within a minute."""
        ...

    def keep(self, now_s: int, *, at_once: bool = False) -> None:
        """Make durable what is due, roll up, drop what is too old. Raises OSError."""
        ...

    def newest_s(self) -> int:
        """Return the newest durable sample's moment, 0 if there is none."""
        ...

    def samples(self, from_s: int, to_s: int, *, job: str | None = None) -> pl.DataFrame: ...

    def rolled(
        self, from_s: int, to_s: int, *, length_s: int, job: str | None = None
    ) -> pl.DataFrame: ...


class Content(Protocol):
    """A file opened for reading."""

    @property
    def entry(self) -> FileEntry: ...

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on, none at the end."""
        ...

    def sha256(self) -> str: ...

    def close(self) -> None: ...


class ProjectFiles(Protocol):
    """A disk with a folder for each project. Raises FileError for what is a normal answer.

    Anything may change at any moment: jobs write to the same folders. No path leads out of a
    project's folder, and no link is followed.
    """

    def names(self, project: str, parts: Parts) -> Sequence[str]: ...

    def entry(self, project: str, parts: Parts) -> FileEntry: ...

    def open(self, project: str, parts: Parts) -> Content: ...

    def use(self, project: str) -> SpaceUse: ...

    def make_folder(self, project: str, parts: Parts) -> bool: ...

    def remove(self, project: str, parts: Parts, *, with_all: bool) -> str: ...

    def received(self, upload: Upload) -> int:
        """Return how many bytes of an upload have arrived; they stay over restarts."""
        ...

    def holds(self, upload: Upload) -> bool:
        """Tell whether the file is there already, as the sender has it."""
        ...

    def write(self, upload: Upload, offset: int, content: bytes) -> int: ...

    def finish(self, upload: Upload) -> None:
        """Check the sum and give the file its name in one step; durable on return."""
        ...

    def snapshots(self, project: str) -> Sequence[SnapshotRow]: ...

    def take_snapshot(self, project: str, snapshot: str, *, by: str) -> tuple[SnapshotRow, str]: ...

    def restore_snapshot(self, project: str, snapshot: str) -> SnapshotRow: ...

    def remove_snapshot(self, project: str, snapshot: str) -> None: ...
