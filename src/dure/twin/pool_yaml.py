"""A pool written by people: providers with clusters in YAML, unfolded to one row a node.

    topology: {nodes_per_leaf: 32, leaves_per_pod: 16}       # these are the defaults
    accelerators: {B200: {speed_milli: 2000, exchange_milli: 8000}}   # others are 1000
    providers:
      - id: nhn-cloud
        clusters:
          - {id: nhn-b200-a, accelerator: B200, nodes: 510, gpus_per_node: 8, use: public}

A cluster may also say ``cooling``, ``grade``, ``site``, ``cpu_milli``, ``memory_mib`` and
``in_service_at_s``. Everything else, such as ``in_service`` dates, is for other readers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from dure.core.errors import InputError
from dure.twin.table_files import opened, quoted

NODES_PER_LEAF = 32
LEAVES_PER_POD = 16
# A nation plans for 37,500 nodes; a slip of the keyboard must not fill the memory.
NODES_MAX = 10_000_000
_RATES = ("speed_milli", "exchange_milli")
_PASSED_ON = ("cooling", "grade", "site", "cpu_milli", "memory_mib", "in_service_at_s", "use")


@dataclass(frozen=True, slots=True)
class _Part:
    """A mapping somewhere in the file, with its place as a person would point at it."""

    file: Path
    place: str
    values: Mapping[Any, Any]

    def error(self, key: str, *, found: str, expected: str) -> InputError:
        where = f"{self.place}.{key}" if self.place else key
        return InputError(f"{self.file}, {where}", found=found, expected=expected)

    def whole(self, key: str, *, default: int | None = None, most: int = NODES_MAX) -> int:
        value = self.values.get(key, default)
        if type(value) is not int or not 1 <= value <= most:
            raise self.error(key, found=quoted(value), expected=f"a whole number from 1 to {most}")
        return value

    def name(self, key: str) -> str:
        value = self.values.get(key)
        if type(value) not in (str, int) or value == "":
            raise self.error(key, found=quoted(value), expected="a name")
        return str(value)

    def parts(self, key: str) -> list["_Part"]:
        values = self.values.get(key)
        if not isinstance(values, list) or not values:
            raise self.error(key, found=quoted(values), expected="a list with at least one entry")
        here = f"{self.place}.{key}" if self.place else key
        found = []
        for number, value in enumerate(values, start=1):
            if not isinstance(value, Mapping):
                raise self.error(
                    f"{key}[{number}]", found=quoted(value), expected="an entry with an id"
                )
            found.append(_Part(self.file, f"{here}[{number}]", value))
        return found


def pool_from_yaml(path: Path) -> pl.DataFrame:
    """Return one row a node, in the file's order, with the columns that the file sets.

    Raises:
        InputError: if it is not such a file; entries are counted from 1.
    """
    top = _Part(path, "", _mapping_in(path))
    topology = top.values.get("topology", {})
    if not isinstance(topology, Mapping):
        raise top.error("topology", found=quoted(topology), expected="nodes_per_leaf: 32, ...")
    shape = _Part(path, "topology", topology)
    nodes_per_leaf = shape.whole("nodes_per_leaf", default=NODES_PER_LEAF)
    leaves_per_pod = shape.whole("leaves_per_pod", default=LEAVES_PER_POD)
    rates = _rates(top)
    frames: list[pl.DataFrame] = []
    place_of: dict[str, str] = {}
    nodes = 0
    for provider in top.parts("providers"):
        provider_id = provider.name("id")
        for cluster in provider.parts("clusters"):
            cluster_id = cluster.name("id")
            if cluster_id in place_of:
                raise cluster.error(
                    "id",
                    found=f"{quoted(cluster_id)}, as in {place_of[cluster_id]}",
                    expected="each cluster once",
                )
            place_of[cluster_id] = cluster.place
            nodes += cluster.whole("nodes")
            if nodes > NODES_MAX:
                raise cluster.error(
                    "nodes", found=f"{nodes} nodes so far", expected=f"{NODES_MAX} at most"
                )
            frame = cluster_nodes(
                cluster=cluster_id,
                provider=provider_id,
                nodes=cluster.whole("nodes"),
                nodes_per_leaf=nodes_per_leaf,
                leaves_per_pod=leaves_per_pod,
                gpus=cluster.whole("gpus_per_node"),
                accelerator=cluster.name("accelerator"),
            )
            rate = rates.get(cluster.name("accelerator"), {})
            worth = [pl.lit(value).alias(key) for key, value in rate.items()]
            frames.append(frame.with_columns(_passed_on(cluster) + worth))
    return pl.concat(frames, how="diagonal_relaxed")


def _rates(top: _Part) -> dict[str, dict[str, int]]:
    """Return what each accelerator is worth; the table's own rules judge the values."""
    stated = top.values.get("accelerators", {})
    if not isinstance(stated, Mapping):
        raise top.error("accelerators", found=quoted(stated), expected="B200: {speed_milli: 2000}")
    rates: dict[str, dict[str, int]] = {}
    for name, rate in stated.items():
        part = _Part(top.file, f"accelerators.{name}", rate if isinstance(rate, Mapping) else {})
        if not isinstance(rate, Mapping) or not set(rate) <= set(_RATES):
            expected = f"one or both of {', '.join(_RATES)}"
            raise top.error(f"accelerators.{name}", found=quoted(rate), expected=expected)
        rates[str(name)] = {key: part.whole(key) for key in rate}
    return rates


def _passed_on(cluster: _Part) -> list[pl.Expr]:
    """Return what the cluster says about all its nodes; the table's own rules judge the values."""
    given = [
        (key, cluster.values[key]) for key in _PASSED_ON if cluster.values.get(key) is not None
    ]
    for key, value in given:
        if type(value) not in (str, int):
            raise cluster.error(key, found=quoted(value), expected="one word or whole number")
    return [pl.lit(value).alias(key) for key, value in given]


def _mapping_in(path: Path) -> Mapping[Any, Any]:
    opened(path)
    try:
        # BOM and all: editors on Windows write one.
        loaded = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(
            str(path), found="bytes that are not UTF-8", expected="YAML text in UTF-8"
        ) from None
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(wrong, "problem", None) or "a character that YAML does not allow"
        raise InputError(f"{path}{line}", found=problem, expected="YAML") from None
    except (RecursionError, ValueError) as wrong:
        raise InputError(str(path), found=quoted(str(wrong)), expected="YAML") from None
    if not isinstance(loaded, Mapping):
        raise InputError(str(path), found=quoted(loaded), expected="a pool with providers:")
    return loaded


def cluster_nodes(
    *,
    cluster: str,
    provider: str,
    nodes: int,
    nodes_per_leaf: int,
    gpus: int,
    accelerator: str,
    leaves_per_pod: int = NODES_MAX,
) -> pl.DataFrame:
    """Return the nodes of one cluster: ``C-0001`` in leaf ``C-leaf-001`` and pod ``C-pod-01``.

    Numbers are padded to four, two and three digits, or as many as the largest needs, so that names
    sort as they count.
    """
    number = pl.int_range(nodes, eager=True)
    leaf = number // nodes_per_leaf
    pod = leaf // leaves_per_pod
    return pl.DataFrame(
        {
            "node": _numbered(f"{cluster}-", number, 4),
            "provider": [provider] * nodes,
            "cluster": [cluster] * nodes,
            "leaf": _numbered(f"{cluster}-leaf-", leaf, 3),
            "pod": _numbered(f"{cluster}-pod-", pod, 2),
            "accelerator": [accelerator] * nodes,
            "gpus": [gpus] * nodes,
        }
    )


def _numbered(prefix: str, number: pl.Series, digits: int) -> pl.Series:
    digits = max(digits, len(str(number[-1] + 1)))
    return prefix + (number + 1).cast(pl.String).str.zfill(digits)
