"""Forms of the project's page: giving GPUs back, answering a notice of recall."""

from typing import Any

from litestar import Response, post
from litestar.params import FromPath
from litestar.response import Redirect

from dure.portal.asking import answers, in_thread
from dure.portal.doors import AnyRequest, MissingPage
from dure.portal.programme_pages import project_page_of
from dure.portal.visitor import services_of, visitor_of
from dure.services.desks import Refused
from dure.services.holding_desk import RECALL_ANSWERS
from dure.services.sights import visible_project


@post("/projects/{project:str}/return", opt={"action": "allocation.return"}, status_code=200)
async def give_back(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Give GPUs of one of a project's allocations back."""
    desk, actor = services_of(request).holding, visitor_of(request).actor
    sent = await answers(request)
    allocation, text = sent.get("allocation", ""), sent.get("gpus", "").strip()
    gpus = int(text) if text.isdecimal() and len(text) < 9 else 0
    found = visible_project(actor, services_of(request).programme, project)
    if found is None or allocation not in {one.allocation for one in found.allocations}:
        raise MissingPage("there is no such allocation")
    cause = sent.get("cause", "")
    answer = await in_thread(lambda: desk.give_back(allocation, gpus, cause=cause, by=actor))
    if isinstance(answer, Refused):
        return project_page_of(request, project, problems=answer.problems)
    return Redirect(f"/projects/{project}", status_code=303)


@post("/projects/{project:str}/recall", opt={"action": "recall.answer"}, status_code=200)
async def answer_recall(request: AnyRequest, project: FromPath[str]) -> Response[Any]:
    """Accept a recall of a project's GPUs, or object and say why."""
    desk, actor = services_of(request).holding, visitor_of(request).actor
    sent = await answers(request)
    recall, text = sent.get("recall", ""), sent.get("text", "")
    wish = next((one for one in RECALL_ANSWERS if one == sent.get("answer")), None)
    mine = {one.recall for one in desk.recalls(actor) if one.project == project}
    if wish is None or recall not in mine:
        raise MissingPage("there is no such recall")
    answer = await in_thread(lambda: desk.answer_recall(recall, wish, text=text, by=actor))
    if isinstance(answer, Refused):
        return project_page_of(request, project, problems=answer.problems)
    return Redirect(f"/projects/{project}", status_code=303)


ROUTES = (give_back, answer_recall)
