"""``dure twin pack``: the packing experiment on the openb files (docs/packing.md)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dure.cli.twin import SeedOption, progress, stopping, twin


def register(app: typer.Typer) -> None:
    """Add the command to ``dure twin``, which stands in ``app`` already."""
    twin.command("pack")(pack)


def pack(
    nodes: Annotated[Path, typer.Option("--nodes", metavar="FILE", help="Nodes, as in openb.")],
    tasks: Annotated[Path, typer.Option("--tasks", metavar="FILE", help="Tasks, as in openb.")],
    variant: Annotated[
        str, typer.Option("--variant", metavar="NAME", help="Which of the file's traces.")
    ] = "default",
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            metavar="NAME",
            help="random, dotprod, clustering, packing, bestfit, fgd or dure.",
        ),
    ] = "dure",
    seed: SeedOption = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Fill a cluster with tasks that never leave, and say how much of it was allocated."""
    with stopping("pack"):
        from dure.core.errors import InputError
        from dure.twin.packing import POLICIES, read_experiment
        from dure.twin.packing import pack as run

        for option, value, known in (
            ("--policy", policy, POLICIES),
            ("--output", output, ("text", "json")),
        ):
            if value not in known:
                raise InputError(option, found=repr(value), expected=f"one of {', '.join(known)}")
        experiment = read_experiment(nodes, tasks, variant=variant, seed=seed)
        with progress(f"{policy} on {variant}", len(experiment.tasks.kind)) as tell:
            figures = {"variant": variant, **run(experiment, policy, tell=tell).figures}
    if output == "json":
        typer.echo(json.dumps(figures, ensure_ascii=False, indent=1, sort_keys=True))
        return
    for name, figure in figures.items():
        typer.echo(f"{name:22} {figure}")
