"""What a team does with its allocation at the command line: giving back, answering recalls."""

from enum import StrEnum
from typing import Annotated

import typer

from dure.cli.cells import code, code_column, day, made_column, number_column, text_column
from dure.cli.options import LIMIT, URL, LimitOption, OutputOption, UrlOption, connect, rows_of
from dure.cli.output import Output, say, show_facts, show_rows

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]


class Answer(StrEnum):
    """What is said to a notice of recall."""

    ACCEPTED = "accepted"
    OBJECTED = "objected"


def add_to(allocation: typer.Typer) -> None:
    """Add these commands to the group ``dure allocation``."""
    allocation.command("return")(give_back)
    allocation.command("recalls")(recalls)
    allocation.command("answer")(answer)


def give_back(
    allocation: Annotated[str, typer.Argument(metavar="ALLOCATION", help="One of your own.")],
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="Whole servers, or all.")],
    reason: ReasonOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give GPUs of an allocation back; the next in line has them at once."""
    from dure.cli.client import path_of

    path = path_of("allocations", allocation, "returns")
    done = connect(url).post(path, {"gpus": gpus, "cause": reason})
    if output is Output.TABLE:
        typer.echo(say("returned", **done))
    else:
        show_facts(done, (), output)


def recalls(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the recalls of your projects; the agency and the audit see all."""
    part = connect(url).rows("/recalls", limit=limit)
    columns = (
        text_column("recall"),
        text_column("allocation"),
        text_column("accelerator"),
        number_column("gpus"),
        made_column("from", lambda row: day(row["noticed_at_s"])),
        made_column("due", lambda row: day(row["effective_at_s"])),
        code_column("status", "recall_status"),
    )
    show_rows(rows_of(part), columns, output)


def answer(
    recall: Annotated[str, typer.Argument(metavar="RECALL", help="As its notice names it.")],
    said: Annotated[Answer, typer.Argument(metavar="accepted|objected", help="What you say.")],
    reason: ReasonOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Accept a recall, which then comes at once, or object: then the agency decides."""
    from dure.cli.client import path_of

    path = path_of("recalls", recall, "answer")
    done = connect(url).post(path, {"answer": said.value, "text": reason})
    if output is Output.TABLE:
        typer.echo(f"{recall}: {code('recall_status', done['status'])}")
    else:
        show_facts(done, (), output)
