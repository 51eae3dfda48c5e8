"""Supply at the command line, after the agreement: deliveries, money, service, transfers."""

from collections.abc import Mapping
from typing import Annotated

import typer

from dure.cli import supply_cli
from dure.cli.cells import code_column, made_column, moment_column, number_column, text_column
from dure.cli.options import LIMIT, URL, LimitOption, OutputOption, UrlOption, connect, rows_of
from dure.cli.output import Output, Row, show_rows, stop, words
from dure.cli.supply_cli import CLAIMS, DELIVERIES, TRANSFERS, CauseOption, at_s, show_one, won

AgreementArgument = Annotated[str, typer.Argument(metavar="AGREEMENT", help="Like s-0001.")]
DeliveryArgument = Annotated[str, typer.Argument(metavar="DELIVERY", help="Like v-0001.")]
ClaimArgument = Annotated[str, typer.Argument(metavar="CLAIM", help="Like c-0001.")]
MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.")]
NodesOption = Annotated[
    list[str] | None,
    typer.Option("--node", metavar="NODE", help="Or a range, b200-0001..0255; repeat it."),
]
EvidenceOption = Annotated[
    str, typer.Option("--evidence", metavar="TEXT", help="The protocol's or file's number.")
]


def add_to(supply: typer.Typer) -> None:
    """Add all commands of the group ``dure supply``."""
    supply_cli.add_to(supply)
    supply.command("deliver")(deliver)
    supply.command("deliveries")(deliveries)
    supply.command("inspect")(inspect)
    supply.command("test")(test)
    supply.command("accept")(accept)
    supply.command("claim")(claim)
    supply.command("claims")(claims)
    supply.command("approve")(approve)
    supply.command("pay")(pay)
    supply.command("settle")(settle)
    supply.command("report")(report)
    supply.command("service")(service_months)
    supply.command("move")(move)
    supply.command("step")(step)
    supply.command("transfers")(transfers)


def _lacks(row: Row) -> str:
    return ", ".join(
        f"{words(f'supply_lack.{one}', otherwise=one)} {count}"
        for one, count in row["lacks"].items()
    )


DELIVERY_COLUMNS = (
    text_column("delivery"),
    made_column("for", lambda row: row["agreement"] or row["transfer"]),
    text_column("provider"),
    text_column("site"),
    made_column("nodes", lambda row: str(len(row["nodes"]))),
    number_column("gpus"),
    made_column("accepted", lambda row: str(len(row["accepted"]))),
    made_column("lacks", _lacks),
)


def deliver(
    agreement: AgreementArgument,
    site: Annotated[str, typer.Option("--site", metavar="SITE", help="Where they stand.")],
    nodes: NodesOption,
    node_gpus: Annotated[
        int, typer.Option("--node-gpus", metavar="N", help="GPUs of each node.")
    ] = 8,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say which nodes were delivered; they take no work before they are accepted."""
    from dure.cli.client import new_key, path_of

    service = connect(url)
    body = {"site": site, "nodes": nodes or [], "node_gpus": node_gpus}
    path = f"/supply/agreements{path_of(agreement, 'deliveries')}"
    done = service.post(path, body, key=new_key())
    show_one(service, DELIVERIES, done["done"], DELIVERY_COLUMNS, output)


def deliveries(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the deliveries and what keeps nodes out of the pool."""
    part = connect(url).rows(DELIVERIES, limit=limit)
    show_rows(rows_of(part), DELIVERY_COLUMNS, output)


def inspect(
    delivery: DeliveryArgument,
    evidence: EvidenceOption,
    items: Annotated[list[str], typer.Option("--item", metavar="ITEM", help="In order.")] = [],  # noqa: B006
    wrong: Annotated[list[str], typer.Option("--not", metavar="ITEM", help="Not so.")] = [],  # noqa: B006
    nodes: NodesOption = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What to mend.")] = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Go through the call's inspection; of every node not accepted yet, or of those named."""
    looked = dict.fromkeys(items, True) | dict.fromkeys(wrong, False)
    body = {"items": looked, "evidence": evidence, "nodes": nodes or [], "note": note}
    _delivered(url, delivery, "inspections", body, output)


def test(
    delivery: DeliveryArgument,
    evidence: EvidenceOption,
    results: Annotated[
        list[str], typer.Option("--result", metavar="TEST=N", help="A figure; repeat it.")
    ],
    nodes: NodesOption = None,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Note figures of the acceptance tests, good or bad."""
    figures = {}
    for one in results:
        name, _, figure = one.partition("=")
        if not (figure.isascii() and figure.isdecimal()) or len(figure) > 15:
            raise stop("result", code=2, found=one[:80])
        figures[name] = int(figure)
    body = {"results": figures, "evidence": evidence, "nodes": nodes or []}
    _delivered(url, delivery, "tests", body, output)


def accept(
    delivery: DeliveryArgument,
    nodes: NodesOption = None,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let nodes into the pool that passed everything: those named, or all that did."""
    _delivered(url, delivery, "acceptance", {"nodes": nodes or []}, output)


def _delivered(
    url: str, delivery: str, what: str, body: Mapping[str, object], output: Output
) -> None:
    from dure.cli.client import path_of

    service = connect(url)
    service.post(f"{DELIVERIES}{path_of(delivery, what)}", body)
    show_one(service, DELIVERIES, delivery, DELIVERY_COLUMNS, output)


CLAIM_COLUMNS = (
    text_column("claim"),
    text_column("agreement"),
    text_column("instalment"),
    made_column("fiscal_year", lambda row: str(row["year"])),
    won("asked_krw", "amount_krw"),
    won("approved", "approved_krw"),
    won("credit", "credit_krw"),
    won("paid", "paid_krw"),
    code_column("status", "claim_status"),
    made_column("evidence", lambda row: ", ".join(row["evidence"])),
    text_column("why", "cause"),
)


def claim(
    agreement: AgreementArgument,
    instalment: Annotated[str, typer.Argument(metavar="INSTALMENT", help="One of the call's.")],
    amount: Annotated[int, typer.Argument(metavar="WON", help="What was paid.")],
    evidence: Annotated[
        list[str], typer.Option("--evidence", metavar="TEXT", help="An invoice; repeat it.")
    ],
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask for reimbursement, with the evidence, within the instalment's fiscal year."""
    from dure.cli.client import new_key, path_of

    service = connect(url)
    body = {"instalment": instalment, "amount_krw": amount, "evidence": evidence}
    path = f"/supply/agreements{path_of(agreement, 'claims')}"
    done = service.post(path, body, key=new_key())
    show_one(service, CLAIMS, done["done"], CLAIM_COLUMNS, output)


def claims(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the claims, what was approved and paid."""
    show_rows(rows_of(connect(url).rows(CLAIMS, limit=limit)), CLAIM_COLUMNS, output)


def approve(
    claim: ClaimArgument,
    amount: Annotated[int, typer.Argument(metavar="WON", help="Approved; 0 refuses the claim.")],
    cause: CauseOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Approve a claim, in whole or part, or refuse it."""
    from dure.cli.client import path_of

    service = connect(url)
    body = {"approved_krw": amount, "cause": cause}
    service.post(f"{CLAIMS}{path_of(claim, 'decision')}", body)
    show_one(service, CLAIMS, claim, CLAIM_COLUMNS, output)


def pay(claim: ClaimArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """Note that an approved claim was paid; credits for faults are taken off."""
    from dure.cli.client import path_of

    service = connect(url)
    service.post(f"{CLAIMS}{path_of(claim, 'payment')}", {})
    show_one(service, CLAIMS, claim, CLAIM_COLUMNS, output)


SERVICE = "/supply/service"


def _availability(row: Row) -> str:
    ppm = row["availability_ppm"]
    return "-" if ppm is None else f"{ppm / 10_000:.4f} %"


SERVICE_COLUMNS = (
    text_column("agreement"),
    text_column("month"),
    made_column("availability", _availability),
    made_column("credit_percent", lambda row: f"{row['percent']} %"),
    won("credit", "credit_krw"),
    number_column("use_differs", "differs"),
    code_column("report", "supply_duty", "duty"),
    moment_column("report_due", "due_at_s"),
    moment_column("done_on", "done_at_s"),
)


def settle(month: MonthArgument, url: UrlOption = URL, output: OutputOption = Output.TABLE) -> None:
    """Settle a month's faults of all agreements: what they cost the providers."""
    from dure.cli.client import path_of

    service = connect(url)
    service.post(f"{SERVICE}{path_of(month)}", {})
    rows = [row for row in service.rows(SERVICE, limit=0).rows if row["month"] == month]
    show_rows(rows, SERVICE_COLUMNS, output)


def report(
    agreement: AgreementArgument,
    month: MonthArgument,
    evidence: EvidenceOption,
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Hand in a month's report; a late one is taken and marked."""
    from dure.cli.client import path_of

    service = connect(url)
    body = {"month": month, "evidence": evidence}
    service.post(f"/supply/agreements{path_of(agreement, 'reports')}", body)
    rows = [row for row in service.rows(SERVICE, limit=0).rows
            if (row["agreement"], row["month"]) == (agreement, month)]  # fmt: skip
    show_rows(rows, SERVICE_COLUMNS, output)


def service_months(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the months of each agreement: availability, credit, whether the report came."""
    show_rows(rows_of(connect(url).rows(SERVICE, limit=limit)), SERVICE_COLUMNS, output)


def _pairs(row: Row, field: str) -> str:
    return ", ".join(f"{kind} {gpus:,}" for kind, gpus in row[field].items())


TRANSFER_COLUMNS = (
    text_column("transfer"),
    made_column("nodes", lambda row: str(len(row["nodes"]))),
    text_column("site"),
    text_column("provider"),
    code_column("status", "transfer_step", "step"),
    moment_column("drains", "drain_at_s"),
    moment_column("moves", "move_at_s"),
    moment_column("back_by", "back_at_s"),
    made_column("entitled", lambda row: _pairs(row, "entitled_gpus")),
    made_column("left", lambda row: _pairs(row, "left_gpus")),
    made_column("delivery", lambda row: row["delivery"] or "-"),
)


def move(
    nodes: Annotated[
        list[str], typer.Argument(metavar="NODE", help="Nodes, ranges or whole clusters.")
    ],
    provider: Annotated[
        str, typer.Option("--provider", metavar="PROVIDER", help="Who runs them there.")
    ],
    site: Annotated[str, typer.Option("--site", metavar="SITE", help="The new site.")],
    call: Annotated[
        str, typer.Option("--call", metavar="CALL", help="Whose tests they must pass there.")
    ],
    drain: Annotated[str, typer.Option("--drain", metavar="MOMENT", help="No new work from.")],
    moves: Annotated[str, typer.Option("--moves", metavar="MOMENT", help="The move.")],
    back: Annotated[str, typer.Option("--back", metavar="MOMENT", help="Accepted there by.")],
    grade: Annotated[
        str, typer.Option("--grade", metavar="C|S|O", help="What the site may hold.")
    ] = "C",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Plan to move nodes to another site, if all who are entitled can be served meanwhile."""
    from dure.cli.client import new_key

    body = {
        "nodes": nodes,
        "provider": provider,
        "site": site,
        "grade": grade,
        "call": call,
        "drain_at_s": at_s(drain, "--drain"),
        "move_at_s": at_s(moves, "--moves"),
        "back_at_s": at_s(back, "--back"),
    }
    service = connect(url)
    done = service.post(TRANSFERS, body, key=new_key())
    show_one(service, TRANSFERS, done["done"], TRANSFER_COLUMNS, output)


def step(
    transfer: Annotated[str, typer.Argument(metavar="TRANSFER", help="Like t-0001.")],
    to: Annotated[str, typer.Argument(metavar="drained|moved|cancelled", help="What was done.")],
    cause: CauseOption = "",
    url: UrlOption = URL,
    output: OutputOption = Output.TABLE,
) -> None:
    """Go a step on with a transfer; at the new site its delivery is inspected and accepted."""
    from dure.cli.client import path_of

    service = connect(url)
    body = {"step": to, "cause": cause}
    service.post(f"{TRANSFERS}{path_of(transfer, 'steps')}", body)
    show_one(service, TRANSFERS, transfer, TRANSFER_COLUMNS, output)


def transfers(
    limit: LimitOption = LIMIT, url: UrlOption = URL, output: OutputOption = Output.TABLE
) -> None:
    """List the planned migrations and where they are."""
    show_rows(rows_of(connect(url).rows(TRANSFERS, limit=limit)), TRANSFER_COLUMNS, output)
