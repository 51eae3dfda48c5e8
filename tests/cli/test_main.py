"""The ``dure`` command as such: errors in one line, exit codes, a quick help."""

import json
import re
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dure.cli.main import main
from dure.core.errors import DureError, InputError, PolicyError
from dure.reports.messages import catalogue
from tests.architecture.source_tree import python_files, text
from tests.cli.serving import Shell

DURE = str(Path(sys.executable).parent / "dure")
HELP_S_MAX = 0.3


def test_no_service_is_one_line_that_says_what_to_start(shell: Shell) -> None:
    done = shell("jobs", "--url", "http://127.0.0.1:9")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("dure jobs: http://127.0.0.1:9: nothing answers;")
    assert "Start it with: dure up" in done.err


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (DureError("one\ntwo"), 1),
        (PolicyError("a rule"), 1),
        (InputError("file", found="x", expected="y"), 2),
    ],
)
def test_whatever_dure_raises_is_one_line(
    wrong: DureError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raise_it(**_: object) -> None:
        raise wrong

    monkeypatch.setattr("dure.cli.main.app", raise_it)
    monkeypatch.setattr("dure.cli.main._command_path", lambda arguments: "dure x")
    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == code
    assert capsys.readouterr().err == f"dure x: {' '.join(str(wrong).split())}\n"


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Something that listens and is not Dure."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(10)

        def answer() -> None:
            with door.accept()[0] as line:
                line.recv(65_536)
                line.sendall(reply)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "is not Dure"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 5\r\n\r\nhello", "is not Dure"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n[]", "is not Dure"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", "the connection broke"),
        (b"", "the connection broke"),
    ],
)
def test_what_is_not_dure_is_told_in_one_line(shell: Shell, reply: bytes, says: str) -> None:
    with answering(reply) as url:
        done = shell("pool", "--url", url)

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1), done
    assert says in done.err


def test_wrong_usage_is_one_line_with_exit_code_2(shell: Shell) -> None:
    for line in ("repot", "call", "jobs --limit -1", "report yearly --month 2026-04 --out x"):
        done = shell(*line.split())

        assert done.code == 2, done
    assert shell("jobs", "--limit", "x").err.count("\n") == 1


def test_the_word_of_another_system_leads_to_ours(shell: Shell) -> None:
    done = shell("logs", "here-1")

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "No such command 'logs'. Did you mean 'output'?" in done.err


def test_help_answers_at_once() -> None:
    # Processor time: other tests run beside this one.
    spent_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([DURE, "--help"], capture_output=True, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(spent_s) < HELP_S_MAX


def test_help_loads_nothing_heavy() -> None:
    heavy = ("polars", "numpy", "numba", "litestar", "uvicorn", "httpx", "rich", "yaml")
    code = f"import sys, dure.cli.main; sys.exit(str(set(sys.modules) & set({heavy})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stderr.strip() == "set()"


def test_a_reader_that_has_enough_is_no_mistake(shell: Shell) -> None:
    command = f"{DURE} nodes --in founding --limit 0 --url {shell.url} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)

    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_every_sentence_of_the_command_line_is_said_somewhere() -> None:
    code = "\n".join(text(name) for name in python_files("src/dure/cli"))
    api = "\n".join(text(name) for name in python_files("src/dure/api"))
    quoted = set(re.findall(r"""["']([\w.]+)["']""", code))
    problems = {one.replace("-", "_") for one in re.findall(r'"([a-z-]+)"', api)}
    left = set()
    for key in catalogue("en"):
        family, _, name = key.removeprefix("cli.").partition(".")
        if not key.startswith("cli.") or family in ("asks_demand", "asks_supply"):
            continue
        is_said = {
            "column": name in quoted,
            "error": name in quoted or f"error.{name}" in quoted,
            "problem": name in problems,
        }.get(family, key.removeprefix("cli.") in quoted)
        if not is_said:
            left.add(key)

    assert left == set(), "no command says this"


def test_every_sentence_that_a_command_says_is_there() -> None:
    code = "\n".join(text(name) for name in python_files("src/dure/cli"))
    asked = set(re.findall(r'\bsay\(\s*"([a-z_.]+)"', code))
    asked |= {f"error.{one}" for one in re.findall(r'\bstop\(\s*"(\w+)"', code)}
    columns = r'\b(?:text|number|made|code|moment|gpu_hours)_column\(\s*"(\w+)"'
    asked |= {f"column.{one}" for one in re.findall(columns, code)}

    assert {key for key in asked if f"cli.{key}" not in catalogue("ko")} == set()


def test_a_small_year_says_what_it_took(tmp_path: Path, shell: Shell) -> None:
    done = shell(
        "bench",
        "year",
        *("--nodes", "16", "--days", "1", "--load", "1.3"),
        *("--out", str(tmp_path), "-o", "json"),
    )

    assert (done.code, done.err) == (0, "")
    figures = json.loads(done.out)
    assert (figures["nodes"], figures["days"], figures["load"]) == (16, 1, 1.3)
    assert figures["jobs"] >= figures["jobs_done"] > 0
    assert 0 < figures["rss_mb_max"] < 8_000
    assert json.loads((tmp_path / "timing.json").read_text())["cycles"] == figures["cycles"]


def test_a_year_of_no_work_at_all_is_refused(shell: Shell) -> None:
    done = shell("bench", "year", "--nodes", "16", "--days", "1", "--load", "0")

    assert (done.code, done.out) == (2, "")
    assert "--load: found 0; expected 0 < load <= 100" in done.err


def test_a_small_programme_says_what_it_took(shell: Shell) -> None:
    done = shell("bench", "programme", "--rounds", "1", "--applications", "600", "-o", "json")

    assert (done.code, done.err) == (0, "")
    figures = json.loads(done.out)
    assert (figures["rounds"], figures["applications"]) == (1, 514)
    assert figures["allocated"] > 0 and figures["one_call_applications"] == 600
