"""The ``dure`` command. Each sibling module brings a group of commands; this one lists them."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import dure
from dure.cli import (
    account,
    bench,
    care_cli,
    data_cli,
    exporter,
    ledger,
    notice_cli,
    pool_cli,
    programme_cli,
    replay,
    session_cli,
    site_cli,
    size,
    trace,
    twin,
    twin_coverage,
    twin_pack,
    up,
    usage_cli,
    work,
)
from dure.cli.groups import command_group
from dure.core.errors import DureError, InputError

# A sibling module has `register(app)`, which adds its commands, and stands here in the order of the
# help page. It imports heavy rooms inside the command, so that `dure --help` answers at once.
REGISTRATIONS: tuple[Callable[[typer.Typer], None], ...] = (
    up.register,
    account.register,
    work.register,
    session_cli.register,
    data_cli.register,
    pool_cli.register,
    care_cli.register,
    site_cli.register,
    programme_cli.register,
    notice_cli.register,
    size.register,
    usage_cli.register,
    twin.register,
    twin_coverage.register,
    exporter.register,
    twin_pack.register,
    trace.register,
    ledger.register,
    replay.register,
    bench.register,
)

app = command_group("Dure (두레) runs a nation's GPU pool.")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"dure {dure.__version__}")
        raise typer.Exit


@app.callback()
def dure_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


for register in REGISTRATIONS:
    register(app)


def main() -> None:
    """Run ``dure``; the exit code is 0 ok, 1 refused or failed, 2 wrong usage."""
    try:
        code = app(prog_name="dure", standalone_mode=False)
    except typer.TyperException as wrong:
        # Typer's own printing takes four lines; a script reads one.
        command = getattr(getattr(wrong, "ctx", None), "command_path", "dure")
        message = wrong.format_message().rstrip()
        is_help = message.startswith("Usage:")
        typer.echo(message if is_help else f"{command}: {message} Next: {command} --help", err=True)
        sys.exit(wrong.exit_code)
    except typer.Abort:
        typer.echo("dure: stopped on request", err=True)
        sys.exit(1)
    except DureError as wrong:
        one_line = " ".join(str(wrong).split())
        typer.echo(f"{_command_path(sys.argv[1:])}: {one_line}", err=True)
        sys.exit(2 if isinstance(wrong, InputError) else getattr(wrong, "exit_code", 1))
    except BrokenPipeError:
        # Whoever read our output has enough (`dure nodes | head`); flushing it would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code)


def _command_path(arguments: Sequence[str]) -> str:
    """Return the command that was given, as its help would name it: ``dure call show``."""
    group, path = typer.main.get_command(app), ["dure"]
    for word in arguments:
        below = getattr(group, "commands", {}).get(word)
        if below is None:
            break
        group = below
        path.append(word)
    return " ".join(path)
