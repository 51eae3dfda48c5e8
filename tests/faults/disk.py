"""A disk between SQLite and the real one that kills, fills up or fails at a chosen operation.

Every write, sync, truncation and removal of any of SQLite's files is one operation, so each of them
is a commit point at which a process can die.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

import apsw

KILL, FULL, FAIL = "kill", "full", "fail"
# A full disk has room again after so many refusals.
FULL_OPERATIONS = 3


class Disk(apsw.VFS):  # type: ignore[misc]
    """The default disk of this process from now on.

    Args:
        what: KILL the process before the operation, refuse writes as FULL, or FAIL it.
        at: the operation, from 1; 0 only counts.
    """

    def __init__(self, what: str, at: int) -> None:
        self.what, self.at, self.count = what, at, 0
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> "File":
        return File(self, name, flags)

    def xDelete(self, name: str, sync_directory: bool) -> None:
        self.operate(lambda: super(Disk, self).xDelete(name, sync_directory))

    def operate(self, act: Callable[[], None], *, writes: bool = False) -> None:
        self.count += 1
        if self.at and self.count >= self.at:
            if self.what == KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.what == FULL and writes and self.count < self.at + FULL_OPERATIONS:
                raise apsw.FullError("no room")
            if self.what == FAIL and self.count == self.at:
                raise apsw.IOError("the disk failed")
        act()


class File(apsw.VFSFile):  # type: ignore[misc]
    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, content: bytes, offset: int) -> None:
        # A kill may leave half of what was to be written.
        if self._disk.what == KILL and self._disk.count + 1 == self._disk.at:
            super().xWrite(content[: len(content) // 2], offset)
        self._disk.operate(lambda: super(File, self).xWrite(content, offset), writes=True)

    def xSync(self, flags: int) -> None:
        self._disk.operate(lambda: super(File, self).xSync(flags))

    def xTruncate(self, size: int) -> None:
        self._disk.operate(lambda: super(File, self).xTruncate(size))
