"""What one person may see of a view: both screens, for people and for machines, ask here.

A listing leaves out what the actor may not see; a single object that may not be seen is answered
like one that does not exist, so that names cannot be guessed.
"""

from collections.abc import Sequence
from dataclasses import replace

from dure.services.access import Actor, may, may_any
from dure.services.desks import PoolDesk, ProgrammeDesk, Services
from dure.services.programme_views import (
    ApplicationRow,
    MonthUse,
    ProjectPage,
    ProjectRow,
    ReviewRow,
    WaitRow,
)
from dure.services.views import NO_JOB, JobRow, JobStory, LoanRow, PoolView, ReclaimRow, Why

HIDDEN = ""
AWARDED = ("selected", "offered", "signed", "allocated")


def job_owners(row: JobRow) -> tuple[str, str, str]:
    """Return to whom a job belongs: its user, its project, the provider it draws on."""
    return (row.user, row.project, row.provider)


def sees_every_job(actor: Actor) -> bool:
    return may(actor, "job.read")


def visible_jobs(actor: Actor, view: PoolView) -> Sequence[int]:
    """Return the jobs that ``actor`` may see, as indices of ``view.jobs``, in its order."""
    jobs = view.jobs
    if sees_every_job(actor):
        return range(len(jobs.ids))
    owners = zip(jobs.user, jobs.project, jobs.provider, strict=True)
    return [index for index, own in enumerate(owners) if may_any(actor, "job.read", own)]


def visible_story(actor: Actor, view: PoolView, job: str) -> JobStory | None:
    """Return a job's story if there is one and ``actor`` may see it."""
    story = view.story(job)
    if story is None or not may_any(actor, "job.read", job_owners(story.row)):
        return None
    return story


def visible_why(actor: Actor, view: PoolView, job: str) -> Why | None:
    """Return why a job waits; of those who have what it needs, only whom ``actor`` may see by name.

    The job itself must be one that the actor may see.
    """
    why = view.why(job)
    if why is None or sees_every_job(actor):
        return why
    held_by = tuple(
        one if visible_story(actor, view, one.job) else replace(one, job=HIDDEN)
        for one in why.held_by
    )
    return replace(why, held_by=held_by)


def find_story(
    actor: Actor, services: Services, job: str, *, pool: str = ""
) -> tuple[PoolDesk, PoolView, JobStory] | None:
    """Look a job up in ``pool``, or in every pool in order if none is named."""
    for name, desk in services.pools.items():
        if pool and name != pool:
            continue
        view = desk.view()
        story = visible_story(actor, view, job)
        if story is not None:
            return desk, view, story
    return None


def device_jobs(actor: Actor, view: PoolView, *, from_device: int, count: int) -> list[str]:
    """Return the job on each device of a stretch, "" for none and for one not to be seen."""
    names = []
    for index in view.device_job[from_device : from_device + count].tolist():
        if index == NO_JOB:
            names.append(HIDDEN)
            continue
        own = (view.jobs.user[index], view.jobs.project[index], view.jobs.provider[index])
        seen = may_any(actor, "job.read", own)
        names.append(view.jobs.ids[index] if seen else HIDDEN)
    return names


def visible_loans(actor: Actor, view: PoolView) -> list[LoanRow]:
    """Return the loans in which ``actor`` has a side."""
    return [
        row
        for row in view.loans
        if may(actor, "loan.read") or may_any(actor, "loan.read", (row.borrower, row.lender))
    ]


def visible_reclaims(actor: Actor, view: PoolView) -> list[ReclaimRow]:
    """Return the reclaims that ``actor`` may see: all, or those of a lender that is theirs."""
    return [row for row in view.reclaims if may(actor, "loan.read", owner=row.lender)]


def visible_projects(actor: Actor, programme: ProgrammeDesk) -> list[ProjectRow]:
    return [row for row in programme.projects() if may(actor, "project.read", owner=row.project)]


def visible_project(actor: Actor, programme: ProgrammeDesk, project: str) -> ProjectPage | None:
    """Return a project's page if there is one and ``actor`` may see it."""
    return programme.project(project) if may(actor, "project.read", owner=project) else None


def visible_applications(actor: Actor, programme: ProgrammeDesk) -> list[ApplicationRow]:
    """Return the applications that ``actor`` handed in, or all for the office and the audit."""
    return [
        row for row in programme.applications() if may(actor, "application.read", owner=row.owner)
    ]


def visible_application(
    actor: Actor, programme: ProgrammeDesk, application: str
) -> ApplicationRow | None:
    """Return an application if there is one of this number and ``actor`` may see it."""
    rows = visible_applications(actor, programme)
    return next((row for row in rows if row.application == application), None)


def visible_awards(programme: ProgrammeDesk, *, call: str = "") -> list[ApplicationRow]:
    """Return the applications that were selected and not given up; they are announced to all."""
    return [
        row for row in programme.applications() if row.status in AWARDED and call in ("", row.call)
    ]


def visible_reviews(actor: Actor, programme: ProgrammeDesk) -> list[ReviewRow]:
    """Return the reviews that ``actor`` was asked for, or all for the office and the audit."""
    return [row for row in programme.reviews() if may(actor, "review.read", owner=row.reviewer)]


def visible_waitlist(actor: Actor, programme: ProgrammeDesk) -> list[WaitRow]:
    """Return the whole waitlist in its order; teams that the actor may not know have no name."""
    return [
        row
        if may(actor, "waitlist.read", owner=row.owner)
        else replace(row, team=HIDDEN, owner=HIDDEN, application=HIDDEN)
        for row in programme.waitlist()
    ]


def visible_use(actor: Actor, programme: ProgrammeDesk, month: str) -> list[MonthUse]:
    """Return a month's use of the projects or the provider that ``actor`` answers for."""
    return [row for row in programme.use(month) if may(actor, "use.read", owner=row.who)]
