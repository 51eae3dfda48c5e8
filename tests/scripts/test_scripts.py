"""Command scripts in, text out: the main trips of each role, as a person would type them.

A script is ``NAME.txt`` beside this file: ``as ROLE``, ``lang ko|en``, ``clock MOMENT``, commands.
Its answer is ``tests/golden/scripts/NAME.txt``; ``make golden`` rewrites it. ``! `` begins a line
of stderr.

``world real`` plays on a programme that is real and empty. ``world round`` plays in round 2026-1
just after it closed: ``day YYYY-MM-DD`` moves its clock, ``marks`` has its reviewers answer, FIRST
is the signed-in reviewer's first application, DIGEST the one shown last. ``world offers`` plays on
a call just decided, with time to answer; ``day`` does what time decides as well,
``idle`` lets two months pass in which nobody uses what they hold.

``world supply`` plays before the supply calls of 2025: ``bids`` hands in those of the other
providers, ``agreed`` goes on to the first agreement, ``fault NODES FROM TO`` breaks nodes,
``vacate`` ends what runs in the pool, ``works-for`` says for whom the provider's person works.
The files of ``examples/calls`` lie beside.
"""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dure.core.calendar import moment_s
from dure.services.access import Role
from tests.cli.serving import Shell, serving
from tests.portal.filled import FixedClock
from tests.portal.filled_programme import EXAMPLE_CALLS, filled_services, real_services
from tests.scripts.offer_world import OfferWorld
from tests.scripts.round_world import SIGNED_IN, RoundWorld
from tests.scripts.supply_world import SupplyWorld

FOLDER = Path(__file__).parent
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.txt"))


DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


class Stage:
    """What a script's words act on besides the shell."""

    def __init__(self, lines: list[str]) -> None:
        self.clock, self.digest, self.first = FixedClock(), "", ""
        self.world: RoundWorld | OfferWorld | None = None
        if "world round" in lines:
            self.world = RoundWorld()
        if "world offers" in lines:
            self.world = OfferWorld()
        self.supply = SupplyWorld() if "world supply" in lines else None
        if self.world is not None:
            self.services = self.world.services()
        elif self.supply is not None:
            self.services = self.supply.services()
        elif "world real" in lines:
            self.services = real_services(self.clock)
        else:
            self.services = filled_services(self.clock)

    def filled(self, line: str) -> str:
        """Put in what the script cannot know."""
        if isinstance(self.world, RoundWorld) and "FIRST" in line:
            tables = self.world.programme.tables
            mine = [
                name
                for name, one in tables.applications.items()
                if SIGNED_IN in {reviewer for _, reviewer in one.asked}
            ]
            self.first = self.first or min(mine)
            line = line.replace("FIRST", self.first)
        return line.replace("DIGEST", self.digest)


def answer(shell: Shell, stage: Stage, line: str) -> list[str]:
    """Run one line; return what a reader sees of it."""
    word, *rest = shlex.split(stage.filled(line))
    if word == "as":
        shell.be(Role(rest[0]))
    elif word == "lang":
        shell.set({"DURE_LANG": rest[0]})
    elif word == "clock":
        stage.clock.at_s = moment_s(" ".join(rest))
    elif word == "day":
        world = stage.world or stage.supply
        assert world is not None
        world.move_to(rest[0])
    elif word == "idle":
        assert isinstance(stage.world, OfferWorld)
        stage.world.leave_idle()
    elif word == "marks":
        marking = stage.world or stage.supply
        assert isinstance(marking, RoundWorld | SupplyWorld)
        marking.give_marks()
    elif word in ("bids", "agreed", "fault", "vacate", "works-for"):
        assert stage.supply is not None
        act(stage.supply, word, rest)
    elif word == "world":
        assert rest[0] in ("real", "round", "offers", "supply")
    else:
        assert word == "dure", f"a script has no {word!r}"
        done = shell(*rest)
        seen = [*done.out.splitlines(), *(f"! {one}" for one in done.err.splitlines())]
        stage.digest = [stage.digest, *DIGEST.findall(done.out)][-1]
        if done.code:
            seen.append(f"[{done.code}]")
        return [one.replace(shell.url, "URL") for one in seen]
    return []


def act(supply: SupplyWorld, word: str, rest: list[str]) -> None:
    """Let something happen that nobody types."""
    if word == "bids":
        supply.hand_in_bids()
    elif word == "agreed":
        supply.agree()
    elif word == "fault":
        supply.break_nodes(*rest)
    elif word == "vacate":
        supply.end_work()
    else:
        supply.work_for(rest[0])


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_said(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    golden: Callable[[str, str], None],
) -> None:
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    stage = Stage(lines)
    sizings = EXAMPLE_CALLS.parent / "sizing"
    for file in (*(FOLDER / "files").iterdir(), *EXAMPLE_CALLS.glob("*.yaml"), *sizings.iterdir()):
        shutil.copy(file, tmp_path)
    told = []
    with serving(stage.services) as url:
        shell = Shell(monkeypatch, tmp_path, url, stage.services)
        for line in lines:
            told.append(line if line.startswith("#") else f"$ {line}")
            if not line.startswith("#"):
                told += answer(shell, stage, line)

    golden(f"scripts/{name}.txt", "\n".join(told) + "\n")
