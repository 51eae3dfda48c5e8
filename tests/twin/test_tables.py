"""Every bad cell is found by file, row and column; every good table comes back whole."""

import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.errors import InputError
from dure.twin.tables import (
    pool_for_clusters,
    read_allocations,
    read_faults,
    read_jobs,
    read_pool,
)

READERS = {
    "jobs": read_jobs,
    "pool": read_pool,
    "allocations": read_allocations,
    "faults": read_faults,
}
ROWS_SAID = "Row 1 is the first row of data."


# One row of each table with every column filled, as text, as a CSV would hold it.
GOOD = {
    "jobs": """job=x project=p provider=q submit_at_s=7 duration_s=60 gpus=8 gpu_milli=500 nodes=1
        gpus_per_node=8 segment_gpus=8 accelerator=B200|H200 class=own locality=preferred:pod:60
        min_gpus=1 estimate_s=90 checkpoint_every_s=30 checkpoint_takes_s=5 preemptible=false
        grade=S deadline_at_s=1000 after= cpu_milli=1000 memory_mib=1024""",
    "pool": """node=x provider=p cluster=c leaf=l pod=o site=s accelerator=B200 gpus=8
        cpu_milli=64000 memory_mib=1024 cooling=liquid grade=S in_service_at_s=5 use=own
        speed_milli=2000 exchange_milli=8000""",
    "allocations": "project=p accelerator=B200 gpus=8 from_s=10 to_s=20 shape= lendable=true",
    "faults": "node=x from_s=10 to_s=20 class=GPU gpus=0",
}


def good(kind: str, rows: int) -> dict[str, list[Any]]:
    """Return so many good rows; ids are x0, x1, ... and each job waits for the one before."""
    row = dict(pair.split("=") for pair in GOOD[kind].split())
    table: dict[str, list[Any]] = {name: [value] * rows for name, value in row.items()}
    ids = [f"x{number}" for number in range(rows)]
    for name in ("job", "node"):
        if name in table:
            table[name] = ids
    if "after" in table:
        table["after"] = ["", *ids[:-1]]
    return table


WHOLE = ("-1", "1.5", "nan", "inf", "x", "0x10", "9007199254740993", "99999999999999999999", "true")
REQUIRED = {
    "jobs": ("submit_at_s", "duration_s", "gpus"),
    "pool": ("node", "provider", "cluster", "leaf", "accelerator", "gpus"),
    "allocations": ("project", "accelerator", "gpus", "from_s", "to_s"),
    "faults": ("node", "from_s", "to_s", "class"),
}
NUMBERS = {
    kind: [name for name, values in good(kind, 2).items() if values[1].isdigit()]
    for kind in READERS
}
BAD_WORDS = [
    ("jobs", "class", "gold"),
    ("jobs", "grade", "o"),
    ("jobs", "preemptible", "perhaps"),
    ("jobs", "locality", "required"),
    ("jobs", "locality", "required:rack"),
    ("jobs", "locality", "required:leaf:5"),
    ("jobs", "locality", "preferred:leaf"),
    ("jobs", "locality", "preferred:leaf:-5"),
    ("jobs", "locality", "preferred:leaf:1.5"),
    ("jobs", "locality", "any:leaf"),
    ("jobs", "locality", "any "),
    ("jobs", "accelerator", "B200||H200"),
    ("jobs", "accelerator", "|H200"),
    ("jobs", "gpu_milli", "0"),
    ("jobs", "gpu_milli", "1001"),
    ("jobs", "after", "nobody"),
    ("pool", "gpus", "0"),
    ("pool", "gpus", "64"),
    ("pool", "accelerator", "B200|H200"),
    ("pool", "grade", "Z"),
    ("pool", "use", "private"),
    ("pool", "speed_milli", "49"),
    ("pool", "speed_milli", "50001"),
    ("pool", "exchange_milli", "0"),
    ("allocations", "lendable", "x"),
    ("allocations", "to_s", "9"),
    ("faults", "to_s", "9"),
]
BAD_CELLS = (
    [(kind, column, bad) for kind in READERS for column in NUMBERS[kind] for bad in WHOLE]
    + [(kind, column, "") for kind in READERS for column in REQUIRED[kind]]
    + [("jobs", "job", ""), *BAD_WORDS]
)


def written(folder: Path, table: dict[str, list[Any]], ending: str) -> Path:
    path = folder / f"table{ending}"
    frame = pl.DataFrame(table)
    if ending == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_with_every_column_is_read(folder: Path, kind: str, ending: str) -> None:
    path = written(folder, good(kind, 3), ending)

    frame = READERS[kind](path)

    assert frame.height == 3
    assert sum(frame.null_count().row(0)) == 0


@settings(max_examples=300)
@given(
    cell=st.sampled_from(BAD_CELLS),
    rows=st.integers(1, 30),
    ending=st.sampled_from([".csv", ".parquet"]),
    data=st.data(),
)
def test_a_bad_cell_is_found_by_file_row_and_column(
    folder: Path, cell: tuple[str, str, str], rows: int, ending: str, data: st.DataObject
) -> None:
    kind, column, bad = cell
    row = data.draw(st.integers(1, rows))
    table = good(kind, rows)
    table[column][row - 1] = bad
    path = written(folder, table, ending)

    with pytest.raises(InputError) as caught:
        READERS[kind](path)

    assert caught.value.where == f"{path}, row {row}, column {column}"
    assert caught.value.next_step.endswith(ROWS_SAID)
    assert "\n" not in str(caught.value)


@given(rows=st.integers(2, 30), kind=st.sampled_from(["jobs", "pool"]), data=st.data())
def test_both_rows_of_a_repeated_id_are_named(
    folder: Path, rows: int, kind: str, data: st.DataObject
) -> None:
    first, again = sorted(data.draw(st.sets(st.integers(1, rows), min_size=2, max_size=2)))
    table = good(kind, rows)
    column = next(iter(table))
    table[column][again - 1] = table[column][first - 1]
    path = written(folder, table, ".parquet")

    with pytest.raises(InputError) as caught:
        READERS[kind](path)

    assert caught.value.where == f"{path}, rows {first} and {again}, column {column}"


@given(awaited=st.lists(st.one_of(st.none(), st.integers(0, 11)), min_size=12, max_size=12))
def test_a_circle_of_after_is_found_as_walking_every_chain_finds_it(
    folder: Path, awaited: list[int | None]
) -> None:
    def goes_round(start: int) -> bool:
        at: int | None = awaited[start]
        for _ in range(len(awaited)):
            if at is None or at == start:
                break
            at = awaited[at]
        return at == start

    circle = [place for place in range(len(awaited)) if goes_round(place)]
    table = good("jobs", len(awaited))
    table["after"] = ["" if place is None else f"x{place}" for place in awaited]
    path = written(folder, table, ".parquet")

    if not circle:
        assert read_jobs(path).height == len(awaited)
        return
    with pytest.raises(InputError) as caught:
        read_jobs(path)

    assert caught.value.where == f"{path}, row {circle[0] + 1}, column after"


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        ["1", " 2 "],
        ["1.0", "2e0"],
        [np.int8(1), np.int8(2)],
        pl.Series([1, 2], dtype=pl.UInt64),
        pl.Series(["1", "2"], dtype=pl.Categorical),
        pl.Series(["1.00", "2.00"]).cast(pl.Decimal(10, 2)),
    ],
)
def test_whole_numbers_are_taken_as_they_come(folder: Path, values: Any) -> None:
    table = {"submit_at_s": [0, 0], "duration_s": [0, 5], "gpus": values}
    path = written(folder, table, ".parquet")

    assert read_jobs(path)["gpus"].to_list() == [1, 2]


@pytest.mark.parametrize(
    "values",
    [
        [True, True],
        [datetime.datetime(2020, 1, 1)] * 2,  # noqa: DTZ001
        [[1], [2]],
        [datetime.timedelta(1)] * 2,
    ],
)
def test_a_column_of_another_type_is_refused_at_its_first_row(folder: Path, values: Any) -> None:
    table = {"submit_at_s": [0, 0], "duration_s": values, "gpus": [1, 1]}
    path = written(folder, table, ".parquet")

    with pytest.raises(InputError) as caught:
        read_jobs(path)

    assert caught.value.where == f"{path}, row 1, column duration_s"


def test_jobs_have_every_column_typed_and_defaulted(folder: Path) -> None:
    path = folder / "few.csv"
    path.write_text("gpus,duration_s,submit_at_s,remark\n1,60,20,a\n2,0,10,b\n4,5,20,c\n")

    frame = read_jobs(path)

    assert frame.rows(named=True)[0] == {
        "job": "2",
        "project": "",
        "provider": "",
        "submit_at_s": 10,
        "duration_s": 0,
        "gpus": 2,
        "gpu_milli": 1000,
        "nodes": 0,
        "gpus_per_node": 0,
        "segment_gpus": 0,
        "accelerator": "",
        "class": "",
        "locality_kind": "any",
        "locality_level": "",
        "patience_s": 0,
        "min_gpus": 0,
        "estimate_s": -1,
        "checkpoint_every_s": 0,
        "checkpoint_takes_s": -1,
        "preemptible": True,
        "grade": "O",
        "deadline_at_s": -1,
        "after": "",
        "cpu_milli": 0,
        "memory_mib": 0,
    }
    assert frame["job"].to_list() == ["2", "1", "3"]
    assert set(frame.dtypes) == {pl.String, pl.Int64, pl.Boolean}


def test_a_pool_has_every_column_typed_and_defaulted(folder: Path) -> None:
    path = folder / "pool.csv"
    path.write_text("node,provider,cluster,leaf,accelerator,gpus\nn1,p,c,l,B200,8\n")

    assert read_pool(path).rows(named=True) == [
        {
            "node": "n1",
            "provider": "p",
            "cluster": "c",
            "leaf": "l",
            "pod": "c",
            "site": "p",
            "accelerator": "B200",
            "gpus": 8,
            "cpu_milli": 0,
            "memory_mib": 0,
            "cooling": "",
            "grade": "C",
            "in_service_at_s": 0,
            "use": "public",
            "speed_milli": 1000,
            "exchange_milli": 1000,
        }
    ]


@pytest.mark.parametrize(
    ("child", "parent", "where", "found"),
    [
        ("cluster a b b b", "site x - y x", "rows 3 and 4, column site", '"b" in "y" and in "x"'),
        ("accelerator A B A", "speed_milli 70 80 90", "row 3, column speed_milli", "90"),
    ],
)
def test_what_rows_say_of_one_thing_is_one(
    folder: Path, child: str, parent: str, where: str, found: str
) -> None:
    table = good("pool", len(child.split()) - 1)
    for name, *values in (child.split(), parent.split()):
        table[name] = ["" if one == "-" else one for one in values]

    with pytest.raises(InputError) as caught:
        read_pool(written(folder, table, ".csv"))

    assert (caught.value.where.split(", ", 1)[1], caught.value.found) == (where, found)


def test_a_cluster_has_one_site_though_only_some_of_its_nodes_say_which(folder: Path) -> None:
    table = good("pool", 4)
    table["cluster"], table["site"] = ["a", "a", "b", "b"], ["", "x", "", ""]
    table["provider"] = ["p", "p", "q", "r"]

    assert read_pool(written(folder, table, ".csv"))["site"].to_list() == ["x", "x", "q", "q"]


@given(submitted=st.lists(st.integers(0, 5), max_size=40))
def test_jobs_submitted_together_keep_the_order_of_the_file(
    folder: Path, submitted: list[int]
) -> None:
    table = {"submit_at_s": submitted, "duration_s": submitted, "gpus": submitted}
    path = folder / "ties.parquet"
    pl.DataFrame(table, schema=dict.fromkeys(table, pl.Int64)).write_parquet(path)

    frame = read_jobs(path)

    expected = sorted(range(len(submitted)), key=lambda row: (submitted[row], row))
    assert frame["job"].to_list() == [str(row + 1) for row in expected]


def test_jobs_that_can_never_run_are_no_error(folder: Path) -> None:
    path = folder / "impossible.csv"
    path.write_text(
        "submit_at_s,duration_s,gpus,min_gpus,accelerator\n0,5,1000000,9,X\n0,5,0,3,Y\n"
    )

    assert read_jobs(path)["gpus"].to_list() == [1_000_000, 0]


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (["0,4503599627370496,1,0,0", "0,4503599627370496,2,0,0"], "row 2, column duration_s"),
        (["0,1,1,0,0", "9007199254740992,1,1,0,0"], "row 2, column duration_s"),
        (["0,0,9007199254740992,0,0", "0,0,9007199254740992,0,0"], "row 2, column gpus"),
        (["0,0,1,4503599627370496,4503599627370496"], "row 1, column gpus_per_node"),
    ],
)
def test_sums_that_no_count_can_hold_are_refused(folder: Path, rows: list[str], where: str) -> None:
    path = folder / "sums.csv"
    path.write_text("\n".join(["submit_at_s,duration_s,gpus,nodes,gpus_per_node", *rows]))

    with pytest.raises(InputError) as caught:
        read_jobs(path)

    assert caught.value.where == f"{path}, {where}"


def test_no_jobs_are_a_table_and_no_nodes_are_none(folder: Path) -> None:
    jobs, pool = folder / "none.csv", folder / "nobody.csv"
    jobs.write_text("submit_at_s,duration_s,gpus\n")
    pool.write_text("node,provider,cluster,leaf,accelerator,gpus\n")

    assert read_jobs(jobs).height == 0
    with pytest.raises(InputError, match="found no nodes"):
        read_pool(pool)


def test_clusters_become_nodes_that_are_named_and_shelved() -> None:
    pool = pool_for_clusters({"itp-5": 16, "itp-1": 64}, nodes_per_leaf=3)

    assert pool["node"].to_list()[:3] == ["itp-5-0001", "itp-5-0002", "itp-1-0001"]
    assert pool["leaf"].n_unique() == 1 + 3
    assert pool.filter(pl.col("provider") == "itp-1")["gpus"].sum() == 64
    with pytest.raises(InputError, match="size of a: found 12 GPUs"):
        pool_for_clusters({"a": 12})


def test_a_hundred_thousand_jobs_are_read_within_two_seconds_of_processor(folder: Path) -> None:
    count = 100_000
    table = good("jobs", count)
    path = written(folder, table, ".csv")
    read_jobs(path)

    from_s = time.process_time()
    frame = read_jobs(path)

    # Of all threads together, so a busy machine does not fail it; alone it takes a tenth of that.
    assert frame.height == count
    assert time.process_time() - from_s < 2.0
