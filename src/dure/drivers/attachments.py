"""Attachments as files: each under the SHA-256 of its content, in a folder of its own."""

import os
import re
from pathlib import Path

from dure.core.errors import DriverError
from dure.drivers.files import sync_folder

_NAME = re.compile(r"[0-9a-f]{64}")


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

    def _path(self, name: str) -> Path:
        assert _NAME.fullmatch(name), "a name that is no SHA-256 never comes this far"
        return self._folder / name[:2] / name
