"""Packing as one would write it who has all day: lists, fractions, every node tried every time."""

import math
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np

from dure.core.learnt_mix import ONE_KIND_PARTS, STEP_MILLI
from dure.core.packing import Cluster, Tasks

Node = dict[str, Any]
Kind = dict[str, int]


def random_world(seed: int, *, tasks: int = 60) -> tuple[Cluster, Tasks]:
    """Make up to 6 nodes of up to 4 GPUs and 3 models, and tasks that overfill them."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 7))
    gpus = rng.integers(0, 5, count)
    gpus[0] = rng.integers(1, 5)
    free = np.zeros((count, 2 + gpus.max()), dtype=np.int64)
    free[:, 0] = rng.integers(1, 9, count) * 4000
    free[:, 1] = rng.integers(2, 9, count) * 8192
    for node, number in enumerate(gpus):
        free[node, 2 : 2 + number] = 1000
    models = rng.integers(0, 3, count)
    kinds = []
    for _ in range(int(rng.integers(2, 9))):
        asked = int(rng.choice([0, 1, 1, 1, 2, 4]))
        milli = 0 if asked == 0 else int(rng.choice([110, 250, 500, 1000])) if asked == 1 else 1000
        mask = 7 if asked == 0 or rng.random() < 0.6 else int(rng.integers(0, 8))
        cpu, memory = int(rng.integers(0, 7)) * 1000, int(rng.integers(0, 5)) * 2048
        kinds.append((cpu, memory, asked, milli, mask))
    table = np.array(sorted(set(kinds)), dtype=np.int64)
    kind = rng.integers(0, len(table), tasks)
    cluster = Cluster(free, gpus.astype(np.int64), models, np.zeros(count, dtype=np.int64))
    return cluster, Tasks(table, kind, np.full(tasks, -1, dtype=np.int64))


def nodes_of(cluster: Cluster) -> list[Node]:
    return [
        {
            "cpu": int(row[0]),
            "memory": int(row[1]),
            "gpus": row[2 : 2 + n].tolist(),
            "model": int(m),
        }
        for row, n, m in zip(cluster.free, cluster.gpus, cluster.models, strict=True)
    ]


def kinds_of(rows: Any) -> list[Kind]:
    names = ("cpu", "memory", "gpus", "milli", "mask")
    return [dict(zip(names, map(int, row), strict=True)) for row in rows]


def places(node: Node, kind: Kind) -> list[list[int]]:
    """Return the sets of GPUs that a task may take on a node; [[]] if it needs none."""
    if node["cpu"] < kind["cpu"] or node["memory"] < kind["memory"]:
        return []
    if kind["gpus"] == 0:
        return [[]]
    enough = [gpu for gpu, free in enumerate(node["gpus"]) if free >= kind["milli"]]
    if not kind["mask"] & 1 << node["model"] or len(enough) < kind["gpus"]:
        return []
    return [[gpu] for gpu in enough] if kind["gpus"] == 1 else [enough[: kind["gpus"]]]


def after(node: Node, kind: Kind, gpus: list[int]) -> Node:
    left = [free - kind["milli"] * (gpu in gpus) for gpu, free in enumerate(node["gpus"])]
    cpu, memory = node["cpu"] - kind["cpu"], node["memory"] - kind["memory"]
    return {"cpu": cpu, "memory": memory, "gpus": left, "model": node["model"]}


def tightest(node: Node, kind: Kind) -> list[int]:
    choices = places(node, kind)
    return min(choices, key=lambda gpus: [node["gpus"][gpu] for gpu in gpus[:1]])


def rule_score(rule: str, node: Node, kind: Kind, most: tuple[int, int], held: list[int]) -> int:
    free, asked = sum(node["gpus"]), kind["gpus"] * kind["milli"]
    if rule == "bestfit":
        left = Fraction(node["cpu"] - kind["cpu"], most[0]) + Fraction(free - asked, most[1])
        return floor(100 * (1 - left / 2))
    if rule == "dotprod":
        cpu = (node["cpu"] / most[0]) * (kind["cpu"] / most[0])
        return int(100.0 * (1.0 - (cpu + (free / most[1]) * (asked / most[1])) / 2.0))
    if kind["gpus"] == 0:
        return 0
    if rule == "clustering":
        part = 25 * (most[1] - free) // most[1]
        if sort_of(kind) in held:
            return part + (75 if set(held) == {sort_of(kind)} else 50)
        return part if held else part + 25
    whole = node["gpus"].count(1000)
    if whole == len(node["gpus"]):
        return max(33 - whole, whole)
    taken = [node["gpus"][gpu] for gpu in tightest(node, kind)]
    if 1000 in taken:
        return max(50 - taken.count(1000), 33)
    return max(100 - sum(100 * free // 1000 for free in taken) // 10, 50)


def sort_of(kind: Kind) -> int:
    return 0 if kind["milli"] < 1000 else kind["gpus"]


def fragments(node: Node, typical: list[Kind], counts: list[int]) -> int:
    total = 0
    for kind, count in zip(typical, counts, strict=True):
        lost = sum(node["gpus"])
        if kind["gpus"] and places(node, {**kind, "memory": 0}):
            lost = sum(free for free in node["gpus"] if free < kind["milli"])
        total += count * lost
    return total


def fgd_score(node: Node, then: Node, typical: list[Kind], counts: list[int]) -> int:
    fall = fragments(node, typical, counts) - fragments(then, typical, counts)
    return int(100.0 / (1.0 + math.exp(-fall / sum(counts) / 1000.0)))


def wasted(node: Node, kinds: list[Kind], counts: list[int], sequences: Any) -> Fraction:
    """Return a node's expected waste in milli: after sequences, and a part of that by one kind."""
    ends = []
    for sequence in sequences:
        left = node
        for kind in (kinds[number] for number in sequence):
            if places(left, kind):
                left = after(left, kind, tightest(left, kind))
        ends.append(sum(left["gpus"]))
    asked = [
        kind["gpus"] * kind["milli"] * count for kind, count in zip(kinds, counts, strict=True)
    ]
    weights = [10**6 * one // max(sum(asked), 1) for one in asked]
    alone = 0
    for kind, weight in zip(kinds, weights, strict=True):
        used = 0
        if kind["gpus"] and places(node, kind):
            room = [10**6]
            room += [node[name] // kind[name] for name in ("cpu", "memory") if kind[name]]
            usable = sum(free for free in node["gpus"] if free >= kind["milli"])
            used = min(usable, min(room) * kind["gpus"] * kind["milli"])
        alone += weight * (sum(node["gpus"]) - used)
    mean = Fraction(sum(ends), len(ends)) if ends else Fraction(0)
    return mean + Fraction(alone, max(sum(weights), 1) * ONE_KIND_PARTS)


def rise(node: Node, then: Node, kinds: list[Kind], counts: list[int], sequences: Any) -> int:
    change = wasted(then, kinds, counts, sequences) - wasted(node, kinds, counts, sequences)
    return floor(change / STEP_MILLI + Fraction(1, 2))
