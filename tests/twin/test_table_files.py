"""A file that is no table says so in one line."""

from pathlib import Path

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.twin.tables import read_jobs, read_pool

HEADER = "job,submit_at_s,duration_s,gpus\n"


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_jobs(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "jobs.parquet")
    assert "found a folder" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("jobs.csv", b"", "found an empty file"),
        ("jobs.parquet", b"", "found an empty file"),
        ("jobs.csv", b"\n", "found no header line"),
        ("jobs.parquet", HEADER.encode(), "found a file of another type"),
        ("jobs.csv", b"PAR1\0\0PAR1", "found a binary file"),
        ("jobs.parquet", b"PAR1\0\0PAR1", "cut off or damaged"),
        ("jobs.txt", HEADER.encode(), 'found a name ending in ".txt"'),
        ("jobs.csv", HEADER.encode() + b"a,1,1,1\nb,1,1,1,9\n", "row 2: found 5 values"),
        (
            "jobs.csv",
            HEADER.encode() + b"a,1,1,1\nb,1\n",
            "row 2, column duration_s: found nothing",
        ),
        ("jobs.csv", HEADER.encode() + b"a,1,1,1\n\nb,1,1,1\n", "row 2, column job: found nothing"),
        ("jobs.csv", HEADER.encode() + b"a\xff,1,1,1\n", "not UTF-8"),
        ("jobs.csv", b"gpus,gpus\n1,1\n", "column gpus: found two columns of this name"),
        ("jobs.csv", b"job,gpus\na,1\n", "column submit_at_s: found no such column"),
        ("jobs.csv", HEADER.encode() + b'"a,1,1,1\nb,1,1,1\n', "not CSV"),
    ],
)
def test_a_file_that_is_no_table_says_why(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert said in complaint(path)


def test_a_cut_off_parquet_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    frame = pl.DataFrame({"submit_at_s": [1, 2], "duration_s": [1, 2], "gpus": [1, 2]})
    frame.write_parquet(path)
    whole = path.read_bytes()

    for kept in range(0, len(whole), 97):
        path.write_bytes(whole[:kept])

        assert "found" in complaint(path)


def test_a_byte_order_mark_and_empty_lines_at_the_end_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("\ufeff" + HEADER + "a,1,1,1\n\n\n", encoding="utf-8")

    assert read_jobs(path)["job"].to_list() == ["a"]


def test_a_pool_may_be_yaml_and_jobs_may_not(tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(
        "providers: [{id: p, clusters: [{id: c, accelerator: A, nodes: 2, gpus_per_node: 4}]}]"
    )

    assert read_pool(path)["node"].to_list() == ["c-0001", "c-0002"]
    assert 'found a name ending in ".yaml"' in complaint(path)
