"""Drafts with their files, and requests, at the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dure.cli.call_cli import ApplicationArgument, CallArgument, CauseOption
from dure.cli.cells import (
    code,
    code_column,
    made_column,
    moment_column,
    number,
    number_column,
    text_column,
)
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
from dure.cli.output import Output, say, show_facts, show_rows, stop, words

DraftArgument = Annotated[str, typer.Argument(metavar="DRAFT", help="Its number, like d-00001.")]
AnswersArgument = Annotated[
    Path, typer.Argument(metavar="FILE.yaml", help="A line a field: `gpus: 32`.")
]
KINDS = ("renewal", "extension", "supplement", "transfer", "advance", "appeal")


def register_drafts(draft: typer.Typer) -> None:
    """Add the commands of the group ``draft``."""
    draft.command("list")(draft_list)
    draft.command("show")(draft_show)
    draft.command("save")(draft_save)
    draft.command("begin")(draft_begin)
    draft.command("attach")(draft_attach)
    draft.command("check")(draft_check)
    draft.command("submit")(draft_submit)
    draft.command("discard")(draft_discard)


def register_requests(request: typer.Typer) -> None:
    """Add the commands of the group ``request``."""
    request.command("list")(request_list)
    request.command("file")(request_file)
    request.command("decide")(request_decide)


def register_files(application: typer.Typer) -> None:
    """Add the commands of the group ``application`` that concern its files."""
    application.command("files")(application_files)
    application.command("download")(application_download)


def draft_list(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """List your drafts that are not handed in."""
    columns = (
        text_column("draft"),
        text_column("call"),
        text_column("title"),
        number_column("version"),
        moment_column("since", "saved_at_s"),
        number_column("attachments", "file_count"),
    )
    rows = [
        {**row, "file_count": len(row["attachments"])} for row in connect(url).rows("/drafts").rows
    ]
    show_rows(rows, columns, output)


def draft_show(
    draft: DraftArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show what a draft says, and its files."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("drafts", draft))
    facts = [("draft", found["draft"]), ("call", found["call"])]
    show_facts(found, [*facts, ("version", number(found["version"]))], output)
    if output is Output.TABLE:
        for name, answer in found["fields"].items():
            typer.echo(f"{name}: {answer}")
        _show_files(found["attachments"], output)


def _show_files(files: list[dict[str, Any]], output: Output) -> None:
    columns = (
        text_column("title", "name"),
        text_column("kind_of_file", "kind"),
        number_column("bytes", "size_bytes"),
        text_column("attachment"),
    )
    if files or output is not Output.TABLE:
        show_rows(files, columns, output)


def draft_save(
    call: CallArgument,
    file: AnswersArgument,
    draft: Annotated[
        str, typer.Option("--draft", metavar="DRAFT", help="The next version of this one.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep an application that is not handed in yet, right or wrong."""
    from dure.cli.client import new_key, path_of
    from dure.cli.programme_cli import read_answers

    body = {"answers": read_answers(file), "draft": draft}
    kept = connect(url).post(path_of("calls", call, "drafts"), body, key=new_key())
    _told(kept, output)


def draft_begin(
    application: ApplicationArgument,
    call: Annotated[
        str, typer.Option("--call", metavar="CALL", help="Apply to this call; else change it.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Begin a draft from an earlier application: to change it, or to apply to another call."""
    from dure.cli.client import new_key, path_of

    path = path_of("applications", application, "drafts")
    _told(connect(url).post(path, {"call": call}, key=new_key()), output)


def draft_attach(
    draft: DraftArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="pdf, hwp, hwpx, docx, xlsx ...")],
    field: Annotated[
        str, typer.Option("--field", metavar="FIELD", help="The question that it answers.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add a file to a draft; what it is, its content tells."""
    from dure.cli.client import path_of

    try:
        content = file.read_bytes()
    except OSError as wrong:
        why = wrong.strerror or str(wrong)
        raise stop("cannot_read", code=2, file=file, why=why) from None
    path = path_of("drafts", draft, "attachments")
    _told(connect(url).upload(path, content, name=file.name, field=field), output)


def draft_check(
    draft: DraftArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Tell what would be refused if the draft were handed in now."""
    from dure.cli.client import path_of

    problems = connect(url).get(path_of("drafts", draft, "problems"))
    if not problems and output is Output.TABLE:
        typer.echo(say("draft_is_good"))
        return
    columns = (
        text_column("field"),
        made_column(
            "why",
            lambda row: words(f"problem.{row['code']}", otherwise=row["code"], **row["numbers"]),
        ),
    )
    show_rows(problems, columns, output)


def draft_submit(
    draft: DraftArgument,
    key: KeyOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Hand a draft in; where it is refused it stays as it was."""
    from dure.cli.client import new_key, path_of

    path = path_of("drafts", draft, "submission")
    taken = connect(url).post(path, {}, key=key or new_key())
    if output is Output.TABLE:
        typer.echo(taken["application"])
    else:
        show_facts(taken, (), output)


def draft_discard(
    draft: DraftArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Throw a draft away."""
    from dure.cli.client import path_of

    _told(connect(url).post(path_of("drafts", draft, "discard"), {}), output)


def _told(kept: dict[str, Any], output: Output) -> None:
    if output is Output.TABLE:
        status = code("written_status", kept["status"])
        typer.echo(say("draft_kept", draft=kept["draft"], version=kept["version"], status=status))
    else:
        show_facts(kept, (), output)


def application_files(
    application: ApplicationArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the files that came with an application."""
    from dure.cli.client import path_of

    path = path_of("applications", application, "attachments")
    _show_files(connect(url).rows(path).rows, output)


def application_download(
    application: ApplicationArgument,
    attachment: Annotated[str, typer.Argument(metavar="ATTACHMENT", help="As `files` lists it.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; must not exist.")],
    url: UrlOption = URL,
) -> None:
    """Save a file of an application."""
    from dure.cli.client import path_of

    path = path_of("applications", application, "attachments", attachment)
    content = connect(url).get_file(path)
    try:
        with file.open("xb") as stream:
            stream.write(content)
    except OSError as wrong:
        why = wrong.strerror or str(wrong)
        raise stop("cannot_write", code=2, file=file, why=why) from None
    typer.echo(say("report_written", file=file, size=len(content)))


def request_list(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the requests of your projects; the agency and the audit see all."""
    part = connect(url).rows("/requests", limit=limit)
    columns = (
        text_column("request"),
        code_column("what", "request_kind", "kind"),
        text_column("application"),
        number_column("gpus"),
        number_column("months_more", "months"),
        text_column("why", "cause"),
        moment_column("submitted", "filed_at_s"),
        code_column("status", "request_status"),
        text_column("answer"),
    )
    show_rows(rows_of(part), columns, output)


def request_file(
    application: ApplicationArgument,
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="What is asked for.")],
    cause: CauseOption,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="More GPUs: supplement.")] = 0,
    months: Annotated[
        int, typer.Option("--months", min=0, help="More months: renewal, extension.")
    ] = 0,
    to_project: Annotated[
        str, typer.Option("--to", metavar="PROJECT", help="Who gets the rest: transfer.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask for something about an award, or against a decision."""
    from dure.cli.client import new_key, path_of

    if kind not in KINDS:
        raise stop("request_kind", code=2, found=kind[:80], expected=", ".join(KINDS))
    body = {"kind": kind, "cause": cause, "gpus": gpus, "months": months, "to_project": to_project}
    path = path_of("applications", application, "requests")
    _filed(connect(url).post(path, body, key=new_key()), output)


def request_decide(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="Its number, like q-00001.")],
    answer: Annotated[str, typer.Argument(metavar="grant|refuse", help="What you decided.")],
    cause: CauseOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Grant or refuse a request; what it changes is done at once."""
    from dure.cli.client import path_of

    if answer not in ("grant", "refuse"):
        raise stop("grant_or_refuse", code=2, found=answer[:80])
    body = {"grants": answer == "grant", "cause": cause}
    _filed(connect(url).post(path_of("requests", request, "decision"), body), output)


def _filed(row: dict[str, Any], output: Output) -> None:
    if output is Output.TABLE:
        kind, status = code("request_kind", row["kind"]), code("request_status", row["status"])
        typer.echo(say("request_kept", request=row["request"], kind=kind, status=status))
    else:
        show_facts(row, (), output)
