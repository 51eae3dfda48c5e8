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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from dure.twin.workload_model import DAY_S, draw_jobs_between, read_workload_model
from tests.cli.up_process import DURE, UpProcess
from tests.slurm_cluster import SlurmCluster, can_start
from tests.soak_books import Figures, books, footprint

HELD = {"team-a": 48, "team-b": 32, "team-c": 24, "team-d": 16, "team-e": 8, "guest": 0}
GROUPS = ("academia", "industry", "research")
SAMPLE_S, COMPARE_S, SETTLE_S_MAX, ANSWER_S_MAX = 5.0, 60.0, 30.0, 120.0
# The longest job takes a minute.
STUCK_S_MAX = 300.0
# Beyond it the load waits: a queue that grows for ever would look like a leak.
WAITING_MAX = 300
FAILING, CANCELLED, PREEMPTIBLE = 0.03, 0.02, 0.6
JOB = """\
run: |
  trap 'echo saved > "$DURE_CHECKPOINT_DIR/state"; exit 85' USR1
  sleep {sleep_s:.2f} &
  wait
  exit {code}
dure: {{gpus: {gpus}, estimate: {estimate_s}s, preemptible: {preemptible}, checkpoint_takes: 2s}}
"""


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
                sleep_s=min(max(duration_s, 0.2), 60.0),
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
        """Wait for the end of everything that was submitted, as long as there are ends."""
        found = self._counts()
        done, deadline_s = found["done"], time.monotonic() + STUCK_S_MAX
        while found["running"] + found["waiting"]:
            if found["done"] > done:
                done, deadline_s = found["done"], time.monotonic() + STUCK_S_MAX
            if time.monotonic() > deadline_s:
                self._figures.wrong.append(f"no end within {STUCK_S_MAX} s: {found}")
                break
            time.sleep(1)
            found = self._counts()
        self._compare()


def soak(folder: Path, *, minutes: float, nodes: int, jobs_per_s: float, seed: int) -> int:
    """Run it, print the figures; return the exit code."""
    cluster = SlurmCluster(folder / "slurm", nodes=nodes, min_job_age_s=30, batch_delay_s=1)
    allocations = [word for p, gpus in HELD.items() for word in ("--allocate", f"{p}={gpus}")]
    cluster.start()
    os.environ["SLURM_CONF"] = str(cluster.conf)
    up = UpProcess(folder / "data", "--backend", "slurm", *allocations)
    try:
        up.start()
        up.http.timeout = ANSWER_S_MAX
        run = Soak(up, jobs_per_s=jobs_per_s, seed=seed)
        figures = run.run(minutes * 60)
        seen = up.http.get("/pools/here/overview").json()["lending"]
        assert up.stop() == 0
        told: dict[str, object] = {
            "minutes": minutes,
            "speed": round(run.speed),
            "submitted": len(figures.submitted),
            "compared": figures.compared,
            "waiting_max": figures.waiting_max,
            "reclaims": {name: seen[name] for name in ("reclaims", "returned", "late")},
            **footprint(figures),
        }
        # Hours of watching are told before anything else can go wrong.
        print(json.dumps({"figure": "soak", **told}, indent=1), flush=True)
        told |= books(up.data, cluster, figures)
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
    parser.add_argument("--jobs-per-s", type=float, default=1.0)
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
