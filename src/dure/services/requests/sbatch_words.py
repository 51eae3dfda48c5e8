"""The values of ``#SBATCH`` options, one reader each; what they mean together is for ``sbatch``."""

import re
import shlex
from typing import NamedTuple

from dure.core.errors import InputError
from dure.core.orders import NOTICE_SIGNALS
from dure.services.requests.values import memory_mib, shown, slurm_time_s, whole

SHORT = {
    "A": "account", "B": "extra-node-info", "C": "constraint", "D": "chdir", "F": "nodefile",
    "G": "gpus", "H": "hold", "I": "immediate", "J": "job-name", "L": "licenses", "M": "clusters",
    "N": "nodes", "O": "overcommit", "Q": "quiet", "S": "core-spec", "W": "wait", "a": "array",
    "b": "begin", "c": "cpus-per-task", "d": "dependency", "e": "error", "i": "input",
    "k": "no-kill", "m": "distribution", "n": "ntasks", "o": "output", "p": "partition",
    "q": "qos", "s": "oversubscribe", "t": "time", "v": "verbose", "w": "nodelist", "x": "exclude",
}  # fmt: skip
# Options that take no value, or one after '=' alone.
FLAGS = {
    "contiguous", "exclusive", "get-user-env", "hold", "ignore-pbs", "immediate", "no-kill",
    "no-requeue", "overcommit", "oversubscribe", "parsable", "quiet", "reboot", "requeue",
    "spread-job", "test-only", "use-min-nodes", "verbose", "wait", "hetjob", "packjob",
}  # fmt: skip
# Options that change what runs, or whether it does: running something else would be worse.
REFUSED = {
    "hetjob": "one job for each part; heterogeneous jobs are not taken yet",
    "packjob": "one job for each part; heterogeneous jobs are not taken yet",
    "hold": "the script without it, submitted when it may start",
    "test-only": "the script without it",
    "wrap": "the command in the script itself",
}
# Ways to come after another job. Element by element (aftercorr) is read as after all of them.
AFTER = {
    "afterok": "after",
    "aftercorr": "after",
    "afterany": "after_any",
    "after": "after_start",
}
# Slurm waits this long for better switches unless the site says otherwise (max_switch_wait).
SWITCH_WAIT_S = 300
# Slurm signals this long before the end unless the script says otherwise.
SIGNAL_BEFORE_S = 60
NUMBERED = {
    "1": "HUP",
    "2": "INT",
    "3": "QUIT",
    "10": "USR1",
    "12": "USR2",
    "15": "TERM",
    "18": "CONT",
}


class Option(NamedTuple):
    """One option of one line; ``value`` is None if it has none."""

    line: int
    name: str
    value: str | None
    where: str

    @property
    def words(self) -> str:
        return f"--{self.name}" + (f"={self.value}" if self.value is not None else "")


def options(text: str, line: int, where: str) -> list[Option]:
    """Split what follows ``#SBATCH`` on a line, as sbatch does: quotes hold, '#' ends it."""
    where = f"{where}, line {line}"
    try:
        words = shlex.split(text, comments=True)
    except ValueError as wrong:
        raise InputError(
            where, found=shown(text.strip()), expected=f"options of sbatch ({wrong})"
        ) from wrong
    found: list[Option] = []
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        value: str | None = None
        if word.startswith("--"):
            name, equals, after = word[2:].partition("=")
            value = after if equals else None
        elif len(word) > 1 and word[0] == "-" and word[1] in SHORT:
            name = SHORT[word[1]]
            value = word[2:].removeprefix("=") or None
        elif word in ("hetjob", "packjob"):
            name = word
        else:
            raise InputError(where, found=shown(word), expected="an option such as --gres=gpu:8")
        if value is None and name not in FLAGS and waiting and not waiting[-1].startswith("--"):
            value = waiting.pop()
        found.append(Option(line, name, value, f"{where}, --{name}"))
    return found


class Gres(NamedTuple):
    """Devices asked for: ``kind`` "" for any type; what was no GPU stands in ``other``."""

    kind: str
    number: int
    other: str = ""


def gres(value: str, where: str) -> Gres:
    """Read ``gpu``, ``gpu:4``, ``gpu:b200:4`` and lists of them with other resources."""
    kinds, number, other = [], 0, []
    for part in value.split(","):
        name, _, rest = part.removeprefix("gres/").partition(":")
        if name != "gpu":
            other.append(part)
            continue
        one = typed_count(rest or "1", where)
        number += one.number
        kinds.append(one.kind)
    if len(set(kinds)) > 1:
        raise InputError(
            where, found=shown(value), expected="GPUs of one type; or a job for each type"
        )
    return Gres(kinds[0] if kinds else "", number, ",".join(other))


def typed_count(value: str, where: str) -> Gres:
    """Read ``8`` or ``b200:8``; Slurm's small letters become the type's own capitals."""
    form = re.fullmatch(r"(?:([A-Za-z][A-Za-z0-9._-]{0,63}))?:?([0-9]{1,6})?(?:\([^)]*\))?", value)
    if form is None or not (form[1] or form[2]):
        raise InputError(
            where, found=shown(value), expected="a number, or a type and one, such as b200:8"
        )
    return Gres((form[1] or "").upper(), int(form[2] or 1))


def node_range(value: str, where: str) -> tuple[int, int]:
    """Read ``4`` or ``2-4``: (fewest, most)."""
    fewest, dash, most = value.partition("-")
    first = whole(fewest, where, least=1)
    return first, whole(most, where, least=first) if dash else first


def mebibytes(value: str, where: str) -> int:
    """Read memory as Slurm does: a bare number is MiB."""
    return memory_mib(value, where, unit="M")


def notice(value: str, where: str) -> tuple[str, int]:
    """Read ``[B:]USR1[@120]``: (the signal as a request names it, seconds before the end)."""
    form = re.fullmatch(r"(?:([RB]+):)?([A-Za-z0-9]{1,12})(?:@([0-9]{1,5}))?", value)
    name = form[2].upper().removeprefix("SIG") if form else ""
    name = NUMBERED.get(name, name)
    if form is None or name not in NOTICE_SIGNALS:
        raise InputError(
            where,
            found=shown(value),
            expected=f"a signal such as USR1@120 or B:USR1@120, one of {', '.join(NOTICE_SIGNALS)}",
        )
    first_only = "B:" if "B" in (form[1] or "") else ""
    return first_only + name, int(form[3]) if form[3] else SIGNAL_BEFORE_S


def after_jobs(value: str, where: str) -> dict[str, tuple[str, ...]]:
    """Read ``afterok:20:21,afterany:23``: ids by the field of a request that they belong to."""
    found: dict[str, tuple[str, ...]] = {}
    for part in value.split(","):
        kind, _, rest = part.partition(":")
        if kind not in AFTER or not rest:
            raise InputError(
                where,
                found=shown(value),
                expected="afterok:JOB[:JOB...] or afterany:JOB, with commas between several",
            )
        ids = tuple(job.partition("+")[0] for job in rest.split(":"))
        found[AFTER[kind]] = found.get(AFTER[kind], ()) + ids
    return found


def switches(value: str, where: str) -> str | None:
    """Read ``1@10:00`` as a locality; None for more than one switch, which is no wish of ours."""
    count, _, patience = value.partition("@")
    if whole(count, where) != 1:
        return None
    wait_s = slurm_time_s(patience, where) if patience else SWITCH_WAIT_S
    return f"preferred:leaf:{max(0, wait_s)}"


def variables(value: str) -> tuple[dict[str, str], str]:
    """Read ``--export``: (variables that have a value, what else it says)."""
    set_here: dict[str, str] = {}
    other = []
    for part in value.split(","):
        name, equals, content = part.partition("=")
        if equals:
            set_here[name] = content
        else:
            other.append(part)
    return set_here, ",".join(other)
