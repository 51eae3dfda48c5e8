"""``dure utilisation``, ``tickets``, ``repair``, ``reset-breaker`` and ``idle``: what is measured,
which nodes are sick, which GPUs are held idle.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli.cells import code, made_column, moment_column, number_column, text_column
from dure.cli.groups import command_group
from dure.cli.options import (
    HERE,
    URL,
    AnyPoolOption,
    OutputOption,
    PoolOption,
    UrlOption,
    connect,
)
from dure.cli.output import Output, Row, note, say, show_facts, show_rows, stop

idle = command_group("GPUs that running jobs hold idle.")


def register(app: typer.Typer) -> None:
    """Add these commands to the ``dure`` command."""
    app.command("utilisation")(utilisation)
    app.command("tickets")(tickets)
    app.command("repair")(repair)
    app.command("reset-breaker")(reset_breaker)
    app.add_typer(idle, name="idle")


def _percent(title: str, name: str) -> Any:
    def shown(row: Row) -> str:
        return "" if row[name] is None else f"{row[name] / 10:.1f}"

    return made_column(title, shown)


def utilisation(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its number.")],
    pool: AnyPoolOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what a job was measured to use, over time."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("jobs", job, "utilisation"), pool=pool)
    if output is Output.CSV:
        show_rows(found["points"], (), output)
    elif output is not Output.TABLE:
        show_facts(found, (), output)
    else:
        columns = (
            moment_column("at", "at_s"),
            _percent("busy", "busy_milli"),
            _percent("cpu", "cpu_milli"),
            number_column("memory_mib"),
            number_column("power_w"),
        )
        show_rows(found["points"], columns, output)


def tickets(
    pool: PoolOption = HERE, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the repairs that providers are asked for, those that need somebody first."""
    from dure.cli.client import path_of

    rows = connect(url).rows(path_of("pools", pool, "tickets")).rows
    columns = (
        text_column("ticket"),
        text_column("node"),
        text_column("provider"),
        made_column("state", lambda row: code("ticket", row["state"])),
        made_column("cause", _cause),
        made_column("action", lambda row: code("repair", row["action"])),
        moment_column("since", "opened_at_s"),
        moment_column("until", "until_s"),
    )
    show_rows(rows, columns, output)


def _cause(row: Row) -> str:
    if row["cause"] == "silent":
        return say("silent")
    return say("xid", xid=row["xid"], device=row["device"])


def repair(
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Its number.")],
    done: Annotated[str, typer.Option("--done", metavar="ACTION", help="What was done.")],
    words: Annotated[str, typer.Option("--note", metavar="TEXT", help="In your words.")] = "",
    pool: PoolOption = HERE,
    url: UrlOption = URL,
) -> None:
    """Say that a node is repaired: it takes work again, on probation."""
    from dure.cli.client import path_of

    body = {"done": done, "note": words}
    connect(url).post(path_of("pools", pool, "tickets", ticket, "repair"), body)
    typer.echo(say("repaired", ticket=ticket))


def reset_breaker(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose nodes.")],
    pool: PoolOption = HERE,
    url: UrlOption = URL,
) -> None:
    """Let the health rule close nodes of a provider again; those held are closed now."""
    from dure.cli.client import path_of

    connect(url).post(path_of("pools", pool, "breakers", provider, "reset"), {})
    typer.echo(say("breaker_reset", provider=provider))


@idle.command("list")
def idle_list(
    pool: PoolOption = HERE, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the notices that concern you, with what was measured."""
    from dure.cli.client import path_of

    rows = connect(url).rows(path_of("pools", pool, "idle")).rows
    columns = (
        text_column("job"),
        text_column("project"),
        made_column("state", lambda row: code("idle_state", row["state"])),
        made_column("gpus", lambda row: f"{row['gpus']}/{row['gpus_held']}"),
        _percent("busy_milli_max", "busy_milli_max"),
        moment_column("from", "from_s"),
        moment_column("to", "to_s"),
        moment_column("due", "due_at_s"),
        text_column("text"),
    )
    show_rows(rows, columns, output)


@idle.command("answer")
def idle_answer(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its number.")],
    justify: Annotated[
        str, typer.Option("--justify", metavar="TEXT", help="Why it needs them.")
    ] = "",
    extend: Annotated[bool, typer.Option("--extend", help="Ask for some time.")] = False,
    release: Annotated[bool, typer.Option("--release", help="Let them go now.")] = False,
    pool: AnyPoolOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Answer a notice: justify, extend or release, one of them."""
    from dure.cli.client import path_of

    chosen = [
        name
        for name, given in (("justified", justify), ("extended", extend), ("released", release))
        if given
    ]
    if len(chosen) != 1:
        raise stop("idle_one_answer", code=2)
    path = path_of("jobs", job, "idle") + (f"?pool={pool}" if pool else "")
    taken = connect(url).post(path, {"answer": chosen[0], "text": justify})
    if output is Output.TABLE:
        typer.echo(say("idle_answered", job=job, until_s=taken["until_s"]))
    else:
        show_facts(taken, (), output)


@idle.command("rule")
def idle_rule(
    project: Annotated[
        str, typer.Option("--project", metavar="P", help="Whose; without it everybody else's.")
    ] = "",
    threshold: Annotated[
        float, typer.Option("--threshold", help="Idle below it, percent; 0: off.")
    ] = 5.0,
    window: Annotated[int, typer.Option("--window", help="For so many minutes.")] = 60,
    grace: Annotated[int, typer.Option("--grace", help="Minutes after a start.")] = 30,
    notice: Annotated[int, typer.Option("--notice", help="Minutes to answer.")] = 30,
    pool: PoolOption = HERE,
    url: UrlOption = URL,
) -> None:
    """Set when a project's GPUs count as held idle."""
    from dure.cli.client import path_of

    body = {
        "project": project,
        "threshold_milli": round(10 * threshold),
        "window_s": 60 * window,
        "grace_s": 60 * grace,
        "notice_s": 60 * notice,
    }
    connect(url).post(path_of("pools", pool, "idle", "rule"), body)
    typer.echo(say("idle_rule_set", project=project or "*"))


@idle.command("replay")
def idle_replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Parquet or CSV: job, at_s, busy_milli, device.")
    ],
    threshold: Annotated[float, typer.Option("--threshold", help="Idle below it, percent.")] = 5.0,
    window: Annotated[int, typer.Option("--window", help="For so many minutes.")] = 60,
    grace: Annotated[int, typer.Option("--grace", help="Minutes after a start.")] = 30,
    notice: Annotated[int, typer.Option("--notice", help="Minutes to answer.")] = 30,
    output: OutputOption = Output.TABLE,
) -> None:
    """Try the rule on recorded utilisation: how many notices, and how many were false alarms."""
    from dure.core.idle_held import IdlePolicy
    from dure.services.idle_replay import read_utilisation, replay_idle

    policy = IdlePolicy(
        threshold_milli=round(10 * threshold),
        window_s=60 * window,
        grace_s=60 * grace,
        notice_s=60 * notice,
    )
    found = replay_idle(read_utilisation(file), policy)
    if output is not Output.TABLE:
        show_facts(found, (), output)
        return
    note(say("idle_replay"))
    for name, value in found.items():
        typer.echo(f"{name:32} {value}")
