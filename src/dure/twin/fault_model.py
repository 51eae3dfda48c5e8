"""Imagined faults: seeded, drawn in chunks of 30 days, the same however the time is cut.

A node has one fault at a time: while it is down nothing else can be seen to break on it. So the
intervals of a node never overlap. Rates count by the calendar; that a node which is down cannot
fail, and that some faults come back, is worked into the draw so that the fleet keeps its rate.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dure.core.errors import InputError
from dure.twin.fault_parameters import (
    HOUR_S,
    PLANNED,
    SOFTWARE,
    FaultClass,
    FaultModel,
    Repair,
    read_fault_model,
)

__all__ = ["PLANNED", "SOFTWARE", "FaultModel", "draw_faults", "lemon_nodes", "read_fault_model"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CHUNK_S = 30 * 86_400
# A fault that keeps coming back is followed this long; by then its node is a lemon, or replaced.
RETURNS_CHUNKS = 4
GENERATIONS_MAX = 64
# Keeps the draw of the lemons apart from the draws of the chunks, which count from 0.
LEMONS_STREAM, CHUNKS_STREAM = 1, 2
SCHEMA = {
    "node": pl.String,
    "from_s": pl.Int64,
    "to_s": pl.Int64,
    "class": pl.String,
    "gpus": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class _Fleet:
    """What a chunk is drawn from; node k is the k-th by name."""

    model: FaultModel
    classes: tuple[FaultClass, ...]
    events_per_chunk: FloatArray  # shape (class, node): first faults, without returns
    leaf_of: IntArray  # shape (node,)
    seed: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """Fault intervals as columns, shape (row,) each."""

    node: IntArray
    kind: IntArray
    from_s: IntArray
    to_s: IntArray

    def where(self, keep: NDArray[np.bool_] | IntArray) -> "_Rows":
        return _Rows(self.node[keep], self.kind[keep], self.from_s[keep], self.to_s[keep])


def draw_faults(
    model: FaultModel,
    nodes: pl.DataFrame,
    *,
    from_s: int,
    to_s: int,
    seed: int,
    fleet: str = "usual",
    epoch_s: int = 0,
) -> pl.DataFrame:
    """Draw the faults that begin in [from_s, to_s), cut nowhere: equal to any split of that time.

    Args:
        model: from ``read_fault_model``.
        nodes: ``node, gpus`` and, for leaf switches, ``leaf`` (and ``cluster``); any order.
        from_s, to_s: the window; an interval begins inside and may end after it.
        seed: equal seeds give equal faults; nodes added or removed give others.
        fleet: whose rates: calm, usual, harsh, or a published one (llama3, meta_rsc1, ...).
        epoch_s: when the nodes were new; nothing breaks before. The chunks count from here.

    Returns:
        ``node, from_s, to_s, class, gpus``, sorted by from_s and node. gpus 0 is the whole node,
        1 one device. A row of class ``software_or_hang`` has to_s = from_s and gpus = 1: nothing
        is down, but the job on one device of that node stops there and starts again.
        All rows of one leaf switch's fault share their two moments.

    Raises:
        InputError: for a fleet that the model does not have, or one down more than up.
    """
    if from_s < epoch_s or to_s < from_s:
        raise InputError(
            "draw_faults",
            found=f"a window from {from_s} to {to_s}",
            expected=f"one that begins at the epoch {epoch_s} or later and does not end before",
        )
    if nodes.height == 0 or from_s == to_s:
        return pl.DataFrame(schema=SCHEMA)
    nodes = nodes.sort("node")
    plan = _prepare(model, nodes, seed=seed, fleet=fleet)
    rows = _draw_window(plan, from_s, to_s, epoch_s)
    whole = np.array([one.blast in ("node", "link") for one in plan.classes])
    classes = pl.Series([one.name for one in plan.classes], dtype=pl.String)
    frame = pl.DataFrame(
        {
            "node": nodes["node"].gather(rows.node),
            "from_s": rows.from_s,
            "to_s": rows.to_s,
            "class": classes.gather(rows.kind),
            "gpus": np.where(whole[rows.kind], 0, 1).astype(np.int64),
        },
        schema=SCHEMA,
    )
    return frame.sort("from_s", "node")


def _draw_window(plan: _Fleet, from_s: int, to_s: int, epoch_s: int) -> _Rows:
    """Draw every chunk that could reach into the window; keep what begins in it."""
    back = math.ceil(plan.model.repair_s_max / CHUNK_S) + RETURNS_CHUNKS + 1
    first, last = (from_s - epoch_s) // CHUNK_S, (to_s - 1 - epoch_s) // CHUNK_S
    drawn = [_draw_chunk(plan, chunk) for chunk in range(max(0, first - back), last + 1)]
    rows = _one_at_a_time(
        _Rows(
            np.concatenate([one.node for one in drawn]),
            np.concatenate([one.kind for one in drawn]),
            np.concatenate([one.from_s for one in drawn]) + epoch_s,
            np.concatenate([one.to_s for one in drawn]) + epoch_s,
        )
    )
    return rows.where((rows.from_s >= from_s) & (rows.from_s < to_s))


def lemon_nodes(model: FaultModel, nodes: pl.DataFrame, *, seed: int) -> list[str]:
    """Return the nodes that break ``lemon_times`` as often as the others, sorted by name."""
    names = nodes["node"].sort()
    return names.gather(np.flatnonzero(_are_lemons(model, names.len(), seed))).to_list()


def _are_lemons(model: FaultModel, nodes: int, seed: int) -> NDArray[np.bool_]:
    order = _generator(seed, LEMONS_STREAM, 0).permutation(nodes)
    return order < round(model.lemon_share * nodes)


def _generator(seed: int, stream: int, chunk: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, chunk])))


def _prepare(model: FaultModel, nodes: pl.DataFrame, *, seed: int, fleet: str) -> _Fleet:
    gpus = nodes["gpus"].to_numpy().astype(np.float64)
    classes = model.fleet_classes(fleet, node_gpus=float(gpus.mean()))
    place = [column for column in ("cluster", "leaf") if column in nodes.columns]
    if "leaf" in place:
        leaf_of = nodes.select(pl.struct(place).rank("dense")).to_series().to_numpy() - 1
    else:
        leaf_of = np.arange(nodes.height)
    lemons = _are_lemons(model, nodes.height, seed)
    of_lemons, of_all = _corrections(
        model, classes, node_gpus=float(gpus.mean()), leaf_nodes=nodes.height / (leaf_of.max() + 1),
        lemon_share=float(lemons.mean()),
    )  # fmt: skip
    weight = np.where(lemons, model.lemon_times, 1.0) * of_lemons
    events = np.empty((len(classes), nodes.height))
    for kind, one in enumerate(classes):
        first_faults = one.rate_per_gpu_h * (1 - _returning_share(model, one))
        events[kind] = first_faults * gpus * (CHUNK_S / HOUR_S) * (weight if one.lemons else of_all)
    return _Fleet(model, classes, events, leaf_of.astype(np.int64), seed)


def _returning_share(model: FaultModel, one: FaultClass) -> float:
    total = sum(way.weight for way in one.repairs)
    return sum(way.weight / total * model.does_not_fix.get(way.by, 0.0) for way in one.repairs)


def _corrections(
    model: FaultModel,
    classes: tuple[FaultClass, ...],
    *,
    node_gpus: float,
    leaf_nodes: float,
    lemon_share: float,
) -> tuple[float, float]:
    """Return the factors (of an ordinary node's own faults, of all others) that keep the rates.

    A node that is down cannot fail: of faults that come with rate r and last m on average, a share
    exp(-r m) finds it up (M/G/infinity). A lemon is down more, so more of its faults are lost.

    Raises:
        InputError: if a lemon would be down most of the time: no rate can be kept there.
    """
    own_load = other_load = 0.0
    for one in classes:
        total = sum(way.weight for way in one.repairs)
        mean_s = sum(way.weight * way.mean_s(model.repair_s_max) for way in one.repairs)
        load = one.rate_per_gpu_h * node_gpus * (mean_s / total if total else 0.0) / HOUR_S
        nodes = 1 - one.leaf_share + one.leaf_share * leaf_nodes
        own_load, other_load = own_load + load * one.lemons, other_load + load * nodes
        other_load -= load * nodes * one.lemons
    times, up_all = model.lemon_times, math.exp(-other_load)
    factor = 1.0
    for _ in range(200):
        up = math.exp(-own_load * factor) * up_all
        up_lemon = math.exp(-own_load * factor * times) * up_all
        factor = 1 / ((1 - lemon_share) * up + lemon_share * times * up_lemon)
        # exp(-x) x has its peak at 1: past it, more faults drawn are fewer faults seen.
        if own_load * factor * (times if lemon_share else 1) > 1:
            raise InputError(
                "faults", found="rates and repair times at which the worst nodes are mostly down",
                expected="lower rates, shorter repairs, or lemons.times nearer to 1",
            )  # fmt: skip
    return factor, 1 / ((1 - lemon_share) * up + lemon_share * up_lemon)


def _draw_chunk(plan: _Fleet, chunk: int) -> _Rows:
    """Draw what first breaks in a chunk, and its returns; moments count from the epoch."""
    chance = _generator(plan.seed, CHUNKS_STREAM, chunk)
    counts = chance.poisson(plan.events_per_chunk)
    kind, node = np.nonzero(counts)
    kind, node = (np.repeat(one, counts[kind, node]).astype(np.int64) for one in (kind, node))
    start = chance.integers(0, CHUNK_S, kind.size) + chunk * CHUNK_S
    rows = []
    for _ in range(GENERATIONS_MAX):
        lasts, fixed = _repair(plan, kind, chance)
        rows.append(_spread(plan, _Rows(node, kind, start, start + lasts), chance))
        gap = np.rint(chance.exponential(plan.model.returns_after_s, kind.size)).astype(np.int64)
        again = start + lasts + 1 + gap
        back = ~fixed & (again < (chunk + RETURNS_CHUNKS) * CHUNK_S)
        node, kind, start = node[back], kind[back], again[back]
        if kind.size == 0:
            break
    return _Rows(
        np.concatenate([one.node for one in rows]),
        np.concatenate([one.kind for one in rows]),
        np.concatenate([one.from_s for one in rows]),
        np.concatenate([one.to_s for one in rows]),
    )


def _repair(
    plan: _Fleet, kind: IntArray, chance: np.random.Generator
) -> tuple[IntArray, NDArray[np.bool_]]:
    """Draw for each fault how long it lasts (0 for a job's own) and whether that fixed it."""
    which, spread = chance.random(kind.size), chance.random(kind.size)
    normal, luck = chance.standard_normal(kind.size), chance.random(kind.size)
    lasts = np.zeros(kind.size)
    fixed = np.ones(kind.size, dtype=np.bool_)
    for index, one in enumerate(plan.classes):
        if not one.repairs:
            continue
        mine = kind == index
        bounds = np.cumsum([way.weight for way in one.repairs])
        way_of = np.searchsorted(bounds / bounds[-1], which, side="right")
        for number, way in enumerate(one.repairs):
            chosen = mine & (np.minimum(way_of, len(one.repairs) - 1) == number)
            lasts[chosen] = _durations_s(way, spread[chosen], normal[chosen])
            fixed[chosen] = luck[chosen] >= plan.model.does_not_fix.get(way.by, 0.0)
            lasts[chosen] = np.clip(lasts[chosen], 1, plan.model.repair_s_max)
    return np.rint(lasts).astype(np.int64), fixed


def _durations_s(way: Repair, spread: FloatArray, normal: FloatArray) -> FloatArray:
    if way.sigma == 0:
        return way.low_s + (way.high_s - way.low_s) * spread
    return way.low_s * np.exp(way.sigma * normal)


def _spread(plan: _Fleet, rows: _Rows, chance: np.random.Generator) -> _Rows:
    """Let a share of the link faults take the whole leaf with them."""
    share = np.array([one.leaf_share for one in plan.classes])[rows.kind]
    of_leaf = chance.random(rows.kind.size) < share
    hit = np.flatnonzero(of_leaf)
    if hit.size == 0:
        return rows
    members = [np.flatnonzero(plan.leaf_of == plan.leaf_of[node]) for node in rows.node[hit]]
    alone = np.flatnonzero(~of_leaf)
    origin = np.concatenate([alone, np.repeat(hit, [one.size for one in members])])
    node = np.concatenate([rows.node[alone], *members])
    return _Rows(node, rows.kind[origin], rows.from_s[origin], rows.to_s[origin])


def _one_at_a_time(rows: _Rows) -> _Rows:
    """Leave out what would begin while its node is down by an earlier fault, kept or not.

    Also a fault that was itself left out hides later ones: so it depends on a bounded past only,
    and a restart that redraws that past decides the same.
    """
    rows = rows.where(np.lexsort((rows.kind, -rows.to_s, rows.from_s, rows.node)))
    if rows.node.size == 0:
        return rows
    # One running maximum over all nodes: each node's times stand above those of the node before.
    span = int(rows.to_s.max()) + 1
    reach = np.maximum.accumulate(rows.to_s + rows.node * span)
    free = np.ones(rows.node.size, dtype=np.bool_)
    free[1:] = (rows.from_s + rows.node * span)[1:] >= reach[:-1]
    return rows.where(free)
