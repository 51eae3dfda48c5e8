"""``dure ledger verify``, ``dure backup`` and ``dure restore``, as a person types them."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dure.cli.main import app
from dure.core.events.applying import AttachmentAdded
from dure.ledger.codec import encode_events
from dure.ledger.sqlite import SqliteLedger
from dure.services.ports import KIND_EVENTS, Entry
from tests.ledger.ledgers import tamper


def dure(*arguments: str | os.PathLike[str]) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for pool in ("founding", "here"):
        place = tmp_path / "data" / pool / "ledger.db"
        place.parent.mkdir(parents=True)
        ledger = SqliteLedger(place)
        ledger.append([Entry(KIND_EVENTS, 77, encode_events([]))], expect=0)
        ledger.close()
    return tmp_path / "data"


def test_whole_ledgers_get_one_line_each(data: Path) -> None:
    done = dure("ledger", "verify", "--data", data)

    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        str(data / "founding" / "ledger.db"),
        str(data / "here" / "ledger.db"),
    ]
    assert all("1 records" in line and line.endswith("whole") for line in lines)


def test_the_data_directory_may_come_from_the_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURE_DATA", str(data / "here"))

    assert len(dure("ledger", "verify").stdout.splitlines()) == 1


def test_a_flaw_is_shown_in_a_table_with_exit_code_1(data: Path) -> None:
    tamper(data / "here" / "ledger.db", "UPDATE record SET payload = x'0900'")

    done = dure("ledger", "verify", "--data", data)

    assert done.exit_code == 1
    assert "record 1" in done.stdout
    assert "expected" in done.stdout


def test_a_flaw_is_read_by_machines(data: Path) -> None:
    tamper(data / "here" / "ledger.db", "UPDATE record SET payload = x'0900'")

    done = dure("ledger", "verify", "--data", data, "-o", "json")
    founding, here = json.loads(done.stdout)["ledgers"]

    assert done.exit_code == 1
    assert (founding["records"], founding["at_s"], founding["flaws"]) == (1, 77, [])
    assert [flaw["where"] for flaw in here["flaws"]] == ["ledger.db", "record 1", "record 1"]
    assert "codec version 9" in here["flaws"][2]["found"]


@pytest.mark.parametrize("output", ["yaml", "csv"])
def test_other_outputs_name_every_ledger(data: Path, output: str) -> None:
    done = dure("ledger", "verify", "--data", data, "-o", output)

    assert done.exit_code == 0
    assert "founding" in done.stdout and "here" in done.stdout


def test_a_lost_ledger_is_a_flaw_as_long_as_its_anchor_is_there(data: Path) -> None:
    (data / "here" / "ledger.db").unlink()

    assert dure("ledger", "verify", "--data", data).exit_code == 1


def test_a_directory_without_ledgers_is_wrong_usage(tmp_path: Path) -> None:
    done = dure("ledger", "verify", "--data", tmp_path)

    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


def test_an_anchor_kept_elsewhere_is_compared(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_bytes((data / "here" / "ledger.anchor.json").read_bytes())

    assert dure("ledger", "verify", "--data", data / "here", "--anchor", kept).exit_code == 0
    (data / "here" / "ledger.db").unlink()
    (data / "here" / "ledger.anchor.json").unlink()
    SqliteLedger(data / "here" / "ledger.db").close()
    assert dure("ledger", "verify", "--data", data / "here", "--anchor", kept).exit_code == 1


def test_a_backup_is_restored_and_replaces_only_by_force(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.zip"

    assert dure("backup", kept, "--data", data).exit_code == 0
    assert dure("restore", kept, "--data", tmp_path / "new").exit_code == 0
    refused = dure("restore", kept, "--data", data)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
    assert dure("restore", kept, "--data", data, "--force").exit_code == 0
    assert dure("ledger", "verify", "--data", tmp_path / "new").exit_code == 0


def test_a_backup_says_what_is_not_in_it_and_names_what_is_lost(data: Path, tmp_path: Path) -> None:
    project = data / "here" / "projects" / "corpus"
    project.mkdir(parents=True)
    (project / "a.txt").write_text("words")
    kept = tmp_path / "kept.zip"

    without = dure("backup", kept, "--data", data)
    assert "files of 1 projects" in without.stderr
    whole = dure("backup", kept, "--data", data, "--projects")
    assert "projects/corpus.tar" in whole.stdout and "files of 0 projects" in whole.stderr

    event = AttachmentAdded("d1", "ab" * 32, "plan.pdf", "pdf", 9, at_s=78, by="kim")
    ledger = SqliteLedger(data / "here" / "ledger.db")
    ledger.append([Entry(KIND_EVENTS, 78, encode_events([event]))], expect=1)
    ledger.close()
    lacking = dure("backup", kept, "--data", data)
    assert lacking.exit_code == 1
    assert "abababababababab" in lacking.stderr and kept.exists()
