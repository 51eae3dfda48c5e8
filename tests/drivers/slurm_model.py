"""A model of Slurm's commands in this process, with faults by a seed: for thousands of launches.

It understands the argument lists that the driver makes and answers in Slurm's words. A job that is
released begins at once, takes its attempt's lock as the script of the driver does, and ends. What
it counts itself is what the driver must answer for: how often the work of a mark began.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dure.drivers.slurm.commands import NO_ANSWER, Answer
from dure.drivers.slurm.launch import SCRIPT

NODES = 4
GPUS = 8
NODE_LINES = "".join(
    f"NodeName=n{number} CPUTot=32 RealMemory=256000 Gres=gpu:b200:{GPUS} Partitions=alpha\n"
    for number in range(NODES)
)
PARTITION = "PartitionName=alpha MaxTime=UNLIMITED PriorityTier=1 TotalNodes=4 State=UP\n"


@dataclass
class ModelJob:
    """A job as the model has it."""

    id: int
    mark: str
    root: Path
    job: str
    attempt: str
    state: str = "PENDING"
    is_held: bool = True


class Killed(BaseException):
    """The process of the driver was killed here."""


@dataclass
class SlurmModel:
    """Slurm, with faults.

    Args:
        chance: of everything that goes wrong.
        silent_pct: commands in a hundred that do not answer; half of those had their effect.
        late_pct: of the submissions without an answer, those that arrive only later.
        killed_pct: commands in a hundred at which the driver is killed, before or after.
        garbled_pct: answers in a hundred that are cut short or spoilt.
        between: called before every command: another driver may be at work beside this one.
    """

    chance: random.Random
    silent_pct: int = 0
    late_pct: int = 0
    killed_pct: int = 0
    garbled_pct: int = 0
    between: Callable[[], None] = lambda: None
    jobs: dict[int, ModelJob] = field(default_factory=dict)
    late: list[Sequence[str]] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    released: dict[str, set[int]] = field(default_factory=dict)
    commands: int = 0
    node_state: dict[str, str] = field(default_factory=dict)

    def __call__(self, argvs: Sequence[Sequence[str]]) -> Sequence[Answer]:
        answers = [self._one(argv) for argv in argvs]
        return answers

    def _one(self, argv: Sequence[str]) -> Answer:
        self.commands += 1
        self.between()
        self._arrive()
        if self._happens(self.killed_pct):
            if self.chance.random() < 0.5:
                self._do(argv)
            raise Killed
        if self._happens(self.silent_pct):
            if argv[0] == "sbatch" and self._happens(self.late_pct):
                self.late.append(argv)
            elif self.chance.random() < 0.5:
                self._do(argv)
            return Answer(NO_ANSWER)
        answer = self._do(argv)
        if argv[0] in ("squeue", "sinfo") and self._happens(self.garbled_pct):
            return answer._replace(out=self._spoilt(answer.out))
        return answer

    def _happens(self, pct: int) -> bool:
        return self.chance.random() * 100 < pct

    def _arrive(self) -> None:
        """Let submissions come that nobody waits for any more."""
        while self.late and self.chance.random() < 0.3:
            self._do(self.late.pop(0))

    def _spoilt(self, text: str) -> str:
        at = self.chance.randrange(len(text) + 1)
        return text[:at] + self.chance.choice(["", "\0\x1b[2J|||", "\n9|9|9\n", "가|", "-1|x\n"])

    def _do(self, argv: Sequence[str]) -> Answer:
        match argv:
            case ["sbatch", *_]:
                return self._submit(argv)
            case ["squeue", *_]:
                lines = (
                    f"{one.id}|{one.state}|{'JobHeldUser' if one.is_held else 'None'}|0|N/A|"
                    f"{one.mark}|"
                    for one in self.jobs.values()
                )
                return Answer(0, "\n".join(lines) + "\n")
            case ["sinfo", *_]:
                lines = (
                    f"n{number}|{self.node_state.get(f'n{number}', 'idle')}|none"
                    for number in range(NODES)
                )
                return Answer(0, "\n".join(lines) + "\n")
            case ["scontrol", "show", "node", *_]:
                return Answer(0, NODE_LINES)
            case ["scontrol", "show", "partition", *_]:
                return Answer(0, PARTITION)
            case ["scontrol", "show", "job", number, *_]:
                found = self.jobs.get(int(number))
                if found is None:
                    return Answer(1, "", "slurm_load_jobs error: Invalid job id specified")
                return Answer(0, f"JobId={number} JobState={found.state} Restarts=0")
            case ["scontrol", "release", ids]:
                for number in ids.split(","):
                    self._release(int(number))
                return Answer(0)
            case ["scancel", "--quiet", *ids]:
                for number in (one for one in ids if one.isdecimal()):
                    found = self.jobs.get(int(number))
                    if found is not None and found.state in ("PENDING", "RUNNING"):
                        found.state, found.is_held = "CANCELLED", False
                return Answer(0)
            case _:
                return Answer(1, "", f"error: {argv[:3]}")

    def _submit(self, argv: Sequence[str]) -> Answer:
        mark = next(one for one in argv if one.startswith("--comment=")).partition("=")[2]
        at = next(place for place, one in enumerate(argv) if one.endswith(f"/{SCRIPT}"))
        number = len(self.jobs) + 1
        self.jobs[number] = ModelJob(number, mark, Path(argv[at + 2]), argv[at + 3], argv[at + 4])
        assert "--hold" in argv and "--no-requeue" in argv
        return Answer(0, f"{number}\n")

    def _release(self, number: int) -> None:
        found = self.jobs.get(number)
        if found is None or found.state != "PENDING":
            return
        found.is_held, found.state = False, "COMPLETED"
        self.released.setdefault(found.mark, set()).add(number)
        control = found.root / "control" / found.job
        try:
            with (control / f"attempt-{found.attempt}.lock").open("x") as lock:
                lock.write(json.dumps({"slurm": number}))
        except FileExistsError:
            return
        self.begun[found.mark] += 1
        evidence = json.dumps({"is_clean": True})
        (control / f"attempt-{found.attempt}.clean.n0").write_text(evidence)
        end = {"kind": "ended", "exit_code": 0, "reason": "", "at_s": number}
        (found.root / "done" / f"{found.job}~{found.attempt}").write_text(json.dumps(end))

    def lose_state(self) -> None:
        """Forget every job, as a controller does whose state is lost."""
        self.jobs.clear()
