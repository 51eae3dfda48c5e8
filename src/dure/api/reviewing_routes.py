"""Reviewers: the pool, who is asked, bids, conflicts, and what a reviewer sees."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.judging_routes import SizingOut, sizing_out
from dure.api.paging import listing
from dure.api.problems import documented, missing, refused_as_problem, taken
from dure.api.schemas import out
from dure.core.calls.model import WRITTEN
from dure.core.conflicts import Reviewer
from dure.services.desks import Refused
from dure.services.judging_views import ReviewerRow
from dure.services.views import NEVER_S

AnyRequest = Request[Any, Any, Any]


class PaperOut(msgspec.Struct, frozen=True):
    """What a reviewer sees; fields that the call keeps blind are not there."""

    application: str
    call: str
    title: str
    stage: str
    due_at_s: int | None
    fields: dict[str, str]
    criteria: dict[str, int]
    marks: dict[str, int]
    sizing: SizingOut | None


class ReviewerOut(msgspec.Struct, frozen=True):
    reviewer: str
    organisation: str
    areas: list[str]
    asked: int
    given: int


class ReviewerIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person of the pool; everything after the organisation may be left out."""

    reviewer: str
    organisation: str
    areas: list[str] = []
    partners: list[str] = []
    supervised: list[str] = []
    suppliers: list[str] = []


class AssignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``stage`` is one of the call's; ``due_at_s`` 0: the days that it gives, if any.

    ``reviewers`` are asked (name -> institution) instead of the pool, if any are named.
    """

    stage: str = WRITTEN
    due_at_s: int = 0
    reviewers: dict[str, str] = {}


class ReplaceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    due_at_s: int = 0


class CountOut(msgspec.Struct, frozen=True):
    """How many reviews were asked for, or handed to others."""

    reviews: int


class BidIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """eager, willing, not or conflict."""

    bid: str


class ConflictIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; ``reviewer`` is oneself unless the agency upholds a challenge."""

    reason: str
    reviewer: str = ""


class Done(msgspec.Struct, frozen=True):
    application: str
    reviewer: str


@get("/reviews/{application:str}", opt={"action": "review.read"},
     responses=documented(400, 401, 404), sync_to_thread=True)  # fmt: skip
def paper(request: AnyRequest, application: FromPath[str]) -> PaperOut:
    """Show an application that one was asked to review."""
    found = services_of(request).judging.paper(application, actor_of(request).user)
    if found is None:
        raise missing("review")
    return PaperOut(
        found.application,
        found.call,
        found.title,
        found.stage,
        None if found.due_at_s == NEVER_S else found.due_at_s,
        dict(found.fields),
        dict(found.criteria),
        dict(found.marks),
        None if found.sizing is None else sizing_out(found.sizing),
    )


def reviewer_out(row: ReviewerRow) -> ReviewerOut:
    return out(ReviewerOut, row, areas=list(row.areas))


@get("/reviewers", opt={"action": "review.assign"}, responses=documented(400, 401, 403),
     sync_to_thread=True)  # fmt: skip
def reviewers(request: AnyRequest) -> Response[list[ReviewerOut]]:
    """List the pool of reviewers with their loads."""
    rows = services_of(request).judging.reviewers()
    return listing(request, rows, lambda row: row.reviewer, reviewer_out)


@post("/reviewers", opt={"action": "reviewer.register"}, status_code=200,
      responses=documented(400, 401, 403, 422), sync_to_thread=True)  # fmt: skip
def register(request: AnyRequest, data: JSONBody[ReviewerIn]) -> ReviewerOut:
    """Put a person into the pool, or renew what is known of them; oneself, or the agency."""
    lists = (data.areas, data.partners, data.supervised, data.suppliers)
    person = Reviewer(data.reviewer, data.organisation, *(tuple(one) for one in lists))
    answer = services_of(request).judging.register_reviewer(person, by=actor_of(request))
    return reviewer_out(taken(answer))


@post("/calls/{call:str}/reviewers", opt={"action": "review.assign"}, status_code=200,
      responses=documented(400, 401, 403, 422), sync_to_thread=True)  # fmt: skip
def assign(request: AnyRequest, call: FromPath[str], data: JSONBody[AssignIn]) -> CountOut:
    """Give every application in a stage of a closed call its reviewers."""
    answer = services_of(request).judging.assign_reviewers(
        call,
        stage=data.stage,
        due_at_s=data.due_at_s,
        reviewers=data.reviewers,
        by=actor_of(request),
    )
    return _count(answer)


@post("/calls/{call:str}/replacements", opt={"action": "review.assign"}, status_code=200,
      responses=documented(400, 401, 403, 422), sync_to_thread=True)  # fmt: skip
def replace(request: AnyRequest, call: FromPath[str], data: JSONBody[ReplaceIn]) -> CountOut:
    """Ask others in place of reviewers whose deadline is over."""
    desk = services_of(request).judging
    return _count(desk.replace_late(call, due_at_s=data.due_at_s, by=actor_of(request)))


def _count(answer: int | Refused) -> CountOut:
    return CountOut(taken(answer))


@post("/applications/{application:str}/bids", opt={"action": "review.bid"}, status_code=200,
      responses=documented(400, 401, 403, 422), sync_to_thread=True)  # fmt: skip
def bid(request: AnyRequest, application: FromPath[str], data: JSONBody[BidIn]) -> Done:
    """Say how gladly one would review an application."""
    actor = actor_of(request)
    answer = services_of(request).judging.bid(application, data.bid, by=actor)
    if answer is not None:
        raise refused_as_problem(answer)
    return Done(application, actor.user)


@post("/applications/{application:str}/conflicts", opt={"action": "review.conflict"},
      status_code=200, responses=documented(400, 401, 403, 422), sync_to_thread=True)  # fmt: skip
def conflict(request: AnyRequest, application: FromPath[str], data: JSONBody[ConflictIn]) -> Done:
    """Step back from an application; or, for the agency, uphold a challenge."""
    actor = actor_of(request)
    reviewer = data.reviewer or actor.user
    desk = services_of(request).judging
    answer = desk.declare_conflict(application, reviewer, data.reason, by=actor)
    if answer is not None:
        raise refused_as_problem(answer)
    return Done(application, reviewer)


ROUTES = (paper, reviewers, register, assign, replace, bid, conflict)
