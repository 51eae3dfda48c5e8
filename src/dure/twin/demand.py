"""Tables become what the engine reads: a pool, jobs as columns, allocation and fault facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dure.core import columns as col
from dure.core.cells import SeatRefusal, Seats, Shape, shape_named
from dure.core.columns import IntArray
from dure.core.errors import InputError
from dure.core.plan import facts_of
from dure.core.pool import Pool, Rate, pool_columns
from dure.core.quota import Right, allocated_most, provider_rights
from dure.core.state import ASKED, Account, Jobs

_CLASSES = {"": 0, "own": 1 + col.OWN, "loan": 1 + col.LOAN, "scavenge": 1 + col.SCAVENGE}
_LOCALITIES = {
    "any": col.LOCALITY_ANY,
    "preferred": col.LOCALITY_PREFERRED,
    "required": col.LOCALITY_REQUIRED,
}
_AS_THEY_ARE = (
    (col.J_SUBMIT, "submit_at_s"),
    (col.J_GPUS, "gpus"),
    (col.J_MILLI, "gpu_milli"),
    (col.J_NODES, "nodes"),
    (col.J_GPN, "gpus_per_node"),
    (col.J_SEGMENT, "segment_gpus"),
    (col.J_PATIENCE, "patience_s"),
    (col.J_MIN_GPUS, "min_gpus"),
    (col.J_ESTIMATE, "estimate_s"),
    (col.J_CKPT_EVERY, "checkpoint_every_s"),
    (col.J_CKPT_TAKES, "checkpoint_takes_s"),
    (col.J_DEADLINE, "deadline_at_s"),
    (col.J_CPU, "cpu_milli"),
    (col.J_MEMORY, "memory_mib"),
    (col.J_WORK, "duration_s"),
)


def pool_of(nodes: pl.DataFrame) -> Pool:
    """Return the engine's pool from a pool table (``twin.tables``)."""
    texts = ("node", "provider", "cluster", "leaf", "pod", "site", "accelerator", "grade", "use")
    numbers = ("gpus", "cpu_milli", "memory_mib", "in_service_at_s")
    columns: dict[str, Any] = {name: nodes[name].to_list() for name in texts}
    columns |= {name: nodes[name].to_numpy().astype(np.int64) for name in numbers}
    rated = nodes.select("accelerator", "speed_milli", "exchange_milli").unique("accelerator")
    rates = {kind: Rate(*rate) for kind, *rate in rated.sort("accelerator").iter_rows()}
    unusual = {kind: rate for kind, rate in rates.items() if rate != Rate()}
    return Pool(**columns, rates=unusual)


@dataclass
class Owners:
    """Accounts in the order in which the engine lists them, and who owns a job.

    A job belongs to its project's allocation; one whose project has none to its provider; one with
    neither runs as own against the whole pool (DESIGN section 8).
    """

    accounts: list[Account]
    index: dict[tuple[int, str], int]
    entitled_projects: set[str]
    providers: set[str]

    @classmethod
    def of(
        cls, pool: Pool, rights: list[Right], groups: Mapping[str, str] | None = None
    ) -> "Owners":
        """List the pool, its providers and whoever has rights; ``groups`` are of projects."""
        pool_account = Account("", col.ACCOUNT_POOL)
        owners = cls([pool_account], {(col.ACCOUNT_POOL, ""): 0}, set(), set(pool.providers))
        for provider in pool.providers:
            owners.add(col.ACCOUNT_PROVIDER, provider)
        for right in rights:
            owners.add(col.ACCOUNT_PROJECT, right[0], (groups or {}).get(right[0], ""))
            owners.entitled_projects.add(right[0])
        return owners

    def add(self, kind: int, name: str, group: str = "") -> int:
        key = (kind, name)
        if key not in self.index:
            self.index[key] = len(self.accounts)
            self.accounts.append(Account(name, kind, group=group))
        return self.index[key]

    def owner(self, project: str, provider: str) -> int:
        if project and project in self.entitled_projects:
            return self.index[col.ACCOUNT_PROJECT, project]
        if provider and provider in self.providers:
            return self.index[col.ACCOUNT_PROVIDER, provider]
        return 0


def columns_of(jobs: pl.DataFrame, pool: Pool, owners: Owners, *, first: int = 0) -> Jobs:
    """Return jobs as columns; ``after`` may name a job of this table or none.

    Args:
        first: the index that the engine will give to the first row.
    """
    columns = np.zeros((ASKED, jobs.height), dtype=np.int64)
    for row, name in _AS_THEY_ARE:
        columns[row] = jobs[name].to_numpy()
    projects, providers = jobs["project"].to_list(), jobs["provider"].to_list()
    pairs = {pair: owners.owner(*pair) for pair in set(zip(projects, providers, strict=True))}
    columns[col.J_OWNER] = [pairs[pair] for pair in zip(projects, providers, strict=True)]
    known = {
        name: owners.add(col.ACCOUNT_PROJECT, name) for name in dict.fromkeys(projects) if name
    }
    columns[col.J_PROJECT] = [known.get(project, 0) for project in projects]
    names = {name: i for i, name in enumerate(pool.providers)}
    columns[col.J_PROVIDER] = [names.get(provider, -1) for provider in providers]
    masks = {text: pool.type_mask(text) for text in jobs["accelerator"].unique().to_list()}
    columns[col.J_TYPES] = [masks[text] for text in jobs["accelerator"].to_list()]
    wished = {text: pool.preference(text) for text in masks}
    columns[col.J_PREFERRED] = [wished[text] for text in jobs["accelerator"].to_list()]
    columns[col.J_CLASS_ASKED] = [_CLASSES[text] for text in jobs["class"].to_list()]
    columns[col.J_LOCALITY] = [_LOCALITIES[text] for text in jobs["locality_kind"].to_list()]
    columns[col.J_LEVEL] = [
        col.LEVELS.index(text) if text else col.AT_ANY for text in jobs["locality_level"].to_list()
    ]
    columns[col.J_GRADE] = [col.GRADES.index(text) for text in jobs["grade"].to_list()]
    columns[col.J_PREEMPTIBLE] = jobs["preemptible"].to_numpy().astype(np.int64)
    job_names = jobs["job"].to_list()
    columns[col.J_AFTER] = -1
    if (jobs["after"] != "").any():
        position = {name: first + i for i, name in enumerate(job_names)}
        columns[col.J_AFTER] = [position.get(text, -1) for text in jobs["after"].to_list()]
    return Jobs(job_names, columns)


def allocation_rights(allocations: pl.DataFrame | None) -> list[Right]:
    """Return the rights of projects from an allocations table."""
    if allocations is None:
        return []
    wanted = ("project", "accelerator", "gpus", "from_s", "to_s")
    return [
        (project, kind, gpus * col.WHOLE, from_s, to_s)
        for project, kind, gpus, from_s, to_s in allocations.select(wanted).iter_rows()
    ]


def groups_of(allocations: pl.DataFrame | None) -> dict[str, str]:
    """Return each project's group, where an allocations table names one."""
    if allocations is None or "group" not in allocations.columns:
        return {}
    return dict(allocations.filter(pl.col("group") != "").select("project", "group").iter_rows())


def allocation_shapes(allocations: pl.DataFrame | None) -> list[str]:
    """Return the shape of each right of ``allocation_rights``, "" for none."""
    if allocations is None:
        return []
    if "shape" not in allocations.columns:
        return [""] * allocations.height
    return allocations["shape"].to_list()


def rights_facts(
    pool: Pool,
    owners: Owners,
    rights: list[Right],
    shapes: list[str],
    *,
    at_s: int,
    spares_pct: int = 0,
) -> IntArray:
    """Return the allocation facts of projects, with their cells, and of the providers' capacity.

    Raises:
        InputError: a shape that the pool cannot promise, by row.
    """
    known = [right[1] in pool.types for right in rights]
    parts = pool_columns(pool, spares_pct=spares_pct)
    seats = Seats(parts.nodes, parts.shelves)
    cells = [
        _seat(seats, pool, right, shape, row=row) if shape and ours else []
        for row, (right, shape, ours) in enumerate(zip(rights, shapes, known, strict=True))
    ]
    # A leaf with a cell counts whole: nobody else can be promised the rest of it.
    counted = [
        right if not at else (*right[:2], seats.whole_milli(at), *right[3:])
        for right, at in zip(rights, cells, strict=True)
    ]
    of_providers = provider_rights(pool, allocated_most(counted), spares_pct=spares_pct)
    own = [(col.ACCOUNT_PROVIDER, right, list[int]()) for right in of_providers]
    projects = [
        (col.ACCOUNT_PROJECT, right, at)
        for right, at, ours in zip(rights, cells, known, strict=True)
        if ours
    ]
    rows: list[tuple[int, ...]] = []
    for i, (kind, (name, accelerator, milli, from_s, to_s), at) in enumerate((*own, *projects)):
        account, type_ = owners.index[kind, name], pool.types.index(accelerator)
        rows.append((col.K_ALLOCATED, at_s, to_s, i, account, type_, milli, from_s))
        for shelf in at:
            nodes = milli // col.WHOLE // len(at) // int(parts.shelves[col.H_GPUS, shelf])
            rows.append((col.K_SEATED, at_s, -1, i, shelf, nodes))
    return facts_of(rows)


def _seat(seats: Seats, pool: Pool, right: Right, text: str, *, row: int) -> list[int]:
    project, accelerator, milli, from_s, to_s = right
    shape = shape_named(text)
    found: list[int] | SeatRefusal = SeatRefusal.SHAPE_IS_UNREADABLE
    if isinstance(shape, Shape):
        kind = pool.types.index(accelerator)
        gpus = milli // col.WHOLE
        found = seats.seat(shape, kind=kind, gpus=gpus, from_s=from_s, to_s=to_s)
    if isinstance(found, SeatRefusal):
        raise InputError(
            f"allocations, row {row + 1} ({project}), shape",
            found=f"{text!r} of {milli // col.WHOLE} {accelerator}: {found.value}",
            expected="CELLSxNODES, as many GPUs as its nodes have, each cell in a leaf of its own",
            next_step="Ask for fewer cells, or for fewer nodes in each.",
        )
    return found


FAULT_CLASSES_FROM = 1


@dataclass(frozen=True)
class FaultFacts:
    """Faults and repairs as facts in order of time; ``classes`` gives the names of the codes."""

    at_s: IntArray
    facts: IntArray
    classes: list[str]


def fault_facts(faults: pl.DataFrame, pool: Pool, *, start_s: int) -> FaultFacts:
    """Return faults as facts, sorted by moment, faults before repairs, then by node.

    What began before ``start_s`` and still lasts begins then; what was over by then is left out.
    """
    node_index = {name: i for i, name in enumerate(pool.names)}
    known = faults.filter(pl.col("node").is_in(list(node_index)))
    known = known.filter((pl.col("to_s") > start_s) | (pl.col("from_s") >= start_s))
    classes = sorted(set(known["class"].to_list()))
    codes = {name: i + FAULT_CLASSES_FROM for i, name in enumerate(classes)}
    rows = []
    for node, from_s, to_s, kind, gpus in known.select(
        "node", "from_s", "to_s", "class", "gpus"
    ).iter_rows():
        index = node_index[node]
        rows.append((max(from_s, start_s), col.K_FAULT, index, codes[kind], gpus))
        rows.append((to_s, col.K_REPAIRED, index, codes[kind], gpus))
    rows.sort()
    facts = np.zeros((len(rows), col.FACT_WIDTH), dtype=np.int64)
    for i, (at_s, kind, index, code, gpus) in enumerate(rows):
        facts[i, :6] = kind, at_s, -1, index, code, gpus
    return FaultFacts(facts[:, 1].copy(), facts, classes)


def service_faults(pool: Pool, *, start_s: int) -> pl.DataFrame:
    """Return the time before each node's start of service as faults of class ``not-in-service``."""
    late = np.flatnonzero(pool.in_service_at_s > start_s).tolist()
    return pl.DataFrame(
        {
            "node": [pool.node[i] for i in late],
            "from_s": [start_s] * len(late),
            "to_s": pool.in_service_at_s[late].tolist(),
            "class": ["not-in-service"] * len(late),
            "gpus": [0] * len(late),
        },
        schema={
            "node": pl.String,
            "from_s": pl.Int64,
            "to_s": pl.Int64,
            "class": pl.String,
            "gpus": pl.Int64,
        },
    )
