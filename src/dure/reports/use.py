"""Monthly use of each provider and project, from the twin's (or a live pool's) plain tables.

Tables are those that ``dure twin run --out`` writes; the window is ``[from_s, to_s)``. Whole
GPU-seconds come out: parts of one (shares of a device) are rounded down and count as idle, so that
a provider's kinds add up to its capacity times the time, exactly.
"""

from typing import Any

import polars as pl

from dure.core.errors import DureError
from dure.reports.lenders import lent_by_owner

KINDS = ("own", "loan", "scavenge", "idle", "reserved", "draining", "down")
OF_PROVIDER = "provider:"


class UnbalancedError(DureError):
    """The tables say that more was in use than there is."""


def use_by_provider(
    placements: pl.DataFrame,
    nodes: pl.DataFrame,
    faults: pl.DataFrame,
    from_s: int,
    to_s: int,
    *,
    held: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Account for every GPU-second of each provider.

    Args:
        placements: ``node, class, gpu_milli, from_s, to_s`` (null: still runs), per attempt.
        nodes: ``node, provider, gpus``.
        faults: ``node, from_s, to_s`` (null: still down) and ``gpus`` that are down, 0 or absent
            for the whole node. Faults of one node may overlap: at most the node is down.
        from_s, to_s: the window.
        held: ``node, kind`` (reserved or draining), ``gpu_milli, from_s, to_s``; if not given,
            such time counts as idle.

    Returns:
        By provider: ``nodes, gpus``, a column for each of ``KINDS`` in GPU-seconds (``own_gpu_s``
        ...) and ``capacity_gpu_s``, which is their sum.

    Raises:
        UnbalancedError: if more was used than there is.
    """
    home = nodes.select("node", "provider", pl.col("gpus").alias("node_gpus"))
    parts = [
        _clipped(placements, from_s, to_s).select("node", pl.col("class").alias("kind"), "amount"),
        _down(faults, nodes, from_s, to_s),
    ]
    if held is not None:
        parts.append(_clipped(held, from_s, to_s).select("node", "kind", "amount"))
    amounts = (
        pl.concat(parts)
        .join(home, on="node", how="inner")
        .group_by("provider", "kind")
        .agg(pl.col("amount").sum() // 1000)
    )
    table = (
        nodes.group_by("provider")
        .agg(pl.len().cast(pl.Int64).alias("nodes"), pl.col("gpus").sum())
        .with_columns((pl.col("gpus") * (to_s - from_s)).alias("capacity_gpu_s"))
    )
    for kind in KINDS:
        if kind != "idle":
            one = amounts.filter(pl.col("kind") == kind).select(
                "provider", pl.col("amount").alias(f"{kind}_gpu_s")
            )
            table = table.join(one, on="provider", how="left")
    table = _with_idle(table, from_s, to_s)
    columns = ["provider", "nodes", "gpus", *(f"{kind}_gpu_s" for kind in KINDS), "capacity_gpu_s"]
    return table.select(columns).sort("provider")


def _with_idle(table: pl.DataFrame, from_s: int, to_s: int) -> pl.DataFrame:
    """Count what no other kind took as idle; refuse a provider whose kinds took more than all."""
    used = [f"{kind}_gpu_s" for kind in KINDS if kind != "idle"]
    table = table.with_columns(pl.col(used).fill_null(0)).with_columns(
        (pl.col("capacity_gpu_s") - pl.sum_horizontal(used)).alias("idle_gpu_s")
    )
    over = table.filter(pl.col("idle_gpu_s") < 0)
    if over.height:
        first = over.row(0, named=True)
        raise UnbalancedError(
            f"provider {first['provider']}: {-first['idle_gpu_s']} GPU-seconds more in use than "
            f"its {first['gpus']} GPUs have from {from_s} to {to_s}; check placements and faults."
        )
    return table


def use_by_project(
    placements: pl.DataFrame,
    jobs: pl.DataFrame,
    allocations: pl.DataFrame,
    from_s: int,
    to_s: int,
    *,
    nodes: pl.DataFrame | None = None,
    own_use: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Hold what each project used, borrowed and lent against what it was entitled to.

    Args:
        placements: ``job, node, class, gpu_milli, from_s, to_s``.
        jobs: ``job, project, submit_at_s, wait_s`` (null: not started), and ``provider`` for jobs
            without a project.
        allocations: ``project, accelerator, gpus, from_s, to_s``, a row for each size it had.
        from_s, to_s: the window.
        nodes: ``node, accelerator, gpus``; without them lending is told by all types together
            and no surplus is known.
        own_use: ``provider, accelerator, gpus``: what providers keep for their own use, which
            is lent, too.

    Returns:
        By project: ``entitled_gpu_s, own_gpu_s, borrowed_gpu_s, scavenged_gpu_s, lent_gpu_s``,
        ``percent`` (own of entitled, rounded down, null without an entitlement), ``jobs``
        (submitted in the window), ``jobs_started`` and ``wait_s_mean`` of those (rounded down,
        null if none has started).
    """
    provider = pl.col("provider") if "provider" in jobs.columns else pl.lit("")
    named = pl.when(pl.col("project") != "").then("project").otherwise(OF_PROVIDER + provider)
    owners = jobs.select("job", "project", named.alias("owner"))
    ran = _clipped(placements, from_s, to_s).join(owners, on="job", how="left")
    ran = ran.with_columns(pl.col("project", "owner").fill_null(""))
    table = _entitled(allocations, from_s, to_s)
    for kind, column in (("own", "own"), ("loan", "borrowed"), ("scavenge", "scavenged")):
        one = ran.filter(pl.col("class") == kind).group_by("project")
        one_sum = one.agg((pl.col("amount").sum() // 1000).alias(f"{column}_gpu_s"))
        table = table.join(one_sum, on="project", how="full", coalesce=True)
    within = jobs.filter(pl.col("submit_at_s").is_between(from_s, to_s, closed="left"))
    queued = within.group_by("project").agg(
        pl.len().cast(pl.Int64).alias("jobs"),
        pl.col("wait_s").is_not_null().sum().cast(pl.Int64).alias("jobs_started"),
        (pl.col("wait_s").sum() // pl.col("wait_s").count()).alias("wait_s_mean"),
    )
    table = table.join(queued, on="project", how="full", coalesce=True)
    lent = lent_by_owner(ran, allocations, from_s, to_s, nodes=nodes, own_use=own_use)
    table = table.join(lent, left_on="project", right_on="owner", how="left")
    counts = ["entitled_gpu_s", "own_gpu_s", "borrowed_gpu_s", "scavenged_gpu_s", "lent_gpu_s"]
    percent = pl.col("own_gpu_s") * 100 // pl.col("entitled_gpu_s")
    return (
        table.filter(pl.col("project") != "")
        .with_columns(pl.col([*counts, "jobs", "jobs_started"]).fill_null(0))
        .with_columns(pl.when(pl.col("entitled_gpu_s") > 0).then(percent).alias("percent"))
        .select("project", *counts, "percent", "jobs", "jobs_started", "wait_s_mean")
        .sort("project")
    )


def use_document(month: str, projects: pl.DataFrame, providers: pl.DataFrame) -> dict[str, Any]:
    """Put a month's tables into one document, with totals and the balance of each provider."""
    sums = providers.select(pl.col(pl.Int64).exclude("nodes", "gpus").sum()).row(0, named=True)
    kinds = sum(int(value) for name, value in sums.items() if name != "capacity_gpu_s")
    return {
        "month": month,
        "total": sums,
        "is_balanced": kinds == int(sums["capacity_gpu_s"]),
        "providers": providers.to_dicts(),
        "projects": projects.to_dicts(),
    }


def _clipped(rows: pl.DataFrame, from_s: int, to_s: int) -> pl.DataFrame:
    """Cut rows to the window; ``amount`` is milli-GPU-seconds."""
    return (
        rows.with_columns(
            pl.col("from_s").clip(from_s, to_s), pl.col("to_s").fill_null(to_s).clip(from_s, to_s)
        )
        .filter(pl.col("to_s") > pl.col("from_s"))
        .with_columns((pl.col("gpu_milli") * (pl.col("to_s") - pl.col("from_s"))).alias("amount"))
    )


def _entitled(allocations: pl.DataFrame, from_s: int, to_s: int) -> pl.DataFrame:
    lasted = pl.col("to_s").clip(from_s, to_s) - pl.col("from_s").clip(from_s, to_s)
    return allocations.group_by("project").agg(
        (pl.col("gpus") * lasted).sum().alias("entitled_gpu_s")
    )


def _down(faults: pl.DataFrame, nodes: pl.DataFrame, from_s: int, to_s: int) -> pl.DataFrame:
    """Return milli-GPU-seconds down by node, overlapping faults counted up to the whole node.

    Every start and end of a fault is a moment at which the number of devices down changes; between
    two such moments it stands.
    """
    size = nodes.select("node", pl.col("gpus").alias("node_gpus"))
    known = faults if "gpus" in faults.columns else faults.with_columns(pl.lit(0).alias("gpus"))
    cut = known.select(
        "node",
        pl.col("from_s").clip(from_s, to_s),
        pl.col("to_s").fill_null(to_s).clip(from_s, to_s),
        pl.col("gpus").cast(pl.Int64).fill_null(0),
    ).filter(pl.col("to_s") > pl.col("from_s"))
    cut = cut.join(size, on="node", how="inner").with_columns(
        pl.when(pl.col("gpus") > 0).then("gpus").otherwise("node_gpus").alias("down")
    )
    starts = cut.select("node", "node_gpus", pl.col("from_s").alias("at_s"), "down")
    ends = cut.select("node", "node_gpus", pl.col("to_s").alias("at_s"), -pl.col("down"))
    return (
        pl.concat([starts, ends])
        .group_by("node", "node_gpus", "at_s")
        .agg(pl.col("down").sum())
        .sort("node", "at_s")
        .with_columns(
            pl.col("down").cum_sum().over("node").alias("now"),
            (pl.col("at_s").shift(-1).over("node") - pl.col("at_s")).fill_null(0).alias("for_s"),
        )
        .with_columns(pl.min_horizontal("now", "node_gpus").alias("now"))
        .group_by("node")
        .agg((pl.col("now") * pl.col("for_s")).sum().alias("amount") * 1000)
        .select("node", pl.lit("down").alias("kind"), "amount")
    )
