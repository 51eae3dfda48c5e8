"""Hours of the twin's load, live on a real Slurm, at speed: ``python -m tests.slurm_soak``.

The workload model's jobs are submitted to a real ``dure up`` over HTTP, their times divided by the
speed. Meanwhile its memory, files and threads are watched, and its books are compared with what was
submitted; in the end the ledger is compared with itself, and with Slurm's own accounting. Prints
the figures as JSON; exits 1 with what does not hold.
"""

import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from dure.core import columns as col
from dure.core.genesis import unpack_pool
from dure.core.ledger_record import KIND_CYCLE, KIND_POOL
from dure.core.record import unpack
from dure.core.state import State
from dure.ledger.sqlite import SqliteLedger
from dure.services.stories import Stay, Stories
from dure.twin.workload_model import DAY_S, draw_jobs_between, read_workload_model
from tests.cli.up_process import DURE, UpProcess
from tests.slurm_cluster import CPUS, GPUS, SlurmCluster, can_start

HELD = {"team-a": 48, "team-b": 32, "team-c": 24, "team-d": 16, "team-e": 8, "guest": 0}
GROUPS = ("academia", "industry", "research")
SAMPLE_S, COMPARE_S, SETTLE_S_MAX = 5.0, 60.0, 30.0
# Beyond it the load waits: a queue that grows for ever would look like a leak.
WAITING_MAX = 300
FAILING, CANCELLED, PREEMPTIBLE = 0.03, 0.02, 0.6
BLOCKS = 12
# Two-sided Student, 95 %, ten degrees of freedom: a line through the means of twelve blocks.
STUDENT = 2.228
# What the service may keep of a job for good: its request, its row, its part of the views.
KEPT_BYTES_MAX = 16_384
JOB = """\
run: |
  trap 'echo saved > "$DURE_CHECKPOINT_DIR/state"; exit 85' USR1
  sleep {sleep_s:.2f} &
  wait
  exit {code}
dure: {{gpus: {gpus}, estimate: {estimate_s}s, preemptible: {preemptible}, checkpoint_takes: 2s}}
"""


@dataclass
class Figures:
    """What was seen on the way."""

    samples: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    waiting_max: int = 0


def load(speed: float, seed: int) -> Iterator[tuple[float, str, str, bool]]:
    """Yield (second of the run, project, text, is to be cancelled) without end."""
    model, chance = read_workload_model(), random.Random(seed)
    projects = pl.DataFrame(
        {
            "project": list(HELD),
            "group": [GROUPS[i % 3] for i in range(len(HELD))],
            "accelerator": ["B200"] * len(HELD),
            # A guest holds nothing and asks all the same: it lives on loans.
            "gpus": [held or 32 for held in HELD.values()],
        }
    )
    from_s = 1_772_000_000 // DAY_S * DAY_S
    for day in range(10_000):
        begin_s = from_s + day * DAY_S
        jobs = draw_jobs_between(model, projects, from_s=begin_s, to_s=begin_s + DAY_S, seed=seed)
        for row in jobs.sort("submit_at_s", "job").iter_rows(named=True):
            held = HELD[row["project"]]
            is_lent = held == 0 or chance.random() < PREEMPTIBLE
            duration_s = row["duration_s"] / speed
            text = JOB.format(
                sleep_s=min(max(duration_s, 0.2), 120.0),
                code=int(chance.random() < FAILING),
                gpus=max(1, min(row["gpus"], held or 32)),
                estimate_s=math.ceil(duration_s) + 1,
                preemptible="true" if is_lent else "false",
            )
            at_s = (row["submit_at_s"] - from_s) / speed
            yield at_s, row["project"], text, chance.random() < CANCELLED


def speed_of(jobs_per_s: float, seed: int) -> float:
    """Return the speed at which the model's jobs come at this rate."""
    days = 7
    found = load(1.0, seed)
    count = 0
    for at_s, *_ in found:
        if at_s >= days * DAY_S:
            break
        count += 1
    return jobs_per_s * days * DAY_S / count


class Soak:
    """One run: submits, watches, compares."""

    def __init__(self, up: UpProcess, *, jobs_per_s: float, seed: int) -> None:
        self._up, self._figures = up, Figures()
        self.speed = speed_of(jobs_per_s, seed)
        self._load = load(self.speed, seed)
        self._texts = 0

    def run(self, seconds: float) -> Figures:
        """Keep the load up for so long, then let everything come to its end."""
        begin_s = time.monotonic()
        sample_s = compare_s = begin_s
        paused_s = 0.0
        for at_s, project, text, is_cancelled in self._load:
            while True:
                now_s = time.monotonic()
                if now_s >= sample_s:
                    sample_s = now_s + SAMPLE_S
                    if self._sample(now_s - begin_s) > WAITING_MAX:
                        time.sleep(1)
                        paused_s += time.monotonic() - now_s
                        sample_s = 0
                        continue
                if now_s >= compare_s:
                    compare_s = now_s + COMPARE_S
                    self._compare()
                wait_s = begin_s + paused_s + at_s - time.monotonic()
                if wait_s <= 0:
                    break
                time.sleep(min(wait_s, 0.5))
            if time.monotonic() - begin_s > seconds:
                break
            job = self._submit(project, text)
            if is_cancelled:
                self._up.http.post(f"/jobs/{job}/cancel")
        self._drain()
        return self._figures

    def _submit(self, project: str, text: str) -> str:
        self._texts += 1
        answer = self._up.http.post(
            "/pools/here/jobs",
            json={"form": "yaml", "text": text, "project": project},
            headers={"idempotency-key": f"soak-{self._texts}"},
        )
        assert answer.status_code == 201, answer.text
        job = str(answer.json()["job"])
        self._figures.submitted.append(job)
        return job

    def _overview(self) -> dict[str, Any]:
        answer = self._up.http.get("/pools/here/overview")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _sample(self, at_s: float) -> int:
        """Look at the process and at the books; return how many jobs wait."""
        pid = self._up.child.pid
        status = Path(f"/proc/{pid}/status").read_text()
        rss_kib, threads = (
            int(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]
            for name in ("VmRSS", "Threads")
        )
        files = len(os.listdir(f"/proc/{pid}/fd"))
        count = len(self._figures.submitted)
        self._figures.samples.append((at_s, rss_kib, files, threads, count))
        seen = self._overview()
        total_s = (seen["pool"]["now_s"] - seen["from_s"]) * seen["pool"]["gpus"]
        # Each kind is rounded down to whole GPU-seconds.
        if not 0 <= total_s - sum(seen["kinds_gpu_s"].values()) <= len(seen["kinds_gpu_s"]):
            self._figures.wrong.append(f"GPU-seconds are not capacity x time: {seen}")
        waiting = int(seen["waiting_jobs"])
        self._figures.waiting_max = max(self._figures.waiting_max, waiting)
        return waiting

    def _counts(self) -> dict[str, int]:
        seen = self._overview()
        return {name: int(seen[f"{name}_jobs"]) for name in ("done", "running", "waiting")}

    def _compare(self) -> None:
        """Submitted = ended + running + waiting, to the job; a view may be a moment late."""
        deadline_s, submitted = time.monotonic() + SETTLE_S_MAX, len(self._figures.submitted)
        while sum((found := self._counts()).values()) != submitted:
            if time.monotonic() > deadline_s:
                self._figures.wrong.append(f"{submitted} submitted, the books say {found}")
                return
            time.sleep(0.2)
        self._figures.compared += 1

    def _drain(self) -> None:
        """Wait for the end of everything that was submitted."""
        deadline_s = time.monotonic() + 900
        while (found := self._counts())["running"] + found["waiting"]:
            if time.monotonic() > deadline_s:
                self._figures.wrong.append(f"900 s after the last submission: {found}")
                break
            time.sleep(1)
        self._compare()


# --- afterwards ------------------------------------------------------------------------------


def trend(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """Return a line's slope and half its 95 % interval, through the means of equal blocks.

    Neighbouring samples are alike; means of blocks are nearly independent of one another.
    """
    size = len(samples) // BLOCKS
    assert size, f"{len(samples)} samples are too few for {BLOCKS} blocks"
    blocks = [samples[size * i : size * (i + 1)] for i in range(BLOCKS)]
    at = [statistics.fmean(x for x, _ in block) for block in blocks]
    value = [statistics.fmean(y for _, y in block) for block in blocks]
    slope, middle = statistics.linear_regression(at, value)
    left = sum((y - middle - slope * x) ** 2 for x, y in zip(at, value, strict=True))
    spread = sum((x - statistics.fmean(at)) ** 2 for x in at)
    return slope, STUDENT * math.sqrt(left / (BLOCKS - 2) / spread)


def stays_of(path: Path) -> tuple[State, list[tuple[str, Stay]]]:
    """Fold a ledger anew; return its last state and every stay of a job on GPUs."""
    found: list[tuple[str, Stay]] = []

    def closed(state: State, job: int, stay: Stay) -> None:
        found.append((state.job_names[job], stay))

    stories, state = Stories(ended_max=1 << 40, closed=closed), None
    with closing(SqliteLedger(path, read_only=True)) as ledger:
        for record in ledger.read():
            if record.kind == KIND_POOL:
                state = State(*unpack_pool(record.payload))
            elif record.kind == KIND_CYCLE and state is not None:
                cycle = unpack(record.payload)
                state.fold(cycle)
                stories.listen(state, cycle)
    assert state is not None
    return state, found


def accounting(path: Path) -> dict[str, tuple[int, int]]:
    """Return (attempts, GPU-seconds) of each of our jobs by Slurm's own accounting."""
    found: dict[str, tuple[int, int]] = {}
    for line in path.read_text().splitlines():
        told = dict(re.findall(r"(\w+)=(\S*)", line))
        name, begin, end = told["Name"], told["StartTime"], told["EndTime"]
        if name == "dure-clean":
            continue
        attempts, gpu_s = found.get(name, (0, 0))
        if told["NodeList"] == "(null)":
            # Cancelled while it was held: it never had a node.
            found[name] = attempts, gpu_s
            continue
        took_s = int((_moment(end) - _moment(begin)).total_seconds())
        gpus = int(told["ProcCnt"]) // (CPUS // GPUS)
        found[name] = attempts + 1, gpu_s + gpus * took_s
    return found


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


def books(data: Path, cluster: SlurmCluster, figures: Figures) -> dict[str, object]:
    """Hold the ledger against itself, against what was submitted, and against Slurm."""
    state, stays = stays_of(data / "here" / "ledger.db")
    ours: dict[str, list[Stay]] = {}
    used_milli_s = 0
    for job, stay in stays:
        used_milli_s += stay.milli * (stay.to_s - stay.from_s)
        ours.setdefault(job, []).append(stay)
    s = state.c.scalars
    sums = [int(s[col.S_SUM + kind]) for kind in (col.OWN, col.LOAN, col.SCAVENGE)]
    theirs = accounting(cluster.folder / "log" / "accounting")
    if sum(sums) != used_milli_s:
        figures.wrong.append(f"stays are {used_milli_s} milli-GPU-seconds, the sums {sums}")
    if sorted(state.job_names) != sorted(figures.submitted):
        figures.wrong.append("the ledger's jobs are not those that were submitted")
    if set(ours) != set(theirs):
        apart = sorted(set(ours) ^ set(theirs))
        figures.wrong.append(f"{len(apart)} jobs ran by one account alone: {apart[:5]}")
    apart_s = []
    for job in sorted(set(ours) & set(theirs)):
        stays_here, (attempts, gpu_s) = ours[job], theirs[job]
        if attempts > len(stays_here):
            figures.wrong.append(f"{job}: {attempts} attempts at Slurm, {len(stays_here)} here")
        if attempts:
            own_gpu_s = sum(stay.gpus * (stay.to_s - stay.from_s) for stay in stays_here)
            apart_s.append((own_gpu_s - gpu_s) / stays_here[0].gpus / attempts)
    # What Slurm gave and we did not book would be use that nobody pays for; 1 s is rounding.
    if min(apart_s) < -1:
        figures.wrong.append(f"Slurm booked up to {-min(apart_s)} s more than the ledger")
    ours_gpu_s, theirs_gpu_s = used_milli_s // col.WHOLE, sum(gpu_s for _, gpu_s in theirs.values())
    return {
        "jobs": dict(sorted(Counter(state_names(state)).items())),
        "stays": len(stays),
        "ended_by": dict(Counter(col.END_CAUSES[stay.cause] for _, stay in stays).most_common()),
        "slurm_attempts": sum(attempts for attempts, _ in theirs.values()),
        "ledger_gpu_s": ours_gpu_s,
        "slurm_gpu_s": theirs_gpu_s,
        "apart_percent": round(100 * (ours_gpu_s - theirs_gpu_s) / max(theirs_gpu_s, 1), 2),
        "apart_s_an_attempt": [round(f(apart_s), 2) for f in (min, statistics.median, max)],
    }


def state_names(state: State) -> list[str]:
    """Return the state of each job by name."""
    count = len(state.job_names)
    return [col.JOB_STATES[one] for one in state.c.jobs[col.J_STATE, :count].tolist()]


def footprint(figures: Figures) -> dict[str, object]:
    """Say what became of the service's memory, files and threads."""
    # The first quarter fills caches, and compiles what was not compiled.
    settled = [one for one in figures.samples if one[0] > figures.samples[-1][0] / 4]
    hours, error = trend([(at / 3600, kib / 1024) for at, kib, *_ in settled])
    each, each_error = trend([(float(count), kib * 1024.0) for _, kib, _, _, count in settled])
    if each - each_error > KEPT_BYTES_MAX:
        figures.wrong.append(f"{each:.0f} bytes more for each job; {KEPT_BYTES_MAX} is the limit")
    half = len(settled) // 2
    files, threads = (
        [max(one[place] for one in part) for part in (settled[:half], settled[half:])]
        for place in (2, 3)
    )
    if files[1] > files[0] + 8 or threads[1] > threads[0] + 2:
        figures.wrong.append(f"files {files}, threads {threads}: more in the second half")
    return {
        "rss_mib": [round(kib / 1024) for _, kib, *_ in figures.samples[:: len(settled) // 16]],
        "rss_mib_per_hour": [round(hours, 1), round(error, 1)],
        "rss_bytes_per_job": [round(each), round(each_error)],
        "files_max": files,
        "threads_max": threads,
    }


def soak(folder: Path, *, minutes: float, nodes: int, jobs_per_s: float, seed: int) -> int:
    """Run it, print the figures; return the exit code."""
    cluster = SlurmCluster(folder / "slurm", nodes=nodes, min_job_age_s=30, batch_delay_s=1)
    allocations = [word for p, gpus in HELD.items() for word in ("--allocate", f"{p}={gpus}")]
    cluster.start()
    os.environ["SLURM_CONF"] = str(cluster.conf)
    up = UpProcess(folder / "data", "--backend", "slurm", *allocations)
    try:
        up.start()
        run = Soak(up, jobs_per_s=jobs_per_s, seed=seed)
        figures = run.run(minutes * 60)
        seen = up.http.get("/pools/here/overview").json()["lending"]
        assert up.stop() == 0
        told = {
            "minutes": minutes,
            "speed": round(run.speed),
            "submitted": len(figures.submitted),
            "compared": figures.compared,
            "waiting_max": figures.waiting_max,
            "reclaims": {name: seen[name] for name in ("reclaims", "returned", "late")},
            **footprint(figures),
            **books(up.data, cluster, figures),
        }
        for words in (["ledger", "verify"], ["replay", "1..", "--in", "here"]):
            done = subprocess.run([*DURE, *words, "--data", str(up.data)], capture_output=True)
            if done.returncode:
                figures.wrong.append(f"dure {words[0]}: {done.stdout.decode()[-300:]}")
    finally:
        up.close()
        cluster.stop()
    print(json.dumps({"figure": "soak", **told, "wrong": figures.wrong}, indent=1), flush=True)
    return 1 if figures.wrong else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--jobs-per-s", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="a folder to work in, which stays")
    asked = vars(parser.parse_args())
    kept = asked.pop("keep")
    if not can_start():
        print("soak: no Slurm that may be started here; nothing was tried (make setup-slurm).")
        return
    if kept:
        sys.exit(soak(Path(kept), **asked))
    with tempfile.TemporaryDirectory(prefix="dure-soak-") as scratch:
        sys.exit(soak(Path(scratch), **asked))


if __name__ == "__main__":
    main()
