"""Reads the node and task files of the openb data set (Alibaba 2023) as they are.

Nodes: ``sn, cpu_milli, memory_mib, gpu, model``. Tasks: ``cpu_milli, memory_mib, num_gpu,
gpu_milli, gpu_spec`` and, where one file holds several, ``variant``. Other columns are ignored.
"""

from pathlib import Path

import numpy as np
import polars as pl

from dure.core.columns import WHOLE, IntArray
from dure.core.packing import CPU, FIRST_GPU, MEMORY, Cluster
from dure.twin.table_columns import Column, Kind, normalised, refuse_first
from dure.twin.table_files import Source, quoted, read_raw
from dure.twin.table_relations import refuse_repeated

# Beyond any machine: 10,000 cores, a pebibyte. Sums and products of them stay far below 2^63.
CPU_MILLI_MAX = 10_000_000
MEMORY_MIB_MAX = 1 << 30
GPUS_MAX = 64
MODELS_MAX = 62

_SPEC_PATTERN = r"^[^|]+(\|[^|]+)*$"
NODE_COLUMNS = (
    Column("sn", Kind.TEXT, required=True),
    Column("cpu_milli", required=True, most=CPU_MILLI_MAX),
    Column("memory_mib", required=True, most=MEMORY_MIB_MAX),
    Column("gpu", required=True, most=GPUS_MAX),
    Column("model", Kind.TEXT, default=""),
)
TASK_COLUMNS = (
    Column("variant", Kind.TEXT),
    Column("cpu_milli", required=True, most=CPU_MILLI_MAX),
    Column("memory_mib", required=True, most=MEMORY_MIB_MAX),
    Column("num_gpu", required=True, most=GPUS_MAX),
    Column("gpu_milli", default=WHOLE, most=WHOLE),
    Column(
        "gpu_spec",
        Kind.TEXT,
        default="",
        pattern=_SPEC_PATTERN,
        pattern_said='a model, or models as in "T4|P100"',
    ),
)


def read_cluster(path: Path) -> tuple[Cluster, list[str]]:
    """Read nodes, empty, in the order of their names; and the models' names by number.

    Raises:
        InputError: naming file, row and column of what cannot be read; or if there is no GPU.
    """
    source = Source(str(path))
    raw = read_raw(path, known=[one.name for one in NODE_COLUMNS])
    frame = normalised(raw, NODE_COLUMNS, source)
    refuse_repeated(frame["sn"], "sn", source)
    if frame["gpu"].sum() == 0:
        raise source.error(
            column="gpu", found="no GPU on any node", expected="a cluster that has some"
        )
    frame = frame.sort("sn")
    models = sorted(set(frame["model"]))
    if len(models) > MODELS_MAX:
        raise source.error(
            column="model", found=f"{len(models)} models", expected=f"at most {MODELS_MAX}"
        )
    gpus = frame["gpu"].to_numpy().astype(np.int64)
    free = np.zeros((len(gpus), FIRST_GPU + int(gpus.max())), dtype=np.int64)
    free[:, CPU] = frame["cpu_milli"].to_numpy()
    free[:, MEMORY] = frame["memory_mib"].to_numpy()
    free[:, FIRST_GPU:] = np.where(np.arange(gpus.max()) < gpus[:, None], WHOLE, 0)
    number = np.array([models.index(model) for model in frame["model"]], dtype=np.int64)
    return Cluster(free, gpus, number, np.zeros_like(gpus)), models


def read_tasks(path: Path, variant: str, models: list[str]) -> IntArray:
    """Read one variant's tasks in the file's order.

    Args:
        path: the file; without a column ``variant`` all of it is the variant.
        variant: which to read.
        models: the cluster's models; others that a task names are not there to be used.

    Returns:
        What each task asks, shape (task, KIND_WIDTH).

    Raises:
        InputError: naming file, row and column of what cannot be read.
    """
    source = Source(str(path))
    raw = read_raw(path, known=[one.name for one in TASK_COLUMNS])
    frame = normalised(raw, TASK_COLUMNS, source)
    refuse_first(
        (frame["num_gpu"] == 1) & (frame["gpu_milli"] == 0),
        frame["gpu_milli"],
        "gpu_milli",
        source,
        expected=f"a whole number from 1 to {WHOLE} where num_gpu is 1",
    )
    if "variant" in raw.columns:
        frame = _only(frame, variant, source)
    if frame.height == 0:
        raise source.error(found="no task", expected="at least one")
    spec = frame["gpu_spec"].to_list()
    masks = {text: _mask(text, models) for text in set(spec)}
    gpus = frame["num_gpu"]
    # Only a single GPU is shared; a task without GPUs may stand beside any model.
    milli = pl.select(
        pl.when(gpus == 0).then(0).when(gpus == 1).then(frame["gpu_milli"]).otherwise(WHOLE)
    ).to_series()
    allowed = np.array([masks[text] for text in spec], dtype=np.int64)
    allowed[gpus.to_numpy() == 0] = _mask("", models)
    columns = [frame["cpu_milli"], frame["memory_mib"], gpus, milli]
    return np.column_stack([*(one.to_numpy().astype(np.int64) for one in columns), allowed])


def _only(frame: pl.DataFrame, variant: str, source: Source) -> pl.DataFrame:
    chosen = frame.filter(pl.col("variant") == variant)
    if chosen.height == 0:
        there = ", ".join(sorted(set(frame["variant"].drop_nulls()))[:20])
        raise source.error(column="variant", found=f"no {quoted(variant)}", expected=f"of {there}")
    return chosen


def _mask(spec: str, models: list[str]) -> int:
    if not spec:
        return (1 << len(models)) - 1
    named = set(spec.split("|"))
    return sum(1 << number for number, model in enumerate(models) if model in named)
