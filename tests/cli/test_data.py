"""``dure data`` against a real server: trees there and back, breaks, sums, the machine's backup."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from dure.cli import transfers
from dure.cli.client import Service, UnreachableError
from dure.core.events.storage import ProjectRecovered
from dure.drivers.storage import LocalFiles
from dure.ledger.codec import decode_events
from dure.ledger.sqlite import SqliteLedger
from dure.services.access import Role
from tests.cli.serving import Shell

P = "p-2026-1-0003"


@pytest.fixture
def member(shell: Shell) -> Shell:
    shell.be(Role.MEMBER)
    return shell


def test_a_tree_goes_there_and_comes_back_the_same(member: Shell) -> None:
    tree = member.home / "set"
    (tree / "in" / "ner").mkdir(parents=True)
    (tree / "a.bin").write_bytes(os.urandom(100_000))
    (tree / "in" / "ner" / "가 #?%.txt").write_text("x")
    (tree / "out").symlink_to("/etc/passwd")
    sent = member("data", "put", P, "set")
    fetched = member("data", "get", P, "set", "back")

    assert (sent.code, fetched.code) == (0, 0), sent.err + fetched.err
    assert "2 files sent." in sent.err and "out: no plain file, passed over." in sent.err
    back = member.home / "back"
    assert (back / "a.bin").read_bytes() == (tree / "a.bin").read_bytes()
    assert (back / "in" / "ner" / "가 #?%.txt").read_text() == "x"
    assert [one.name for one in back.rglob("*") if "dure-part" in one.name] == []


def test_listing_and_use_for_people_and_programs(member: Shell) -> None:
    table = member("data", "ls", P).out
    rows = list(csv.DictReader(io.StringIO(member("data", "ls", P, "sets", "-o", "csv").out)))
    use = json.loads(member("data", "use", P, "-o", "json").out)

    assert "notes.txt" in table and "100 B" in table
    assert [row["name"] for row in rows] == ["시험.csv"]
    assert (use["used_bytes"], use["over_bytes"]) == (108, 0)


def test_an_upload_goes_on_after_every_part_is_lost_once(
    member: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "PART_BYTES", 10_000)
    monkeypatch.setattr(transfers, "RETRY_S", 0)
    (member.home / "a").write_bytes(content := os.urandom(35_000))
    whole, calls = Service.send, []

    def lossy(self: Service, method: str, path: str, *rest: object, **more: object) -> object:
        calls.append(more.get("headers"))
        answer = whole(self, method, path, *rest, **more)  # type: ignore[arg-type]
        if len(calls) % 2:
            raise UnreachableError("the answer is lost")
        return answer

    monkeypatch.setattr(Service, "send", lossy)
    done = member("data", "put", P, "a")
    monkeypatch.setattr(Service, "send", whole)
    member("data", "get", P, "a", "b")

    assert done.code == 0, done.err
    assert (member.home / "b").read_bytes() == content


def test_a_file_that_is_there_already_is_not_sent_again(
    member: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (member.home / "a").write_bytes(b"0123456789")
    member("data", "put", P, "a")
    parts: list[object] = []
    whole = Service.send

    def counting(self: Service, *rest: object, **more: object) -> object:
        parts.append(more.get("content"))
        return whole(self, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Service, "send", counting)

    assert member("data", "put", P, "a").code == 0
    assert parts == [b""]


def test_a_download_takes_up_what_an_earlier_one_left(member: Shell) -> None:
    (member.home / "a").write_bytes(content := os.urandom(50_000))
    member("data", "put", P, "a")
    service = Service(member.url, os.environ["DURE_TOKEN"])
    etag = service.get(f"/projects/{P}/checksum", path="a")["etag"]
    beside = member.home / f".b.{etag}.dure-part"
    beside.write_bytes(content[:20_000])
    took: list[int] = []
    transfers.download(service, P, "a", member.home / "b", took.append)

    assert took[0] == 20_000
    assert (member.home / "b").read_bytes() == content and not beside.exists()


def test_a_download_whose_sum_differs_takes_no_name(member: Shell) -> None:
    (member.home / "a").write_bytes(b"0123456789")
    member("data", "put", P, "a")
    rows = json.loads(member("data", "ls", P, "-o", "json").out)
    etag = next(row["etag"] for row in rows if row["name"] == "a")
    (member.home / f".b.{etag}.dure-part").write_bytes(b"spoilt")
    done = member("data", "get", P, "a", "b")

    assert done.code == 1 and "another checksum" in done.err
    assert not (member.home / "b").exists()
    assert member("data", "get", P, "a", "b").code == 0


def test_a_folder_goes_with_all_only_when_it_is_said(member: Shell) -> None:
    assert member("data", "mkdir", P, "new/inner").code == 0
    refused = member("data", "rm", P, "new")

    assert refused.code == 1 and "not empty" in refused.err
    assert member("data", "rm", P, "new", "--all").code == 0
    assert member("data", "rm", P, "new").code == 1


def test_beyond_the_quota_is_one_line_with_both_numbers(member: Shell) -> None:
    (member.home / "big").write_bytes(b"x" * (2 << 20))
    done = member("data", "put", P, "big")

    assert done.code == 1
    assert "2 MiB more is needed, and 1,023 KiB of the project's 1 MiB is left." in done.err


def test_snapshots_are_taken_listed_restored_and_removed(member: Shell) -> None:
    assert member("data", "snapshot", P, "--name", "one").code == 0
    member("data", "rm", P, "notes.txt")
    listed = json.loads(member("data", "snapshots", P, "-o", "json").out)
    restored = member("data", "restore", P, "one", "--yes")
    fetched = member("data", "get", P, "notes.txt")
    removed = member("data", "snapshot", P, "--name", "one", "--remove")

    assert [row["snapshot"] for row in listed] == ["one"]
    assert (restored.code, fetched.code, removed.code) == (0, 0, 0)
    assert (member.home / "notes.txt").read_bytes() == b"0123456789" * 10
    assert member("data", "restore", P, "one", "--yes").code == 1


@pytest.mark.parametrize(
    "words",
    [("ls", "p-2026-1-0001"), ("get", P, "nothing"), ("put", P, "nothing"), ("use", "nothing")],
)
def test_what_is_not_there_or_not_ones_own_is_one_line(
    member: Shell, words: tuple[str, ...]
) -> None:
    done = member("data", *words)

    assert done.code in (1, 2) and done.err.count("\n") == 1, done
    assert done.err.startswith(f"dure data {words[0]}: ")


def test_the_machine_backs_a_project_up_and_brings_it_back(member: Shell, tmp_path: Path) -> None:
    here = tmp_path / "data" / "here"
    disk = LocalFiles(here, now_s=lambda: 1)
    (disk.folder("p-1") / "a").write_text("x")
    SqliteLedger(here / "ledger.db").close()
    where = ("--data", str(tmp_path / "data"))
    kept = member("data", "backup", "p-1", "p.tar.gz", *where)
    (disk.folder("p-1") / "a").write_text("spoilt")
    refused = member("data", "recover", "p.tar.gz", *where)
    back = member("data", "recover", "p.tar.gz", "--force", *where)
    ledger = SqliteLedger(here / "ledger.db", read_only=True)
    events = [event for record in ledger.read() for event in decode_events(record.payload)]
    ledger.close()

    assert (kept.code, back.code) == (0, 0), kept.err + back.err
    assert refused.code == 2 and "--force" in refused.err
    assert (disk.folder("p-1") / "a").read_text() == "x"
    (event,) = events
    assert isinstance(event, ProjectRecovered)
    assert (event.project, event.files, event.bytes) == ("p-1", 1, 1)


def test_a_backup_of_nothing_says_so(member: Shell, tmp_path: Path) -> None:
    done = member("data", "backup", "p-1", "p.tar.gz", "--data", str(tmp_path / "none"))

    assert done.code == 2 and "no pool of this machine" in done.err
