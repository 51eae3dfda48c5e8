"""Pools: figures, nodes, the map of every GPU, loans."""

import base64
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from dure.api.caller import actor_of, services_of
from dure.api.finding import pool_of
from dure.api.paging import listing
from dure.api.problems import documented, missing
from dure.api.schemas import (
    DrainAsked,
    DrainOut,
    LendingFigures,
    LoanOut,
    NodeOut,
    Overview,
    PoolSummary,
    Supply,
    out,
    words,
)
from dure.services.access import Actor
from dure.services.desks import DrainAnswer, PoolDesk
from dure.services.sights import device_jobs, visible_loans
from dure.services.views import DEVICE_STATES, PoolView, closers

AnyRequest = Request[Any, Any, Any]
SEE_POOL = {"action": "pool.read"}


def summary(desk: PoolDesk, view: PoolView) -> PoolSummary:
    return out(
        PoolSummary, view, pool=view.name, title=words(view.title), takes_jobs=desk.takes_jobs()
    )


def by_kind(amounts: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(DEVICE_STATES, amounts, strict=True))


@get("/pools", opt=SEE_POOL, sync_to_thread=False)
def pools(request: AnyRequest) -> list[PoolSummary]:
    """List the pools."""
    return [summary(desk, desk.view()) for desk in services_of(request).pools.values()]


@get(
    "/pools/{pool:str}/overview", opt=SEE_POOL, responses=documented(400, 404), sync_to_thread=False
)
def overview(request: AnyRequest, pool: FromPath[str]) -> Overview:
    """Show what a pool owns, uses and waits for."""
    desk = pool_of(request, pool)
    view = desk.view()
    return out(
        Overview,
        view,
        pool=summary(desk, view),
        kinds_milli=by_kind(view.kinds_milli),
        kinds_gpu_s=by_kind(view.kinds_gpu_s),
        supply=[out(Supply, row, kinds_milli=by_kind(row.kinds_milli)) for row in view.supply],
        lending=out(LendingFigures, view.lending),
    )


@get(
    "/pools/{pool:str}/nodes",
    opt=SEE_POOL,
    responses=documented(400, 404),
    sync_to_thread=False,
)
def nodes(request: AnyRequest, pool: FromPath[str]) -> Response[list[NodeOut]]:
    """List the nodes, in the map's order."""
    view = pool_of(request, pool).view()
    actor, first = actor_of(request), view.nodes.first_device()
    return listing(
        request,
        range(len(view.nodes.ids)),
        lambda index: view.nodes.ids[index],
        lambda index: node_out(actor, view, index, int(first[index])),
    )


@get(
    "/pools/{pool:str}/nodes/{node:str}",
    opt=SEE_POOL,
    responses=documented(400, 404),
    sync_to_thread=False,
)
def node_detail(request: AnyRequest, pool: FromPath[str], node: FromPath[str]) -> NodeOut:
    """Show a node with what each of its GPUs does."""
    view = pool_of(request, pool).view()
    try:
        index = view.nodes.ids.index(node)
    except ValueError:
        raise missing("node") from None
    first = int(view.nodes.first_device()[index])
    return node_out(actor_of(request), view, index, first)


def _answer(node: str, answer: DrainAnswer) -> DrainOut:
    if answer is DrainAnswer.NOT_FOUND:
        raise missing("node")
    return DrainOut(node, answer.value)


@post(
    "/pools/{pool:str}/nodes/{node:str}/drain",
    opt={"action": "node.drain"},
    status_code=200,
    responses=documented(400, 401, 403, 404, 413),
    sync_to_thread=True,
)
def drain(
    request: AnyRequest, pool: FromPath[str], node: FromPath[str], data: JSONBody[DrainAsked]
) -> DrainOut:
    """Close a node to new work in the caller's name; doing so twice changes nothing."""
    actor = actor_of(request)
    return _answer(node, pool_of(request, pool).drain(node, reason=data.reason, by=actor))


@post(
    "/pools/{pool:str}/nodes/{node:str}/resume",
    opt={"action": "node.drain"},
    status_code=200,
    responses=documented(400, 401, 403, 404),
    sync_to_thread=True,
)
def resume(request: AnyRequest, pool: FromPath[str], node: FromPath[str]) -> DrainOut:
    """Lift what the caller's side asked of a node; it opens when nobody keeps it closed."""
    return _answer(node, pool_of(request, pool).resume(node, by=actor_of(request)))


def node_out(actor: Actor, view: PoolView, index: int, first: int) -> NodeOut:
    columns = view.nodes
    gpus = int(columns.gpus[index])
    return NodeOut(
        node=columns.ids[index],
        provider=columns.providers[columns.provider[index]],
        cluster=columns.clusters[columns.cluster[index]],
        leaf=columns.leaves[columns.leaf[index]],
        accelerator=columns.accelerators[columns.accelerator[index]],
        gpus=gpus,
        is_public=bool(columns.is_public[index]),
        closed_by=closers(int(view.closed_by[index])),
        states=[DEVICE_STATES[state] for state in view.device_state[first : first + gpus]],
        jobs=device_jobs(actor, view, from_device=first, count=gpus),
    )


@get("/pools/{pool:str}/map", opt=SEE_POOL, responses=documented(400, 404), sync_to_thread=False)
def pool_map(request: AnyRequest, pool: FromPath[str]) -> Response[bytes]:
    """Give the whole map: nodes as columns, and one byte a GPU (base64) for its state.

    ``state[i]`` is an index into ``kinds``; a node's GPUs are consecutive, in the order of
    ``nodes``. ``/api/v1/events?map=1`` sends the changes.
    """
    view = pool_of(request, pool).view()
    return Response(
        map_document(view),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@lru_cache(maxsize=4)
def map_document(view: PoolView) -> bytes:
    """Write a view's map; every reader of the same view gets the same bytes."""
    columns = view.nodes
    clusters = {row.cluster: row for row in view.supply if row.cluster}
    providers = {row.provider: row for row in view.supply if not row.cluster}
    document = {
        "pool": view.name,
        "seq": view.seq,
        "now_s": view.now_s,
        "kinds": DEVICE_STATES,
        "providers": [{"id": one, **_name(providers, one)} for one in columns.providers],
        "clusters": [
            {
                "id": one,
                **_name(clusters, one),
                "accelerator": clusters[one].accelerator if one in clusters else "",
                "gpus": clusters[one].gpus if one in clusters else 0,
                "use": clusters[one].use if one in clusters else "public",
            }
            for one in columns.clusters
        ],
        "leaves": list(columns.leaves),
        "accelerators": list(columns.accelerators),
        "nodes": {
            "id": list(columns.ids),
            "provider": columns.provider.tolist(),
            "cluster": columns.cluster.tolist(),
            "leaf": columns.leaf.tolist(),
            "accelerator": columns.accelerator.tolist(),
            "gpus": columns.gpus.tolist(),
            "is_public": columns.is_public.tolist(),
        },
        "state": base64.b64encode(view.device_state.tobytes()).decode(),
    }
    return msgspec.json.encode(document)


def _name(rows: dict[str, Any], key: str) -> dict[str, str]:
    row = rows.get(key)
    return {"ko": row.name.ko, "en": row.name.en} if row is not None else {"ko": key, "en": key}


@get("/loans", opt={"action": "loan.read"}, responses=documented(400, 401), sync_to_thread=False)
def loans(request: AnyRequest) -> Response[list[LoanOut]]:
    """List the GPUs on loan now in which the caller has a side, of all pools."""
    actor = actor_of(request)
    rows = [
        (name, row)
        for name, desk in services_of(request).pools.items()
        for row in visible_loans(actor, desk.view())
    ]
    return listing(
        request, rows, lambda pair: pair[1].job, lambda pair: out(LoanOut, pair[1], pool=pair[0])
    )


ROUTES = (pools, overview, nodes, node_detail, drain, resume, pool_map, loans)
