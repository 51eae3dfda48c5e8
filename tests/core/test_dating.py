"""Who gets a date starts by it, whatever backfills: against bookkeeping that reads facts alone."""

import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dure.core import columns as col
from dure.core.plan import Observed, facts_of, plan_cycle
from dure.core.policy import policy_named
from dure.core.record import pack, unpack
from dure.core.snapshot import pack_state, unpack_state
from dure.core.state import Jobs, State, no_jobs
from tests.core.bench import Bench, flat_pool

HOUR_S = 3600


def dated_bench(*gpus: int, **rules: object) -> Bench:
    usual: dict[str, object] = {"reserve_s": 600, "large_pct": 60, "cleaning_s": 0, "start_s": 0}
    return Bench(flat_pool(*gpus), "dure", **usual | rules)


def date_of(bench: Bench, job: int) -> int:
    return bench.number(col.J_DATE, job)


def test_a_date_is_when_everyone_who_runs_has_ended_by_its_word() -> None:
    bench = dated_bench(8, 8, 8, 8)
    for hours in (1, 2, 3, 4):
        bench.submit(gpus=8, estimate=hours * HOUR_S)
    bench.at(0)
    large = bench.submit(gpus=24, estimate=HOUR_S)
    bench.at(1)

    # 24 of 32 devices are a large share of the pool: it need not wait its patience out.
    assert date_of(bench, large) == 3 * HOUR_S
    assert bench.told(col.K_BOOKED) == [[large, 3 * HOUR_S, 0, 0, 0, 0]]


def test_those_behind_get_their_dates_after_those_before_them() -> None:
    bench = dated_bench(8, 8, 8, 8)
    for _ in range(4):
        bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(0)

    dates: list[int] = []
    for hours in (3, 2, 5):
        job = bench.submit(gpus=32, estimate=hours * HOUR_S)
        bench.at(len(dates) + 1)
        dates.append(date_of(bench, job))

    assert dates == [HOUR_S, 4 * HOUR_S, 6 * HOUR_S]


def test_a_small_gang_gets_its_date_when_its_patience_is_out() -> None:
    bench = dated_bench(8, 8)
    bench.submit(gpus=8, estimate=2 * HOUR_S)
    bench.submit(gpus=8, estimate=2 * HOUR_S)
    bench.at(0)
    small = bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(1)
    other = bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(500)
    before = date_of(bench, small)

    bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(600)

    assert (before, date_of(bench, small), date_of(bench, other)) == (-1, 2 * HOUR_S, -1)


def test_whoever_ends_before_a_date_runs_and_nobody_else() -> None:
    bench = dated_bench(8, 8, 8, 8)
    for hours in (1, 4, 4, 4):
        bench.submit(gpus=8, estimate=hours * HOUR_S)
    bench.at(0)
    large = bench.submit(gpus=32, estimate=HOUR_S)
    bench.at(1)
    long_ = bench.submit(gpus=8, estimate=4 * HOUR_S)
    short = bench.submit(gpus=8, estimate=2 * HOUR_S)

    bench.end(0)
    bench.at(HOUR_S)

    assert (bench.is_(short), bench.is_(long_), bench.is_(large)) == (
        "RUNNING",
        "PENDING",
        "PENDING",
    )
    assert date_of(bench, large) == 4 * HOUR_S


def test_what_no_date_needs_may_be_taken_however_many_dates_there_are() -> None:
    # Three nodes come free each hour for a gang of three each: two nodes are nobody's throughout.
    bench = dated_bench(*[8] * 38, reserve_s=2)
    for hours in range(1, 13):
        for _ in range(3):
            bench.submit(gpus=8, estimate=hours * HOUR_S)
    bench.at(0)
    waiting = [bench.submit(gpus=24, estimate=100 * HOUR_S) for _ in range(12)]
    bench.at(1)
    bench.at(3)
    assert [date_of(bench, job) for job in waiting] == [HOUR_S * i for i in range(1, 13)]

    small = bench.submit(gpus=16, estimate=300 * HOUR_S)
    late = bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(4)

    assert date_of(bench, small) == -1
    assert bench.number(col.J_STATE, small) == col.RUNNING
    assert bench.number(col.J_STATE, late) == col.PENDING


def test_a_date_comes_forward_when_someone_ends_early() -> None:
    bench = dated_bench(8, 8)
    bench.submit(gpus=8, estimate=10 * HOUR_S)
    bench.submit(gpus=8, estimate=4 * HOUR_S)
    bench.at(0)
    large = bench.submit(gpus=16, estimate=HOUR_S)
    bench.at(1)
    before = date_of(bench, large)

    bench.end(0)
    bench.at(HOUR_S)

    assert (before, date_of(bench, large)) == (10 * HOUR_S, 4 * HOUR_S)
    assert bench.number(col.J_PROMISED, large) == 10 * HOUR_S


def test_who_starts_or_is_cancelled_keeps_no_date() -> None:
    bench = dated_bench(8, 8)
    bench.submit(gpus=16, estimate=HOUR_S)
    bench.at(0)
    large, other = (bench.submit(gpus=16, estimate=HOUR_S) for _ in range(2))
    bench.at(1)

    bench.observe(col.K_CANCELLED, large)
    bench.end(0)
    bench.at(2)

    assert (bench.is_(large), bench.is_(other)) == ("CANCELLED", "RUNNING")
    assert bench.state.c.scalars[col.S_BOOKED] == 0


def test_nodes_that_fail_take_a_date_back_that_nobody_can_keep() -> None:
    bench = dated_bench(8, 8, swap=False)
    bench.submit(gpus=8, estimate=HOUR_S)
    bench.at(0)
    large = bench.submit(gpus=16, estimate=HOUR_S)
    bench.at(1)

    bench.observe(col.K_FAULT, -1, 1, 1, 0)
    bench.end(0)
    bench.at(HOUR_S)
    bench.at(HOUR_S + 1)
    taken = date_of(bench, large)
    bench.observe(col.K_REPAIRED, -1, 1, 1, 0)
    bench.at(HOUR_S + 2)

    assert (taken, bench.is_(large)) == (-1, "RUNNING")


def test_a_gang_bound_to_a_leaf_holds_nodes_and_is_not_passed_by_dates() -> None:
    bench = dated_bench(8, 8, 8, 8, large_pct=0)
    for hours in (1, 2, 3, 4):
        bench.submit(gpus=8, estimate=hours * HOUR_S)
    bench.at(0)
    bound = bench.submit(
        gpus=16, estimate=HOUR_S, locality=col.LOCALITY_REQUIRED, level=col.AT_LEAF
    )
    bench.at(1)
    free = bench.submit(gpus=32, estimate=HOUR_S)
    bench.at(2)

    bench.end(0)
    bench.at(HOUR_S)

    assert bench.number(col.J_CLAIM_DUE, bound) == col.FOREVER_S
    assert bench.is_(free) == "PENDING"


# --- against the dumbest bookkeeping --------------------------------------------------------------
gangs_of = st.lists(
    st.tuples(
        st.integers(0, 90),  # submitted
        st.integers(1, 48),  # GPUs: parts of a node, nodes, nodes and a part
        st.integers(1, 40),  # runs
        st.integers(0, 40),  # declares so much more
    ),
    min_size=1,
    max_size=40,
)


class Yard:
    """Runs gangs through the planner; reads from the facts who was promised what, and who came."""

    def __init__(
        self,
        gangs: list[tuple[int, int, int, int]],
        *,
        honest: bool,
        elastic: bool = False,
        **rules: object,
    ) -> None:
        self.elastic = elastic
        self.gangs = sorted(gangs)
        policy = policy_named("dure", **{"reserve_s": 7, "large_pct": 30} | rules)
        self.state, self.honest = State(flat_pool(*[8] * 6, leaves=2), policy), honest
        self.ends: dict[int, tuple[int, int]] = {}
        self.promised: dict[int, int] = {}
        self.started: dict[int, int] = {}
        self.saved: dict[int, int] = {}
        self.dates = self.resized = 0

    def jobs(self, chosen: range) -> Jobs:
        bench = Bench(flat_pool(8))
        for i in chosen:
            _, gpus, runs_s, more_s = self.gangs[i]
            known = self.honest or i % 5
            asked = {"preemptible": 0}
            if self.elastic and i % 3:
                asked = {"min_gpus": (gpus + 3) // 4, "ckpt_every": 1 + 3 * (i % 2)}
            bench.submit(gpus=gpus, estimate=runs_s + more_s if known else -1, **asked)
        columns = np.stack(bench._jobs, axis=1)
        columns[col.J_SUBMIT] = [self.gangs[i][0] for i in chosen]
        return Jobs([f"g{i}" for i in chosen], columns)

    def step(self, now_s: int) -> None:
        facts: list[tuple[int, ...]] = [
            (col.K_ENDED, now_s, job, attempt, col.COMPLETED)
            for job, (end_s, attempt) in sorted(self.ends.items())
            if end_s <= now_s
        ]
        for _, _, job, *_ in facts:
            del self.ends[job]
        new = [i for i, gang in enumerate(self.gangs) if gang[0] == now_s]
        facts += [(col.K_SUBMITTED, now_s, i) for i in new]
        jobs = self.jobs(range(new[0], new[-1] + 1)) if new else no_jobs()
        record = plan_cycle(self.state, Observed([], jobs, facts_of(facts)), now_s).record
        self.record = unpack(pack(record))
        for kind, _, job, a, b, c, d, _ in record.decided.tolist():
            if kind == col.K_STARTED:
                _, gpus, runs_s, _ = self.gangs[job]
                left_s = runs_s - self.saved.get(job, 0)
                self.ends[job] = (now_s - -left_s * gpus // (d or gpus), a)
                self.started.setdefault(job, now_s)
            elif kind == col.K_RECLASSED:
                self.ends[job] = (self.ends[job][0], a)
            elif kind == col.K_STOPPED:
                assert b == col.BY_RESIZE
                self.resized += 1
                self.saved[job] = c
                del self.ends[job]
            elif kind == col.K_BOOKED:
                self.dates += 1
                self.promised.setdefault(job, a)
                assert now_s <= a <= self.promised[job], "a date in the past, or put off"


def seconds(gangs: list[tuple[int, int, int, int]]) -> range:
    return range(100 + sum(gang[2] + 12 for gang in gangs))


@settings(max_examples=60, deadline=None)
@given(gangs=gangs_of, cleaning_s=st.sampled_from([0, 3]))
def test_with_honest_limits_nobody_starts_later_than_promised(
    gangs: list[tuple[int, int, int, int]], cleaning_s: int
) -> None:
    yard = Yard(gangs, honest=True, cleaning_s=cleaning_s, start_s=0)

    for now_s in seconds(gangs):
        yard.step(now_s)

    assert len(yard.started) == len(gangs)
    late = {
        job: (yard.started[job], date_s)
        for job, date_s in yard.promised.items()
        if yard.started[job] > date_s
    }
    assert late == {}


@settings(max_examples=40, deadline=None)
@given(gangs=gangs_of, cleaning_s=st.sampled_from([0, 3]))
def test_gangs_that_grow_delay_nobodys_date(
    gangs: list[tuple[int, int, int, int]], cleaning_s: int
) -> None:
    yard = Yard(gangs, honest=True, elastic=True, cleaning_s=cleaning_s, start_s=0, grow_s=2)

    for now_s in range(4 * seconds(gangs).stop):
        yard.step(now_s)

    assert len(yard.started) == len(gangs)
    late = {job for job, date_s in yard.promised.items() if yard.started[job] > date_s}
    assert late == set()


def test_the_gangs_above_grow_and_nobody_is_promised_a_date() -> None:
    rng, dates, grown = np.random.default_rng(11), 0, 0
    for _ in range(6):
        rows = zip(*(rng.integers(low, high, 30) for low, high in BOUNDS), strict=True)
        yard = Yard([tuple(map(int, row)) for row in rows], honest=True, elastic=True, grow_s=2)
        for now_s in range(600):
            had, is_elastic = yard.dates, yard.state.c.scalars[col.S_ELASTIC] > 0
            yard.step(now_s)
            dates += (yard.dates - had) * int(is_elastic)
        grown += yard.resized

    assert dates == 0
    assert grown > 0


BOUNDS = ((0, 90), (1, 48), (1, 40), (0, 40))


@settings(max_examples=30, deadline=None)
@given(gangs=gangs_of)
def test_without_estimates_everybody_starts_when_all_before_it_have_ended(
    gangs: list[tuple[int, int, int, int]],
) -> None:
    yard = Yard(gangs, honest=False)

    for now_s in seconds(gangs):
        yard.step(now_s)

    assert len(yard.started) == len(gangs)


@settings(max_examples=20, deadline=None)
@given(gangs=gangs_of, stop=st.integers(1, 120))
def test_dates_survive_a_fold_and_a_snapshot(
    gangs: list[tuple[int, int, int, int]], stop: int
) -> None:
    yard = Yard(gangs, honest=True)
    folded = copy.deepcopy(yard.state)
    for now_s in range(stop):
        yard.step(now_s)
        folded.fold(yard.record)
        assert folded.digest() == yard.state.digest()

    yard.state = unpack_state(pack_state(folded), folded.pool, folded.policy)
    for now_s in range(stop, stop + 60):
        yard.step(now_s)
        folded.fold(yard.record)
        assert folded.digest() == yard.state.digest()


def test_the_promise_is_the_earliest_moment_by_what_was_declared() -> None:
    # Worked by hand: 2 nodes; A holds one to 50, B one to 30; C (2 nodes, 20 s) at 50; D (1 node,
    # 15 s) fits before it from 30 to 45; E (1 node, 25 s) does not: after C, at 70.
    bench = dated_bench(8, 8, reserve_s=1, large_pct=100)
    bench.submit(gpus=8, estimate=50)
    bench.submit(gpus=8, estimate=30)
    bench.at(0)
    c, d, e = (bench.submit(gpus=gpus, estimate=s) for gpus, s in ((16, 20), (8, 15), (8, 25)))
    bench.at(0)

    bench.submit(gpus=8, estimate=50)
    bench.at(1)

    assert [date_of(bench, job) for job in (c, d, e)] == [50, 30, 70]
