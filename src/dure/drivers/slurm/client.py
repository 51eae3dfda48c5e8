"""Slurm's commands as verbs: what is asked, and what their answers mean."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from dure.drivers.slurm.commands import NO_ANSWER, NO_PROGRAM, Answer, Commands
from dure.drivers.slurm.queue import (
    GONE,
    NODES,
    QUEUE,
    Queue,
    QueuedJob,
    SeenNode,
    ask,
    read_nodes,
    read_queue,
    warn_of,
)
from dure.drivers.slurm.site import said

log = logging.getLogger("dure.slurm")

SILENT_S = 3.0
_ID = re.compile(r"(\d{1,10})(?:;[^\n]*)?\n?")
# A controller that is busy or away; whether it took the job is unknown.
_UNSETTLED = re.compile(
    r"contact|timed? ?out|connect|communicat|temporar|zero bytes|respon[ds]|rate limit|signal", re.I
)


@dataclass(frozen=True, slots=True)
class SubmitAnswer:
    """What came of a submission."""

    class Kind(Enum):
        TAKEN = auto()
        REFUSED = auto()
        UNKNOWN = auto()
        NOT_ASKED = auto()

    kind: Kind
    slurm_id: int | None = None
    words: str = ""


class Submittable(Protocol):
    @property
    def argv(self) -> Sequence[str]: ...


class SlurmClient:
    """Speaks to one Slurm; one that did not answer is left alone for a while.

    Args:
        run: its commands.
        monotone_s: a clock for that while.
    """

    def __init__(self, run: Commands, monotone_s: Callable[[], float]) -> None:
        self._commands, self._monotone_s = run, monotone_s
        self._silent_until_s = 0.0

    def submit(self, wanted: Sequence[Submittable]) -> list[SubmitAnswer]:
        """Submit jobs, side by side."""
        return [_submitted(answer) for answer in self._run([one.argv for one in wanted])]

    def queue(self, number: int) -> Queue | None:
        """Look at all jobs of ours; None if Slurm does not answer."""
        answer = ask(self._run, QUEUE)
        if answer.code != 0:
            log.warning("squeue fails: %s", said(answer))
            return None
        queue, aside = read_queue(answer.out, number)
        warn_of(aside, "lines of squeue")
        return queue

    def job(self, slurm_id: int) -> tuple[bool, QueuedJob | None]:
        """Ask for one job: (whether Slurm answered, the job or None if it knows none)."""
        answer = ask(self._run, ("scontrol", "show", "job", str(slurm_id), "--oneliner"))
        if answer.code != 0:
            return GONE in answer.err + answer.out, None
        state = re.search(r"\bJobState=([A-Z_]+)", answer.out)
        restarts = re.search(r"\bRestarts=(\d{1,9})\b", answer.out)
        if state is None:
            return False, None
        return True, QueuedJob(slurm_id, state[1], "", int(restarts[1]) if restarts else 0, "")

    def nodes(self) -> dict[str, SeenNode] | None:
        """Look at the nodes; None if Slurm does not answer."""
        answer = ask(self._run, NODES)
        if answer.code != 0:
            log.warning("sinfo fails: %s", said(answer))
            return None
        nodes, aside = read_nodes(answer.out)
        warn_of(aside, "lines of sinfo")
        return nodes

    def release(self, ids: Sequence[int]) -> None:
        self._tell(("scontrol", "release", ",".join(str(one) for one in ids)))

    def cancel(self, ids: Sequence[int]) -> None:
        self._tell(("scancel", "--quiet", *(str(one) for one in ids)))

    def signal(self, ids: Sequence[int], name: str) -> None:
        """Signal the script of each job, which passes it on."""
        ids_ = (str(one) for one in ids)
        self._tell(("scancel", "--quiet", "--batch", f"--signal={name}", *ids_))

    def drain(self, node: str, reason: str) -> bool:
        """Have a node take no new work of anybody; True if Slurm did so."""
        update = ("scontrol", "update", f"nodename={node}", "state=drain", f"reason={reason}")
        return self._tell(update).code == 0

    def submit_one(self, argv: Sequence[str]) -> bool:
        """Submit a job of our own; True if it was taken."""
        return _submitted(ask(self._run, argv)).slurm_id is not None

    def _run(self, argvs: Sequence[Sequence[str]]) -> Sequence[Answer]:
        if self._monotone_s() < self._silent_until_s:
            return [Answer(NO_PROGRAM, err="not asked: no answer a moment ago")] * len(argvs)
        answers = self._commands(argvs)
        if any(answer.code == NO_ANSWER for answer in answers):
            self._silent_until_s = self._monotone_s() + SILENT_S
        return answers

    def _tell(self, argv: Sequence[str]) -> Answer:
        """Give an order whose effect the next look shows; a failure is for the log alone."""
        answer = ask(self._run, argv)
        if answer.code != 0:
            log.info("%s: %s", " ".join(argv)[:200], said(answer))
        return answer


def _submitted(answer: Answer) -> SubmitAnswer:
    if answer.code == NO_PROGRAM:
        return SubmitAnswer(SubmitAnswer.Kind.NOT_ASKED, words=said(answer))
    taken = _ID.fullmatch(answer.out.strip())
    if answer.code == 0 and taken:
        return SubmitAnswer(SubmitAnswer.Kind.TAKEN, int(taken[1]))
    words = said(answer)
    # Killed, cut short, or an answer that is none: it may have been taken.
    is_refusal = answer.code > 0 and "error" in words and not _UNSETTLED.search(words)
    kind = SubmitAnswer.Kind.REFUSED if is_refusal else SubmitAnswer.Kind.UNKNOWN
    return SubmitAnswer(kind, words=words)
