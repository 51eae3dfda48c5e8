"""Logs of schedulers: Philly, SWF and sacct set what they have; what cannot be a job is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from dure.core.errors import InputError
from dure.twin.importers import import_trace
from dure.twin.tables import read_jobs
from tests.twin.importers.trace_files import imported, text_file


def philly_attempt(from_s: str | None, to_s: str | None, gpus: int) -> dict[str, Any]:
    return {
        "start_time": from_s and f"2017-10-07 01:{from_s}",
        "end_time": to_s and f"2017-10-07 01:{to_s}",
        "detail": [{"ip": "m1", "gpus": [f"gpu{gpu}" for gpu in range(gpus)]}],
    }


def philly_job(jobid: str, *attempts: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": "Pass",
        "vc": "ee9e8c",
        "jobid": jobid,
        "attempts": list(attempts),
        "submitted_time": "2017-10-07 01:11:39",
        "user": "ce2f4c",
    }


def test_philly_adds_up_a_jobs_attempts(tmp_path: Path) -> None:
    log = [
        philly_job("a", philly_attempt("12:00", "13:00", 8), philly_attempt("14:00", "14:30", 4)),
        philly_job("never"),
        philly_job("open", philly_attempt("12:00", None, 8)),
        philly_job("none", philly_attempt("12:00", "13:00", 0)),
    ]
    source = text_file(tmp_path, "cluster_job_log", json.dumps(log))

    summary, frame = imported(tmp_path, "philly", source)

    assert summary.set_aside == {"never ran to an end": 2, "list no GPU": 1}
    assert frame.rows(named=True) == [
        # 2017-10-07 01:11:39 UTC is 1,507,338,699.
        {
            "job": "a",
            "project": "ee9e8c",
            "submit_at_s": 1507338699,
            "duration_s": 90,
            "gpus": 8,
        }
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"submitted_time": "yesterday"}, 'row 2, column submitted_time: found "yesterday"'),
        ({"submitted_time": "None"}, "row 2, column submitted_time: found nothing"),
        ({"jobid": 5}, "row 2: found an entry that is no job"),
        ({"attempts": [philly_attempt("13:00", "12:00", 1)]}, "row 2, column end_time"),
        ({"jobid": "a"}, "rows 1 and 2, column jobid"),
    ],
)
def test_a_wrong_entry_of_philly_is_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    attempt = philly_attempt("12:00", "13:00", 8)
    log = [philly_job("a", attempt), {**philly_job("b", attempt), **wrong}]
    source = text_file(tmp_path, "cluster_job_log", json.dumps(log))

    with pytest.raises(InputError) as caught:
        import_trace("philly", source, tmp_path / "out.parquet")

    assert said in str(caught.value)


SWF = """; Version: 2.2
; UnixStartTime: 1700000000
  1   10 -1   60.4  8 -1 -1 16  900 -1 1  3 1 1 1 1 -1 -1
  2   20  5   30    8 -1 -1 -1   -1 -1 0 -1 1 1 1 1  1 60
  3   30 -1   -1   -1 -1 -1  8   90 -1 5  3 1 1 1 1 -1 -1
  4   30 -1   10    0 -1 -1 -1   90 -1 1  3 1 1 1 1 -1 -1
  5   30 -1   10    4 -1 -1  4   90 -1 3  3 1 1 1 1 -1 -1
  6   40 -1   10    4 -1 -1  4   90 -1 1  3 1 1 1 1  3 -1
"""


def test_swf_takes_processors_as_gpus_and_minus_one_as_unknown(tmp_path: Path) -> None:
    summary, frame = imported(tmp_path, "swf", text_file(tmp_path, "log.swf", SWF))

    assert summary.set_aside == {"are parts of a job": 1, "ask for no GPU": 1, "never ran": 1}
    assert summary.remarks == (
        "second 0 is UnixStartTime 1700000000",
        "1 wait for a job that is not here: not linked",
    )
    assert frame.select(
        "job", "submit_at_s", "duration_s", "gpus", "estimate_s", "project", "after"
    ).rows() == [
        ("1", 10, 60, 16, 900, "3", None),
        ("2", 20, 30, 8, None, None, "1"),
        ("6", 40, 10, 4, 90, "3", None),
    ]
    assert read_jobs(tmp_path / "out.parquet")["estimate_s"].to_list() == [900, -1, 90]


@pytest.mark.parametrize(
    ("found", "written", "said"),
    [
        ("1   10 -1", "1   10", "row 1: found 17 fields; expected 18"),
        ("  60.4 ", "  x ", 'row 1, column run_time: found "x"'),
        ("  2   20", "  2  -20", 'row 2, column submit_time: found "-20"'),
        ("  2   20", "  1   20", "rows 1 and 2, column job"),
    ],
)
def test_a_wrong_line_of_swf_is_named(tmp_path: Path, found: str, written: str, said: str) -> None:
    assert found in SWF
    source = text_file(tmp_path, "log.swf", SWF.replace(found, written, 1))

    with pytest.raises(InputError) as caught:
        import_trace("swf", source, tmp_path / "out.parquet")

    assert said in str(caught.value)


SACCT = """JobID|Submit|Start|Elapsed|Timelimit|ReqTRES|AllocTRES|State|Account|JobName
1_2|2024-01-01T00:00:00|2024-01-01T00:01:00|1-00:00:01|2-00:00:00|cpu=8,gres/gpu=16,node=2|gres/gpu=99|COMPLETED|phys|"odd
1_2.batch|2024-01-01T00:00:00|2024-01-01T00:01:00|00:01:00|||cpu=8|COMPLETED|phys|x
3|2024-01-01T00:00:09|Unknown|00:00:00|UNLIMITED|gres/gpu:h100=2||PENDING|phys|x
4|2024-01-01T00:00:09|2024-01-01T00:01:00|00:01:00|30:00|gres/gpu:h100=2|x=1|CANCELLED by 1|bio|x
5|2024-01-01T00:00:10|2024-01-01T00:01:00|00:01:00|UNLIMITED||cpu=1,gres/gpu:a=1,gres/gpu:b=2|FAILED||x
6|2024-01-01T00:00:11|None|00:00:00|30:00|gres/gpu=2||CANCELLED by 1|bio|x
7|2024-01-01T00:00:12|2024-01-01T00:01:00|00:01:00|30:00|cpu=1|cpu=1|COMPLETED|bio|x
"""


def test_sacct_takes_what_was_asked_before_what_was_given(tmp_path: Path) -> None:
    summary, frame = imported(tmp_path, "slurm-sacct", text_file(tmp_path, "sacct.txt", SACCT))

    assert summary.set_aside == {
        "are steps of a job": 1,
        "had not ended": 1,
        "ask for no GPU": 1,
        "never ran": 1,
    }
    # 2024-01-01 00:00:00 UTC is 1,704,067,200.
    assert frame.rows() == [
        ("1_2", "phys", 1704067200, 86401, 16, 2, 8, None, 172800),
        ("4", "bio", 1704067209, 60, 2, None, None, "h100", 1800),
        ("5", None, 1704067210, 60, 3, None, None, None, None),
    ]
    assert frame.columns[5:] == ["nodes", "gpus_per_node", "accelerator", "estimate_s"]
