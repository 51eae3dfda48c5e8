"""Command scripts in, text out: the main trips of each role, as a person would type them.

A script is ``NAME.txt`` beside this file: ``as ROLE``, ``lang ko|en``, ``clock MOMENT``, commands.
Its answer is ``tests/golden/scripts/NAME.txt``; ``make golden`` rewrites it. ``! `` begins a line
of stderr.
"""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.core.calendar import moment_s
from dure.services.access import Role
from tests.cli.serving import Shell, serving
from tests.portal.filled import FixedClock
from tests.portal.filled_programme import filled_services, real_services

FOLDER = Path(__file__).parent
# These run on a programme that is real and empty, not on one that is filled with rows.
REAL = ("call", "draft")
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.txt"))


def answer(shell: Shell, line: str, clock: FixedClock) -> list[str]:
    """Run one line; return what a reader sees of it."""
    word, *rest = shlex.split(line)
    if word == "as":
        shell.be(Role(rest[0]))
    elif word == "lang":
        shell.set({"DURE_LANG": rest[0]})
    elif word == "clock":
        clock.at_s = moment_s(" ".join(rest))
    else:
        assert word == "dure", f"a script has no {word!r}"
        done = shell(*rest)
        seen = [*done.out.splitlines(), *(f"! {one}" for one in done.err.splitlines())]
        if done.code:
            seen.append(f"[{done.code}]")
        return [one.replace(shell.url, "URL") for one in seen]
    return []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_said(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    golden: Callable[[str, str], None],
) -> None:
    clock = FixedClock()
    services = real_services(clock) if name in REAL else filled_services(clock)
    for file in (FOLDER / "files").iterdir():
        shutil.copy(file, tmp_path)
    told = []
    with serving(services) as url:
        shell = Shell(monkeypatch, tmp_path, url, services)
        for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            told.append(line if line.startswith("#") else f"$ {line}")
            if not line.startswith("#"):
                told += answer(shell, line, clock)

    golden(f"scripts/{name}.txt", "\n".join(told) + "\n")
