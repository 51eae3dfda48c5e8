"""Snapshots of a project's files: a copy that shares blocks where the disk can, and its manifest.

A snapshot is ``kept/PROJECT/snapshots/NAME``: ``files/``, ``manifest.jsonl`` with a line for each
folder, file and link, and ``about.json`` with the manifest's own sha-256. It takes its name when it
is whole, so a half one has none.
"""

import ctypes
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dure.core.errors import DriverError, InputError
from dure.core.orders import JOB_ID, checked_job_id
from dure.core.storage import (
    FileError,
    FileRefusal,
    Parts,
    SnapshotRow,
    checked_path,
    checked_snapshot,
    stays_inside,
)
from dure.drivers import folders

ENTRIES_MAX = 1_000_000
SNAPSHOTS_MAX = 32
# Linux, <linux/fs.h>: two names change places in one step.
RENAME_EXCHANGE = 2
AT_FDCWD = -100

Line = Mapping[str, Any]


class Snapshots:
    """Folders of projects and what is kept of them.

    Args:
        root: folder of the pool, ``DIR/here``.
        now_s: the pool's clock.
    """

    def __init__(self, root: Path, *, now_s: Callable[[], int]) -> None:
        self._root, self._now_s = root.resolve(), now_s

    def folder(self, project: str) -> Path:
        """Return the folder that a project's jobs find; made if it is missing."""
        place = self._root / "projects" / checked_job_id(project)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def is_used(self, project: str) -> bool:
        """Tell whether a project has a folder; to ask makes none."""
        return (self._root / "projects" / checked_job_id(project)).is_dir()

    def kept(self, project: str) -> Path:
        """Return the folder of what is ours of a project; made if it is missing."""
        place = self._root / "kept" / checked_job_id(project)
        for name in ("uploads", "snapshots"):
            (place / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def kept_root(self) -> Path:
        """Return the folder of what is ours of all projects, on the disk of their files."""
        place = self._root / "kept"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def snapshot_place(self, project: str, snapshot: str) -> Path:
        """Return where a snapshot lies. Raises FileError if there is none of this name."""
        place = self.kept(project) / "snapshots" / checked_snapshot(snapshot)
        if not place.is_dir():
            raise FileError(FileRefusal.NOT_FOUND, snapshot)
        return place

    def changed(self, project: str) -> None:
        """Much of what a project has is other than it was: whoever counted it forgets that."""

    def snapshots(self, project: str) -> Sequence[SnapshotRow]:
        """Return a project's snapshots, the oldest first."""
        found = [_about(place) for place in self._taken(project)]
        rows = [
            SnapshotRow(
                str(one["snapshot"]), int(one["taken_at_s"]), str(one["taken_by"]),
                int(one["files"]), int(one["bytes"]), int(one["left_out"]),
            )
            for one in found if one
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row.taken_at_s, row.snapshot))

    def take_snapshot(self, project: str, snapshot: str, *, by: str) -> tuple[SnapshotRow, str]:
        """Keep all files of a project; return what was kept and the manifest's sha-256.

        What a job writes meanwhile is in it or not, file by file.
        """
        place = self.kept(project) / "snapshots" / checked_snapshot(snapshot)
        if place.exists():
            raise FileError(FileRefusal.SNAPSHOT_IS_THERE, snapshot, snapshot=snapshot)
        if len(self._taken(project)) >= SNAPSHOTS_MAX:
            raise FileError(FileRefusal.TOO_MANY_SNAPSHOTS, project, most=SNAPSHOTS_MAX)
        with self._making(project) as making:
            totals = _copied(self.folder(project), making)
            about = {
                "snapshot": snapshot, "taken_at_s": self._now_s(), "taken_by": by, **totals,
            }  # fmt: skip
            (making / "about.json").write_text(json.dumps(about))
            # One wait for all files, not one for each.
            os.sync()
            making.rename(place)
        self.changed(project)
        row = next(one for one in self.snapshots(project) if one.snapshot == snapshot)
        return row, str(totals["sha256"])

    def remove_snapshot(self, project: str, snapshot: str) -> None:
        """Remove a snapshot; it has no name any more when its first file goes."""
        with folders.opened_folder(self.kept(project) / "snapshots") as above:
            try:
                gone = folders.move_to(self.kept(project), above, checked_snapshot(snapshot))
            except FileNotFoundError:
                raise FileError(FileRefusal.NOT_FOUND, snapshot) from None
        folders.remove_all(gone)
        self.changed(project)

    def restore_snapshot(self, project: str, snapshot: str) -> SnapshotRow:
        """Make a project's files what they were; each is checked before anything is replaced."""
        place = self.snapshot_place(project, snapshot)
        row = next((one for one in self.snapshots(project) if one.snapshot == snapshot), None)
        if row is None:
            raise FileError(FileRefusal.SNAPSHOT_IS_DAMAGED, snapshot, path="about.json")
        with self._making(project) as making:
            _copied_back(place, making / "files", snapshot)
            self.put_in_place(project, making / "files")
        return row

    def put_in_place(self, project: str, files: Path) -> None:
        """Let a folder change places with a project's, in one step where the disk can."""
        os.sync()
        self.changed(project)
        live = self.folder(project)
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(live), os.fsencode(files)
        if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
            return
        # A network disk may not know this call; for a moment there is no folder, then the new one.
        aside = files.with_name("before")
        live.rename(aside)
        files.rename(live)

    def staged(self, project: str) -> Path:
        """Return the folder in which the files of a project wait for ``place_staged``."""
        return self._staging() / checked_job_id(project) / "files"

    def place_staged(self) -> None:
        """Put all staged files in the place of their projects'; repeating is harmless."""
        os.sync()
        staging = self._staging()
        for waiting in sorted(staging.iterdir()) if staging.is_dir() else ():
            files, before, live = waiting / "files", waiting / "before", self.folder(waiting.name)
            if files.is_dir():
                # Not an exchange: after a power cut nobody could tell which of the two is which.
                if not before.exists():
                    live.rename(before)
                files.rename(live)
            folders.remove_all(waiting)
            self.changed(waiting.name)
        self.clear_staged()

    def clear_staged(self) -> None:
        """Forget what was staged."""
        if self._staging().is_dir():
            folders.remove_all(self._staging())

    def _staging(self) -> Path:
        # No project is named so, and it is on the disk of their files.
        return self._root / "kept" / ".restoring"

    def projects(self) -> list[str]:
        """Return the projects that have a folder, sorted."""
        try:
            found = sorted(path.name for path in (self._root / "projects").iterdir())
        except FileNotFoundError:
            return []
        return [name for name in found if JOB_ID.fullmatch(name) is not None]

    @contextmanager
    def _making(self, project: str) -> Iterator[Path]:
        """Give a folder to prepare something in; what is left in it goes afterwards."""
        making = Path(tempfile.mkdtemp(prefix="making-", dir=self.kept(project)))
        (making / "files").mkdir(mode=0o700)
        try:
            yield making
        except OSError as wrong:
            raise DriverError(
                f"{project}: its files cannot be copied ({wrong.strerror}); look at the disk."
            ) from wrong
        finally:
            if making.exists():
                folders.remove_all(making)

    def _taken(self, project: str) -> list[Path]:
        return list((self.kept(project) / "snapshots").iterdir())


def manifest_of(place: Path) -> Iterator[Line]:
    """Read a manifest line by line. Raises FileError if it is not the one that was written."""
    about, digest = _about(place), hashlib.sha256()
    with (place / "manifest.jsonl").open("rb") as lines:
        for line in lines:
            digest.update(line)
    if digest.hexdigest() != about.get("sha256"):
        raise FileError(FileRefusal.SNAPSHOT_IS_DAMAGED, place.name, path="manifest.jsonl")
    with (place / "manifest.jsonl").open("rb") as lines:
        for line in lines:
            yield json.loads(line)


def line_of(found: folders.Found, **more: object) -> Line:
    """Return what a manifest says of something, its content aside."""
    return {
        "path": "/".join(found.parts),
        "kind": found.kind,
        "mode": found.about.st_mode & 0o700,
        "modified_at_s": int(found.about.st_mtime),
        **more,
    }


def is_kept(found: folders.Found) -> bool:
    """Tell whether something goes into a copy: no pipes, no links out, nothing without a name."""
    try:
        checked_path("/".join(found.parts))
    except InputError:
        return False
    if found.kind == "link":
        return stays_inside(found.parts[:-1], os.readlink(found.name, dir_fd=found.folder))
    return found.kind != "other"


def _about(place: Path) -> Line:
    try:
        about = json.loads((place / "about.json").read_text())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _copied(live: Path, making: Path) -> dict[str, object]:
    """Copy a folder and write its manifest; return the totals."""
    digest = hashlib.sha256()
    files = size = left_out = entries = 0
    with (
        folders.opened_folder(live) as source,
        (making / "manifest.jsonl").open("wb") as manifest,
    ):
        for found in folders.walk(source):
            entries += 1
            if entries > ENTRIES_MAX:
                raise FileError(FileRefusal.TOO_MANY_FILES, live.name, most=ENTRIES_MAX)
            line = _copied_one(found, making / "files") if is_kept(found) else None
            if line is None:
                left_out += 1
                continue
            if line["kind"] == "file":
                files, size = files + 1, size + line["bytes"]
            written = json.dumps(line, ensure_ascii=False).encode() + b"\n"
            digest.update(written)
            manifest.write(written)
    return {"files": files, "bytes": size, "left_out": left_out, "sha256": digest.hexdigest()}


def _copied_one(found: folders.Found, target: Path) -> Line | None:
    """Copy one thing below ``target``; None if it was gone or became something else."""
    with folders.opened_folder(target, found.parts[:-1]) as above:
        if found.kind == "folder":
            os.mkdir(found.name, 0o700, dir_fd=above)
            return line_of(found)
        if found.kind == "link":
            text = os.readlink(found.name, dir_fd=found.folder)
            os.symlink(text, found.name, dir_fd=above)
            return line_of(found, target=text)
        try:
            source = folders.open_plain(found.folder, found.name)
        except (FileNotFoundError, PermissionError):
            return None
        if source is None:
            return None
        try:
            size, sha256 = folders.copy_file(source, above, found.name)
        finally:
            os.close(source)
        return line_of(found, bytes=size, sha256=sha256)


def _copied_back(place: Path, target: Path, snapshot: str) -> None:
    """Copy a snapshot's files to ``target``, and check each against the manifest."""
    for line in manifest_of(place):
        parts: Parts = checked_path(str(line["path"]))
        with folders.opened_folder(target, parts[:-1]) as above:
            if line["kind"] == "folder":
                os.mkdir(parts[-1], 0o700, dir_fd=above)
            elif line["kind"] == "link":
                os.symlink(str(line["target"]), parts[-1], dir_fd=above)
            else:
                _one_back(place, above, parts, line, snapshot)


def _one_back(place: Path, above: int, parts: Parts, line: Line, snapshot: str) -> None:
    damaged = FileError(FileRefusal.SNAPSHOT_IS_DAMAGED, snapshot, path=str(line["path"]))
    try:
        with folders.opened_folder(place / "files", parts[:-1]) as kept:
            source = folders.open_plain(kept, parts[-1])
    except OSError:
        raise damaged from None
    if source is None:
        raise damaged
    try:
        found = folders.copy_file(source, above, parts[-1], mode=int(line["mode"]) | 0o600)
    finally:
        os.close(source)
    if found != (line["bytes"], line["sha256"]):
        raise damaged
    moment_s = int(line["modified_at_s"])
    os.utime(parts[-1], (moment_s, moment_s), dir_fd=above, follow_symlinks=False)
