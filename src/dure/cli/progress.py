"""How far a run has come, for whoever waits at a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def time_passing(what: str, from_s: int, to_s: int) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far a scenario has come in its own time; nothing elsewhere.

    The caller tells (moment, jobs submitted so far).
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(what, total=to_s - from_s)
    with bar:
        yield lambda at_s, _jobs: bar.update(task, completed=at_s - from_s)


@contextmanager
def far() -> Iterator[Callable[[str, int, int], None]]:
    """Show on a terminal how far each part of a long work has come; nothing elsewhere.

    The caller tells (what, done, in all); what is 0 in all is not shown.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", visible=False)

    def tell(what: str, done: int, total: int) -> None:
        bar.update(task, description=what, completed=done, total=total, visible=total > 0)

    with bar:
        yield tell
