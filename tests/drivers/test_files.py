"""Files are there in full or not at all."""

import os
from pathlib import Path
from threading import Barrier, Thread

import pytest

from dure.drivers import files


def test_a_file_is_replaced_in_one_step_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    files.write_durably(path, "one")
    files.write_durably(path, "둘", mode=0o700)

    assert files.text_at(path) == "둘"
    assert os.listdir(tmp_path) == ["a"]
    assert os.stat(path).st_mode & 0o777 == 0o700


def test_one_of_many_creates(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    barrier = Barrier(16)
    won: list[str] = []

    def race(name: str) -> None:
        barrier.wait()
        if files.create_exclusively(path, name):
            won.append(name)

    threads = [Thread(target=race, args=(f"t{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [files.text_at(path)] == won
    assert os.listdir(tmp_path) == ["lock"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(OSError):
        files.write_durably(str(tmp_path / "folder"), "text")
    with pytest.raises(OSError):
        files.write_durably(str(tmp_path / "missing" / "a"), "text")

    assert os.listdir(tmp_path) == ["folder"]


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")

    assert files.text_at(str(tmp_path / "b")) is None
    assert files.text_at(str(tmp_path / "a" / "b")) is None
    assert [files.remove(str(tmp_path / "a")) for _ in range(2)] == [True, False]
