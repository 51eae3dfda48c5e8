"""What a team does with what it holds: giving back, and answering recalls."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import documented, taken
from dure.api.schemas import out
from dure.services.holding_desk import RecallAnswer

AnyRequest = Request[Any, Any, Any]


class ReturnIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many GPUs are given back: whole servers, or all."""

    gpus: int
    cause: str = ""


class ReturnOut(msgspec.Struct, frozen=True):
    allocation: str
    gpus: int
    gpus_left: int


class RecallOut(msgspec.Struct, frozen=True):
    """A recall; ``status`` is noticed, accepted, objected, recalled or withdrawn."""

    recall: str
    project: str
    allocation: str
    accelerator: str
    gpus: int
    ground: str
    noticed_at_s: int
    effective_at_s: int
    status: str


class RecallAnswerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``accepted``: it may come at once; ``objected``: the agency decides; ``text`` says why."""

    answer: RecallAnswer
    text: str = ""


@post(
    "/allocations/{allocation:str}/returns",
    opt={"action": "allocation.return"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def give_back(
    request: AnyRequest, allocation: FromPath[str], data: JSONBody[ReturnIn]
) -> ReturnOut:
    """Give GPUs of an allocation back; the next in line has them at once."""
    answer = services_of(request).holding.give_back(
        allocation, data.gpus, cause=data.cause, by=actor_of(request)
    )
    return out(ReturnOut, taken(answer))


@get(
    "/recalls", opt={"action": "project.read"}, responses=documented(400, 401), sync_to_thread=True
)
def recalls(request: AnyRequest) -> Response[list[RecallOut]]:
    """List the recalls of the caller's projects; all for the office and the audit."""
    rows = services_of(request).holding.recalls(actor_of(request))
    return listing(request, rows, lambda row: row.recall, lambda row: out(RecallOut, row))


@post(
    "/recalls/{recall:str}/answer",
    opt={"action": "recall.answer"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def answer_recall(
    request: AnyRequest, recall: FromPath[str], data: JSONBody[RecallAnswerIn]
) -> RecallOut:
    """Accept a recall, or object and say why."""
    answer = services_of(request).holding.answer_recall(
        recall, data.answer, text=data.text, by=actor_of(request)
    )
    return out(RecallOut, taken(answer))


ROUTES = (give_back, recalls, answer_recall)
