"""Reclaims on the paths that are seldom walked: cancelled, cordoned, cut, shared, short of CPU."""

import pytest

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool


def lent_bench(*gpus: int, cpu: int = 0, **rules: object) -> Bench:
    """A pool of which ``owner`` is entitled to everything and ``guest`` to nothing."""
    bench = Bench(flat_pool(*gpus, cpu=cpu), **rules)
    bench.entitle("owner", sum(gpus))
    bench.account("guest")
    return bench


def test_a_borrower_may_stay_when_the_claimant_is_cancelled() -> None:
    bench = lent_bench(8)
    borrower = bench.submit("guest", gpus=8, ckpt_takes=100)
    bench.at(0)
    claimant = bench.submit("owner", gpus=8)
    bench.at(10)
    assert bench.number(col.J_STOP_AT, borrower) == 110

    bench.observe(col.K_CANCELLED, claimant)
    bench.at(20)

    assert bench.is_(claimant) == "CANCELLED"
    assert bench.told(col.K_CLAIM_ENDED) == [[claimant, col.CLAIM_CANCELLED, 0, 0, 0, 0]]
    assert [fact[:2] for fact in bench.told(col.K_WITHDRAWN)] == [[borrower, claimant]]
    bench.at(200)
    assert (bench.is_(borrower), bench.number(col.J_ATTEMPT, borrower)) == ("RUNNING", 1)


def test_a_claim_is_not_served_on_a_node_that_takes_no_new_work() -> None:
    bench = lent_bench(8, 8)
    borrowers = [bench.submit("guest", gpus=8, ckpt_takes=100) for _ in range(2)]
    bench.at(0)
    claimant = bench.submit("owner", gpus=8)
    bench.at(10)
    held = [n for n in range(2) if bench.state.c.nodes[col.N_HELD, n] > 0]

    bench.observe(col.K_CORDONED, -1, held[0], 1)
    bench.at(20)

    assert bench.told(col.K_CLAIM_ENDED)[0][:2] == [claimant, col.CLAIM_FAULT]
    assert len(bench.told(col.K_CLAIMED)) == 1  # anew, on the other node
    for now_s in (120, 130, 150):
        bench.at(now_s)
    assert bench.nodes(claimant) == [1 - held[0]]
    assert sorted(bench.is_(job) for job in borrowers) == ["PENDING", "RUNNING"]


def test_a_fault_on_one_held_node_makes_the_claim_anew_at_once() -> None:
    bench = lent_bench(8, 8, 8)
    for _ in range(3):
        bench.submit("guest", gpus=8, ckpt_takes=100)
    bench.at(0)
    claimant = bench.submit("owner", gpus=16)
    bench.at(10)
    held = [n for n in range(3) if bench.state.c.nodes[col.N_HELD, n] > 0]

    bench.observe(col.K_FAULT, -1, held[0], 1, 0)
    bench.at(20)

    assert bench.told(col.K_CLAIM_ENDED)[0][:2] == [claimant, col.CLAIM_FAULT]
    assert bench.told(col.K_CLAIMED)[0][:2] == [claimant, 20 + 600]


def test_a_claim_beyond_a_shrunk_entitlement_is_not_served() -> None:
    bench = lent_bench(8)
    borrower = bench.submit("guest", gpus=8, ckpt_takes=100)
    bench.at(0)
    claimant = bench.submit("owner", gpus=8)
    bench.at(10)

    bench.entitle("owner", 4)
    bench.at(20)

    assert bench.told(col.K_CLAIM_ENDED)[0][:2] == [claimant, col.CLAIM_CANCELLED]
    assert (bench.is_(claimant), bench.is_(borrower)) == ("PENDING", "RUNNING")
    assert bench.number(col.J_STOP_AT, borrower) == -1


def test_devices_that_two_borrowers_share_come_back_too() -> None:
    bench = lent_bench(1)
    borrowers = [bench.submit("guest", gpus=1, milli=500, ckpt_takes=5) for _ in range(2)]
    bench.at(0)
    assert [bench.is_(job) for job in borrowers] == ["RUNNING", "RUNNING"]

    claimant = bench.submit("owner", gpus=1)
    for now_s in (10, 15, 45):
        bench.at(now_s)

    assert bench.is_(claimant) == "RUNNING"


def test_an_owner_may_call_back_a_share_of_a_device() -> None:
    bench = lent_bench(2)
    bench.submit("guest", gpus=2, ckpt_takes=5)
    bench.at(0)

    claimant = bench.submit("owner", gpus=1, milli=250)
    for now_s in (10, 15, 45):
        bench.at(now_s)

    assert (bench.is_(claimant), bench.kind(claimant)) == ("RUNNING", "own")


def test_a_claim_sets_aside_the_cpu_that_its_gang_needs() -> None:
    bench = lent_bench(8, cpu=8000)
    bench.submit("guest", gpus=1, cpu=6000, ckpt_takes=200)
    bench.at(0)

    claimant = bench.submit("owner", gpus=7, cpu=7000)
    bench.at(10)
    latecomer = bench.submit("guest", gpus=1, cpu=2000)
    for now_s in (20, 210, 220, 240):
        bench.at(now_s)  # the check would say if CPU were given out twice

    assert bench.is_(claimant) == "RUNNING"
    assert bench.is_(latecomer) == "PENDING"


def test_nobody_is_sent_away_beside_one_who_suffices() -> None:
    bench = lent_bench(8)
    small = [bench.submit("guest", gpus=2, ckpt_takes=5) for _ in range(2)]
    large = bench.submit("guest", gpus=4, ckpt_takes=5)
    bench.at(0)

    bench.submit("owner", gpus=4)
    bench.at(10)

    assert sorted(fact[0] for fact in bench.told(col.K_NOTICED)) in ([large], sorted(small))
    assert len(bench.told(col.K_NOTICED)) < 3


def test_when_entitlements_shrink_those_that_may_borrow_go_first() -> None:
    bench = lent_bench(8)
    firm = bench.submit("owner", gpus=4, preemptible=0)
    bench.at(0)
    soft = bench.submit("owner", gpus=4)
    bench.at(5)
    young_firm = bench.submit("owner", gpus=4, preemptible=0)
    bench.at(6)

    bench.entitle("owner", 4)
    bench.at(10)

    assert (bench.kind(firm), bench.kind(soft)) == ("own", "loan")
    assert bench.is_(young_firm) == "PENDING"


@pytest.mark.parametrize("drain_s", [0, 30])
def test_a_cancellation_reaches_a_job_that_is_being_stopped(drain_s: int) -> None:
    bench = lent_bench(8, instant_stop=False, drain_s=drain_s)
    borrower = bench.submit("guest", gpus=8)
    bench.at(0)
    bench.submit("owner", gpus=8)
    bench.at(10)
    assert bench.is_(borrower) == "STOPPING"

    bench.observe(col.K_CANCELLED, borrower)
    bench.at(11)
    bench.observe(col.K_VACATED, borrower, 1, 0)
    bench.at(12)

    assert bench.is_(borrower) == "CANCELLED"


def test_a_fault_under_machines_that_take_their_time_is_no_broken_invariant() -> None:
    bench = Bench(flat_pool(8, 8), instant_stop=False)
    job = bench.submit(gpus=8)
    bench.at(0)
    node = bench.nodes(job)[0]

    bench.observe(col.K_FAULT, -1, node, 1, 0)
    bench.at(10)
    assert bench.is_(job) == "STOPPING"
    bench.observe(col.K_VACATED, job, 1, 0)
    bench.at(12)

    assert bench.nodes(job) == [1 - node]


def test_the_rest_of_a_device_that_a_claimant_shares_is_room_at_once() -> None:
    bench = Bench(flat_pool(1))
    bench.entitle("owner", 1)
    bench.submit("guest", ckpt_takes=0)
    bench.at(0)
    other = bench.submit("guest", milli=500)
    bench.at(5)
    claimant = bench.submit("owner", milli=400)
    bench.at(10)
    bench.at(20)
    bench.at(40)

    assert (bench.is_(claimant), bench.is_(other)) == ("RUNNING", "RUNNING")
