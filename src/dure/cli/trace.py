"""``dure trace``: other people's traces, and pools for them, as tables that the twin reads."""

from pathlib import Path
from typing import Annotated

import typer

from dure.cli.groups import command_group

trace = command_group("Bring traces and pools into the twin's tables.")


def register(app: typer.Typer) -> None:
    """Add the group to the ``dure`` command."""
    app.add_typer(trace, name="trace")


def _stop(command: str, wrong: Exception) -> typer.Exit:
    """Say in one line what is wrong with the input; the exit code is 2."""
    typer.echo(f"dure {command}: {wrong}", err=True)
    return typer.Exit(2)


@trace.command("import")
def import_(
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="itp, openb, muri, helios, philly, swf, slurm-sacct, yardstick, csv, infinitehbd.",
        ),
    ],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="The file or folder; FILE#TRACE picks one trace.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .parquet or .csv to write.")],
    nodes: Annotated[
        Path | None, typer.Option("--nodes", help="infinitehbd: the pool to deal the faults to.")
    ] = None,
    from_s: Annotated[
        int | None, typer.Option("--from-s", help="infinitehbd: when day 0 is, in seconds.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", help="One trace, cluster or variant of several.")
    ] = None,
) -> None:
    """Turn a published trace into the twin's table; rows that cannot be jobs are counted."""
    from dure.core.errors import InputError
    from dure.twin.importers import import_trace

    try:
        summary = import_trace(format, source, out, nodes=nodes, from_s=from_s, trace=trace)
    except InputError as wrong:
        raise _stop("trace import", wrong) from None
    typer.echo(summary.line())


@trace.command("pool")
def pool(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .parquet or .csv to write.")],
    providers: Annotated[
        list[str],
        typer.Option("--provider", metavar="NAME=GPUS", help="A cluster and its size; repeatable."),
    ],
    gpus_per_node: Annotated[int, typer.Option(help="GPUs of every node, 1 to 63.")] = 8,
    nodes_per_leaf: Annotated[int, typer.Option(help="Nodes that share a leaf.")] = 32,
    accelerator: Annotated[str, typer.Option(help="The type of all devices.")] = "GPU",
) -> None:
    """Write a pool of plain clusters, each its own provider, for traces that bring no machines."""
    from dure.core.errors import InputError
    from dure.twin.importers import write_table
    from dure.twin.tables import pool_for_clusters

    try:
        frame = pool_for_clusters(
            _sizes(providers),
            gpus_per_node=gpus_per_node,
            nodes_per_leaf=nodes_per_leaf,
            accelerator=accelerator,
        )
        write_table(frame, out)
    except InputError as wrong:
        raise _stop("trace pool", wrong) from None
    clusters = frame["cluster"].n_unique()
    typer.echo(f"pool: {frame.height} nodes, {frame['gpus'].sum()} GPUs, {clusters} clusters")


def _sizes(providers: list[str]) -> dict[str, int]:
    """Read NAME=GPUS pairs; raises InputError if one is not such a pair or a name comes twice."""
    from dure.core.errors import InputError

    sizes: dict[str, int] = {}
    for pair in providers:
        name, _, gpus = pair.rpartition("=")
        if not name or not (gpus.isascii() and gpus.isdigit()) or len(gpus) > 9:
            raise InputError("--provider", found=f'"{pair}"', expected="NAME=GPUS like itp-1=64")
        if name in sizes:
            raise InputError("--provider", found=f"{name} twice", expected="each name once")
        sizes[name] = int(gpus)
    return sizes
