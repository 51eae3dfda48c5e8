"""Groups of commands, and how their help lists them."""

import typer
from typer.core import TyperGroup

# Longer than any sentence: a list of commands is read to find the right one.
SENTENCE_MAX = 1_000


class CommandGroup(TyperGroup):
    """A group whose help shows the whole first sentence of each command, on as many lines."""

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
