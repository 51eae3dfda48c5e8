"""Spares: a substitute is there at once; until then small gangs that lose little run there."""

import pytest

from dure.core import columns as col
from dure.core.policy import policy_named
from dure.core.pool import spare_nodes
from dure.core.state import State
from tests.core.bench import Bench
from tests.core.brute import waits_in_vain
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import pool_of_rows, random_world

QUARTER = {"spares_pct": 25, "lemon_faults": 0}  # of two leaves of four nodes: nodes 1 and 5


def two_leaves(**rules: object) -> Bench:
    rows = [("q", "c", "p", leaf, "B200", "C") for leaf in ("l0", "l1") for _ in range(4)]
    return Bench(pool_of_rows(rows, [(8, 0, 0)] * 8), **QUARTER | rules)


def spares(bench: Bench) -> list[int]:
    nodes = bench.state.c.nodes[col.N_SPARE]
    return [node for node in range(nodes.size) if nodes[node] > 0]


@pytest.mark.parametrize(("count", "pct"), [(124, 3), (8, 25), (1642, 2), (40, 5), (7, 0), (3, 5)])
def test_spares_stand_as_far_apart_as_can_be(count: int, pct: int) -> None:
    kept = spare_nodes(count, spares_pct=pct)

    assert int(kept.sum()) == (count * pct + 50) // 100
    for size in (8, 32):
        counts = {int(kept[i : i + size].sum()) for i in range(count - size + 1)}
        assert not counts or max(counts) - min(counts) <= 1


def test_the_baselines_keep_no_spares() -> None:
    pool = two_leaves().state.pool

    assert State(pool, policy_named("greedy", spares_pct=25)).c.scalars[col.S_SPARES] == 0


def test_a_struck_gang_takes_the_spare_of_its_leaf_and_leaves_its_node_as_the_next() -> None:
    bench = two_leaves()
    gang = bench.submit(gpus=24)
    bench.at(0)
    assert bench.nodes(gang) == [0, 2, 3]

    # A node of the other leaf is idle, too, but farther away.
    bench.observe(col.K_FAULT, -1, 2, 1, 0)
    bench.at(100)
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [0, 1, 3])
    assert spares(bench) == [2, 5]

    bench.observe(col.K_REPAIRED, -1, 2, 1, 0)
    other = bench.submit(gpus=24)
    last = bench.submit(gpus=8)
    bench.at(200)
    assert bench.nodes(other) == [4, 6, 7]
    # Of the whole pool's work none takes a spare, not until its patience is out.
    assert bench.is_(last) == "PENDING"
    bench.observe(col.K_FAULT, -1, 5, 1, 0)
    bench.at(80_000)
    bench.observe(col.K_REPAIRED, -1, 5, 1, 0)
    bench.at(200 + 86_400)
    assert bench.nodes(last) == [2]


def test_a_gang_of_one_node_takes_no_spare() -> None:
    bench = two_leaves()
    small = [bench.submit(gpus=8) for _ in range(6)]
    bench.at(0)

    bench.observe(col.K_FAULT, -1, bench.nodes(small[0])[0], 1, 0)
    bench.at(100)

    assert bench.is_(small[0]) == "PENDING"


def test_a_spare_runs_a_small_borrower_which_stays_one() -> None:
    bench = two_leaves()
    bench.entitle("owner", 48)
    own = [bench.submit("owner", gpus=8) for _ in range(5)]
    large = bench.submit("guest", gpus=16, ckpt_every=600)
    unsaved = bench.submit("guest", gpus=8)
    saved = bench.submit("owner", gpus=8, ckpt_every=600)
    more = bench.submit("owner", gpus=8, ckpt_every=600)
    bench.at(0)

    assert sorted(node for job in (*own, saved) for node in bench.nodes(job)) == [0, 2, 3, 4, 6, 7]
    assert (bench.is_(large), bench.is_(unsaved)) == ("PENDING", "PENDING")
    assert (bench.nodes(more), bench.kind(more)) == ([1], "scavenge")
    # Its owner's entitlement has room now, and so have nodes that are no spares.
    bench.end(own[0])
    bench.at(100)
    bench.at(200)
    assert (bench.nodes(more), bench.kind(more)) == ([1], "scavenge")


def test_a_struck_owner_calls_the_spares_borrower_back() -> None:
    bench = two_leaves()
    bench.entitle("owner", 48)
    gang = bench.submit("owner", gpus=24)
    bench.submit("owner", gpus=24)
    guests = [bench.submit("guest", gpus=8, ckpt_every=3600, ckpt_takes=30) for _ in range(2)]
    bench.at(0)
    assert [bench.nodes(guest) for guest in guests] == [[1], [5]]

    bench.observe(col.K_FAULT, -1, 3, 1, 0)
    bench.at(100)

    assert [fact[:2] for fact in bench.told(col.K_NOTICED)] == [[guests[0], gang]]
    for now_s in (130, 140, 160):
        bench.at(now_s)
    assert (bench.is_(gang), bench.nodes(gang)) == ("RUNNING", [0, 1, 2])


def test_an_owner_that_nothing_else_can_serve_gets_a_spare() -> None:
    bench = two_leaves()
    bench.entitle("owner", 64)
    bench.submit("owner", gpus=48)
    bench.at(0)

    job = bench.submit("owner", gpus=8)
    bench.at(10)

    assert (bench.nodes(job), bench.kind(job)) == ([1], "own")


@pytest.mark.parametrize("seed", range(600, 616))
def test_spares_break_no_promise_and_no_invariant(seed: int) -> None:
    rules = {"spares_pct": 20, "instant_stop": seed % 4 > 0, "drain_s": 20, "reserve_s": 900}
    run = Drive(random_world(seed, jobs=160, **rules))
    promises = Promises(run.state)
    for record in run.cycles():
        promises.read(record)
        if len(run.records) % 23 == 0:
            assert waits_in_vain(run.state) == [], run.said()
    promises.close(run.state.now_s)

    assert promises.broken == [], run.said()


def test_the_worlds_above_use_spares() -> None:
    taken = 0
    for seed in range(600, 616):
        run = Drive(random_world(seed, jobs=160, spares_pct=20), fold_too=False)
        taken += sum(int((one.decided[:, 0] == col.K_SPARED).sum()) for one in run.cycles())

    assert taken >= 5
