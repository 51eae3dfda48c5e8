"""Hostile words in any field of a job change nothing of how it is run, but that field's own place.

From the text of a file to the argument lists, variables and files of the local backend. The oracle
is a harmless job: what differs from it may differ only where the field goes.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.core.orders import StartOrder
from dure.drivers.launch import SHELL, Launch, plan_launch
from dure.drivers.machine import NODE, MachineNode
from dure.drivers.places import Places
from dure.services.requests import JobRequest, parse_job_yaml, parse_sbatch
from dure.services.requests.own_fields import OWN_FIELDS

EXAMPLES = 500
MACHINE = MachineNode(NODE, "slot", 4, 4_000, 1_024, has_gpus=True)
PLACES = Places(Path("/pool/here"), "job-1", 1)
NASTY = (
    "$(id)", "`id`", "; rm -rf ~ #", "&& x", "| sh", "> /etc/passwd", "\n", "\r\n", "\0", "\x1b[2J",
    "../../..", "/etc/passwd", "-", "--", "--wrap=x", "-rf", "'", '"', "\\", "$IFS", "${PATH}", "*",
    "=", ":", ",", "@", "%", "\n#SBATCH --wrap=id", "\n#DURE gpus=9", "#!/bin/evil",
    "!!python/name:x", "&a [*a]", "{a: b}", "LD_PRELOAD=/x", "DURE_ACTION=x", "가",
    "\u202e", "\ud800", "\u2028",
)  # fmt: skip
words = st.lists(st.sampled_from(NASTY) | st.text(max_size=8), max_size=5).map("".join)

# Little beside the field under test, since reading YAML is most of what these tests cost.
HARMLESS: dict[str, Any] = {"run": "true", "dure": {"preemptible": "true", "gpus": "2"}}
FIELDS = [
    *((name,) for name in ("name", "setup", "run", "num_nodes")),
    ("envs", "VARIABLE"),
    *(("resources", name) for name in ("accelerators", "cpus", "memory", "use_spot", "region")),
    *(("dure", name) for name in OWN_FIELDS),
]
BATCH = {
    **dict.fromkeys(("job-name", "account", "nodes", "gpus", "time", "mem", "cpus-per-task"), "1"),
    **dict.fromkeys(("constraint", "partition", "output", "chdir", "comment"), "1"),
    "signal": "USR1@10",
    "dependency": "afterok:1",
    "export": "VARIABLE=value",
    "gres": "gpu:1",
}


def launched(request: JobRequest) -> Launch:
    """Plan as the pool does; the order's own parts are the pool's and stay the same."""
    order = StartOrder(
        "action-1", "job-1", 1, ((NODE, 0), (NODE, 1)), 500, request.recipe(), "loan"
    )
    return plan_launch(order, PLACES, MACHINE)


def with_value(document: dict[str, Any], path: tuple[str, ...], value: str) -> dict[str, Any]:
    head, *rest = path
    below = with_value(document.get(head, {}), tuple(rest), value) if rest else value
    return {**document, head: below}


def parsed(read: Callable[[str, str], JobRequest], text: str) -> JobRequest | None:
    """Return the request, or None where the file is refused by name."""
    try:
        return read(text, "job")
    except InputError as refusal:
        assert str(refusal).startswith("job")
        assert len(str(refusal)) < 1_000
        return None


def changed(one: Launch, other: Launch) -> set[str]:
    """Return the names of the variables that differ."""
    return {name for name in {*one.env, *other.env} if one.env.get(name) != other.env.get(name)}


@cache
def harmless() -> Launch:
    return launched(parse_job_yaml(yaml.safe_dump(HARMLESS), "job"))


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
@settings(max_examples=EXAMPLES)
@given(text=words)
def test_a_value_in_yaml_stays_in_its_place(path: tuple[str, ...], text: str) -> None:
    request = parsed(parse_job_yaml, yaml.safe_dump(with_value(HARMLESS, path, text)))
    if request is None:
        return
    launch, plain = launched(request), harmless()

    own_place = {("name",): {"DURE_JOB_NAME"}, ("envs", "VARIABLE"): {"VARIABLE"}}
    assert changed(launch, plain) <= own_place.get(path, set())
    if path == ("envs", "VARIABLE"):
        assert launch.env["VARIABLE"] == text
    if path in (("run",), ("setup",)):
        check_scripts(launch, request)
    elif path == ("dure", "notice_signal"):
        assert replace(launch, notice_signal=10, notice_first_only=False, env={}) == replace(
            plain, env={}
        )
    else:
        if path == ("dure", "image"):
            assert launch.remark.isprintable() or launch.remark.count("\n") == 1
            launch = replace(launch, remark="")
        assert replace(launch, env={}) == replace(plain, env={})


def check_scripts(launch: Launch, request: JobRequest) -> None:
    """Each script is the user's text, run by its path and nothing else."""
    texts = [text for text in (request.setup, request.run) if text]
    paths = [path for path, _ in launch.scripts]
    assert [text for _, text in launch.scripts] == texts
    assert {path.parent for path in paths} == {PLACES.job_dir}
    assert list(launch.steps) == [
        (str(path),) if text.startswith("#!") else (SHELL, str(path))
        for path, text in launch.scripts
    ]


@settings(max_examples=EXAMPLES)
@given(name=words, value=words)
def test_a_variable_s_name_is_a_name_and_none_of_ours(name: str, value: str) -> None:
    text = yaml.safe_dump({**HARMLESS, "envs": {name: value}})
    request = parsed(parse_job_yaml, text)
    if request is None:
        return
    launch, plain = launched(request), harmless()

    assert changed(launch, plain) <= {name}
    assert re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
    assert not name.startswith("DURE_") or launch.env.get(name) == plain.env.get(name)


@settings(max_examples=EXAMPLES)
@given(arguments=st.lists(words, min_size=1, max_size=4))
def test_a_command_is_run_word_for_word(arguments: list[str]) -> None:
    document = {"dure": {"command": arguments, "gpus": "2"}}
    request = parsed(parse_job_yaml, yaml.safe_dump(document))
    if request is None:
        return

    assert launched(request).steps == (tuple(arguments),)
    assert launched(request).scripts == ()


@cache
def harmless_batch(text: str) -> Launch:
    return launched(parse_sbatch(text, "job"))


@pytest.mark.parametrize("name", BATCH)
@settings(max_examples=EXAMPLES)
@given(text=words)
def test_a_value_in_a_batch_script_stays_in_its_place(name: str, text: str) -> None:
    def script(value: str) -> str:
        lines = [f"#SBATCH --{one}={value if one == name else BATCH[one]}" for one in BATCH]
        return "\n".join(["#!/bin/bash", *lines, "true", ""])

    request = parsed(parse_sbatch, script(text))
    if request is None:
        return
    launch, plain = launched(request), harmless_batch(script(BATCH[name]))

    # The whole file is the user's own script, so a line break in it makes lines of theirs.
    allowed = {"DURE_JOB_NAME", "SLURM_JOB_NAME", "VARIABLE", *request.env}
    assert changed(launch, plain) <= allowed
    assert not {one for one in request.env if one.startswith("DURE_")}
    assert launch.steps == plain.steps == ((str(PLACES.of_attempt("script")),),)
    assert launch.scripts == ((PLACES.of_attempt("script"), script(text)),)
