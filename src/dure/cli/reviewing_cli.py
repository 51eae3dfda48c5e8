"""Reviewers at the command line: the pool, who is asked, bids, conflicts, what one sees."""

from pathlib import Path
from typing import Annotated

import typer

from dure.cli.cells import code, made_column, moment, number, number_column, text_column
from dure.cli.options import LIMIT, URL, LimitOption, OutputOption, UrlOption, connect, rows_of
from dure.cli.output import Output, show_facts, show_rows, stop, words

CallArgument = Annotated[str, typer.Argument(metavar="CALL", help="Its number, like 2026-1.")]
ApplicationArgument = Annotated[
    str, typer.Argument(metavar="APPLICATION", help="Its number, like 2026-1-0003.")
]
DueOption = Annotated[
    str, typer.Option("--due", metavar="YYYY-MM-DD", help="The last day for marks; Korean time.")
]
LISTS = ("areas", "partners", "supervised", "suppliers")


def add_to(review: typer.Typer) -> None:
    """Add these commands to the group ``dure review``."""
    review.command("show")(show)
    review.command("bid")(bid)
    review.command("conflict")(conflict)
    review.command("reviewers")(reviewers)
    review.command("register")(register)
    review.command("assign")(assign)
    review.command("replace")(replace)


def show(
    application: ApplicationArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """Show an application that you were asked to review, with the size that it needs."""
    from dure.cli.client import path_of

    found = connect(url).get(path_of("reviews", application))
    facts = [
        ("application", found["application"]),
        ("title", found["title"]),
        ("stage", code("stage", found["stage"])),
        ("marks_due", moment(found["due_at_s"])),
        ("fields", ", ".join(_answered(name, one) for name, one in found["fields"].items())),
        ("sized", _sizes(found["sizing"])),
        ("marks", ", ".join(f"{code('criterion', one)} {points}"
                            for one, points in found["marks"].items())),
    ]  # fmt: skip
    show_facts(found, facts, output)


def _answered(field: str, answer: str) -> str:
    """Return a question of the form and its answer in words."""
    return f"{words(f'form.{field}', otherwise=field)} {code(f'choice.{field}', answer)}"


def _sizes(sizing: dict[str, list[dict[str, object]]] | None) -> str:
    rows = sizing["evidence"] if sizing else []
    return ", ".join(
        f"{one['accelerator']} {one['gpus']} ({one['gpus_low']} - {one['gpus_high']})"
        for one in rows
    )


def bid(
    application: ApplicationArgument,
    wish: Annotated[str, typer.Argument(metavar="BID", help="eager, willing, not or conflict.")],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say how gladly you would review an application."""
    from dure.cli.client import path_of

    done = connect(url).post(path_of("applications", application, "bids"), {"bid": wish})
    show_facts(done, [("application", application), ("bid", wish)], output)


def conflict(
    application: ApplicationArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What the conflict is.")],
    reviewer: Annotated[
        str, typer.Option("--reviewer", metavar="USER", help="Whose; the agency's to say.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Step back from an application, or uphold a challenge; somebody else is asked at once."""
    from dure.cli.client import path_of

    body = {"reason": reason, "reviewer": reviewer}
    done = connect(url).post(path_of("applications", application, "conflicts"), body)
    show_facts(done, [(name, done[name]) for name in ("application", "reviewer")], output)


def reviewers(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the pool of reviewers, with how many reviews each was asked for and gave."""
    part = connect(url).rows("/reviewers", limit=limit)
    columns = (
        text_column("reviewer"),
        text_column("organisation"),
        made_column("areas", lambda row: ", ".join(row["areas"])),
        number_column("asked"),
        number_column("given"),
    )
    show_rows(rows_of(part), columns, output)


def register(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.yaml", help="reviewer, organisation, areas: commas between."),
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put a reviewer into the pool, or renew what is known of them."""
    from dure.cli.programme_cli import read_answers

    given = read_answers(file)
    body: dict[str, object] = {name: given.pop(name, "") for name in ("reviewer", "organisation")}
    for name in LISTS:
        body[name] = [one.strip() for one in given.pop(name, "").split(",") if one.strip()]
    if given:
        raise stop("reviewer_field", code=2, file=file, found=min(given)[:80])
    done = connect(url).post("/reviewers", body)
    show_facts(done, [(name, done[name]) for name in ("reviewer", "organisation")], output)


def assign(
    call: CallArgument,
    stage: Annotated[
        str, typer.Option("--stage", metavar="STAGE", help="One of the call's stages.")
    ] = "written",
    due: DueOption = "",
    reviewer: Annotated[
        list[str] | None,
        typer.Option(
            "--reviewer",
            metavar="NAME=INSTITUTION",
            help="One of these, not of the pool.",
        ),
    ] = None,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask reviewers: no conflicts, even loads, the best fit of areas and bids."""
    from dure.cli.client import path_of

    named: dict[str, str] = {}
    for one in reviewer or ():
        name, equals, home = one.partition("=")
        if not (name and equals and home) or name in named:
            raise stop("reviewer", code=2, found=one[:80])
        named[name] = home
    body = {"stage": stage, "due_at_s": _due_at_s(due), "reviewers": named}
    done = connect(url).post(path_of("calls", call, "reviewers"), body)
    show_facts(done, [("call", call), ("reviews", number(done["reviews"]))], output)


def replace(
    call: CallArgument,
    due: DueOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask others in place of reviewers whose deadline is over."""
    from dure.cli.client import path_of

    body = {"due_at_s": _due_at_s(due)}
    done = connect(url).post(path_of("calls", call, "replacements"), body)
    show_facts(done, [("call", call), ("reviews", number(done["reviews"]))], output)


def _due_at_s(due: str) -> int:
    """Return the first second after a day, 0 for none."""
    from dure.core.calendar import DAY_S, moment_s

    if not due:
        return 0
    try:
        return moment_s(due) + DAY_S
    except ValueError:
        raise stop("due", code=2, found=due[:80]) from None
