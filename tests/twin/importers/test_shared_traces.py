"""The real traces come in whole; they are read where they lie and never copied."""

from pathlib import Path

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.twin.importers import import_trace
from dure.twin.tables import pool_for_clusters, read_faults, read_jobs, read_pool

pytestmark = pytest.mark.shared
ITP_GPUS = {"itp-1": 64, "itp-2": 112, "itp-3": 176, "itp-4": 624, "itp-5": 16}


@pytest.fixture
def traces(shared_dir: Path) -> Path:
    folder = shared_dir / "traces"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    return folder


def test_itp_has_29815_jobs_in_five_clusters(traces: Path, tmp_path: Path) -> None:
    out = tmp_path / "jobs.parquet"

    import_trace("itp", traces / "itp", out)

    jobs = read_jobs(out)
    assert jobs.height == 29_815
    assert set(jobs["provider"]) == set(ITP_GPUS)
    # The experiment sizes a cluster at its largest job or more.
    largest = jobs.group_by("provider").agg(pl.col("gpus").max())
    assert all(gpus <= ITP_GPUS[provider] for provider, gpus in largest.rows())


@pytest.mark.parametrize(("trace", "count"), [("trace1", 1_494), ("trace3", 992)])
def test_muri_has_the_published_number_of_jobs(
    traces: Path, tmp_path: Path, trace: str, count: int
) -> None:
    out = tmp_path / "jobs.parquet"

    import_trace("muri", traces / "muri", out, trace=trace)

    assert read_jobs(out).height == count


def test_openb_has_the_published_nodes_and_its_pods_fit_their_models(
    traces: Path, tmp_path: Path
) -> None:
    pool, jobs = tmp_path / "pool.parquet", tmp_path / "jobs.parquet"

    import_trace("openb", traces / "openb" / "nodes_gpu.parquet", pool)
    import_trace("openb", traces / "openb", jobs, trace="gpuspec10")

    nodes = read_pool(pool)
    asked = read_jobs(jobs)["accelerator"].str.split("|").explode().unique()
    assert (nodes.height, nodes["gpus"].sum()) == (1_213, 6_212)
    assert set(asked) - {""} <= set(nodes["accelerator"])


def test_openb_without_times_is_for_packing_only(traces: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dure twin pack"):
        import_trace("openb", traces / "openb", tmp_path / "jobs.parquet", trace="multigpu20")


def test_all_333_faults_reach_a_pool_of_400_nodes(traces: Path, tmp_path: Path) -> None:
    pool, out = tmp_path / "pool.parquet", tmp_path / "faults.parquet"
    pool_for_clusters({"a": 3_200}).write_parquet(pool)

    import_trace("infinitehbd", traces / "faults", out, nodes=pool)

    faults = read_faults(out)
    assert faults.height == 333
    # Node 0 of the record is the first by name; 3.8955 days are 336,571 s.
    assert faults["from_s"].min() == 336_571
    assert faults["node"].max() == "a-0231"


def test_helios_by_the_minute_is_refused(traces: Path, tmp_path: Path) -> None:
    source = traces / "helios" / "earth_vc_minutes_2020.parquet"

    with pytest.raises(InputError, match="no jobs"):
        import_trace("helios", source, tmp_path / "jobs.parquet")
