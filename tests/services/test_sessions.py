"""A session as a job: what may be asked for, and that a pool without sessions says so."""

import pytest

from dure.core.errors import InputError
from dure.services.desks import Refused, Submission, WorkForm
from dure.services.requests import parse_job, parse_job_yaml
from dure.services.requests.session_text import session_text
from tests.services.live_bench import ADMIN, LiveBench


def test_a_session_is_a_job_that_ends_when_its_estimate_does() -> None:
    text = session_text(
        "jupyter", gpus=2, time="1h30m", accelerator="B200|H200", preemptible=True,
        image="ghcr.io/team/lab:v1",
    )  # fmt: skip

    request = parse_job_yaml(text, "job")
    recipe = request.recipe()

    assert (request.name, request.gpus, request.accelerator) == ("jupyter", 2, "B200|H200")
    assert request.preemptible and recipe.image == "ghcr.io/team/lab:v1"
    assert (recipe.interactive, recipe.interactive_s) == ("jupyter", 5_400)
    # The shell that people type into would die of a signal.
    assert recipe.notice_signal == "none" and not recipe.script and not recipe.command


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dure: {interactive: shell}", "no estimate"),
        ("dure: {interactive: shell, estimate: 0s}", "estimate"),
        ("dure: {interactive: emacs, estimate: 1h}", "one of jupyter, shell"),
        ("run: x\ndure: {interactive: shell, estimate: 1h}", "run and interactive"),
        ("dure: {interactive: shell, estimate: 1h, command: [a]}", "command and interactive"),
        ("dure: {interactive: shell, estimate: 1h, array: 0-3}", "one session"),
        ("dure: {interactive: shell, estimate: 1h, gpus: 4, min_gpus: 2}", "GPUs back"),
        ("#!/bin/bash\n#DURE interactive=shell\n#DURE estimate=1h\nx\n", "run and interactive"),
    ],
)
def test_what_cannot_be_a_session_is_refused_by_field(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_job(text, "job")


def test_a_pool_whose_sessions_nobody_reaches_takes_none() -> None:
    bench = LiveBench()
    text = session_text("shell", gpus=1, time="1h")

    answer = bench.desk.submit(Submission(WorkForm.YAML, text, "", "k"), by=ADMIN)

    assert isinstance(answer, Refused)
    assert [(one.field, one.code) for one in answer.problems] == [
        ("interactive", "PoolHasNoSessions")
    ]
    assert not bench.desk.has_sessions() and bench.desk.line("here-1") is None
