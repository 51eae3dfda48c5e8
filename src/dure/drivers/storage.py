"""Files of projects on a disk that their jobs see too: a folder each, uploads beside it.

``ROOT/projects/PROJECT`` is what jobs find; ``ROOT/kept/PROJECT`` is ours: parts of uploads and
snapshots. Both lie on one disk, so that a whole file takes its name in one step.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import RLock

from dure.core.errors import DriverError
from dure.core.storage import (
    FileEntry,
    FileError,
    FileRefusal,
    PartError,
    Parts,
    SpaceUse,
    Upload,
)
from dure.drivers import folders
from dure.drivers.snapshots import Snapshots

# An upload that nobody went on with for so long is dropped when the next one begins.
UPLOAD_S_MAX = 86_400
# A folder is counted anew at the earliest after this long, or this many times what counting took.
COUNT_S_MIN, COUNT_PAUSE = 5.0, 20


NOTHING = SpaceUse(0, 0, 0, 0)


class OpenFile:
    """A file opened for reading; what is read is of this file even if another takes its name."""

    def __init__(self, file: int, entry: FileEntry) -> None:
        self._file, self.entry = file, entry

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on, none at the end."""
        return os.pread(self._file, size, offset)

    def sha256(self) -> str:
        """Return the sha-256 of the whole content."""
        return folders.sha256_of(self._file)

    def close(self) -> None:
        os.close(self._file)


class LocalFiles(Snapshots):
    """Carries out what the service ``Storage`` decided; knows no people and no quotas.

    Every method raises FileError for what is a normal answer, DriverError for a disk that is full.

    Args:
        root: folder of the pool, ``DIR/here``.
        now_s: the pool's clock.
    """

    def __init__(self, root: Path, *, now_s: Callable[[], int]) -> None:
        super().__init__(root, now_s=now_s)
        self._lock = RLock()
        self._counted: dict[str, tuple[float, float, SpaceUse]] = {}

    # --- looking ---------------------------------------------------------------------------

    def names(self, project: str, parts: Parts) -> list[str]:
        """Return the names in a folder, sorted; those that are no UTF-8 are left out."""
        with _telling(parts), folders.opened_folder(self.folder(project), parts) as folder:
            return sorted(name for name in os.listdir(folder) if _is_utf8(name))

    def entry(self, project: str, parts: Parts) -> FileEntry:
        """Return what stands under a path; the folder itself is a folder without a name."""
        with _telling(parts), self._above(project, parts) as above:
            return _entry(parts, os.stat(_last(parts), dir_fd=above, follow_symlinks=False))

    def open(self, project: str, parts: Parts) -> OpenFile:
        """Open a plain file; the caller closes it."""
        with _telling(parts), self._above(project, parts) as above:
            file = folders.open_plain(above, _last(parts))
            if file is None:
                raise FileError(FileRefusal.NOT_A_FILE, "/".join(parts))
            return OpenFile(file, _entry(parts, os.fstat(file)))

    def use(self, project: str) -> SpaceUse:
        """Count what a project's files take; a recent count is given again, uploads included."""
        with self._lock:
            known = self._counted.get(project)
        now = time.monotonic()
        if known is not None and now < known[0] + max(COUNT_S_MIN, COUNT_PAUSE * known[1]):
            return known[2]
        use = self._count(project) if self.is_used(project) else NOTHING
        with self._lock:
            self._counted[project] = now, time.monotonic() - now, use
        return use

    def changed(self, project: str) -> None:
        with self._lock:
            self._counted.pop(project, None)

    # --- changing --------------------------------------------------------------------------

    def make_folder(self, project: str, parts: Parts) -> bool:
        """Make a folder and those above it; False if it was there."""
        with _telling(parts, FileRefusal.IN_THE_WAY), self._above(project, parts, make=True) as at:
            try:
                os.mkdir(_last(parts), 0o700, dir_fd=at)
            except FileExistsError:
                about = os.stat(_last(parts), dir_fd=at, follow_symlinks=False)
                if folders.kind_of(about) != "folder":
                    raise FileError(FileRefusal.IN_THE_WAY, "/".join(parts)) from None
                return False
            return True

    def remove(self, project: str, parts: Parts, *, with_all: bool) -> str:
        """Remove a file or folder, with all that is in it if asked; return what kind it was."""
        with _telling(parts), self._above(project, parts) as above:
            name = _last(parts)
            kind = folders.kind_of(os.stat(name, dir_fd=above, follow_symlinks=False))
            if kind != "folder":
                os.unlink(name, dir_fd=above)
            elif not with_all:
                os.rmdir(name, dir_fd=above)
            else:
                folders.remove_all(folders.move_to(self.kept(project), above, name))
        self.changed(project)
        return kind

    # --- uploads ---------------------------------------------------------------------------

    def received(self, upload: Upload) -> int:
        """Return how many bytes of an upload have arrived."""
        self._drop_old_uploads(upload.project)
        try:
            return self._part(upload).stat().st_size
        except FileNotFoundError:
            return 0

    def holds(self, upload: Upload) -> bool:
        """Tell whether the file is there already, as the sender has it."""
        try:
            content = self.open(upload.project, upload.parts)
        except FileError:
            return False
        try:
            return content.entry.bytes == upload.bytes and content.sha256() == upload.sha256
        finally:
            content.close()

    def write(self, upload: Upload, offset: int, content: bytes) -> int:
        """Add the next bytes of an upload; return how many have arrived.

        Raises:
            PartError: if ``offset`` is not where the last part ended, or it would grow too long.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with _telling(upload.parts), self._lock:
            file = os.open(self._part(upload), flags, 0o600)
            try:
                size = os.fstat(file).st_size
                if offset != size or size + len(content) > upload.bytes:
                    raise PartError(size)
                os.lseek(file, size, os.SEEK_SET)
                try:
                    folders.write_all(file, content)
                except OSError:
                    # Half a part would be half of nobody's: the sender begins it again.
                    os.ftruncate(file, size)
                    raise
            finally:
                os.close(file)
            return size + len(content)

    def finish(self, upload: Upload) -> None:
        """Check a whole upload and give it its name in one step; durable on return.

        Raises:
            FileError: CHECKSUM_DIFFERS, and what arrived is dropped; IN_THE_WAY.
        """
        part = self._part(upload)
        with _telling(upload.parts, FileRefusal.IN_THE_WAY):
            if upload.bytes == 0:
                part.touch(mode=0o600)
            try:
                file = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                # Another line of the same sender was first.
                if self.holds(upload):
                    return
                raise PartError(0) from None
            try:
                found = folders.sha256_of(file)
                os.fsync(file)
            finally:
                os.close(file)
            if found != upload.sha256:
                part.unlink()
                raise FileError(FileRefusal.CHECKSUM_DIFFERS, upload.path, found=found)
            with self._above(upload.project, upload.parts, make=True) as above:
                before = _bytes_at(above, upload.parts[-1])
                os.rename(part, upload.parts[-1], dst_dir_fd=above)
                os.fsync(above)
        self._count_one(upload, before)

    # --- inside ----------------------------------------------------------------------------

    @contextmanager
    def _above(self, project: str, parts: Parts, *, make: bool = False) -> Iterator[int]:
        with folders.opened_folder(self.folder(project), parts[:-1], make=make) as above:
            yield above

    def _part(self, upload: Upload) -> Path:
        words = (upload.project, upload.by, upload.path, str(upload.bytes), upload.sha256)
        name = hashlib.sha256("\0".join(words).encode()).hexdigest()
        return self.kept(upload.project) / "uploads" / name

    def _drop_old_uploads(self, project: str) -> None:
        for part in (self.kept(project) / "uploads").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > UPLOAD_S_MAX:
                    part.unlink()

    def _count_one(self, upload: Upload, before: int | None) -> None:
        """Add a file to the last count, so that many small ones do not each count all.

        Args:
            before: bytes of the file that it replaced, None if there was none.
        """
        with self._lock:
            if (known := self._counted.get(upload.project)) is not None:
                files = known[2].files + (before is None)
                size = known[2].files_bytes + upload.bytes - (before or 0)
                use = replace(known[2], files=files, files_bytes=size)
                self._counted[upload.project] = known[0], known[1], use

    def _count(self, project: str) -> SpaceUse:
        seen: set[int] = set()
        count = size = 0
        is_least = False
        with folders.opened_folder(self.folder(project)) as folder:
            for found in folders.walk(folder):
                is_least |= found.is_too_deep
                if found.kind != "file" or found.about.st_ino in seen:
                    continue
                if found.about.st_nlink > 1:
                    seen.add(found.about.st_ino)
                count, size = count + 1, size + found.about.st_size
        uploads = sum(one.stat().st_size for one in (self.kept(project) / "uploads").iterdir())
        kept = sum(row.bytes for row in self.snapshots(project))
        return SpaceUse(count, size, uploads, kept, is_least)


def _bytes_at(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def _last(parts: Parts) -> str:
    return parts[-1] if parts else "."


def _entry(parts: Parts, about: os.stat_result) -> FileEntry:
    return FileEntry(
        parts[-1] if parts else "",
        folders.kind_of(about),
        about.st_size if folders.kind_of(about) == "file" else 0,
        int(about.st_mtime),
        f"{about.st_ino:x}-{about.st_size:x}-{about.st_mtime_ns:x}",
    )


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES)


@contextmanager
def _telling(parts: Parts, barred: FileRefusal = FileRefusal.NOT_FOUND) -> Iterator[None]:
    """Turn what the kernel says no to into an answer; ``barred`` if the way there is none."""
    what = "/".join(parts) or "the folder"
    try:
        yield
    except OSError as wrong:
        if wrong.errno == errno.ENOTEMPTY:
            raise FileError(FileRefusal.NOT_EMPTY, what) from None
        if wrong.errno in (errno.EISDIR, errno.EEXIST):
            raise FileError(FileRefusal.IN_THE_WAY, what) from None
        if wrong.errno in _MISSING:
            raise FileError(barred, what) from None
        raise DriverError(
            f"{what}: it cannot be written or read ({wrong.strerror}); look at the disk."
        ) from wrong
