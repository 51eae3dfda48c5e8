"""Elastic gangs: sizes, who gives what up, when they grow, and that all of it adds up."""

from fractions import Fraction

import numpy as np
import pytest

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool
from tests.core.driving import Drive, pace_on
from tests.core.worlds import World, random_world

END_S = 1 << 40
# The same device-seconds at any size, but for what a resize rounds down.
ROUNDING_S = 1


def parts(bench: Bench, job: int) -> dict[int, tuple[int, int]]:
    """Return node -> (devices that a running gang has there, how many of them on loan)."""
    c, found, row = bench.state.c, {}, bench.number(col.J_ROWS, job)
    while row >= 0:
        mask, lent = int(c.rows[col.R_MASK, row]), int(c.rows[col.R_LENT, row])
        found[int(c.rows[col.R_NODE, row])] = (mask.bit_count(), lent.bit_count())
        row = int(c.rows[col.R_NEXT_OF_JOB, row])
    return found


def ends(bench: Bench) -> list[tuple[int, int]]:
    """Return (job, cause) of every attempt that the last cycle ended."""
    return [(fact[0], fact[2]) for fact in bench.told(col.K_STOPPED)]


def three_nodes(**rules: object) -> tuple[Bench, int]:
    """Let an elastic gang of a guest who owns one node have all three."""
    bench = Bench(flat_pool(8, 8, 8), **rules)
    bench.entitle("owner", 16)
    bench.entitle("guest", 8, index=1)
    gang = bench.submit("guest", gpus=24, min_gpus=8, work=10_000, ckpt_every=60)
    bench.at(0)
    return bench, gang


def test_alone_it_takes_all_at_once_its_minimum_as_own_the_rest_on_loan() -> None:
    bench, gang = three_nodes()

    assert parts(bench, gang) == {0: (8, 0), 1: (8, 8), 2: (8, 8)}
    assert bench.kind(gang) == "own"
    assert bench.state.c.rights[col.E_OWN, 2, 0] == 8_000
    assert bench.state.c.scalars[col.S_LENT] == 16_000


def test_it_gives_a_node_up_at_its_checkpoint_and_goes_on_with_the_others() -> None:
    bench, gang = three_nodes()
    owner = bench.submit("owner", gpus=8)
    bench.at(130)
    assert bench.told(col.K_NOTICED) == [[gang, owner, 180, 1, 8_000, 730]]

    bench.at(180)

    assert ends(bench) == [(gang, col.BY_RESIZE)]
    assert parts(bench, gang) == {0: (8, 0), 2: (8, 8)}
    assert bench.number(col.J_SAVED, gang) == 180
    assert bench.number(col.J_RECLAIMS, gang) == 0
    bench.at(190)
    bench.at(210)
    assert bench.nodes(owner) == [1]


def test_it_keeps_what_its_owner_is_entitled_to_however_much_is_called() -> None:
    bench, gang = three_nodes()
    owners = [bench.submit("owner", gpus=8) for _ in range(3)]

    for now_s in (10, 60, 70, 90):
        bench.at(now_s)

    assert parts(bench, gang) == {0: (8, 0)}
    assert [bench.is_(job) for job in owners] == ["RUNNING", "RUNNING", "PENDING"]


def test_it_grows_again_after_a_while_at_its_checkpoint() -> None:
    bench, gang = three_nodes(grow_s=300)
    owner = bench.submit("owner", gpus=8)
    for now_s in (130, 180, 190, 210):
        bench.at(now_s)
    bench.end(owner)

    sizes = []
    for now_s in (250, 260, 480, 539, 540):
        bench.at(now_s)
        sizes.append(bench.number(col.J_USED, gang))

    # Resized at 180, so not before 480; that is a checkpoint.
    assert sizes == [16_000, 16_000, 24_000, 24_000, 24_000]
    # 180 s on all its devices, then 300 s on two thirds of them.
    assert bench.number(col.J_SAVED, gang) == 180 + 200


def test_it_grows_on_notice_when_it_can_save() -> None:
    bench = Bench(flat_pool(8), grow_s=0)
    first = bench.submit(gpus=4)
    gang = bench.submit(gpus=8, min_gpus=2, ckpt_takes=15, class_asked=1 + col.LOAN)
    bench.submit(gpus=8, class_asked=1 + col.LOAN)
    bench.at(0)
    # It was not alone when it started; what was idle then it takes when it has saved.
    assert parts(bench, gang) == {0: (2, 0)}
    assert bench.told(col.K_RESIZE_DUE) == [[gang, 15, 0, 0, 0, 0]]
    bench.at(15)
    assert parts(bench, gang) == {0: (4, 0)}

    bench.end(first)
    bench.at(30)
    bench.at(40)
    bench.at(55)

    assert parts(bench, gang) == {0: (8, 0)}


def four_small_one_large(**asked: int) -> tuple[Bench, int, int]:
    """Let an elastic gang of eight run on two beside one of four, while another eight are asked."""
    bench = Bench(flat_pool(8), grow_s=80)
    first = bench.submit(gpus=4)
    gang = bench.submit(gpus=8, min_gpus=2, class_asked=1 + col.LOAN, **asked)
    bench.submit(gpus=8, class_asked=1 + col.LOAN)
    bench.at(0)
    return bench, first, gang


def test_it_grows_at_once_if_by_its_next_checkpoint_that_is_more_work() -> None:
    bench, _, gang = four_small_one_large(ckpt_every=400)

    bench.at(80)

    # Two more devices for 320 s against 80 s of work on two, and 20 s to start again.
    assert bench.told(col.K_STOPPED) == [[gang, 1, col.BY_RESIZE, 0, 160_000, 0]]
    assert parts(bench, gang) == {0: (4, 0)}


def test_it_waits_for_its_next_checkpoint_if_that_is_more_work() -> None:
    bench, _, gang = four_small_one_large(ckpt_every=180)

    bench.at(80)

    # Two more devices for 100 s are as much as 80 s of work on two and 20 s to start again.
    assert bench.told(col.K_RESIZE_DUE) == [[gang, 180, 0, 0, 0, 0]]
    assert parts(bench, gang) == {0: (2, 0)}


def test_it_moves_to_a_node_where_it_has_more() -> None:
    bench = Bench(flat_pool(8, 8), grow_s=80)
    bench.submit(gpus=6, work=9_000)
    second = bench.submit(gpus=8)
    gang = bench.submit(gpus=8, min_gpus=2, ckpt_every=40)
    bench.at(0)
    assert parts(bench, gang) == {0: (2, 0)}

    bench.end(second)
    bench.at(30)
    bench.at(80)

    assert parts(bench, gang) == {1: (8, 6)}
    assert bench.number(col.J_SAVED, gang) == 20


def test_it_starts_where_all_of_it_fits_rather_than_in_a_gap() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.submit(gpus=6)
    gang = bench.submit(gpus=8, min_gpus=2, ckpt_every=60)
    bench.at(0)

    assert parts(bench, gang) == {1: (8, 6)}


def test_what_it_was_to_grow_into_goes_to_who_comes_first() -> None:
    bench = Bench(flat_pool(8), grow_s=0)
    bench.submit(gpus=4)
    gang = bench.submit(gpus=8, min_gpus=2, ckpt_takes=15)
    bench.submit(gpus=8)
    bench.at(0)
    other = bench.submit(gpus=2)

    bench.at(10)
    bench.at(15)

    assert bench.is_(other) == "RUNNING"
    assert bench.told(col.K_WITHDRAWN) == [[gang, gang, 0, 0, 0, 0]]
    assert bench.number(col.J_ATTEMPT, gang) == 1


def test_nobody_is_stopped_while_a_gang_can_give_devices_up() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.entitle("owner", 16)
    rigid = bench.submit("guest", gpus=4, ckpt_takes=0, work=9_000)
    gang = bench.submit("other", gpus=12, min_gpus=4, ckpt_takes=0, work=9_000)
    bench.at(0)
    bench.at(600)
    assert bench.number(col.J_USED, gang) == 12_000
    bench.submit("owner", gpus=8)

    bench.at(700)

    assert ends(bench) == [(gang, col.BY_RESIZE)]
    assert bench.is_(rigid) == bench.is_(gang) == "RUNNING"


def test_a_gang_that_says_how_it_stands_keeps_whole_parts() -> None:
    bench = Bench(flat_pool(8, 8, 8))
    bench.entitle("owner", 24)
    gang = bench.submit("guest", gpus=12, nodes=3, min_gpus=5, ckpt_takes=0, work=9_000)
    bench.at(0)
    assert parts(bench, gang) == {0: (4, 0), 1: (4, 0), 2: (4, 0)}

    bench.submit("owner", gpus=8)
    bench.at(10)
    assert sorted(size for size, _ in parts(bench, gang).values()) == [4, 4]

    # A minimum of five is two parts of four: one more claim sends it away.
    bench.submit("owner", gpus=8)
    bench.at(50)
    assert ends(bench) == [(gang, col.BY_RECLAIM)]


@pytest.mark.parametrize(
    "but",
    [
        {"preemptible": 0},
        {"class_asked": 1 + col.OWN},
        {"ckpt_takes": -1},
        {"milli": 500},
        {"cpu": 8_000},
    ],
)
def test_who_could_not_be_resized_for_nothing_starts_with_all_or_waits(but: dict[str, int]) -> None:
    bench = Bench(flat_pool(8))
    bench.submit(gpus=6)
    asked = {"gpus": 4, "min_gpus": 2, "ckpt_takes": 0}
    elastic, rigid = bench.submit(**asked), bench.submit(**asked | but)

    bench.at(0)

    assert [bench.is_(job) for job in (elastic, rigid)] == ["RUNNING", "PENDING"]


def test_a_loan_becomes_own_with_its_minimum_alone() -> None:
    bench = Bench(flat_pool(8))
    gang = bench.submit("guest", gpus=8, min_gpus=2, ckpt_takes=0)
    bench.at(0)
    bench.entitle("guest", 6)

    bench.at(10)

    assert bench.kind(gang) == "own"
    assert parts(bench, gang) == {0: (8, 6)}
    assert bench.told(col.K_RECLASSED) == [[gang, 2, col.OWN, 0, 0, 0]]


def test_near_its_end_it_does_not_grow() -> None:
    bench = Bench(flat_pool(8), grow_s=0)
    first = bench.submit(gpus=4)
    gang = bench.submit(gpus=8, min_gpus=4, ckpt_takes=0, work=100, estimate=100)
    bench.at(0)
    bench.end(first)

    # 200 s on half its devices; at 175 it would end within what a start costs.
    bench.at(175)

    assert bench.told(col.K_STOPPED) == []
    assert bench.number(col.J_USED, gang) == 4_000


# --- in random worlds ----------------------------------------------------------------------------
def elastic_world(seed: int, **rules: object) -> World:
    """Return a world in which most gangs are elastic and resized often."""
    world = random_world(seed, jobs=140, **{"grow_s": 60} | rules)
    jobs, rng = world.jobs, np.random.default_rng(seed)
    some = rng.random(140) < 0.7
    jobs[col.J_MILLI, some], jobs[col.J_PREEMPTIBLE, some] = col.WHOLE, 1
    jobs[col.J_CPU, some] = jobs[col.J_MEMORY, some] = 0
    jobs[col.J_CKPT_EVERY, some] = rng.choice([30, 60, 300], int(some.sum()))
    jobs[col.J_MIN_GPUS, some] = (jobs[col.J_GPUS, some] + 3) // 4
    return world


class Book:
    """Follows facts alone: how much each attempt had, when, and what work was done with it."""

    def __init__(self, run: Drive) -> None:
        self.state = run.state
        self.pace: dict[int, Fraction] = {}
        self.devices: dict[int, int] = {}
        self.lent: dict[int, int] = {}
        self.since_s: dict[int, int] = {}
        self.done_s: dict[int, Fraction] = {}
        self.resizes = self.own_with_loan = 0

    def read(self, facts: list[list[int]]) -> None:
        for kind, at_s, job, a, b, _, d, _ in facts:
            if kind == col.K_STARTED:
                self.devices[job], self.lent[job], self.since_s[job] = 0, 0, at_s
            elif kind == col.K_PLACED:
                self.devices[job] += b.bit_count()
                kind_of = int(self.state.c.nodes[col.N_TYPE, a])
                self.pace[job] = pace_on(self.state, job, kind_of)
            elif kind == col.K_RECLASSED:
                self.lent[job] = 0
            elif kind == col.K_LENT:
                self.lent[job] += b.bit_count()
                self.own_with_loan += 1
            elif kind in (col.K_STOPPED, col.K_ENDED) and job in self.since_s:
                ran_s = at_s - self.since_s.pop(job)
                useful_s = ran_s * self.devices[job]
                if kind == col.K_STOPPED:
                    useful_s -= d // col.WHOLE
                    self.resizes += b == col.BY_RESIZE
                before_s = self.done_s.get(job, Fraction(0))
                self.done_s[job] = before_s + useful_s * self.pace[job]


@pytest.mark.parametrize("seed", range(500, 512))
def test_every_device_second_of_an_elastic_gang_is_work_or_lost(seed: int) -> None:
    run = Drive(elastic_world(seed))
    book = Book(run)
    for record in run.cycles():
        book.read(record.observed.tolist())
        book.read(record.decided.tolist())

    jobs, checked, fastest = run.state.c.jobs, 0, max(book.pace.values())
    for job in range(len(run.state.job_names)):
        if jobs[col.J_STATE, job] != col.COMPLETED or jobs[col.J_MILLI, job] != col.WHOLE:
            continue
        need = int(jobs[col.J_WORK, job] * jobs[col.J_GPUS, job])
        # On a faster type a second that is rounded holds more work.
        each_s = ROUNDING_S * int(jobs[col.J_GPUS, job]) * max(1, fastest)
        slack = (int(jobs[col.J_ATTEMPT, job]) + 1) * each_s
        assert need <= book.done_s[job] <= need + slack, (seed, job)
        checked += 1
    assert checked > 20
    assert book.resizes > 0


@pytest.mark.parametrize("seed", range(520, 528))
def test_an_own_gang_that_is_elastic_is_never_sent_away(seed: int) -> None:
    run = Drive(elastic_world(seed), fold_too=False)
    while (now_s := run.next_s()) < END_S:
        kinds = run.state.c.jobs[col.J_CLASS].copy()
        states = run.state.c.jobs[col.J_STATE].copy()
        record = run.step(now_s)
        run.check(record)
        demoted = {f[2] for f in record.decided.tolist() if f[0] == col.K_RECLASSED}
        for kind, _, job, _, cause, *_ in record.decided.tolist():
            if kind == col.K_STOPPED and cause == col.BY_RECLAIM and states[job] == col.RUNNING:
                assert kinds[job] != col.OWN or job in demoted, run.said()


@pytest.mark.parametrize("seed", range(540, 546))
def test_slow_machines_resize_too(seed: int) -> None:
    run = Drive(elastic_world(seed, instant_stop=False, drain_s=25))
    book = Book(run)
    for record in run.cycles():
        book.read(record.decided.tolist())

    assert book.resizes > 0
    assert run.state.c.scalars[col.S_RUNNING] == 0


def test_the_worlds_above_meet_own_gangs_with_loans() -> None:
    found = 0
    for seed in range(500, 504):
        run = Drive(elastic_world(seed), fold_too=False)
        book = Book(run)
        while (now_s := run.next_s()) < END_S:
            book.read(run.step(now_s).decided.tolist())

        found += book.own_with_loan

    assert found > 0
