"""``dure twin compare sharing``: the table of what sharing promises, measured on a trace."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import typer


def compare_sharing(
    jobs: Path, policies: list[str], *, shifts: int, faults: str, seed: int, output: str
) -> None:
    """Measure each policy on the owners of a trace; print a table for each, or all as JSON.

    Raises:
        InputError: a file cannot be read, or a job has no provider.
    """
    from dure.twin.requests import read_policy
    from dure.twin.sharing_table import Measurement
    from dure.twin.tables import read_faults, read_jobs

    def tell(text: str) -> None:
        if sys.stderr.isatty():
            typer.echo(text, err=True)

    trace = read_jobs(jobs)
    replayed = None if faults == "none" else read_faults(Path(faults))
    body = {}
    for name in policies:
        measured = Measurement(trace, read_policy(name), shifts, seed, replayed, tell)
        lines = measured.run()
        body[name] = {"lines": [asdict(one) for one in lines], "runs": measured.as_json()}
        if output != "json":
            typer.echo(f"{name}: {len(measured.owners)} owners, {shifts} shifts")
            for one in lines:
                verdict = {True: "holds", False: "FALLS SHORT", None: ""}[one.holds]
                typer.echo(f"{one.what:48} {one.measured:52} {one.reach:22} {verdict}".rstrip())
    if output == "json":
        typer.echo(json.dumps(body, ensure_ascii=False, indent=1))
