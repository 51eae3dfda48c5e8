"""A project's files as one archive to be kept elsewhere, and back: tar, with a manifest at its end.

``files/PATH`` for everything kept, then ``manifest.jsonl`` (as of a snapshot) and ``about.json``.
What comes back is unpacked beside, held against the manifest file by file, and only then put in
place.
"""

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dure.core.errors import DriverError, InputError
from dure.core.storage import checked_path
from dure.drivers import folders
from dure.drivers.files import sync_folder
from dure.drivers.members import put_member, read_out
from dure.drivers.snapshots import ENTRIES_MAX, Line, Snapshots, is_kept, line_of, manifest_of

FORMAT = 1
GZIP, ZSTD = (".tar.gz", ".tgz"), (".tar.zst", ".tzst")
ABOUT_BYTES_MAX = 65_536
# What the readers of tar, gzip and JSON say of bytes that make no sense.
_UNREADABLE: tuple[type[Exception], ...] = (OSError, EOFError, tarfile.TarError, zlib.error)
_UNREADABLE += (AttributeError, KeyError, TypeError, ValueError)


def back_up(store: Snapshots, project: str, archive: Path, *, snapshot: str = "") -> Line:
    """Write a project's files, or those of a snapshot, into ``archive``; return what it holds.

    Raises:
        InputError: for a name that is none, or a kind of archive that cannot be written here.
        DriverError: if the snapshot is damaged, or the disk is full.
    """
    folder, beside = archive.absolute().parent, ""
    try:
        file, beside = tempfile.mkstemp(dir=folder, prefix=".dure-data-")
        with open(file, "wb") as target:
            with _packing(archive, target) as stream:
                about = _pack(store, project, stream, snapshot)
            target.flush()
            os.fsync(target.fileno())
        os.rename(beside, archive)
        sync_folder(str(folder))
        return about
    except (OSError, tarfile.TarError) as wrong:
        raise DriverError(f"{archive}: it cannot be written ({wrong}).") from wrong
    finally:
        if beside and os.path.exists(beside):
            os.unlink(beside)


def recover(store: Snapshots, archive: Path, *, project: str = "", is_forced: bool = False) -> Line:
    """Bring a project's files back from an archive, once every one of them has been checked.

    Args:
        project: into whose folder; "" for the one that the archive was made of.
        is_forced: replace what stands there.

    Returns:
        What the archive says of itself.

    Raises:
        InputError: if it is no archive of ours, is damaged, or would replace files.
        DriverError: if it cannot be read, or the disk is full.
    """
    stage = Path(tempfile.mkdtemp(prefix="recover-", dir=store.kept_root()))
    try:
        (stage / "files").mkdir(mode=0o700)
        with archive.open("rb") as source, _unpacking(archive, source) as stream:
            about = _unpacked(archive, stream, stage / "files")
        into = project or str(about["project"])
        if not is_forced and any(store.folder(into).iterdir()):
            raise InputError(
                into,
                found="files of this project",
                expected="an empty folder",
                next_step="Give --force to replace them, or take a snapshot first.",
            )
        store.put_in_place(into, stage / "files")
        return about
    except _UNREADABLE as wrong:
        raise DriverError(f"{archive}: it cannot be read as an archive ({wrong}).") from wrong
    finally:
        folders.remove_all(stage)


def pack_into(store: Snapshots, project: str, into: IO[bytes]) -> Line:
    """Write a project's files into an open stream; return what was written.

    Raises:
        DriverError: if they cannot be read, or the stream not be written.
    """
    try:
        with tarfile.open(fileobj=into, mode="w|") as stream:
            return _pack(store, project, stream, "")
    except (OSError, tarfile.TarError) as wrong:
        raise DriverError(f"{project}: its files cannot be packed ({wrong}).") from wrong


def stage_from(store: Snapshots, project: str, source: IO[bytes], where: str) -> Line:
    """Unpack what ``pack_into`` wrote beside a project's folder, and check every file of it.

    Args:
        where: what it is, as a person would name it.

    Raises:
        InputError, DriverError: if it is damaged, is of another project, or the disk is full.
    """
    target = store.staged(project)
    target.mkdir(mode=0o700, parents=True)
    try:
        with tarfile.open(fileobj=source, mode="r|") as stream:
            about = _unpacked(Path(where), stream, target)
    except _UNREADABLE as wrong:
        raise DriverError(f"{where}: it cannot be read as an archive ({wrong}).") from wrong
    if about.get("project") != project:
        raise _broken(Path(where), f"files of {str(about.get('project'))[:64]!r}")
    return about


# --- packing -----------------------------------------------------------------------------------


@contextmanager
def _packing(archive: Path, target: IO[bytes]) -> Iterator[tarfile.TarFile]:
    if archive.name.endswith(GZIP):
        with tarfile.open(fileobj=target, mode="w:gz", compresslevel=6) as stream:
            yield stream
        return
    with _zstd(archive, "-q", "-T0", stdin=subprocess.PIPE, stdout=target) as process:
        assert process.stdin is not None
        with process.stdin, tarfile.open(fileobj=process.stdin, mode="w|") as stream:
            yield stream


def _pack(store: Snapshots, project: str, stream: tarfile.TarFile, snapshot: str) -> Line:
    digest, files, size = hashlib.sha256(), 0, 0
    with tempfile.TemporaryFile() as manifest:
        for line, file in _contents(store, project, snapshot):
            if file is not None:
                with contextlib.closing(_Frozen(file, store.kept_root())) as frozen:
                    line = _pack_file(stream, line, frozen, is_known=bool(snapshot))
                files, size = files + 1, size + line["bytes"]
            else:
                stream.addfile(_member(line))
            written = json.dumps(line, ensure_ascii=False).encode() + b"\n"
            digest.update(written)
            manifest.write(written)
        _add(stream, "manifest.jsonl", manifest, manifest.tell())
    about = {
        "format": FORMAT, "project": project, "snapshot": snapshot, "files": files, "bytes": size,
        "sha256": digest.hexdigest(),
    }  # fmt: skip
    with tempfile.TemporaryFile() as content:
        content.write(json.dumps(about).encode())
        _add(stream, "about.json", content, content.tell())
    return about


def _contents(store: Snapshots, project: str, snapshot: str) -> Iterator[tuple[Line, int | None]]:
    """Yield a line of the manifest and an open file (None for folders and links)."""
    if not snapshot:
        with folders.opened_folder(store.folder(project)) as folder:
            for found in folders.walk(folder):
                if not is_kept(found):
                    continue
                if found.kind == "link":
                    text = os.readlink(found.name, dir_fd=found.folder)
                    yield line_of(found, target=text), None
                elif found.kind == "folder":
                    yield line_of(found), None
                elif (file := folders.open_plain(found.folder, found.name)) is not None:
                    yield line_of(found), file
        return
    place = store.snapshot_place(project, snapshot)
    for line in manifest_of(place):
        parts = checked_path(str(line["path"]))
        if line["kind"] != "file":
            yield line, None
            continue
        with folders.opened_folder(place / "files", parts[:-1]) as above:
            yield line, folders.open_plain(above, parts[-1])


class _Frozen:
    """A copy of an open file, which nobody writes to: read by ``tarfile``, summed as it is read.

    Where the disk can, the copy shares the blocks of the file. It goes when it is closed, and the
    file is closed with it.

    Args:
        beside: a folder on the disk of the file.
    """

    def __init__(self, file: int, beside: Path) -> None:
        try:
            with folders.opened_folder(beside) as folder:
                name = f".packing-{os.urandom(8).hex()}"
                self.bytes, self.sha256 = folders.copy_file(file, folder, name)
                self._copy = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
                os.unlink(name, dir_fd=folder)
        finally:
            os.close(file)

    def read(self, size: int) -> bytes:
        return os.read(self._copy, size)

    def close(self) -> None:
        os.close(self._copy)


def _pack_file(stream: tarfile.TarFile, line: Line, frozen: _Frozen, *, is_known: bool) -> Line:
    member = _member(line)
    member.size = frozen.bytes
    stream.addfile(member, frozen)  # type: ignore[arg-type]
    if is_known and (frozen.bytes, frozen.sha256) != (line["bytes"], line["sha256"]):
        raise DriverError(f"{line['path']}: the snapshot is damaged here; back up another.")
    return {**line, "bytes": frozen.bytes, "sha256": frozen.sha256}


def _member(line: Line) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"files/{line['path']}")
    member.mode, member.mtime = int(line["mode"]), int(line["modified_at_s"])
    if line["kind"] == "folder":
        member.type = tarfile.DIRTYPE
    elif line["kind"] == "link":
        member.type, member.linkname = tarfile.SYMTYPE, str(line["target"])
    return member


def _add(stream: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    content.seek(0)
    stream.addfile(member, content)


# --- unpacking ---------------------------------------------------------------------------------


@contextmanager
def _unpacking(archive: Path, source: IO[bytes]) -> Iterator[tarfile.TarFile]:
    if archive.name.endswith(GZIP):
        # Read through gzip to its end: there stands the sum of everything before.
        with gzip.open(source) as plain:
            with tarfile.open(fileobj=plain, mode="r|") as stream:
                yield stream
            read_out(plain)
        return
    with _zstd(archive, "-dcq", stdin=source, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as stream:
            yield stream
        assert process.stdout is not None
        read_out(process.stdout)


def _unpacked(archive: Path, stream: tarfile.TarFile, target: Path) -> Line:
    """Unpack below ``target``; return what the archive says of itself, which was found true."""
    found: dict[str, Line] = {}
    about: dict[str, Any] = {}
    listed = summed = ""
    for count, member in enumerate(stream):
        content = stream.extractfile(member) if member.isfile() else None
        if count > ENTRIES_MAX + 1:
            raise _broken(archive, f"more than {ENTRIES_MAX} entries")
        if member.name == "manifest.jsonl" and content is not None:
            summed, listed = _compared(archive, content, found), "yes"
        elif member.name == "about.json" and content is not None:
            about = dict(json.loads(content.read(ABOUT_BYTES_MAX)))
        elif member.name.startswith("files/") and not listed:
            parts = checked_path(member.name.removeprefix("files/"))
            found["/".join(parts)] = put_member(
                target, parts, member, content, where=str(archive), bytes_max=member.size
            )
        else:
            raise _broken(archive, f"the entry {member.name[:80]!r}")
    if not about or about.get("format") != FORMAT or about.get("sha256") != summed or not listed:
        raise _broken(archive, "no manifest, or one of another archive")
    return about


def _compared(archive: Path, manifest: IO[bytes], found: dict[str, Line]) -> str:
    """Hold what was unpacked against the manifest; return the manifest's sha-256."""
    digest, left = hashlib.sha256(), dict(found)
    for written in manifest:
        digest.update(written)
        line = json.loads(written)
        one = left.pop(str(line["path"]), None)
        if one is None or any(line.get(name) != value for name, value in one.items()):
            raise _broken(archive, f"{str(line['path'])[:80]!r}, other than it was packed")
    if left:
        raise _broken(archive, f"{next(iter(left))[:80]!r}, which the manifest does not know")
    return digest.hexdigest()


def _broken(archive: Path, found: str) -> InputError:
    return InputError(
        str(archive),
        found=found,
        expected="a whole archive that dure data backup wrote",
        next_step="Nothing was replaced; try another copy.",
    )


@contextmanager
def _zstd(
    archive: Path, *words: str, stdin: Any, stdout: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the program ``zstd`` beside us; its name is the only word that is looked up."""
    if not archive.name.endswith(ZSTD):
        raise InputError(str(archive), found="another ending", expected=", ".join((*GZIP, *ZSTD)))
    program = shutil.which("zstd")
    if program is None:
        raise InputError(
            str(archive),
            found="no program zstd on this machine",
            expected=".tar.gz, or zstd installed (apt install zstd)",
        )
    with subprocess.Popen([program, *words], stdin=stdin, stdout=stdout) as process:
        yield process
    if process.returncode != 0:
        raise DriverError(f"{archive}: zstd ended with {process.returncode}.")
