"""What Slurm says of our jobs and of its nodes, read line by line; spoilt lines are set aside."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dure.drivers.slurm.commands import Answer

log = logging.getLogger("dure.slurm")

Run = Callable[[Sequence[Sequence[str]]], Sequence[Answer]]
QUEUE = (
    "squeue", "--noheader", "--all", "--me", "--states=all",
    "--Format=JobID:|,State:|,Reason:|,RestartCnt:|,HetJobOffset:|,Comment:|",
)  # fmt: skip
NODES = ("sinfo", "--noheader", "--Node", "--format=%N|%T|%E")
# Our own hold; one of the site's people is theirs to lift.
HELD = "JobHeldUser"
ENDED = frozenset(
    (
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "SPECIAL_EXIT", "TIMEOUT"),
    )
)
# In the words of ``sinfo``: what no work can run on, and what takes none that is new.
NODE_DOWN = frozenset({"down", "fail", "error", "unknown", "inval", "powered_down"})
NODE_OPEN = frozenset({"idle", "mixed", "allocated", "completing", "planned"})
GONE = "Invalid job id"


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job of ours as Slurm lists it; one that was ever requeued has run before."""

    id: int
    state: str
    reason: str
    restarts: int
    mark: str

    @property
    def is_held(self) -> bool:
        return self.state == "PENDING" and self.reason == HELD

    @property
    def is_requeued(self) -> bool:
        return self.state == "PENDING" and self.restarts > 0

    @property
    def is_over(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A node as Slurm lists it: its state without marks, and whether it answers."""

    state: str
    reason: str
    answers: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """One look at the queue.

    Attributes:
        number: of the look; later ones have higher numbers.
        jobs: by id; ``by_mark``: ids of each mark, lowest first.
    """

    number: int = 0
    jobs: Mapping[int, QueuedJob] = field(default_factory=dict)
    by_mark: Mapping[str, Sequence[int]] = field(default_factory=dict)


def read_queue(text: str, number: int) -> tuple[Queue, list[str]]:
    """Return the queue, and the lines that could not be read."""
    jobs: dict[int, QueuedJob] = {}
    by_mark: dict[str, list[int]] = {}
    aside = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split("|")]
        if len(words) < 7 or not re.fullmatch(r"\d{1,10}", words[0]) or not words[1].isupper():
            aside += [line] if line.strip() else []
            continue
        if words[4] not in ("N/A", "0"):
            # The other parts of a gang of several kinds; its first one stands for all.
            continue
        restarts = int(words[3]) if re.fullmatch(r"\d{1,9}", words[3]) else 0
        job = QueuedJob(int(words[0]), words[1], words[2], restarts, words[5])
        jobs[job.id] = job
        if job.mark.startswith("dure:"):
            by_mark.setdefault(job.mark, []).append(job.id)
    for ids in by_mark.values():
        ids.sort()
    return Queue(number, jobs, by_mark), aside


def read_nodes(text: str) -> tuple[dict[str, SeenNode], list[str]]:
    """Return the nodes by name, and the lines that could not be read."""
    nodes: dict[str, SeenNode] = {}
    aside = []
    for line in text.splitlines():
        name, *rest = line.split("|", 2)
        if len(rest) != 2 or not re.fullmatch(r"[a-z_]+[*~#!%$@^+-]*", rest[0]):
            aside += [line] if line.strip() else []
            continue
        reason = "" if rest[1] == "none" else rest[1]
        nodes[name] = SeenNode(rest[0].rstrip("*~#!%$@^+-"), reason, "*" not in rest[0])
    return nodes, aside


def ask(run: Run, argv: Sequence[str]) -> Answer:
    """Run one command."""
    return run([argv])[0]


def warn_of(aside: Sequence[str], what: str) -> None:
    """Say once a look what was set aside."""
    if aside:
        log.warning("%d %s set aside, the first: %r", len(aside), what, aside[0][:120])
