"""A folder that goes along with its job: what is packed, what stays, and that it is sent once."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from dure.cli.client import Service
from dure.cli.output import StopError
from dure.cli.workdir import Ignored, pack
from dure.services.access import Role
from tests.cli.serving import Shell
from tests.portal.filled_programme import WORKDIR_BYTES


@pytest.fixture
def member(shell: Shell) -> Shell:
    shell.be(Role.MEMBER)
    code = shell.home / "code"
    code.mkdir()
    (code / "walk.py").write_text("print(1)\n")
    (shell.home / "job.yaml").write_text("workdir: code\nrun: python3 walk.py\n")
    return shell


def names(folder: Path) -> list[str]:
    archive = io.BytesIO()
    pack(folder, archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as packed:
        return packed.getnames()


# Each of these is what git itself says: git check-ignore in a repository with that .gitignore.
@pytest.mark.parametrize(
    ("lines", "path", "is_folder", "ignored"),
    [
        (["*.log"], "a.log", False, True),
        (["*.log"], "in/a.log", False, True),
        (["/a.log"], "in/a.log", False, False),
        (["in/a.log"], "x/in/a.log", False, False),
        (["in/a.log"], "in/a.log", False, True),
        (["**/a"], "x/y/a", False, True),
        (["a/**/b"], "a/b", False, True),
        (["a/**/b"], "a/x/y/b", False, True),
        (["a/**"], "a/x/y", False, True),
        (["build/"], "build", False, False),
        (["build/"], "x/build", True, True),
        (["*.log", "!keep.log"], "keep.log", False, False),
        (["!keep.log", "*.log"], "keep.log", False, True),
        (["a?c"], "abc", False, True),
        (["a?c"], "a/c", False, False),
        (["*"], "x", False, True),
        (["a*c"], "ab/c", False, False),
        (["[ab].py"], "b.py", False, True),
        (["[!ab].py"], "b.py", False, False),
        (["\\#x"], "#x", False, True),
        (["# a", "", "  "], "a", False, False),
        (["a.c"], "abc", False, False),
    ],
)
def test_patterns_are_gits(lines: list[str], path: str, is_folder: bool, ignored: bool) -> None:
    assert Ignored(lines).fits(path, is_folder=is_folder) == ignored


def test_what_is_packed_is_what_was_not_left_out(tmp_path: Path) -> None:
    for name in ("a.py", "data/big.bin", "out/x", ".git/config", "in/__pycache__/a", "in/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "in" / "link").symlink_to("../a.py")
    (tmp_path / "away").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".dureignore").write_text("/data/\nout/*\n")

    assert names(tmp_path) == [".dureignore", "a.py", "in", "in/b.py", "in/link", "out"]


def test_the_same_files_are_one_archive(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
        os.utime(tmp_path / name / "a", (5, 5))

    assert pack(tmp_path / "one", io.BytesIO()) == pack(tmp_path / "two", io.BytesIO())


def test_too_large_a_folder_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1001)

    with pytest.raises(StopError, match=r"\.dureignore"):
        pack(tmp_path, io.BytesIO(), bytes_max=1000)


def test_a_jobs_folder_is_sent_once_and_named_in_the_submission(
    member: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    whole = Service.send

    def counting(self: Service, method: str, path: str, *rest: object, **more: object) -> object:
        sent.append(f"{method} {path.split('/')[3]}")
        return whole(self, method, path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Service, "send", counting)
    first = member("submit", "job.yaml")
    again = member("submit", "job.yaml")
    (member.home / "plain.yaml").write_text("run: x\n")
    named = member("submit", "plain.yaml", "--workdir", "code")

    assert [first.code, again.code, named.code] == [0, 0, 0], first.err
    assert sent == ["PUT workdirs"]
    known = member.services.pools["here"].workdirs_named  # type: ignore[attr-defined]
    assert len(known) == 3 and len(set(known)) == 1
    assert member.services.workdirs.holds(known[0], by=member.services.people.account(
        "kang.min").actor())  # type: ignore[union-attr]  # fmt: skip


def test_a_folder_that_is_none_or_too_large_is_one_line(member: Shell) -> None:
    missing = member("submit", "job.yaml", "--workdir", "nothing")
    (member.home / "code" / "big").write_bytes(os.urandom(WORKDIR_BYTES + 1))
    large = member("submit", "job.yaml")

    assert missing.code == 2 and "there is no such folder" in missing.err
    assert large.code == 2 and "more than" in large.err
    assert missing.err.count("\n") == large.err.count("\n") == 1
