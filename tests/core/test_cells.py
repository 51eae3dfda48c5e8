"""Shaped rights: what is promised can be seated, and a holder gets its cell whole within G."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core import columns as col
from dure.core.cells import SeatRefusal, Seats, Shape, shape_named
from dure.core.gates import GATES, W_GATE, W_HAVE
from dure.core.policy import policy_named
from dure.core.pool import pool_columns
from dure.core.relax import B_STARTS, relaxed
from dure.core.state import ASKED, Account
from dure.core.why import explain
from tests.core.bench import DEFAULTS, Bench
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import SPAN_S, FactRow, World, pool_of_rows, random_jobs

FOREVER = col.FOREVER_S


def leaves_of(*sizes: int, gpus: int = 8) -> list[tuple[str, ...]]:
    return [
        ("q", "c", "p", f"l{i}", "B200", "C") for i, size in enumerate(sizes) for _ in range(size)
    ]


def seats_of(*sizes: int, spares_pct: int = 0) -> Seats:
    rows = leaves_of(*sizes)
    parts = pool_columns(pool_of_rows(rows, [(8, 0, 0)] * len(rows)), spares_pct=spares_pct)
    return Seats(parts.nodes, parts.shelves)


def cells_bench(*sizes: int, **rules: object) -> Bench:
    rows = leaves_of(*sizes)
    return Bench(pool_of_rows(rows, [(8, 0, 0)] * len(rows)), **{"lemon_faults": 0} | rules)


def hold(bench: Bench, name: str, shelves: list[int], nodes: int, **when: int) -> None:
    """Give a project cells of so many nodes on these shelves, as its allocation ``index``."""
    index = when.get("index", 0)
    gpus = len(shelves) * nodes * 8
    bench.entitle(name, gpus, index=index, to_s=when.get("to_s", FOREVER))
    for shelf in shelves:
        bench.observe(col.K_SEATED, -1, index, shelf, nodes)


@pytest.mark.parametrize("text", ["", "4", "4x", "x30", "0x3", "4x030", "4 x 30", "1x1x1", "-1x2"])
def test_a_shape_that_cannot_be_read_is_refused(text: str) -> None:
    assert shape_named(text) is SeatRefusal.SHAPE_IS_UNREADABLE


def test_a_cell_takes_the_tightest_leaf_that_is_free_all_the_time() -> None:
    seats = seats_of(8, 4, 4, 2)

    def seat(text: str, gpus: int, from_s: int, to_s: int) -> list[int] | SeatRefusal:
        shape = shape_named(text)
        assert isinstance(shape, Shape)
        return seats.seat(shape, kind=0, gpus=gpus, from_s=from_s, to_s=to_s)

    assert seat("1x3", 24, 0, 100) == [1]
    assert seat("1x3", 24, 99, 200) == [2]
    assert seat("1x3", 24, 50, 150) == [0]
    assert seat("1x3", 24, 50, 150) is SeatRefusal.NO_LEAF_LEFT
    assert seat("1x3", 24, 100, 120) == [1]
    assert seat("1x3", 23, 0, 100) is SeatRefusal.SHAPE_DOES_NOT_ADD_UP


def test_spares_are_never_promised() -> None:
    # Of two leaves of 16 nodes each keeps two.
    seats = seats_of(16, 16, spares_pct=12)

    assert seats.usable.tolist() == [14, 14]
    assert seats.seat(Shape(1, 15), kind=0, gpus=120, from_s=0, to_s=9) is SeatRefusal.NO_LEAF_LEFT
    assert seats.seat(Shape(2, 14), kind=0, gpus=224, from_s=0, to_s=9) == [0, 1]


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    asked=st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
def test_what_any_seating_could_promise_is_promised(sizes: list[int], asked: list[int]) -> None:
    seats = seats_of(*sizes)

    seated = [
        isinstance(seats.seat(Shape(1, nodes), kind=0, gpus=8 * nodes, from_s=0, to_s=1), list)
        for nodes in asked
    ]

    # Whoever comes first is served; of all ways to seat those, one leaves room for the next.
    for count, said in enumerate(seated, start=1):
        taken = [nodes for nodes, ok in zip(asked[: count - 1], seated, strict=False) if ok]
        wanted = [*taken, asked[count - 1]]
        could = any(
            all(size >= nodes for size, nodes in zip(order, wanted, strict=False))
            for order in permutations(sizes, min(len(wanted), len(sizes)))
            if len(wanted) <= len(sizes)
        )
        assert said == could


def test_own_work_of_others_goes_elsewhere_and_loans_come_in() -> None:
    bench = cells_bench(2, 2)
    hold(bench, "holder", [0], 2)
    bench.entitle("owner", 16, index=1)
    own = [bench.submit("owner", gpus=8, class_asked=1 + col.OWN) for _ in range(3)]
    guest = bench.submit("guest", gpus=8)
    bench.at(0)

    assert [bench.nodes(job) for job in own] == [[2], [3], []]
    assert (bench.nodes(guest)[0] in (0, 1), bench.kind(guest)) == (True, "loan")


def test_the_holder_gets_its_leaf_whole_and_not_a_scattered_one() -> None:
    bench = cells_bench(2, 2)
    hold(bench, "holder", [1], 2)
    bench.entitle("owner", 16, index=1)
    guests = [bench.submit("guest", gpus=8, ckpt_takes=60) for _ in range(4)]
    bench.at(0)
    gang = bench.submit("holder", gpus=16, locality=col.LOCALITY_REQUIRED, level=col.AT_LEAF)
    bench.at(10)

    told = {fact[0] for fact in bench.told(col.K_NOTICED)}
    assert told == {guest for guest in guests if bench.nodes(guest)[0] in (2, 3)}
    for now_s in (70, 80, 100):
        bench.at(now_s)
    assert bench.nodes(gang) == [2, 3]


def test_work_that_stood_there_before_runs_on_as_a_loan_and_can_be_called_back() -> None:
    bench = cells_bench(2, 2)
    bench.entitle("owner", 16)
    own = [bench.submit("owner", gpus=8, preemptible=0) for _ in range(2)]
    bench.at(0)
    assert [bench.nodes(job) for job in own] == [[0], [1]]

    hold(bench, "holder", [0], 2, index=1)
    bench.at(10)
    assert [bench.kind(job) for job in own] == ["loan", "loan"]
    gang = bench.submit("holder", gpus=16)
    bench.at(20)
    for now_s in (30, 50):
        bench.at(now_s)

    assert bench.nodes(gang) == [0, 1]
    # Their owner's right is untouched: they are its own again where it may be.
    assert [(bench.kind(job), bench.nodes(job)) for job in own] == [("own", [2]), ("own", [3])]


def test_who_may_run_as_own_alone_is_not_told_of_room_in_cells_of_others() -> None:
    bench = cells_bench(2, 2)
    hold(bench, "holder", [0], 2)
    bench.entitle("owner", 16, index=1)
    rules = {"gpus": 8, "preemptible": 0}
    running = [bench.submit("owner", **rules) for _ in range(2)]
    bench.at(0)
    bench.entitle("owner", 24, index=1)
    waits, holders = bench.submit("owner", **rules), bench.submit("holder", gpus=24)
    borrower = bench.submit("owner", gpus=24)
    bench.at(10)

    assert [bench.nodes(job) for job in running] == [[2], [3]]
    gates = {
        job: GATES[int(explain(bench.state.c, job)[W_GATE])] for job in (waits, holders, borrower)
    }
    assert gates == dict.fromkeys((waits, holders, borrower), "WaitingForRoom")
    assert int(explain(bench.state.c, waits)[W_HAVE]) == 0
    assert int(explain(bench.state.c, borrower)[W_HAVE]) == 16 * col.WHOLE
    # It would start if it might borrow there; half of it would not.
    assert relaxed(bench.state.c, waits)[:, B_STARTS].tolist() == [1, 0, 0, 0, 0]


def test_a_cell_that_is_over_is_open_to_all() -> None:
    bench = cells_bench(2)
    hold(bench, "holder", [0], 2, to_s=100)
    bench.entitle("owner", 16, index=1)
    job = bench.submit("owner", gpus=16, preemptible=0)
    bench.at(0)
    assert bench.is_(job) == "PENDING"

    bench.at(100)

    assert (bench.is_(job), bench.kind(job)) == ("RUNNING", "own")


def test_an_allocation_that_changes_is_seated_anew() -> None:
    bench = cells_bench(2, 2)
    hold(bench, "holder", [0], 2)
    bench.at(0)

    hold(bench, "holder", [1], 1)
    bench.at(10)

    c = bench.state.c
    assert c.shelves[col.H_HOLDER].tolist() == [0, 2]
    assert int(c.rights[col.E_CELLS].sum()) == 8 * col.WHOLE


def shaped_world(seed: int, **rules: object) -> tuple[World, list[int], int]:
    """Return a busy world in which holders ask for all they were promised, again and again.

    Also which jobs they ask with (never more at once than they hold), and the seconds they take.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, int(rng.integers(2, 7))).tolist()
    pool = pool_of_rows(leaves_of(*sizes), [(8, 0, 0)] * sum(sizes))
    policy = policy_named("dure", **{"swap": True} | rules)
    accounts = [Account("", col.ACCOUNT_POOL)]
    accounts += [Account(f"P{i}", col.ACCOUNT_PROJECT) for i in range(5)]
    parts = pool_columns(pool, spares_pct=policy.spares_kept_pct)
    seats, facts, jobs = Seats(parts.nodes, parts.shelves), list[FactRow](), list[np.ndarray]()
    left = sum(sizes)
    work_s = int(rng.integers(100, 400))
    for account in (1, 2):
        shape = Shape(int(rng.integers(1, 3)), int(rng.integers(1, 6)))
        gpus = shape.cells * shape.nodes * 8
        found = seats.seat(shape, kind=0, gpus=gpus, from_s=0, to_s=FOREVER)
        if isinstance(found, SeatRefusal):
            continue
        left -= sum(sizes[at] for at in found)
        milli = gpus * col.WHOLE
        facts.append((col.K_ALLOCATED, 0, FOREVER, account - 1, account, 0, milli, 0))
        facts += [(col.K_SEATED, 0, -1, account - 1, at, shape.nodes) for at in found]
        for at_s in range(300, SPAN_S, work_s + policy.return_s + int(rng.integers(1, 500))):
            for _ in range(shape.cells):
                jobs.append(gang_of(account, shape.nodes, at_s, work_s))
    for account in (3, 4):
        milli = left // 2 * 8 * col.WHOLE
        facts.append((col.K_ALLOCATED, 0, FOREVER, account - 1, account, 0, milli, 0))
    others = random_jobs(pool, len(accounts), 160, rng)
    others[col.J_OWNER] = others[col.J_PROJECT] = rng.choice([0, 3, 4, 5], 160)
    others[col.J_PROVIDER], others[col.J_AFTER], others[col.J_TYPES] = -1, -1, 1
    columns = np.concatenate([others, *[job[:, None] for job in jobs]], axis=1)
    order = np.argsort(columns[col.J_SUBMIT], kind="stable")
    promised = np.flatnonzero(order >= 160).tolist()
    return World(seed, policy, pool, accounts, facts, columns[:, order]), promised, work_s


def gang_of(account: int, nodes: int, at_s: int, work_s: int) -> np.ndarray:
    job = np.zeros(ASKED, dtype=np.int64)
    for row, value in DEFAULTS.items():
        job[row] = value
    job[col.J_TYPES], job[col.J_SUBMIT], job[col.J_WORK] = 1, at_s, work_s
    job[col.J_OWNER] = job[col.J_PROJECT] = account
    job[col.J_GPUS], job[col.J_PREEMPTIBLE] = 8 * nodes, 0
    job[col.J_LOCALITY], job[col.J_LEVEL] = col.LOCALITY_REQUIRED, col.AT_LEAF
    return job


@pytest.mark.parametrize("seed", range(700, 730))
def test_a_promised_shape_comes_back_whole_within_g_whenever_its_holder_asks(seed: int) -> None:
    rules = {"return_s": 60 if seed % 2 else 600, "spares_pct": 10 if seed % 3 == 0 else 0}
    world, promised, _ = shaped_world(seed, **rules)
    run = Drive(world)
    promises = Promises(run.state)
    for record in run.cycles():
        promises.read(record)
    promises.close(run.state.now_s)

    jobs = run.state.c.jobs
    waited_s = jobs[col.J_FIRST_START, promised] - jobs[col.J_SUBMIT, promised]
    assert promises.broken == [], run.said()
    assert (jobs[col.J_FIRST_START, promised] >= 0).all()
    assert waited_s.max(initial=0) <= world.policy.return_s, run.said()


def test_the_worlds_above_promise_shapes_and_call_loans_back_for_them() -> None:
    asked = called = 0
    for seed in range(700, 712):
        world, promised, _ = shaped_world(seed)
        run = Drive(world, fold_too=False)
        ours = set(promised)
        for record in run.cycles():
            facts = record.decided.tolist()
            called += sum(f[0] == col.K_NOTICED and f[3] in ours for f in facts)
        asked += len(promised)

    assert (asked > 50, called > 50) == (True, True)
