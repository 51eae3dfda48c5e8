"""The fault plan: what is done to Dure on purpose, how often, and whether everything held.

A module ``tests/faults/*_faults.py`` lists its faults in ``FAULTS``; ``run.py`` (``make fault``)
does them all and prints a table, ``test_faults.py`` does each a few times in ``make test``.
"""

import importlib
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# What a fault does once, in an empty folder; it fails by an assertion or any other exception.
Once = Callable[[Path, random.Random], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: what is done, in a few words.
        once: does it and looks whether everything held.
        often: times in ``make fault``.
        seldom: times in ``make test``.
        needs: why it cannot be done here; "" if it can.
    """

    name: str
    once: Once
    often: int
    seldom: int
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a fault; ``broken`` says with which seed it did not hold, and how."""

    name: str
    times: int
    broken: tuple[str, ...]
    wall_s: float
    needs: str = ""


def every_fault() -> Sequence[Fault]:
    """Return the faults of all modules, by module and place."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*_faults.py"))
    modules = [importlib.import_module(f"tests.faults.{name}") for name in names]
    return [fault for module in modules for fault in module.FAULTS]


def do(fault: Fault, times: int, place: Path, *, seed: int = 1) -> Row:
    """Do a fault so many times, each with a seed and a folder of its own."""
    if fault.needs:
        return Row(fault.name, 0, (), 0.0, fault.needs)
    broken: list[str] = []
    begin_s = time.perf_counter()
    for number in range(times):
        folder = place / str(number)
        folder.mkdir(parents=True)
        try:
            fault.once(folder, random.Random(f"{fault.name} {seed + number}"))
        except Exception as wrong:
            where = traceback.extract_tb(wrong.__traceback__)[-1]
            what = " ".join(f"{type(wrong).__name__} at `{where.line}`: {wrong}".split())
            broken.append(f"seed {seed + number}: {what[:300]}")
            continue
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    return Row(fault.name, times, tuple(broken), time.perf_counter() - begin_s)
