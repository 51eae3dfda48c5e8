"""The programme, use and reports from the command line, against a real server."""

import csv
import io
import json
from itertools import product

import pytest

from dure.services.access import Role
from tests.cli.serving import Shell

ANSWERS = """\
title_ko: 한국어 의료 상담 언어모델
organisation: 가온대학교
group: academia
accelerator: B200
gpus: 32
months: 6
work_kind: finetuning
"""


def test_an_application_goes_in_once_and_is_listed(shell: Shell) -> None:
    shell.be(Role.APPLICANT)
    (shell.home / "a.yaml").write_text(ANSWERS)
    first = shell("apply", "2026-2", "a.yaml", "--key", "k")
    again = shell("apply", "2026-2", "a.yaml", "--key", "k")
    listed = json.loads(shell("application", "list", "-o", "json").out)

    assert (first.code, first.out) == (0, "2026-2-0003\n") == (again.code, again.out)
    assert [row["application"] for row in listed] == ["2026-1-0003", "2026-2-0003"]
    assert listed[1]["gpus_asked"] == 32


def test_everything_that_is_wrong_comes_back_at_once(shell: Shell) -> None:
    shell.be(Role.APPLICANT)
    (shell.home / "a.yaml").write_text("gpus: 12\n")
    done = shell("apply", "2026-2", "a.yaml")

    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "title_ko: Please fill this in." in done.err
    assert "gpus: Please ask for whole servers of 8 GPUs" in done.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpus: [1, 2]", "gpus has several values"),
        ("- a\n- b", "expected a line for each field"),
        ("gpus: 'x", "found no YAML"),
        ("", "expected a line for each field"),
        ("[" * 5000, "found no YAML"),
        ("? [x]\n: y", "found no YAML"),
    ],
)
def test_answers_that_cannot_be_read_are_wrong_usage(shell: Shell, text: str, says: str) -> None:
    shell.be(Role.APPLICANT)
    (shell.home / "a.yaml").write_text(text)
    done = shell("apply", "2026-2", "a.yaml")

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
    assert says in done.err


def test_a_reviewer_lists_and_gives_a_review(shell: Shell) -> None:
    shell.be(Role.REVIEWER)
    marks = ("--mark", "impact=80", "--mark", "ecosystem=70", "--mark", "capability=90")
    given = shell("review", "give", "2026-1-0107", *marks)
    again = shell("review", "give", "2026-1-0107", *marks)
    listed = json.loads(shell("review", "list", "-o", "json").out)

    assert given.code == 0 and "your review is taken" in given.out
    assert again.code == 1 and "You have reviewed this application already." in again.err
    assert listed[0]["marks"] == {"impact": 80, "ecosystem": 70, "capability": 90}


@pytest.mark.parametrize("mark", ["impact", "impact=x", "=3", "impact=-1", "impact=1000"])
def test_a_mark_that_is_none_is_wrong_usage(shell: Shell, mark: str) -> None:
    shell.be(Role.REVIEWER)

    assert shell("review", "give", "2026-1-0107", "--mark", mark).code == 2


LISTINGS = (
    "pool", "nodes", "jobs", "loans", "call list", "application list", "review list", "award list",
    "allocation list", "waitlist", "supply list", "usage --month 2026-04", "call show 2026-2",
    "application show 2026-1-0003", "whoami", "why h1",
)  # fmt: skip
ROLE_OF = {"review list": Role.AUDITOR}


@pytest.mark.parametrize("language", ["ko", "en"])
def test_every_listing_can_be_read_by_people_and_programs(shell: Shell, language: str) -> None:
    shell.set({"DURE_LANG": language})
    for line, output in product(LISTINGS, ("table", "json", "yaml", "csv")):
        shell.be(ROLE_OF.get(line, Role.ADMIN))
        done = shell(*line.split(), "-o", output)

        assert done.code == 0, (line, output, done.err)
        if output == "json":
            json.loads(done.out)
        if output == "csv":
            rows = list(csv.DictReader(io.StringIO(done.out)))
            assert all(None not in row for row in rows)


def test_a_language_is_chosen_by_the_environment(shell: Shell) -> None:
    seen = {}
    for dure_lang, lang in (("", "ko_KR.UTF-8"), ("", "en_US.UTF-8"), ("ko", "C"), ("", "")):
        shell.set({"DURE_LANG": dure_lang, "LANG": lang})
        seen[dure_lang, lang] = shell("call", "list").out.split()[0]

    assert list(seen.values()) == ["공모", "Call", "공모", "Call"]


def test_use_is_told_for_the_programmes_month_unless_one_is_named(shell: Shell) -> None:
    shell.be(Role.AUDITOR)
    now = shell("usage")
    april = shell("usage", "--month", "2026-04", "-o", "json")

    assert (now.code, now.err.splitlines()[0]) == (0, "2026-06, in GPU hours")
    assert len(json.loads(april.out)) == 24 + 3
    assert shell("usage", "--month", "2026-13").code == 2


def test_a_report_is_written_whole(shell: Shell) -> None:
    shell.be(Role.AUDITOR)
    arguments = ("report", "monthly", "--month", "2026-04", "--format")
    to_file = shell(*arguments, "csv", "--out", "use.csv")
    to_stdout = shell(*arguments, "json", "--out", "-")
    rows = list(csv.DictReader((shell.home / "use.csv").open()))

    assert to_file.code == 0 and to_file.out.startswith("use.csv: ")
    assert [row["who"] for row in rows] == [row["who"] for row in json.loads(to_stdout.out)["use"]]
    assert sorted(path.name for path in shell.home.iterdir()) == ["use.csv"]


@pytest.mark.parametrize("format", ["pdf", "xlsx", "focus", "swf"])
def test_a_format_that_is_not_made_says_which_there_are(shell: Shell, format: str) -> None:
    shell.be(Role.AUDITOR)
    done = shell("report", "public", "--month", "2026-04", "--format", format, "--out", "x")

    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"{format} is not made yet. There are: csv, json." in done.err
    assert not (shell.home / "x").exists()


def test_a_report_that_one_may_not_read_is_refused(shell: Shell) -> None:
    shell.be(Role.MEMBER)
    done = shell("report", "programme", "--month", "2026-04", "--out", "x")

    assert done.code == 1 and "Your roles do not allow this." in done.err


def test_a_folder_that_is_not_there_is_named(shell: Shell) -> None:
    done = shell("report", "public", "--month", "2026-04", "--out", "no/where.json")

    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "no/where.json cannot be written" in done.err
