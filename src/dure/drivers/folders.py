"""Folders that strangers write to: opened part by part, never through a link.

A job may swap a folder for a link at any moment, so nothing here takes a path of several parts to
the kernel at once: each part is opened in the one before, and a link is refused.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dure.core.storage import Parts

CHUNK_BYTES = 1_048_576
# Folders nested deeper than this are not walked: each level holds a descriptor open.
WALK_DEPTH_MAX = 128
# Linux, <linux/fs.h>: share the blocks of another file until one of the two is written to.
FICLONE = 0x40049409
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK, so that a pipe that somebody put there is not waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_folder(root: Path, parts: Parts = (), *, make: bool = False) -> Iterator[int]:
    """Open a folder below ``root``; ``make`` those that are missing.

    Raises:
        OSError: if a part is missing, a link or no folder.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=folder)
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def open_plain(folder: int, name: str) -> int | None:
    """Open a plain file for reading; None if what stands there is anything else."""
    try:
        file = os.open(name, _FILE, dir_fd=folder)
    except OSError as wrong:
        # A link, a socket, a device without a driver.
        if wrong.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            return None
        raise
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """Something met on a walk.

    Attributes:
        folder: descriptor of the folder that it lies in, open until the walk goes on.
        parts: its path from where the walk began.
        is_too_deep: a folder that was not looked into.
    """

    folder: int
    parts: Parts
    about: os.stat_result
    is_too_deep: bool = False

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def kind(self) -> str:
        return kind_of(self.about)


def kind_of(about: os.stat_result) -> str:
    """Return what kind of thing this is, as ``FileEntry`` names it."""
    if stat.S_ISREG(about.st_mode):
        return "file"
    if stat.S_ISDIR(about.st_mode):
        return "folder"
    return "link" if stat.S_ISLNK(about.st_mode) else "other"


def walk(folder: int, parts: Parts = ()) -> Iterator[Found]:
    """Meet everything below an open folder, a folder before what is in it, by name."""
    for name in sorted(os.listdir(folder)):
        try:
            about = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        is_folder = stat.S_ISDIR(about.st_mode)
        is_too_deep = is_folder and len(parts) >= WALK_DEPTH_MAX
        yield Found(folder, (*parts, name), about, is_too_deep)
        if not is_folder or is_too_deep:
            continue
        try:
            below = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            # Gone, swapped for a link, or closed to us: not ours to count.
            continue
        try:
            yield from walk(below, (*parts, name))
        finally:
            os.close(below)


def copy_file(source: int, folder: int, name: str, *, mode: int = 0o600) -> tuple[int, str]:
    """Copy an open file to a new name, sharing its blocks if the disk can.

    Returns:
        Bytes and sha-256 of the copy itself: whatever happens to the source meanwhile. It is not
        durable yet.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    target = os.open(name, flags, mode, dir_fd=folder)
    try:
        try:
            fcntl.ioctl(target, FICLONE, source)
        except OSError:
            _copy_bytes(source, target, os.fstat(source).st_size)
        return os.fstat(target).st_size, sha256_of(target)
    finally:
        os.close(target)


def sha256_of(file: int) -> str:
    """Return the sha-256 of an open file from its first byte on."""
    os.lseek(file, 0, os.SEEK_SET)
    digest = hashlib.sha256()
    while part := os.read(file, CHUNK_BYTES):
        digest.update(part)
    return digest.hexdigest()


def move_to(kept: Path, folder: int, name: str) -> Path:
    """Move something into a new folder below ``kept`` in one step; return that folder."""
    place = Path(tempfile.mkdtemp(prefix="gone-", dir=kept))
    with opened_folder(place) as target:
        # To move a folder is to write to it (its "..").
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                os.chmod(name, 0o700, dir_fd=folder)
        os.rename(name, "it", src_dir_fd=folder, dst_dir_fd=target)
    return place


def remove_all(place: Path) -> None:
    """Remove a folder of ours with everything in it, however deep and however closed.

    Folders are brought up to the top before they are emptied, so no path gets too long and no
    stack too high.
    """
    count = 0
    with opened_folder(place) as top:
        while names := os.listdir(top):
            for name in names:
                if kind_of(os.stat(name, dir_fd=top, follow_symlinks=False)) != "folder":
                    os.unlink(name, dir_fd=top)
                    continue
                os.chmod(name, 0o700, dir_fd=top)
                below = os.open(name, _FOLDER, dir_fd=top)
                try:
                    for inner in os.listdir(below):
                        about = os.stat(inner, dir_fd=below, follow_symlinks=False)
                        if kind_of(about) != "folder":
                            os.unlink(inner, dir_fd=below)
                            continue
                        os.chmod(inner, 0o700, dir_fd=below)
                        count += 1
                        os.rename(inner, str(count), src_dir_fd=below, dst_dir_fd=top)
                finally:
                    os.close(below)
                os.rmdir(name, dir_fd=top)
    place.rmdir()


def write_all(file: int, content: bytes) -> None:
    """Write all of it, however little the kernel takes at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def _copy_bytes(source: int, target: int, size: int) -> None:
    """Copy what was there when we began; a job may go on writing for ever."""
    os.lseek(source, 0, os.SEEK_SET)
    while size and (part := os.read(source, min(size, CHUNK_BYTES))):
        write_all(target, part)
        size -= len(part)
