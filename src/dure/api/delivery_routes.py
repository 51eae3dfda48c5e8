"""Supply after the agreement: deliveries, money, monthly service, transfers."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of
from dure.api.paging import listing
from dure.api.schemas import out
from dure.api.supply_routes import (
    LISTED,
    OFFICE,
    PROVIDE,
    READ,
    WRITTEN,
    desk_of,
    done,
    once,
    one_of,
)
from dure.api.supply_schemas import (
    AcceptanceIn,
    ClaimDecisionIn,
    ClaimIn,
    ClaimOut,
    DeliveryIn,
    DeliveryOut,
    DutyIn,
    InspectionIn,
    LookOut,
    ServiceMonthOut,
    StepIn,
    SupplyDone,
    TestIn,
    TransferIn,
    TransferOut,
)
from dure.core.supply.delivering import expand_nodes
from dure.services.supply_views import DeliveryRow, ServiceRow, TransferRow

AnyRequest = Request[Any, Any, Any]
STEPS = ("drained", "moved", "cancelled")


def _delivery(row: DeliveryRow) -> DeliveryOut:
    looks = [out(LookOut, one, figures=dict(one.figures)) for one in row.looks]
    lists = {"nodes": list(row.nodes), "accepted": list(row.accepted)}
    return out(DeliveryOut, row, lacks=dict(row.lacks), looks=looks, **lists)


def _month(row: ServiceRow) -> ServiceMonthOut:
    ppm = row.availability_ppm
    return out(ServiceMonthOut, row, availability_ppm=None if ppm < 0 else ppm)


def _transfer(row: TransferRow) -> TransferOut:
    gpus = {"entitled_gpus": dict(row.entitled_gpus), "left_gpus": dict(row.left_gpus)}
    return out(TransferOut, row, nodes=list(row.nodes), **gpus)


@post("/supply/agreements/{agreement:str}/deliveries", opt=PROVIDE, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def deliver(
    request: AnyRequest, agreement: FromPath[str], data: JSONBody[DeliveryIn]
) -> Response[SupplyDone]:
    """Say which nodes stand at a site (``b200-0001..0255``); needs an Idempotency-Key."""
    desk, actor, nodes = desk_of(request), actor_of(request), expand_nodes(data.nodes)
    return once(
        request,
        data,
        lambda: desk.deliver(
            agreement, site=data.site, nodes=nodes, node_gpus=data.node_gpus, by=actor
        ),
    )


@post("/supply/agreements/{agreement:str}/claims", opt=PROVIDE, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def claim(
    request: AnyRequest, agreement: FromPath[str], data: JSONBody[ClaimIn]
) -> Response[SupplyDone]:
    """Ask for reimbursement with the evidence; needs an Idempotency-Key."""
    desk, actor = desk_of(request), actor_of(request)
    return once(
        request,
        data,
        lambda: desk.claim(
            agreement,
            instalment=data.instalment,
            amount_krw=data.amount_krw,
            evidence=data.evidence,
            by=actor,
        ),
    )


@post("/supply/agreements/{agreement:str}/reports", opt=PROVIDE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def hand_in_report(
    request: AnyRequest, agreement: FromPath[str], data: JSONBody[DutyIn]
) -> SupplyDone:
    """Hand in a month's report; a late one is taken and marked."""
    actor = actor_of(request)
    answer = desk_of(request).report(agreement, data.month, evidence=data.evidence, by=actor)
    return done(answer)


@get("/supply/deliveries", opt=READ, responses=LISTED, sync_to_thread=True)
def deliveries(request: AnyRequest) -> Response[list[DeliveryOut]]:
    """List the deliveries with their protocols and what nodes lack."""
    rows = desk_of(request).deliveries(by=actor_of(request))
    return listing(request, rows, lambda row: row.delivery, _delivery)


@post("/supply/deliveries/{delivery:str}/inspections", opt=OFFICE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def inspect(
    request: AnyRequest, delivery: FromPath[str], data: JSONBody[InspectionIn]
) -> SupplyDone:
    """Go through the call's inspection of nodes, item by item."""
    answer = desk_of(request).inspect(
        delivery,
        items=data.items,
        nodes=expand_nodes(data.nodes),
        evidence=data.evidence,
        note=data.note,
        by=actor_of(request),
    )
    return done(answer)


@post("/supply/deliveries/{delivery:str}/tests", opt=OFFICE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def test(request: AnyRequest, delivery: FromPath[str], data: JSONBody[TestIn]) -> SupplyDone:
    """Note figures of the acceptance tests."""
    answer = desk_of(request).test(
        delivery,
        results=data.results,
        nodes=expand_nodes(data.nodes),
        evidence=data.evidence,
        by=actor_of(request),
    )
    return done(answer)


@post("/supply/deliveries/{delivery:str}/acceptance", opt=OFFICE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def accept(
    request: AnyRequest, delivery: FromPath[str], data: JSONBody[AcceptanceIn]
) -> SupplyDone:
    """Let nodes into the pool that passed everything."""
    nodes, actor = expand_nodes(data.nodes), actor_of(request)
    return done(desk_of(request).accept(delivery, nodes=nodes, by=actor))


@get("/supply/claims", opt=READ, responses=LISTED, sync_to_thread=True)
def claims(request: AnyRequest) -> Response[list[ClaimOut]]:
    """List the claims and what was paid."""
    rows = desk_of(request).claims(by=actor_of(request))
    return listing(
        request,
        rows,
        lambda row: row.claim,
        lambda row: out(ClaimOut, row, evidence=list(row.evidence)),
    )


@post("/supply/claims/{claim:str}/decision", opt=OFFICE, status_code=200, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def decide_claim(
    request: AnyRequest, claim: FromPath[str], data: JSONBody[ClaimDecisionIn]
) -> SupplyDone:
    """Approve a claim, in whole or part, or refuse it."""
    answer = desk_of(request).decide_claim(
        claim, approved_krw=data.approved_krw, cause=data.cause, by=actor_of(request)
    )
    return done(answer)


@post("/supply/claims/{claim:str}/payment", opt=OFFICE, status_code=200, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def pay(request: AnyRequest, claim: FromPath[str]) -> SupplyDone:
    """Note that an approved claim was paid, less open credits."""
    return done(desk_of(request).pay(claim, by=actor_of(request)))


@get("/supply/service", opt=READ, responses=LISTED, sync_to_thread=True)
def service(request: AnyRequest) -> Response[list[ServiceMonthOut]]:
    """List the months of each agreement: availability, credit, report."""
    rows = desk_of(request).service(by=actor_of(request))

    return listing(request, rows, lambda row: f"{row.agreement} {row.month}", _month)


@post("/supply/service/{month:str}", opt=OFFICE, status_code=200, responses=WRITTEN,
      sync_to_thread=True)  # fmt: skip
def settle(request: AnyRequest, month: FromPath[str]) -> SupplyDone:
    """Settle a month's faults of all agreements."""
    return done(desk_of(request).settle(month, by=actor_of(request)))


@get("/supply/transfers", opt=READ, responses=LISTED, sync_to_thread=True)
def transfers(request: AnyRequest) -> Response[list[TransferOut]]:
    """List the planned migrations."""
    rows = desk_of(request).transfers(by=actor_of(request))
    return listing(request, rows, lambda row: row.transfer, _transfer)


@post("/supply/transfers", opt=OFFICE, responses=WRITTEN, sync_to_thread=True)
def plan_transfer(request: AnyRequest, data: JSONBody[TransferIn]) -> Response[SupplyDone]:
    """Plan to move nodes or clusters to another site; needs an Idempotency-Key."""
    desk, actor, nodes = desk_of(request), actor_of(request), expand_nodes(data.nodes)
    return once(
        request,
        data,
        lambda: desk.plan_transfer(
            nodes=nodes,
            provider=data.provider,
            site=data.site,
            grade=data.grade,
            call=data.call,
            drain_at_s=data.drain_at_s,
            move_at_s=data.move_at_s,
            back_at_s=data.back_at_s,
            by=actor,
        ),
    )


@post("/supply/transfers/{transfer:str}/steps", opt=OFFICE, status_code=200,
      responses=WRITTEN, sync_to_thread=True)  # fmt: skip
def step(request: AnyRequest, transfer: FromPath[str], data: JSONBody[StepIn]) -> SupplyDone:
    """Go a step on: drained, moved, or cancelled."""
    wish = one_of("step", data.step, STEPS)
    answer = desk_of(request).step_transfer(transfer, wish, cause=data.cause, by=actor_of(request))
    return done(answer)


ROUTES = (
    deliver,
    claim,
    hand_in_report,
    deliveries,
    inspect,
    test,
    accept,
    claims,
    decide_claim,
    pay,
    service,
    settle,
    transfers,
    plan_transfer,
    step,
)
