"""Folders that people send along with their jobs: kept by checksum, unpacked before an attempt.

``ROOT/workdirs/USER/SHA256.tar.gz``: whoever did not send an archive cannot name it.
"""

import contextlib
import gzip
import hashlib
import os
import re
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

from dure.core.errors import DriverError, InputError
from dure.core.storage import FileError, FileRefusal, checked_path, checked_sha256
from dure.drivers import folders
from dure.drivers.files import sync_folder
from dure.drivers.members import Bounded, put_member, read_out

USER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ENTRIES_MAX = 20_000
KEPT_MAX = 64
# An archive that no job named for so long may go when its owner sends another.
KEPT_S_MIN = 30 * 86_400
# Headers of a tar around what it holds.
OVERHEAD_BYTES = 1_024 * ENTRIES_MAX


class LocalWorkdirs:
    """Archives of work folders on the pool's machine.

    Args:
        root: folder of the pool.
        bytes_max: what the files of one may hold together.
    """

    def __init__(self, root: Path, *, bytes_max: int) -> None:
        self._root, self.bytes_max = root.resolve(), bytes_max

    def holds(self, user: str, sha256: str) -> bool:
        """Tell whether a user sent this; from now on it is kept for another while."""
        path = archive_of(self._root, f"{user}/{sha256}")
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def keep(self, user: str, sha256: str, content: Iterable[bytes]) -> None:
        """Keep an archive under its checksum, once it has been unpacked to see whether it can be.

        Raises:
            FileError: CHECKSUM_DIFFERS, TOO_MANY_WORKDIRS.
            InputError: if it holds too much, or what a work folder may not.
            DriverError: if the disk is full.
        """
        path = archive_of(self._root, f"{user}/{sha256}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(path.parent)
        stage = Path(tempfile.mkdtemp(prefix="sent-", dir=self._root / "workdirs"))
        try:
            beside, digest, size = stage / "archive", hashlib.sha256(), 0
            with beside.open("wb") as file:
                for part in content:
                    size += len(part)
                    if size > self.bytes_max + OVERHEAD_BYTES:
                        raise _too_much(self.bytes_max)
                    digest.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            if digest.hexdigest() != sha256:
                raise FileError(FileRefusal.CHECKSUM_DIFFERS, sha256, found=digest.hexdigest())
            (stage / "files").mkdir()
            _unpack(beside, stage / "files", self.bytes_max)
            beside.rename(path)
            sync_folder(str(path.parent))
        except OSError as wrong:
            raise DriverError(f"a work folder cannot be kept ({wrong.strerror}).") from wrong
        finally:
            folders.remove_all(stage)


def archive_of(root: Path, workdir: str) -> Path:
    """Return where an archive lies that a recipe names as ``USER/SHA256``."""
    user, _, sha256 = workdir.partition("/")
    if USER.fullmatch(user) is None:
        raise InputError("workdir", found=repr(user[:80]), expected="USER/SHA256")
    return root / "workdirs" / user / f"{checked_sha256(sha256)}.tar.gz"


def lay_work_dir(work_dir: Path, *, archive: Path | None, project_dir: Path | None) -> None:
    """Make the folder where a job begins; what is there already stays.

    Args:
        archive: what it holds at first.
        project_dir: made too; a link ``project`` leads to it.

    Raises:
        DriverError: as ``unpack_work_dir``.
        OSError: if the disk is full.
    """
    if archive is not None:
        unpack_work_dir(archive, work_dir)
    work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if project_dir is not None:
        project_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A job may have put something of its own there; it stays.
        with contextlib.suppress(FileExistsError):
            (work_dir / "project").symlink_to(project_dir)


def unpack_work_dir(archive: Path, work_dir: Path) -> None:
    """Make a job's work folder of an archive, in one step; a folder that is there stays.

    Raises:
        DriverError: if the archive is gone or cannot be unpacked.
    """
    if work_dir.exists():
        return
    beside = work_dir.with_name(f"{work_dir.name}.new")
    if not archive.exists():
        raise DriverError(
            f"{work_dir.parent.name}: the folder sent with it is not kept any more; send it again."
        )
    try:
        if beside.exists():
            # Left by a crash in the middle.
            folders.remove_all(beside)
        beside.mkdir(mode=0o700, parents=True)
        _unpack(archive, beside, 1 << 50)
        beside.rename(work_dir)
    except (OSError, InputError) as wrong:
        raise DriverError(
            f"{work_dir.parent.name}: the folder sent with it cannot be unpacked ({wrong}); "
            "send the job again."
        ) from wrong


def _unpack(archive: Path, target: Path, bytes_max: int) -> None:
    left = bytes_max
    try:
        with gzip.open(archive) as unpacked:
            plain = Bounded(unpacked, where="workdir", bytes_max=bytes_max + OVERHEAD_BYTES)
            with tarfile.open(fileobj=plain, mode="r|") as stream:
                for count, member in enumerate(stream):
                    if count >= ENTRIES_MAX:
                        raise InputError(
                            "workdir", found=f"more than {ENTRIES_MAX} entries", expected="fewer"
                        )
                    parts = checked_path(member.name)
                    content = stream.extractfile(member) if member.isfile() else None
                    made = put_member(
                        target, parts, member, content, where="workdir", bytes_max=left
                    )
                    left -= int(made.get("bytes", 0))
            read_out(plain)
    except (EOFError, tarfile.TarError, zlib.error, gzip.BadGzipFile, ValueError) as wrong:
        raise InputError("workdir", found=str(wrong), expected="a whole tar.gz") from wrong
    except (FileExistsError, NotADirectoryError, FileNotFoundError, IsADirectoryError) as wrong:
        raise InputError(
            "workdir", found=str(wrong), expected="each name once, its folder before it"
        ) from wrong


def _make_room(folder: Path) -> None:
    """Let the oldest go that no job named for long. Raises FileError if none may."""
    kept = sorted((path.stat().st_mtime, path) for path in folder.iterdir())
    for used_at_s, path in kept[: max(0, len(kept) - KEPT_MAX + 1)]:
        if time.time() - used_at_s < KEPT_S_MIN:
            raise FileError(FileRefusal.TOO_MANY_WORKDIRS, folder.name, most=KEPT_MAX)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _too_much(bytes_max: int) -> InputError:
    return InputError("workdir", found="more bytes", expected=f"at most {bytes_max}")
