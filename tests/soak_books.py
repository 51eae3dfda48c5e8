"""What a soak leaves behind: its books against one another, the service's memory as a line."""

import math
import re
import statistics
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dure.core import columns as col
from dure.core.genesis import unpack_pool
from dure.core.ledger_record import KIND_CYCLE, KIND_POOL
from dure.core.record import unpack
from dure.core.state import State
from dure.core.two_sided import TOLERANCE_MILLI
from dure.ledger.sqlite import SqliteLedger
from dure.services.stories import END_CAUSES, Stay, Stories
from dure.services.views import NEVER_S
from tests.slurm_cluster import CPUS, GPUS, SlurmCluster

BLOCKS = 12
# Two-sided Student, 95 %, ten degrees of freedom: a line through the means of twelve blocks.
STUDENT = 2.228
# What the service may keep of a job for good: its request, its row, its part of the views.
KEPT_BYTES_MAX = 16_384
# A node's clock and Slurm's both cut a second short, at either end of an attempt.
APART_S_MAX = 2


@dataclass
class Figures:
    """What was seen on the way."""

    samples: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    compared: int = 0
    wrong: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    waiting_max: int = 0


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
    apart_s, measured_gpu_s = [], 0
    for job in sorted(set(ours) & set(theirs)):
        stays_here, (attempts, gpu_s) = ours[job], theirs[job]
        if attempts > len(stays_here):
            figures.wrong.append(f"{job}: {attempts} attempts at Slurm, {len(stays_here)} here")
        own_gpu_s = sum(_measured_gpu_s(stay) for stay in stays_here)
        measured_gpu_s += own_gpu_s
        if attempts:
            apart_s.append((own_gpu_s - gpu_s) / stays_here[0].gpus / attempts)
        elif own_gpu_s:
            figures.wrong.append(f"{job}: {own_gpu_s} GPU-seconds measured, Slurm never ran it")
    theirs_gpu_s = sum(gpu_s for _, gpu_s in theirs.values())
    if max(map(abs, apart_s)) > APART_S_MAX:
        figures.wrong.append(f"attempts are up to {max(map(abs, apart_s))} s apart")
    if 1_000 * abs(measured_gpu_s - theirs_gpu_s) > TOLERANCE_MILLI * theirs_gpu_s:
        figures.wrong.append(f"measured {measured_gpu_s} GPU-seconds, Slurm's are {theirs_gpu_s}")
    return {
        "jobs": dict(sorted(Counter(state_names(state)).items())),
        "stays": len(stays),
        "ended_by": dict(Counter(END_CAUSES[stay.cause] for _, stay in stays).most_common()),
        "slurm_attempts": sum(attempts for attempts, _ in theirs.values()),
        "booked_gpu_s": used_milli_s // col.WHOLE,
        "measured_gpu_s": measured_gpu_s,
        "slurm_gpu_s": theirs_gpu_s,
        "apart_percent": round(100 * (measured_gpu_s - theirs_gpu_s) / max(theirs_gpu_s, 1), 2),
        "apart_s_an_attempt": [round(f(apart_s), 2) for f in (min, statistics.median, max)],
    }


def _measured_gpu_s(stay: Stay) -> int:
    """Return what its nodes counted of a stay's run; it is told with the last stay of a run."""
    if stay.left_s == NEVER_S:
        return 0
    return stay.gpus * (stay.left_s - stay.began_s)


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
