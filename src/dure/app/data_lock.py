"""One service a data directory: whoever comes second is told who was first."""

import fcntl
import os
from pathlib import Path

from dure.core.errors import InputError

NAME = ".lock"


class DataLock:
    """A lock on a data directory that ends with its process, however that ends.

    Raises:
        InputError: if another process holds it.
    """

    def __init__(self, data: Path) -> None:
        self._file = os.open(data / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise InputError(
                f"{data}",
                found=f"it in use by process {holder}",
                expected="a data directory that no other service uses",
                next_step="Stop that one, or choose another --data.",
            ) from wrong
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it could let two in at once."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
