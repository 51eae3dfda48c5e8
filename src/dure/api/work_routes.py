"""Jobs: list, submit, cancel, one job, why it waits, what it printed."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.finding import job_of, jobs_of, pool_of
from dure.api.paging import listing
from dure.api.problems import ProblemError, documented, missing, refused_as_problem
from dure.api.repeats import Repeats
from dure.api.schemas import (
    AttemptOut,
    CancelOut,
    Help,
    HolderOut,
    JobDetail,
    JobOut,
    JobSubmission,
    JobTaken,
    OutputOut,
    SpanOut,
    WhyOut,
    Words,
    out,
)
from dure.core.storage import checked_sha256
from dure.reports import messages
from dure.services.access import may_any, require
from dure.services.desks import CancelAnswer, Refused, Submission, WorkForm
from dure.services.sights import job_owners, visible_jobs, visible_why
from dure.services.views import NEVER_S, Numbers

AnyRequest = Request[Any, Any, Any]
SEE_JOB = {"action": "job.read"}


@get(
    "/pools/{pool:str}/jobs",
    opt=SEE_JOB,
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def jobs(request: AnyRequest, pool: FromPath[str]) -> Response[list[JobOut]]:
    """List the running, waiting and lately ended jobs that the caller may see; ``?state=``."""
    view = pool_of(request, pool).view()
    state = request.query_params.get("state", "").upper()
    shown = [
        index
        for index in visible_jobs(actor_of(request), view)
        if not state or view.jobs.state[index] == state
    ]
    return listing(
        request,
        shown,
        lambda index: view.jobs.ids[index],
        lambda index: out(JobOut, view.jobs.row(index)),
    )


@post(
    "/pools/{pool:str}/jobs",
    opt={"action": "job.submit"},
    responses=documented(400, 401, 403, 404, 409, 413, 422),
    sync_to_thread=True,
)
def submit(
    request: AnyRequest, pool: FromPath[str], data: JSONBody[JobSubmission]
) -> Response[JobTaken]:
    """Submit a job; needs an Idempotency-Key. It is durable when this answers 201."""
    desk, actor = pool_of(request, pool), actor_of(request)
    if not desk.takes_jobs():
        title = "This pool is simulated and lives by its own people; submit to another."
        raise ProblemError(422, "pool-takes-no-jobs", title)
    # A job of no project is its owner's own; the pool says whether it takes such.
    require(actor, "job.submit", owner=data.project or actor.user)

    def act(key: str) -> Response[JobTaken]:
        form = WorkForm(data.form)
        submission = Submission(
            form, data.text, data.project, key, data.submit_dir, data.workdir_sha256
        )
        sent = data.workdir_sha256
        if sent and not services_of(request).workdirs.holds(checked_sha256(sent), by=actor):
            raise missing("work folder")
        answer = desk.submit(submission, by=actor)
        if isinstance(answer, Refused):
            raise refused_as_problem(answer)
        return Response(
            JobTaken(pool, answer.job, list(answer.jobs)),
            status_code=201,
            headers={"Location": f"/api/v1/jobs/{answer.job}?pool={pool}"},
        )

    return repeats_of(request).once(request, msgspec.json.encode(data), act)


def repeats_of(request: AnyRequest) -> Repeats:
    repeats = request.app.state.repeats
    assert isinstance(repeats, Repeats)
    return repeats


@get("/jobs/{job:str}", opt=SEE_JOB, responses=documented(400, 401, 404), sync_to_thread=True)
def job_detail(request: AnyRequest, job: FromPath[str]) -> JobDetail:
    """Show a job with its attempts, also after its end; ``?pool=`` if the name is in two."""
    _, view, story = job_of(request, job)
    return JobDetail(
        view.name,
        out(JobOut, story.row),
        [out(AttemptOut, one, nodes=list(one.nodes)) for one in story.attempts],
        dict(story.asked),
        None if story.stop_by_s == NEVER_S else story.stop_by_s,
        story.stop_cause,
    )


@get("/jobs/{job:str}/why", opt=SEE_JOB, responses=documented(400, 401, 404), sync_to_thread=True)
def why(request: AnyRequest, job: FromPath[str]) -> WhyOut:
    """Say why a job waits, what would change that, and the earliest start with an interval."""
    _, view, story = job_of(request, job)
    found = visible_why(actor_of(request), view, job)
    if found is None:
        return WhyOut(story.row.job, False)
    return out(
        WhyOut,
        found,
        job=job,
        waits=True,
        text=sentence(f"why.{found.code}", found.numbers),
        numbers=dict(found.numbers),
        would_help=[
            Help(code, sentence(f"help.{code}", numbers), dict(numbers))
            for code, numbers in found.would_help
        ],
        half=out(SpanOut, found.half) if found.half else None,
        most=out(SpanOut, found.most) if found.most else None,
        held_by=[out(HolderOut, one) for one in found.held_by],
    )


def sentence(key: str, numbers: Numbers) -> Words:
    """Return a code's sentence in both languages, the code itself while it has none."""
    try:
        return Words(messages.text("ko", key, **numbers), messages.text("en", key, **numbers))
    except messages.MessageError:
        return Words(key, key)


@get(
    "/jobs/{job:str}/output",
    opt={"action": "job.output"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def output(request: AnyRequest, job: FromPath[str]) -> OutputOut:
    """Give what a job printed, from byte ``?offset=`` on; up to 64 KiB at a time."""
    desk, _, story = job_of(request, job)
    if not may_any(actor_of(request), "job.output", job_owners(story.row)):
        raise missing("output")
    text = request.query_params.get("offset", "0")
    if not text.isdecimal() or len(text) > 15:
        raise ProblemError(400, "invalid", "offset is no whole number from 0 up.")
    part = desk.output(job, offset=int(text))
    if part is None:
        raise missing("output")
    return out(OutputOut, part, job=job)


@post(
    "/jobs/{job:str}/cancel",
    opt={"action": "job.cancel"},
    status_code=200,
    responses=documented(400, 401, 403, 404),
    sync_to_thread=True,
)
def cancel(request: AnyRequest, job: FromPath[str]) -> CancelOut:
    """Take a job or a whole array back, or stop it; doing so twice changes nothing."""
    actor, answers = actor_of(request), []
    for desk, _, story in jobs_of(request, job):
        if not may_any(actor, "job.cancel", job_owners(story.row)):
            require(actor, "job.cancel", owner=story.row.project)
        answers.append(desk.cancel(story.row.job, by=actor))
    for answer in (CancelAnswer.STOPPING, CancelAnswer.CANCELLED, CancelAnswer.ALREADY_ENDED):
        if answer in answers:
            return CancelOut(job, answer.value)
    raise missing("job")


ROUTES = (jobs, submit, job_detail, why, output, cancel)
