"""Every command of docs/operate.md is one that the program takes, with these options and values."""

import shlex

import click
import pytest
import typer

from dure.cli.main import app
from tests.cli.doc_commands import typed

COMMANDS = [line for line in typed() if line.startswith("dure ")]


def test_the_ways_to_run_the_platform_are_all_typed_somewhere() -> None:
    words = {line.split()[1] for line in COMMANDS}

    assert words == {"up", "passwd", "site", "backup", "ledger", "restore"}
    assert len(COMMANDS) >= 14


VALUES = {"N": "1", "S": "1", "SIZE": "1G", "METER": "built-in", "URL": "https://dure.example"}


def filled(line: str) -> list[str]:
    """Return a command's words: brackets opened, the first of several choices taken."""
    words = shlex.split(line.partition(" >")[0].replace("[", "").replace("]", ""))
    chosen = [word.split("|")[0].replace("=SLOTS", "=1") for word in words if word != "..."]
    return [VALUES.get(word, word) for word in chosen]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_taken_as_it_is_written(line: str) -> None:
    command: click.Command = typer.main.get_command(app)
    _, *words = filled(line)
    context = click.Context(command, info_name="dure")

    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, name
        command = found
    command.make_context(command.name, words, parent=context)
