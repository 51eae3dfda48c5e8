"""Logs that schedulers and archives write: SWF, Slurm's sacct, Philly's JSON."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from dure.core.errors import InputError
from dure.twin.importers.clusters import NEVER_RAN, NO_GPU, refuse_trace
from dure.twin.importers.source import Sifted, choose, file_in, refuse_repeated_at
from dure.twin.table_columns import WHOLE_MAX, Column, Kind, normalised
from dure.twin.table_files import Source, opened, quoted

# The fields of SWF 2.2 by their place; -1 means that the log does not know.
SWF_FIELDS = (
    "job",
    "submit_time",
    "wait_time",
    "run_time",
    "allocated_processors",
    "cpu_time",
    "used_memory",
    "requested_processors",
    "requested_time",
    "requested_memory",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding_job",
    "think_time",
)
SWF = (
    Column("job", required=True),
    Column("submit_time", Kind.ROUNDED, required=True),
    Column("run_time", Kind.ROUNDED, required=True, least=-1),
    Column("allocated_processors", required=True, least=-1),
    Column("requested_processors", required=True, least=-1),
    Column("requested_time", Kind.ROUNDED, required=True, least=-1),
    Column("status", required=True, least=-1),
    Column("user", required=True, least=-1),
    Column("preceding_job", required=True, least=-1),
)
# Lines of a job that ran in parts; its whole has a line of its own (status 0 or 1).
SWF_PARTS = (2, 3, 4)


def read_swf(source: Path, trace: str | None) -> Sifted:
    """Read the Standard Workload Format 2.2, a processor of which is a GPU.

    Jobs get what they asked for (field 8), or what they were given (field 5) where that is unknown;
    the estimate is the requested time, the project the user, ``after`` the preceding job if it is
    imported too. Seconds stay those of the log, whose 0 the summary names (``UnixStartTime``).
    Fractions of seconds are rounded. Think times are left out.
    """
    refuse_trace(source, trace)
    raw, header = _swf_rows(source)
    frame = normalised(raw, SWF, Source(str(source))).with_row_index("row", offset=1)
    sifted = Sifted(frame, rows_in=frame.height)
    if "UnixStartTime" in header:
        sifted.remarks.append(f"second 0 is UnixStartTime {header['UnixStartTime']}")
    asked = pl.col("requested_processors")
    gpus = pl.when(asked > 0).then(asked).otherwise("allocated_processors")
    sifted.drop("are parts of a job", pl.col("status").is_in(list(SWF_PARTS)))
    sifted.drop(NO_GPU, gpus <= 0)
    sifted.drop(
        NEVER_RAN,
        (pl.col("run_time") < 0) | ((pl.col("run_time") == 0) & (pl.col("status") == 5)),
    )
    frame = sifted.frame
    refuse_repeated_at(frame["job"].cast(pl.String), frame["row"], source, column="job")
    preceding = pl.col("preceding_job")
    is_here = preceding.is_in(frame["job"].implode()) & (preceding != pl.col("job"))
    lost = frame.filter((preceding > 0) & ~is_here).height
    if lost:
        sifted.remarks.append(f"{lost} wait for a job that is not here: not linked")
    sifted.frame = frame.select(
        job=pl.col("job").cast(pl.String),
        submit_at_s="submit_time",
        duration_s="run_time",
        gpus=gpus,
        estimate_s=pl.when(pl.col("requested_time") > 0).then("requested_time"),
        project=pl.when(pl.col("user") >= 0).then(pl.col("user").cast(pl.String)),
        after=pl.when((preceding > 0) & is_here).then(preceding.cast(pl.String)),
    )
    return sifted


def _swf_rows(path: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the lines' fields as text, and what the header comments say."""
    source = Source(str(path))
    opened(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise source.error(found="bytes that are not UTF-8", expected="SWF text") from None
    header = {}
    for line in lines:
        if line.startswith(";") and ":" in line:
            key, _, value = line[1:].partition(":")
            header[key.strip()] = value.strip()
    data = pl.Series("line", [line for line in lines if line and line[0] != ";"], dtype=pl.String)
    # Runs of blanks part the fields.
    fields = data.str.replace_all(r"\s+", " ").str.split(" ")
    wrong = fields.list.len() != len(SWF_FIELDS)
    if wrong.any():
        row = wrong.arg_max()
        assert row is not None
        raise source.error(
            rows=[row + 1], found=f"{len(fields[row])} fields", expected=f"{len(SWF_FIELDS)}"
        )
    columns = [fields.list.get(place).alias(name) for place, name in enumerate(SWF_FIELDS)]
    return pl.DataFrame(columns), header


class PhillyGpus(msgspec.Struct):
    """One server of an attempt."""

    gpus: list[str]


class PhillyAttempt(msgspec.Struct):
    """One try at running a job; the log may have lost its ends."""

    start_time: str | None = None
    end_time: str | None = None
    detail: list[PhillyGpus] = []


class PhillyJob(msgspec.Struct):
    """One entry of cluster_job_log."""

    jobid: str
    vc: str
    submitted_time: str
    attempts: list[PhillyAttempt]


def read_philly(source: Path, trace: str | None) -> Sifted:
    """Read Philly's cluster_job_log; project is the virtual cluster, times are read as UTC.

    A job asks for the GPUs of its first attempt that lists any; it lasts as long as its attempts
    with both ends together. Jobs without such attempts are set aside.

    Args:
        source: the log, or the folder that holds it.
        trace: one virtual cluster; None takes all.
    """
    path = file_in(source, "cluster_job_log", "cluster_job_log.json")
    rows = [_philly_row(path, row, job) for row, job in enumerate(_philly_jobs(path), start=1)]
    schema = {
        "row": pl.Int64,
        "job": pl.String,
        "submit_at_s": pl.Int64,
        "duration_s": pl.Int64,
        "gpus": pl.Int64,
        "project": pl.String,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    sifted = Sifted(frame, rows_in=frame.height)
    wanted = choose(frame["project"], trace, path, word="virtual cluster")
    if wanted is not None:
        sifted.only("project", wanted)
    sifted.drop("never ran to an end", pl.col("duration_s").is_null())
    sifted.drop("list no GPU", pl.col("gpus") == 0)
    refuse_repeated_at(sifted.frame["job"], sifted.frame["row"], path, column="jobid")
    sifted.frame = sifted.frame.drop("row")
    return sifted


def _philly_jobs(path: Path) -> list[PhillyJob]:
    opened(path)
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw])
    except msgspec.DecodeError as wrong:
        raise InputError(
            str(path), found=f"text that is not such JSON ({wrong})", expected="a list of jobs"
        ) from None
    jobs = []
    for row, entry in enumerate(entries, start=1):
        try:
            jobs.append(msgspec.json.decode(entry, type=PhillyJob))
        except msgspec.DecodeError as wrong:
            raise Source(str(path)).error(
                rows=[row],
                found=f"an entry that is no job ({wrong})",
                expected="jobid, vc, submitted_time and attempts",
            ) from None
    return jobs


def _philly_row(path: Path, row: int, job: PhillyJob) -> tuple[Any, ...]:
    source = Source(str(path))
    submit_at_s = _moment(source, row, "submitted_time", job.submitted_time)
    if submit_at_s is None:
        raise source.error(
            column="submitted_time", rows=[row], found="nothing", expected="a moment"
        )
    duration_s = None
    gpus = 0
    for attempt in job.attempts:
        gpus = gpus or sum(len(server.gpus) for server in attempt.detail)
        from_s = _moment(source, row, "start_time", attempt.start_time)
        to_s = _moment(source, row, "end_time", attempt.end_time)
        if from_s is None or to_s is None:
            continue
        if to_s < from_s:
            raise source.error(
                column="end_time",
                rows=[row],
                found=quoted(attempt.end_time),
                expected="a moment not before start_time",
            )
        duration_s = (duration_s or 0) + to_s - from_s
    return row, job.jobid, submit_at_s, duration_s, gpus, job.vc


def _moment(source: Source, row: int, column: str, text: str | None) -> int | None:
    """Return epoch seconds of "2017-10-07 01:11:39", None for what the log writes as nothing."""
    if text is None or text in ("", "None"):
        return None
    try:
        at_s = int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        at_s = -1
    if not 0 <= at_s <= WHOLE_MAX:
        raise source.error(
            column=column,
            rows=[row],
            found=quoted(text),
            expected="a moment like 2017-10-07 01:11:39",
        )
    return at_s
