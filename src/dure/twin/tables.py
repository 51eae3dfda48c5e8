"""The tables that enter the twin: jobs, pool, allocations, faults.

Each ``read_`` function returns every column of docs/architecture.md, typed and defaulted, or raises
InputError naming file, row (1 is the first row of data) and column. Columns that we do not know are
ignored. A job that is well formed but can never run is no error here: the engine refuses it.
"""

from pathlib import Path

import polars as pl

from dure.core.errors import InputError
from dure.core.pool import EXCHANGE_MILLI, SPEED_MILLI
from dure.twin.pool_yaml import cluster_nodes, pool_from_yaml
from dure.twin.table_columns import WHOLE_MAX, Column, Kind, normalised, refuse_first
from dure.twin.table_files import Source, read_raw
from dure.twin.table_relations import (
    refuse_broken_chains,
    refuse_repeated,
    refuse_sum_beyond,
    refuse_two_parents,
)

LEVELS = ("node", "leaf", "pod", "cluster", "site")
CLASSES = ("own", "loan", "scavenge")
GRADES = ("C", "S", "O")
# A placement's devices are the bits of one signed 64-bit integer.
NODE_GPUS_MAX = 63

TYPES_PATTERN = r"^[^|\s](?:[^|]*[^|\s])?(?:\|[^|\s](?:[^|]*[^|\s])?)*$"
LOCALITY_PATTERN = (
    rf"^(?:any|required:(?:{'|'.join(LEVELS)})|preferred:(?:{'|'.join(LEVELS)}):[0-9]{{1,15}})$"
)

_TYPES = Column(
    "accelerator",
    Kind.TEXT,
    default="",
    pattern=TYPES_PATTERN,
    pattern_said='a type, or types as in "B200|H200"',
)
_LOCALITY = Column(
    "locality",
    Kind.TEXT,
    default="any",
    pattern=LOCALITY_PATTERN,
    pattern_said=(
        f"any, required:LEVEL or preferred:LEVEL:PATIENCE_S with LEVEL one of {', '.join(LEVELS)}"
    ),
)

JOB_COLUMNS = (
    Column("job", Kind.TEXT, no_gaps=True),
    Column("project", Kind.TEXT, default=""),
    Column("provider", Kind.TEXT, default=""),
    Column("submit_at_s", required=True),
    Column("duration_s", required=True),
    Column("gpus", required=True),
    Column("gpu_milli", default=1000, least=1, most=1000),
    Column("nodes", default=0),
    Column("gpus_per_node", default=0),
    Column("segment_gpus", default=0),
    _TYPES,
    Column("class", Kind.TEXT, default="", words=CLASSES),
    _LOCALITY,
    Column("min_gpus", default=0),
    Column("estimate_s", default=-1),
    Column("checkpoint_every_s", default=0),
    Column("checkpoint_takes_s", default=-1),
    Column("preemptible", Kind.FLAG, default=True),
    Column("grade", Kind.TEXT, default="O", words=GRADES),
    Column("deadline_at_s", default=-1),
    Column("after", Kind.TEXT, default=""),
    Column("cpu_milli", default=0),
    Column("memory_mib", default=0),
)
POOL_COLUMNS = (
    Column("node", Kind.TEXT, required=True),
    Column("provider", Kind.TEXT, required=True),
    Column("cluster", Kind.TEXT, required=True),
    Column("leaf", Kind.TEXT, required=True),
    Column("pod", Kind.TEXT),
    Column("site", Kind.TEXT),
    Column(
        "accelerator",
        Kind.TEXT,
        required=True,
        pattern=r"^[^|\s](?:[^|]*[^|\s])?$",
        pattern_said="one type",
    ),
    Column("gpus", required=True, least=1, most=NODE_GPUS_MAX),
    Column("cpu_milli", default=0),
    Column("memory_mib", default=0),
    Column("cooling", Kind.TEXT, default=""),
    Column("grade", Kind.TEXT, default="C", words=GRADES),
    Column("in_service_at_s", default=0),
    Column("use", Kind.TEXT, default="public", words=("public", "own")),
    Column("speed_milli", default=1000, least=SPEED_MILLI[0], most=SPEED_MILLI[1]),
    Column("exchange_milli", default=1000, least=EXCHANGE_MILLI[0], most=EXCHANGE_MILLI[1]),
)
ALLOCATION_COLUMNS = (
    Column("project", Kind.TEXT, required=True),
    Column(
        "accelerator",
        Kind.TEXT,
        required=True,
        pattern=TYPES_PATTERN,
        pattern_said=_TYPES.pattern_said,
    ),
    Column("gpus", required=True),
    Column("from_s", required=True),
    Column("to_s", required=True),
    Column("shape", Kind.TEXT, default=""),
    Column("lendable", Kind.FLAG, default=True),
    Column("group", Kind.TEXT, default=""),
)
FAULT_COLUMNS = (
    Column("node", Kind.TEXT, required=True),
    Column("from_s", required=True),
    Column("to_s", required=True),
    Column("class", Kind.TEXT, required=True),
    Column("gpus", default=0),
)


def read_jobs(path: Path) -> pl.DataFrame:
    """Read the jobs of a run, sorted by submission; jobs submitted together keep the file's order.

    Without a ``job`` column the ids are "1".."n" by the file's rows. A table without rows is
    allowed: nobody asks for anything.

    Args:
        path: Parquet or CSV.

    Raises:
        InputError: if the file cannot be read or has a cell that DESIGN section 8 does not allow;
            also for repeated ids, an ``after`` that names no job or leads back to its own job, and
            sums beyond 2^53 (GPU-seconds of all jobs, the last submission plus all durations).
    """
    source = Source(str(path))
    raw = read_raw(path, known=[column.name for column in JOB_COLUMNS])
    frame = normalised(raw, JOB_COLUMNS, source)
    if "job" in raw.columns:
        refuse_repeated(frame["job"], "job", source)
    else:
        ids = pl.int_range(1, frame.height + 1, eager=True).cast(pl.String)
        frame = frame.with_columns(ids.alias("job"))
    refuse_broken_chains(frame["job"], frame["after"], source)
    _refuse_sums_beyond(frame, source)
    return _with_locality(frame).sort("submit_at_s", maintain_order=True)


def _refuse_sums_beyond(frame: pl.DataFrame, source: Source) -> None:
    """Refuse what would overflow the engine's sums, which are int64 in milli-GPU-seconds."""
    duration_s = frame["duration_s"].cast(pl.Float64)
    gpus = frame["gpus"].cast(pl.Float64)
    asked = frame["nodes"].cast(pl.Float64) * frame["gpus_per_node"].cast(pl.Float64)
    refuse_first(
        asked > WHOLE_MAX,
        frame["gpus_per_node"],
        "gpus_per_node",
        source,
        expected="nodes x gpus_per_node of at most 2^53",
    )
    refuse_sum_beyond(gpus, frame["gpus"], "gpus", source, said="all GPUs asked for")
    refuse_sum_beyond(
        gpus * duration_s,
        frame["duration_s"],
        "duration_s",
        source,
        said="all gpus x duration_s",
    )
    submitted_last = float(str(frame["submit_at_s"].max() or 0))
    refuse_sum_beyond(
        duration_s,
        frame["duration_s"],
        "duration_s",
        source,
        said="the last submission and all durations",
        before=submitted_last,
    )


def _with_locality(frame: pl.DataFrame) -> pl.DataFrame:
    """Part ``locality`` into kind, level and patience, in its place."""
    parts = pl.col("locality").str.split(":")
    at = frame.get_column_index("locality")
    names = frame.columns
    split = frame.with_columns(
        parts.list.get(0).alias("locality_kind"),
        parts.list.get(1, null_on_oob=True).fill_null("").alias("locality_level"),
        parts.list.get(2, null_on_oob=True).cast(pl.Int64).fill_null(0).alias("patience_s"),
    )
    parted = ["locality_kind", "locality_level", "patience_s"]
    return split.select(names[:at] + parted + names[at + 1 :])


def read_pool(path: Path) -> pl.DataFrame:
    """Read the nodes of a pool, in the file's order.

    An absent ``pod`` becomes the cluster's name (the cluster is one pod), an absent ``site`` that
    of its cluster's other nodes or, if none says, their first provider's. A pool without nodes is
    an error.

    Args:
        path: Parquet or CSV with one row a node; or YAML as facts/national-pool.yaml, whose
            clusters become nodes like ``naver-h200-a-0001`` (see ``pool_yaml``).

    Raises:
        InputError: if the file cannot be read, a cell is not allowed, a node stands there twice, or
            a cluster in two sites.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        raw = pool_from_yaml(path)
    else:
        raw = read_raw(
            path,
            known=[column.name for column in POOL_COLUMNS],
            endings=(".parquet", ".csv", ".yaml", ".yml"),
        )
    return _pool(raw, Source(str(path)))


def _pool(raw: pl.DataFrame, source: Source) -> pl.DataFrame:
    frame = normalised(raw, POOL_COLUMNS, source)
    if frame.height == 0:
        raise source.error(found="no nodes", expected="one row a node, at least one")
    refuse_repeated(frame["node"], "node", source)
    refuse_two_parents(frame["cluster"], frame["site"], "site", source)
    for name in ("speed_milli", "exchange_milli"):
        _refuse_two_rates(frame, name, source)
    # One site for all of a cluster, also where several providers share it.
    said = pl.coalesce("site", "provider").sort_by(pl.col("site").is_null(), maintain_order=True)
    return frame.with_columns(
        pl.col("pod").fill_null(pl.col("cluster")),
        pl.col("site").fill_null(said.first().over("cluster")),
    )


def _refuse_two_rates(frame: pl.DataFrame, name: str, source: Source) -> None:
    """Raise InputError at the first node whose type was worth something else before."""
    first = pl.col(name).first().over("accelerator")
    refuse_first(
        frame.select(pl.col(name) != first).to_series(),
        frame[name],
        name,
        source,
        expected="one number for all nodes of an accelerator",
    )


def read_allocations(path: Path) -> pl.DataFrame:
    """Read who holds how many GPUs from when to when, in the file's order.

    A table without rows is allowed: then every project draws on its provider or on the whole pool.

    Raises:
        InputError: if the file cannot be read, a cell is not allowed, or ``to_s`` is before
            ``from_s``.
    """
    return _read_intervals(path, ALLOCATION_COLUMNS)


def read_faults(path: Path) -> pl.DataFrame:
    """Read which node is down from when to when, in the file's order; ``gpus`` 0 is the whole node.

    A table without rows is allowed: nothing breaks. Intervals of one node may overlap. A node that
    the pool does not have is no error here.

    Raises:
        InputError: if the file cannot be read, a cell is not allowed, or ``to_s`` is before
            ``from_s``.
    """
    return _read_intervals(path, FAULT_COLUMNS)


def _read_intervals(path: Path, columns: tuple[Column, ...]) -> pl.DataFrame:
    source = Source(str(path))
    frame = normalised(read_raw(path, known=[one.name for one in columns]), columns, source)
    refuse_first(
        frame["to_s"] < frame["from_s"],
        frame["to_s"],
        "to_s",
        source,
        expected="a moment not before from_s",
    )
    if "gpus" in frame.columns:
        refuse_sum_beyond(
            frame["gpus"].cast(pl.Float64), frame["gpus"], "gpus", source, said="all gpus"
        )
    return frame


def pool_for_clusters(
    sizes: dict[str, int],
    gpus_per_node: int = 8,
    nodes_per_leaf: int = 32,
    accelerator: str = "GPU",
) -> pl.DataFrame:
    """Make a pool of plain clusters, each its own provider, for traces that bring no machines.

    Args:
        sizes: GPUs of each cluster, by its name, which is also its provider's and its site's;
            a multiple of ``gpus_per_node``, >= 1 node.
        gpus_per_node: GPUs of every node, 1..63.
        nodes_per_leaf: nodes that share a leaf, >= 1; a cluster is one pod.
        accelerator: the type of all devices.

    Returns:
        A pool as ``read_pool`` returns it; nodes are named like ``itp-1-0001``.

    Raises:
        InputError: if a size is not a multiple of ``gpus_per_node``, or a limit is not kept.
    """
    for name, value in (("gpus_per_node", gpus_per_node), ("nodes_per_leaf", nodes_per_leaf)):
        if value < 1:
            raise InputError(name, found=str(value), expected="1 or more")
    rows = []
    for name, gpus in sizes.items():
        if gpus < 1 or gpus % gpus_per_node:
            raise InputError(
                f"size of {name}",
                found=f"{gpus} GPUs",
                expected=f"a positive multiple of {gpus_per_node}, the GPUs of a node",
                next_step="Round it up.",
            )
        rows.append(
            cluster_nodes(
                cluster=name,
                provider=name,
                nodes=gpus // gpus_per_node,
                nodes_per_leaf=nodes_per_leaf,
                gpus=gpus_per_node,
                accelerator=accelerator,
            )
        )
    if not rows:
        raise InputError("clusters", found="none", expected="at least one name and size")
    return _pool(pl.concat(rows), Source("clusters"))
