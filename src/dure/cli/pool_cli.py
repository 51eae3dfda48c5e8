"""``dure pool``, ``nodes``, ``drain``, ``resume`` and ``loans``: what there is, what it does, who
keeps work off it, who lends to whom.
"""

from collections import Counter
from typing import Annotated, Any

import typer

from dure.cli.cells import (
    code,
    made_column,
    moment,
    moment_column,
    name_of,
    number,
    number_column,
    text_column,
)
from dure.cli.options import (
    HERE,
    LIMIT,
    URL,
    LimitOption,
    OutputOption,
    PoolOption,
    UrlOption,
    connect,
    rows_of,
)
from dure.cli.output import Output, Row, lang, say, show_facts, show_rows

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Its name.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the ``dure`` command."""
    app.command("pool")(pool)
    app.command("nodes")(nodes)
    app.command("drain")(drain)
    app.command("resume")(resume)
    app.command("loans")(loans)


def pool(
    pool: PoolOption = HERE, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show what a pool owns, uses, lends and waits for, by provider and cluster."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("pools", pool, "overview"))
    if output is Output.CSV:
        show_rows(found["supply"], (), output)
        return
    show_facts(found, _figures(found), output)
    if output is Output.TABLE:
        columns = (
            made_column("provider", lambda row: row["provider"]),
            made_column("cluster", lambda row: row["cluster"] or say("all_clusters")),
            text_column("accelerator"),
            number_column("nodes"),
            number_column("gpus"),
            number_column("public_gpus"),
            made_column("now", _now),
        )
        typer.echo("")
        show_rows(found["supply"], columns, output)


def _figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    from dure.reports import formats

    of_pool, lending = found["pool"], found["lending"]
    speed = say("speed", speed=of_pool["speed"]) if of_pool["imagined"] else say("real_time")
    kept = say(
        "kept",
        reclaims=lending["reclaims"],
        p99_s=lending["return_s_p99"],
        late=lending["late"],
    )
    return [
        ("pool", f"{of_pool['pool']}  {name_of(of_pool['title'])}"),
        ("clock", f"{moment(of_pool['now_s'])}  {speed}"),
        ("policy", code("policy", of_pool["policy"])),
        ("gpus", formats.gpus(lang(), of_pool["gpus"])),
        ("public_gpus", formats.gpus(lang(), of_pool["public_gpus"])),
        ("now", _kinds(found["kinds_milli"])),
        ("running", number(found["running_jobs"])),
        ("waiting", say("waiting", jobs=found["waiting_jobs"], size=found["waiting_gpus"])),
        ("promise", say("promise", promise_s=lending["promise_s"])),
        ("kept", kept if lending["reclaims"] else say("none_called_back")),
    ]


def _kinds(kinds_milli: dict[str, int]) -> str:
    """Return what GPUs do, those that do anything at all; parts of a GPU are rounded down."""
    return ", ".join(
        f"{code('kind', kind)} {number(milli // 1000)}"
        for kind, milli in kinds_milli.items()
        if milli >= 1000
    )


def _now(row: Row) -> str:
    shut = [] if row["shut_until_s"] is None else [say("shut", until_s=row["shut_until_s"])]
    return ", ".join([_kinds(row["kinds_milli"]), *shut])


def nodes(
    limit: LimitOption = LIMIT,
    pool: PoolOption = HERE,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List a pool's nodes with what their GPUs do; jobs are named to those they concern."""
    from dure.cli.client import path_of

    part = connect(url).rows(path_of("pools", pool, "nodes"), limit=limit)
    columns = (
        text_column("node"),
        text_column("provider"),
        text_column("cluster"),
        text_column("leaf"),
        text_column("accelerator"),
        number_column("gpus"),
        made_column("now", _states),
        made_column("closed_by", _closers),
        made_column("jobs", lambda row: ", ".join(sorted({job for job in row["jobs"] if job}))),
    )
    show_rows(rows_of(part), columns, output)


def _states(row: Row) -> str:
    counts: Counter[str] = Counter(row["states"])
    return ", ".join(f"{code('kind', state)} {count}" for state, count in counts.items())


def drain(
    node: NodeArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "",
    pool: PoolOption = HERE,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Close a node to new work; what runs there runs on."""
    from dure.cli.client import path_of

    answer = connect(url).post(path_of("pools", pool, "nodes", node, "drain"), {"reason": reason})
    _say_answer(answer, output)


def resume(
    node: NodeArgument,
    pool: PoolOption = HERE,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Open a node again; it takes work when each who closed it has opened it."""
    from dure.cli.client import path_of

    answer = connect(url).post(path_of("pools", pool, "nodes", node, "resume"), {})
    _say_answer(answer, output)


def _say_answer(answer: dict[str, Any], output: Output) -> None:
    if output is Output.TABLE:
        typer.echo(f"{answer['node']}: {code('drain', answer['answer'])}")
    else:
        show_facts(answer, (), output)


def _closers(row: Row) -> str:
    return ", ".join(code("closer", one) for one in row["closed_by"])


def loans(
    pool: PoolOption = HERE, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the GPUs on loan now in which you have a side."""
    rows = [row for row in connect(url).rows("/loans").rows if row["pool"] == pool]
    columns = (
        text_column("job"),
        text_column("borrower"),
        text_column("accelerator"),
        number_column("gpus"),
        moment_column("since", "from_s"),
        text_column("lender"),
        text_column("claimant", "claimant_job"),
        moment_column("due", "due_at_s"),
    )
    show_rows(rows, columns, output)
