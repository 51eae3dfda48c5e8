"""The committee at the command line: propose, move, compare, sign."""

from typing import Annotated, Any

import typer

from dure.cli.cells import code, code_column, number, number_column, text_column
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
from dure.cli.output import Output, Row, say, show_facts, show_rows, stop

CallArgument = Annotated[str, typer.Argument(metavar="CALL", help="Its number, like 2026-1.")]


def add_to(award: typer.Typer) -> None:
    """Add the committee's commands to the group ``dure award``."""
    award.command("draw")(draw)
    award.command("propose")(propose)
    award.command("move")(move)
    award.command("proposals")(proposals)
    award.command("compare")(compare)
    award.command("sign")(sign)


def draw(
    call: CallArgument,
    drawn: Annotated[
        str, typer.Option("--number", metavar="NUMBER", help="As somebody else published it.")
    ],
    source: Annotated[
        str, typer.Option("--source", metavar="TEXT", help="Where and when it was published.")
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Draw lots for those near the line from a published number."""
    from dure.cli.client import path_of

    body = {"number": drawn, "source": source}
    found = connect(url).post(path_of("calls", call, "lots"), body)
    columns = (text_column("application"), number_column("lot"))
    show_rows(found["lots"] if output is Output.TABLE else [found], columns, output)


def propose(
    call: CallArgument,
    key: KeyOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put the share-out of the call's own rule before the committee."""
    from dure.cli.client import new_key, path_of

    path = path_of("calls", call, "proposals")
    _show(connect(url).post(path, {}, key=key or new_key()), output)


def move(
    call: CallArgument,
    line: Annotated[
        str, typer.Option("--line", metavar="POINTS", help="The line; 0 for the call's own.")
    ] = "",
    pin: Annotated[
        list[str] | None,
        typer.Option("--pin", metavar="APPLICATION", help="Select it whatever its score."),
    ] = None,
    release: Annotated[
        list[str] | None,
        typer.Option("--release", metavar="APPLICATION", help="Pin it no longer."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="APPLICATION=REASON", help="Leave it out, and why."),
    ] = None,
    readmit: Annotated[
        list[str] | None,
        typer.Option("--readmit", metavar="APPLICATION", help="Leave it out no longer."),
    ] = None,
    key: KeyOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Propose anew with the line moved, applications pinned or excluded."""
    from dure.cli.client import new_key, path_of

    excluded = {}
    for one in exclude or ():
        name, parted, reason = one.partition("=")
        if not parted:
            raise stop("exclude", code=2, found=one[:80])
        excluded[name] = reason
    wish = {
        "line_milli": _line_milli(line),
        "pin": pin or [],
        "release": release or [],
        "exclude": excluded,
        "readmit": readmit or [],
    }
    service = connect(url)
    proposal = service.post(path_of("calls", call, "moves"), wish, key=key or new_key())
    _show(proposal, output)
    if output is Output.TABLE:
        path = path_of("calls", call, "proposals", str(proposal["number"]), "difference")
        typer.echo("")
        _show_difference(service.get(path), output)


def _line_milli(line: str) -> int | None:
    if not line:
        return None
    whole, _, part = line.partition(".")
    digits = whole.isascii() and whole.isdecimal() and len(whole) <= 3
    if not digits or (part and not (part.isascii() and part.isdecimal())) or len(part) > 3:
        raise stop("line", code=2, found=line[:80])
    return 1000 * int(whole) + int(part.ljust(3, "0") or 0)


def proposals(
    call: CallArgument,
    number: Annotated[
        int, typer.Option("--number", metavar="N", help="The awards of one of them.")
    ] = 0,
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what was put before the committee, or the awards of one proposal."""
    from dure.cli.client import path_of

    if number:
        part = connect(url).rows(path_of("calls", call, "proposals", str(number)), limit=limit)
        show_rows(rows_of(part), AWARD_COLUMNS, output)
        return
    part = connect(url).rows(path_of("calls", call, "proposals"), limit=limit)
    columns = (
        number_column("proposal", "number"),
        code_column("status", "proposal_status"),
        number_column("selected"),
        number_column("points", "value_points"),
        number_column("by_rank", "rank_points"),
        number_column("bound", "bound_points"),
    )
    show_rows(rows_of(part), columns, output)


AWARD_COLUMNS = (
    number_column("rank"),
    text_column("application"),
    text_column("team"),
    code_column("group", "group"),
    code_column("status", "application_status"),
    text_column("accelerator"),
    number_column("gpus_asked"),
    number_column("gpus"),
    number_column("from_month"),
)


def compare(
    call: CallArgument,
    before: Annotated[int, typer.Argument(metavar="BEFORE", help="A proposal's number.")],
    after: Annotated[int, typer.Argument(metavar="AFTER", help="A later one's.")],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Tell who comes in, who goes out and what is lost between two proposals."""
    from dure.cli.client import path_of

    path = path_of("calls", call, "proposals", str(after), "difference")
    _show_difference(connect(url).get(path, **{"from": before}), output)


def sign(
    call: CallArgument,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The last proposal's number.")],
    digest: Annotated[
        str, typer.Option("--digest", metavar="SHA256", help="The digest that was read.")
    ],
    names: Annotated[
        list[str], typer.Option("--name", metavar="NAME", help="A member who signs; repeat it.")
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Sign the minutes: every application of the call is decided by this proposal."""
    from dure.cli.client import path_of

    body = {"number": number, "digest": digest, "names": names}
    _show(connect(url).post(path_of("calls", call, "minutes"), body), output)


def _show(proposal: Row, output: Output) -> None:
    gpus = ", ".join(f"{kind} {number(size)}" for kind, size in proposal["gpus"].items())
    facts = [
        ("call", proposal["call"]),
        ("proposal", number(proposal["number"])),
        ("status", code("proposal_status", proposal["status"])),
        ("rule", code("share_rule", proposal["rule"])),
        ("line", _points(proposal["line_milli"])),
        ("pinned", ", ".join(proposal["pinned"])),
        ("excluded", ", ".join(f"{one} ({why})" for one, why in proposal["excluded"].items())),
        ("selected", number(proposal["selected"])),
        ("waiting", number(proposal["waitlisted"])),
        ("awarded", gpus),
        ("points", number(proposal["value_points"])),
        ("by_rank", say("more_than_rank", points=number(proposal["rank_points"]),
                        gain=_percent(proposal["gain_ppm"]))),
        ("bound", say("at_most_more", points=number(proposal["bound_points"]),
                      gap=_percent(proposal["gap_ppm"]))),
        ("signed_by", ", ".join(proposal["signed_by"])),
        ("digest", proposal["digest"]),
    ]  # fmt: skip
    show_facts(proposal, facts, output)


def _show_difference(found: dict[str, Any], output: Output) -> None:
    changes = (
        f"{one['application']} {number(one['gpus_before'])} -> {number(one['gpus_after'])}"
        for one in found["changes"]
    )
    facts = [
        ("comes_in", ", ".join(found["comes_in"]) or say("nobody")),
        ("goes_out", ", ".join(found["goes_out"]) or say("nobody")),
        ("resized", ", ".join(changes)),
        ("lost_points", number(found["lost_points"])),
    ]
    show_facts(found, facts, output)


def _points(score_milli: int) -> str:
    from dure.cli.output import lang
    from dure.reports import formats

    return formats.points(lang(), score_milli)


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:+.2f} %"
