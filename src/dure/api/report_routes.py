"""A month's reports as documents: JSON, or CSV with ``?format=csv``."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from dure.api.caller import actor_of, services_of
from dure.api.problems import ProblemError, documented, missing
from dure.api.programme_routes import MONTH
from dure.reports.documents import report_csv, report_document
from dure.services.access import require
from dure.services.month_reports import ReportKind, month_report

AnyRequest = Request[Any, Any, Any]
FORMATS = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
# The programme's report names every project; it is for the office and the audit.
ACTIONS = {ReportKind.PROGRAMME: "programme.read"}


@get(
    "/reports/public",
    opt={"action": "pool.read"},
    responses=documented(400),
    sync_to_thread=True,
)
def public_report(request: AnyRequest) -> Response[bytes]:
    """Give a month's figures for everybody (``?month=2026-03&format=json|csv``); names nobody."""
    return _answer(request, ReportKind.PUBLIC)


@get(
    "/reports/{kind:str}",
    opt={"action": "report.read"},
    responses=documented(400, 401, 403, 404),
    sync_to_thread=True,
)
def report(request: AnyRequest, kind: FromPath[str]) -> Response[bytes]:
    """Give a month's ``monthly``, ``provider`` or ``programme`` report, as far as one may see."""
    try:
        chosen = ReportKind(kind)
    except ValueError:
        raise missing("report") from None
    if chosen in ACTIONS:
        require(actor_of(request), ACTIONS[chosen])
    return _answer(request, chosen)


def _answer(request: AnyRequest, kind: ReportKind) -> Response[bytes]:
    month = request.query_params.get("month", "")
    if MONTH.fullmatch(month) is None:
        raise ProblemError(400, "invalid", f"month is {month[:20]!r}; expected like 2026-03.")
    wanted = request.query_params.get("format", "json")
    if wanted not in FORMATS:
        expected = " or ".join(sorted(FORMATS))
        raise ProblemError(400, "invalid", f"format is {wanted[:20]!r}; expected {expected}.")
    made = month_report(actor_of(request), services_of(request), kind, month)
    if wanted == "csv":
        content = report_csv(made).encode()
    else:
        content = msgspec.json.format(msgspec.json.encode(report_document(made)), indent=2) + b"\n"
    name = f"dure-{kind.value}-{month}.{wanted}"
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(content, media_type=FORMATS[wanted], headers=headers)


ROUTES = (public_report, report)
