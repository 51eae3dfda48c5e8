"""A folder packed for its job: what .dureignore leaves out stays, the same files give one archive.

Source:
    gitignore(5) for the patterns; not taken from it: files of patterns below the top one.
"""

import gzip
import hashlib
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dure.cli.output import note, plain, say, stop
from dure.core.storage import stays_inside

IGNORE = ".dureignore"
ALWAYS_LEFT_OUT = (".git/", "__pycache__/", ".venv/")
BYTES_MAX = 64 << 20
ENTRIES_MAX = 20_000


class Ignored:
    """Patterns as .gitignore has them; the last one that fits decides."""

    def __init__(self, lines: list[str]) -> None:
        self._rules: list[tuple[re.Pattern[str], bool, bool]] = []
        for line in lines:
            text = line.rstrip("\n").rstrip()
            if not text or text.startswith("#"):
                continue
            is_back = text.startswith("!")
            text = text[1:] if is_back else text
            text = text.removeprefix("\\")
            is_folder = text.endswith("/")
            self._rules.append((_regex(text.rstrip("/")), is_back, is_folder))

    def fits(self, path: str, *, is_folder: bool) -> bool:
        """Tell whether something is left out; ``path`` with slashes, from the top."""
        for pattern, is_back, for_folders in reversed(self._rules):
            if (is_folder or not for_folders) and pattern.fullmatch(path):
                return not is_back
        return False


def _regex(pattern: str) -> re.Pattern[str]:
    # A slash in it, but at its end, ties a pattern to the top.
    is_tied = "/" in pattern
    pattern = pattern.removeprefix("/")
    made, at = ("" if is_tied else "(?:.*/)?"), 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            made, at = made + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            made, at = made + ".*", at + 2
        elif pattern[at] == "*":
            made, at = made + "[^/]*", at + 1
        elif pattern[at] == "?":
            made, at = made + "[^/]", at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            inside = f"^{inside[1:]}" if inside[0] in "!^" else inside
            made, at = f"{made}(?!/)[{inside}]", end + 1
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            made, at = made + re.escape(pattern[at]), at + 1
    return re.compile(made, re.DOTALL)


def pack(folder: Path, target: IO[bytes], *, bytes_max: int = BYTES_MAX) -> str:
    """Write a folder as tar.gz; return its sha-256. Nothing of the machine or moment is in it.

    Raises:
        StopError: if it is no folder, or holds too much.
    """
    if not folder.is_dir():
        raise stop("workdir_none", code=2, file=folder)
    left, count = bytes_max, 0
    with (
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=6, filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as stream,
    ):
        for path, about in _below(folder, "", _patterns(folder)):
            count += 1
            member = _member(folder, path, about)
            if member is None:
                note(say("data.passed_over", file=plain(path)))
                continue
            left -= member.size
            if left < 0 or count > ENTRIES_MAX:
                raise stop("workdir_size", code=2, file=folder, most=bytes_max, entries=ENTRIES_MAX)
            if member.isreg():
                with (folder / path).open("rb") as content:
                    stream.addfile(member, content)
            else:
                stream.addfile(member)
    target.seek(0)
    return hashlib.file_digest(target, "sha256").hexdigest()  # type: ignore[arg-type]


def _patterns(folder: Path) -> Ignored:
    try:
        own = (folder / IGNORE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        own = []
    except (OSError, UnicodeDecodeError) as wrong:
        raise stop("cannot_read", code=2, file=folder / IGNORE, why=str(wrong)) from None
    return Ignored([*ALWAYS_LEFT_OUT, *own])


def _below(folder: Path, path: str, ignored: Ignored) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything that is not left out, a folder before what is in it, by name."""
    for name in sorted(os.listdir(folder / path)):
        inner = f"{path}/{name}" if path else name
        about = os.lstat(folder / inner)
        is_folder = stat.S_ISDIR(about.st_mode)
        if ignored.fits(inner, is_folder=is_folder):
            continue
        yield inner, about
        if is_folder:
            yield from _below(folder, inner, ignored)


def _member(folder: Path, path: str, about: os.stat_result) -> tarfile.TarInfo | None:
    """Return what stands in the tar for something, None for what does not go along."""
    member = tarfile.TarInfo(path)
    member.mode, member.mtime = about.st_mode & 0o700, int(about.st_mtime)
    if stat.S_ISDIR(about.st_mode):
        member.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(about.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(folder / path)
        if not stays_inside(tuple(path.split("/")[:-1]), member.linkname):
            return None
    elif stat.S_ISREG(about.st_mode):
        member.size = about.st_size
    else:
        return None
    return member
