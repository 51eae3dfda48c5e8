"""The packing rules against the same rules in plain Python, on small random clusters."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core.fragmentation import fragment_milli_of_all, place_by_fragmentation, typical_kinds
from dure.core.learnt_mix import (
    FIRST_LOOK,
    MixPlacer,
    empty_memo,
    learn_mix,
    unknown_rises,
)
from dure.core.packing import Cluster, Tasks
from dure.core.packing_rules import RULES, place_by_rule
from dure.core.spare_value import place_by_waste
from tests.core.packing_brute import (
    after,
    fgd_score,
    fragments,
    kinds_of,
    nodes_of,
    places,
    random_world,
    rise,
    rule_score,
    sort_of,
    tightest,
)

seeds = st.integers(0, 10**9)


def place_by(rule: str, cluster: Cluster, tasks: Tasks, draws: Any) -> None:
    most = np.array([max(cluster.free[:, 0].max(), 1), cluster.gpus.max() * 1000])
    held = np.zeros((len(cluster.gpus), int(cluster.gpus.max()) + 1), dtype=np.int64)
    place_by_rule(RULES.index(rule), cluster, tasks, draws, most, held, 0, len(tasks.kind))


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "random"])
@settings(max_examples=40)
@given(seed=seeds)
def test_a_published_rule_agrees_with_trying_every_node(rule: str, seed: int) -> None:
    cluster, tasks = random_world(seed)
    nodes, kinds = nodes_of(cluster), kinds_of(tasks.kinds)
    most = (int(cluster.free[:, 0].max()), int(cluster.gpus.max()) * 1000)
    held: list[list[int]] = [[] for _ in nodes]
    expected = []

    for kind in (kinds[number] for number in tasks.kind):
        scores = [
            (-rule_score(rule, node, kind, most, held[number]), number)
            for number, node in enumerate(nodes)
            if places(node, kind)
        ]
        chosen = min(scores)[1] if scores else -1
        expected.append(chosen)
        if scores:
            nodes[chosen] = after(nodes[chosen], kind, tightest(nodes[chosen], kind))
            held[chosen] += [sort_of(kind)] if kind["gpus"] else []
    place_by(rule, cluster, tasks, np.zeros((len(tasks.kind), 2)))

    assert tasks.node.tolist() == expected
    assert nodes_of(cluster) == nodes


@settings(max_examples=40)
@given(seed=seeds)
def test_random_takes_the_node_and_the_gpu_that_the_draws_point_at(seed: int) -> None:
    cluster, tasks = random_world(seed)
    nodes, kinds = nodes_of(cluster), kinds_of(tasks.kinds)
    draws = np.random.default_rng(seed).random((len(tasks.kind), 2))
    expected = []

    for number, (first, second) in zip(tasks.kind, draws, strict=True):
        able = [one for one, node in enumerate(nodes) if places(node, kinds[number])]
        chosen = able[int(first * len(able))] if able else -1
        expected.append(chosen)
        if able:
            choices = places(nodes[chosen], kinds[number])
            gpus = choices[int(second * len(choices))]
            nodes[chosen] = after(nodes[chosen], kinds[number], gpus)
    place_by("random", cluster, tasks, draws)

    assert tasks.node.tolist() == expected
    assert nodes_of(cluster) == nodes


@settings(max_examples=40)
@given(seed=seeds)
def test_fgd_agrees_with_trying_every_gpu(seed: int) -> None:
    cluster, tasks = random_world(seed)
    table, number = typical_kinds(tasks.kinds, np.bincount(tasks.kind, minlength=len(tasks.kinds)))
    typical, counts = kinds_of(table), number.tolist()
    nodes, kinds = nodes_of(cluster), kinds_of(tasks.kinds)
    expected = []

    for kind in (kinds[one] for one in tasks.kind):
        scores = [
            (-fgd_score(node, after(node, kind, gpus), typical, counts), one, gpus)
            for one, node in enumerate(nodes)
            for gpus in places(node, kind)
        ]
        chosen = min(scores)[1:] if scores else (-1, [])
        expected.append(chosen[0])
        if scores:
            nodes[chosen[0]] = after(nodes[chosen[0]], kind, chosen[1])
    known = np.full((3, len(tasks.kinds), len(cluster.gpus)), -1, dtype=np.int64)
    place_by_fragmentation(cluster, tasks, table, number, known, 0, len(tasks.kind))

    assert tasks.node.tolist() == expected
    assert nodes_of(cluster) == nodes
    lost = sum(fragments(node, typical, counts) for node in nodes)
    assert fragment_milli_of_all(cluster, table, number) == lost


def test_typical_kinds_are_the_most_popular_ones_up_to_95_percent() -> None:
    # The first two differ in memory only, so they are one kind of 60; 60 + 35 is just 95 of 100.
    kinds = np.array(
        [[4, 1, 1, 500, 1], [4, 2, 1, 500, 1], [8, 1, 1, 1000, 1], [2, 1, 0, 0, 1], [3, 1, 0, 0, 1]]
    )

    typical, counts = typical_kinds(kinds, np.array([20, 40, 35, 3, 2]))

    assert typical.tolist() == [[4, 0, 1, 500, 1], [8, 0, 1, 1000, 1]]
    assert counts.tolist() == [60, 35]


@settings(max_examples=25)
@given(seed=seeds)
def test_the_products_rule_agrees_with_trying_every_gpu(seed: int) -> None:
    cluster, tasks = random_world(seed, tasks=40)
    counts = np.bincount(tasks.kind, minlength=len(tasks.kinds)) + 1
    mix = learn_mix(tasks.kinds, counts, np.random.default_rng(seed).random((4, 6)))
    nodes, kinds = nodes_of(cluster), kinds_of(tasks.kinds)
    expected = []

    for kind in (kinds[one] for one in tasks.kind):
        rises = []
        for one, node in enumerate(nodes):
            # Of a node's GPUs the best before rounding counts, the first on a tie.
            tried = [
                (rise(node, then, kinds, counts.tolist(), mix.sequences), gpus)
                for gpus in places(node, kind)
                for then in (after(node, kind, gpus),)
            ]
            rises += [(min(tried)[0], one)] if tried else []
        chosen = min(rises)[1] if rises else -1
        expected.append(chosen)
        if rises:
            # Which GPU it took stands in the cluster, checked below by what is left in all.
            place_one(cluster, tasks, mix, len(expected) - 1)
            assert tasks.node[len(expected) - 1] == chosen
            nodes[chosen] = nodes_of(cluster)[chosen]
        else:
            place_one(cluster, tasks, mix, len(expected) - 1)

    assert tasks.node.tolist() == expected


def place_one(cluster: Cluster, tasks: Tasks, mix: Any, task: int) -> None:
    rises = unknown_rises(len(tasks.kinds), len(cluster.gpus))
    place_by_waste(cluster, tasks, mix, empty_memo(64), rises, task, task + 1)


@settings(max_examples=25)
@given(seed=seeds)
def test_what_is_remembered_changes_no_choice(seed: int) -> None:
    cluster, tasks = random_world(seed)
    again = Cluster(*(one.copy() for one in cluster))
    other = tasks._replace(node=tasks.node.copy())
    counts = np.bincount(tasks.kind, minlength=len(tasks.kinds)) + 1
    mix = learn_mix(tasks.kinds, counts, np.random.default_rng(seed).random((4, 6)))
    rises = unknown_rises(len(tasks.kinds), len(cluster.gpus))

    # A memo of 4 slots is soon full.
    place_by_waste(cluster, tasks, mix, empty_memo(4), rises, 0, len(tasks.kind))
    for task in range(len(tasks.kind)):
        place_one(again, other, mix, task)

    assert other.node.tolist() == tasks.node.tolist()
    assert again.free.tolist() == cluster.free.tolist()


@settings(max_examples=25)
@given(seed=seeds)
def test_what_comes_later_changes_nothing_before(seed: int) -> None:
    draws = np.random.default_rng(seed).random((4, 6))
    cluster, tasks = random_world(seed, tasks=3 * FIRST_LOOK)
    turn = 2 * FIRST_LOOK
    again = Cluster(*(one.copy() for one in cluster))
    # Afterwards only a kind comes that is new, and that stands first in the table.
    new = np.vstack([[0, 0, 1, 1000, 7], tasks.kinds])
    kind = np.where(np.arange(len(tasks.kind)) < turn, tasks.kind + 1, 0)
    other = Tasks(new, kind, np.full(len(kind), -1, dtype=np.int64))

    MixPlacer(cluster, tasks, draws).place(0, len(tasks.kind))
    MixPlacer(again, other, draws).place(0, len(kind))

    assert other.node[:turn].tolist() == tasks.node[:turn].tolist()


@settings(max_examples=25)
@given(seed=seeds, cut=st.integers(1, 99))
def test_placing_in_pieces_is_placing_at_once(seed: int, cut: int) -> None:
    draws = np.random.default_rng(seed).random((4, 6))
    cluster, tasks = random_world(seed, tasks=100)
    again = Cluster(*(one.copy() for one in cluster))
    other = tasks._replace(node=tasks.node.copy())

    MixPlacer(cluster, tasks, draws).place(0, 100)
    pieces = MixPlacer(again, other, draws)
    pieces.place(0, cut)
    pieces.place(cut, 100)

    assert other.node.tolist() == tasks.node.tolist()


def test_a_kind_comes_up_in_the_sequences_as_often_as_it_was_seen() -> None:
    kinds = np.array([[1, 1, 0, 0, 1], [5, 7, 1, 250, 1], [3, 9, 2, 1000, 1]])
    draws = (np.arange(80).reshape(8, 10) + 0.5) / 80

    mix = learn_mix(kinds, np.array([900, 3, 1]), draws)

    assert np.bincount(mix.sequences.ravel(), minlength=3).tolist() == [0, 60, 20]
    assert mix.least.tolist() == [3, 7, 250]
