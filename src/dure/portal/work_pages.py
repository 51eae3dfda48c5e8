"""Jobs: the list, one job and why it waits, submitting, cancelling."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.core.errors import InputError
from dure.portal.asking import answers, chosen_pool, in_thread, part_of
from dure.portal.care_pages import measured_of
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.services.access import may, may_any, require
from dure.services.desks import CancelAnswer, PoolDesk, Submission, Submitted, WorkForm
from dure.services.sights import find_story, job_owners, visible_jobs, visible_why
from dure.services.views import JobStory, PoolView

WAITING, RUNNING = ("PENDING",), ("RUNNING", "STOPPING")
TABS = ("all", "waiting", "running", "ended")
OUTPUT_TAIL_BYTES = 16_384
FORM_NAMES = tuple(form.value for form in WorkForm)


@get("/jobs", opt={"action": "job.read"}, sync_to_thread=False)
def jobs(request: AnyRequest) -> Response[Any]:
    """Show the jobs that the visitor may see, in one pool."""
    visitor = visitor_of(request)
    name, desk = chosen_pool(request)
    view = desk.view()
    tab = request.query_params.get("state", "all")
    tab = tab if tab in TABS else "all"
    shown = [
        index
        for index in visible_jobs(visitor.actor, view)
        if tab == "all" or tab_of(view.jobs.state[index]) == tab
    ]
    part = part_of(request, shown)
    return page(
        request,
        "jobs.html",
        pool=name,
        view=view,
        tab=tab,
        tabs=TABS,
        part=part,
        rows=view.jobs.rows(part.rows),
        takes_jobs=[pool for pool, one in services_of(request).pools.items() if one.takes_jobs()],
    )


def tab_of(state: str) -> str:
    """Sort Slurm's states into the three that a list needs."""
    return "waiting" if state in WAITING else "running" if state in RUNNING else "ended"


def _found(request: AnyRequest, job: str) -> tuple[PoolDesk, PoolView, JobStory]:
    found = find_story(
        visitor_of(request).actor,
        services_of(request),
        job,
        pool=request.query_params.get("pool", ""),
    )
    if found is None:
        raise MissingPage("there is no such job")
    return found


@get("/jobs/{job:str}", opt={"action": "job.read"}, sync_to_thread=True)
def job_page(request: AnyRequest, job: FromPath[str]) -> Response[Any]:
    """Show one job: why it waits or how it runs, its attempts, its output."""
    actor = visitor_of(request).actor
    desk, view, story = _found(request, job)
    owners = job_owners(story.row)
    output = None
    if may_any(actor, "job.output", owners):
        output = desk.output(job, offset=-OUTPUT_TAIL_BYTES)
    measured, picture = measured_of(request, view, story)
    care = services_of(request).care.get(view.name)
    return page(
        request,
        "job.html",
        measured=measured,
        picture=picture,
        idle=care.case_of(job) if care is not None else None,
        may_answer=may_any(actor, "idle.answer", owners),
        pool=view.name,
        view=view,
        story=story,
        row=story.row,
        tab=tab_of(story.row.state),
        why=visible_why(actor, view, job),
        output=output,
        may_cancel=may_any(actor, "job.cancel", owners) and tab_of(story.row.state) != "ended",
        may_enter=bool(story.row.interactive)
        and story.row.user == actor.user
        and tab_of(story.row.state) == "running",
        answer=request.query_params.get("answer", ""),
    )


@post("/jobs/{job:str}/cancel", opt={"action": "job.cancel"}, status_code=303, sync_to_thread=True)
def cancel(request: AnyRequest, job: FromPath[str]) -> Response[Any]:
    """Take a job back; one that runs is stopped."""
    actor = visitor_of(request).actor
    desk, view, story = _found(request, job)
    if not may_any(actor, "job.cancel", job_owners(story.row)):
        require(actor, "job.cancel", owner=story.row.project)
    answer = desk.cancel(job, by=actor)
    if answer is CancelAnswer.NOT_FOUND:
        raise MissingPage("there is no such job")
    return Redirect(f"/jobs/{job}?pool={view.name}&answer={answer.value}", status_code=303)


@get("/jobs/submit", opt={"action": "job.submit"}, sync_to_thread=False)
def submit_form(request: AnyRequest) -> Response[Any]:
    """Show the form for a job's text."""
    return _submit_page(request, {}, ())


@post("/jobs/submit", opt={"action": "job.submit"}, status_code=200)
async def submit(request: AnyRequest) -> Response[Any]:
    """Take a job; unreadable text comes back with the place and the reason."""
    given = dict(await answers(request))
    actor = visitor_of(request).actor
    project = given.get("project", "")
    pool = services_of(request).pools.get(given.get("pool", ""))
    if pool is None or not pool.takes_jobs() or given.get("form") not in FORM_NAMES:
        return _submit_page(request, given, (("submit.choose_pool", {}),))
    # A job of no project is its owner's own; the pool says whether it takes such.
    require(actor, "job.submit", owner=project or actor.user)
    submission = Submission(
        WorkForm(given["form"]), given.get("text", ""), project, given.get("key", "")
    )
    try:
        answer = await in_thread(lambda: pool.submit(submission, by=actor))
    except InputError as error:
        return _submit_page(request, given, (("", {"text": str(error)}),))
    if isinstance(answer, Submitted):
        return Redirect(
            f"/jobs/{answer.jobs[0]}?pool={given['pool']}&answer=submitted", status_code=303
        )
    problems = tuple((f"problem.{one.code}", dict(one.numbers)) for one in answer.problems)
    return _submit_page(request, given, problems)


def _submit_page(
    request: AnyRequest, given: dict[str, str], problems: tuple[tuple[str, dict[str, Any]], ...]
) -> Response[Any]:
    visitor, services = visitor_of(request), services_of(request)
    return page(
        request,
        "submit.html",
        status_code=422 if problems else 200,
        given=given,
        problems=problems,
        open_pools=[
            (name, desk.view()) for name, desk in services.pools.items() if desk.takes_jobs()
        ],
        projects=[""] * may(visitor.actor, "job.submit", owner=visitor.actor.user)
        + sorted(visitor.actor.projects),
        key=given.get("key") or request.app.state.random_bytes(16).hex(),
    )


ROUTES = (jobs, submit_form, submit, job_page, cancel)
