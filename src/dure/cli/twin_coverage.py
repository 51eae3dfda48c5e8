"""``dure twin coverage``: how often starts came within the intervals that were foreseen."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dure.cli.twin import (
    DaysOption,
    FormatOption,
    JobsOption,
    PoolOption,
    ScenarioArgument,
    SeedOption,
    stopping,
    twin,
)


def register(_app: typer.Typer) -> None:
    """Add the command to the group ``twin``, which is registered before."""
    twin.command("coverage")(coverage)


def coverage(
    scenario: ScenarioArgument = None,
    jobs: JobsOption = None,
    pool: PoolOption = None,
    policy: Annotated[
        str, typer.Option("--policy", metavar="NAME|FILE", help="Order, or a YAML file.")
    ] = "dure",
    seed: SeedOption = 1,
    days: DaysOption = None,
    output: FormatOption = "table",
) -> None:
    """Run, and count how often gangs started within the intervals foreseen for them."""
    from dure.core.errors import InputError
    from dure.twin.coverage import coverage_of_founding, coverage_of_tables, rows_of
    from dure.twin.requests import read_policy

    with stopping("coverage"):
        if scenario == "founding":
            found = coverage_of_founding(seed=seed, days=days, policy=read_policy(policy))
        elif scenario is None and isinstance(jobs, Path) and isinstance(pool, Path):
            found = coverage_of_tables(jobs, pool, seed=seed, days=days, policy=read_policy(policy))
        else:
            raise InputError("scenario", found=repr(scenario), expected="founding, or two tables")
        rows = rows_of(found)
    if output == "json":
        typer.echo(json.dumps(rows, indent=1))
        return
    typer.echo(f"{'gate':30} {'starts':>8} {'within 50 %':>12} {'within 90 %':>12}")
    for row in rows:
        half, most = int(row["half_per_mille"]) / 10, int(row["most_per_mille"]) / 10
        typer.echo(f"{row['gate']:30} {row['starts']:8,} {half:12.1f} {most:12.1f}")
