"""Sick nodes and GPUs held idle: the list of repairs, the forms of both."""

from typing import Any

import numpy as np
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, chosen_pool, in_thread, part_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.reports.charts import utilisation
from dure.reports.formats import Lang
from dure.reports.messages import text
from dure.services.access import Forbidden, may
from dure.services.care_desk import DONE, CareAnswer, CareDesk
from dure.services.measured_use import JobUse
from dure.services.sights import find_story
from dure.services.views import NEVER_S, JobStory, PoolView

ANSWERS = ("justified", "extended", "released")


@get("/tickets", opt={"action": "ticket.read"}, sync_to_thread=False)
def tickets(request: AnyRequest) -> Response[Any]:
    """Show the repairs that a provider is asked for, those that need somebody first."""
    actor = visitor_of(request).actor
    name, _ = chosen_pool(request)
    desk = services_of(request).care.get(name)
    rows = desk.tickets(by=actor) if desk is not None else ()
    return page(
        request,
        "tickets.html",
        pool=name,
        is_measured=desk is not None,
        part=part_of(request, rows),
        may_repair={row.ticket for row in rows if may(actor, "ticket.repair", owner=row.provider)},
        tripped=desk.tripped() if desk is not None and may(actor, "breaker.reset") else (),
        done=DONE,
        answer=request.query_params.get("answer", ""),
    )


def _desk(request: AnyRequest) -> tuple[str, CareDesk]:
    name, _ = chosen_pool(request)
    desk = services_of(request).care.get(name)
    if desk is None:
        raise MissingPage("this pool is not measured")
    return name, desk


@post("/tickets/{ticket:str}/repair", opt={"action": "ticket.repair"}, status_code=303)
async def repair(request: AnyRequest, ticket: FromPath[str]) -> Response[Any]:
    """Take a provider's word that a node is repaired."""
    given = dict(await answers(request))
    actor = visitor_of(request).actor
    name, desk = _desk(request)
    answer = await in_thread(
        lambda: desk.repair(
            ticket, done=given.get("done", ""), note=given.get("note", ""), by=actor
        )
    )
    if answer is CareAnswer.NOT_FOUND:
        raise MissingPage("there is no such ticket")
    return Redirect(f"/tickets?pool={name}&answer={answer.value}", status_code=303)


@post("/tickets/breaker/{provider:str}", opt={"action": "breaker.reset"}, status_code=303)
async def reset_breaker(request: AnyRequest, provider: FromPath[str]) -> Response[Any]:
    """Let the health rule close nodes of a provider again."""
    actor = visitor_of(request).actor
    name, desk = _desk(request)
    answer = await in_thread(lambda: desk.reset_breaker(provider, by=actor))
    return Redirect(f"/tickets?pool={name}&answer={answer.value}", status_code=303)


@post("/jobs/{job:str}/idle", opt={"action": "idle.answer"}, status_code=303)
async def answer_idle(request: AnyRequest, job: FromPath[str]) -> Response[Any]:
    """Take the answer of a job's people to a notice about its idle GPUs."""
    given = dict(await answers(request))
    actor = visitor_of(request).actor
    pool = request.query_params.get("pool", "")
    found = find_story(actor, services_of(request), job, pool=pool)
    if found is None:
        raise MissingPage("there is no such job")
    name = found[1].name
    desk = services_of(request).care.get(name)
    chosen = next((one for one in ANSWERS if one == given.get("answer")), None)
    if desk is None or chosen is None:
        raise MissingPage("there is no such notice")
    text_given = given.get("text", "")
    try:
        taken = await in_thread(
            lambda: desk.answer(job, chosen, text=text_given, by=actor)  # type: ignore[arg-type]
        )
    except Forbidden:
        raise MissingPage("there is no such notice") from None
    said = getattr(taken, "value", "idle_answered")
    return Redirect(f"/jobs/{job}?pool={name}&answer={said}", status_code=303)


def measured_of(request: AnyRequest, view: PoolView, story: JobStory) -> tuple[JobUse | None, str]:
    """Return what a job was measured to use, and its picture; None where nothing was measured."""
    desk = services_of(request).care.get(view.name)
    if desk is None or not story.attempts:
        return None, ""
    to_s = view.now_s if story.row.end_at_s == NEVER_S else story.row.end_at_s
    use = desk.job_use(story.row.job, from_s=story.attempts[0].from_s, to_s=to_s + 1)
    return (use, _picture(use, visitor_of(request).lang)) if use.points else (None, "")


def _picture(use: JobUse, lang: Lang) -> str:
    has_gpus = use.busy_milli is not None
    values = [one.busy_milli if has_gpus else one.cpu_milli for one in use.points]
    at_s = np.array([one.at_s for one in use.points], dtype=np.int64)
    most = 1_000 if has_gpus else max(1_000, *(value or 0 for value in values))
    label = text(lang, "measured.chart", from_s=int(at_s[0]), to_s=int(at_s[-1]) + use.length_s)
    return utilisation(at_s, values, length_s=use.length_s, most=most, label=label)


ROUTES = (tickets, repair, reset_breaker, answer_idle)
