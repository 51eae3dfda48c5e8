"""A pool written by people unfolds to nodes, or says which entry is wrong."""

from pathlib import Path

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.twin.tables import read_pool

POOL = """
topology: {nodes_per_leaf: 2, leaves_per_pod: 2}
providers:
  - id: han
    in_service: 2026-03
    clusters:
      - {id: han-a, accelerator: B200, nodes: 5, gpus_per_node: 8, cooling: liquid, use: public}
      - {id: han-own, accelerator: NPU-2, nodes: 1, gpus_per_node: 4, cooling: null, use: own}
  - id: nam
    clusters:
      - {id: nam-a, accelerator: H200, nodes: 1, gpus_per_node: 8, site: 춘천, grade: S}
"""


def read_text(folder: Path, text: str) -> pl.DataFrame:
    path = folder / "pool.yaml"
    path.write_text(text, encoding="utf-8")
    return read_pool(path)


def test_what_an_accelerator_is_worth_is_said_once(tmp_path: Path) -> None:
    pool = read_text(tmp_path, "accelerators: {B200: {speed_milli: 2000}}" + POOL)

    worth = pool.select("accelerator", "speed_milli", "exchange_milli").unique()
    assert sorted(worth.rows()) == [
        ("B200", 2000, 1000),
        ("H200", 1000, 1000),
        ("NPU-2", 1000, 1000),
    ]


@pytest.mark.parametrize(
    "said", ["[]", "{B200: 2}", "{B200: {speed: 2}}", "{B200: {speed_milli: x}}"]
)
def test_a_worth_that_is_none_is_refused(tmp_path: Path, said: str) -> None:
    with pytest.raises(InputError, match="accelerators"):
        read_text(tmp_path, f"accelerators: {said}" + POOL)


def test_clusters_unfold_to_nodes_leaves_and_pods(tmp_path: Path) -> None:
    pool = read_text(tmp_path, POOL)

    assert pool.select("node", "leaf", "pod").rows()[3:6] == [
        ("han-a-0004", "han-a-leaf-002", "han-a-pod-01"),
        ("han-a-0005", "han-a-leaf-003", "han-a-pod-02"),
        ("han-own-0001", "han-own-leaf-001", "han-own-pod-01"),
    ]
    assert pool.select("provider", "site", "gpus", "use", "grade", "cooling").rows()[4:] == [
        ("han", "han", 8, "public", "C", "liquid"),
        ("han", "han", 4, "own", "C", ""),
        ("nam", "춘천", 8, "public", "S", ""),
    ]


def test_many_nodes_are_named_so_that_they_sort_as_they_count(tmp_path: Path) -> None:
    pool = read_text(tmp_path, POOL.replace("nodes: 5", "nodes: 12000"))

    names = pool.filter(pl.col("cluster") == "han-a")["node"].to_list()
    assert (names[0], names[-1]) == ("han-a-00001", "han-a-12000")
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("found", "written", "said"),
    [
        ("nodes: 5", "nodes: -5", "providers[1].clusters[1].nodes: found -5"),
        ("nodes: 5", "nodes: 5.0", "providers[1].clusters[1].nodes: found 5.0"),
        ("nodes: 5", "nodes: true", "providers[1].clusters[1].nodes: found true"),
        ("nodes: 5", "nodes: 99999999", "providers[1].clusters[1].nodes: found 99999999"),
        ("nodes: 5, ", "", "providers[1].clusters[1].nodes: found nothing"),
        ("id: han-own", "id: han-a", 'clusters[2].id: found "han-a", as in providers[1]'),
        ("use: own", "use: private", 'column use: found "private"'),
        ("use: own", "use: [own]", "providers[1].clusters[2].use: found ['own']"),
        ("nodes_per_leaf: 2", "nodes_per_leaf: 0", "topology.nodes_per_leaf: found 0"),
        ("providers:", "provider:", "providers: found nothing"),
        ("topology: {", "topology: {{", "expected YAML"),
        ("gpus_per_node: 4", "gpus_per_node: 400", "column gpus: found 400"),
    ],
)
def test_a_wrong_entry_is_pointed_at(tmp_path: Path, found: str, written: str, said: str) -> None:
    assert found in POOL

    with pytest.raises(InputError) as caught:
        read_text(tmp_path, POOL.replace(found, written))

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.shared
def test_the_national_pool_has_the_published_gpus(shared_dir: Path) -> None:
    pool = read_pool(shared_dir / "facts" / "national-pool.yaml")

    by_use = pool.group_by("use").agg(pl.col("gpus").sum()).sort("use").rows()
    assert by_use == [("own", 2_680), ("public", 10_456)]
    assert pool.height == 1_642
