"""Starting and refusing on paths seldom walked: chains of jobs, remainders, odd shapes."""

import numpy as np
import pytest

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool
from tests.core.worlds import pool_of_rows

ALL = col.POLICIES


@pytest.mark.parametrize("policy", ALL)
def test_who_waits_for_a_failed_job_is_refused_once_and_blocks_nobody(policy: str) -> None:
    bench = Bench(flat_pool(8), policy)
    parent = bench.submit(gpus=8)
    bench.at(0)
    child = bench.submit(gpus=8, after=parent)
    grandchild = bench.submit(gpus=8, after=child)
    other = bench.submit(gpus=8)
    bench.at(10)

    bench.end(parent, col.FAILED)
    bench.at(20)

    assert [fact[0] for fact in bench.told(col.K_REFUSED)] == [child, grandchild]
    if bench.is_(other) != "RUNNING":
        bench.at(30)  # cleaned by then
    assert bench.is_(other) == "RUNNING"


@pytest.mark.parametrize("policy", ALL)
def test_who_waits_for_another_does_not_stand_in_its_way(policy: str) -> None:
    bench = Bench(flat_pool(8), policy)
    first = bench.submit(gpus=8, after=1)
    second = bench.submit(gpus=8)

    bench.at(0)

    assert (bench.is_(first), bench.is_(second)) == ("PENDING", "RUNNING")


@pytest.mark.parametrize("policy", ALL)
def test_a_cancelled_waiting_job_takes_those_after_it_along(policy: str) -> None:
    bench = Bench(flat_pool(8), policy)
    bench.submit(gpus=8)
    parent = bench.submit(gpus=8)
    child = bench.submit(gpus=8, after=parent)
    bench.at(0)

    bench.observe(col.K_CANCELLED, parent)
    bench.at(1)

    assert (bench.is_(parent), bench.is_(child)) == ("CANCELLED", "REFUSED")


def test_a_job_after_one_that_is_submitted_later_waits_for_it() -> None:
    bench = Bench(flat_pool(8))
    early = bench.submit(gpus=1, after=900)  # beyond every table
    bench.at(0)
    assert bench.is_(early) == "PENDING"

    itself = bench.submit(gpus=1, after=1)
    bench.at(1)

    assert bench.is_(itself) == "REFUSED"


def test_a_remainder_finds_the_leaf_that_holds_the_whole_gang() -> None:
    # Leaf 0 has one empty node, which suffices for 8 of 12; leaf 1 has two.
    bench = Bench(flat_pool(8, 8, 8, 8, leaves=2), "greedy")
    bench.submit(gpus=8)
    bench.at(0)
    taken = bench.nodes(0)[0]

    gang = bench.submit(gpus=12)
    bench.at(1)

    leaves = {int(bench.state.c.nodes[col.N_SHELF, node]) for node in bench.nodes(gang)}
    assert leaves == {1 - int(bench.state.c.nodes[col.N_SHELF, taken])}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": 16, "gpn": 8}, [2, 8]),
        ({"gpus": 8, "gpn": 4}, [2, 4]),
        ({"gpus": 8, "nodes": 4}, [4, 2]),
        ({"gpus": 8, "nodes": 2, "gpn": 4}, [2, 4]),
        ({"gpus": 12, "segment": 6}, [2, 6]),
        ({"gpus": 18, "segment": 3}, [3, 6]),
        ({"gpus": 16, "segment": 4}, [2, 8]),
        ({"gpus": 16, "segment": 16}, [2, 8]),
        ({"gpus": 16, "segment": 8, "gpn": 4}, [4, 4]),
    ],
)
def test_a_gang_takes_the_shape_it_asks_for(asked: dict[str, int], said: list[int]) -> None:
    bench = Bench(flat_pool(8, 8, 8, 8))
    job = bench.submit(**asked)

    bench.at(0)

    placed = [fact[2].bit_count() for fact in bench.told(col.K_PLACED)]
    assert [len(bench.nodes(job)), *set(placed)] == said


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"gpus": 0}, 1),
        ({"gpus": -5}, 1),
        ({"milli": 0}, 1),
        ({"milli": 1001}, 1),
        ({"gpus": 8, "nodes": 3}, 2),
        ({"gpus": 8, "gpn": 3}, 2),
        ({"gpus": 8, "nodes": 2, "gpn": 8}, 2),
        ({"gpus": 33}, 3),
        ({"gpus": 1 << 40}, 3),
        ({"gpus": 8, "gpn": 16, "nodes": 0}, 2),
        ({"gpus": 16, "gpn": 16}, 3),
        ({"types": 0}, 4),
        ({"gpus": 24, "segment": 16}, 2),
        ({"gpus": 24, "segment": 12}, 3),
        ({"gpus": 24, "segment": 4, "gpn": 6}, 2),
    ],
)
def test_what_can_never_run_is_refused_at_once(asked: dict[str, int], reason: int) -> None:
    bench = Bench(flat_pool(8, 8, 8, 8))
    job = bench.submit(**asked)
    fine = bench.submit(gpus=1)

    bench.at(0)

    assert [fact[:2] for fact in bench.told(col.K_REFUSED)] == [[job, reason]]
    assert bench.is_(fine) == "RUNNING"


def test_easy_keeps_locality_and_cpu_when_it_backfills() -> None:
    rows = [("q", "c", "p", f"l{i}", "B200", "C") for i in range(3)]
    bench = Bench(pool_of_rows(rows, [(8, 8000, 0)] * 3), "easy")
    bench.submit(gpus=8, estimate=1000)
    bench.submit(gpus=24, estimate=1000)
    spread = bench.submit(gpus=16, estimate=10, locality=2, level=col.AT_LEAF)
    hungry = bench.submit(gpus=1, estimate=10, cpu=9000)
    greedy = [bench.submit(gpus=1, estimate=10, cpu=6000) for _ in range(3)]

    bench.at(0)

    assert (bench.is_(spread), bench.is_(hungry)) == ("REFUSED", "REFUSED")
    assert [bench.is_(job) for job in greedy] == ["RUNNING", "RUNNING", "PENDING"]


def test_easy_goes_on_while_the_head_waits_for_a_repair() -> None:
    bench = Bench(flat_pool(8, 8), "easy")
    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    head = bench.submit(gpus=16, estimate=10)
    small = bench.submit(gpus=8, estimate=10)

    bench.at(0)

    assert (bench.is_(head), bench.is_(small)) == ("PENDING", "RUNNING")


def test_a_repair_of_what_was_not_broken_hides_no_later_fault() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.at(0)
    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    job = bench.submit(gpus=8)
    other = bench.submit(gpus=8)

    bench.at(1)

    assert [bench.nodes(job), bench.nodes(other)] == [[1], []]


def test_a_repaired_device_still_dirty_is_room_for_its_last_owner() -> None:
    bench = Bench(flat_pool(1))
    job = bench.submit(gpus=1)
    bench.at(0)
    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(5)

    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.at(6)

    assert bench.is_(job) == "RUNNING"


def test_time_that_a_backend_tells_does_not_enter_the_books() -> None:
    bench = Bench(flat_pool(8))
    job = bench.submit(gpus=8, submit=5_000)  # handed in by a clock that is ahead
    bench.at(100)
    bench.end(job)

    bench.at(90)  # and our clock goes back

    assert bench.number(col.J_SUBMIT, job) == 100
    assert (bench.number(col.J_RUN_S, job), bench.number(col.J_ENDED, job)) == (0, 100)


def test_segments_may_stand_apart_where_a_gang_finds_no_place_together() -> None:
    # Four leaves of three nodes; one node of each is taken.
    bench = Bench(flat_pool(*[8] * 12, leaves=4))
    for node in range(4):
        bench.observe(col.K_CORDONED, -1, 3 * node, 1)
    bench.at(0)
    whole = bench.submit(gpus=48, locality=col.LOCALITY_REQUIRED, level=col.AT_LEAF)
    segments = bench.submit(gpus=48, segment=16)
    odd = bench.submit(gpus=24, segment=24)

    bench.at(1)

    assert bench.is_(whole) == "REFUSED"
    leaves = [int(bench.state.c.nodes[col.N_SHELF, node]) for node in bench.nodes(segments)]
    assert len(leaves) == 6 and all(leaves.count(leaf) == 2 for leaf in leaves)
    # Two nodes are free, but three of one leaf are not.
    assert bench.is_(odd) == "PENDING"


def test_a_claim_for_segments_calls_back_whole_ones_on_a_leaf() -> None:
    bench = Bench(flat_pool(*[8] * 6, leaves=3))
    bench.entitle("owner", 48)
    for _ in range(6):
        bench.submit("guest", gpus=8, ckpt_takes=0)
    bench.at(0)
    stay = bench.submit("owner", gpus=8, preemptible=0)
    bench.at(10)
    bench.at(60)
    gang = bench.submit("owner", gpus=32, segment=16)

    bench.at(70)

    held = np.repeat(np.arange(6), 8)[bench.state.c.devices[col.D_HOLD] == gang + 1]
    leaves = bench.state.c.nodes[col.N_SHELF, np.unique(held)].tolist()
    home = int(bench.state.c.nodes[col.N_SHELF, bench.nodes(stay)[0]])
    assert sorted(leaves) == sorted(2 * [leaf for leaf in range(3) if leaf != home])
