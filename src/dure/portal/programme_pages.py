"""Calls and applications, projects, and the operator's desk."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, in_thread, part_of, uploads
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.render import page
from dure.portal.visitor import services_of, visitor_of
from dure.reports.form_words import code_of
from dure.services.access import Actor
from dure.services.attachments import SIZE_BYTES_MAX
from dure.services.desks import Applied, PaperDesk, Refused
from dure.services.office_views import AttachmentRow
from dure.services.programme_views import CallRow, FieldProblem, FormField
from dure.services.sights import visible_applications, visible_project, visible_projects

# All files of an application, and some text beside them.
UPLOAD_BYTES_MAX = 2 * SIZE_BYTES_MAX + 1024 * 1024


def call_of(request: AnyRequest, call: str) -> CallRow:
    """Return a call that exists."""
    found = services_of(request).programme.call(call)
    if found is None:
        raise MissingPage(f"there is no call {call[:40]!r}")
    return found


@get("/calls", opt={"action": "call.read"}, sync_to_thread=False)
def calls(request: AnyRequest) -> Response[Any]:
    """Show every call with its rounds and what they came to."""
    programme = services_of(request).programme
    return page(request, "calls.html", calls=programme.calls(), now_s=programme.now_s())


@get("/calls/{call:str}", opt={"action": "call.read"}, sync_to_thread=False)
def call_page(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Show one call: rules, rounds, results beside reality, and one's own applications to it."""
    visitor, programme = visitor_of(request), services_of(request).programme
    found = call_of(request, call)
    mine = [
        row
        for row in visible_applications(visitor.actor, programme)
        if row.call == call and row.owner == visitor.actor.user
    ]
    return page(
        request,
        "call.html",
        call=found,
        now_s=programme.now_s(),
        is_open=found.open_round(programme.now_s()) is not None,
        compared=programme.compared(call),
        mine=mine,
    )


@get("/calls/{call:str}/apply", opt={"action": "application.submit"}, sync_to_thread=False)
def apply_form(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Show the application form of a call, as ``?draft=`` keeps it."""
    found, wish = call_of(request, call), request.query_params.get("draft", "")
    draft = services_of(request).papers.draft(wish, visitor_of(request).actor) if wish else None
    if wish and (draft is None or draft.call != call):
        raise MissingPage("there is no such draft")
    given = {} if draft is None else {name: _shown(one) for name, one in draft.fields.items()}
    return _form_page(request, found, given, (), draft=wish)


def _shown(answer: object) -> str:
    """Return an answer as it would be typed: choices with commas, a table's rows as lines."""
    if isinstance(answer, list):
        if all(isinstance(one, dict) for one in answer):
            return "\n".join(" | ".join(map(str, one.values())) for one in answer)
        return ", ".join(map(str, answer))
    return str(answer)


@post(
    "/calls/{call:str}/apply",
    opt={"action": "application.submit"},
    status_code=200,
    request_max_body_size=UPLOAD_BYTES_MAX,
)
async def apply(request: AnyRequest, call: FromPath[str]) -> Response[Any]:
    """Hand an application in, or keep it as a draft; what is wrong comes back, nothing is lost."""
    found, actor = call_of(request, call), visitor_of(request).actor
    sent = dict(await answers(request))
    key, draft, saves = sent.pop("key", ""), sent.pop("draft", ""), sent.pop("save", "")
    programme, papers = services_of(request).programme, services_of(request).papers
    given = {field.name: _answered(field, sent) for field in found.form}
    files = await uploads(request, bytes_max=SIZE_BYTES_MAX)
    if saves or draft or files:
        kept = {name: answer for name, answer in given.items() if answer}
        saved = await in_thread(lambda: papers.save(call, kept, draft=draft, by=actor))
        if isinstance(saved, Refused):
            return _form_page(request, found, given, saved.problems, key=key, draft=draft)
        draft = saved.draft
        attach = partial(_attach, papers, draft, files, actor)
        problems = await in_thread(attach)
        now_kept = papers.draft(draft, actor)
        # What was just attached is an answer from now on; the form that comes back says so.
        given |= {name: str(now_kept.fields.get(name, "")) for name in files} if now_kept else {}
        if problems:
            return _form_page(request, found, given, problems, key=key, draft=draft)
        if saves:
            return Redirect(f"/calls/{call}/apply?draft={draft}&saved=1", status_code=303)
        answer = await in_thread(lambda: papers.submit(draft, key=key, by=actor))
    else:
        problems = tuple(programme.check_answers(call, given))
        if problems:
            return _form_page(request, found, given, problems, key=key)
        answer = await in_thread(lambda: programme.apply(call, given, by=actor, key=key))
    if isinstance(answer, Applied):
        return Redirect(f"/applications/{answer.application}?said=sent", status_code=303)
    return _form_page(request, found, given, answer.problems, key=key, draft=draft)


def _answered(field: FormField, sent: Mapping[str, str]) -> str:
    """Return an answer as rules read it: people write in words what has a code."""
    written = sent.get(field.name, "").strip()
    return code_of(field.name, written) if field.kind == "text" and not field.label else written


def _attach(
    papers: PaperDesk, draft: str, files: Mapping[str, tuple[str, bytes]], actor: Actor
) -> tuple[FieldProblem, ...]:
    """Keep the files of a form as answers to its questions; return what is wrong with them."""
    problems: tuple[FieldProblem, ...] = ()
    for field, (name, content) in files.items():
        answer = papers.attach(draft, content, name=name, field=field, by=actor)
        problems += answer.problems if isinstance(answer, Refused) else ()
    return problems


def _form_page(
    request: AnyRequest,
    call: CallRow,
    given: dict[str, str],
    problems: tuple[FieldProblem, ...],
    *,
    key: str = "",
    draft: str = "",
) -> Response[Any]:
    names = {field.name for field in call.form}
    return page(
        request,
        "apply.html",
        status_code=422 if problems else 200,
        call=call,
        is_open=call.open_round(services_of(request).programme.now_s()) is not None,
        given=given,
        problems={problem.field: problem for problem in reversed(problems)},
        general=[problem for problem in problems if problem.field not in names],
        key=key or request.app.state.random_bytes(16).hex(),
        draft=draft,
        attached=_attached(request, draft),
        is_saved=request.query_params.get("saved") == "1" and not problems,
    )


def _attached(request: AnyRequest, draft: str) -> tuple[AttachmentRow, ...]:
    kept = services_of(request).papers.draft(draft, visitor_of(request).actor) if draft else None
    return () if kept is None else kept.attachments


@get("/projects", opt={"action": "project.read"}, sync_to_thread=False)
def projects(request: AnyRequest) -> Response[Any]:
    """Show the projects that the visitor belongs to, or all for the office and the audit."""
    rows = visible_projects(visitor_of(request).actor, services_of(request).programme)
    group = request.query_params.get("group", "")
    groups = sorted({row.group for row in rows})
    shown = [row for row in rows if not group or row.group == group]
    return page(request, "projects.html", part=part_of(request, shown), group=group, groups=groups)


@get("/projects/{project:str}", opt={"action": "project.read"}, sync_to_thread=False)
def project_page(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Show what a project holds, uses, borrows and lends, its checks and recalls."""
    return project_page_of(request, project)


def project_page_of(
    request: AnyRequest, project: str, *, problems: tuple[FieldProblem, ...] = ()
) -> Response[Any]:
    """Show a project's page, with what was wrong with a form of it."""
    services, actor = services_of(request), visitor_of(request).actor
    found = visible_project(actor, services.programme, project)
    if found is None:
        raise MissingPage("there is no such project")
    jobs = []
    for name, desk in services.pools.items():
        columns = desk.view().jobs
        own = [index for index, owner in enumerate(columns.project) if owner == project]
        jobs += [(name, row) for row in columns.rows(own[:20])]
    used = services.storage.use(project, by=actor)
    applications = visible_applications(actor, services.programme)
    return page(
        request,
        "project.html",
        status_code=422 if problems else 200,
        project=found,
        jobs=jobs,
        used=used,
        open_applications={row.application for row in applications},
        problems=problems,
    )


@get("/operator", opt={"action": "programme.read"}, sync_to_thread=False)
def operator(request: AnyRequest) -> Response[Any]:
    """Show the operator the round's result beside reality, the checks, the recalls, who is who."""
    services = services_of(request)
    programme = services.programme
    calls_shown = [call for call in programme.calls() if call.rounds]
    return page(
        request,
        "operator.html",
        compared=[(call, programme.compared(call.call)) for call in calls_shown],
        checks=part_of(request, programme.checks()),
        recalls=programme.recalls(),
        accounts=services.people.accounts(),
        provider_name=programme.provider_name,
        views=[(name, desk.view()) for name, desk in services.pools.items()],
    )


ROUTES = (calls, call_page, apply_form, apply, projects, project_page, operator)
