"""Folders sent along with jobs: kept by sender and sum, unpacked whole, nothing leads out."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dure.core.errors import DriverError, InputError
from dure.core.orders import StartOrder
from dure.core.storage import FileError, FileRefusal
from dure.drivers import workdirs
from dure.drivers.launch import Places, plan_launch
from dure.drivers.local import LocalDriver
from dure.drivers.workdirs import LocalWorkdirs, archive_of
from tests.drivers.local_bench import driver_at, end_all, end_of, four_slots, order, said

BYTES_MAX = 10_000
Member = tuple[tarfile.TarInfo, bytes]


def packed(*members: Member) -> bytes:
    made = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as plain,
        tarfile.open(fileobj=plain, mode="w|") as stream,
    ):
        for member, content in members:
            member.size = len(content)
            stream.addfile(member, io.BytesIO(content))
    return made.getvalue()


def file(name: str, content: bytes = b"x", mode: int = 0o600) -> Member:
    member = tarfile.TarInfo(name)
    member.mode = mode
    return member, content


def special(name: str, kind: bytes, target: str = "") -> Member:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def keep(shelf: LocalWorkdirs, content: bytes, *, user: str = "kim") -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    shelf.keep(user, sha256, [content])
    return sha256


@pytest.fixture
def shelf(tmp_path: Path) -> LocalWorkdirs:
    return LocalWorkdirs(tmp_path, bytes_max=BYTES_MAX)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LocalDriver]:
    made = driver_at(tmp_path)
    yield made
    end_all(made)


def with_files(asked: StartOrder, workdir: str, *, image: str = "") -> StartOrder:
    return replace(asked, recipe=replace(asked.recipe, workdir=workdir, image=image))


def test_what_one_sent_nobody_else_can_name(shelf: LocalWorkdirs) -> None:
    sha256 = keep(shelf, packed(file("a")))

    assert shelf.holds("kim", sha256) and not shelf.holds("lee", sha256)
    assert not shelf.holds("kim", "0" * 64)


@pytest.mark.parametrize(
    "members",
    [
        [file("../a")], [file("a/../../b")], [file("a"), file("a")],
        [special("a", tarfile.SYMTYPE, "/etc"), file("a/passwd")],
        [special("a", tarfile.SYMTYPE, "..")], [special("a", tarfile.SYMTYPE, "b/../..")],
        [special("a", tarfile.DIRTYPE), special("a/b", tarfile.SYMTYPE, "../.."), ],
        [special("a", tarfile.LNKTYPE, "/etc/passwd")], [special("a", tarfile.CHRTYPE)],
        [special("a", tarfile.FIFOTYPE)], [file("b/a")], [file("a"), file("a/b")],
        [file("a", b"x" * (BYTES_MAX + 1))], [file(f"a{n}", b"x" * 2_000) for n in range(6)],
    ],
)  # fmt: skip
def test_what_leads_out_or_is_too_much_is_not_kept(
    shelf: LocalWorkdirs, tmp_path: Path, members: list[Member]
) -> None:
    content = packed(*members)

    with pytest.raises(InputError):
        keep(shelf, content)
    assert not shelf.holds("kim", hashlib.sha256(content).hexdigest())
    assert sorted(os.listdir(tmp_path / "workdirs")) == ["kim"]
    assert os.listdir(tmp_path / "workdirs" / "kim") == []


def test_a_bomb_stops_at_the_limit(shelf: LocalWorkdirs) -> None:
    bomb = packed(file("a", bytes(50_000_000)))

    assert len(bomb) < 100_000
    with pytest.raises(InputError, match=f"more than {BYTES_MAX} bytes"):
        keep(shelf, bomb)


def test_a_bomb_in_a_header_or_behind_the_end_stops_too(
    shelf: LocalWorkdirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workdirs, "OVERHEAD_BYTES", 100_000)
    header = tarfile.TarInfo("././@PaxHeader")
    header.type = tarfile.XHDTYPE
    behind = gzip.compress(gzip.decompress(packed(file("a"))) + bytes(5_000_000))
    for bomb in (packed((header, bytes(5_000_000))), behind):
        with pytest.raises(InputError, match="more bytes than it may"):
            keep(shelf, bomb)


@pytest.mark.parametrize("spoil", ["cut", "flipped", "no gzip", "empty"])
def test_what_is_no_whole_archive_is_not_kept(shelf: LocalWorkdirs, spoil: str) -> None:
    whole = packed(file("a", os.urandom(500)))
    middle = len(whole) // 2
    content = {
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "no gzip": b"hello",
        "empty": b"",
    }[spoil]

    with pytest.raises(InputError):
        keep(shelf, content)


def test_another_sum_than_said_is_not_kept(shelf: LocalWorkdirs) -> None:
    with pytest.raises(FileError) as refusal:
        shelf.keep("kim", "0" * 64, [packed(file("a"))])
    assert refusal.value.refusal is FileRefusal.CHECKSUM_DIFFERS


def test_old_ones_make_room_and_fresh_ones_do_not(
    shelf: LocalWorkdirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workdirs, "KEPT_MAX", 2)
    first, second = (keep(shelf, packed(file("a", text))) for text in (b"1", b"2"))
    with pytest.raises(FileError) as refusal:
        keep(shelf, packed(file("a", b"3")))
    for sha256 in (first, second):
        os.utime(archive_of(tmp_path, f"kim/{sha256}"), (0, 0))
    shelf.holds("kim", second)
    keep(shelf, packed(file("a", b"3")))

    assert refusal.value.refusal is FileRefusal.TOO_MANY_WORKDIRS
    assert (shelf.holds("kim", first), shelf.holds("kim", second)) == (False, True)


def test_a_job_begins_with_the_files_and_keeps_its_own_over_attempts(driver: LocalDriver) -> None:
    shelf = LocalWorkdirs(driver.root, bytes_max=BYTES_MAX)
    folder = special("in", tarfile.DIRTYPE)
    link = special("in/link", tarfile.SYMTYPE, "../run.sh")
    sha256 = keep(shelf, packed(folder, file("run.sh", b"#!/bin/sh\necho yes\n", 0o700), link))

    driver.start(with_files(order("job", "./run.sh; in/link; echo 2 > run.sh"), f"kim/{sha256}"))
    driver.acknowledge([end_of(driver, "job")])
    driver.start(with_files(order("job", "cat run.sh", attempt=2), f"kim/{sha256}"))
    end_of(driver, "job", attempt=2)

    assert said(driver, "job") == "yes\nyes\n"
    assert said(driver, "job", attempt=2) == "2\n"


def test_a_half_unpacked_folder_of_a_crash_is_begun_again(driver: LocalDriver) -> None:
    sha256 = keep(LocalWorkdirs(driver.root, bytes_max=BYTES_MAX), packed(file("a", b"whole")))
    half = driver.root / "jobs" / "job" / "work.new"
    half.mkdir(parents=True)
    (half / "a").write_text("ha")

    driver.start(with_files(order("job", "cat a"), f"kim/{sha256}"))
    end_of(driver, "job")

    assert said(driver, "job") == "whole" and not half.exists()


def test_a_job_whose_files_are_gone_is_not_started_without_them(driver: LocalDriver) -> None:
    with pytest.raises(DriverError, match="not kept any more"):
        driver.start(with_files(order("job", "true"), "kim/" + "0" * 64))

    assert driver.running() == []


@pytest.mark.parametrize("workdir", ["../x/" + "0" * 64, "kim/../../x", "kim", "/" + "0" * 64])
def test_a_workdir_that_is_no_address_reaches_no_path(driver: LocalDriver, workdir: str) -> None:
    with pytest.raises((InputError, DriverError)):
        driver.start(with_files(order("job", "true"), workdir))


def test_without_a_container_program_an_image_is_a_remark(driver: LocalDriver) -> None:
    driver._container = ""
    driver.start(with_files(order("job", "echo out"), "", image="ghcr.io/a/b:1"))
    end_of(driver, "job")

    assert said(driver, "job") == "out\n"
    assert said(driver, "job", stream="err") == (
        "dure: no apptainer to use here, so not the image ghcr.io/a/b:1 either: a plain process\n"
    )


def test_with_one_every_step_runs_in_the_image_on_the_jobs_own_folders(tmp_path: Path) -> None:
    asked = order("job", "echo out")
    recipe = replace(asked.recipe, setup="true", image="ghcr.io/a/b:1", project="p-1")
    places = Places(tmp_path, "job", 1)
    launch = plan_launch(
        replace(asked, recipe=recipe), places, four_slots(), container="/usr/bin/apptainer"
    )
    inside = (
        "/usr/bin/apptainer",
        "exec",
        f"--bind={places.job_dir}",
        f"--bind={places.scratch_dir}",
        f"--bind={tmp_path}/projects/p-1",
        f"--pwd={places.work_dir}",
        "docker://ghcr.io/a/b:1",
    )

    assert [step[:-2] for step in launch.steps] == [inside, inside]
    assert launch.remark == ""
