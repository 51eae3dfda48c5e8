"""A platform in one file: what lies beside its ledgers is kept with them, and all is proven."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

import pytest

from dure.app.backup import back_up_platform, restore_platform
from dure.core.errors import DureError, LedgerError
from dure.core.events.applying import AttachmentAdded
from dure.core.ledger_record import KIND_EVENTS, Entry
from dure.drivers.attachments import STAGE, FolderFiles
from dure.drivers.snapshots import Snapshots
from dure.ledger import backup as ledger_backup
from dure.ledger import restoring
from dure.ledger.anchor import sealed, unsealed
from dure.ledger.beside import tell_nobody
from dure.ledger.codec import encode_events
from dure.ledger.sqlite import SqliteLedger
from dure.ledger.verify import verify
from tests.postgres import programs, shared_server

PLAN, FIGURE = b"%PDF-1.7 what we want to do", b"a,b\n1,2\n"


def name_of(content: bytes) -> str:
    return sha256(content).hexdigest()


def attach(ledger: SqliteLedger, files: FolderFiles, content: bytes, at_s: int) -> None:
    """Attach as the services do: the content first, then the word."""
    name = name_of(content)
    files.put(name, content)
    event = AttachmentAdded("d1", name, "plan.pdf", "pdf", len(content), at_s=at_s, by="kim")
    entry = Entry(KIND_EVENTS, at_s, encode_events([event]))
    ledger.append([entry], expect=ledger.head()[0])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a platform's data: two ledgers, two attachments, files of a project."""
    place = tmp_path / "data"
    files = FolderFiles(place / "attachments")
    for pool in ("here", "people"):
        (place / pool).mkdir(parents=True)
    SqliteLedger(place / "people" / "ledger.db").close()
    with closing(SqliteLedger(place / "here" / "ledger.db")) as ledger:
        attach(ledger, files, PLAN, 1)
        attach(ledger, files, FIGURE, 2)
    project = place / "here" / "projects" / "corpus"
    (project / "sets").mkdir(parents=True)
    (project / "sets" / "한국어.bin").write_bytes(os.urandom(70_000))
    (project / "latest").symlink_to("sets")
    (project / "sets" / "한국어.bin").chmod(0o700)
    return place


def tree(place: Path) -> dict[str, tuple[str, int, bytes]]:
    """Return everything below a folder: kind, mode and content by path; ledgers aside."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_symlink():
            found[name] = "link", 0, os.fsencode(os.readlink(path))
        elif path.is_file() and "ledger" not in path.name:
            found[name] = "file", path.stat().st_mode & 0o777, path.read_bytes()
    return found


def head(place: Path, pool: str) -> tuple[int, bytes]:
    with closing(SqliteLedger(place / pool / "ledger.db", read_only=True)) as ledger:
        return ledger.head()


def contents(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def kept(data: Path, tmp_path: Path, *, with_projects: bool = True) -> Path:
    archive = tmp_path / "kept.zip"
    done = back_up_platform(data, archive, tell=tell_nobody, with_projects=with_projects)
    assert done.lost == ()
    return archive


def test_all_of_a_platform_comes_back(data: Path, tmp_path: Path) -> None:
    restore_platform(kept(data, tmp_path), tmp_path / "new", tell=tell_nobody)

    assert tree(tmp_path / "new") == tree(data)
    for pool in ("here", "people"):
        assert verify(tmp_path / "new" / pool / "ledger.db") == []
        assert head(tmp_path / "new", pool) == head(data, pool)


def test_files_of_projects_are_kept_where_asked_for(data: Path, tmp_path: Path) -> None:
    archive = tmp_path / "kept.zip"
    done = back_up_platform(data, archive, tell=tell_nobody)
    restore_platform(archive, tmp_path / "new", tell=tell_nobody)

    assert done.left_out == 1
    assert [kept.name for kept in done.manifest.parts] == ["attachments.tar"]
    assert list(tree(tmp_path / "new")) == sorted(
        f"attachments/{name_of(one)[:2]}/{name_of(one)}" for one in (PLAN, FIGURE)
    )


def test_equal_platforms_give_equal_backups(data: Path, tmp_path: Path) -> None:
    first = kept(data, tmp_path).read_bytes()

    assert kept(data, tmp_path).read_bytes() == first


def test_how_far_it_has_come_is_told(data: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    archive = tmp_path / "kept.zip"
    back_up_platform(data, archive, tell=lambda *words: told.append(words), with_projects=True)

    assert {what for what, _, _ in told} == {
        "here/ledger.db", "people/ledger.db", "attachments.tar", "projects/corpus.tar",
    }  # fmt: skip
    assert all(0 <= done <= total for _, done, total in told)
    assert [done for what, done, _ in told if what == "attachments.tar"] == [1, 2]


def damage(data: Path, content: bytes) -> Path:
    name = name_of(content)
    return data / "attachments" / name[:2] / name


@pytest.mark.parametrize("how", ["lost", "changed"])
def test_an_attachment_that_is_not_whole_is_named_and_left_out(
    data: Path, tmp_path: Path, how: str
) -> None:
    if how == "lost":
        damage(data, PLAN).unlink()
    else:
        damage(data, PLAN).write_bytes(PLAN + b"!")
    archive = tmp_path / "kept.zip"

    done = back_up_platform(data, archive, tell=tell_nobody)
    restore_platform(archive, tmp_path / "new", tell=tell_nobody)

    assert done.lost == (name_of(PLAN),)
    restored = FolderFiles(tmp_path / "new" / "attachments")
    assert (restored.get(name_of(PLAN)), restored.get(name_of(FIGURE))) == (None, FIGURE)


@pytest.mark.parametrize("there", ["attachments", "projects/corpus", "people/ledger.db"])
def test_nothing_is_restored_over_what_is_there(data: Path, tmp_path: Path, there: str) -> None:
    archive, new = kept(data, tmp_path), tmp_path / "new"
    if there == "attachments":
        FolderFiles(new / "attachments").put(name_of(b"mine"), b"mine")
    elif there == "projects/corpus":
        (new / "here" / "projects" / "corpus").mkdir(parents=True)
        (new / "here" / "projects" / "corpus" / "mine").write_bytes(b"mine")
    else:
        (new / "people").mkdir(parents=True)
        SqliteLedger(new / "people" / "ledger.db").close()
    before = contents(new)

    with pytest.raises(LedgerError, match=f"found .*{there}.* there already"):
        restore_platform(archive, new, tell=tell_nobody)
    assert contents(new) == before

    restore_platform(archive, new, tell=tell_nobody, force=True)
    kept_there = {name: it for name, it in tree(new).items() if "mine" not in str(it[2])}
    assert kept_there == tree(data)
    assert not (new / "here" / "projects" / "corpus" / "mine").exists()


def changed(archive: Path, target: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Write a backup again whose own sums are right, with other content in one entry."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        manifest = unsealed(old.read(ledger_backup.MANIFEST), "")
        for entry in old.namelist():
            content = old.read(entry)
            if entry == name:
                content = change(content)
                for one in manifest["parts"]:  # type: ignore[attr-defined]
                    if one["name"] == name:
                        one["bytes"], one["sha256"] = len(content), name_of(content)
            if entry != ledger_backup.MANIFEST:
                new.writestr(entry, content)
        new.writestr(ledger_backup.MANIFEST, sealed(manifest))
    return target


def tar_of(*members: tuple[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as stream:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            stream.addfile(member, io.BytesIO(content))
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("attachments.tar", tar_of((name_of(PLAN), b"forged"))),
        ("attachments.tar", tar_of(("../../evil", b"forged"))),
        ("attachments.tar", b"no tar at all" * 100),
        ("projects/corpus.tar", tar_of(("files/a", b"without a manifest"))),
        ("projects/corpus.tar", tar_of(("../../evil", b"outside"))),
        ("projects/corpus.tar", b""),
    ],
)
def test_a_forged_part_is_refused_by_name(
    data: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    forged = changed(kept(data, tmp_path), tmp_path / "forged.zip", name, lambda _: content)

    with pytest.raises(DureError, match=name.partition(".")[0].removeprefix("projects/")):
        restore_platform(forged, tmp_path / "new", tell=tell_nobody)

    assert contents(tmp_path / "new") == {}
    assert not (tmp_path / "evil").exists()


def test_a_part_whose_sum_is_another_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    archive, target = kept(data, tmp_path), tmp_path / "forged.zip"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            # One more block of zeros after a tar's end: the tar reads the same.
            new.writestr(entry, content + bytes(512) if entry.startswith("projects/") else content)

    with pytest.raises(LedgerError, match=r"projects/corpus\.tar: found \d+ bytes with sha256"):
        restore_platform(target, tmp_path / "new", tell=tell_nobody)
    assert contents(tmp_path / "new") == {}


def test_any_flipped_byte_or_missing_half_changes_nothing(data: Path, tmp_path: Path) -> None:
    archive, broken = kept(data, tmp_path), tmp_path / "broken.zip"
    content, refused, tried = archive.read_bytes(), 0, 0
    before, whole = contents(data), tree(data)
    for place in (*range(0, len(content), 1_999), -1):
        tried += 1
        cut = content[:place]
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        for one in (cut, bytes(flipped)):
            broken.write_bytes(one)
            try:
                restore_platform(broken, tmp_path / "new", tell=tell_nobody, force=True)
            except DureError:
                refused += 1
            else:
                assert tree(tmp_path / "new") == whole
    assert refused > 1.8 * tried
    assert contents(data) == before


class PowerCut(BaseException):
    """The machine went dark."""


@pytest.mark.parametrize("renames", [0, 1, 3, 5, 8])
def test_a_restore_cut_short_is_finished_by_the_next(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    archive = kept(data, tmp_path)
    project = data / "here" / "projects" / "corpus"
    (project / "later").write_bytes(b"written after the backup")
    done: list[str] = []

    def dying(of: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def step(self: Path, target: Path) -> Path:
            if (data / restoring.STAGE / restoring.READY).exists():
                if len(done) == renames:
                    raise PowerCut
                done.append(self.name)
            return of(self, target)

        return step

    with monkeypatch.context() as dark:
        dark.setattr(Path, "replace", dying(Path.replace))
        dark.setattr(Path, "rename", dying(Path.rename))
        with pytest.raises(PowerCut):
            restore_platform(archive, data, tell=tell_nobody, force=True)
        with pytest.raises(LedgerError, match="cut short"):
            SqliteLedger(data / "here" / "ledger.db")
    restore_platform(archive, data, tell=tell_nobody, force=True)

    restored = tree(data)
    restore_platform(archive, tmp_path / "new", tell=tell_nobody)
    assert restored == tree(tmp_path / "new")
    assert not (project / "later").exists()
    assert not (data / restoring.STAGE).exists()
    assert not (data / "attachments" / STAGE).exists()
    assert Snapshots(data / "here", now_s=lambda: 0).projects() == ["corpus"]


def test_what_a_ledger_of_a_backup_names_is_in_it_however_fast_people_attach(
    data: Path, tmp_path: Path
) -> None:
    stop, files = Event(), FolderFiles(data / "attachments")

    def write() -> None:
        with closing(SqliteLedger(data / "here" / "ledger.db", durable=False)) as ledger:
            number = 3
            while not stop.is_set():
                attach(ledger, files, b"%%PDF-1.7 number %d" % number, number)
                number += 1

    writer = Thread(target=write)
    writer.start()
    try:
        done = [
            back_up_platform(data, tmp_path / f"{number}.zip", tell=tell_nobody)
            for number in range(4)
        ]
    finally:
        stop.set()
        writer.join()

    heads = [copy.seq for one in done for copy in one.manifest.ledgers if "here" in copy.name]
    assert heads == sorted(heads) and heads[-1] > heads[0] >= 2
    for number, one in enumerate(done):
        new = tmp_path / f"new{number}"
        restore_platform(tmp_path / f"{number}.zip", new, tell=tell_nobody)
        # Of a whole place a second backup finds nothing lost.
        again = back_up_platform(new, tmp_path / "again.zip", tell=tell_nobody)
        assert (one.lost, again.lost) == ((), ())
        assert again.manifest.ledgers == one.manifest.ledgers


@pytest.mark.skipif(programs() is None, reason="no PostgreSQL: make setup-postgres")
def test_a_platform_moves_to_a_database_and_back_with_all_it_has(
    data: Path, tmp_path: Path
) -> None:
    db, there, back = shared_server().new_database(), tmp_path / "there", tmp_path / "back"
    first = restore_platform(kept(data, tmp_path), there, tell=tell_nobody, db=db)
    assert tree(there) == tree(data)
    with pytest.raises(LedgerError, match="there already"):
        restore_platform(tmp_path / "kept.zip", there, tell=tell_nobody, db=db)
    assert tree(there) == tree(data)

    again = tmp_path / "again.zip"
    second = back_up_platform(there, again, tell=tell_nobody, db=db, with_projects=True)
    restore_platform(again, back, tell=tell_nobody)

    heads = [
        [(copy.name, copy.seq, copy.head) for copy in one.ledgers]
        for one in (first, second.manifest)
    ]
    assert heads[0] == heads[1]
    assert (second.lost, first.parts[0]) == ((), second.manifest.parts[0])
    assert tree(back) == tree(data)
    for pool in ("here", "people"):
        assert head(back, pool) == head(data, pool)
