"""Each format sets what its source has and nothing else; what cannot be a job is counted."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.twin.importers import import_trace
from dure.twin.tables import pool_for_clusters, read_faults, read_jobs, read_pool
from tests.twin.importers.trace_files import imported, table_file, text_file

ITP = {
    "cluster": [2, 1, 1],
    "job_id": ["b", "a", "idle"],
    "submission_time": [9, 9, 3],
    "duration": [60, 70, 80],
    "num_gpu": [1, 8, 0],
}


def test_itp_sets_provider_and_project_by_cluster(tmp_path: Path) -> None:
    summary, frame = imported(tmp_path, "itp", table_file(tmp_path, ITP))

    assert summary.line() == "itp: 3 rows in, 2 rows out; 1 set aside (1 ask for no GPU)"
    assert frame.rows(named=True) == [
        {
            "job": job,
            "project": cluster,
            "provider": cluster,
            "submit_at_s": 9,
            "duration_s": duration_s,
            "gpus": gpus,
        }
        for job, cluster, duration_s, gpus in [("b", "itp-2", 60, 1), ("a", "itp-1", 70, 8)]
    ]


@pytest.mark.parametrize("trace", ["2", "itp-2"])
def test_one_cluster_of_itp_may_be_chosen(tmp_path: Path, trace: str) -> None:
    summary, frame = imported(tmp_path, "itp", table_file(tmp_path, ITP), trace=trace)

    assert (summary.rows_in, frame["job"].to_list()) == (1, ["b"])


def test_a_malformed_row_is_named_by_the_columns_of_the_source(tmp_path: Path) -> None:
    source = table_file(tmp_path, {**ITP, "duration": [60, -1, 80]})

    with pytest.raises(InputError) as caught:
        import_trace("itp", source, tmp_path / "out.parquet")

    assert caught.value.where == f"{source}, row 2, column duration"
    assert not (tmp_path / "out.parquet").exists()


def test_a_repeated_id_is_named_by_the_rows_of_the_source(tmp_path: Path) -> None:
    table = {**ITP, "cluster": [1, 1, 1], "job_id": ["a", "x", "a"], "num_gpu": [1, 0, 1]}
    source = table_file(tmp_path, table)

    with pytest.raises(InputError) as caught:
        import_trace("itp", source, tmp_path / "out.parquet")

    assert caught.value.where == f"{source}, rows 1 and 3, column job_id"


MURI = {
    "trace": ["trace1", "trace3", "trace3"],
    "job_id": [0, 0, 1],
    "submit_s": [0.0, 0.0, 5.0],
    "duration_s": [10.0, 20.0, 30.0],
    "gpus": [1, 2, 4],
}


def test_muri_takes_one_trace_or_all(tmp_path: Path) -> None:
    source = table_file(tmp_path, MURI)

    _, whole = imported(tmp_path, "muri", source)
    _, chosen = imported(tmp_path, "muri", source, trace="trace3")
    _, marked = imported(tmp_path, "muri", source.with_name(f"{source.name}#trace3"))

    assert whole["job"].to_list() == ["trace1/0", "trace3/0", "trace3/1"]
    assert whole["project"].to_list() == ["trace1", "trace3", "trace3"]
    assert chosen["job"].to_list() == ["0", "1"]
    assert marked.equals(chosen)
    with pytest.raises(InputError, match="expected one of: trace1, trace3"):
        import_trace("muri", source, tmp_path / "out.parquet", trace="trace2")


def test_the_yardstick_sets_nodes_estimate_and_user(tmp_path: Path) -> None:
    source = text_file(
        tmp_path,
        "gangs.csv",
        "id,submit_s,nodes,gpus_per_node,duration_s,walltime_s,user,queue\n1,5,2,8,60,900,u7,a\n",
    )

    _, frame = imported(tmp_path, "yardstick", source)

    assert frame.rows(named=True) == [
        {
            "job": "1",
            "project": "u7",
            "submit_at_s": 5,
            "duration_s": 60,
            "gpus": 16,
            "nodes": 2,
            "gpus_per_node": 8,
            "estimate_s": 900,
        }
    ]


PODS = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time,scheduled_time
p0,12000,16384,1,460,,10,100,40
p1,6000,1024,2,1000,V100M16|V100M32,11,90,20
p2,4000,1024,0,0,,12,90,20
p3,4000,1024,1,1000,,13,90,
"""


def test_openb_pods_bring_shares_and_models(tmp_path: Path) -> None:
    source = text_file(tmp_path, "openb_pod_list_default.csv", PODS)

    summary, frame = imported(tmp_path, "openb", source)

    assert summary.set_aside == {"ask for no GPU": 1, "never ran": 1}
    assert frame.rows(named=True)[0] == {
        "job": "p0",
        "submit_at_s": 10,
        "duration_s": 60,
        "gpus": 1,
        "gpu_milli": 460,
        "accelerator": "",
        "cpu_milli": 12000,
        "memory_mib": 16384,
    }
    assert frame["accelerator"].to_list() == ["", "V100M16|V100M32"]


def test_openb_nodes_become_a_pool(tmp_path: Path) -> None:
    source = text_file(
        tmp_path,
        "nodes.csv",
        "sn,cpu_milli,memory_mib,gpu,model\nn1,64000,1024,2,P100\nn2,96000,1024,0,\n",
    )

    summary, _ = imported(tmp_path, "openb", source)

    assert summary.set_aside == {"have no GPU": 1}
    pool = read_pool(tmp_path / "out.parquet")
    assert pool.select("node", "accelerator", "gpus", "cpu_milli").rows() == [
        ("n1", "P100", 2, 64000)
    ]


HELIOS = """job_id,user,vc,gpu_num,cpu_num,state,submit_time,start_time,end_time,duration,queue
7,u1,vcA,8,64,COMPLETED,2020-05-01 00:00:10,2020-05-01 00:01:00,2020-05-01 00:02:00,60,50
8,u1,vcB,0,64,COMPLETED,2020-05-01 00:00:11,2020-05-01 00:01:00,2020-05-01 00:02:00,60,49
9,u1,vcB,4,64,CANCELLED,2020-05-01 00:00:12,None,2020-05-01 00:02:00,0,0
"""


def test_helios_sets_the_virtual_cluster_as_project(tmp_path: Path) -> None:
    source = text_file(tmp_path, "cluster_log.csv", HELIOS)

    summary, frame = imported(tmp_path, "helios", source.parent)

    assert summary.set_aside == {"ask for no GPU": 1, "never ran": 1}
    assert frame.rows(named=True) == [
        # 2020-05-01 00:00:00 UTC is 1,588,291,200.
        {
            "job": "7",
            "project": "vcA",
            "submit_at_s": 1588291210,
            "duration_s": 60,
            "gpus": 8,
        }
    ]


def test_helios_counts_by_the_minute_are_no_jobs(tmp_path: Path) -> None:
    source = table_file(tmp_path, {"vc": ["a"], "time": ["x"], "running_gpu_num": [1]})

    with pytest.raises(InputError, match="counts by virtual cluster and time, no jobs"):
        import_trace("helios", source, tmp_path / "out.parquet")


def test_our_own_csv_keeps_its_columns_and_gains_ids(tmp_path: Path) -> None:
    source = text_file(
        tmp_path,
        "own.csv",
        "submit_at_s,duration_s,gpus,locality,estimate_s\n5,1,1,preferred:pod:60,\n3,1,2,,7\n",
    )

    _, frame = imported(tmp_path, "csv", source)

    assert frame.rows(named=True) == [
        {
            "job": job,
            "submit_at_s": submit_at_s,
            "duration_s": 1,
            "gpus": gpus,
            "locality": locality,
            "estimate_s": estimate_s,
        }
        for job, submit_at_s, gpus, locality, estimate_s in [
            ("2", 3, 2, "any", 7),
            ("1", 5, 1, "preferred:pod:60", None),
        ]
    ]
    assert read_jobs(tmp_path / "out.parquet").drop("job").equals(read_jobs(source).drop("job"))


def test_fault_histories_are_dealt_in_the_order_of_the_nodes_names(tmp_path: Path) -> None:
    source = table_file(
        tmp_path,
        {
            "node": [1, 0, 1],
            "start_day": [2.0, 0.5, 1.0],
            "end_day": [3.0, 0.5, 1.25],
            "class": ["GPU", "NIC", "Fan"],
        },
    )
    pool = tmp_path / "pool.parquet"
    # 402 nodes: the last two take the first two histories again.
    nodes = pool_for_clusters({"a": 402}, gpus_per_node=1)
    nodes.sample(fraction=1, shuffle=True, seed=1).write_parquet(pool)
    out = tmp_path / "faults.parquet"

    summary = import_trace("infinitehbd", source, out, nodes=pool, from_s=100)

    assert summary.line() == "infinitehbd: 3 rows in, 6 rows out; dealt to 402 nodes"
    assert pl.read_parquet(out).columns == ["node", "from_s", "to_s", "class"]
    assert read_faults(out).drop("gpus").rows() == [
        ("a-0001", 43300, 43300, "NIC"),
        ("a-0002", 86500, 108100, "Fan"),
        ("a-0002", 172900, 259300, "GPU"),
        ("a-0401", 43300, 43300, "NIC"),
        ("a-0402", 86500, 108100, "Fan"),
        ("a-0402", 172900, 259300, "GPU"),
    ]


@pytest.mark.parametrize(
    ("format", "options", "said"),
    [
        ("lsf", {}, 'FORMAT: found "lsf"'),
        ("itp", {"nodes": Path("x")}, "--nodes, --from-s"),
        ("itp", {"trace": "9"}, 'found no cluster "9"; expected one of: 1, 2'),
        ("infinitehbd", {}, "expected --nodes FILE"),
        ("yardstick", {"trace": "x"}, "expected no --trace"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    tmp_path: Path, format: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        import_trace(format, table_file(tmp_path, ITP), tmp_path / "out.parquet", **options)

    assert said in str(caught.value)


def test_an_output_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    source = table_file(tmp_path, ITP)

    for out in (tmp_path / "nowhere" / "out.parquet", tmp_path / "out.txt"):
        with pytest.raises(InputError):
            import_trace("itp", source, out)

    assert [path.name for path in tmp_path.iterdir()] == ["source.parquet"]
