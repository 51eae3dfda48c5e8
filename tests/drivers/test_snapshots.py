"""Snapshots and archives of a project's files: whole, true to their sums, or not at all."""

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import zlib
from pathlib import Path

import pytest

from dure.core.errors import DriverError, InputError
from dure.core.storage import FileRefusal
from dure.drivers.archives import back_up, recover
from dure.drivers.storage import LocalFiles
from tests.drivers.storage_bench import NOW_S, P, disk_at, refused, send, tree


@pytest.fixture
def disk(tmp_path: Path) -> LocalFiles:
    return disk_at(tmp_path)


def filled(disk: LocalFiles) -> dict[str, bytes | str]:
    folder = disk.folder(P)
    send(disk, "sets/가.csv", b"1,2")
    send(disk, "run.sh", b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "sets" / "again").symlink_to("../run.sh")
    (folder / "empty").mkdir()
    kept = tree(folder)
    (folder / "out").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    return kept


def test_a_snapshot_brings_back_what_was_and_nothing_else(disk: LocalFiles) -> None:
    kept = filled(disk)
    row, sha256 = disk.take_snapshot(P, "one", by="kim")
    manifest = (disk.kept(P) / "snapshots" / "one" / "manifest.jsonl").read_bytes()
    send(disk, "sets/가.csv", b"spoilt")
    send(disk, "new", b"x")
    disk.remove(P, ("run.sh",), with_all=False)
    restored = disk.restore_snapshot(P, "one")

    assert (row.files, row.bytes, row.left_out) == (2, 13, 2)
    assert restored == row == disk.snapshots(P)[0]
    assert hashlib.sha256(manifest).hexdigest() == sha256
    assert tree(disk.folder(P)) == kept
    assert os.access(disk.folder(P) / "run.sh", os.X_OK)
    assert (disk.folder(P) / "empty").is_dir()


def test_a_snapshot_stays_what_it_is_however_files_are_written(disk: LocalFiles) -> None:
    send(disk, "a", b"before")
    disk.take_snapshot(P, "one", by="kim")
    with (disk.folder(P) / "a").open("r+b") as file:
        file.write(b"in place")

    disk.restore_snapshot(P, "one")

    assert tree(disk.folder(P)) == {"a": b"before"}


@pytest.mark.parametrize("what", ["files/a", "manifest.jsonl", "about.json"])
def test_a_damaged_snapshot_replaces_nothing(disk: LocalFiles, what: str) -> None:
    send(disk, "a", b"good")
    disk.take_snapshot(P, "one", by="kim")
    send(disk, "a", b"newer")
    place = disk.kept(P) / "snapshots" / "one" / what
    place.write_bytes(place.read_bytes()[:-1])

    assert refused(lambda: disk.restore_snapshot(P, "one")) is FileRefusal.SNAPSHOT_IS_DAMAGED
    assert tree(disk.folder(P)) == {"a": b"newer"}
    assert not [name for name in os.listdir(disk.kept(P)) if name.startswith("making-")]


def test_a_snapshots_name_is_used_once_until_it_is_removed(disk: LocalFiles) -> None:
    disk.take_snapshot(P, "one", by="kim")

    assert refused(lambda: disk.take_snapshot(P, "one", by="kim")) is FileRefusal.SNAPSHOT_IS_THERE
    disk.remove_snapshot(P, "one")
    assert disk.snapshots(P) == []
    assert refused(lambda: disk.remove_snapshot(P, "one")) is FileRefusal.NOT_FOUND
    assert refused(lambda: disk.restore_snapshot(P, "one")) is FileRefusal.NOT_FOUND
    disk.take_snapshot(P, "one", by="kim")


def test_a_disk_that_cannot_exchange_two_names_still_restores(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(disk, "a", b"good")
    disk.take_snapshot(P, "one", by="kim")
    send(disk, "a", b"newer")
    # The kernel knows no flag 64, as a network disk knows no exchange.
    monkeypatch.setattr("dure.drivers.snapshots.RENAME_EXCHANGE", 64)

    disk.restore_snapshot(P, "one")

    assert tree(disk.folder(P)) == {"a": b"good"}


# --- archives ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("snapshot", ["", "one"])
def test_an_archive_brings_a_project_back_on_another_disk(
    disk: LocalFiles, tmp_path: Path, ending: str, snapshot: str
) -> None:
    if ending == ".tar.zst" and shutil.which("zstd") is None:
        pytest.skip("no program zstd here; apt install zstd")
    kept = filled(disk)
    if snapshot:
        disk.take_snapshot(P, snapshot, by="kim")
        send(disk, "later", b"x")
    archive = tmp_path / f"backup{ending}"
    about = back_up(disk, P, archive, snapshot=snapshot)
    other = LocalFiles(tmp_path / "other", now_s=lambda: NOW_S)

    assert recover(other, archive) == about
    assert (about["files"], about["bytes"]) == (2, 13)
    assert tree(other.folder(P)) == kept
    with pytest.raises(InputError, match="--force"):
        recover(other, archive)
    recover(other, archive, project="p-2")
    assert tree(other.folder("p-2")) == kept


def test_a_flipped_byte_anywhere_in_an_archive_is_found(disk: LocalFiles, tmp_path: Path) -> None:
    send(disk, "a", os.urandom(3_000))
    archive, spoilt = tmp_path / "a.tar.gz", tmp_path / "b.tar.gz"
    back_up(disk, P, archive)
    whole = archive.read_bytes()
    send(disk, "a", b"stays")
    for place in range(12, len(whole) - 8, len(whole) // 40):
        spoilt.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if not says_the_same(spoilt, archive):
            with pytest.raises((InputError, DriverError)):
                recover(disk, spoilt, is_forced=True)
        spoilt.write_bytes(whole[:place])
        with pytest.raises((InputError, DriverError)):
            recover(disk, spoilt, is_forced=True)

    assert tree(disk.folder(P)) == {"a": b"stays"}


def says_the_same(one: Path, other: Path) -> bool:
    """Tell whether a flip hit a bit that nobody reads, before a block that is stored as it is."""
    try:
        return gzip.decompress(one.read_bytes()) == gzip.decompress(other.read_bytes())
    except (OSError, EOFError, zlib.error):
        return False


def hostile(kind: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("files/a")
    match kind:
        case "steps up":
            member.name = "files/../../a"
        case "whole path":
            member.name = "/etc/a"
        case "link out":
            member.type, member.linkname = tarfile.SYMTYPE, "../../x"
        case "hard link":
            member.type, member.linkname = tarfile.LNKTYPE, "/etc/passwd"
        case "device":
            member.type = tarfile.CHRTYPE
        case "pipe":
            member.type = tarfile.FIFOTYPE
    return member


@pytest.mark.parametrize(
    "kind", ["steps up", "whole path", "link out", "hard link", "device", "pipe", "no manifest"]
)
def test_a_strangers_archive_puts_nothing_anywhere(
    disk: LocalFiles, tmp_path: Path, kind: str
) -> None:
    archive = tmp_path / "x.tar.gz"
    with tarfile.open(archive, "w:gz") as made:
        made.addfile(hostile(kind))
    before = tree(tmp_path)

    with pytest.raises((InputError, DriverError)):
        recover(disk, archive, project=P)

    assert tree(tmp_path) == before


def test_the_manifest_of_an_archive_holds_the_sum_of_each_file(
    disk: LocalFiles, tmp_path: Path
) -> None:
    send(disk, "a", b"abc")
    back_up(disk, P, tmp_path / "a.tgz")
    with tarfile.open(tmp_path / "a.tgz") as archive:
        manifest = archive.extractfile("manifest.jsonl")
        assert manifest is not None
        (line,) = map(json.loads, manifest)

    assert line["path"] == "a"
    # Worked out in FIPS 180-2, appendix B.1.
    assert line["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_only_an_ending_that_says_how_it_is_packed_is_taken(
    disk: LocalFiles, tmp_path: Path
) -> None:
    disk.folder(P)
    with pytest.raises(InputError, match="another ending"):
        back_up(disk, P, tmp_path / "a.zip")

    assert not list(tmp_path.glob(".dure-*")) and not (tmp_path / "a.zip").exists()
