"""Nodes that fail often: large gangs avoid them, and a lemon is on probation for a while."""

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool

DAY_S = 86_400


def fail(bench: Bench, node: int, at_s: int) -> None:
    """Let a node fail and have it back an hour later."""
    bench.observe(col.K_FAULT, -1, node, 1, 0)
    bench.at(at_s)
    bench.observe(col.K_REPAIRED, -1, node, 1, 0)
    bench.at(at_s + 3600)


def lemon_bench() -> Bench:
    """A pool whose node 0 failed on three days and came back at 176,400 s."""
    bench = Bench(flat_pool(8, 8, 8), lemons_pct=100)
    for day in range(3):
        fail(bench, 0, day * DAY_S)
    assert bench.state.c.nodes[col.N_PROBATION].tolist() == [2 * DAY_S + 3600 + DAY_S, 0, 0]
    return bench


def test_a_fault_weighs_half_after_the_half_life() -> None:
    bench = Bench(flat_pool(8, 8), hazard_half_life_days=1, lemon_faults=9)
    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(0)
    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(2 * DAY_S)

    # A quarter of the first one and all of the second.
    assert bench.state.c.nodes[col.N_HAZARD].tolist() == [1250, 0]


def test_a_gang_of_two_nodes_prefers_those_that_failed_less() -> None:
    bench = Bench(flat_pool(8, 8, 8))
    fail(bench, 0, 0)

    gang, small = bench.submit(gpus=16), bench.submit(gpus=8)
    bench.at(DAY_S)

    assert (bench.nodes(gang), bench.nodes(small)) == ([1, 2], [0])


def test_a_lemon_takes_only_small_gangs_that_save_until_it_stayed_healthy() -> None:
    bench = lemon_bench()
    large = bench.submit(gpus=24)
    firm = bench.submit(gpus=8, preemptible=0)
    unsaved = bench.submit(gpus=8)
    rest = bench.submit(gpus=8)
    saved = bench.submit(gpus=4, ckpt_every=600)
    bench.at(2 * DAY_S + 4000)

    assert bench.nodes(saved) == [0]
    assert sorted(bench.nodes(firm) + bench.nodes(unsaved)) == [1, 2]
    assert (bench.is_(large), bench.is_(rest)) == ("PENDING", "PENDING")
    for job in (firm, unsaved, saved):
        bench.end(job)
    bench.observe(col.K_CANCELLED, rest)
    bench.at(2 * DAY_S + 5000)
    assert bench.is_(large) == "PENDING"
    bench.at(3 * DAY_S + 3600)
    assert bench.nodes(large) == [0, 1, 2]


def test_a_lemon_that_fails_again_begins_its_probation_anew() -> None:
    bench = lemon_bench()

    fail(bench, 0, 2 * DAY_S + 7200)

    assert bench.state.c.nodes[col.N_PROBATION, 0] == 3 * DAY_S + 3 * 3600
    bench.at(3 * DAY_S + 3600)
    assert bench.state.c.nodes[col.N_PROBATION, 0] > 0
    bench.at(3 * DAY_S + 3 * 3600)
    assert bench.state.c.nodes[col.N_PROBATION, 0] == 0


def test_a_pool_of_few_nodes_closes_none_of_them() -> None:
    bench = Bench(flat_pool(8))
    for day in range(4):
        fail(bench, 0, day * DAY_S)

    gang = bench.submit(gpus=8, preemptible=0)
    bench.at(4 * DAY_S)

    assert bench.is_(gang) == "RUNNING"


def test_a_claim_calls_nobody_back_from_a_lemon() -> None:
    bench = Bench(flat_pool(8, 8), lemons_pct=100)
    bench.entitle("owner", 16)
    guest = bench.submit("guest", gpus=8, ckpt_every=60)
    for day in range(3):
        fail(bench, 0, day * DAY_S)
    other = bench.submit("guest", gpus=8, ckpt_every=60)
    bench.at(2 * DAY_S + 4000)
    assert (bench.nodes(guest), bench.nodes(other)) == ([1], [0])

    bench.submit("owner", gpus=8)
    bench.at(2 * DAY_S + 5000)

    assert [fact[0] for fact in bench.told(col.K_NOTICED)] == [guest]
