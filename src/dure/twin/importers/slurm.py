"""What ``sacct --parsable2`` (or ``-P``) prints, with the columns named below."""

from pathlib import Path

import polars as pl

from dure.core.errors import InputError
from dure.twin.importers.clusters import NEVER_RAN, NO_GPU, refuse_trace
from dure.twin.importers.source import Sifted, refuse_repeated_at, sift
from dure.twin.table_columns import Column, Kind

BLANKS = ("", "Unknown", "None", "N/A")
TRES_PATTERN = r"^[^=,]+=[^,]*(?:,[^=,]+=[^,]*)*$"
TRES_SAID = "resources like cpu=8,gres/gpu=8,node=1"
SPAN_PATTERN = r"^(?:[0-9]{1,7}-)?[0-9]{1,7}(?::[0-9]{1,7}){0,2}(?:\.[0-9]+)?$"
NO_LIMIT = ("UNLIMITED", "Partition_Limit")

COLUMNS = (
    Column("JobID", Kind.TEXT),
    Column("JobIDRaw", Kind.TEXT),
    Column("Submit", Kind.MOMENT, required=True),
    Column("Start", Kind.MOMENT, blanks=BLANKS),
    Column("End", Kind.MOMENT, blanks=BLANKS),
    Column(
        "Elapsed",
        Kind.TEXT,
        pattern=r"^(?:[0-9]{1,7}-)?[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}$",
        pattern_said="a time like 1-02:03:04",
        blanks=BLANKS,
    ),
    Column("ElapsedRaw", blanks=BLANKS),
    Column("ReqTRES", Kind.TEXT, pattern=TRES_PATTERN, pattern_said=TRES_SAID),
    Column("AllocTRES", Kind.TEXT, pattern=TRES_PATTERN, pattern_said=TRES_SAID),
    Column("State", Kind.TEXT, default=""),
    Column("Account", Kind.TEXT),
    Column(
        "Timelimit",
        Kind.TEXT,
        pattern=SPAN_PATTERN,
        pattern_said="a time like 1-02:03:04, or UNLIMITED",
        blanks=(*BLANKS, *NO_LIMIT),
    ),
    Column("TimelimitRaw", blanks=(*BLANKS, *NO_LIMIT)),
)
UNFINISHED = ("RUNNING", "PENDING", "SUSPENDED", "REQUEUED", "RESIZING")
GPU_PATTERN = r"gres/gpu=([0-9]{1,9})(?:,|$)"
TYPED_PATTERN = r"gres/gpu:([^=,]+)=[0-9]+"
TYPED_COUNT_PATTERN = r"gres/gpu:[^=,]+=([0-9]{1,9})"


def read_sacct(source: Path, trace: str | None) -> Sifted:
    """Read Slurm's accounting; GPUs are ``gres/gpu`` as asked (ReqTRES), else given (AllocTRES).

    Lines of job steps, jobs without GPUs, jobs that never started and jobs not yet ended are set
    aside. Project is the account, the estimate the time limit, the accelerator the GPU type that
    was asked for, spelt as in Slurm; ``nodes`` and ``gpus_per_node`` follow ``node=`` of ReqTRES
    where the GPUs divide evenly. Times are read as UTC.
    """
    refuse_trace(source, trace)
    sifted = sift(source, COLUMNS, separator="|")
    header = _header(source)
    # The id for people (123_4 in an array) where both stand.
    job = "JobID" if "JobID" in header else "JobIDRaw"
    sifted.refuse(pl.col(job).is_null(), job, source, expected="the job's id")
    sifted.drop("are steps of a job", pl.col(job).str.contains(".", literal=True))
    is_ended = ~pl.col("State").str.split(" ").list.get(0, null_on_oob=True).is_in(list(UNFINISHED))
    sifted.drop("had not ended", ~is_ended)
    sifted.frame = sifted.frame.with_columns(
        gpus=pl.coalesce(_gpus(pl.col("ReqTRES")), _gpus(pl.col("AllocTRES")), pl.lit(0)),
        duration_s=pl.coalesce(
            pl.col("ElapsedRaw"), _span_s(pl.col("Elapsed")), pl.col("End") - pl.col("Start")
        ),
        estimate_s=pl.coalesce(60 * pl.col("TimelimitRaw"), _span_s(pl.col("Timelimit"))),
        asked_nodes=_number(pl.col("ReqTRES"), r"(?:^|,)node=([0-9]{1,9})(?:,|$)"),
        # Several types in one job are more than our one column can say.
        accelerator=pl.when(pl.col("ReqTRES").str.count_matches(TYPED_PATTERN) == 1).then(
            pl.col("ReqTRES").str.extract(TYPED_PATTERN)
        ),
    )
    sifted.drop(NO_GPU, pl.col("gpus") == 0)
    has_no_start = pl.col("Start").is_null() & pl.lit("Start" in header)
    sifted.drop(NEVER_RAN, has_no_start | pl.col("duration_s").is_null())
    sifted.refuse(pl.col("duration_s") < 0, "End", source, expected="a moment not before Start")
    frame = sifted.frame
    refuse_repeated_at(frame[job], frame["row"], source, column=job)
    nodes = pl.col("asked_nodes")
    is_even = (nodes > 0) & (pl.col("gpus") % nodes == 0)
    sifted.frame = frame.select(
        job=job,
        submit_at_s="Submit",
        duration_s="duration_s",
        gpus="gpus",
        nodes=pl.when(is_even).then(nodes),
        gpus_per_node=pl.when(is_even).then(pl.col("gpus") // nodes),
        accelerator="accelerator",
        estimate_s="estimate_s",
        project="Account",
    )
    return sifted


def _header(source: Path) -> set[str]:
    """Return the columns there are; without those of one line a job cannot be told."""
    with source.open(encoding="utf-8-sig") as file:
        header = set(file.readline().rstrip("\r\n").split("|"))
    for one_of, said in (
        ({"JobID", "JobIDRaw"}, "JobID or JobIDRaw"),
        ({"ElapsedRaw", "Elapsed", "End"}, "ElapsedRaw, Elapsed, or Start and End"),
        ({"ReqTRES", "AllocTRES"}, "ReqTRES or AllocTRES"),
    ):
        if not one_of & header:
            raise InputError(
                str(source),
                found=f"no column {said}",
                expected="what sacct -P prints with a header",
                next_step="Add it to sacct's --format, and leave out --noheader.",
            )
    return header


def _number(text: pl.Expr, pattern: str) -> pl.Expr:
    return text.str.extract(pattern).cast(pl.Int64)


def _gpus(tres: pl.Expr) -> pl.Expr:
    """Return the GPUs of a TRES list, null where it names none; types are summed if need be."""
    typed = tres.str.extract_all(TYPED_COUNT_PATTERN)
    counts = typed.list.eval(pl.element().str.extract(r"=([0-9]+)$").cast(pl.Int64))
    typed_sum = pl.when(typed.list.len() > 0).then(counts.list.sum())
    return pl.coalesce(_number(tres, GPU_PATTERN), typed_sum)


def _span_s(text: pl.Expr) -> pl.Expr:
    """Return seconds of [DD-]HH:MM:SS, MM:SS or MM, as Slurm writes and takes spans of time."""
    days = text.str.extract(r"^([0-9]+)-").cast(pl.Int64).fill_null(0)
    clock = text.str.replace(r"^[0-9]+-", "").str.replace(r"\.[0-9]+$", "").str.split(":")
    parts = [clock.list.get(place, null_on_oob=True).cast(pl.Int64) for place in range(3)]
    has_days = text.str.contains("-", literal=True)
    three = parts[0] * 3600 + parts[1] * 60 + parts[2]
    hours_first = parts[0] * 3600 + parts[1].fill_null(0) * 60
    minutes_first = parts[0] * 60 + parts[1].fill_null(0)
    short = pl.when(has_days).then(hours_first).otherwise(minutes_first)
    return days * 86400 + pl.coalesce(three, short)
