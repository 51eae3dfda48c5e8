"""YAML is read as SkyPilot means it and ours beside it; each mistake has its line and field."""

from pathlib import Path

import pytest

from dure.core.errors import InputError
from dure.services.requests import JobRequest, Note, parse_job, parse_job_yaml

ROOT = Path(__file__).resolve().parents[3]
FULL = """\
name: 사전학습
resources:
  accelerators: {B200: 8}
  cpus: 8+
  memory: 64
  cloud: aws
num_nodes: 2
envs: {RATE: 1e-3, DEBUG: true, EMPTY: , ZERO: 007}
setup: pip list
run: |
  echo hi
dure:
  project: p-1
  estimate: 1-12:00:00
  checkpoint_every: 10m
  checkpoint_takes: 1m30s
  preemptible: true
  class: loan
  min_gpus: 8
  segment_gpus: 16
  locality: preferred:leaf:10m
  grade: S
  deadline: 2026-06-08T18:00+09:00
  after: [a-1, b-1]
  notice_signal: SIGUSR2
"""


def test_every_field_is_read() -> None:
    assert parse_job_yaml(FULL, "job.yaml") == JobRequest(
        name="사전학습",
        project="p-1",
        run="echo hi\n",
        setup="pip list",
        gpus=16,
        accelerator="B200",
        min_gpus=8,
        nodes=2,
        gpus_per_node=8,
        segment_gpus=16,
        cpu_milli=8_000,
        memory_mib=65_536,
        estimate_s=129_600,
        checkpoint_every_s=600,
        checkpoint_takes_s=90,
        preemptible=True,
        gang_class="loan",
        locality="preferred:leaf:600",
        grade="S",
        # 2026-06-08 09:00 UTC.
        deadline_at_s=1_780_909_200,
        after=("a-1", "b-1"),
        env={"RATE": "1e-3", "DEBUG": "true", "EMPTY": "", "ZERO": "007"},
        notice_signal="USR2",
        notes=(Note(6, "Kept", "resources.cloud"),),
    )


def test_a_job_that_says_little_is_one_gpu_and_not_preemptible() -> None:
    request = parse_job_yaml("run: echo hi", "job.yaml")

    assert request == JobRequest(run="echo hi")
    assert (request.gpus, request.preemptible, request.grade) == (1, False, "O")


@pytest.mark.parametrize(
    ("written", "kind", "gpus", "milli"),
    [
        ("B200:8", "B200", 8, 1000),
        ("B200", "B200", 1, 1000),
        ("'B200:0.5'", "B200", 1, 500),
        ("{B200: 4}", "B200", 4, 1000),
        ("[B200:8, H200:8]", "B200|H200", 8, 1000),
        ("{B200: 8, H200: 8}", "B200|H200", 8, 1000),
    ],
)
def test_accelerators_in_all_their_forms(written: str, kind: str, gpus: int, milli: int) -> None:
    request = parse_job_yaml(f"run: x\nresources: {{accelerators: {written}}}", "job.yaml")

    assert (request.accelerator, request.gpus, request.gpu_milli) == (kind, gpus, milli)


def test_a_command_is_a_list_of_words() -> None:
    request = parse_job_yaml("dure:\n  command: [python3, -c, 'print(1)', '$(id)', 3]", "job.yaml")

    assert request.command == ("python3", "-c", "print(1)", "$(id)", "3")


def test_gpus_said_outright_overrule_what_each_node_was_given() -> None:
    text = "run: x\nresources: {accelerators: 'B200:8'}\nnum_nodes: 2\ndure: {gpus: 12}"

    request = parse_job_yaml(text, "job.yaml")

    assert (request.gpus, request.nodes, request.gpus_per_node) == (12, 2, 0)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", "job.yaml", "nothing"),
        ("just words", "job.yaml, line 1, the whole file", "just words"),
        ("- a\n- b", "job.yaml, line 1, the whole file", "a list"),
        ("name: x", "job.yaml, run", "found none of run, command and interactive"),
        ("run: x\ndure:\n  command: [y]", "job.yaml, line 1, run", "found run and command"),
        ("run: x\nrnu: y", "job.yaml, line 2", "Did you mean run?"),
        ("run: x\nrun: y", "job.yaml, line 2", "'run' twice"),
        ("run: x\ndure:\n  estmate: 3h", "job.yaml, line 3", "Did you mean estimate?"),
        ("run: x\ndure:\n  estimate: 30", "job.yaml, line 3, dure.estimate", "'30'"),
        ("run: x\ndure:\n  deadline: 2026-06-08", "job.yaml, line 3, dure.deadline", "zone"),
        ("run: x\ndure:\n  class: mine", "job.yaml, line 3, dure.class", "own, loan, scavenge"),
        ("run: x\ndure:\n  class: loan", "job.yaml, line 3, dure.class", "preemptible: true"),
        ("run: x\ndure:\n  gpus: 0", "job.yaml, line 3, dure.gpus", "found 0;"),
        ("run: x\ndure:\n  min_gpus: 2", "job.yaml, line 3, dure.min_gpus", "at most the 1"),
        ("run: x\ndure:\n  grade: X", "job.yaml, line 3, dure.grade", "C, S, O"),
        ("run: x\nnum_nodes: 1.5", "job.yaml, line 2, num_nodes", "'1.5'"),
        ("run: x\nnum_nodes: 2\ndure: {gpus: 1}", "job.yaml, line 2, num_nodes", "2 nodes"),
        ("run: x\nenvs:\n  1A: x", "job.yaml, line 3, envs", "'1A'"),
        ("run: x\nenvs:\n  DURE_JOB: x", "job.yaml, line 3, envs", "DURE_JOB"),
        ("run: x\nenvs:\n  A: [x]", "job.yaml, line 3, envs.A", "a list"),
        ('run: "a\\0b"', "job.yaml, line 1, run", "NUL"),
        ('run: x\nname: "a\\nb"', "job.yaml, line 2, name", "printable"),
        ("run: x\nresources:\n  accelerators: [B200:8, H200:4]", "job.yaml, line 3", "one number"),
        ("run: x\nresources:\n  accelerators: B200:0", "job.yaml, line 3", "B200:0"),
        ("run: x\nresources:\n  memory: lots", "job.yaml, line 3, resources.memory", "'lots'"),
        ("run: [", "job.yaml, line 1", "YAML"),
        ("run: x\n\tname: y", "job.yaml, line 2", "YAML"),
        ("run: " + "[" * 5_000, "job.yaml", "brackets"),
        ("run: x\nresources: &a [*a]", "job.yaml, line 2, resources", "a list"),
        ("run: !!python/object/apply:os.system [id]", "job.yaml, line 1, run", "a list"),
    ],
)
def test_a_mistake_is_found_by_line_and_field(text: str, where: str, words: str) -> None:
    with pytest.raises(InputError) as wrong:
        parse_job_yaml(text, "job.yaml")

    assert str(wrong.value).startswith(f"{where}")
    assert words in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_the_examples_are_jobs() -> None:
    requests = {
        path.name: parse_job(path.read_text(), path.name)
        for path in sorted((ROOT / "examples").iterdir())
        if path.suffix in (".yaml", ".sbatch")
    }

    assert requests["hello.yaml"].preemptible is False
    for name in ("train.yaml", "train.sbatch"):
        assert requests[name].preemptible is True
        assert requests[name].checkpoint_every_s == 5
        assert requests[name].gpus == 1
