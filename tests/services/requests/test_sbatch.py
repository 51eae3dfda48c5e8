"""Batch scripts are taken unchanged; what has no meaning here is noted, never lost."""

import pytest

from dure.core.errors import InputError
from dure.services.requests import JobRequest, Note, parse_sbatch

FULL = """\
#!/bin/bash
#SBATCH --job-name=train -N 2-4 --gres=gpu:b200:8,nvme:1 # a comment
#SBATCH -t 1-12:00:00
#SBATCH --account p-1
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --mail-user=a@b --exclusive
#SBATCH -c8 --ntasks-per-node=2 --mem=64G --switches=1@10
#SBATCH --export=ALL,RATE=1e-3
#SBATCH --dependency=afterok:12:13,afterany:14
# a comment of mine
#DURE checkpoint_every=10m

srun hi
#SBATCH --array=1-3
"""


def test_every_directive_is_read_or_noted() -> None:
    assert parse_sbatch(FULL, "job.sbatch") == JobRequest(
        name="train",
        project="p-1",
        run=FULL,
        dialect="sbatch",
        gpus=32,
        min_gpus=16,
        nodes=4,
        gpus_per_node=8,
        accelerator="B200",
        cpu_milli=16_000,
        memory_mib=65_536,
        estimate_s=129_600,
        checkpoint_every_s=600,
        checkpoint_takes_s=120,
        preemptible=True,
        locality="preferred:leaf:600",
        after=("12", "13"),
        after_any=("14",),
        env={"RATE": "1e-3"},
        notice_signal="B:USR1",
        notes=(
            Note(2, "Kept", "--gres=nvme:1"),
            Note(5, "Read", "--requeue", "preemptible: true"),
            Note(6, "Read", "--signal=B:USR1@120", "notice_signal: B:USR1, checkpoint_takes: 120s"),
            Note(7, "Kept", "--mail-user=a@b"),
            Note(7, "Kept", "--exclusive"),
            Note(8, "Read", "--switches=1@10", "locality: preferred:leaf:600"),
            Note(9, "Kept", "--export=ALL"),
        ),
    )


@pytest.mark.parametrize(
    ("directives", "expected"),
    [
        ("--gpus=8", (8, 0, 0, "")),
        ("-G h200:8", (8, 0, 0, "H200")),
        ("--gres=gpu", (1, 0, 0, "")),
        ("--gres=gpu:4 -N2", (8, 2, 4, "")),
        ("--gres=gpu:b200:4 --nodes 3", (12, 3, 4, "B200")),
        ("--gpus-per-node=b200:8 --nodes=1", (8, 1, 0, "B200")),
        ("--gpus-per-task=2 --ntasks=4", (8, 0, 0, "")),
        ("--gpus-per-task=2 --ntasks-per-node=4 --nodes=2", (16, 2, 8, "")),
        ("--gpus=16 --nodes=2", (16, 2, 0, "")),
        ("--nodes=2", (2, 2, 0, "")),
        ("", (1, 0, 0, "")),
    ],
)
def test_how_many_gpus_where(directives: str, expected: tuple[int, int, int, str]) -> None:
    request = parse_sbatch(f"#!/bin/sh\n#SBATCH {directives}\ntrue\n", "job.sbatch")

    assert (
        request.gpus,
        request.nodes,
        request.gpus_per_node,
        request.accelerator,
    ) == expected


@pytest.mark.parametrize(
    ("written", "seconds"),
    # sbatch(1), --time: its own list of forms.
    [
        ("90", 5_400),
        ("90:30", 5_430),
        ("02:00:00", 7_200),
        ("1-0", 86_400),
        ("1-12:30", 131_400),
        ("1-12:30:15", 131_415),
        ("UNLIMITED", -1),
        ("0", -1),
    ],
)
def test_time_is_slurms(written: str, seconds: int) -> None:
    request = parse_sbatch(f"#!/bin/sh\n#SBATCH --time={written}\ntrue\n", "job.sbatch")

    assert request.estimate_s == seconds


@pytest.mark.parametrize(
    ("directives", "memory_mib", "cpu_milli"),
    [
        ("--mem=1000", 1_000, 0),
        ("--mem=1000K", 1, 0),
        ("--mem=2T", 2_097_152, 0),
        ("--mem-per-cpu=4G -c 4", 16_384, 4_000),
        ("--mem-per-gpu=10G --gpus=4", 40_960, 0),
        ("--cpus-per-gpu=8 --gres=gpu:2", 0, 16_000),
    ],
)
def test_memory_and_cpus_are_those_of_a_node(
    directives: str, memory_mib: int, cpu_milli: int
) -> None:
    request = parse_sbatch(f"#!/bin/sh\n#SBATCH {directives}\ntrue\n", "job.sbatch")

    assert (request.memory_mib, request.cpu_milli) == (memory_mib, cpu_milli)


def test_an_unknown_directive_is_kept_in_the_notes() -> None:
    text = '#!/bin/sh\n#SBATCH --new-in-slurm=3 --also "a b" -p gpu\n#SBATCH --no-requeue\ntrue\n'

    request = parse_sbatch(text, "job.sbatch")

    assert request.notes == (
        Note(2, "Kept", "--new-in-slurm=3"),
        Note(2, "Kept", "--also=a b"),
        Note(2, "Kept", "--partition=gpu"),
        Note(3, "Read", "--no-requeue", "preemptible: false"),
        Note(0, "Read", "no GPUs asked for", "gpus: 1"),
    )


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("echo hi\n", "job.sbatch, line 1", "#!"),
        ("#!/bin/sh\n#SBATCH --array=4-1\n", "job.sbatch, line 2, --array", "0-15"),
        ("#!/bin/sh\n#SBATCH -a 1-4%0\n", "job.sbatch, line 2, --array", "after % how many"),
        ("#!/bin/sh\n#SBATCH hetjob\n", "job.sbatch, line 2, --hetjob", "heterogeneous"),
        ("#!/bin/sh\n\n#SBATCH --time=soon\n", "job.sbatch, line 3, --time", "'soon'"),
        ("#!/bin/sh\n#SBATCH --gres='gpu\n", "job.sbatch, line 2", "quotation"),
        ("#!/bin/sh\n#SBATCH train.py\n", "job.sbatch, line 2", "'train.py'"),
        ("#!/bin/sh\n#SBATCH -N\n", "job.sbatch, line 2, --nodes", "no value"),
        ("#!/bin/sh\n#SBATCH -N 4-2\n", "job.sbatch, line 2, --nodes", "'2'"),
        ("#!/bin/sh\n#SBATCH --gres=gpu:a:1,gpu:b:1\n", "job.sbatch, line 2, --gres", "one type"),
        ("#!/bin/sh\n#SBATCH --gpus=b200:many\n", "job.sbatch, line 2, --gpus", "b200:many"),
        ("#!/bin/sh\n#SBATCH --signal=KILL\n", "job.sbatch, line 2, --signal", "'KILL'"),
        ("#!/bin/sh\n#SBATCH -d afternotok:3\n", "job.sbatch, line 2, --dependency", "afterok"),
        ("#!/bin/sh\n#SBATCH -d 'afterok:$(id)'\n", "job.sbatch, line 2, --dependency", "ids"),
        ("#!/bin/sh\n#SBATCH --export='A B=1'\n", "job.sbatch, line 2, --export", "'A B'"),
        ("#!/bin/sh\n#SBATCH -A '../x'\n", "job.sbatch, line 2, --account", "'../x'"),
        ("#!/bin/sh\n#DURE chekpoint_every=3m\n", "job.sbatch, line 2", "checkpoint_every?"),
        ("#!/bin/sh\n#DURE class=loan\n", "job.sbatch, line 2, class", "preemptible: true"),
        ("#!/bin/sh\n#SBATCH -N 3\n#DURE gpus=2\n", "job.sbatch, line 2, --nodes", "3 nodes"),
        ("#!/bin/sh\n\0\n", "job.sbatch, run", "NUL"),
    ],
)
def test_a_mistake_is_found_by_line_and_directive(text: str, where: str, words: str) -> None:
    with pytest.raises(InputError) as wrong:
        parse_sbatch(text, "job.sbatch")

    assert str(wrong.value).startswith(where)
    assert words in str(wrong.value)
