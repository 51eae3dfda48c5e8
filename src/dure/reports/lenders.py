"""Whose idle entitlement the borrowed GPU-seconds came from.

An entitlement counts GPUs of a type, not places, so a loan has no lender by itself. Here each
hour's loans of a type are laid to the owners in proportion to what they left unused in that hour;
capacity that nobody is entitled to is the owner ``SURPLUS``.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
HOUR_S = 3_600
SURPLUS = "surplus"


def lent_by_owner(
    ran: pl.DataFrame,
    allocations: pl.DataFrame,
    from_s: int,
    to_s: int,
    *,
    nodes: pl.DataFrame | None,
    own_use: pl.DataFrame | None,
) -> pl.DataFrame:
    """Share the loans of a window among those whose capacity stood idle.

    Args:
        ran: placements within the window with ``owner`` joined, a project or ``provider:NAME``:
            ``node, owner, class, gpu_milli, from_s, to_s``.
        allocations: ``project, accelerator, gpus, from_s, to_s``.
        from_s, to_s: the window.
        nodes: ``node, accelerator, gpus``, for types and surplus.
        own_use: ``provider, accelerator, gpus``.

    Returns:
        ``owner, lent_gpu_s``; all together at most what was borrowed, less than an owner's count of
        GPU-seconds an hour below it (shares are rounded down).
    """
    assert to_s > from_s
    rights = _rights(allocations, own_use, from_s, to_s)
    if nodes is None:
        ran = ran.with_columns(pl.lit("").alias("accelerator"))
        rights = rights.with_columns(pl.lit("").alias("accelerator"))
    else:
        ran = ran.join(nodes.select("node", "accelerator"), on="node", how="inner")
    lent: dict[str, int] = {}
    for accelerator in sorted(set(ran.filter(pl.col("class") == "loan")["accelerator"])):
        capacity = 0
        if nodes is not None:
            capacity = int(nodes.filter(pl.col("accelerator") == accelerator)["gpus"].sum())
        shares = _shares(
            ran.filter(pl.col("accelerator") == accelerator),
            rights.filter(pl.col("accelerator") == accelerator),
            from_s,
            to_s,
            capacity_gpus=capacity,
        )
        for owner, gpu_s in shares.items():
            lent[owner] = lent.get(owner, 0) + gpu_s
    return pl.DataFrame(
        {"owner": list(lent), "lent_gpu_s": list(lent.values())},
        schema={"owner": pl.String, "lent_gpu_s": pl.Int64},
    ).sort("owner")


def _rights(
    allocations: pl.DataFrame, own_use: pl.DataFrame | None, from_s: int, to_s: int
) -> pl.DataFrame:
    """Return what projects and, all the time, providers are entitled to, by ``owner``."""
    entitled = [
        allocations.select(
            pl.col("project").alias("owner"), "accelerator", "gpus", "from_s", "to_s"
        )
    ]
    if own_use is not None:
        entitled.append(
            own_use.select(
                ("provider:" + pl.col("provider")).alias("owner"),
                "accelerator",
                "gpus",
                pl.lit(from_s).alias("from_s"),
                pl.lit(to_s).alias("to_s"),
            )
        )
    return pl.concat(entitled, how="vertical_relaxed")


def _shares(
    ran: pl.DataFrame, rights: pl.DataFrame, from_s: int, to_s: int, *, capacity_gpus: int
) -> dict[str, int]:
    owners = [*sorted(set(rights["owner"])), SURPLUS]
    row = {owner: place for place, owner in enumerate(owners)}
    entitled = hourly(
        [row[owner] for owner in rights["owner"]],
        rights.select("from_s", "to_s", pl.col("gpus") * 1000),
        len(owners),
        from_s,
        to_s,
    )
    own = ran.filter((pl.col("class") == "own") & pl.col("owner").is_in(owners))
    used = hourly(
        [row[owner] for owner in own["owner"]],
        own.select("from_s", "to_s", "gpu_milli"),
        len(owners),
        from_s,
        to_s,
    )
    loans = ran.filter(pl.col("class") == "loan").select("from_s", "to_s", "gpu_milli")
    borrowed = hourly([0] * loans.height, loans, 1, from_s, to_s)[0]
    edges = _edges(from_s, to_s)
    offered = capacity_gpus * 1000 * np.diff(edges)
    entitled[-1] = np.maximum(0, offered - entitled.sum(axis=0))
    idle = np.maximum(0, entitled - used)
    total = idle.sum(axis=0)
    # Milli-GPU-seconds of an hour squared pass 64 bits, so the ratio is taken in whole GPU-seconds.
    share = (borrowed // 1000) * (idle // 1000) // np.maximum(total // 1000, 1)
    return {owner: int(share[place].sum()) for owner, place in row.items()}


def hourly(rows: list[int], spans: pl.DataFrame, count: int, from_s: int, to_s: int) -> Int64Array:
    """Integrate amounts over time by owner and hour.

    Args:
        rows: the owner of each span, 0 .. count - 1.
        spans: three columns: from, to, amount; cut to the window here.
        count: owners.
        from_s, to_s: the window.

    Returns:
        Amount x seconds, shape (count, hour); the last hour may be shorter.
    """
    edges = _edges(from_s, to_s)
    hours = len(edges) - 1
    columns: list[Any] = [spans[name].to_numpy().astype(np.int64) for name in spans.columns]
    start, end = np.clip(columns[0], from_s, to_s), np.clip(columns[1], from_s, to_s)
    owner, amount = np.asarray(rows, dtype=np.int64), columns[2]
    first = np.minimum((start - from_s) // HOUR_S, hours - 1)
    last = np.minimum((end - from_s) // HOUR_S, hours - 1)
    # A rate that begins in one hour and ends in another: full hours between, parts at both ends.
    rate = np.zeros((count, hours + 1), dtype=np.int64)
    part = np.zeros((count, hours), dtype=np.int64)
    np.add.at(rate, (owner, first), amount)
    np.add.at(rate, (owner, last), -amount)
    np.add.at(part, (owner, first), -amount * (start - edges[first]))
    np.add.at(part, (owner, last), amount * (end - edges[last]))
    full = np.cumsum(rate[:, :hours], axis=1) * np.diff(edges)
    return np.asarray(full + part, dtype=np.int64)


def _edges(from_s: int, to_s: int) -> Int64Array:
    edges = np.arange(from_s, to_s, HOUR_S, dtype=np.int64)
    return np.append(edges, to_s)
