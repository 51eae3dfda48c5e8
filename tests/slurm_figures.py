"""Figures of the backend slurm on a real Slurm of this machine: ``python -m tests.slurm_figures``.

One-GPU jobs a second through the whole platform against the same jobs submitted held and released
one by one by hand in the same run; how long owners wait for what they lent; how long until a node
whose daemon is killed takes no new work, and until its job runs elsewhere.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dure.app.assemble import Platform, assemble
from dure.app.settings import Settings
from dure.app.warming import warm_engine
from dure.services.access import Actor, Role
from dure.services.desks import Submission, Submitted, WorkForm
from dure.services.pool_desk import WorkingPool
from tests.slurm_cluster import CPUS, GPUS, MEMORY_MIB, SlurmCluster

ADMIN = Actor("admin", frozenset({Role.ADMIN}))
NODES = 16
JOBS = 1_000
RECLAIMS = 60
NODES_ASKED = (1, 1, 2, 4)
BEGUN = ("RUNNING", "COMPLETED")
BY_HAND = """\
for ((i = 0; i < {jobs}; i++)); do
    id=$(sbatch --hold --parsable --partition=alpha --gres=gpu:1 --mem={memory} \\
        --cpus-per-task={cpus} --output=/dev/null {script})
    scontrol release "$id"
done
"""
BORROWER = """\
run: |
  trap 'echo saved > $DURE_CHECKPOINT_DIR/state; exit 85' USR1
  while true; do sleep 0.1; done
dure: {{gpus: {gpus}, preemptible: true, checkpoint_takes: 5s}}
"""


@cache
def warm() -> None:
    """Compile and load the kernels, before anybody waits for a job."""
    warm_engine()


@contextmanager
def platform_on(cluster: SlurmCluster, data: Path, **allocations: int) -> Iterator[Platform]:
    """Assemble a platform on a cluster and let it run."""
    warm()
    os.environ["SLURM_CONF"] = str(cluster.conf)
    settings = Settings(data, scenario="empty", backend="slurm", allocations=allocations)
    platform = assemble(settings)
    try:
        platform.start()
        yield platform
    finally:
        platform.close()


def desk_of(platform: Platform) -> WorkingPool:
    return platform.here.desk


def submit(platform: Platform, text: str, project: str = "") -> str:
    answer = desk_of(platform).submit(Submission(WorkForm.YAML, text, project, ""), by=ADMIN)
    assert isinstance(answer, Submitted), answer
    return answer.job


def until(look: Callable[[], object], within_s: float, step_s: float = 0.05) -> None:
    deadline_s = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline_s, f"nothing within {within_s} s"
        time.sleep(step_s)


def state_of(platform: Platform, job: str) -> str:
    story = desk_of(platform).view().story(job)
    return story.row.state if story else ""


def begun_at_s(platform: Platform, data: Path, job: str, attempt: int) -> int:
    """Return when an attempt's own work began on its node."""
    lock = data / "here" / "control" / job / f"attempt-{attempt}.lock"
    until(lambda: lock.exists() and lock.read_text().endswith("\n"), 60)
    return int(json.loads(lock.read_text())["at_s"])


# --- one-GPU jobs a second ---------------------------------------------------------------------


def by_hand(cluster: SlurmCluster, jobs: int) -> float:
    """Return jobs a second, submitted held and released one by one."""
    script = cluster.folder / "by-hand.sh"
    script.write_text("#!/bin/bash\nexit 0\n")
    words = {"memory": MEMORY_MIB // GPUS, "cpus": CPUS // GPUS, "script": script, "jobs": jobs}
    begin_s = time.monotonic()
    subprocess.run(
        ["bash", "-c", BY_HAND.format(**words)],
        env=cluster.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    until(lambda: not cluster.ask("squeue", "-h", "-o", "%i"), 600)
    return jobs / (time.monotonic() - begin_s)


def through_dure(platform: Platform, jobs: int) -> float:
    """Return jobs a second from the first submission to the last end in the books."""
    done = desk_of(platform).view().done_jobs
    begin_s = time.monotonic()
    for _ in range(jobs):
        submit(platform, "run: exit 0")
    until(lambda: desk_of(platform).view().done_jobs >= done + jobs, 600)
    return jobs / (time.monotonic() - begin_s)


def rates(folder: Path, jobs: int, rounds: int) -> dict[str, object]:
    """Measure both by turns, so that both meet the same machine."""
    cluster = SlurmCluster(folder / "rates", nodes=NODES, batch_delay_s=1)
    cluster.start()
    hand, dure = [], []
    try:
        with platform_on(cluster, folder / "data-rates") as platform:
            through_dure(platform, 20)
            for _ in range(rounds):
                hand.append(by_hand(cluster, jobs))
                dure.append(through_dure(platform, jobs))
    finally:
        cluster.stop()
    shares = [a / b for a, b in zip(dure, hand, strict=True)]
    return {
        "jobs": jobs,
        "by_hand_jobs_per_s": [round(one, 1) for one in hand],
        "dure_jobs_per_s": [round(one, 1) for one in dure],
        "share": round(statistics.median(shares), 2),
    }


# --- reclaim -----------------------------------------------------------------------------------


def reclaims(folder: Path, count: int) -> dict[str, object]:
    """Have an owner ask for lent nodes again and again; seconds from asking to its own work."""
    cluster = SlurmCluster(folder / "reclaims", nodes=NODES, batch_delay_s=1)
    cluster.start()
    data, waits = folder / "data-reclaims", []
    try:
        with platform_on(cluster, data, owner=NODES * GPUS, guest=0) as platform:
            # More borrowers than nodes: who was called back rests for a while.
            for _ in range(4 * NODES):
                submit(platform, BORROWER.format(gpus=GPUS), "guest")
            for _ in range(count // len(NODES_ASKED)):
                until(lambda: desk_of(platform).view().running_jobs == NODES, 300)
                asked = {
                    submit(platform, f"run: sleep 1\ndure: {{gpus: {nodes * GPUS}}}", "owner"): (
                        time.time()
                    )
                    for nodes in NODES_ASKED
                }
                for job, asked_s in asked.items():
                    until(lambda job=job: state_of(platform, job) in BEGUN, 300)  # type: ignore[misc]
                    waits.append(begun_at_s(platform, data, job, 1) - asked_s)
                    until(lambda job=job: state_of(platform, job) == "COMPLETED", 300)  # type: ignore[misc]
            told = desk_of(platform).view().lending
    finally:
        cluster.stop()
    ordered = sorted(waits)
    return {
        "reclaims": told.reclaims,
        "returned": told.returned,
        "late": told.late,
        "asked_to_work_s_median": round(statistics.median(ordered), 1),
        "asked_to_work_s_p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "asked_to_work_s_max": round(ordered[-1], 1),
    }


# --- a node's daemon is killed ------------------------------------------------------------------


def killed_daemons(folder: Path, count: int) -> dict[str, object]:
    """kill -9 of the daemon under a running job: seconds to its cordon, and to work elsewhere."""
    cluster = SlurmCluster(folder / "killed", nodes=NODES)
    cluster.start()
    data = folder / "data-killed"
    cordoned: list[float] = []
    elsewhere: list[float] = []
    try:
        with platform_on(cluster, data) as platform:
            for _ in range(count):
                job = submit(platform, "run: sleep 600\ndure: {preemptible: true}")
                begun_at_s(platform, data, job, 1)
                lock = data / "here" / "control" / job / "attempt-1.lock"
                node = str(json.loads(lock.read_text())["node"])
                cluster.kill_node(node)
                killed_s = time.time()
                place = desk_of(platform).view().nodes.ids.index(node)
                until(lambda place=place: is_closed(platform, place), 120)  # type: ignore[misc]
                cordoned.append(time.time() - killed_s)
                elsewhere.append(begun_at_s(platform, data, job, 2) - killed_s)
                desk_of(platform).cancel(job, by=ADMIN)
                cluster.start_node(node)
                until(lambda place=place: not is_closed(platform, place), 120)  # type: ignore[misc]
    finally:
        cluster.stop()
    return {
        "killed": count,
        "cordoned_s_max": round(max(cordoned), 1),
        "work_elsewhere_s_max": round(max(elsewhere), 1),
    }


def is_closed(platform: Platform, place: int) -> bool:
    view = desk_of(platform).view()
    first = int(view.nodes.first_device()[place])
    return bool(view.closed_by[place]) or int(view.device_state[first]) == 6


def main(arguments: Sequence[str]) -> None:
    """Measure what is named, or everything."""
    wanted = arguments or ["rates", "reclaims", "killed"]
    with tempfile.TemporaryDirectory(prefix="dure-slurm-") as scratch:
        folder = Path(scratch)
        for name in wanted:
            measure = {
                "rates": lambda: rates(folder, JOBS, 3),
                "reclaims": lambda: reclaims(folder, RECLAIMS),
                "killed": lambda: killed_daemons(folder, 3),
            }[name]
            print(json.dumps({"figure": name, **measure()}, indent=1), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
