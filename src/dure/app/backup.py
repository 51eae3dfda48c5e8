"""A whole platform in one file, and back: its ledgers, what applications hold, files of projects.

For whoever runs the machine, with or without a running service: ``dure backup`` and ``restore``.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from dure.app.ledgers import address_of
from dure.app.settings import ATTACHMENTS, HERE
from dure.core.errors import LedgerError
from dure.core.events.applying import AttachmentAdded
from dure.core.ledger_record import KIND_EVENTS
from dure.core.orders import JOB_ID
from dure.drivers.archives import pack_into, stage_from
from dure.drivers.attachments import FolderFiles
from dure.drivers.storage import LocalFiles
from dure.ledger.backup import Manifest, back_up, restore
from dure.ledger.beside import Part, Tell
from dure.ledger.codec import decode_events
from dure.ledger.sqlite import SqliteLedger

OF_ATTACHMENTS = "attachments.tar"
_BEFORE, _AFTER = "projects/", ".tar"
# A record that attaches something holds this word; the others need not be decoded to know.
_WORD = AttachmentAdded.__name__.encode()


@dataclass(frozen=True, slots=True)
class Backup:
    """What was backed up.

    Attributes:
        lost: attachments that a ledger names and that are not there, or not what their name says;
            they are not in the backup.
        left_out: projects that have files, which were not asked for.
    """

    manifest: Manifest
    lost: tuple[str, ...]
    left_out: int


def back_up_platform(
    data: Path, archive: Path, *, tell: Tell, db: str = "", with_projects: bool = False
) -> Backup:
    """Write all ledgers, all attachments and, if asked, all files of projects into one file.

    The platform may go on working meanwhile.

    Raises:
        LedgerError, DriverError, InputError: in words for a person; then there is no file.
    """
    beside = _Beside(data, tell, with_projects=with_projects)
    if db:
        from dure.ledger.backup_postgres import back_up_database

        address = address_of(db)
        manifest = back_up_database(address, data, archive, beside=beside, tell=tell)
    else:
        manifest = back_up(data, archive, beside=beside, tell=tell)
    return Backup(manifest, beside.lost, 0 if with_projects else len(beside.files.projects()))


def restore_platform(
    archive: Path, data: Path, *, tell: Tell, db: str = "", force: bool = False
) -> Manifest:
    """Put everything that a backup holds in its place, verified, or nothing.

    Raises:
        LedgerError, DriverError, InputError: in words for a person; nothing was changed.
    """
    beside = _Beside(data, tell, is_forced=force)
    if db:
        from dure.ledger.backup_postgres import restore_database

        address = address_of(db)
        restored = restore_database(archive, address, data, force=force, beside=beside, tell=tell)
        if any(copy.name.startswith(f"{HERE}/") for copy in restored.ledgers):
            # Whoever restores says that the jobs of this pool belong here from now on; without
            # the folder no engine on this machine would lead it.
            (data / HERE / "open").mkdir(mode=0o700, parents=True, exist_ok=True)
        return restored
    return restore(archive, data, force=force, beside=beside, tell=tell)


class _Beside:
    """Answers the ledgers' ``Beside`` with the folders of a data directory."""

    def __init__(
        self, data: Path, tell: Tell, *, with_projects: bool = False, is_forced: bool = False
    ) -> None:
        self._tell, self._with_projects, self._is_forced = tell, with_projects, is_forced
        self.attachments = FolderFiles(data / ATTACHMENTS)
        self.files = LocalFiles(data / HERE, now_s=lambda: int(time.time()))
        self.lost: tuple[str, ...] = ()

    def parts(self, ledgers: Sequence[Path]) -> Sequence[Part]:
        names = sorted({*self.attachments.names(), *_attached(ledgers)})
        kept: list[Part] = []
        if names:
            kept.append(_Part(OF_ATTACHMENTS, partial(self._pack_attachments, names)))
        for project in self.files.projects() if self._with_projects else ():
            kept.append(_Part(f"{_BEFORE}{project}{_AFTER}", partial(self._pack_project, project)))
        return kept

    def require_room(self, names: Sequence[str]) -> None:
        taken = []
        for name in names:
            if name == OF_ATTACHMENTS:
                is_taken = bool(self.attachments.names())
            else:
                project = _project_of(name)
                is_taken = self.files.is_used(project) and any(self.files.folder(project).iterdir())
            taken += [name.removesuffix(_AFTER)] if is_taken else []
        if taken and not self._is_forced:
            raise LedgerError(
                f"found {', '.join(taken[:5])} there already; nothing was changed. "
                "Choose another directory, or say --force to replace them."
            )

    def stage(self, name: str, source: IO[bytes]) -> None:
        self._tell(name, 0, 1)
        if name == OF_ATTACHMENTS:
            self.attachments.stage(source)
        else:
            stage_from(self.files, _project_of(name), source, name)

    def place(self) -> None:
        self.attachments.place_staged()
        self.files.place_staged()

    def clear(self) -> None:
        self.attachments.clear_staged()
        self.files.clear_staged()

    def _pack_attachments(self, names: Sequence[str], into: IO[bytes]) -> None:
        tell = partial(self._tell, OF_ATTACHMENTS)
        self.lost = self.attachments.pack(names, into, lambda done: tell(done, len(names)))

    def _pack_project(self, project: str, into: IO[bytes]) -> None:
        name, size = f"{_BEFORE}{project}{_AFTER}", self.files.use(project).files_bytes
        counted = _Counted(into, lambda done: self._tell(name, min(done, size), size))
        pack_into(self.files, project, counted)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    write: Callable[[IO[bytes]], None]


class _Counted:
    """A stream that tells how much was written to it."""

    def __init__(self, stream: IO[bytes], tell: Callable[[int], None]) -> None:
        self._stream, self._tell, self._bytes = stream, tell, 0

    def write(self, part: bytes) -> int:
        self._bytes += len(part)
        self._tell(self._bytes)
        return self._stream.write(part)


def _attached(ledgers: Sequence[Path]) -> set[str]:
    """Return every attachment that these ledgers name."""
    named: set[str] = set()
    for path in ledgers:
        with closing(SqliteLedger(path, read_only=True)) as ledger:
            for record in ledger.read():
                if record.kind == KIND_EVENTS and _WORD in record.payload:
                    events = decode_events(record.payload)
                    named |= {one.attachment for one in events if isinstance(one, AttachmentAdded)}
    return named


def _project_of(name: str) -> str:
    project = name.removeprefix(_BEFORE).removesuffix(_AFTER)
    if name != f"{_BEFORE}{project}{_AFTER}" or JOB_ID.fullmatch(project) is None:
        raise LedgerError(f"found {name} in the backup, which is no part of a platform.")
    return project
