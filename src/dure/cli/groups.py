"""Groups of commands, and how their help lists them."""

import typer
from typer.core import TyperGroup

# Longer than any sentence: a list of commands is read to find the right one.
SENTENCE_MAX = 1_000
# What people type who come from Slurm, Kubernetes or a shell.
OTHER_NAMES = {
    "kill": "cancel",
    "log": "output",
    "logs": "output",
    "ps": "jobs",
    "queue": "jobs",
    "run": "submit",
    "sbatch": "submit",
    "scancel": "cancel",
    "sinfo": "nodes",
    "squeue": "jobs",
    "status": "jobs",
}


class CommandGroup(TyperGroup):
    """A group whose help shows the whole first sentence of each command, on as many lines."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]
        """Find a command; who types another system's word for it is told ours."""
        meant = OTHER_NAMES.get(args[0], "")
        if meant in self.commands and args[0] not in self.commands:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {meant!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx, formatter):  # type: ignore[no-untyped-def]
        """Write the list of commands."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, one.get_short_help_str(SENTENCE_MAX))
            for name, one in commands.items()
            if one is not None and not one.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def command_group(about: str) -> typer.Typer:
    """Make a group; called without a command it shows its help.

    Plain text: help and errors are read by scripts and over slow lines too.
    """
    return typer.Typer(
        cls=CommandGroup,
        help=about,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
