"""Files of projects: who may, how much, and what is written down of it.

Only the people of a project see its files; the office and the audit see how much they take. What
is refused and why comes as ``FileError``; both screens show its sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from dure.core.events import Event
from dure.core.events.storage import (
    FileRemoved,
    FileUploaded,
    FolderMade,
    SnapshotRemoved,
    SnapshotRestored,
    SnapshotTaken,
)
from dure.core.storage import (
    FileEntry,
    FileError,
    FileRefusal,
    Parts,
    SnapshotRow,
    SpaceUse,
    Upload,
)
from dure.services.access import Actor, require
from dure.services.book import Book
from dure.services.ports import Clock, Content, ProjectFiles

# Room is held for an upload under way; one that says nothing for so long has been broken off.
HELD_S_MAX = 600


@dataclass(frozen=True, slots=True)
class StorageUse:
    """What a project's files take, beside what they may; ``free_bytes`` is never negative."""

    use: SpaceUse
    quota_bytes: int

    @property
    def free_bytes(self) -> int:
        return max(0, self.quota_bytes - self.use.total_bytes)

    @property
    def over_bytes(self) -> int:
        """Return by how much they are beyond the quota: only jobs can get there."""
        return max(0, self.use.total_bytes - self.quota_bytes)


class Storage:
    """The files of all projects of one pool.

    Args:
        files: the disk.
        book: the pool's ledger, as people write to it.
        quota_bytes: of each project: its files, uploads under way and snapshots together.
    """

    def __init__(self, files: ProjectFiles, book: Book, clock: Clock, *, quota_bytes: int) -> None:
        self._files, self._book, self._clock = files, book, clock
        self.quota_bytes = quota_bytes
        self._held: dict[Upload, tuple[int, int]] = {}
        self._lock = Lock()

    def now_s(self) -> int:
        """Return the moment on the clock of the pool that holds the files."""
        return self._clock.now_s()

    # --- looking ---------------------------------------------------------------------------

    def use(self, project: str, *, by: Actor) -> StorageUse:
        require(by, "storage.read", owner=project)
        return StorageUse(self._files.use(project), self.quota_bytes)

    def names(self, project: str, parts: Parts, *, by: Actor) -> Sequence[str]:
        """Return the names in a folder, sorted."""
        require(by, "data.read", owner=project)
        return self._files.names(project, parts)

    def entry(self, project: str, parts: Parts, *, by: Actor) -> FileEntry:
        require(by, "data.read", owner=project)
        return self._files.entry(project, parts)

    def open(self, project: str, parts: Parts, *, by: Actor) -> Content:
        """Open a file; the caller closes it."""
        require(by, "data.read", owner=project)
        return self._files.open(project, parts)

    def snapshots(self, project: str, *, by: Actor) -> Sequence[SnapshotRow]:
        require(by, "data.read", owner=project)
        return self._files.snapshots(project)

    # --- uploads ---------------------------------------------------------------------------

    def holds(self, upload: Upload, *, by: Actor) -> bool:
        """Tell whether the file is there already; it is read to its end if it is as long."""
        require(by, "data.write", owner=upload.project)
        return self._files.holds(upload)

    def begin(self, upload: Upload, *, by: Actor) -> int:
        """Begin an upload or take it up again; return how many bytes have arrived before.

        Raises:
            FileError: QUOTA_IS_SPENT.
        """
        require(by, "data.write", owner=upload.project)
        assert upload.by == by.user, "an upload belongs to whoever sends it"
        offset, now_s = self._files.received(upload), self._clock.now_s()
        left = upload.bytes - offset
        free = self.use(upload.project, by=by).free_bytes
        with self._lock:
            fresh = {one: held for one, held in self._held.items() if held[1] > now_s - HELD_S_MAX}
            fresh.pop(upload, None)
            free -= sum(held for one, (held, _) in fresh.items() if one.project == upload.project)
            if left > free:
                raise self._spent(left, free)
            self._held = {**fresh, upload: (left, now_s)}
        return offset

    def write(self, upload: Upload, offset: int, content: bytes, *, by: Actor) -> int:
        """Add the next part; return how many bytes have arrived. Raises PartError."""
        require(by, "data.write", owner=upload.project)
        arrived = self._files.write(upload, offset, content)
        with self._lock:
            self._held[upload] = upload.bytes - arrived, self._clock.now_s()
        return arrived

    def finish(self, upload: Upload, *, by: Actor) -> None:
        """Give a whole upload its name, if its checksum is what the sender said."""
        require(by, "data.write", owner=upload.project)
        try:
            self._files.finish(upload)
        finally:
            with self._lock:
                self._held.pop(upload, None)
        self._write(
            FileUploaded(
                at_s=self._clock.now_s(),
                by=by.user,
                project=upload.project,
                path=upload.path,
                bytes=upload.bytes,
                sha256=upload.sha256,
            )
        )

    # --- changing --------------------------------------------------------------------------

    def make_folder(self, project: str, parts: Parts, *, by: Actor) -> bool:
        """Make a folder; False if it was there."""
        require(by, "data.write", owner=project)
        is_new = self._files.make_folder(project, parts)
        if is_new:
            path = "/".join(parts)
            self._write(
                FolderMade(at_s=self._clock.now_s(), by=by.user, project=project, path=path)
            )
        return is_new

    def remove(self, project: str, parts: Parts, *, with_all: bool, by: Actor) -> None:
        """Remove a file or folder; one with something in it only ``with_all``."""
        require(by, "data.write", owner=project)
        kind = self._files.remove(project, parts, with_all=with_all)
        path = "/".join(parts)
        self._write(
            FileRemoved(at_s=self._clock.now_s(), by=by.user, project=project, path=path, kind=kind)
        )

    def take_snapshot(self, project: str, snapshot: str, *, by: Actor) -> SnapshotRow:
        """Keep all files of a project under a name.

        Raises:
            FileError: QUOTA_IS_SPENT, SNAPSHOT_IS_THERE, TOO_MANY_SNAPSHOTS, TOO_MANY_FILES.
        """
        require(by, "data.write", owner=project)
        used = self.use(project, by=by)
        if used.use.files_bytes > used.free_bytes:
            raise self._spent(used.use.files_bytes, used.free_bytes)
        row, sha256 = self._files.take_snapshot(project, snapshot, by=by.user)
        self._write(
            SnapshotTaken(
                at_s=self._clock.now_s(),
                by=by.user,
                project=project,
                snapshot=snapshot,
                files=row.files,
                bytes=row.bytes,
                sha256=sha256,
                left_out=row.left_out,
            )
        )
        return row

    def restore_snapshot(self, project: str, snapshot: str, *, by: Actor) -> SnapshotRow:
        """Make a project's files what they were; what stands there now is gone."""
        require(by, "data.write", owner=project)
        row = self._files.restore_snapshot(project, snapshot)
        self._write(
            SnapshotRestored(
                at_s=self._clock.now_s(),
                by=by.user,
                project=project,
                snapshot=snapshot,
                files=row.files,
                bytes=row.bytes,
            )
        )
        return row

    def remove_snapshot(self, project: str, snapshot: str, *, by: Actor) -> None:
        require(by, "data.write", owner=project)
        self._files.remove_snapshot(project, snapshot)
        self._write(
            SnapshotRemoved(
                at_s=self._clock.now_s(), by=by.user, project=project, snapshot=snapshot
            )
        )

    # --- inside ----------------------------------------------------------------------------

    def _spent(self, asked: int, free: int) -> FileError:
        return FileError(
            FileRefusal.QUOTA_IS_SPENT,
            "storage",
            asked_bytes=asked,
            free_bytes=max(0, free),
            quota_bytes=self.quota_bytes,
        )

    def _write(self, event: Event) -> None:
        self._book.append([event])
