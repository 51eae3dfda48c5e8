"""What Slurm runs on a node, by itself: it begins once, hands words on, leaves nothing."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from dure.core.orders import Recipe
from dure.drivers.places import Places
from dure.drivers.slurm.attempt import SlurmAttempt
from dure.drivers.slurm.launch import plan_submission, script_path
from dure.drivers.workdirs import LocalWorkdirs
from tests.drivers.polling import until
from tests.drivers.test_slurm_words import SITE, order

# Tests beside this one on the machine must not end its processes: each run has its own mark.
MARK = f"dure:test-{os.getpid()}:job-1~1"


class Node:
    """A node's view of a pool's folder, with one attempt laid out."""

    def __init__(self, root: Path, *steps: tuple[str, ...]) -> None:
        self.root, self.scratch = root, root / "scratch"
        self.control = root / "control" / "job-1"
        self.folder = root / "jobs" / "job-1"
        self.bin = root / "bin"
        for folder in (self.control, self.folder / "work", root / "done", self.bin):
            folder.mkdir(parents=True)
        words = [word for step in steps for word in (str(len(step)), *step)]
        (self.control / "attempt-1.steps").write_text("".join(f"{word}\0" for word in words))
        pairs = (f"DURE_ACTION={MARK}", f"TMPDIR={self.scratch}")
        (self.control / "attempt-1.env").write_text("".join(f"{pair}\0" for pair in pairs))

    def begin(self, what: str = "run", **environment: str) -> "subprocess.Popen[bytes]":
        arguments = [
            str(self.root),
            "job-1",
            "1",
            MARK,
            str(self.scratch),
            "1",
            "10",
            "0",
            "1",
            "1",
        ]
        own = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1", **environment}
        own["PATH"] = f"{self.bin}:{os.environ['PATH']}"
        return subprocess.Popen(["bash", str(script_path()), what, *arguments], env=own)

    def run(self, what: str = "run", **environment: str) -> None:
        self.begin(what, **environment).wait(60)

    @property
    def end(self) -> dict[str, object]:
        found = json.loads((self.root / "done" / "job-1~1").read_text())
        assert abs(found.pop("at_s") - time.time()) < 60
        return dict(found)

    @property
    def evidence(self) -> dict[str, object]:
        return dict(json.loads((self.control / "attempt-1.clean.n1").read_text()))

    def has_image(self, image: str) -> None:
        words = ("apptainer", "exec", f"docker://{image}")
        (self.control / "attempt-1.image").write_text("".join(f"{word}\0" for word in words))
        (self.control / "attempt-1.remark").write_text("no apptainer\n")

    def told(self) -> str:
        return (self.folder / "attempt-1.err").read_text()

    def printed(self) -> str:
        return (self.folder / "attempt-1.out").read_text()


def test_arguments_arrive_word_for_word_and_an_end_is_written_last(tmp_path: Path) -> None:
    words = ("$(id)", "a b", "", "-n", "x=y", "\n", "'", '"', "가")
    node = Node(tmp_path, ("printf", "%s|", *words))

    node.run()

    assert node.printed() == "|".join(words) + "|"
    assert node.end == {"kind": "ended", "exit_code": 0, "reason": ""}
    assert (node.evidence["is_clean"], node.evidence["gpu_mib"]) == (True, -1)


def test_it_begins_once_however_often_it_is_run(tmp_path: Path) -> None:
    node = Node(tmp_path, ("bash", "-c", "echo once"))

    node.run()
    node.run()

    assert node.printed() == "once\n"


def test_a_step_that_fails_is_the_last_one(tmp_path: Path) -> None:
    node = Node(tmp_path, ("bash", "-c", "exit 4"), ("bash", "-c", "echo never"))

    node.run()

    assert node.end == {"kind": "ended", "exit_code": 4, "reason": "SetupFailed"}
    assert node.printed() == ""


# As far as a node sees it: the words up to the image are its own, the rest is run.
APPTAINER = """#!/bin/bash
while [[ $1 != docker://* ]]; do shift; done
echo "in $1"
shift
exec "$@"
"""


def test_a_node_with_apptainer_runs_every_step_in_the_image(tmp_path: Path) -> None:
    node = Node(tmp_path, ("only-in-the-image",), ("bash", "-c", "echo out"))
    node.has_image("ghcr.io/a/b:1")
    for name, text in (("apptainer", APPTAINER), ("only-in-the-image", "#!/bin/bash\necho mine\n")):
        (node.bin / name).write_text(text)
        (node.bin / name).chmod(0o755)

    node.run()

    assert node.printed() == "in docker://ghcr.io/a/b:1\nmine\nin docker://ghcr.io/a/b:1\nout\n"
    assert node.told() == ""
    assert node.end == {"kind": "ended", "exit_code": 0, "reason": ""}


def test_a_node_without_it_says_so_and_runs_a_plain_process(tmp_path: Path) -> None:
    node = Node(tmp_path, ("bash", "-c", "echo out"))
    node.has_image("ghcr.io/a/b:1")

    node.run()

    assert node.printed() == "out\n"
    assert node.told() == "no apptainer\n"


def test_a_program_that_there_is_not_has_its_name(tmp_path: Path) -> None:
    node = Node(tmp_path, ("no-such-program",))

    node.run()

    assert node.end == {"kind": "failed", "exit_code": 127, "reason": "ProgramNotFound"}


def test_what_it_leaves_behind_is_ended_and_removed(tmp_path: Path) -> None:
    processes = "(setsid sleep 500 &); (trap '' TERM; setsid sleep 501 &)"
    script = f"{processes}; mkdir $TMPDIR/a; touch $TMPDIR/a/b; chmod 0 $TMPDIR/a"
    node = Node(tmp_path, ("bash", "-c", script))

    node.run()

    assert node.evidence["is_clean"] is True
    assert (node.evidence["processes"], node.evidence["scratch_files"]) == (2, 1)
    assert not node.scratch.exists()


def test_memory_left_on_a_gpu_is_no_clean_node(tmp_path: Path) -> None:
    node = Node(tmp_path, ("true",))
    # The tool's own output, as it prints it for two GPUs; the GPUs are not to be had here.
    tool = node.bin / "nvidia-smi"
    tool.write_text("#!/bin/bash\nprintf '0\\n40123\\n'\n")
    tool.chmod(0o755)

    node.run(SLURM_JOB_GPUS="0,3")

    assert (node.evidence["is_clean"], node.evidence["gpu_mib"]) == (False, 40123)


@pytest.mark.parametrize("told_by", ["signal", "file"])
def test_a_stop_reaches_it_by_signal_and_where_slurm_is_cut_off_by_the_folder(
    tmp_path: Path, told_by: str
) -> None:
    node = Node(tmp_path, ("bash", "-c", "echo up; sleep 600"))
    running = node.begin()
    until(lambda: (node.folder / "attempt-1.out").exists() and node.printed() == "up\n")

    if told_by == "signal":
        running.terminate()
    else:
        (node.control / "attempt-1.stop").touch()

    assert running.wait(60) == 143
    assert (node.end["exit_code"], node.evidence["is_clean"]) == (143, True)


def test_a_notice_goes_to_those_who_listen(tmp_path: Path) -> None:
    deaf = "bash -c 'sleep 0.5; echo deaf; sleep 600' &"
    script = (
        f"{deaf} trap 'echo told; sleep 1; exit 85' USR1; echo up; while :; do sleep 0.05; done"
    )
    node = Node(tmp_path, ("bash", "-c", script))
    running = node.begin()
    until(lambda: (node.folder / "attempt-1.out").exists() and "up" in node.printed())

    running.send_signal(10)

    assert running.wait(60) == 85
    assert sorted(node.printed().split()) == ["deaf", "told", "up"]
    assert node.end == {"kind": "ended", "exit_code": 85, "reason": ""}


def test_what_a_person_should_know_comes_before_what_the_job_says(tmp_path: Path) -> None:
    node = Node(tmp_path, ("bash", "-c", "echo its own >&2"))
    (node.control / "attempt-1.remark").write_text("dure: first\n")

    node.run()

    assert (node.folder / "attempt-1.err").read_text() == "dure: first\nits own\n"


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_project_and_a_sent_folder_lie_where_the_job_begins(
    tmp_path: Path, *, is_kept: bool
) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("sent"))
    sha256 = hashlib.sha256(content.getvalue()).hexdigest()
    if is_kept:
        LocalWorkdirs(tmp_path, bytes_max=1 << 20).keep("kim", sha256, [content.getvalue()])
    wanted = Recipe(command=("true",), project="p-1", workdir=f"kim/{sha256}", image="a/b:1")
    places = Places(tmp_path, "job-1", 1)
    (tmp_path / "open").mkdir()
    submission = plan_submission(order(wanted), places, SITE, site_id="s", grace_s=5)
    SlurmAttempt.write_intent(places, submission)
    attempt = SlurmAttempt(places, now_s=lambda: 7)

    attempt.lay_out()

    if not is_kept:
        assert attempt.receipt is not None
        assert attempt.receipt.kind == "failed"
        assert attempt.receipt.reason.startswith("WorkFolderMissing: ")
        return
    assert attempt.receipt is None
    assert (places.work_dir / "sent").is_file()
    assert (places.work_dir / "project").resolve() == tmp_path / "projects" / "p-1"
    assert "a/b:1" in places.of_attempt("remark").read_text()
    assert places.of_attempt("image").read_text().endswith("\0docker://a/b:1\0")
