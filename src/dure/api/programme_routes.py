"""Calls, applications, projects, allocations, the waitlist, use by month."""

import re
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import ProblemError, documented, missing, taken
from dure.api.schemas import (
    AllocationOut,
    ApplicationIn,
    ApplicationOut,
    ApplicationTaken,
    CallOut,
    FieldOut,
    MonthUseOut,
    ProjectDetail,
    ProjectOut,
    RoundOut,
    out,
    words,
)
from dure.api.work_routes import repeats_of
from dure.services.programme_views import CallRow, MonthUse
from dure.services.sights import (
    visible_applications,
    visible_project,
    visible_projects,
    visible_use,
    visible_waitlist,
)

AnyRequest = Request[Any, Any, Any]
MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


class WaitOut(msgspec.Struct, frozen=True):
    """An entry of the waitlist; team and application are "" unless they are yours to see.

    Its turn is expected at ``expected_s``, between ``expected_early_s`` and ``expected_late_s``;
    null where that cannot be told. ``counts_on`` is what comes free until then, GPUs by source:
    ends of terms, recalls, and the flow of what came free before its time in ``flow_days``.
    """

    rank: int
    application: str
    call: str
    round: str
    team: str
    group: str
    accelerator: str
    gpus: int
    since_s: int
    status: str
    reason: str
    before: int
    before_gpus: int
    expected_s: int | None
    expected_early_s: int | None
    expected_late_s: int | None
    counts_on: dict[str, int]
    flow_days: int
    is_signed: bool


def call_out(call: CallRow) -> CallOut:
    return out(
        CallOut,
        call,
        rounds=[out(RoundOut, one, capacity=dict(one.capacity)) for one in call.rounds],
        form=[
            out(
                FieldOut,
                one,
                choices=list(one.choices),
                labels=[words(label) for label in one.labels],
                label=None if one.label is None else words(one.label),
                columns=[column.name for column in one.columns],
            )
            for one in call.form
        ],
        caps=dict(call.caps),
    )


@get("/calls", opt={"action": "call.read"}, responses=documented(400), sync_to_thread=False)
def calls(request: AnyRequest) -> Response[list[CallOut]]:
    """List all calls with their rounds."""
    rows = services_of(request).programme.calls()
    return listing(request, rows, lambda row: row.call, call_out)


@get(
    "/calls/{call:str}",
    opt={"action": "call.read"},
    responses=documented(400, 404),
    sync_to_thread=False,
)
def call_detail(request: AnyRequest, call: FromPath[str]) -> CallOut:
    """Show one call with the questions of its form."""
    found = services_of(request).programme.call(call)
    if found is None:
        raise missing("call")
    return call_out(found)


@post(
    "/calls/{call:str}/applications",
    opt={"action": "application.submit"},
    responses=documented(400, 401, 403, 404, 409, 413, 422),
    sync_to_thread=True,
)
def apply(
    request: AnyRequest, call: FromPath[str], data: JSONBody[ApplicationIn]
) -> Response[ApplicationTaken]:
    """Hand an application in; needs an Idempotency-Key. All that is wrong comes back at once."""
    programme, actor = services_of(request).programme, actor_of(request)
    if programme.call(call) is None:
        raise missing("call")
    answers = {name: str(value) for name, value in data.answers.items()}

    def act(key: str) -> Response[ApplicationTaken]:
        applied = taken(programme.apply(call, answers, by=actor, key=key))
        body = ApplicationTaken(applied.application)
        return Response(body, status_code=201, headers={"Location": "/api/v1/applications"})

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


@get(
    "/applications",
    opt={"action": "application.read"},
    responses=documented(400, 401),
    sync_to_thread=True,
)
def applications(request: AnyRequest) -> Response[list[ApplicationOut]]:
    """List the caller's applications; all of them for the office and the audit."""
    rows = visible_applications(actor_of(request), services_of(request).programme)
    return listing(request, rows, lambda row: row.application, lambda row: out(ApplicationOut, row))


@get(
    "/projects",
    opt={"action": "project.read"},
    responses=documented(400, 401),
    sync_to_thread=True,
)
def projects(request: AnyRequest) -> Response[list[ProjectOut]]:
    """List the projects that the caller belongs to or looks after."""
    rows = visible_projects(actor_of(request), services_of(request).programme)
    return listing(request, rows, lambda row: row.project, lambda row: out(ProjectOut, row))


@get(
    "/projects/{project:str}",
    opt={"action": "project.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def project_detail(request: AnyRequest, project: FromPath[str]) -> ProjectDetail:
    """Show a project with its allocations and use."""
    found = visible_project(actor_of(request), services_of(request).programme, project)
    if found is None:
        raise missing("project")
    return ProjectDetail(
        out(ProjectOut, found.row),
        [out(AllocationOut, one) for one in found.allocations],
        [out(MonthUseOut, one, measured_milli=None) for one in found.months],
        found.credit,
    )


@get(
    "/allocations",
    opt={"action": "allocation.read"},
    responses=documented(400, 401),
    sync_to_thread=True,
)
def allocations(request: AnyRequest) -> Response[list[AllocationOut]]:
    """List the allocations of the projects that the caller may see."""
    programme, actor = services_of(request).programme, actor_of(request)
    rows = [
        allocation
        for row in visible_projects(actor, programme)
        if (page := programme.project(row.project)) is not None
        for allocation in page.allocations
    ]
    return listing(request, rows, lambda row: row.allocation, lambda row: out(AllocationOut, row))


@get(
    "/waitlist",
    opt={"action": "waitlist.overview"},
    responses=documented(400),
    sync_to_thread=True,
)
def waitlist(request: AnyRequest) -> Response[list[WaitOut]]:
    """Show the line: sizes and reasons to everybody, names to those whom they concern."""
    rows = visible_waitlist(actor_of(request), services_of(request).programme)
    return listing(
        request,
        rows,
        lambda row: f"{row.call}/{row.accelerator}/{row.rank}",
        lambda row: out(WaitOut, row, counts_on=dict(row.counts_on)),
    )


@get("/usage", opt={"action": "use.read"}, responses=documented(400, 401), sync_to_thread=True)
def usage(request: AnyRequest) -> Response[list[MonthUseOut]]:
    """Give a month's use (``?month=2026-03``) by project and provider, in GPU-seconds."""
    month = request.query_params.get("month", "")
    if MONTH.fullmatch(month) is None:
        raise ProblemError(400, "invalid", f"month is {month[:20]!r}; expected like 2026-03.")
    services = services_of(request)
    rows = visible_use(actor_of(request), services.programme, month)
    desk = services.care.get(next(iter(services.pools)))
    measured = desk.measured(month) if desk is not None and rows else {}

    def shown(row: MonthUse) -> MonthUseOut:
        busy_milli, _ = measured.get(row.who, (None, 0))
        return out(MonthUseOut, row, measured_milli=busy_milli)

    return listing(request, rows, lambda row: row.who, shown)


ROUTES = (
    calls,
    call_detail,
    apply,
    applications,
    projects,
    project_detail,
    allocations,
    waitlist,
    usage,
)
