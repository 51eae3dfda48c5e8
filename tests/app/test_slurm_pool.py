"""The pool of a real Slurm site: jobs, loans, dead nodes, dirty nodes, a controller that dies."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dure.app.assemble import Platform, assemble
from dure.app.settings import Settings
from dure.core.errors import DriverError, InputError
from dure.services.desks import Submission, Submitted, WorkForm
from dure.services.views import closers
from tests.drivers.polling import until
from tests.slurm_cluster import SlurmCluster
from tests.slurm_figures import ADMIN, BORROWER, begun_at_s, platform_on, state_of, submit

pytestmark = pytest.mark.slurm
GPUS = 32


def ends_as(platform: Platform, job: str, state: str) -> None:
    until(lambda: state_of(platform, job) == state, within_s=60)


def closed_by(platform: Platform, node: str) -> list[str]:
    view = platform.here.desk.view()
    return closers(int(view.closed_by[view.nodes.ids.index(node)]))


def place_of(data: Path, job: str, attempt: int = 1) -> str:
    """Return the node on which an attempt began."""
    lock = data / "here" / "control" / job / f"attempt-{attempt}.lock"
    return str(json.loads(lock.read_text())["node"])


def output_of(platform: Platform, job: str) -> str:
    output = platform.here.desk.output(job, offset=0)
    assert output is not None
    return output.text


def test_a_batch_script_runs_unchanged_on_the_nodes_that_were_planned(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    script = (
        "#!/bin/bash\n#SBATCH --nodes=2\n#SBATCH --gpus-per-node=8\n#SBATCH --job-name=pair\n"
        "srun bash -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'\necho $DURE_DEVICES\n"
    )
    with platform_on(slurm_cluster, tmp_path) as platform:
        answer = platform.here.desk.submit(Submission(WorkForm.SBATCH, script, "", ""), by=ADMIN)
        assert isinstance(answer, Submitted)
        ends_as(platform, answer.job, "COMPLETED")
        lines = output_of(platform, answer.job).splitlines()

    planned = {one.split(":")[0] for one in lines[-1].split(",")}
    assert len(planned) == 2
    assert sorted(lines[:-1]) == [f"{node} 0,1,2,3,4,5,6,7" for node in sorted(planned)]
    (line,) = (tmp_path / "here" / "cleaned.jsonl").read_text().splitlines()
    evidence = json.loads(line)
    assert evidence["is_clean"] and set(evidence["nodes"]) == planned


def test_a_lent_node_comes_back_saved_clean_and_its_owner_starts(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    with platform_on(slurm_cluster, tmp_path, owner=GPUS, guest=0) as platform:
        borrower = submit(platform, BORROWER.format(gpus=GPUS), "guest")
        begun_at_s(platform, tmp_path, borrower, 1)
        owner = submit(platform, "run: echo mine\ndure: {gpus: 8}", "owner")
        ends_as(platform, owner, "COMPLETED")
        begun_at_s(platform, tmp_path, borrower, 2)
        lending = platform.here.desk.view().lending
        attempts = platform.here.desk.view().story(borrower)
        platform.here.desk.cancel(borrower, by=ADMIN)
        ends_as(platform, borrower, "CANCELLED")

    assert (lending.reclaims, lending.returned, lending.late) == (1, 1, 0)
    assert attempts is not None
    assert [one.end_cause for one in attempts.attempts] == ["reclaimed", ""]
    checkpoint = tmp_path / "here" / "jobs" / borrower / "checkpoint" / "state"
    assert checkpoint.read_text() == "saved\n"


@pytest.mark.slow
def test_a_node_whose_daemon_is_killed_is_closed_and_its_job_runs_elsewhere(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    with platform_on(slurm_cluster, tmp_path) as platform:
        job = submit(platform, "run: 'echo $$ >> pids; sleep 600'\ndure: {preemptible: true}")
        begun_at_s(platform, tmp_path, job, 1)
        node = place_of(tmp_path, job)
        slurm_cluster.kill_node(node)
        try:
            begun_at_s(platform, tmp_path, job, 2)
            assert place_of(tmp_path, job, 2) != node
            # It is cut off from Slurm, not from the folder: what ran there ends all the same.
            pids = tmp_path / "here" / "jobs" / job / "work" / "pids"
            first = int(pids.read_text().split()[0])
            until(lambda: not Path(f"/proc/{first}").exists())
        finally:
            slurm_cluster.start_node(node)

        until(lambda: closed_by(platform, node) == [] and is_free(platform, node), within_s=60)
        platform.here.desk.cancel(job, by=ADMIN)
        ends_as(platform, job, "CANCELLED")
        story = platform.here.desk.view().story(job)

    assert story is not None
    assert [one.end_cause for one in story.attempts] == ["swapped", "cancelled"]


def is_free(platform: Platform, node: str) -> bool:
    view = platform.here.desk.view()
    place = view.nodes.ids.index(node)
    first = int(view.nodes.first_device()[place])
    return int(view.device_state[first]) == 3


def test_what_the_site_drains_is_closed_and_only_the_site_opens_it(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    node = slurm_cluster.names[2]
    with platform_on(slurm_cluster, tmp_path) as platform:
        update = ("scontrol", "update", f"nodename={node}")
        slurm_cluster.ask(*update, "state=drain", "reason=new | cables\tdure:")
        until(lambda: closed_by(platform, node) == ["provider"])
        platform.here.desk.resume(node, by=ADMIN)
        job = submit(platform, "run: echo elsewhere\ndure: {gpus: 24}")
        ends_as(platform, job, "COMPLETED")
        assert closed_by(platform, node) == ["provider"]
        assert node not in output_of(platform, job)

        slurm_cluster.ask(*update, "state=resume")
        until(lambda: closed_by(platform, node) == [])


@contextmanager
def dirty(cluster: SlurmCluster, data: Path, script: str) -> Iterator[tuple[Platform, str, str]]:
    """Run a job and kill Slurm's step and our script under it, so that nothing cleans up."""
    with platform_on(cluster, data) as platform:
        job = submit(platform, f"run: |\n  {script}\n  echo up\n  sleep 600\n")
        begun_at_s(platform, data, job, 1)
        until(lambda: "up" in output_of(platform, job))
        node = place_of(data, job)
        for pid in scripts_of(data, job):
            os.kill(pid, signal.SIGKILL)
        yield platform, job, node


def scripts_of(data: Path, job: str) -> list[int]:
    """Return the pids of our script on the nodes."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if b"run" in words and str(data / "here").encode() in words and job.encode() in words:
            found.append(int(entry.name))
    return found


def test_a_node_that_could_not_clean_up_is_closed_until_it_is_proven_clean(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    script = "touch $TMPDIR/left; (setsid sleep 500 &); echo $$ > first"
    with dirty(slurm_cluster, tmp_path, script) as (platform, job, node):
        ends_as(platform, job, "FAILED")
        first = int((tmp_path / "here" / "jobs" / job / "work" / "first").read_text())
        evidence = tmp_path / "here" / "control" / job / f"attempt-1.clean.{node}"
        until(evidence.exists, within_s=60)
        until(lambda: closed_by(platform, node) == [], within_s=60)

    found = json.loads(evidence.read_text())
    assert (found["is_clean"], found["processes_left"], found["scratch_files"]) == (True, 0, 1)
    assert found["processes"] >= 2
    assert not Path(f"/proc/{first}").exists()
    first_word, *_ = (tmp_path / "here" / "cleaned.jsonl").read_text().splitlines()
    assert json.loads(first_word)["withheld"] == [node]


@pytest.mark.slow
def test_a_node_that_cannot_be_cleaned_is_drained_in_our_name(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    if subprocess.run(["chattr", "+i", probe], capture_output=True).returncode != 0:
        pytest.skip("the file system here knows no file that even root cannot remove")
    subprocess.run(["chattr", "-i", probe], check=True)
    script = "touch $TMPDIR/rock; chattr +i $TMPDIR/rock; echo $TMPDIR > scratch"
    with dirty(slurm_cluster, tmp_path, script) as (platform, job, node):
        ends_as(platform, job, "FAILED")

        def reason() -> str:
            asked = ("sinfo", "-h", "-n", node, "-p", "alpha", "-o", "%T %E")
            return slurm_cluster.ask(*asked)

        until(lambda: f"not proven clean after {job}~1" in reason(), within_s=60)
        said = reason()
        until(lambda: closed_by(platform, node) == ["health"])
        scratch = (tmp_path / "here" / "jobs" / job / "work" / "scratch").read_text().strip()
        subprocess.run(["chattr", "-i", f"{scratch}/rock"], check=True)
        shutil.rmtree(scratch)
        slurm_cluster.ask("scontrol", "update", f"nodename={node}", "state=resume")
        until(lambda: closed_by(platform, node) == [], within_s=60)

    assert said.startswith(("drained dure:", "draining dure:"))


@pytest.mark.slow
def test_while_the_controller_is_dead_work_waits_and_then_runs_once(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    with platform_on(slurm_cluster, tmp_path) as platform:
        first = submit(platform, "run: while [ ! -e go ]; do sleep 0.1; done")
        begun_at_s(platform, tmp_path, first, 1)
        slurm_cluster.kill_controller()
        second = submit(platform, "run: echo start >> starts")
        (tmp_path / "here" / "jobs" / first / "work" / "go").touch()
        ends_as(platform, first, "COMPLETED")
    # The next process begins without Slurm, from the site as it was.
    with platform_on(slurm_cluster, tmp_path) as platform:
        slurm_cluster.start_controller()
        ends_as(platform, second, "COMPLETED")

    starts = tmp_path / "here" / "jobs" / second / "work" / "starts"
    assert starts.read_text() == "start\n"


def test_another_site_or_none_is_refused_at_the_start(
    slurm_cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    assemble(Settings(tmp_path / "local", scenario="empty", slots=2)).close()

    with pytest.raises(InputError, match="the Slurm site that it was founded with"):
        assemble(Settings(tmp_path / "local", scenario="empty", backend="slurm"))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "no.conf"))
    with pytest.raises(DriverError, match="scontrol show node"):
        assemble(Settings(tmp_path / "new", scenario="empty", backend="slurm"))
    with pytest.raises(InputError, match="--backend"):
        Settings(tmp_path, backend="pbs")
