"""Live figures and map changes as server-sent events."""

import base64
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec
import numpy as np
from litestar import Request, get
from litestar.datastructures import State
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from dure.api.caller import services_of
from dure.api.finding import pool_of
from dure.api.problems import ProblemError, documented
from dure.services.desks import PoolDesk
from dure.services.views import DEVICE_STATES, ByteArray, PoolView

AnyRequest = Request[Any, Any, Any]

POLL_S = 1.0
# A quiet line is cut by proxies after a minute; a comment keeps it.
COMMENT_EVERY_POLLS = 15
# After an hour the browser comes back by itself; forgotten tabs do not hold a line for ever.
POLLS_MAX = 3600
LISTENERS_MAX = 500
# Past this share of changed GPUs the whole map is shorter than the changes.
CHANGES_SHARE_MAX = 8


@dataclass(slots=True)
class Listeners:
    """How many lines are open; more are refused. ``is_closing`` ends them all at the next poll."""

    count: int = 0
    is_closing: bool = False


@get(
    "/events",
    opt={"action": "pool.read"},
    responses=documented(400, 404, 429),
    sync_to_thread=False,
)
def events(request: AnyRequest) -> ServerSentEvent:
    """Stream a pool (``?pool=``): ``figures`` on every new view, with ``map=1`` also ``map``.

    A ``map`` event has the whole ``state`` (base64, one byte a GPU) first and then ``changed``:
    runs of [device, count, kind].
    """
    name = request.query_params.get("pool") or next(iter(services_of(request).pools))
    desk = pool_of(request, name)
    listeners = listeners_of(request.app.state)
    if listeners.count >= LISTENERS_MAX:
        raise ProblemError(429, "too-many-listeners", "Too many live connections; try later.")
    with_map = request.query_params.get("map") == "1"
    return ServerSentEvent(
        changes(desk, listeners, with_map=with_map),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def listeners_of(state: State) -> Listeners:
    listeners = state.listeners
    assert isinstance(listeners, Listeners)
    return listeners


async def changes(
    desk: PoolDesk, listeners: Listeners, *, with_map: bool
) -> AsyncGenerator[ServerSentEventMessage, None]:
    """Yield what is new once a second, until the listener leaves or an hour has passed."""
    listeners.count += 1
    try:
        shown: PoolView | None = None
        for poll in range(POLLS_MAX):
            if listeners.is_closing:
                return
            view = desk.view()
            if shown is None or view.seq != shown.seq:
                yield _message("figures", figures(view), view.seq)
                if with_map:
                    before = shown.device_state if shown is not None else None
                    yield _message("map", map_changes(view, before), view.seq)
                shown = view
            elif poll % COMMENT_EVERY_POLLS == 0:
                yield ServerSentEventMessage(comment="still here")
            await anyio.sleep(POLL_S)
    finally:
        listeners.count -= 1


def _message(event: str, content: dict[str, Any], seq: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(
        event=event, id=seq, data=msgspec.json.encode(content).decode(), retry=3000
    )


def figures(view: PoolView) -> dict[str, Any]:
    """Return what changes on an overview page."""
    return {
        "pool": view.name,
        "seq": view.seq,
        "now_s": view.now_s,
        "gpus": view.gpus,
        "kinds": DEVICE_STATES,
        "kinds_milli": view.kinds_milli,
        "waiting_jobs": view.waiting_jobs,
        "waiting_gpus": view.waiting_gpus,
        "running_jobs": view.running_jobs,
    }


def map_changes(view: PoolView, before: ByteArray | None) -> dict[str, Any]:
    """Return what changed on the map since ``before``; everything if that is unknown or much."""
    state = view.device_state
    if before is not None and len(before) == len(state):
        changed = np.flatnonzero(before != state)
        if len(changed) * CHANGES_SHARE_MAX <= len(state):
            return {"seq": view.seq, "changed": runs(changed, state)}
    return {"seq": view.seq, "state": base64.b64encode(state.tobytes()).decode()}


def runs(changed: np.ndarray[Any, np.dtype[np.int64]], state: ByteArray) -> list[list[int]]:
    """Join neighbours of the same new state into [first device, count, state]."""
    if len(changed) == 0:
        return []
    kinds = state[changed]
    breaks = np.flatnonzero((np.diff(changed) != 1) | (np.diff(kinds) != 0)) + 1
    starts = np.concatenate([[0], breaks])
    ends = np.concatenate([breaks, [len(changed)]])
    return [
        [int(changed[start]), int(end - start), int(kinds[start])]
        for start, end in zip(starts, ends, strict=True)
    ]


ROUTES = (events,)
