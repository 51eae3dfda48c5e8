"""Submitting, listing, asking why, cancelling and following jobs against a real server."""

import csv
import io
import json
import threading
import time
from dataclasses import replace

import pytest
import yaml

from dure.services.access import Role
from dure.services.desks import Output
from dure.services.views import JobStory
from tests.cli.serving import Shell
from tests.portal.filled import NOW_S


@pytest.fixture
def member(shell: Shell) -> Shell:
    shell.be(Role.MEMBER)
    (shell.home / "hello.yaml").write_text("run: echo hello\n")
    return shell


def test_a_job_is_taken_and_its_number_is_all_that_is_printed(member: Shell) -> None:
    done = member("submit", "hello.yaml")
    (member.home / "hello.sbatch").write_text("#!/bin/bash\n#SBATCH --gpus=1\necho hi\n")
    batch = member("submit", "hello.sbatch", "-o", "json")

    assert (done.code, done.out, done.err) == (0, "h1\n", "")
    assert json.loads(batch.out) == {"pool": "here", "job": "h1", "jobs": ["h1"]}


def test_a_wish_has_its_own_key_unless_one_is_given(member: Shell) -> None:
    for _ in range(2):
        member("submit", "hello.yaml")
        member("submit", "hello.yaml", "--key", "mine")

    keys = list(member.services.pools["here"].submitted)  # type: ignore[attr-defined]
    assert len(keys) == 3 and "kang.min:mine" in keys


@pytest.mark.parametrize(
    ("name", "text", "code", "says"),
    [
        ("absent.yaml", None, 2, "absent.yaml cannot be read"),
        ("job.txt", b"run: true", 2, ".yaml, .yml, .sbatch"),
        ("job.yaml", b"\xff\xfe", 2, "byte 0 is no UTF-8"),
        ("job.yaml", b"#" * 600_000, 2, "expected at most 524,288"),
        ("job.yaml", b"accelerators: GPU:99", 1, "gpus: TooManyGpus"),
    ],
)
def test_a_job_that_cannot_be_taken_is_one_line(
    member: Shell, name: str, text: bytes | None, code: int, says: str
) -> None:
    if text is not None:
        (member.home / name).write_bytes(text)
    done = member("submit", name)

    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1), done
    assert done.err.startswith("dure submit: ") and says in done.err


def test_the_simulated_pool_takes_no_jobs(member: Shell) -> None:
    done = member("submit", "hello.yaml", "--in", "founding")

    assert done.code == 1 and "Submit with --in here" in done.err


def test_a_foreign_project_is_refused_with_the_reason(member: Shell) -> None:
    done = member("submit", "hello.yaml", "--project", "p-2026-1-0001")

    assert done.code == 1 and "Your roles do not allow this. kang.min (member" in done.err


def test_listings_hold_the_same_rows_in_every_form(member: Shell) -> None:
    arguments = ("jobs", "--in", "founding", "--limit", "0", "-o")
    as_json = json.loads(member(*arguments, "json").out)
    as_yaml = yaml.safe_load(member(*arguments, "yaml").out)
    as_csv = list(csv.DictReader(io.StringIO(member(*arguments, "csv").out)))
    table = member(*arguments, "table").out.splitlines()

    assert as_json and as_json == as_yaml
    assert [row["job"] for row in as_csv] == [row["job"] for row in as_json]
    assert [line.split()[0] for line in table[1:]] == [row["job"] for row in as_json]


def test_a_long_list_is_cut_and_says_so(shell: Shell) -> None:
    shell.be(Role.OPERATOR)
    cut = shell("jobs", "--in", "founding", "--limit", "3", "-o", "json")
    parts = shell("nodes", "--in", "founding", "--limit", "1100", "-o", "json")
    whole = shell("nodes", "--in", "founding", "--limit", "0", "-o", "json")

    assert len(json.loads(cut.out)) == 3 and "--limit 0" in cut.err
    assert len(json.loads(parts.out)) == 1_100 and "--limit 0" in parts.err
    assert len(json.loads(whole.out)) == 1_642 and whole.err == ""


def test_the_pool_may_come_from_the_environment(member: Shell) -> None:
    member.set({"DURE_IN": "founding"})
    jobs = json.loads(member("jobs", "--state", "pending", "-o", "json").out)

    assert {row["state"] for row in jobs} == {"PENDING"}


def test_why_tells_reason_dates_and_what_would_help(member: Shell) -> None:
    done = member("why", "j200007")
    document = json.loads(member("why", "j200007", "-o", "json").out)

    assert done.code == 0
    assert "Lent GPUs were called back" in done.out and "Nine in ten within" in done.out
    assert document["code"] == "WaitingForPreemptedWorkloads" and document["pool"] == "founding"


def test_a_job_is_found_in_any_pool_unless_one_is_named(member: Shell) -> None:
    assert member("why", "j200007").code == 0
    missed = member("why", "j200007", "--in", "here")

    assert (missed.code, missed.err.count("\n")) == (1, 1)
    assert "There is no such thing" in missed.err


def test_cancelling_says_what_became_of_it(member: Shell) -> None:
    done = member("cancel", "h1")

    assert done.out == "h1: The job is being stopped.\n"
    assert member.services.pools["here"].cancelled == ["h1"]  # type: ignore[attr-defined]
    assert json.loads(member("cancel", "h1", "-o", "json").out)["answer"] == "stopping"


def test_output_is_printed_as_it_is(member: Shell) -> None:
    done = member("output", "h1")

    assert (done.code, done.out) == (0, "hello from here-1\n")


def end_later(shell: Shell, state: str) -> threading.Thread:
    """Let the job print another line and end while it is followed."""
    pool = shell.services.pools["here"]
    view = pool.view()
    story = view.story("h1")
    assert story is not None
    text = ["hello\n"]
    pool.output = (
        lambda job, *, offset: Output(  # type: ignore[method-assign]
            "".join(text)[offset:], offset, len("".join(text)), is_end=False
        )
    )

    looked = threading.Event()

    def look(job: str) -> JobStory | None:
        looked.set()
        return view.story(job)

    pool.shown = replace(view, story=look)  # type: ignore[attr-defined]

    def end() -> None:
        # A busy machine may take a second until somebody follows.
        assert looked.wait(30)
        time.sleep(0.8)
        text.append("bye\n")
        row = replace(story.row, state=state, end_at_s=NOW_S)
        ended = JobStory(row, story.attempts, story.asked)
        pool.shown = replace(view, seq=2, story={"h1": ended}.get)  # type: ignore[attr-defined]

    thread = threading.Thread(target=end)
    thread.start()
    return thread


@pytest.mark.parametrize(("state", "code"), [("COMPLETED", 0), ("FAILED", 1)])
def test_following_copies_the_output_and_ends_with_the_job(
    member: Shell, state: str, code: int
) -> None:
    thread = end_later(member, state)
    done = member("output", "h1", "--follow")
    thread.join()

    assert (done.code, done.out) == (code, "hello\nbye\n")
    assert done.err.splitlines()[0] == "h1: Running"


def test_submit_waits_for_the_end_and_fails_with_the_job(member: Shell) -> None:
    thread = end_later(member, "FAILED")
    done = member("submit", "hello.yaml", "--wait")
    thread.join()

    assert (done.code, done.out) == (1, "h1\n")
    assert done.err.splitlines() == ["h1: Running", "h1: Failed"]


def test_nothing_to_show_is_said_beside(member: Shell) -> None:
    done = member("jobs", "--state", "FAILED")

    assert (done.code, done.out, done.err) == (0, "", "Nothing to show.\n")
    assert member("jobs", "--state", "FAILED", "-o", "json").out == "[]\n"


def test_a_state_that_is_none_is_refused_with_those_there_are(member: Shell) -> None:
    done = member("jobs", "--state", "waiting")

    assert (done.code, done.out) == (2, "")
    assert "--state waiting" in done.err and "PENDING" in done.err


def test_a_name_cannot_command_the_terminal(member: Shell) -> None:
    pool = member.services.pools["here"]
    view = pool.view()
    row = replace(view.jobs.row(0), title="\x1b[2Jred [bold]x[/]")
    jobs = replace(view.jobs, row=lambda index: row)
    pool.shown = replace(view, jobs=jobs)  # type: ignore[attr-defined]
    done = member("jobs")

    assert "\x1b" not in done.out and "[bold]x[/]" in done.out


def test_a_node_is_closed_and_opened_and_the_answer_says_who_else_keeps_it(shell: Shell) -> None:
    shell.be(Role.OPERATOR)
    node = shell.services.pools["here"].view().nodes.ids[0]

    closed = shell("drain", node, "--reason", "new rack")
    opened = shell("resume", node, "-o", "json")
    absent = shell("drain", "nowhere-1")

    assert (closed.code, closed.err) == (0, "") and closed.out.startswith(f"{node}: ")
    assert json.loads(opened.out) == {"node": node, "answer": "still_closed"}
    assert (absent.code, absent.out) == (1, "")
