"""The committee: share-outs proposed, moved, compared, and signed."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.paging import listing
from dure.api.problems import ProblemError, documented, missing, taken
from dure.api.schemas import out
from dure.api.work_routes import repeats_of
from dure.services.committee import Move
from dure.services.desks import JudgingDesk, Refused
from dure.services.judging_views import ProposalRow, ProposedAward

AnyRequest = Request[Any, Any, Any]


class ProposalOut(msgspec.Struct, frozen=True):
    """A share-out; points are score x GPUs (x months), parts are in millionths."""

    call: str
    number: int
    rule: str
    status: str
    line_milli: int
    pinned: list[str]
    excluded: dict[str, str]
    selected: int
    waitlisted: int
    rejected: int
    gpus: dict[str, int]
    value_points: int
    rank_points: int
    bound_points: int
    gain_ppm: int
    gap_ppm: int
    digest: str
    signed_by: list[str]
    at_s: int
    by: str


class ProposedAwardOut(msgspec.Struct, frozen=True):
    """What a proposal says about an application."""

    rank: int
    application: str
    title: str
    team: str
    group: str
    status: str
    accelerator: str
    gpus_asked: int
    gpus: int
    from_month: int
    is_pinned: bool
    is_excluded: bool


class SizeChange(msgspec.Struct, frozen=True):
    application: str
    gpus_before: int
    gpus_after: int


class DifferenceOut(msgspec.Struct, frozen=True):
    """What one proposal changes of another; ``lost_points`` is negative where the total rises."""

    before: int
    after: int
    comes_in: list[str]
    goes_out: list[str]
    changes: list[SizeChange]
    lost_points: int


class DrawIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A published number, and where and when it was published."""

    number: str
    source: str


class LotOut(msgspec.Struct, frozen=True):
    application: str
    order_milli: int
    lot: int


class DrawOut(msgspec.Struct, frozen=True):
    """The lots, first served first: a lot is SHA-256 of ``NUMBER:APPLICATION``, 15 digits."""

    call: str
    number: str
    source: str
    lots: list[LotOut]


class MoveIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The committee's wishes; ``line_milli`` 0 is the call's own line, null leaves it as it is."""

    line_milli: int | None = None
    pin: list[str] = []
    release: list[str] = []
    exclude: dict[str, str] = {}
    readmit: list[str] = []


class MinutesIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which proposal is adopted, the digest that was read, and who signs."""

    number: int
    digest: str
    names: list[str]


def proposal_out(row: ProposalRow) -> ProposalOut:
    return out(
        ProposalOut,
        row,
        pinned=list(row.pinned),
        excluded=dict(row.excluded),
        gpus=dict(row.gpus),
        signed_by=list(row.signed_by),
    )


def _desk(request: AnyRequest, call: str) -> JudgingDesk:
    services = services_of(request)
    if services.programme.call(call) is None:
        raise missing("call")
    return services.judging


def _taken(answer: ProposalRow | Refused, call: str) -> Response[ProposalOut]:
    row = taken(answer)
    place = {"Location": f"/api/v1/calls/{call}/proposals/{row.number}"}
    return Response(proposal_out(row), status_code=201, headers=place)


SEE = {"action": "award.deliberation"}


@get("/calls/{call:str}/proposals", opt=SEE, responses=documented(400, 401, 403, 404),
     sync_to_thread=True)  # fmt: skip
def proposals(request: AnyRequest, call: FromPath[str]) -> Response[list[ProposalOut]]:
    """List what was put before the call's committee."""
    rows = _desk(request, call).proposals(call)
    return listing(request, rows, lambda row: f"{row.number:06d}", proposal_out)


@post("/calls/{call:str}/proposals", opt={"action": "award.propose"},
      responses=documented(400, 401, 403, 404, 409, 422), sync_to_thread=True)  # fmt: skip
def propose(request: AnyRequest, call: FromPath[str]) -> Response[ProposalOut]:
    """Propose the share-out of the call's own rule; needs an Idempotency-Key."""
    desk, actor = _desk(request, call), actor_of(request)
    return repeats_of(request).once(
        request, b"", lambda _: _taken(desk.propose(call, by=actor), call)
    )


@post("/calls/{call:str}/moves", opt={"action": "award.propose"},
      responses=documented(400, 401, 403, 404, 409, 422), sync_to_thread=True)  # fmt: skip
def move(request: AnyRequest, call: FromPath[str], data: JSONBody[MoveIn]) -> Response[ProposalOut]:
    """Propose anew with the line moved, applications pinned or excluded; needs a key."""
    desk, actor = _desk(request, call), actor_of(request)
    wish = Move(
        data.line_milli, tuple(data.pin), tuple(data.release), data.exclude, tuple(data.readmit)
    )
    return repeats_of(request).once(
        request,
        msgspec.json.encode(data),
        lambda _: _taken(desk.move(call, wish, by=actor), call),
    )


@get("/calls/{call:str}/proposals/{number:int}", opt=SEE,
     responses=documented(400, 401, 403, 404), sync_to_thread=True)  # fmt: skip
def proposed_awards(
    request: AnyRequest, call: FromPath[str], number: FromPath[int]
) -> Response[list[ProposedAwardOut]]:
    """List a proposal's awards in order of rank."""
    rows = _desk(request, call).proposed_awards(call, number)
    if rows is None:
        raise missing("proposal")
    return listing(request, rows, lambda row: f"{row.rank:09d}", _award_out)


def _award_out(row: ProposedAward) -> ProposedAwardOut:
    return out(ProposedAwardOut, row)


@get("/calls/{call:str}/proposals/{number:int}/difference", opt=SEE,
     responses=documented(400, 401, 403, 404, 422), sync_to_thread=True)  # fmt: skip
def difference(request: AnyRequest, call: FromPath[str], number: FromPath[int]) -> DifferenceOut:
    """Tell what a proposal changes of the one before it, or of ``?from=``."""
    wish = request.query_params.get("from", str(number - 1))
    if not wish.isdecimal() or len(wish) > 6:
        raise ProblemError(400, "invalid", f"from is {wish[:20]!r}; expected a proposal's number.")
    answer = taken(_desk(request, call).compare(call, int(wish), number))
    return DifferenceOut(
        answer.before,
        answer.after,
        list(answer.comes_in),
        list(answer.goes_out),
        [SizeChange(*one) for one in answer.changes],
        answer.lost_points,
    )


@post(
    "/calls/{call:str}/lots",
    opt={"action": "award.propose"},
    status_code=200,
    responses=documented(400, 401, 403, 404, 422),
    sync_to_thread=True,
)
def draw_lots(request: AnyRequest, call: FromPath[str], data: JSONBody[DrawIn]) -> DrawOut:
    """Order those near the line by a number that somebody else published; once."""
    desk, actor = _desk(request, call), actor_of(request)
    draw = taken(desk.draw_lots(call, number=data.number, source=data.source, by=actor))
    return DrawOut(call, draw.number, draw.source, [LotOut(*one) for one in draw.lots])


@post("/calls/{call:str}/minutes", opt={"action": "award.sign_minutes"}, status_code=200,
      responses=documented(400, 401, 403, 404, 422), sync_to_thread=True)  # fmt: skip
def sign_minutes(
    request: AnyRequest, call: FromPath[str], data: JSONBody[MinutesIn]
) -> ProposalOut:
    """Adopt the last proposal: every application of the call is decided by it."""
    answer = _desk(request, call).sign_minutes(
        call, number=data.number, digest=data.digest, names=data.names, by=actor_of(request)
    )
    return proposal_out(taken(answer))


ROUTES = (proposals, propose, move, proposed_awards, difference, draw_lots, sign_minutes)
