"""Each row of the comparison is shown by a command that a script plays, and that does not fail."""

import re

import pytest

from tests.architecture.source_tree import text
from tests.scripts.test_scripts import SCRIPTS

ROWS = [
    line.strip("| ").split(" | ")
    for line in text("docs/comparison.md").split("## Where")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| | ")
]
SHOWN = re.compile(r"`(dure [^`]+)` \((\w[\w-]*)\)")


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_a_command_that_its_script_answers(row: list[str]) -> None:
    assert len(row) == 6, "what, three others, Dure, the command"
    command, script = SHOWN.fullmatch(row[-1]).groups()  # type: ignore[union-attr]

    assert script in SCRIPTS
    answers = answers_to(command, text(f"tests/golden/scripts/{script}.txt"))
    assert answers, "the script does not play it"
    assert any(not re.fullmatch(r"\[\d+\]", one[-1]) for one in answers if one)


def answers_to(command: str, told: str) -> list[list[str]]:
    """Return what a command answered, each time that a script played it."""
    parts = re.split(r"^(?=[$#] )", told, flags=re.M)
    return [part.splitlines()[1:] for part in parts if part.splitlines()[:1] == [f"$ {command}"]]
