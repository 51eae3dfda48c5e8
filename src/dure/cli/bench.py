"""``dure bench``: how fast the hot paths are on this machine (docs/figures.md)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from dure.cli.groups import command_group
from dure.cli.ledger import DbOption

bench = command_group("Measure the hot paths on this machine.")
LOAD_MAX = 100.0


def register(app: typer.Typer) -> None:
    """Add the group to the ``dure`` command."""
    app.add_typer(bench, name="bench")


@bench.command("twin")
def bench_twin(
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Gangs to run.")] = 100_000,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of 8 GPUs.")] = 1_642,
    policy: Annotated[str, typer.Option("--policy", help="One of the policies.")] = "fifo",
    load: Annotated[float, typer.Option("--load", help="Offered load; 10 is a deep queue.")] = 0.9,
    large_every: Annotated[
        int,
        typer.Option(
            "--large-every", min=0, help="One gang in so many has 33 to 512 nodes; 0: none."
        ),
    ] = 0,
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
    table = yardstick_jobs(jobs, nodes, seed=seed, load=load, large_every=large_every)
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
    _show(figures, output)


@bench.command("engine")
def bench_engine(
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of 8 GPUs.")] = 32_500,
    pending: Annotated[int, typer.Option("--pending", min=1, help="Waiting gangs.")] = 100_000,
    projects: Annotated[int, typer.Option("--projects", min=1, help="Who own them.")] = 2_000,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Full passes to time.")] = 9,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the workload.")] = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Time one pass of the policy dure: from an empty pool, and after 1 % of the nodes came free.

    Plan and reasons are counted, compiling is not.
    """
    from dure.core.errors import DureError
    from dure.twin.bench_engine import run_engine_bench

    try:
        figures = run_engine_bench(
            nodes=nodes, pending=pending, projects=projects, repeat=repeat, seed=seed
        )
    except DureError as wrong:
        typer.echo(f"dure bench engine: {wrong}", err=True)
        raise typer.Exit(1) from None
    _show(figures, output)


@bench.command("year")
def bench_year(
    nodes: Annotated[int, typer.Option("--nodes", min=16, help="Nodes of 8 GPUs.")] = 37_500,
    days: Annotated[int, typer.Option("--days", min=1, help="Days of work.")] = 365,
    load: Annotated[
        float | None,
        typer.Option("--load", help="Times the projects' demand; 1.3 fills the pool. [0.98]"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the jobs and the faults.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Keep tables and the ledger there.")
    ] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Run an imagined year of the pool under the policy dure, faults on, in bounded memory.

    Without options it is 300,000 GPUs and ten million jobs.
    """
    import tempfile

    from dure.cli.progress import time_passing
    from dure.core.errors import DureError, InputError
    from dure.twin.year import run_year
    from dure.twin.year_world import FROM_S, LOAD, YearWorld

    try:
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch) if out is None else out
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as wrong:
                raise InputError(
                    str(place), found=str(wrong), expected="a folder to write to"
                ) from None
            if load is not None and not 0 < load <= LOAD_MAX:
                raise InputError("--load", found=f"{load:g}", expected=f"0 < load <= {LOAD_MAX:g}")
            world = YearWorld(nodes, days, seed, LOAD if load is None else load)
            with time_passing("year", FROM_S, world.to_s) as tell:
                year = run_year(world, place, tell=tell)
    except InputError as wrong:
        typer.echo(f"dure bench year: {wrong}", err=True)
        raise typer.Exit(2) from None
    except DureError as wrong:
        typer.echo(f"dure bench year: {wrong}", err=True)
        raise typer.Exit(1) from None
    kept = ("jobs", "jobs_done", "utilisation", "reclaims", "reclaims_late", "lost_gpu_s")
    figures = {
        "nodes": nodes,
        "days": days,
        "load": world.load,
        "faults": world.faults_drawn.height,
    }
    _show(figures | {name: year.summary[name] for name in kept} | year.timing, output)


@bench.command("telemetry")
def bench_telemetry(
    rate: Annotated[int, typer.Option("--rate", min=8, help="Records a second.")] = 20_000,
    seconds: Annotated[int, typer.Option("--seconds", min=5, help="For how long.")] = 60,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Keep the telemetry there.")
    ] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Take GPU samples from Prometheus' answers to files and roll-ups on one core, as they come."""
    import os
    import tempfile

    # Before the table library counts the cores.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    from dure.core.errors import DureError
    from dure.twin.bench_telemetry import run_telemetry_bench

    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) if out is None else out
            figures = run_telemetry_bench(
                folder, records_per_s=rate, seconds=seconds, server_cores=cores
            )
    except DureError as wrong:
        typer.echo(f"dure bench telemetry: {wrong}", err=True)
        raise typer.Exit(1) from None
    _show(figures, output)


@bench.command("ledger")
def bench_ledger(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="On the disk to measure; default: under here."),
    ] = None,
    db: DbOption = "",
    writers: Annotated[int, typer.Option("--writers", min=1, help="Threads at once.")] = 256,
    seconds: Annotated[float, typer.Option("--seconds", min=0.2, help="For each part.")] = 5.0,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Append durable decisions, one by one and from many threads, beside the disk's own fsyncs."""
    import tempfile

    from dure.app.bench_ledger import run_ledger_bench
    from dure.app.ledgers import ledgers_of
    from dure.core.errors import DureError

    try:
        with tempfile.TemporaryDirectory(dir=data or Path.cwd(), prefix=".dure-bench-") as scratch:
            place = Path(scratch)
            figures = run_ledger_bench(
                ledgers_of(place, db), place, writers=writers, seconds=seconds
            )
    except DureError as wrong:
        typer.echo(f"dure bench ledger: {wrong}", err=True)
        raise typer.Exit(1) from None
    _show(figures | {"database": "postgresql" if db else "sqlite"}, output)


@bench.command("portal")
def bench_portal(
    rate: Annotated[int, typer.Option("--rate", min=1, help="Submissions a second.")] = 100,
    seconds: Annotated[int, typer.Option("--seconds", min=1, help="How long.")] = 60,
    burst: Annotated[int, typer.Option("--burst", min=1, help="Then so many a second.")] = 500,
    burst_seconds: Annotated[int, typer.Option("--burst-seconds", min=1, help="How long.")] = 10,
    db: DbOption = "",
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Submit jobs over HTTP to a service of its own, and look for each of them in its ledger."""
    import tempfile

    from dure.cli.bench_portal import run_portal_bench
    from dure.core.errors import DureError

    try:
        with tempfile.TemporaryDirectory(prefix="dure-bench-") as scratch:
            figures = run_portal_bench(
                Path(scratch) / "data",
                db=db,
                rate=rate,
                seconds=seconds,
                burst=burst,
                burst_seconds=burst_seconds,
            )
    except DureError as wrong:
        typer.echo(f"dure bench portal: {wrong}", err=True)
        raise typer.Exit(1) from None
    _show(figures | {"database": "postgresql" if db else "sqlite"}, output)


@bench.command("programme")
def bench_programme(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Like 2026-1, 514 each.")] = 60,
    rule: Annotated[str, typer.Option("--rule", help="rank or optimum.")] = "optimum",
    applications: Annotated[
        int, typer.Option("--applications", min=1, help="Taken into one call besides.")
    ] = 30_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of what people do.")] = 1,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
) -> None:
    """Hold many rounds in one programme, from the call to the agreements; fill one huge call."""
    import tempfile

    from dure.twin.bench_programme import run_programme_bench

    if rule not in ("rank", "optimum"):
        typer.echo("dure bench programme: --rule is rank or optimum", err=True)
        raise typer.Exit(2)
    with tempfile.TemporaryDirectory(prefix="dure-bench-") as scratch:
        figures = run_programme_bench(
            Path(scratch),
            rounds=rounds,
            rule="rank" if rule == "rank" else "optimum",
            applications=applications,
            seed=seed,
        )
    _show(figures, output)


def _show(figures: Mapping[str, object], output: str) -> None:
    if output == "json":
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        typer.echo(f"{name:24} {value}")
