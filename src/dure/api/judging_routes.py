"""From an application to its award: one application, reviews, who was selected."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import documented, missing, taken
from dure.api.schemas import ApplicationOut, Words, out
from dure.api.work_routes import sentence
from dure.services.judging_views import SizingView
from dure.services.programme_views import ReviewRow
from dure.services.sights import visible_application, visible_awards, visible_reviews

AnyRequest = Request[Any, Any, Any]


class ApplicationDetail(msgspec.Struct, frozen=True):
    """An application and, once it is decided, why so: a sentence and its numbers.

    The worth lies within ``score_milli`` +- ``half_milli`` nine times in ten; ``raw_milli`` is the
    plain mean of the marks.
    """

    row: ApplicationOut
    score_milli: int | None
    raw_milli: int | None
    half_milli: int
    reason: Words
    numbers: dict[str, int | str]


class ReviewOut(msgspec.Struct, frozen=True):
    """A review that was asked for; ``marks`` are points by criterion, empty until given."""

    application: str
    call: str
    title: str
    accelerator: str
    gpus_asked: int
    reviewer: str
    stage: str
    marks: dict[str, int]
    given_at_s: int | None
    due_at_s: int | None
    is_late: bool


class ReviewIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points for every criterion of the call, 0 to 100 each."""

    marks: dict[str, int]


class AwardOut(msgspec.Struct, frozen=True):
    """A selected application, as it is announced to everybody."""

    application: str
    call: str
    round: str
    title: str
    team: str
    group: str
    accelerator: str
    gpus_awarded: int
    status: str


class TermOut(msgspec.Struct, frozen=True):
    """One number of a formula, with its unit and where it comes from."""

    name: str
    value: int
    unit: str
    source: str


class EvidenceOut(msgspec.Struct, frozen=True):
    """The size that the stated work needs on an accelerator, with its interval and formula."""

    accelerator: str
    gpus: int
    gpus_low: int
    gpus_high: int
    units: int
    formula: str
    sentence: Words
    bound_by: str
    terms: list[TermOut]


class SizingOut(msgspec.Struct, frozen=True):
    """The wish beside the evidence, for the accelerator that was asked for first."""

    application: str
    accelerator: str
    wish_gpus: int
    months: int
    is_wish_above: bool
    evidence: list[EvidenceOut]


def sizing_out(view: SizingView) -> SizingOut:
    units = dict(view.units)
    found = [
        EvidenceOut(
            one.accelerator,
            one.gpus,
            one.gpus_low,
            one.gpus_high,
            one.gpus * units[one.accelerator],
            one.formula,
            sentence(f"sizing.formula.{one.formula}", {}),
            one.bound_by,
            [TermOut(term.name, term.value, term.unit, term.source) for term in one.terms],
        )
        for one in view.evidence
    ]
    return out(SizingOut, view, evidence=found)


def review_out(row: ReviewRow) -> ReviewOut:
    return out(ReviewOut, row, marks=dict(row.marks))


@get(
    "/applications/{application:str}",
    opt={"action": "application.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def application_detail(request: AnyRequest, application: FromPath[str]) -> ApplicationDetail:
    """Show where an application stands and why."""
    row = visible_application(actor_of(request), services_of(request).programme, application)
    if row is None:
        raise missing("application")
    numbers = dict(row.numbers)
    why = sentence(f"award_reason.{row.reason}", numbers) if row.reason else Words("", "")
    score_milli = row.score_milli if row.score_milli >= 0 else None
    raw_milli = row.raw_milli if row.raw_milli >= 0 else None
    return ApplicationDetail(
        out(ApplicationOut, row), score_milli, raw_milli, row.half_milli, why, numbers
    )


@get(
    "/applications/{application:str}/sizing",
    opt={"action": "application.read"},
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def sizing(request: AnyRequest, application: FromPath[str]) -> SizingOut:
    """Show the wish beside the size that the stated work and use before need."""
    services = services_of(request)
    row = visible_application(actor_of(request), services.programme, application)
    found = None if row is None else services.judging.sizing(application)
    if found is None:
        raise missing("application")
    return sizing_out(found)


@get("/awards", opt={"action": "award.read"}, responses=documented(400), sync_to_thread=True)
def awards(request: AnyRequest) -> Response[list[AwardOut]]:
    """List what was awarded, to whom, in every call; ``?call=``."""
    call = request.query_params.get("call", "")
    rows = visible_awards(services_of(request).programme, call=call)
    return listing(request, rows, lambda row: row.application, lambda row: out(AwardOut, row))


@get("/reviews", opt={"action": "review.read"}, responses=documented(400, 401), sync_to_thread=True)
def reviews(request: AnyRequest) -> Response[list[ReviewOut]]:
    """List the caller's reviews, given or not; all of them for the office and the audit."""
    rows = visible_reviews(actor_of(request), services_of(request).programme)
    return listing(request, rows, lambda row: f"{row.application}/{row.reviewer}", review_out)


@post(
    "/applications/{application:str}/reviews",
    opt={"action": "review.give"},
    status_code=200,
    responses=documented(400, 401, 403, 422),
    sync_to_thread=True,
)
def give_review(
    request: AnyRequest, application: FromPath[str], data: JSONBody[ReviewIn]
) -> ReviewOut:
    """Mark an application that one was asked to review; a review is given once."""
    programme, actor = services_of(request).programme, actor_of(request)
    answer = programme.review(application, data.marks, by=actor)
    return review_out(taken(answer))


ROUTES = (application_detail, sizing, awards, reviews, give_review)
