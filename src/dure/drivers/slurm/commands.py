"""Slurm's commands, run side by side with a stated limit of time; argument lists, never a shell."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

# Of the service's own environment; the rest may hold tokens, and Slurm passes it on to jobs.
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SLURM_CONF")
ANSWER_S_MAX = 10.0
AT_ONCE = 6
NO_ANSWER, NO_PROGRAM = -1, -2


class Answer(NamedTuple):
    """What a command said; ``code`` is ``NO_ANSWER`` if it did not come back in time."""

    code: int
    out: str = ""
    err: str = ""


class Commands(Protocol):
    """Runs commands of Slurm; whether one that does not answer had an effect is unknown."""

    def __call__(self, argvs: Sequence[Sequence[str]]) -> Sequence[Answer]:
        """Run them all, a few at a time, and return their answers in order."""
        ...


class SlurmCommands:
    """The real ones.

    Args:
        environment: to choose from; the service's own if None.
        answer_s: limit of one command.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, answer_s: float = ANSWER_S_MAX
    ) -> None:
        given = os.environ if environment is None else environment
        self._env = {name: given[name] for name in INHERITED if name in given}
        self._answer_s = answer_s

    def __call__(self, argvs: Sequence[Sequence[str]]) -> Sequence[Answer]:
        begun: deque[tuple[subprocess.Popen[str] | Answer, float]] = deque()
        answers: list[Answer] = []
        for argv in argvs:
            begun.append((self._begin(argv), time.monotonic() + self._answer_s))
            if len(begun) >= AT_ONCE:
                answers.append(_answer(*begun.popleft()))
                if answers[-1].code == NO_ANSWER:
                    # The controller is busy or gone; waiting once is enough to know it.
                    break
        answers += [_answer(*one) for one in begun]
        not_asked = Answer(NO_PROGRAM, err="not asked: no answer before")
        return answers + [not_asked] * (len(argvs) - len(answers))

    def _begin(self, argv: Sequence[str]) -> "subprocess.Popen[str] | Answer":
        try:
            return subprocess.Popen(
                argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as wrong:
            return Answer(NO_PROGRAM, err=f"{argv[0]}: {wrong.strerror}")


def _answer(begun: "subprocess.Popen[str] | Answer", deadline_s: float) -> Answer:
    if isinstance(begun, Answer):
        return begun
    try:
        out, err = begun.communicate(timeout=max(0.05, deadline_s - time.monotonic()))
        return Answer(begun.returncode, out, err)
    except subprocess.TimeoutExpired:
        begun.kill()
        begun.communicate()
        return Answer(NO_ANSWER, err="no answer in time")
