"""Calls at the command line: their files, their stages, their decision."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli.cells import (
    code,
    code_column,
    made_column,
    moment,
    moment_column,
    name_of,
    number_column,
    text_column,
)
from dure.cli.options import LIMIT, URL, LimitOption, OutputOption, UrlOption, connect, rows_of
from dure.cli.output import Output, Row, say, show_facts, show_rows, stop, words

CallArgument = Annotated[str, typer.Argument(metavar="CALL", help="Its number, like 2026-1.")]
StageArgument = Annotated[str, typer.Argument(metavar="STAGE", help="Its name within the call.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.yaml", help="A call, docs/calls.md.")]
ApplicationArgument = Annotated[
    str, typer.Argument(metavar="APPLICATION", help="Its number, like 2026-1-0003.")
]
CauseOption = Annotated[str, typer.Option("--cause", metavar="TEXT", help="The reason.")]


def register_calls(call: typer.Typer) -> None:
    """Add the commands of the group ``call`` that the office uses."""
    call.command("validate")(call_validate)
    call.command("drafts")(call_drafts)
    call.command("import")(call_import)
    call.command("export")(call_export)
    call.command("copy")(call_copy)
    call.command("publish")(call_publish)
    call.command("board")(call_board)
    call.command("close")(call_close)
    call.command("decide")(call_decide)


def register_stages(application: typer.Typer) -> None:
    """Add the commands of the group ``application`` that concern its stages."""
    application.command("stages")(application_stages)
    application.command("tick")(application_tick)
    application.command("vote")(application_vote)
    application.command("conclude")(application_conclude)
    application.command("withdraw")(application_withdraw)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as wrong:
        why = wrong.strerror or str(wrong)
        raise stop("cannot_read", code=2, file=file, why=why) from None
    except UnicodeDecodeError:
        raise stop("not_yaml", code=2, file=file, why="bytes that are not UTF-8") from None


def call_validate(file: FileArgument) -> None:
    """Tell every mistake of a call's file, by line; nothing is sent anywhere."""
    from dure.core.errors import InputError
    from dure.services.requests.call_yaml import Mistake, read_call

    try:
        found = read_call(_text_of(file), str(file))
    except InputError as wrong:
        raise stop("call_mistakes", code=2, said=str(wrong)) from None
    if not isinstance(found, tuple):
        typer.echo(say("call_is_good", call=found.call, stages=len(found.stages)))
        return

    def told(one: Mistake) -> str:
        where = f"{file}, line {one.line}" if one.line else str(file)
        said = one.said
        if one.problem is not None:
            key = f"problem.{one.problem.refusal.value}"
            said = words(key, otherwise=key, **one.problem.numbers)
        return f"{where}, {one.field}: {said}"

    for one in found[:-1]:
        typer.echo(told(one), err=True)
    raise stop("call_mistakes", code=2, said=told(found[-1]))


def call_drafts(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """List the calls that the office keeps, published or not."""
    columns = (
        text_column("call"),
        made_column("name", lambda row: name_of(row["name"])),
        made_column("asks", lambda row: say(f"asks_{row['asks']}")),
        number_column("version"),
        code_column("status", "draft_status"),
        text_column("source"),
        moment_column("since", "at_s"),
    )
    show_rows(connect(url).rows("/call-drafts").rows, columns, output)


def call_import(
    file: FileArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Keep a call's file as a draft; another of the same number becomes its next version."""
    from dure.cli.client import new_key

    kept = connect(url).post("/call-drafts", {"text": _text_of(file)}, key=new_key())
    _show_draft(kept, output)


def call_export(
    call: CallArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to; else it is printed.")
    ] = None,
    url: UrlOption = URL,
) -> None:
    """Write a call as its file; reading that gives the same call."""
    from dure.cli.client import path_of

    text = connect(url).get_file(path_of("calls", call, "file"))
    if out is None:
        typer.echo(text.decode(), nl=False)
        return
    try:
        out.write_bytes(text)
    except OSError as wrong:
        why = wrong.strerror or str(wrong)
        raise stop("cannot_write", code=2, file=out, why=why) from None
    typer.echo(say("report_written", file=out, size=len(text)))


def call_copy(
    call: CallArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The number of the new call.")],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Draft a call with the rules of another, to change its dates and publish it."""
    from dure.cli.client import new_key, path_of

    kept = connect(url).post(path_of("calls", call, "copies"), {"call": new}, key=new_key())
    _show_draft(kept, output)


def call_publish(
    call: CallArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Announce the newest draft of a call; it opens by its own dates."""
    from dure.cli.client import path_of

    _show_draft(connect(url).post(path_of("calls", call, "publication"), {}), output)


def _show_draft(kept: dict[str, Any], output: Output) -> None:
    if output is Output.TABLE:
        status = code("draft_status", kept["status"])
        typer.echo(say("call_kept", call=kept["call"], version=kept["version"], status=status))
    else:
        show_facts(kept, (), output)


def call_board(
    call: CallArgument,
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show where every application of a call is, and what its stages lack."""
    from dure.cli.client import path_of

    part = connect(url).rows(path_of("calls", call, "board"), limit=limit)
    columns = (
        text_column("application"),
        text_column("title"),
        text_column("team"),
        code_column("status", "application_status"),
        made_column("stage", lambda row: ", ".join(_names(row, "open"))),
        made_column("lacks", lambda row: "; ".join(_lacks(one) for one in _in(row, "open"))),
        made_column("passed", lambda row: ", ".join(_names(row, "passed"))),
    )
    show_rows(rows_of(part), columns, output)


def _in(row: Row, state: str) -> list[dict[str, Any]]:
    return [one for one in row["stages"] if one["state"] == state]


def _names(row: Row, state: str) -> list[str]:
    return [stage_name(one) for one in _in(row, state)]


def stage_name(stage: Row) -> str:
    """Return a stage's own name, or the word for its kind."""
    return name_of(stage["name"]) if stage["name"] else code("stage", stage["kind"])


def _lacks(stage: Row) -> str:
    return ", ".join(
        words(f"stage_need.{need}", otherwise=need, count=count)
        for need, count in stage["missing"].items()
    )


def call_close(
    call: CallArgument,
    stage: StageArgument,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare the applications in a stage, and let on whom its rule passes."""
    _count(url, ("calls", call, "stages", stage, "closing"), {}, "stage_closed", output)


def call_decide(
    call: CallArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Decide on a call by its rules; of one open all year, on those who are ready."""
    _count(url, ("calls", call, "decision"), {}, "call_decided", output)


def _count(url: str, path: tuple[str, ...], body: dict[str, Any], key: str, output: Output) -> None:
    from dure.cli.client import path_of

    done = connect(url).post(path_of(*path), body)
    if output is Output.TABLE:
        typer.echo(say(key, count=done["count"]))
    else:
        show_facts(done, (), output)


def application_stages(
    application: ApplicationArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show an application's way through the stages of its call."""
    from dure.cli.client import path_of

    _show_way(connect(url).get(path_of("applications", application, "stages")), output)


def application_tick(
    application: ApplicationArgument,
    stage: StageArgument,
    items: Annotated[list[str], typer.Option("--item", metavar="ITEM", help="In order.")] = [],  # noqa: B006
    wrong: Annotated[list[str], typer.Option("--not", metavar="ITEM", help="Not so.")] = [],  # noqa: B006
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="What the applicant should mend.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Go through a stage's checklist; with every item in order the stage is passed."""
    ticked = dict.fromkeys(items, True) | dict.fromkeys(wrong, False)
    body = {"items": ticked, "note": note}
    _act(url, application, stage, "checklist", body, output)


def application_vote(
    application: ApplicationArgument,
    stage: StageArgument,
    vote: Annotated[str, typer.Argument(metavar="yes|no", help="Whether you recognise it.")],
    cause: CauseOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Recognise an application, or not, as a member of the committee; a vote is cast once."""
    if vote not in ("yes", "no"):
        raise stop("yes_or_no", code=2, found=vote[:80])
    body = {"recognises": vote == "yes", "cause": cause}
    _act(url, application, stage, "votes", body, output)


def application_conclude(
    application: ApplicationArgument,
    stage: StageArgument,
    outcome: Annotated[str, typer.Argument(metavar="passed|failed", help="What you decided.")],
    cause: CauseOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say that an application passed or failed a stage that you answer for."""
    if outcome not in ("passed", "failed"):
        raise stop("passed_or_failed", code=2, found=outcome[:80])
    body = {"outcome": outcome, "cause": cause}
    _act(url, application, stage, "conclusion", body, output)


def application_withdraw(
    application: ApplicationArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Take an application back; possible until its call is decided."""
    from dure.cli.client import path_of

    _show_way(connect(url).post(path_of("applications", application, "withdrawal"), {}), output)


def _act(
    url: str, application: str, stage: str, what: str, body: dict[str, Any], output: Output
) -> None:
    from dure.cli.client import path_of

    path = path_of("applications", application, "stages", stage, what)
    _show_way(connect(url).post(path, body), output)


def _show_way(row: dict[str, Any], output: Output) -> None:
    if output is not Output.TABLE:
        show_facts(row, (), output)
        return
    columns = (
        made_column("stage", stage_name),
        made_column("who", lambda one: code("stage_role", one["role"])),
        code_column("state", "stage_state"),
        made_column("lacks", _lacks),
        made_column("deadline", lambda one: moment(one["due_at_s"])),
        text_column("why", "cause"),
    )
    typer.echo(f"{row['application']}  {code('application_status', row['status'])}")
    show_rows(row["stages"], columns, output)
