"""Members of a stranger's tar: put below a folder, never through a link, never too much."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from dure.core.errors import InputError
from dure.core.storage import Parts, stays_inside
from dure.drivers import folders


def put_member(
    target: Path,
    parts: Parts,
    member: tarfile.TarInfo,
    content: IO[bytes] | None,
    *,
    where: str,
    bytes_max: int,
) -> Mapping[str, Any]:
    """Put one file, folder or link below ``target`` and say what it is, as a manifest does.

    Args:
        parts: checked.
        where: the archive as a person would name it.
        bytes_max: what a file may hold at most.

    Raises:
        InputError: for anything else than a file, a folder or a link that stays inside, and for
            a file that holds more.
        OSError: if something stands there, or a part of the way is no folder.
    """
    with folders.opened_folder(target, parts[:-1]) as above:
        if member.isdir():
            os.mkdir(parts[-1], 0o700, dir_fd=above)
            return {"kind": "folder"}
        if member.issym() and stays_inside(parts[:-1], member.linkname):
            os.symlink(member.linkname, parts[-1], dir_fd=above)
            return {"kind": "link", "target": member.linkname}
        if content is None:
            raise _refused(where, f"{member.name[:80]!r}, no file, folder or link inside")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(parts[-1], flags, (member.mode & 0o700) | 0o600, dir_fd=above)
        digest, size = hashlib.sha256(), 0
        with open(file, "wb") as written:
            while part := content.read(folders.CHUNK_BYTES):
                size += len(part)
                if size > bytes_max:
                    raise _refused(where, f"{member.name[:80]!r} with more than {bytes_max} bytes")
                digest.update(part)
                written.write(part)
        moment_s = min(max(0, int(member.mtime)), 1 << 40)
        os.utime(parts[-1], (moment_s, moment_s), dir_fd=above, follow_symlinks=False)
        return {"kind": "file", "bytes": size, "sha256": digest.hexdigest()}


class Bounded(io.RawIOBase):
    """A stream that ends with an error after so many bytes, however little they were packed.

    Also the headers of a tar are read into memory, as long as they say they are.
    """

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, *, where: str, bytes_max: int) -> None:
        self._stream, self._where, self._left = stream, where, bytes_max

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._stream.read(len(buffer))
        self._left -= len(part)
        if self._left < 0:
            raise _refused(self._where, "more bytes than it may unpack to")
        buffer[: len(part)] = part
        return len(part)


def read_out(stream: IO[bytes] | gzip.GzipFile | Bounded) -> None:
    """Read a packed stream to its end, where its own sum stands and is checked."""
    while stream.read(folders.CHUNK_BYTES):
        pass


def _refused(where: str, found: str) -> InputError:
    return InputError(where, found=found, expected="plain files, folders and links inside")
