"""The programme at the command line: from the call to the line of those who wait."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli import committee_cli, delivery_cli, holding_cli, offer_cli, reviewing_cli
from dure.cli.call_cli import (
    ApplicationArgument,
    CallArgument,
    register_calls,
    register_stages,
)
from dure.cli.cells import (
    code,
    code_column,
    day,
    gpu_hours_column,
    made_column,
    moment,
    moment_column,
    name_of,
    number,
    number_column,
    text_column,
)
from dure.cli.form_table import QUESTIONS
from dure.cli.groups import command_group
from dure.cli.options import (
    LIMIT,
    URL,
    KeyOption,
    LimitOption,
    OutputOption,
    UrlOption,
    connect,
    rows_of,
)
from dure.cli.output import Column, Output, Row, say, show_facts, show_rows, stop
from dure.cli.paper_cli import register_drafts, register_files, register_requests

ANSWERS_BYTES_MAX = 512 * 1024
# Of a table that states no limit of its own.


def register(app: typer.Typer) -> None:
    """Add the groups and commands to the ``dure`` command."""
    call = _group(app, "call", "Calls, their rounds and forms.")
    call.command("list")(call_list)
    call.command("show")(call_show)
    register_calls(call)
    app.command("apply")(apply)
    application = _group(app, "application", "Applications and where they stand.")
    application.command("list")(application_list)
    application.command("show")(application_show)
    register_stages(application)
    register_files(application)
    register_drafts(_group(app, "draft", "Applications that are not handed in yet."))
    register_requests(_group(app, "request", "Requests about awards and decisions."))
    review = _group(app, "review", "Reviews that you were asked for.")
    review.command("list")(review_list)
    review.command("give")(review_give)
    reviewing_cli.add_to(review)
    award = _group(app, "award", "What was awarded.")
    award.command("list")(award_list)
    committee_cli.add_to(award)
    offer_cli.add_to(award)
    allocation = _group(app, "allocation", "Allocations and their use.")
    allocation.command("list")(allocation_list)
    holding_cli.add_to(allocation)
    app.command("waitlist")(waitlist)
    delivery_cli.add_to(_group(app, "supply", "What providers offer, deliver, get and owe."))


def _group(app: typer.Typer, name: str, about: str) -> typer.Typer:
    group = command_group(about)
    # A group of one command would otherwise be that command.
    group.callback(help=about)(lambda: None)
    app.add_typer(group, name=name)
    return group


def call_list(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """List the calls with what became of them."""
    _show_calls(connect(url).rows("/calls").rows, output)


def _show_calls(rows: list[dict[str, Any]], output: Output) -> None:
    columns = (
        text_column("call"),
        made_column("name", lambda row: name_of(row["name"])),
        made_column("asks", lambda row: say(f"asks_{row['asks']}")),
        made_column("status", lambda row: code("call_status", row["status"])),
        made_column("round", lambda row: ", ".join(_window(one) for one in row["rounds"])),
        *(_sum_of_rounds(name) for name in ("applications", "gpus_asked", "selected", "awarded")),
    )
    show_rows(rows, columns, output)


def _window(one: Row) -> str:
    return f"{day(one['opens_at_s'])} - {day(one['closes_at_s'])}"


def _sum_of_rounds(title: str) -> Column:
    field = "gpus_awarded" if title == "awarded" else title
    return Column(
        title, lambda row: number(sum(one[field] for one in row["rounds"])), is_number=True
    )


def call_show(
    call: CallArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show a call: what it offers, its dates, and the fields that an application needs."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("calls", call))
    if output is Output.CSV:
        show_rows(found["form"], (), output)
        return
    offered = [
        f"{kind} {number(gpus)}"
        for one in found["rounds"]
        for kind, gpus in one["capacity"].items()
    ]
    caps = [f"{kind} {number(gpus)}" for kind, gpus in found["caps"].items()]
    facts = [
        ("call", found["call"]),
        ("name", name_of(found["name"])),
        ("summary", name_of(found["summary"])),
        ("status", code("call_status", found["status"])),
        *(("round", f"{name_of(one['name'])}  {_window(one)}") for one in found["rounds"]),
        ("offered", ", ".join(offered)),
        ("caps", ", ".join(caps)),
        ("months", number(found["months_max"])),
        ("synthetic", say("synthetic") if found["is_synthetic"] else ""),
    ]
    show_facts(found, facts, output)
    if output is Output.TABLE:
        typer.echo("")
        show_rows(found["form"], QUESTIONS, output)


def apply(
    call: CallArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="A line a field: `gpus: 32`.")],
    key: KeyOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Hand an application in; everything that is wrong with it comes back at once."""
    from dure.cli.client import new_key, path_of

    answers = read_answers(file)
    path = path_of("calls", call, "applications")
    taken = connect(url).post(path, {"answers": answers}, key=key or new_key())
    if output is Output.TABLE:
        typer.echo(taken["application"])
    else:
        show_facts(taken, (), output)


def read_answers(file: Path) -> dict[str, str]:
    """Read a form's answers: a YAML file of names and single values, each taken as it is written.

    Raises:
        StopError: if it cannot be read, with the line if that is known.
    """
    import yaml

    try:
        content = file.read_bytes()
    except OSError as wrong:
        why = wrong.strerror or str(wrong)
        raise stop("cannot_read", code=2, file=file, why=why) from None
    if len(content) > ANSWERS_BYTES_MAX:
        raise stop("job_size", code=2, file=file, found=len(content), most=ANSWERS_BYTES_MAX)
    try:
        # BaseLoader leaves every value the text that was written: no dates, no yes and no.
        answers = yaml.load(content, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        why = " ".join(str(wrong).split())
        raise stop("not_yaml", code=2, file=file, why=why[:200]) from None
    if not isinstance(answers, dict):
        raise stop("not_answers", code=2, file=file)
    for name, value in answers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise stop("not_an_answer", code=2, file=file, field=str(name)[:80])
    return answers


def application_list(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List your applications; the agency and the audit see all."""
    part = connect(url).rows("/applications", limit=limit)
    columns = (
        text_column("application"),
        text_column("title"),
        text_column("team"),
        code_column("group", "group"),
        text_column("accelerator"),
        number_column("gpus_asked"),
        number_column("awarded", "gpus_awarded"),
        moment_column("submitted", "submitted_at_s"),
        code_column("status", "application_status"),
        made_column("rank", lambda row: number(row["rank"] or None)),
    )
    show_rows(rows_of(part), columns, output)


def application_show(
    application: ApplicationArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show where an application stands, and why."""
    from dure.cli.client import path_of
    from dure.cli.output import lang
    from dure.reports import formats

    found = connect(url).get(path_of("applications", application))
    row, score_milli, raw_milli = found["row"], found["score_milli"], found["raw_milli"]
    facts = [
        ("application", row["application"]),
        ("call", row["call"]),
        ("title", row["title"]),
        ("team", row["team"]),
        ("group", code("group", row["group"])),
        ("accelerator", row["accelerator"]),
        ("gpus_asked", number(row["gpus_asked"])),
        ("awarded", number(row["gpus_awarded"])),
        ("submitted", moment(row["submitted_at_s"])),
        ("status", code("application_status", row["status"])),
        ("rank", number(row["rank"]) if row["rank"] else ""),
        ("score", formats.points(lang(), score_milli) if score_milli is not None else ""),
        ("plus_minus", formats.points(lang(), found["half_milli"]) if found["half_milli"] else ""),
        ("raw", formats.points(lang(), raw_milli) if raw_milli is not None else ""),
        ("why", name_of(found["reason"])),
    ]
    show_facts(found, facts, output)


def review_list(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the reviews that you were asked for; the agency and the audit see all."""
    part = connect(url).rows("/reviews", limit=limit)
    columns = (
        text_column("application"),
        text_column("title"),
        text_column("accelerator"),
        number_column("gpus_asked"),
        text_column("reviewer"),
        code_column("stage", "stage"),
        made_column("marks", lambda row: _marks(row["marks"])),
        moment_column("marks_due", "due_at_s"),
        made_column("given", _given),
    )
    show_rows(rows_of(part), columns, output)


def _given(row: Row) -> str:
    given = moment(row["given_at_s"])
    return say("late", at=given) if row["is_late"] else given


def _marks(marks: dict[str, int]) -> str:
    return ", ".join(f"{code('criterion', name)} {points}" for name, points in marks.items())


def review_give(
    application: ApplicationArgument,
    marks: Annotated[
        list[str],
        typer.Option("--mark", metavar="CRITERION=POINTS", help="0 to 100; one for each."),
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Mark an application that you were asked to review; a review is given once."""
    from dure.cli.client import path_of

    points: dict[str, int] = {}
    for mark in marks:
        name, _, value = mark.partition("=")
        if not name or not (value.isascii() and value.isdecimal()) or len(value) > 3:
            raise stop("mark", code=2, found=mark[:80])
        if name in points:
            raise stop("mark_twice", code=2, found=name[:80])
        points[name] = int(value)
    given = connect(url).post(path_of("applications", application, "reviews"), {"marks": points})
    if output is Output.TABLE:
        typer.echo(say("review_given", application=application, marks=_marks(given["marks"])))
    else:
        show_facts(given, (), output)


def award_list(
    call: Annotated[str, typer.Option("--call", metavar="CALL", help="Only of this call.")] = "",
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what was awarded and to whom; this is announced to everybody."""
    part = connect(url).rows("/awards", limit=limit, call=call)
    columns = (
        text_column("application"),
        text_column("title"),
        text_column("team"),
        code_column("group", "group"),
        text_column("accelerator"),
        number_column("awarded", "gpus_awarded"),
        code_column("status", "application_status"),
    )
    show_rows(rows_of(part), columns, output)


def allocation_list(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the allocations of your projects with their use, in GPU hours."""
    part = connect(url).rows("/allocations", limit=limit)
    columns = (
        text_column("allocation"),
        text_column("project"),
        text_column("accelerator"),
        number_column("gpus"),
        made_column("from", lambda row: day(row["from_s"])),
        made_column("to", lambda row: day(row["to_s"])),
        gpu_hours_column("entitled", "entitled_gpu_s"),
        gpu_hours_column("own", "own_gpu_s"),
        gpu_hours_column("lent", "lent_gpu_s"),
        code_column("status", "allocation_status"),
    )
    show_rows(rows_of(part), columns, output)


def waitlist(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show who is next in line for what; names are shown to those they concern."""
    part = connect(url).rows("/waitlist", limit=limit)
    columns = (
        text_column("call"),
        text_column("accelerator"),
        number_column("place", "rank"),
        made_column("team", lambda row: row["team"] or say("not_public")),
        code_column("group", "group"),
        number_column("gpus"),
        made_column("before", lambda row: say("gpus_before", **row)),
        made_column("since", lambda row: day(row["since_s"])),
        made_column("expected", lambda row: day(row["expected_s"])),
        made_column("between", _between),
        made_column("counts_on", _counts_on),
    )
    show_rows(rows_of(part), columns, output)


def _between(row: Row) -> str:
    if row["expected_early_s"] is None:
        return "-"
    return f"{day(row['expected_early_s'])} - {day(row['expected_late_s'])}"


def _counts_on(row: Row) -> str:
    return ", ".join(
        f"{code('waitlist_source', source)} {number(gpus)}"
        for source, gpus in row["counts_on"].items()
    )
