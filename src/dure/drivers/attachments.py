"""Attachments as files: each under the SHA-256 of its content, in a folder of its own."""

import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO

from dure.core.errors import DriverError, InputError
from dure.drivers.files import sync_folder

_NAME = re.compile(r"[0-9a-f]{64}")
STAGE = ".restoring"


class FolderFiles:
    """Answers the services' ``Files`` with a folder; equal content is kept once.

    Args:
        folder: made if it is missing; only its owner may look into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """Keep content for good; durable on return.

        Raises:
            DriverError: if the disk refuses.
        """
        path = self._path(name)
        if path.exists():
            return
        beside = path.with_name(f"{name}.{os.getpid()}-{os.urandom(6).hex()}.new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(file, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            beside.rename(path)
            sync_folder(str(path.parent))
        except OSError as wrong:
            beside.unlink(missing_ok=True)
            raise DriverError(f"an attachment cannot be kept: {wrong}.") from wrong

    def get(self, name: str) -> bytes | None:
        """Return content, None if nothing is kept under this name."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as wrong:
            raise DriverError(f"an attachment cannot be read: {wrong}.") from wrong

    def names(self) -> list[str]:
        """Return the names of everything that is kept, sorted."""
        try:
            return sorted(path.name for path in _kept_in(self._folder))
        except OSError as wrong:
            raise DriverError(f"attachments cannot be listed: {wrong}.") from wrong

    def pack(
        self, names: Iterable[str], into: IO[bytes], tell: Callable[[int], None]
    ) -> tuple[str, ...]:
        """Write attachments as a tar; return those that are lost or not what their name says.

        Args:
            tell: told how many are done.

        Raises:
            DriverError: if one cannot be read, or the stream not be written.
        """
        lost = []
        try:
            with tarfile.open(fileobj=into, mode="w|") as stream:
                for count, name in enumerate(names, 1):
                    content = self.get(name)
                    if content is None or sha256(content).hexdigest() != name:
                        lost.append(name)
                    else:
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        stream.addfile(member, io.BytesIO(content))
                    tell(count)
        except OSError as wrong:
            raise DriverError(f"attachments cannot be packed: {wrong}.") from wrong
        return tuple(lost)

    def stage(self, source: IO[bytes]) -> None:
        """Unpack what ``pack`` wrote beside what is kept; each must be what its name says.

        Raises:
            InputError: if one is not.
            DriverError: if it cannot be read as a tar, or the disk is full.
        """
        staged = FolderFiles(self._folder / STAGE)
        try:
            with tarfile.open(fileobj=source, mode="r|") as stream:
                for member in stream:
                    content = stream.extractfile(member) if member.isfile() else None
                    kept = b"" if content is None else content.read()
                    if content is None or sha256(kept).hexdigest() != member.name:
                        raise InputError(
                            "attachments",
                            found=f"{member.name[:80]!r}, which is not what its name says",
                            expected="each under the SHA-256 of its content",
                            next_step="Nothing was changed; take another backup.",
                        )
                    staged.put(member.name, kept)
        except (OSError, EOFError, tarfile.TarError) as wrong:
            raise DriverError(f"attachments cannot be unpacked: {wrong}.") from wrong

    def place_staged(self) -> None:
        """Add what is staged to what is kept; repeating is harmless."""
        for path in list(_kept_in(self._folder / STAGE)):
            target = self._path(path.name)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            path.replace(target)
            sync_folder(str(target.parent))
        self.clear_staged()

    def clear_staged(self) -> None:
        """Forget what was staged."""
        shutil.rmtree(self._folder / STAGE, ignore_errors=True)

    def _path(self, name: str) -> Path:
        assert _NAME.fullmatch(name), "a name that is no SHA-256 never comes this far"
        return self._folder / name[:2] / name


def _kept_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("[0-9a-f][0-9a-f]/*") if _NAME.fullmatch(path.name))
