"""A provider's accounting as a file: GPU-seconds by project in a month.

What other meters got wrong (apache/airavata-custos, issues 535 and 542) is done on purpose here: a
job of an unknown user counts for its account; a line that cannot be read is set aside alone; time
is counted from start to end, cut to the month, so that a job across its edge is in both months;
``gres/gpu`` of AllocTRES is of the whole job and is not multiplied by its nodes; typed GPUs count
where there is no untyped sum.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dure.core.calendar import moment_s, month_window_s
from dure.core.errors import InputError

SACCT = ("JobID", "Account", "Start", "End", "AllocTRES")
PLAIN = ("job", "project", "gpus", "start_s", "end_s")
UNKNOWN = ("", "Unknown", "None")
RUNNING = ("RUNNING", "SUSPENDED", "COMPLETING", "STOPPED")
GPUS = re.compile(r"(?:^|,)gres/gpu=(\d{1,9})(?=,|$)")
TYPED_GPUS = re.compile(r"(?:^|,)gres/gpu:[^=,]+=(\d{1,9})(?=,|$)")
EXAMPLES_MAX = 20


@dataclass(slots=True)
class Accounted:
    """A month in the provider's book.

    Attributes:
        gpu_s: GPU-seconds by project. jobs: lines that counted.
        aside: lines that could not be read: how many, and the first of them with the reason.
    """

    gpu_s: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    aside: int = 0
    examples: list[str] = field(default_factory=list)


def read_accounting(file: Path, month: str, *, now_s: int) -> Accounted:
    """Add up a month of a provider's accounting.

    Args:
        file: what ``sacct --parsable2`` printed with the columns ``SACCT``, or CSV with ``PLAIN``.
        now_s: a job that still runs counts until then.

    Raises:
        InputError: if the file cannot be read, or is neither.
    """
    from_s, to_s = month_window_s(month)
    found = Accounted()
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for line, row in _lines(stream, str(file)):
                try:
                    use = _use_of(row, now_s=now_s)
                except (KeyError, TypeError, ValueError, InputError) as wrong:
                    found.aside += 1
                    if len(found.examples) < EXAMPLES_MAX:
                        found.examples.append(f"line {line}: {wrong}")
                    continue
                if use is None:
                    continue
                project, gpus, start_s, end_s = use
                lasted_s = min(end_s, to_s) - max(start_s, from_s)
                if lasted_s > 0:
                    found.jobs += 1
                    found.gpu_s[project] = found.gpu_s.get(project, 0) + gpus * lasted_s
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise InputError(str(file), found=str(wrong)[:200], expected="a readable text") from wrong
    return found


def _lines(stream: Iterable[str], name: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    lines = iter(stream)
    header = next(lines, "").rstrip("\r\n")
    mark = "|" if "|" in header else ","
    columns = header.split(mark)
    if not (set(SACCT) <= set(columns) or set(PLAIN) <= set(columns)):
        raise InputError(
            name,
            found=f"the columns {header[:100]!r}",
            expected=f"sacct's {', '.join(SACCT)} (with |), or {', '.join(PLAIN)} (with commas)",
        )
    rows = csv.DictReader(lines, columns, delimiter=mark, quoting=csv.QUOTE_MINIMAL)
    yield from enumerate(rows, start=2)


def _use_of(row: Mapping[str, str], *, now_s: int) -> tuple[str, int, int, int] | None:
    """Return (project, GPUs, start, end), or None for what used nothing of its own."""
    if "AllocTRES" not in row:
        gpus, start_s, end_s = (int(row[name]) for name in ("gpus", "start_s", "end_s"))
        return _checked(row["project"], gpus, start_s, end_s)
    # A step's time is part of its job's.
    if "." in row["JobID"] or row["Start"] in UNKNOWN:
        return None
    untyped, typed = GPUS.search(row["AllocTRES"]), TYPED_GPUS.findall(row["AllocTRES"])
    gpus = int(untyped[1]) if untyped else sum(map(int, typed))
    if gpus == 0:
        return None
    start_s = _moment(row["Start"])
    state = (row.get("State") or "").split(" ")[0]
    if row["End"] in UNKNOWN and state and state not in RUNNING:
        raise ValueError(f"job {row['JobID']} is {state} and has no end")
    end_s = now_s if row["End"] in UNKNOWN else _moment(row["End"])
    return _checked(row["Account"], gpus, start_s, end_s)


def _checked(project: str, gpus: int, start_s: int, end_s: int) -> tuple[str, int, int, int]:
    if gpus < 0 or end_s < start_s:
        raise ValueError(f"{gpus} GPUs from {start_s} to {end_s}")
    return project, gpus, start_s, end_s


def _moment(text: str) -> int:
    """Read epoch seconds, or civil time as sacct prints it."""
    return int(text) if text.isdecimal() else moment_s(text)
