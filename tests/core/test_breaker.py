"""Many nodes of one provider fail at once: no gang starts there for a while, then small ones first.

And a node that several asked to keep free stays free until each of them has lifted its own wish.
"""

import numpy as np
import pytest

from dure.core import columns as col
from tests.core.bench import Bench
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import SPAN_S, World, pool_of_rows, random_world

RULES = {"breaker_pct": 30, "breaker_window_s": 600, "breaker_s": 1800, "lemon_faults": 0}


def two_providers(*, nodes: int = 8) -> Bench:
    rows = [(q, f"c{q}", "p", "l", "B200", "C") for q in ("a", "b") for _ in range(nodes)]
    return Bench(pool_of_rows(rows, [(8, 0, 0)] * (2 * nodes)), **RULES)


def fail(bench: Bench, nodes: range, at_s: int) -> None:
    for node in nodes:
        bench.observe(col.K_FAULT, -1, node, 1, 0)
    bench.at(at_s)


def shut_bench() -> Bench:
    """Provider a (nodes 0 to 7) lost four nodes within ten minutes and is shut until 2,200 s."""
    bench = two_providers()
    bench.at(0)
    fail(bench, range(2), 100)
    fail(bench, range(2, 4), 400)
    assert bench.told(col.K_BREAKER) == [[-1, 0, 2200, 0, 0, 0]]
    return bench


def test_no_gang_starts_where_many_nodes_failed_until_the_time_is_over() -> None:
    bench = shut_bench()

    gangs = [bench.submit(gpus=8) for _ in range(9)]
    bench.at(500)

    placed = [node for gang in gangs for node in bench.nodes(gang)]
    assert sorted(placed) == list(range(8, 16))
    assert bench.is_(gangs[8]) == "PENDING"


def test_what_runs_there_runs_on() -> None:
    bench = two_providers()
    gang = bench.submit(gpus=32)
    bench.at(0)
    assert bench.nodes(gang) == [0, 1, 2, 3]

    fail(bench, range(4, 8), 100)

    assert bench.told(col.K_BREAKER) != []
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [0, 1, 2, 3])


def test_a_struck_gang_leaves_a_provider_that_is_shut() -> None:
    bench = two_providers()
    gang = bench.submit(gpus=32)
    bench.at(0)

    fail(bench, range(3, 8), 100)

    # It had three good nodes there; the next fault would have taken it again.
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [8, 9, 10, 11])


def test_after_its_time_small_gangs_that_lose_little_are_tried_first() -> None:
    bench = shut_bench()
    for _ in range(8):
        bench.submit(gpus=8, preemptible=0)
    bench.at(500)
    small, large = bench.submit(gpus=8, ckpt_every=600), bench.submit(gpus=16)
    bench.at(600)
    assert (bench.is_(small), bench.is_(large)) == ("PENDING", "PENDING")

    bench.at(2200)
    assert (bench.nodes(small), bench.is_(large)) == ([4], "PENDING")
    bench.at(2800)

    assert bench.nodes(large) == [5, 6]


def test_as_many_faults_again_shut_it_again() -> None:
    bench = shut_bench()
    bench.at(2200)
    for node in range(4):
        bench.observe(col.K_REPAIRED, -1, node, 1, 0)
    bench.at(2300)

    fail(bench, range(4, 8), 2400)

    assert bench.told(col.K_BREAKER) == [[-1, 0, 4200, 0, 0, 0]]
    bench.at(4200)
    gang = bench.submit(gpus=32, preemptible=0)
    blocker = bench.submit(gpus=64, preemptible=0)
    bench.at(4300)
    assert (bench.nodes(gang), bench.is_(blocker)) == ([8, 9, 10, 11], "PENDING")
    bench.at(4800)
    assert bench.state.c.nodes[col.N_PROBATION].tolist() == [0] * 16


@pytest.mark.parametrize("at_s", [(100, 800), (100, 100)])
def test_few_nodes_or_far_between_shut_nothing(at_s: tuple[int, int]) -> None:
    bench = two_providers()
    bench.at(0)

    fail(bench, range(2), at_s[0])
    fail(bench, range(2, 4 if at_s[1] > 700 else 3), at_s[1] + 1)

    assert bench.told(col.K_BREAKER) == []


def test_what_a_pool_begins_without_never_failed() -> None:
    bench = two_providers()

    fail(bench, range(8), 0)

    assert bench.told(col.K_BREAKER) == []


def test_a_node_is_open_when_each_who_shut_it_has_opened_it() -> None:
    bench = Bench(pool_of_rows([("q", "c", "p", "l", "B200", "C")], [(8, 0, 0)]))
    for who in (col.OF_OPERATOR, col.OF_HEALTH):
        bench.observe(col.K_CORDONED, -1, 0, 1, who)
    gang = bench.submit(gpus=8)
    bench.at(0)
    # Asked for twice, lifted once: whoever asks again means the same wish.
    bench.observe(col.K_CORDONED, -1, 0, 1, col.OF_HEALTH)
    bench.at(10)

    bench.observe(col.K_CORDONED, -1, 0, 0, col.OF_HEALTH)
    bench.at(20)
    assert (bench.is_(gang), bench.state.c.nodes[col.N_CORDONED, 0]) == ("PENDING", 1)
    bench.observe(col.K_CORDONED, -1, 0, 0, col.OF_PROVIDER)
    bench.at(30)
    assert bench.is_(gang) == "PENDING"
    bench.observe(col.K_CORDONED, -1, 0, 0, col.OF_OPERATOR)
    bench.at(40)

    assert bench.is_(gang) == "RUNNING"


def failing_world(seed: int, **rules: object) -> World:
    """Return a world in which providers lose most of their nodes within minutes, now and then."""
    world = random_world(seed, jobs=160, **{**RULES, "breaker_s": 700} | rules)
    rng = np.random.default_rng(seed + 10_000)
    of = np.array([world.pool.provider[i] for i in world.pool.order])
    for provider in world.pool.providers:
        at_s = int(rng.integers(1, SPAN_S))
        for node in np.flatnonzero((of == provider) & (rng.random(of.size) < 0.7)).tolist():
            from_s = at_s + int(rng.integers(0, 300))
            to_s = from_s + int(rng.integers(1, 2500))
            world.script.append((from_s, (col.K_FAULT, from_s, -1, node, 1, 0)))
            world.script.append((to_s, (col.K_REPAIRED, to_s, -1, node, 1, 0)))
    world.script.sort()
    return world


@pytest.mark.parametrize("seed", range(500, 520))
def test_breakers_break_no_promise_and_no_invariant(seed: int) -> None:
    rules = {"lemon_faults": seed % 2 * 2, "instant_stop": seed % 4 > 0, "drain_s": 20}
    run = Drive(failing_world(seed, **rules))
    promises = Promises(run.state)
    for record in run.cycles():
        promises.read(record)
    promises.close(run.state.now_s)

    assert promises.broken == [], run.said()
    assert not run.state.c.breakers.any()
    assert not (run.state.c.nodes[col.N_CORDONED] >> col.OF_BREAKER).any()


def test_the_worlds_above_shut_providers() -> None:
    shut = 0
    for seed in range(500, 520):
        run = Drive(failing_world(seed), fold_too=False)
        shut += sum(int((one.decided[:, 0] == col.K_BREAKER).sum()) for one in run.cycles())

    assert shut >= 10
