"""A disk of projects' files, and what tests do with it again and again."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.core.storage import FileError, FileRefusal, Upload, checked_path
from dure.drivers.storage import LocalFiles

NOW_S = 1_790_000_000
P = "p-1"


def disk_at(root: Path) -> LocalFiles:
    return LocalFiles(root / "here", now_s=lambda: NOW_S)


def upload_of(path: str, content: bytes, *, by: str = "kim", sha256: str = "") -> Upload:
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    return Upload(P, checked_path(path), len(content), sha256, by)


def send(disk: LocalFiles, path: str, content: bytes) -> None:
    upload = upload_of(path, content)
    disk.write(upload, 0, content)
    disk.finish(upload)


def refused(act: Callable[[], object]) -> FileRefusal:
    with pytest.raises(FileError) as refusal:
        act()
    return refusal.value.refusal


def tree(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
