"""Files of projects on a disk: nothing leads out, nothing is half, whatever a job does there."""

import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.core.storage import (
    FileRefusal,
    PartError,
    checked_path,
    checked_snapshot,
    stays_inside,
)
from dure.drivers import folders
from dure.drivers.storage import LocalFiles
from tests.drivers.storage_bench import NOW_S, P, disk_at, refused, send, tree, upload_of


@pytest.fixture
def disk(tmp_path: Path) -> LocalFiles:
    return disk_at(tmp_path)


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["..", "a/../b", "../a", "a//b", "./a", "a/.", "a\0b", "x" * 256, "a/" * 65 + "b", "\udcff"],
)
def test_a_path_that_leads_out_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        checked_path(text)


@pytest.mark.parametrize("text", ["a\nb", "a\x1bb", "a\u202egpj.exe", "a\u2028b", "\x7f"])
def test_a_new_name_shows_what_it_is(text: str) -> None:
    assert checked_path(text) == (text,)
    with pytest.raises(InputError):
        checked_path(text, is_new=True)


@given(st.text(max_size=60))
def test_whatever_is_taken_for_a_path_stays_below_its_folder(text: str) -> None:
    try:
        parts = checked_path(text)
    except InputError:
        return
    whole = os.path.normpath(os.path.join("/top", *parts))
    assert whole == "/top" + "".join(f"/{part}" for part in parts)


@given(
    st.lists(st.sampled_from("ab"), max_size=3),
    st.text(alphabet="ab./", max_size=12),
)
def test_a_link_stays_inside_if_the_plainest_reading_of_it_does(
    folder: list[str], target: str
) -> None:
    if stays_inside(tuple(folder), target):
        whole = os.path.normpath(os.path.join("/top", *folder, target))
        assert whole == "/top" or whole.startswith("/top/")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", ".a", "a b", "x" * 65])
def test_a_snapshots_name_can_be_a_folders(name: str) -> None:
    with pytest.raises(InputError):
        checked_snapshot(name)


# --- uploads -------------------------------------------------------------------------------------


def test_a_file_arrives_in_parts_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    upload = upload_of("sets/a.bin", content)
    first = LocalFiles(tmp_path, now_s=lambda: NOW_S)
    assert first.write(upload, 0, content[:1000]) == 1000
    again = LocalFiles(tmp_path, now_s=lambda: NOW_S)

    assert again.received(upload) == 1000
    assert not (tmp_path / "projects" / P / "sets").exists()
    again.write(upload, 1000, content[1000:])
    again.finish(upload)

    assert tree(again.folder(P)) == {"sets/a.bin": content}
    assert list((again.kept(P) / "uploads").iterdir()) == []


def test_a_part_out_of_place_is_told_where_to_go_on(disk: LocalFiles) -> None:
    upload = upload_of("a", b"0123456789")
    disk.write(upload, 0, b"0123")

    for offset, part in ((0, b"01"), (6, b"67"), (4, b"4567890123")):
        with pytest.raises(PartError) as wrong:
            disk.write(upload, offset, part)
        assert wrong.value.offset == 4


def test_uploads_of_two_users_never_mix(disk: LocalFiles) -> None:
    disk.write(upload_of("a", b"0123", by="kim"), 0, b"01")

    assert disk.received(upload_of("a", b"0123", by="lee")) == 0


def test_what_differs_from_its_checksum_is_dropped_and_replaces_nothing(disk: LocalFiles) -> None:
    send(disk, "a", b"good")
    wrong = upload_of("a", b"evil", sha256="0" * 64)
    disk.write(wrong, 0, b"evil")

    assert refused(lambda: disk.finish(wrong)) is FileRefusal.CHECKSUM_DIFFERS
    assert tree(disk.folder(P)) == {"a": b"good"}
    assert disk.received(wrong) == 0


def test_many_senders_of_one_file_make_one_whole_file(disk: LocalFiles) -> None:
    content = os.urandom(40_000)
    upload = upload_of("a", content)

    def push() -> None:
        while (at := disk.received(upload)) < len(content):
            try:
                disk.write(upload, at, content[at : at + 1000])
            except PartError:
                continue

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    disk.finish(upload)

    assert tree(disk.folder(P)) == {"a": content}


def test_an_upload_broken_off_for_long_is_dropped(disk: LocalFiles) -> None:
    old = upload_of("a", b"0123")
    disk.write(old, 0, b"01")
    (part,) = (disk.kept(P) / "uploads").iterdir()
    os.utime(part, (0, 0))

    assert disk.received(upload_of("b", b"x")) == 0
    assert disk.received(old) == 0


@pytest.mark.parametrize("barrier", ["a file", "a link out", "a folder of that name"])
def test_an_upload_never_goes_through_what_is_in_the_way(
    disk: LocalFiles, tmp_path: Path, barrier: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if barrier == "a file":
        (disk.folder(P) / "way").write_text("x")
    elif barrier == "a link out":
        (disk.folder(P) / "way").symlink_to(outside)
    else:
        (disk.folder(P) / "way" / "a").mkdir(parents=True)
    upload = upload_of("way/a", b"01")
    disk.write(upload, 0, b"01")

    assert refused(lambda: disk.finish(upload)) is FileRefusal.IN_THE_WAY
    assert list(outside.iterdir()) == []


def test_a_link_of_the_files_own_name_is_replaced_not_followed(
    disk: LocalFiles, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("mine")
    (disk.folder(P) / "a").symlink_to(tmp_path / "secret")

    send(disk, "a", b"new")

    assert (tmp_path / "secret").read_text() == "mine"
    assert tree(disk.folder(P)) == {"a": b"new"}


# --- what jobs leave there -----------------------------------------------------------------------


def test_what_is_no_plain_file_is_listed_and_never_opened(disk: LocalFiles, tmp_path: Path) -> None:
    folder = disk.folder(P)
    (tmp_path / "secret").write_text("mine")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "out").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "sock"))
    os.mkdir(os.fsencode(folder) + b"/\xff\xfe")

    assert disk.names(P, ()) == ["link", "out", "pipe", "sock"]
    kinds = [disk.entry(P, (name,)).kind for name in disk.names(P, ())]
    assert kinds == ["link", "link", "other", "other"]
    for name in disk.names(P, ()):
        assert refused(lambda name=name: disk.open(P, (name,))) is FileRefusal.NOT_A_FILE
    assert refused(lambda: disk.open(P, ("out", "secret"))) is FileRefusal.NOT_FOUND
    assert refused(lambda: disk.names(P, ("out",))) is FileRefusal.NOT_FOUND
    assert refused(lambda: disk.remove(P, ("out", "secret"), with_all=True)) is (
        FileRefusal.NOT_FOUND
    )


def test_a_link_is_removed_and_not_what_it_leads_to(disk: LocalFiles, tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "a").write_text("x")
    (disk.folder(P) / "in").mkdir()
    (disk.folder(P) / "in" / "out").symlink_to(tmp_path / "keep")

    disk.remove(P, ("in",), with_all=True)

    assert (tmp_path / "keep" / "a").read_text() == "x"
    assert disk.names(P, ()) == []


def test_a_tree_deeper_than_any_path_and_closed_is_counted_and_removed(disk: LocalFiles) -> None:
    top = os.open(disk.folder(P), os.O_RDONLY)
    at = top
    for _ in range(1_500):
        os.mkdir("deeper", dir_fd=at)
        below = os.open("deeper", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    (disk.folder(P) / "deeper").chmod(0)

    use = disk.use(P)
    # Whoever is root is kept out by no permission, and finds that there is more below.
    assert use.files == 0 and use.is_least == (os.geteuid() == 0)
    disk.remove(P, ("deeper",), with_all=True)

    assert disk.names(P, ()) == []
    assert not [name for name in os.listdir(disk.kept(P)) if name.startswith("gone-")]


def test_a_folder_goes_only_empty_unless_all_is_said(disk: LocalFiles) -> None:
    send(disk, "a/b", b"x")

    assert refused(lambda: disk.remove(P, ("a",), with_all=False)) is FileRefusal.NOT_EMPTY
    assert disk.remove(P, ("a", "b"), with_all=False) == "file"
    assert disk.remove(P, ("a",), with_all=False) == "folder"
    assert refused(lambda: disk.remove(P, ("a",), with_all=True)) is FileRefusal.NOT_FOUND


def test_use_counts_every_file_once_and_what_is_on_its_way(disk: LocalFiles) -> None:
    send(disk, "a", b"x" * 1000)
    os.link(disk.folder(P) / "a", disk.folder(P) / "b")
    (disk.folder(P) / "c").symlink_to("a")
    disk.write(upload_of("d", b"y" * 50), 0, b"y" * 30)

    use = disk.use(P)

    assert (use.files, use.files_bytes, use.uploads_bytes, use.total_bytes) == (1, 1000, 30, 1030)
    send(disk, "e", b"z" * 10)
    assert disk.use(P).files_bytes == 1010


def test_a_file_finished_twice_is_whole_once(disk: LocalFiles) -> None:
    for path, content in (("a", b"0123"), ("empty", b"")):
        upload = upload_of(path, content)
        if content:
            disk.write(upload, 0, content)
        disk.finish(upload)
        disk.finish(upload)

    assert tree(disk.folder(P)) == {"a": b"0123", "empty": b""}
    with pytest.raises(PartError):
        disk.finish(upload_of("b", b"x"))


def test_to_ask_how_much_a_project_takes_makes_nothing(disk: LocalFiles, tmp_path: Path) -> None:
    assert disk.use("nobodys").total_bytes == 0
    assert not (tmp_path / "here").exists()


def test_an_open_file_stays_what_it_was_while_another_takes_its_name(disk: LocalFiles) -> None:
    send(disk, "a", b"before")
    content = disk.open(P, ("a",))
    send(disk, "a", b"after!")

    assert content.read(0, 100) == b"before"
    assert content.sha256() == hashlib.sha256(b"before").hexdigest()
    content.close()
    assert disk.entry(P, ("a",)).etag != content.entry.etag


def test_walking_passes_over_a_folder_swapped_for_a_link(tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("mine")
    met = []
    with folders.opened_folder(tmp_path / "in") as folder:
        for found in folders.walk(folder):
            met.append(found.parts)
            (tmp_path / "in" / "a").rmdir()
            (tmp_path / "in" / "a").symlink_to(tmp_path / "out")

    assert met == [("a",)]
