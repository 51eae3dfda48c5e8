"""What is measured, sick nodes, GPUs held idle."""

import re
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.care_schemas import (
    AccountingIn,
    CareOut,
    ComparedOut,
    IdleAnswerIn,
    IdleCaseOut,
    IdleRuleIn,
    JobUseOut,
    RepairAsked,
    TicketOut,
    UsePointOut,
)
from dure.api.finding import job_of, pool_of
from dure.api.paging import listing
from dure.api.problems import ProblemError, documented, missing, refused_as_problem
from dure.api.schemas import out
from dure.core.errors import PolicyError
from dure.core.health import Ticket
from dure.core.idle_held import AnswerRefusal, Case
from dure.services.access import Forbidden, may_any, require
from dure.services.care_desk import CareAnswer, CareDesk
from dure.services.desks import Refused
from dure.services.programme_views import FieldProblem
from dure.services.sights import job_owners
from dure.services.views import NEVER_S

AnyRequest = Request[Any, Any, Any]
MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
SEE_JOB = {"action": "job.read"}


def care_of(request: AnyRequest, pool: str) -> CareDesk:
    """Return the desk of a pool that is measured."""
    pool_of(request, pool)
    desk = services_of(request).care.get(pool)
    if desk is None:
        raise missing("measuring in this pool")
    return desk


@get(
    "/jobs/{job:str}/utilisation",
    opt=SEE_JOB,
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def utilisation(request: AnyRequest, job: FromPath[str]) -> JobUseOut:
    """Give what a job was measured to use, from its first start until now or its end."""
    _, view, story = job_of(request, job)
    desk = care_of(request, view.name)
    if not story.attempts:
        return JobUseOut(job, 0, None, None, None, None, [])
    to_s = view.now_s if story.row.end_at_s == NEVER_S else story.row.end_at_s
    use = desk.job_use(job, from_s=story.attempts[0].from_s, to_s=to_s + 1)
    return out(JobUseOut, use, points=[out(UsePointOut, one) for one in use.points])


@get(
    "/pools/{pool:str}/tickets",
    opt={"action": "ticket.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=False,
)
def tickets(request: AnyRequest, pool: FromPath[str]) -> Response[list[TicketOut]]:
    """List the repairs that providers are asked for, those that need somebody first."""
    rows = care_of(request, pool).tickets(by=actor_of(request))
    return listing(request, rows, lambda one: one.ticket, ticket_out)


def ticket_out(ticket: Ticket) -> TicketOut:
    return out(
        TicketOut,
        ticket,
        device=ticket.device if ticket.device >= 0 else None,
        xid=ticket.xid or None,
        repaired_at_s=ticket.repaired_at_s if ticket.repaired_at_s >= 0 else None,
        until_s=ticket.until_s if ticket.until_s >= 0 else None,
    )


@post(
    "/pools/{pool:str}/tickets/{ticket:str}/repair",
    opt={"action": "ticket.repair"},
    status_code=200,
    responses=documented(400, 401, 403, 404, 422),
    sync_to_thread=True,
)
def repair(
    request: AnyRequest, pool: FromPath[str], ticket: FromPath[str], data: JSONBody[RepairAsked]
) -> CareOut:
    """Say that a node is repaired: it works again, on probation."""
    desk = care_of(request, pool)
    answer = desk.repair(ticket, done=data.done, note=data.note, by=actor_of(request))
    return _said(answer, "TicketIsNotOpen")


@post(
    "/pools/{pool:str}/breakers/{provider:str}/reset",
    opt={"action": "breaker.reset"},
    status_code=200,
    responses=documented(400, 401, 403, 404),
    sync_to_thread=True,
)
def reset_breaker(request: AnyRequest, pool: FromPath[str], provider: FromPath[str]) -> CareOut:
    """Let the health rule close nodes of a provider again; those held are closed now."""
    answer = care_of(request, pool).reset_breaker(provider, by=actor_of(request))
    return _said(answer, "TicketIsNotOpen")


def _said(answer: CareAnswer, code: str) -> CareOut:
    if answer is CareAnswer.NOT_FOUND:
        raise missing("ticket or breaker")
    if answer is CareAnswer.NOT_OPEN:
        raise refused_as_problem(Refused((FieldProblem("", code, {}),)))
    return CareOut(answer.value)


@get(
    "/pools/{pool:str}/idle",
    opt=SEE_JOB,
    responses=documented(400, 401, 404),
    sync_to_thread=False,
)
def idle(request: AnyRequest, pool: FromPath[str]) -> Response[list[IdleCaseOut]]:
    """List the notices about GPUs held idle that the caller may see, with their evidence."""
    rows = care_of(request, pool).cases(by=actor_of(request))
    return listing(request, rows, lambda one: one.case, case_out)


def case_out(case: Case) -> IdleCaseOut:
    return out(
        IdleCaseOut,
        case.noticed,
        noticed_at_s=case.noticed.at_s,
        state=case.state,
        answer=case.answer,
        answered_by=case.answered_by,
        text=case.text,
        until_s=case.until_s if case.until_s >= 0 else None,
        stop_by_s=case.stop_by_s if case.stop_by_s >= 0 else None,
        cause=case.cause,
    )


@post(
    "/jobs/{job:str}/idle",
    opt={"action": "idle.answer"},
    status_code=200,
    responses=documented(400, 401, 403, 404, 413, 422),
    sync_to_thread=True,
)
def answer_idle(
    request: AnyRequest, job: FromPath[str], data: JSONBody[IdleAnswerIn]
) -> IdleCaseOut:
    """Answer the notice that a job holds GPUs idle."""
    _, view, story = job_of(request, job)
    actor, desk = actor_of(request), care_of(request, view.name)
    if not may_any(actor, "idle.answer", job_owners(story.row)):
        require(actor, "idle.answer", owner=story.row.project)
    try:
        taken = desk.answer(job, data.answer, text=data.text, by=actor)
    except Forbidden:
        raise missing("notice") from None
    if isinstance(taken, AnswerRefusal):
        raise refused_as_problem(Refused((FieldProblem("answer", taken.value, {}),)))
    case = desk.case_of(job)
    assert case is not None, "it was answered just now"
    return case_out(case)


@post(
    "/pools/{pool:str}/idle/rule",
    opt={"action": "idle.rule"},
    status_code=200,
    responses=documented(400, 401, 403, 404, 422),
    sync_to_thread=True,
)
def set_idle_rule(request: AnyRequest, pool: FromPath[str], data: JSONBody[IdleRuleIn]) -> CareOut:
    """Set a project's threshold, window, grace and notice; durable, with who set it."""
    try:
        care_of(request, pool).set_rule(
            data.project,
            threshold_milli=data.threshold_milli,
            window_s=data.window_s,
            grace_s=data.grace_s,
            notice_s=data.notice_s,
            by=actor_of(request),
        )
    except PolicyError as wrong:
        raise ProblemError(422, "unreadable", "The rule means nothing.", detail=str(wrong)) from (
            wrong
        )
    return CareOut(CareAnswer.DONE.value)


@post(
    "/pools/{pool:str}/accounting",
    opt={"action": "use.compare"},
    status_code=200,
    responses=documented(400, 401, 403, 404, 413),
    sync_to_thread=True,
)
def compare(
    request: AnyRequest, pool: FromPath[str], data: JSONBody[AccountingIn]
) -> list[ComparedOut]:
    """Hold a provider's accounting of a month against our ledger; raise differences over 1 %."""
    fine = all(0 <= gpu_s < 1 << 53 and len(who) <= 200 for who, gpu_s in data.gpu_s.items())
    if MONTH.fullmatch(data.month) is None or not fine or len(data.source) > 64:
        raise ProblemError(400, "invalid", "Expected a month like 2026-03 and GPU-seconds >= 0.")
    rows = care_of(request, pool).compare(
        data.provider, data.month, data.gpu_s, source=data.source, by=actor_of(request)
    )
    if isinstance(rows, CareAnswer):
        raise missing("provider")
    return [out(ComparedOut, row) for row in rows]


ROUTES = (compare, utilisation, tickets, repair, reset_breaker, idle, answer_idle, set_idle_rule)
