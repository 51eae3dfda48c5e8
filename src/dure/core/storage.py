"""Files of a project as people, services and disks name them: paths, entries, use, snapshots.

Services and drivers are strangers; these are the words between them.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dure.core.errors import DureError, InputError

NAME_BYTES_MAX: Final = 255
PATH_BYTES_MAX: Final = 1_024
DEPTH_MAX: Final = 64
SHA256: Final = re.compile(r"[0-9a-f]{64}")
# Names of snapshots become names of folders.
SNAPSHOT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Controls, halves of letters, and what turns the reading direction: a name must be what it shows.
_HIDDEN = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Parts = tuple[str, ...]


class FileRefusal(Enum):
    """Why something was not done with files. The values are stable: reports count them."""

    NOT_FOUND = "FileIsNotThere"
    NOT_A_FILE = "NotAPlainFile"
    IN_THE_WAY = "SomethingIsInTheWay"
    NOT_EMPTY = "FolderIsNotEmpty"
    QUOTA_IS_SPENT = "QuotaIsSpent"
    CHECKSUM_DIFFERS = "ChecksumDiffers"
    TOO_MANY_SNAPSHOTS = "TooManySnapshots"
    TOO_MANY_FILES = "TooManyFiles"
    SNAPSHOT_IS_THERE = "SnapshotIsThere"
    SNAPSHOT_IS_DAMAGED = "SnapshotIsDamaged"
    TOO_MANY_WORKDIRS = "TooManyWorkdirs"


class FileError(DureError):
    """Something cannot be done with files; ``refusal`` says why, ``numbers`` fill its sentence."""

    def __init__(self, refusal: FileRefusal, what: str, **numbers: int | str) -> None:
        told = ", ".join(f"{name} {value}" for name, value in numbers.items())
        super().__init__(f"{what}: {refusal.value}{f' ({told})' if told else ''}")
        self.refusal, self.numbers = refusal, numbers


class PartError(DureError):
    """A part of an upload does not begin where the last one ended, at ``offset``."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload goes on at byte {offset}; send the next part from there.")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What stands under a name.

    Attributes:
        kind: ``file``, ``folder``, ``link`` or ``other`` (a pipe, a socket: never opened).
        etag: changes whenever the content may have.
    """

    name: str
    kind: str
    bytes: int
    modified_at_s: int
    etag: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way: who sends what to where. Sent again after a break, it goes on.

    Attributes:
        bytes: of the whole file; ``sha256``: its checksum, lower-case hex.
        by: the user who sends it; two users' uploads never mix.
    """

    project: str
    parts: Parts
    bytes: int
    sha256: str
    by: str

    @property
    def path(self) -> str:
        """Return where the file will lie, inside the project's folder."""
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class SpaceUse:
    """Bytes that a project's files take; a file with several names counts once.

    Attributes:
        uploads_bytes: of uploads that are under way or were broken off.
        is_least: there is more than could be counted (folders nested too deep).
    """

    files: int
    files_bytes: int
    uploads_bytes: int
    snapshots_bytes: int
    is_least: bool = False

    @property
    def total_bytes(self) -> int:
        """Return what counts against the project's quota."""
        return self.files_bytes + self.uploads_bytes + self.snapshots_bytes


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A snapshot of a project's files: kept whole, with the sha-256 of each."""

    snapshot: str
    taken_at_s: int
    taken_by: str
    files: int
    bytes: int
    left_out: int


def checked_path(text: str, *, is_new: bool = False) -> Parts:
    """Return the parts of a path inside a project's folder; none for the folder itself.

    Args:
        is_new: something is to be made there, so its name must also be fit to be seen.

    Raises:
        InputError: if it leads out of the folder or can be no path.
    """

    def refuse(expected: str) -> InputError:
        """Make the error that names this path."""
        return InputError("path", found=repr(text[:80]), expected=expected)

    text = text.removeprefix("/").removesuffix("/")
    if not text:
        return ()
    parts = tuple(text.split("/"))
    try:
        is_long = len(text.encode()) > PATH_BYTES_MAX
        is_long |= any(len(part.encode()) > NAME_BYTES_MAX for part in parts)
    except UnicodeEncodeError:
        raise refuse("letters of UTF-8") from None
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise refuse("names with single slashes between them, none of them '.' or '..'")
    if is_long or len(parts) > DEPTH_MAX:
        raise refuse(
            f"at most {PATH_BYTES_MAX} bytes, {NAME_BYTES_MAX} a name, {DEPTH_MAX} folders deep"
        )
    if is_new and any(_is_hidden(sign) for sign in text):
        raise refuse("signs that can be seen: no control characters, no changes of direction")
    return parts


def checked_sha256(text: str) -> str:
    """Return a sha-256 as lower-case hex. Raises InputError if it is none."""
    if SHA256.fullmatch(text.lower()) is None:
        raise InputError("sha256", found=repr(text[:80]), expected="64 hexadecimal digits")
    return text.lower()


def checked_snapshot(text: str) -> str:
    """Return a snapshot's name. Raises InputError if it can be none."""
    if SNAPSHOT.fullmatch(text) is None:
        raise InputError(
            "snapshot",
            found=repr(text[:80]),
            expected="1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first",
        )
    return text


def stays_inside(folder: Parts, target: str) -> bool:
    """Tell whether a link's text, read in ``folder``, never leaves the project's folder.

    Steps up may only come first: after another link they would lead up from wherever that led.
    """
    steps = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((place for place, part in enumerate(steps) if part != ".."), len(steps))
    return not target.startswith("/") and ups <= len(folder) and ".." not in steps[ups:]


def _is_hidden(sign: str) -> bool:
    return sign in _HIDDEN or unicodedata.category(sign) in ("Cc", "Cs", "Co", "Zl", "Zp")
