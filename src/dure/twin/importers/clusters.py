"""Traces of GPU clusters that were published as tables: ITP, OpenB, Muri, Helios, our yardstick."""

from pathlib import Path

import polars as pl

from dure.core.errors import InputError
from dure.twin.importers.source import (
    Sifted,
    choose,
    file_in,
    refuse_repeated_at,
    sift,
    with_own_ids,
)
from dure.twin.table_columns import Column, Kind
from dure.twin.table_files import Source, quoted, read_raw
from dure.twin.tables import TYPES_PATTERN

NO_GPU = "ask for no GPU"
NEVER_RAN = "never ran"
# Far beyond any machine, and small enough that a product of two is still a count.
PARTS_MAX = 1_000_000

ITP = (
    Column("cluster", Kind.TEXT, required=True),
    Column("job_id", Kind.TEXT, required=True),
    Column("submission_time", required=True),
    Column("duration", required=True),
    Column("num_gpu", required=True),
)
MURI = (
    Column("trace", Kind.TEXT, required=True),
    Column("job_id", Kind.TEXT, required=True),
    Column("submit_s", required=True),
    Column("duration_s", required=True),
    Column("gpus", required=True),
)
YARDSTICK = (
    Column("id", Kind.TEXT, required=True),
    Column("submit_s", required=True),
    Column("nodes", required=True, least=1, most=PARTS_MAX),
    Column("gpus_per_node", required=True, least=1, most=PARTS_MAX),
    Column("duration_s", required=True),
    Column("walltime_s", required=True),
    Column("user", Kind.TEXT, required=True),
)
HELIOS_BLANKS = ("", "None", "NaT", "nan")
HELIOS = (
    Column("job_id", Kind.TEXT, required=True),
    Column("vc", Kind.TEXT, required=True),
    Column("gpu_num", required=True),
    Column("submit_time", Kind.MOMENT, required=True),
    Column("start_time", Kind.MOMENT, blanks=HELIOS_BLANKS),
    Column("duration", blanks=HELIOS_BLANKS),
)
OPENB_PODS = (
    Column("variant", Kind.TEXT, default=""),
    Column("name", Kind.TEXT, required=True),
    Column("cpu_milli", required=True),
    Column("memory_mib", required=True),
    Column("num_gpu", required=True),
    Column("gpu_milli", required=True, most=1000),
    Column(
        "gpu_spec",
        Kind.TEXT,
        default="",
        pattern=TYPES_PATTERN,
        pattern_said='models as in "V100M16|V100M32"',
    ),
    Column("creation_time"),
    Column("deletion_time"),
    Column("scheduled_time"),
)
OPENB_NODES = (
    Column("sn", Kind.TEXT, required=True),
    Column("cpu_milli", required=True),
    Column("memory_mib", required=True),
    Column("gpu", required=True),
    Column("model", Kind.TEXT, default=""),
)


def read_itp(source: Path, trace: str | None) -> Sifted:
    """Read Microsoft ITP's jobs; provider and project are ``itp-N``, N the job's cluster.

    Args:
        source: the table, or a folder with jobs.parquet or jobs.csv.
        trace: one cluster, as ``3`` or ``itp-3``; None takes all.
    """
    path = file_in(source, "jobs.parquet", "jobs.csv")
    sifted = sift(path, ITP)
    wanted = choose(
        sifted.frame["cluster"], trace and trace.removeprefix("itp-"), path, word="cluster"
    )
    if wanted is not None:
        sifted.only("cluster", wanted)
    sifted.drop(NO_GPU, pl.col("num_gpu") == 0)
    sifted = with_own_ids(sifted, path, job="job_id", part="cluster")
    cluster = "itp-" + pl.col("cluster")
    sifted.frame = sifted.frame.select(
        job="job_id",
        submit_at_s="submission_time",
        duration_s="duration",
        gpus="num_gpu",
        provider=cluster,
        project=cluster,
    )
    return sifted


def read_muri(source: Path, trace: str | None) -> Sifted:
    """Read Muri's traces; project is the trace.

    Args:
        source: the table, or a folder with jobs.parquet or jobs.csv.
        trace: one trace, such as ``trace1``, whose jobs keep their ids. None takes all, and ids
            that several traces use become ``trace1/0``.
    """
    path = file_in(source, "jobs.parquet", "jobs.csv")
    sifted = sift(path, MURI)
    wanted = choose(sifted.frame["trace"], trace, path, word="trace")
    if wanted is not None:
        sifted.only("trace", wanted)
    sifted.drop(NO_GPU, pl.col("gpus") == 0)
    sifted = with_own_ids(sifted, path, job="job_id", part="trace")
    sifted.frame = sifted.frame.select(
        job="job_id",
        submit_at_s="submit_s",
        duration_s="duration_s",
        gpus="gpus",
        project="trace",
    )
    return sifted


def read_yardstick(source: Path, trace: str | None) -> Sifted:
    """Read the yardstick's CSV: whole-node gangs whose users over-estimate; project is the user."""
    refuse_trace(source, trace)
    sifted = sift(source, YARDSTICK)
    refuse_repeated_at(sifted.frame["id"], sifted.frame["row"], source, column="id")
    sifted.frame = sifted.frame.select(
        job="id",
        submit_at_s="submit_s",
        duration_s="duration_s",
        gpus=pl.col("nodes") * pl.col("gpus_per_node"),
        nodes="nodes",
        gpus_per_node="gpus_per_node",
        estimate_s="walltime_s",
        project="user",
    )
    return sifted


def read_helios(source: Path, trace: str | None) -> Sifted:
    """Read a Helios cluster_log.csv; project is the virtual cluster, times are read as UTC.

    What the log says of CPUs and nodes is what was given, not asked; it is left out.

    Args:
        source: the log, or the folder that holds it.
        trace: one virtual cluster; None takes all.
    """
    path = file_in(source, "cluster_log.csv")
    _refuse_minutes(path)
    sifted = sift(path, HELIOS)
    wanted = choose(sifted.frame["vc"], trace, path, word="virtual cluster")
    if wanted is not None:
        sifted.only("vc", wanted)
    sifted.drop(NO_GPU, pl.col("gpu_num") == 0)
    sifted.drop(NEVER_RAN, pl.col("start_time").is_null() | pl.col("duration").is_null())
    refuse_repeated_at(sifted.frame["job_id"], sifted.frame["row"], path, column="job_id")
    sifted.frame = sifted.frame.select(
        job="job_id",
        submit_at_s="submit_time",
        duration_s="duration",
        gpus="gpu_num",
        project="vc",
    )
    return sifted


def _refuse_minutes(path: Path) -> None:
    """Say so where a Helios table counts jobs by the minute or day instead of listing them."""
    if path.name != "cluster_log.csv" and "job_id" not in read_raw(path).columns:
        raise Source(str(path)).error(
            found="counts by virtual cluster and time, no jobs",
            expected="a cluster_log.csv with a row a job",
            next_step="Take it from the published Helios data set.",
        )


def read_openb(source: Path, trace: str | None) -> Sifted:
    """Read Alibaba's openb: pods become jobs, nodes a pool (told by the columns).

    Pods without a GPU and pods that never ran are set aside. ``gpu_milli`` counts only for a pod of
    one GPU. The source knows no topology: its nodes share one leaf of one cluster.

    Args:
        source: a table of pods or nodes; or the folder, which stands for its pods.
        trace: one variant of the pods; None takes ``default`` where there are several.
    """
    path = file_in(source, "pods.parquet", "openb_pod_list_default.csv")
    if "sn" in read_raw(path).columns:
        refuse_trace(path, trace)
        return _openb_nodes(path)
    return _openb_pods(path, trace)


def _openb_nodes(path: Path) -> Sifted:
    sifted = sift(path, OPENB_NODES)
    sifted.drop("have no GPU", pl.col("gpu") == 0)
    one = pl.lit("openb")
    sifted.frame = sifted.frame.select(
        node="sn",
        provider=one,
        cluster=one,
        leaf=one,
        accelerator="model",
        gpus="gpu",
        cpu_milli="cpu_milli",
        memory_mib="memory_mib",
    )
    return sifted


def _openb_pods(path: Path, trace: str | None) -> Sifted:
    sifted = sift(path, OPENB_PODS)
    variants = sifted.frame["variant"]
    # The variants are rewritings of one trace, so together they would be no workload at all.
    wanted = choose(
        variants,
        trace or ("default" if variants.n_unique() > 1 else None),
        path,
        word="variant",
    )
    if wanted is not None:
        sifted.only("variant", wanted)
        sifted.remarks.append(f"variant {wanted}")
    if sifted.frame.height and sifted.frame["creation_time"].null_count() == sifted.frame.height:
        raise InputError(
            str(path),
            found=f"no times at all in variant {wanted or 'given'}",
            expected="pods with creation_time",
            next_step="This variant serves `dure twin pack`, which reads the file as it is.",
        )
    sifted.drop(NO_GPU, pl.col("num_gpu") == 0)
    times = ("creation_time", "scheduled_time", "deletion_time")
    sifted.drop(NEVER_RAN, pl.any_horizontal(pl.col(name).is_null() for name in times))
    sifted.refuse(
        pl.col("deletion_time") < pl.col("scheduled_time"),
        "deletion_time",
        path,
        expected="a moment not before scheduled_time",
    )
    sifted.refuse(
        (pl.col("num_gpu") == 1) & (pl.col("gpu_milli") == 0),
        "gpu_milli",
        path,
        expected="a share from 1 to 1000 for a pod of one GPU",
    )
    frame = sifted.frame
    refuse_repeated_at(frame["name"], frame["row"], path, column="name")
    sifted.frame = frame.select(
        job="name",
        submit_at_s="creation_time",
        duration_s=pl.col("deletion_time") - pl.col("scheduled_time"),
        gpus="num_gpu",
        gpu_milli=pl.when(pl.col("num_gpu") == 1).then("gpu_milli").otherwise(1000),
        accelerator="gpu_spec",
        cpu_milli="cpu_milli",
        memory_mib="memory_mib",
    )
    return sifted


def refuse_trace(path: Path, trace: str | None) -> None:
    """Raise InputError where one trace of several is asked of a format that holds one."""
    if trace is not None:
        raise InputError(
            str(path),
            found=f"one trace in the file, and {quoted(trace)} asked for",
            expected="no --trace",
        )
