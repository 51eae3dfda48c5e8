"""Supply at the command line, up to the agreement: failed calls, rank, negotiations."""

from typing import Annotated, Any

import typer

from dure.cli.cells import code, code_column, made_column, moment_column, number_column, text_column
from dure.cli.options import LIMIT, URL, LimitOption, OutputOption, UrlOption, connect, rows_of
from dure.cli.output import Column, Output, Row, show_facts, show_rows, stop

CallArgument = Annotated[str, typer.Argument(metavar="CALL", help="Like procurement-2025.")]
NegotiationArgument = Annotated[str, typer.Argument(metavar="NEGOTIATION", help="Like n-0001.")]
CauseOption = Annotated[str, typer.Option("--cause", metavar="TEXT", help="The reason.")]
CALLS, NEGOTIATIONS = "/supply/calls", "/supply/negotiations"
AGREEMENTS, DELIVERIES = "/supply/agreements", "/supply/deliveries"
CLAIMS, TRANSFERS = "/supply/claims", "/supply/transfers"
# What a row of a listing is called by.
KEYS = {
    CALLS: "call",
    NEGOTIATIONS: "negotiation",
    AGREEMENTS: "agreement",
    DELIVERIES: "delivery",
    CLAIMS: "claim",
    TRANSFERS: "transfer",
}
DATE_HELP = "YYYY-MM-DD or 'YYYY-MM-DD HH:MM', Korean time."


def add_to(supply: typer.Typer) -> None:
    """Add these commands to the group ``dure supply``."""
    supply.command("list")(supply_list)
    supply.command("rank")(rank)
    supply.command("fail")(fail)
    supply.command("repeat")(repeat)
    supply.command("negotiations")(negotiations)
    supply.command("negotiate")(negotiate)
    supply.command("offer")(offer)
    supply.command("break")(break_off)
    supply.command("agree")(agree)
    supply.command("agreements")(agreements)
    supply.command("agreement")(agreement)


def won(title: str, field: str) -> Column:
    """Return a column of an amount, to the won."""
    return Column(title, lambda row: won_of(row[field]), is_number=True)


def won_of(krw: int) -> str:
    from dure.cli.output import lang
    from dure.reports import formats

    return formats.won(lang(), krw) if krw else "-"


def at_s(text: str, option: str) -> int:
    """Read a moment of Korean time; 0 for none."""
    from dure.core.calendar import moment_s
    from dure.core.errors import InputError

    if not text:
        return 0
    try:
        return moment_s(text)
    except (InputError, ValueError):
        raise stop("moment", code=2, option=option, found=text[:80]) from None


def show_one(
    service: Any, path: str, name: str, columns: tuple[Column, ...], output: Output
) -> None:
    """Show what came of a command: the row of this number."""
    key = KEYS[path]
    rows = [row for row in service.rows(path, limit=0).rows if row[key] == name]
    show_rows(rows, columns, output)


CALL_COLUMNS = (
    text_column("call"),
    made_column("name", lambda row: _name(row)),
    code_column("status", "supply_status"),
    moment_column("closes", "closes_at_s"),
    number_column("bidders"),
    number_column("failures"),
    code_column("then", "supply_then"),
    made_column("repeats", lambda row: row["repeats"] or "-"),
    made_column("repeated_as", lambda row: row["repeated_as"] or "-"),
)


def _name(row: Row) -> str:
    from dure.cli.cells import name_of

    return name_of(row["name"])


def supply_list(url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """List the calls that ask providers for GPUs, with their bidders and failures."""
    show_rows(connect(url).rows(CALLS, limit=0).rows, CALL_COLUMNS, output)


BID_COLUMNS = (
    number_column("rank"),
    text_column("application"),
    text_column("organisation"),
    text_column("accelerator"),
    number_column("gpus_asked"),
    won("price", "price_krw"),
    made_column("score", lambda row: f"{row['score_milli'] / 1000:.3f}"),
    code_column("status", "application_status"),
    number_column("gpus"),
    won("awarded_krw", "awarded_krw"),
)
FORMULA_COLUMNS = (
    text_column("application"),
    made_column("criterion", _name),
    number_column("part", "percent"),
    number_column("points_of", "points"),
    text_column("formula"),
)


def rank(
    call: CallArgument,
    portions: Annotated[
        str,
        typer.Option("--portions", metavar="P,P,..", help="What these parts by place would give."),
    ] = "",
    formulas: Annotated[
        bool, typer.Option("--formulas", help="The computed marks, each with its formula.")
    ] = False,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the proposals in rank, as the call's rule awards; nothing is decided by looking."""
    from dure.cli.client import path_of

    rows = connect(url).rows(f"{CALLS}{path_of(call, 'bids')}", limit=0, portions=portions).rows
    if not formulas:
        show_rows(rows, BID_COLUMNS, output)
        return
    marks = [{"application": row["application"], **one} for row in rows for one in row["measures"]]
    show_rows(marks, FORMULA_COLUMNS, output)


def fail(call: CallArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """Say that a call failed for want of bidders; its rule says what may follow."""
    from dure.cli.client import path_of

    service = connect(url)
    done = service.post(f"{CALLS}{path_of(call, 'failure')}", {})
    show_one(service, CALLS, done["done"], CALL_COLUMNS, output)


def repeat(
    call: CallArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The number of the new call.")],
    opens: Annotated[str, typer.Option("--opens", metavar="MOMENT", help=DATE_HELP)],
    closes: Annotated[str, typer.Option("--closes", metavar="MOMENT", help=DATE_HELP)],
    starts: Annotated[
        str, typer.Option("--starts", metavar="MOMENT", help="Else it moves with the closing.")
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Draft a failed call again with other dates, linked to it; then publish it."""
    from dure.cli.client import new_key, path_of

    body = {
        "call": new,
        "opens_at_s": at_s(opens, "--opens"),
        "closes_at_s": at_s(closes, "--closes"),
        "starts_at_s": at_s(starts, "--starts"),
    }
    service = connect(url)
    service.post(f"{CALLS}{path_of(call, 'repeats')}", body, key=new_key())
    show_one(service, CALLS, call, CALL_COLUMNS, output)


NEGOTIATION_COLUMNS = (
    text_column("negotiation"),
    text_column("call"),
    made_column("application", lambda row: row["application"] or code("supply_way", "direct")),
    text_column("organisation"),
    text_column("provider"),
    won("limit", "limit_krw"),
    code_column("status", "negotiation_status"),
    made_column("offers", lambda row: str(len(row["offers"]))),
)
OFFER_COLUMNS = (
    number_column("offer", "number"),
    code_column("side", "supply_side"),
    text_column("accelerator"),
    number_column("gpus"),
    won("price", "price_krw"),
    number_column("months_agreed", "months"),
    made_column("public", lambda row: f"{row['public_percent']} %"),
    code_column("title_to", "supply_title", "title"),
    text_column("note"),
    text_column("digest"),
)


def negotiations(
    negotiation: Annotated[
        str, typer.Option("--of", metavar="NEGOTIATION", help="The offers of one of them.")
    ] = "",
    limit: LimitOption = LIMIT,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the negotiations, or the offers of one of them."""
    service = connect(url)
    if not negotiation:
        show_rows(rows_of(service.rows(NEGOTIATIONS, limit=limit)), NEGOTIATION_COLUMNS, output)
        return
    _show_offers(service, negotiation, output)


def _show_offers(service: Any, negotiation: str, output: Output) -> None:
    rows = service.rows(NEGOTIATIONS, limit=0).rows
    offers = [one for row in rows if row["negotiation"] == negotiation for one in row["offers"]]
    show_rows(offers, OFFER_COLUMNS, output)


def negotiate(
    provider: Annotated[
        str, typer.Option("--provider", metavar="PROVIDER", help="As the pool names it.")
    ],
    application: Annotated[
        str,
        typer.Option(
            "--application", metavar="APPLICATION", help="Of a proposal that was selected."
        ),
    ] = "",
    call: Annotated[
        str,
        typer.Option(
            "--call", metavar="CALL", help="Or directly: a call that failed often enough."
        ),
    ] = "",
    organisation: Annotated[
        str,
        typer.Option(
            "--organisation", metavar="NAME", help="With --call: the provider's full name."
        ),
    ] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Open a negotiation: of an award, or with one provider directly after failed calls."""
    from dure.cli.client import new_key

    body = {
        "provider": provider,
        "application": application,
        "call": call,
        "organisation": organisation,
    }
    service = connect(url)
    done = service.post(NEGOTIATIONS, body, key=new_key())
    show_one(service, NEGOTIATIONS, done["done"], NEGOTIATION_COLUMNS, output)


def offer(
    negotiation: NegotiationArgument,
    accelerator: Annotated[str, typer.Option("--accelerator", metavar="TYPE", help="Its type.")],
    gpus: Annotated[int, typer.Option("--gpus", metavar="N", help="Whole servers.")],
    price: Annotated[int, typer.Option("--price", metavar="WON", help="Of everything.")],
    months: Annotated[int, typer.Option("--months", metavar="N", help="The term.")],
    public: Annotated[int, typer.Option("--public", metavar="PERCENT", help="For public use.")],
    title: Annotated[
        str, typer.Option("--title", metavar="agency|provider", help="Who owns it.")
    ] = "agency",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What goes with it.")] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Offer terms to the other side of a negotiation."""
    from dure.cli.client import new_key, path_of

    body = {
        "accelerator": accelerator,
        "gpus": gpus,
        "price_krw": price,
        "months": months,
        "public_percent": public,
        "title": title,
        "note": note,
    }
    service = connect(url)
    path = f"{NEGOTIATIONS}{path_of(negotiation, 'offers')}"
    service.post(path, body, key=new_key())
    _show_offers(service, negotiation, output)


def break_off(
    negotiation: NegotiationArgument,
    cause: CauseOption,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a negotiation without an agreement; the next in rank may be asked."""
    from dure.cli.client import path_of

    service = connect(url)
    service.post(f"{NEGOTIATIONS}{path_of(negotiation, 'end')}", {"cause": cause})
    show_one(service, NEGOTIATIONS, negotiation, NEGOTIATION_COLUMNS, output)


AGREEMENT_COLUMNS = (
    text_column("agreement"),
    text_column("organisation"),
    text_column("provider"),
    text_column("accelerator"),
    number_column("gpus"),
    number_column("public_gpus"),
    won("price", "price_krw"),
    number_column("months_agreed", "months"),
    code_column("title_to", "supply_title", "title"),
    number_column("delivered", "delivered_gpus"),
    number_column("accepted", "accepted_gpus"),
    won("paid", "paid_krw"),
    made_column("signed_by", lambda row: ", ".join(row["signed_by"])),
)


def agree(
    negotiation: NegotiationArgument,
    digest: Annotated[
        str, typer.Option("--digest", metavar="SHA256", help="Of the offer that was read.")
    ],
    names: Annotated[
        list[str], typer.Option("--name", metavar="NAME", help="Who signs, both sides; repeat it.")
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Accept the other side's last offer: the agreement is signed."""
    from dure.cli.client import path_of

    service = connect(url)
    path = f"{NEGOTIATIONS}{path_of(negotiation, 'agreement')}"
    done = service.post(path, {"digest": digest, "names": names})
    show_one(service, AGREEMENTS, done["done"], AGREEMENT_COLUMNS, output)


def agreements(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the agreements with what was delivered, accepted and paid."""
    part = connect(url).rows(AGREEMENTS, limit=limit)
    show_rows(rows_of(part), AGREEMENT_COLUMNS, output)


def agreement(
    name: Annotated[str, typer.Argument(metavar="AGREEMENT", help="Like s-0001.")],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print an agreement as people sign it: title, right of use, price, payment, faults."""
    from dure.cli.cells import name_of
    from dure.cli.client import path_of

    found = connect(url).get(f"{AGREEMENTS}{path_of(name, 'text')}")
    if output is Output.TABLE:
        typer.echo(name_of(found["text"]), nl=False)
    else:
        show_facts(found, (), output)
