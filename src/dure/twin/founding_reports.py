"""The founding scenario's reports: each month's use, each call beside reality; JSON and CSV."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dure.core.calendar import month_of, month_window_s
from dure.core.pool import Pool
from dure.core.programme import Refusal
from dure.reports.round import decisions_csv
from dure.reports.use import OF_PROVIDER, use_by_project, use_by_provider, use_document
from dure.services.programme import Programme
from dure.twin.use_meter import STOOD, MonthMeter

Document = dict[str, Any]
_ALLOCATIONS = {
    "project": pl.String,
    "accelerator": pl.String,
    "gpus": pl.Int64,
    "from_s": pl.Int64,
    "to_s": pl.Int64,
}
_NO_FAULTS = {"node": pl.String, "from_s": pl.Int64, "to_s": pl.Int64}


def _nodes(pool: Pool) -> pl.DataFrame:
    """Return the pool's nodes as reports read them, in the engine's order."""
    texts = ("node", "provider", "accelerator")
    order = pool.order.tolist()
    frame = pl.DataFrame({name: [getattr(pool, name)[i] for i in order] for name in texts})
    return frame.with_columns(gpus=pl.Series(pool.gpus[pool.order], dtype=pl.Int64))


def month_document(
    metered: MonthMeter,
    placements: pl.DataFrame,
    jobs: pl.DataFrame,
    allocations: pl.DataFrame,
    *,
    pool: Pool,
    own_use: pl.DataFrame,
) -> Document:
    """Account for a month, or the part of it that was metered.

    Args:
        metered: what no placement tells: time reserved, draining, down; and the window.
        placements, jobs: the tables of ``dure twin run``, of the whole run or more than the month.
        allocations: ``project, accelerator, gpus, from_s, to_s``, a row a size.
        own_use: ``provider, accelerator, gpus``.

    Returns:
        ``reports.use.use_document`` with ``own_use``: how much of its own GPUs each provider used
        by itself, and what it lent.
    """
    from_s, to_s = metered.from_s, metered.to_s
    nodes = _nodes(pool)
    providers = use_by_provider(
        placements,
        nodes,
        pl.DataFrame(schema=_NO_FAULTS),
        from_s,
        to_s,
        held=_stood(metered, nodes["node"]),
    )
    projects = use_by_project(
        placements,
        _jobs_until(jobs, to_s),
        pl.concat([allocations, _own_rights(own_use, from_s, to_s)]),
        from_s,
        to_s,
        nodes=nodes.select("node", "accelerator", "gpus"),
    )
    is_provider = pl.col("project").str.starts_with(OF_PROVIDER)
    document = use_document(month_of(from_s), projects.filter(~is_provider), providers)
    kept = projects.filter(is_provider).with_columns(
        pl.col("project").str.strip_prefix(OF_PROVIDER)
    )
    is_whole = (from_s, to_s) == month_window_s(month_of(from_s))
    return document | {
        "from_s": from_s,
        "to_s": to_s,
        "is_whole_month": is_whole,
        "is_synthetic": True,
        "own_use": kept.rename({"project": "provider"}).to_dicts(),
    }


def _own_rights(own_use: pl.DataFrame, from_s: int, to_s: int) -> pl.DataFrame:
    """Return what providers keep for themselves as allocations of projects ``provider:NAME``."""
    return own_use.select(
        (OF_PROVIDER + pl.col("provider")).alias("project"),
        "accelerator",
        "gpus",
        pl.lit(from_s, pl.Int64).alias("from_s"),
        pl.lit(to_s, pl.Int64).alias("to_s"),
    )


def _jobs_until(jobs: pl.DataFrame, to_s: int) -> pl.DataFrame:
    """Return the jobs as they stood then, those of providers under projects ``provider:NAME``."""
    is_of_provider = (pl.col("project") == "") & (pl.col("provider") != "")
    whose = pl.when(is_of_provider).then(OF_PROVIDER + pl.col("provider")).otherwise("project")
    started = pl.col("submit_at_s") + pl.col("wait_s") < to_s
    waited = pl.when(started).then("wait_s")
    return jobs.select("job", whose.alias("project"), "submit_at_s", waited.alias("wait_s"))


def allocation_table(programme: Programme) -> pl.DataFrame:
    """Return the programme's allocations, a row for each size that one had."""
    rows = [{name: row[name] for name in _ALLOCATIONS} for row in programme.allocation_rows()]
    return pl.DataFrame(rows, schema=_ALLOCATIONS)


def round_documents(programme: Programme, published: dict[str, Any]) -> list[Document]:
    """Return every call's result, the published figures beside those that they are about."""
    documents = []
    for call in programme.tables.calls:
        report = programme.round_report(call, published.get(call))
        assert not isinstance(report, Refusal), report
        documents.append({**report, "counts": programme.tables.counts(call)})
    return documents


def write_use(document: Document, out: Path) -> None:
    """Write ``use-2026-03.json`` and, a line a provider and a project, ``use-2026-03.csv``."""
    stem = f"use-{document['month']}"
    _write_json(document, out / f"{stem}.json")
    parts = [
        pl.DataFrame(document[part], infer_schema_length=None)
        .rename({column: "who"})
        .select(pl.lit(kind).alias("kind"), pl.all())
        for kind, part, column in (
            ("provider", "providers", "provider"),
            ("own_use", "own_use", "provider"),
            ("project", "projects", "project"),
        )
        if document[part]
    ]
    table = pl.concat(parts, how="diagonal_relaxed")
    table.select(pl.lit(document["month"]).alias("month"), pl.all()).write_csv(out / f"{stem}.csv")


def write_round(programme: Programme, published: dict[str, Any], out: Path) -> None:
    """Write ``round.json``: calls, recalls, handovers; and ``round.csv``: a line an application."""
    body = {
        "is_synthetic": True,
        "calls": round_documents(programme, published),
        "checks": programme.check_rows(),
        "recalls": programme.recall_rows(),
        "handovers": [
            {"at_s": one.at_s, "application": one.application, "gpus": one.gpus,
             "accelerator": one.accelerator, "from": list(one.from_allocations)}
            for one in programme.tables.handovers
        ],
    }  # fmt: skip
    _write_json(body, out / "round.json")
    (out / "round.csv").write_text(decisions_csv(programme.application_rows()), encoding="utf-8")


def _stood(metered: MonthMeter, names: pl.Series) -> pl.DataFrame:
    """Return what stood reserved, draining or down by node, as if within one second."""
    kind, node = np.nonzero(metered.stood)
    at_s = np.full(kind.size, metered.from_s, dtype=np.int64)
    return pl.DataFrame(
        {
            "node": names.gather(node),
            "kind": pl.Series(list(STOOD), dtype=pl.String).gather(kind),
            "gpu_milli": metered.stood[kind, node],
            "from_s": at_s,
            "to_s": at_s + 1,
        }
    )


def _write_json(body: Document, path: Path) -> None:
    text = json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
