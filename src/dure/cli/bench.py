"""``dure bench``: how fast the hot paths are on this machine (docs/figures.md)."""

import json
from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(
    help="Measure the hot paths on this machine.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the group to the ``dure`` command."""
    app.add_typer(bench, name="bench")


@bench.callback()
def bench_command() -> None:
    """Keep the group a group while it has one command."""


@bench.command("twin")
def bench_twin(
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Gangs to run.")] = 100_000,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of 8 GPUs.")] = 1_642,
    policy: Annotated[str, typer.Option("--policy", help="One of the policies.")] = "fifo",
    load: Annotated[float, typer.Option("--load", help="Offered load; 10 is a deep queue.")] = 0.9,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the workload.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write inputs and tables there.")
    ] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Run a yardstick of whole-node gangs through the whole cycle with the memory ledger, warm."""
    from dure.core.errors import DureError
    from dure.twin.bench import run_bench, yardstick_jobs
    from dure.twin.run import write_result
    from dure.twin.tables import pool_for_clusters, read_jobs

    out_dir = out if out is not None else None
    table = yardstick_jobs(jobs, nodes, seed=seed, load=load)
    try:
        import tempfile

        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) if out_dir is None else out_dir
            place.mkdir(parents=True, exist_ok=True)
            table.write_parquet(place / "jobs-in.parquet")
            figures, result = run_bench(
                read_jobs(place / "jobs-in.parquet"), nodes=nodes, policy=policy
            )
            if out_dir is not None:
                pool_for_clusters({"bench": nodes * 8}).write_parquet(place / "pool.parquet")
                write_result(result, place)
    except DureError as wrong:
        typer.echo(f"dure bench twin: {wrong}", err=True)
        raise typer.Exit(2) from None
    if output == "json":
        typer.echo(json.dumps(figures))
    else:
        for name, value in figures.items():
            typer.echo(f"{name:16} {value}")
