"""``dure twin``: run the pool in virtual time, compare policies, check the fault model."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dure.cli.groups import command_group

if TYPE_CHECKING:
    from dure.twin.run import Result

twin = command_group("The digital twin: the engine that runs the pool, in virtual time.")

ScenarioArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCENARIO]", help="founding; or use --jobs and --pool. compare: sharing."
    ),
]
JobsOption = Annotated[Path | None, typer.Option("--jobs", metavar="FILE", help="Jobs table.")]
PoolOption = Annotated[Path | None, typer.Option("--pool", metavar="FILE", help="Nodes table.")]
AllocationsOption = Annotated[
    Path | None, typer.Option("--allocations", metavar="FILE", help="Allocations table.")
]
FaultsOption = Annotated[
    str, typer.Option("--faults", metavar="SOURCE", help="none, a table, or a MODEL.yaml.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="All chance comes from it.")]
DaysOption = Annotated[
    int | None, typer.Option("--days", min=1, help="Stop so many days after the first submission.")
]
FormatOption = Annotated[str, typer.Option("-o", "--output", help="table or json.")]

# What a table of runs shows; the summary file has everything.
FIGURES = (
    "jobs_done",
    "wait_s_mean",
    "queued_s_mean",
    "queued_s_p99",
    "jct_s_mean",
    "makespan_s",
    "utilisation",
    "loan_gpu_s",
    "lost_gpu_s",
    "idle_beside_queue_gpu_s",
    "reclaims",
    "reclaim_s_p99",
    "reclaims_late",
)


def register(app: typer.Typer) -> None:
    """Add the group to the ``dure`` command."""
    app.add_typer(twin, name="twin")


@contextmanager
def stopping(command: str) -> Iterator[None]:
    """Say in one line what stopped a run: 2 for what cannot be read, 1 for what went wrong."""
    from dure.core.errors import DureError, InputError, PolicyError

    try:
        yield
    except (InputError, PolicyError) as wrong:
        typer.echo(f"dure twin {command}: {wrong}", err=True)
        raise typer.Exit(2) from None
    except DureError as wrong:
        typer.echo(f"dure twin {command}: {wrong}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def progress(title: str, jobs: int) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal; the caller tells (moment, jobs submitted)."""
    if not sys.stderr.isatty() or jobs < 1000:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=jobs)

        def tell(_now_s: int, submitted: int) -> None:
            bar.update(task, completed=submitted)

        yield tell


@twin.command("run")
def run(
    scenario: ScenarioArgument = None,
    jobs: JobsOption = None,
    pool: PoolOption = None,
    allocations: AllocationsOption = None,
    policy: Annotated[
        str, typer.Option("--policy", metavar="NAME|FILE", help="Order, or a YAML file.")
    ] = "dure",
    faults: FaultsOption = "none",
    seed: SeedOption = 1,
    days: DaysOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write tables and the ledger there.")
    ] = None,
    output: FormatOption = "table",
) -> None:
    """Run jobs through a pool and say what came of it."""
    with stopping("run"):
        if scenario is not None:
            result = _run_scenario(scenario, policy, seed, days, out)
        else:
            files = _both("run", jobs, pool)
            result = _run_files(*files, allocations, policy, faults, seed, days, out)
    _print([(policy, result.summary | result.timing)], output)
    if out is not None and output == "table":
        typer.echo(f"{out}: tables, summary.json, ledger.db (dure replay --data {out})", err=True)


def _both(command: str, jobs: Path | None, pool: Path | None) -> tuple[Path, Path]:
    if jobs is None or pool is None:
        typer.echo(
            f"dure twin {command}: found no scenario and not both --jobs and --pool; expected "
            "`founding`, or two tables. Next: dure trace import, dure trace pool.",
            err=True,
        )
        raise typer.Exit(2)
    return jobs, pool


def _jobs_alone(jobs: Path | None) -> Path:
    from dure.core.errors import InputError

    if jobs is None:
        raise InputError("sharing", found="no --jobs", expected="a trace with a provider a job")
    return jobs


def _run_scenario(
    scenario: str, policy: str, seed: int, days: int | None, out: Path | None
) -> "Result":
    from dure.core.errors import InputError
    from dure.twin.founding import run_founding
    from dure.twin.requests import read_policy

    if scenario != "founding":
        raise InputError("scenario", found=repr(scenario), expected="founding")
    with progress("founding", 100_000) as tell:
        return run_founding(seed=seed, days=days, out=out, policy=read_policy(policy), tell=tell)


def _run_files(
    jobs: Path,
    pool: Path,
    allocations: Path | None,
    policy: str,
    faults: str,
    seed: int,
    days: int | None,
    out: Path | None,
) -> "Result":
    from dure.app.runtime import twin_ledger
    from dure.core.errors import InputError
    from dure.twin.requests import read_inputs, read_policy
    from dure.twin.run import Run, write_result

    inputs = read_inputs(
        jobs,
        pool,
        policy=read_policy(policy),
        allocations=allocations,
        faults=faults,
        seed=seed,
        days=days,
    )
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            raise InputError(str(out), found=str(wrong), expected="a folder to write to") from None
    ledger = twin_ledger(None if out is None else out / "ledger.db")
    prepared = Run(inputs, ledger)
    if prepared.unknown_providers:
        typer.echo(
            f"dure twin run: {prepared.unknown_providers} jobs name a provider that the pool does "
            "not have; they count as having none.",
            err=True,
        )
    with progress(inputs.policy.name, inputs.jobs.height) as tell:
        result = prepared.go(tell)
    ledger.close()
    if out is not None:
        write_result(result, out)
    return result


@twin.command("compare")
def compare(
    policies: Annotated[
        str, typer.Option("--policies", metavar="A,B,...", help="Names or YAML files.")
    ],
    scenario: ScenarioArgument = None,
    jobs: JobsOption = None,
    pool: PoolOption = None,
    allocations: AllocationsOption = None,
    faults: FaultsOption = "none",
    seed: SeedOption = 1,
    days: DaysOption = None,
    shifts: Annotated[
        int, typer.Option("--shifts", min=1, help="sharing: the trace and its shifts in time.")
    ] = 15,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A folder a policy goes there.")
    ] = None,
    output: FormatOption = "table",
) -> None:
    """Run the same inputs under several policies; one table. `sharing` measures what is promised
    to the owners of the clusters in --jobs, and to their borrowers.
    """
    names = [part.strip() for part in policies.split(",") if part.strip()]
    rows = []
    with stopping("compare"):
        if scenario == "sharing":
            from dure.cli.sharing import compare_sharing

            trace = _jobs_alone(jobs)
            compare_sharing(trace, names, shifts=shifts, faults=faults, seed=seed, output=output)
            return
        for name in names:
            place = None if out is None else out / Path(name).stem
            if scenario is not None:
                result = _run_scenario(scenario, name, seed, days, place)
            else:
                files = _both("compare", jobs, pool)
                result = _run_files(*files, allocations, name, faults, seed, days, place)
            rows.append((name, result.summary | result.timing))
    _print(rows, output)


@twin.command("gates")
def gates(seed: SeedOption = 1, output: FormatOption = "table") -> None:
    """Check the fault model against published counts; exit 1 if a gate does not hold."""
    from dure.twin.fault_gates import run_gates
    from dure.twin.fault_model import read_fault_model

    with stopping("gates"):
        results = run_gates(read_fault_model(), seed=seed)
    if output == "json":
        rows = [
            {
                "gate": gate.gate,
                "figure": gate.figure,
                "measured": gate.measured,
                "expected": gate.expected,
                "tolerance": gate.tolerance,
                "passed": gate.passed,
            }
            for gate in results
        ]
        typer.echo(json.dumps(rows, indent=1))
    else:
        for gate in results:
            verdict = "holds" if gate.passed else "FAILS"
            typer.echo(
                f"{gate.gate:12} {gate.figure:26} {gate.measured:10.4g} published "
                f"{gate.expected:8g} +-{100 * gate.tolerance:.0f} %  {verdict}"
            )
    if not all(gate.passed for gate in results):
        raise typer.Exit(1)


def _print(rows: list[tuple[str, dict[str, Any]]], output: str) -> None:
    if output == "json":
        body: Any = rows[0][1] if len(rows) == 1 else dict(rows)
        typer.echo(json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    for name, _ in rows:
        table.add_column(name, justify="right")
    for figure in (*FIGURES, "wall_s", "rss_mb_max"):
        cells = [_cell(figures.get(figure)) for _, figures in rows]
        table.add_row(figure, *cells)
    Console(width=None if sys.stdout.isatty() else 30 + 18 * len(rows)).print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else "-"
