"""A process that forks a child for each fault, has it work, and reports what it acknowledged.

It is small and warm, so that a kill costs milliseconds. A line of JSON in, a line of JSON out.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Tell = Callable[[int], None]


class Victim:
    """Runs works of a module in children of a process of its own.

    Args:
        module: has functions ``(path, tell, **arguments)``; each ``tell(number)`` acknowledges.
            Its ``warm()``, if it has one, is called once before.
    """

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def work(self, name: str, path: Path, **arguments: Any) -> tuple[int, list[int]]:
        """Return how the child ended (0, or the signal's number below 0), and what it told."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([name, str(path), arguments]), file=self._process.stdin, flush=True)
        status, told = json.loads(self._process.stdout.readline())
        return status, told


@cache
def victim(module: str) -> Victim:
    """Return this process's own victim for a module; it ends when we do."""
    return Victim(module)


def serve(module: str) -> None:
    works = importlib.import_module(module)
    getattr(works, "warm", lambda: None)()
    for line in sys.stdin:
        name, path, arguments = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _be_child(partial(getattr(works, name), Path(path), **arguments), writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as heard:
            told = [int(one) for one in heard.read().split()]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([status, told]), flush=True)


def _be_child(work: Callable[..., None], writing: int) -> None:
    code = 1
    try:
        work(tell=lambda number: os.write(writing, b"%d\n" % number))
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
