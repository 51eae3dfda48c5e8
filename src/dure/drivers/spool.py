"""An append-only file of what must not be lost, whatever moment the power goes.

A line each, with its checksum before it. What a crash tore off at the end is cut away; damage
before the end is refused, since what precedes it would be taken for all that there was.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dure.core.errors import DriverError
from dure.drivers import files

# A file that holds this many lines that are over is written anew.
OVER_MAX = 1_000
# Stands in no content, as a line's end does not: both are control characters.
BETWEEN = b"\x1f"


class Spool:
    """Lines by number; ``append`` is durable on return.

    Args:
        path: the file; made if it is not there.

    Raises:
        DriverError: if it is damaged before its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[int, bytes] = {}
        self._over = 0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._last, whole = self._read()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)
        os.fsync(self._file)
        files.sync_folder(str(path.parent))

    @property
    def last(self) -> int:
        """Return the highest number that was ever given."""
        return self._last

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield what is kept, by number."""
        yield from self._lines.items()

    def append(self, contents: Sequence[bytes]) -> Sequence[int]:
        """Keep lines, durably; return their numbers. Raises OSError if the disk is full."""
        if not contents:
            return []
        pairs = list(enumerate(contents, start=self._last + 1))
        # One line for all: a torn one is torn as a whole.
        self._write(b"+%d %s" % (pairs[0][0], BETWEEN.join(contents)))
        self._lines.update(pairs)
        self._last = pairs[-1][0]
        return [number for number, _ in pairs]

    def drop(self, numbers: Sequence[int]) -> None:
        """These are over. Raises OSError if the disk is full; then they stay."""
        known = [number for number in numbers if number in self._lines]
        if not known:
            return
        self._write(b"-" + b",".join(b"%d" % number for number in known))
        for number in known:
            del self._lines[number]
        self._over += len(known)
        if self._over > OVER_MAX:
            self._write_anew()

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        begin = os.lseek(self._file, 0, os.SEEK_CUR)
        whole = b"%08x %s\n" % (zlib.crc32(line), line)
        try:
            done = 0
            while done < len(whole):
                done += os.write(self._file, whole[done:])
            os.fsync(self._file)
        except OSError:
            # Half a line in the middle would be damage; cutting needs no room.
            os.ftruncate(self._file, begin)
            os.lseek(self._file, begin, os.SEEK_SET)
            raise

    def _write_anew(self) -> None:
        """Keep what is not over, and the highest number, in a file that takes the place of this."""
        lines = [b"=%d" % self._last, *(b"+%d %s" % pair for pair in self._lines.items())]
        text = b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in lines)
        files.write_durably(str(self._path), text.decode(errors="surrogateescape"))
        os.close(self._file)
        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        os.lseek(self._file, 0, os.SEEK_END)
        self._over = 0

    def _read(self) -> tuple[int, int]:
        """Return the highest number and how many bytes are whole."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return 0, 0
        last, begin = 0, 0
        while begin < len(content):
            end = content.find(b"\n", begin)
            line = content[begin + 9 : end] if end > 0 else b""
            if end < 0 or content[begin : begin + 9] != b"%08x " % zlib.crc32(line):
                if end >= 0 and end + 1 < len(content):
                    raise DriverError(
                        f"{self._path} is damaged at byte {begin}, before its end; "
                        "bring it back from a backup, or have the site enrolled anew."
                    )
                break
            last = self._take(line, last)
            begin = end + 1
        return last, begin

    def _take(self, line: bytes, last: int) -> int:
        if line[:1] == b"+":
            first, _, together = line[1:].partition(b" ")
            pairs = list(enumerate(together.split(BETWEEN), start=int(first)))
            self._lines.update(pairs)
            return max(last, pairs[-1][0])
        if line[:1] == b"=":
            return max(last, int(line[1:]))
        for number in line[1:].split(b","):
            self._lines.pop(int(number), None)
            self._over += 1
        return last
