"""Faults inside a gang: it goes on with a substitute, or its rest is kept, or it queues again."""

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.turns import is_lendable
from tests.core.bench import Bench, flat_pool
from tests.core.driving import Drive
from tests.core.worlds import pool_of_rows, random_world


def test_a_struck_gang_goes_on_at_once_with_the_nearest_node_and_keeps_the_others() -> None:
    rows = [("q", "c", "p", leaf, "B200", "C") for leaf in ("l0", "l0", "l0", "l1")]
    bench = Bench(pool_of_rows(rows, [(8, 0, 0)] * 4))
    gang = bench.submit(gpus=16, ckpt_every=100)
    bench.at(0)
    assert bench.nodes(gang) == [0, 1]

    bench.observe(col.K_FAULT, -1, 1, 1, 0)
    bench.at(250)

    # It falls back to its last checkpoint, at 200, and is never seen in the line.
    assert bench.told(col.K_STOPPED) == [[gang, 1, col.BY_SWAP, 200, 50 * 16 * col.WHOLE, 0]]
    assert bench.told(col.K_STARTED) == [[gang, 2, col.OWN, 0, 0, 0]]
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [0, 2])
    assert bench.number(col.J_QUEUED_S, gang) == 0


def test_no_substitute_is_taken_from_where_a_gang_does_not_agree_to_spread() -> None:
    places = [("p0", "l0"), ("p0", "l0"), ("p0", "l1"), ("p1", "l2"), ("p1", "l2")]
    rows = [("q", "c", pod, leaf, "B200", "C") for pod, leaf in places]
    bench = Bench(pool_of_rows(rows, [(8, 0, 0)] * 5))
    other = bench.submit(gpus=16, locality=col.LOCALITY_REQUIRED, level=col.AT_LEAF)
    gang = bench.submit(gpus=16, locality=col.LOCALITY_REQUIRED, level=col.AT_POD)
    bench.at(0)
    assert (bench.nodes(other), bench.nodes(gang)) == ([0, 1], [3, 4])

    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.observe(col.K_FAULT, -1, 3, 1, 0)
    bench.at(10)

    # Of the first one's leaf, and of the second one's pod, no node is free.
    assert (bench.is_(other), bench.is_(gang)) == ("PENDING", "PENDING")


def test_a_gang_of_the_same_pod_finds_its_substitute_in_another_leaf() -> None:
    places = [("p0", "l0"), ("p0", "l0"), ("p1", "l2"), ("p0", "l1")]
    rows = [("q", "c", pod, leaf, "B200", "C") for pod, leaf in places]
    bench = Bench(pool_of_rows(rows, [(8, 0, 0)] * 4))
    gang = bench.submit(gpus=16)
    bench.at(0)
    names = [bench.state.node_names[node] for node in bench.nodes(gang)]
    assert names == ["n000", "n001"]

    bench.observe(col.K_FAULT, -1, bench.nodes(gang)[0], 1, 0)
    bench.at(10)

    assert [bench.state.node_names[node] for node in bench.nodes(gang)] == ["n001", "n003"]


def test_a_hang_lets_the_gang_start_again_where_it_stood_and_is_no_swap() -> None:
    bench = Bench(flat_pool(8, 8, 8))
    gang = bench.submit(gpus=16)
    bench.at(0)

    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.at(50)

    assert [fact[2] for fact in bench.told(col.K_STOPPED)] == [col.BY_FAULT]
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [0, 1])


def test_without_a_substitute_an_owner_keeps_the_rest_and_calls_a_borrower_back() -> None:
    bench = Bench(flat_pool(8, 8, 8))
    bench.entitle("owner", 16)
    bench.account("guest")
    gang = bench.submit("owner", gpus=16)
    bench.at(0)
    guest = bench.submit("guest", gpus=8, ckpt_takes=100)
    # Its owner's next gang, which would take what is left.
    small = bench.submit("owner", gpus=8, class_asked=1 + col.OWN)
    bench.at(10)
    assert (bench.is_(guest), bench.is_(small)) == ("RUNNING", "PENDING")

    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(20)

    assert [fact[2] for fact in bench.told(col.K_STOPPED)] == [col.BY_FAULT]
    assert bench.told(col.K_CLAIMED) == [[gang, 620, 0, 0, 0, 0]]
    assert sorted(fact[1] for fact in bench.told(col.K_HELD)) == [1, 2]
    assert [fact[:2] for fact in bench.told(col.K_NOTICED)] == [[guest, gang]]
    for now_s in (30, 120, 130, 150):
        bench.at(now_s)
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [1, 2])
    assert bench.is_(small) == "PENDING"


def test_a_stranded_gang_stands_first_when_its_node_comes_back() -> None:
    bench = Bench(flat_pool(8, 8))
    gang = bench.submit(gpus=16)
    bench.at(0)
    later = bench.submit(gpus=16)
    bench.at(5)

    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(20)
    assert (bench.is_(gang), bench.is_(later)) == ("PENDING", "PENDING")
    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.at(100)

    assert (bench.is_(gang), bench.is_(later)) == ("RUNNING", "PENDING")


def test_a_borrower_that_is_leaving_gets_no_substitute() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.entitle("owner", 16)
    guest = bench.submit("guest", gpus=8, ckpt_takes=100)
    bench.at(0)
    owners = bench.submit("owner", gpus=16)
    bench.at(10)
    assert bench.number(col.J_STOP_AT, guest) == 110

    bench.observe(col.K_FAULT, -1, bench.nodes(guest)[0], 1, 0)
    bench.at(20)

    # The claim was for both nodes and ends with one of them; the guest need not leave any more.
    assert bench.told(col.K_CLAIM_ENDED)[0][:2] == [owners, col.CLAIM_FAULT]
    assert [fact[2] for fact in bench.told(col.K_STOPPED)] == [col.BY_SWAP]
    assert (bench.is_(guest), bench.kind(guest)) == ("RUNNING", "loan")


def test_machines_that_take_their_time_are_told_to_stop_and_swap_with_the_receipt() -> None:
    bench = Bench(flat_pool(8, 8, 8), instant_stop=False, drain_s=30)
    gang = bench.submit(gpus=16)
    bench.at(0)

    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(10)
    assert [fact[:3] for fact in bench.told(col.K_STOP_ORDERED)] == [[gang, 1, col.BY_FAULT]]
    assert bench.is_(gang) == "STOPPING"
    bench.observe(col.K_VACATED, gang, 1, 0)
    bench.at(25)

    assert [fact[2] for fact in bench.told(col.K_STOPPED)] == [col.BY_SWAP]
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [1, 2])


def test_a_policy_that_does_not_swap_stops_the_gang_and_queues_it_again() -> None:
    bench = Bench(flat_pool(8, 8, 8), swap=False)
    gang = bench.submit(gpus=16)
    bench.at(0)

    bench.observe(col.K_FAULT, -1, 0, 1, 0)
    bench.at(10)

    assert [fact[2] for fact in bench.told(col.K_STOPPED)] == [col.BY_FAULT]
    assert bench.nodes(gang) == [1, 2]  # its owner's next, on what it just left


def test_a_stranded_borrower_goes_before_those_who_borrowed_less() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.entitle("owner", 16)
    guest = bench.submit("guest", gpus=8)
    bench.submit("other", gpus=8, work=50)
    bench.at(0)
    later = bench.submit("third", gpus=8)
    bench.at(10)

    bench.observe(col.K_FAULT, -1, bench.nodes(guest)[0], 1, 0)
    bench.at(100)
    assert (bench.is_(guest), bench.is_(later)) == ("PENDING", "PENDING")
    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.at(200)

    assert (bench.is_(guest), bench.is_(later)) == ("RUNNING", "PENDING")


def test_a_stranded_gang_goes_before_one_of_its_class_that_never_ran() -> None:
    bench = Bench(flat_pool(8, 8, 8))
    bench.entitle("owner", 8)
    bench.entitle("other", 8, index=1)
    bench.observe(col.K_FAULT, -1, 2, 1, 0)
    earlier = bench.submit("late", gpus=8, class_asked=1 + col.OWN)
    struck = bench.submit("owner", gpus=8)
    bench.submit("other", gpus=8)
    bench.at(0)
    assert (bench.is_(earlier), bench.is_(struck)) == ("PENDING", "RUNNING")

    bench.observe(col.K_FAULT, -1, bench.nodes(struck)[0], 1, 0)
    bench.entitle("late", 8, index=2)
    bench.at(100)
    bench.observe(col.K_REPAIRED, -1, 0, 1, 0)
    bench.at(200)

    assert (bench.is_(earlier), bench.is_(struck)) == ("PENDING", "RUNNING")


def test_a_stranded_borrower_never_goes_before_an_owner() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.entitle("owner", 16)
    guest = bench.submit("guest", gpus=8)
    own = bench.submit("owner", gpus=8)
    bench.at(0)
    bench.observe(col.K_FAULT, -1, bench.nodes(guest)[0], 1, 0)
    bench.at(100)

    entitled = bench.submit("owner", gpus=8)
    bench.observe(col.K_REPAIRED, -1, 1 - bench.nodes(own)[0], 1, 0)
    bench.at(200)

    assert (bench.is_(guest), bench.is_(entitled)) == ("PENDING", "RUNNING")


@pytest.mark.parametrize("seed", range(400, 424))
def test_nobody_starts_before_a_stranded_gang_that_asks_for_the_same(seed: int) -> None:
    # Without cleaning, reservations and probation all that is free is free for everyone.
    rules = {"cleaning_s": 0, "reserve_s": 0, "lemon_faults": 0}
    run, stranded = Drive(random_world(seed, jobs=160, **rules), fold_too=False), set[int]()
    for record in run.cycles():
        jobs = run.state.c.jobs
        facts = record.decided.tolist()
        # Whoever was swapped, stranded or promised goes before others by right.
        first = {fact[2] for fact in facts if fact[0] in (col.K_STOPPED, col.K_CLAIM_ENDED)}
        started = [fact for fact in facts if fact[0] == col.K_STARTED]
        is_struck = (jobs[col.J_STATE] == col.PENDING) & (jobs[col.J_ATTEMPT] > 0)
        is_struck &= jobs[col.J_STOP_CAUSE] == col.BY_FAULT
        left = np.flatnonzero(is_struck).tolist()
        for _, at_s, job, _, kind, *_ in started:
            for other in left if job not in first | stranded else ():
                passed = jobs[col.J_SHAPE, job] == jobs[col.J_SHAPE, other] > 0
                if kind == col.OWN:
                    passed &= jobs[col.J_OWNER, job] == jobs[col.J_OWNER, other]
                    passed &= jobs[col.J_CLASS_ASKED, other] <= 1 + col.OWN
                    passed &= jobs[col.J_CLAIM_DUE, other] < 0
                else:
                    passed &= is_lendable.py_func(jobs, other, at_s)  # type: ignore[attr-defined]
                assert not passed, f"{run.said()}: {job} goes before {other}"
        stranded = set(left)
