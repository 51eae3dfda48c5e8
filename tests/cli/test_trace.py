"""``dure trace`` says what it did in one line, or what is wrong in one line with exit code 2."""

import subprocess
import sys
from pathlib import Path

from dure.twin.tables import read_jobs, read_pool


def dure(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "dure"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_trace_and_its_pool_are_made_by_two_commands(tmp_path: Path) -> None:
    gangs = "id,submit_s,nodes,gpus_per_node,duration_s,walltime_s,user\n1,5,2,8,60,900,u7\n"
    (tmp_path / "gangs.csv").write_text(gangs)

    made = dure(tmp_path, "trace", "import", "yardstick", "gangs.csv", "jobs.parquet")
    pool = dure(tmp_path, "trace", "pool", "--provider", "a=64", "--provider", "b=8", "pool.csv")

    assert (made.returncode, made.stdout) == (0, "yardstick: 1 rows in, 1 rows out\n")
    assert (pool.returncode, pool.stdout) == (0, "pool: 9 nodes, 72 GPUs, 2 clusters\n")
    assert read_jobs(tmp_path / "jobs.parquet")["gpus"].to_list() == [16]
    assert read_pool(tmp_path / "pool.csv")["node"].to_list()[-1] == "b-0001"


def test_what_cannot_be_read_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("submit_at_s,duration_s,gpus\n0,5,1\n0,5,-1\n")

    bad = dure(tmp_path, "trace", "import", "csv", "jobs.csv", "out.parquet")
    absent = dure(tmp_path, "trace", "import", "itp", "absent.parquet", "out.parquet")
    size = dure(tmp_path, "trace", "pool", "--provider", "a=x", "out.parquet")

    assert (bad.returncode, absent.returncode, size.returncode) == (2, 2, 2)
    assert bad.stdout + absent.stdout + size.stdout == ""
    assert bad.stderr == (
        'dure trace import: jobs.csv, row 2, column gpus: found "-1"; '
        "expected a whole number from 0 to 2^53. Row 1 is the first row of data.\n"
    )
    assert absent.stderr.count("\n") == size.stderr.count("\n") == 1


def test_help_answers_without_loading_tables(tmp_path: Path) -> None:
    code = "import sys, dure.cli.main; sys.exit('polars' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=120)

    assert done.returncode == 0
