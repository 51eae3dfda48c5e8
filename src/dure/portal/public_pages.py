"""Pages for everybody: what the nation owns, uses and waits for; the map; lending; the waitlist."""

from functools import lru_cache
from typing import Any

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from dure.portal.asking import chosen_pool, part_of
from dure.portal.doors import AnyRequest
from dure.portal.render import SECURITY_HEADERS, page, static_files
from dure.portal.visitor import services_of, visitor_of
from dure.reports.charts import Series, return_times, stacked_bar, use_over_time
from dure.reports.formats import Lang, duration, number
from dure.reports.messages import text
from dure.services.sights import visible_loans, visible_reclaims, visible_waitlist
from dure.services.views import DEVICE_STATES, IN_USE, PoolView

# From the floor of the chart up: what is used, what is on its way, what is free, what is broken.
BAND_ORDER = ("own", "loan", "scavenge", "reserved", "draining", "idle", "down")
HISTORY_ROWS = 14
# Everybody who looks at the same view gets the same drawing: pools x languages, and the one before.
VIEWS_KEPT = 8
CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@get("/", opt={"action": "pool.read"}, sync_to_thread=False)
def overview(request: AnyRequest) -> Response[Any]:
    """Show one pool to the public: four figures, who supplies, use over time, lending, waitlist."""
    visitor, services = visitor_of(request), services_of(request)
    name, desk = chosen_pool(request)
    view = desk.view()
    calls = [call for call in services.programme.calls() if call.rounds]
    return page(
        request,
        "overview.html",
        pool=name,
        view=view,
        used_milli=sum(view.kinds_milli[kind] for kind in IN_USE),
        kinds=kind_rows(view.kinds_milli),
        kinds_spent=kind_rows(view.kinds_gpu_s),
        bar=bar(view.kinds_milli, visitor.lang),
        providers=[
            (row, bar(row.kinds_milli, visitor.lang)) for row in view.supply if not row.cluster
        ],
        clusters=[row for row in view.supply if row.cluster],
        chart=use_chart(view, visitor.lang),
        history=history_rows(view),
        promise=promise_chart(view, visitor.lang),
        waitlist=services.programme.waitlist() if view.imagined else (),
        calls=calls if view.imagined else (),
    )


@get("/map", opt={"action": "pool.read"}, sync_to_thread=False)
def pool_map(request: AnyRequest) -> Response[Any]:
    """Show every GPU as a cell, and the same as tables for whoever reads without pictures."""
    name, desk = chosen_pool(request)
    view = desk.view()
    cluster = request.query_params.get("cluster", "")
    return page(
        request,
        "map.html",
        pool=name,
        view=view,
        clusters=[row for row in view.supply if row.cluster],
        cluster=cluster,
        part=part_of(request, node_rows(view, cluster)) if cluster else None,
    )


@get("/loans", opt={"action": "pool.read"}, sync_to_thread=False)
def loans(request: AnyRequest) -> Response[Any]:
    """Show the promise beside what was kept, and the loans in which the visitor has a side."""
    visitor = visitor_of(request)
    name, desk = chosen_pool(request)
    view = desk.view()
    return page(
        request,
        "loans.html",
        pool=name,
        view=view,
        promise=promise_chart(view, visitor.lang),
        loans=part_of(request, visible_loans(visitor.actor, view)),
        reclaims=visible_reclaims(visitor.actor, view)[:100],
    )


@get("/waitlist", opt={"action": "waitlist.overview"}, sync_to_thread=False)
def waitlist(request: AnyRequest) -> Response[Any]:
    """Show who is next in line; names only to those who may know them."""
    rows = visible_waitlist(visitor_of(request).actor, services_of(request).programme)
    types: dict[str, tuple[int, int]] = {}
    for row in rows:
        entries, gpus = types.get(row.accelerator, (0, 0))
        types[row.accelerator] = (entries + 1, gpus + row.gpus)
    return page(request, "waitlist.html", part=part_of(request, rows), types=sorted(types.items()))


@get("/help", opt={"action": "service.read"}, sync_to_thread=False)
def help_page(request: AnyRequest) -> Response[Any]:
    """Explain the words, the promise and the colours."""
    return page(request, "help.html")


@get("/static/{name:str}", opt={"action": "service.read"}, sync_to_thread=False)
def static(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """Send a style sheet, a script of ours or a picture."""
    known = static_files().get(name)
    if known is None:
        raise NotFoundException
    content, fingerprint = known
    is_current = request.query_params.get("v") == fingerprint
    kept = "public, max-age=31536000, immutable" if is_current else "no-cache"
    return Response(
        content,
        media_type=CONTENT_TYPES[name.rsplit(".", 1)[-1]],
        headers={**SECURITY_HEADERS, "Cache-Control": kept, "ETag": f'"{fingerprint}"'},
    )


def kind_rows(amounts: tuple[int, ...]) -> list[tuple[str, int, int]]:
    """Return (kind, amount, thousandths of the whole) in the order of the charts."""
    total = sum(amounts) or 1
    by_kind = dict(zip(DEVICE_STATES, amounts, strict=True))
    return [(kind, by_kind[kind], by_kind[kind] * 1000 // total) for kind in BAND_ORDER]


def bar(kinds_milli: tuple[int, ...], lang: Lang) -> str:
    """Draw what a set of GPUs does now."""
    rows = kind_rows(kinds_milli)
    label = ", ".join(
        f"{text(lang, f'kind.{kind}')} {number(lang, amount // 1000)}"
        for kind, amount, _ in rows
        if amount
    )
    return stacked_bar([(kind, amount) for kind, amount, _ in rows], label=label)


@lru_cache(maxsize=VIEWS_KEPT)
def use_chart(view: PoolView, lang: Lang) -> str:
    """Draw the pool's history, "" while there are not two samples yet."""
    history = view.history
    if len(history.at_s) < 2:
        return ""
    order = [DEVICE_STATES.index(kind) for kind in BAND_ORDER]
    return use_over_time(
        history.at_s,
        [Series(DEVICE_STATES[kind], history.kinds_milli[kind]) for kind in order],
        history.waiting_gpus,
        capacity=view.gpus,
        lang=lang,
        label=text(lang, "overview.chart_label"),
        waiting_label=text(lang, "overview.chart_waiting"),
    )


def history_rows(view: PoolView) -> list[tuple[int, list[tuple[str, int]], int]]:
    """Return the chart's table twin: (moment, GPUs by kind, GPUs waited for), newest first."""
    history = view.history
    count = len(history.at_s)
    step = max(1, count // HISTORY_ROWS)
    rows = []
    for sample in range(count - 1, -1, -step):
        column = history.kinds_milli[:, sample]
        kinds = [(kind, int(column[DEVICE_STATES.index(kind)]) // 1000) for kind in BAND_ORDER]
        rows.append((int(history.at_s[sample]), kinds, int(history.waiting_gpus[sample])))
    return rows


def promise_chart(view: PoolView, lang: Lang) -> str:
    """Draw return times beside the promise, "" while nothing was called back yet."""
    lending = view.lending
    if lending.returned == 0:
        return ""
    figures = (lending.return_s_p50, lending.return_s_p99, lending.promise_s)
    marks = [
        f"{text(lang, f'lending.{name}')} {duration(lang, value)}"
        for name, value in zip(("p50", "p99", "promise"), figures, strict=True)
    ]
    return return_times(
        p50_s=figures[0],
        p99_s=figures[1],
        promise_s=figures[2],
        label=", ".join(marks),
    )


def node_rows(view: PoolView, cluster: str) -> list[dict[str, Any]]:
    """Return the nodes of a cluster with what their GPUs do, for the map's table twin."""
    nodes = view.nodes
    first = nodes.first_device()
    rows = []
    for index, name in enumerate(nodes.ids):
        if nodes.clusters[nodes.cluster[index]] != cluster:
            continue
        devices = view.device_state[first[index] : first[index] + nodes.gpus[index]]
        counts = [(kind, int((devices == DEVICE_STATES.index(kind)).sum())) for kind in BAND_ORDER]
        rows.append(
            {
                "node": name,
                "leaf": nodes.leaves[nodes.leaf[index]],
                "accelerator": nodes.accelerators[nodes.accelerator[index]],
                "gpus": int(nodes.gpus[index]),
                "kinds": [(kind, count) for kind, count in counts if count],
            }
        )
    return rows


ROUTES = (overview, pool_map, loans, waitlist, help_page, static)
