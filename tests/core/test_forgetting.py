"""A state that forgets who is over decides to the byte what one decides that keeps everybody."""

import copy

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.check import violations
from dure.core.columns import IntArray
from dure.core.forgetting import JobRows, kept_jobs
from dure.core.plan import Observed, facts_of, plan_cycle, replan
from dure.core.policy import Policy
from dure.core.record import pack, unpack
from dure.core.snapshot import pack_state, unpack_state
from dure.core.state import Account, CycleRecord, State, no_facts, no_jobs
from tests.core.driving import END_S, Drive
from tests.core.test_snapshot import jobs_of, small_pool
from tests.core.worlds import World, random_world

# What a state only notes to find its way: of a column, or empty once a job is over.
OF_THE_TABLE = (col.J_SHAPE, col.J_COHORT, col.J_AFTER, col.J_ROWS, col.J_RUN_POS, col.J_IN_QUEUE)


def kept_run(world: World) -> Drive:
    run = Drive(world, fold_too=False)
    while (now_s := run.next_s()) < END_S:
        run.step(now_s)
    return run


def forgetful_run(world: World, seed: int) -> tuple[Drive, list[JobRows]]:
    """Run a world whose state forgets, or is packed and unpacked, at random moments."""
    rng, over = np.random.default_rng(seed), list[JobRows]()
    run = Drive(world, fold_too=False)
    run.state.archive = over.append
    while (now_s := run.next_s()) < END_S:
        run.step(now_s)
        chance = rng.random()
        if chance < 0.15:
            run.state.forget()
            assert_nothing_is_left_over(run.state)
        elif chance < 0.2:
            run.state = unpack_state(pack_state(run.state), world.pool, world.policy)
            run.state.archive = over.append
        found = violations(run.state)
        assert not found, f"{run.said()}: {found}"
    return run, over


def assert_nothing_is_left_over(state: State) -> None:
    """What grew with the jobs that are gone has shrunk, and nothing points at them."""
    c, s, count = state.c, state.c.scalars, len(state.job_names)
    milli, gpus = c.jobs[[col.J_MILLI, col.J_GPUS], :count].tolist()
    most = len(state.node_names)
    assert max(s[col.S_SHAPES], s[col.S_COHORTS]) <= count
    assert s[col.S_SHARED_ROWS] == sum(
        min(most, max(0, asked)) for share, asked in zip(milli, gpus, strict=True) if share < 1000
    )
    assert (c.alarms[: s[col.S_ALARMS], 2] >= 0).all()
    assert not c.jobs[:, count:].any()


def words(rows: list[JobRows]) -> dict[int, tuple[str, list[int]]]:
    """Return what became of each job, by number."""
    of_all = [row for row in range(col.J_COUNT) if row not in OF_THE_TABLE]
    said: dict[int, tuple[str, list[int]]] = {}
    for part in rows:
        columns = part.columns[of_all].T.tolist()
        for number, name, one in zip(part.numbers.tolist(), part.names, columns, strict=True):
            assert number not in said, f"job {number} was handed over twice"
            said[number] = (name, one)
    return said


@pytest.mark.parametrize("policy", col.POLICIES)
@pytest.mark.parametrize("seed", range(500, 506))
def test_what_is_forgotten_changes_no_record(policy: str, seed: int) -> None:
    world = random_world(seed, policy)
    kept = kept_run(world)

    run, over = forgetful_run(world, seed)

    assert [pack(one) for one in run.records] == [pack(one) for one in kept.records]
    assert sum(part.numbers.size for part in over) > world.jobs.shape[1] // 2
    assert words([*over, run.state.job_rows()]) == words([kept.state.job_rows()])


@pytest.mark.parametrize("policy", ["dure", "easy", "srsf"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_records_are_decided_again_by_a_state_that_forgets(policy: str, seed: int) -> None:
    world, over = random_world(seed, policy), list[JobRows]()
    records = [pack(record) for record in kept_run(world).records]

    planned, folded = State(world.pool, world.policy), State(world.pool, world.policy)
    planned.archive = folded.archive = over.append
    for place, payload in enumerate(records):
        record = unpack(payload)
        folded.fold(record)
        assert replan(planned, record).tobytes() == record.decided.tobytes(), place
        if place % 7 == 0:
            planned.forget()
            folded.forget()
        assert planned.digest() == folded.digest(), place

    assert over


# In the world of 506 nobody who waits is asked for by another.
@pytest.mark.parametrize("seed", [*range(500, 506), *range(507, 513)])
def test_who_was_cancelled_between_two_cycles_is_forgotten_after_the_next(seed: int) -> None:
    run, compared = Drive(random_world(seed, "dure"), fold_too=False), 0
    while (now_s := run.next_s()) < END_S and compared < 5:
        run.step(now_s)
        c, s = run.state.c, run.state.c.scalars
        waiting = c.jobs[:, : s[col.S_JOBS]]
        parents = waiting[col.J_AFTER, waiting[col.J_STATE] == col.PENDING]
        asked = {*c.claims[: s[col.S_CLAIMS], 0].tolist(), *parents[parents >= 0].tolist()}
        gone = [job for job in sorted(asked) if job < s[col.S_JOBS]]
        gone = [job for job in gone if waiting[col.J_STATE, job] == col.PENDING]
        if not gone:
            continue
        compared += 1
        keeps, forgets = copy.deepcopy(run.state), copy.deepcopy(run.state)
        forgets.archive = lambda over: None
        cancelled = facts_of([(col.K_CANCELLED, now_s, job) for job in gone])
        for state in (keeps, forgets):
            state.fold(CycleRecord(now_s, planned=False, observed=cancelled))
        forgets.forget()
        nothing = Observed([], no_jobs(), no_facts())
        for later_s in (now_s, now_s + 60):
            told = plan_cycle(keeps, nothing, later_s).facts
            assert np.array_equal(plan_cycle(forgets, nothing, later_s).facts, told)
        assert violations(forgets) == []
    assert compared > 0


def cycle(
    state: State, at_s: int, sizes: list[int], *facts: tuple[int, ...], after: int = -1
) -> IntArray:
    first = state.jobs_listed
    jobs = jobs_of(sizes, first=first, at_s=at_s)
    jobs.columns[col.J_AFTER] = after
    rows = [*facts, *((col.K_SUBMITTED, at_s, first + i) for i in range(len(sizes)))]
    owners = [Account("p-1", col.ACCOUNT_PROJECT)]
    return plan_cycle(state, Observed(owners, jobs, facts_of(rows)), at_s).facts


def forgetful_state() -> tuple[State, list[JobRows]]:
    over: list[JobRows] = []
    state = State(small_pool(), Policy())
    state.archive = over.append
    return state, over


def test_a_job_keeps_its_number_and_word_of_one_forgotten_is_old() -> None:
    state, over = forgetful_state()
    cycle(state, 0, [8, 8, 8])
    cycle(state, 5, [], (col.K_ENDED, 5, 0, 1, col.COMPLETED), (col.K_ENDED, 5, 1, 1, col.FAILED))
    state.forget()

    told = cycle(state, 9, [8], (col.K_ENDED, 9, 0, 1, col.FAILED), (col.K_CANCELLED, 9, 1))

    assert [part.numbers.tolist() for part in over] == [[0, 1]]
    assert over[0].names == ["j0", "j1"]
    assert over[0].columns[col.J_STATE].tolist() == [col.COMPLETED, col.FAILED]
    assert told[told[:, 0] == col.K_STARTED, 2].tolist() == [3]
    assert (state.job_names, state.jobs_listed) == (["j2", "j3"], 4)
    assert [state.column_of(number) for number in range(6)] == [-1, -1, 0, 1, 2, 3]
    assert (state.number_of("j3"), state.number_of("j0")) == (3, -1)


def test_who_comes_after_one_forgotten_starts_if_that_one_ended_well() -> None:
    state, _ = forgetful_state()
    cycle(state, 0, [8, 8])
    cycle(state, 5, [], (col.K_ENDED, 5, 0, 1, col.COMPLETED), (col.K_ENDED, 5, 1, 1, col.FAILED))
    state.forget()
    state = unpack_state(pack_state(state), state.pool, state.policy)

    well = cycle(state, 9, [8], after=0)
    badly = cycle(state, 9, [8], after=1)

    assert well[well[:, 0] == col.K_STARTED, 2].tolist() == [2]
    assert badly[:, [0, 2]].tolist() == [[col.K_REFUSED, 3]]
    assert state.c.jobs[col.J_AFTER, 0] == col.AFTER_DONE


def test_whom_somebody_waits_for_is_kept_and_so_is_a_parent_still_to_come() -> None:
    state, over = forgetful_state()
    cycle(state, 0, [8, 8])
    cycle(state, 1, [8], after=0)
    cycle(state, 1, [8], after=5)
    cycle(state, 5, [], (col.K_ENDED, 5, 1, 1, col.COMPLETED))

    state.forget()

    assert over[0].names == ["j1"]
    assert state.job_names == ["j0", "j2", "j3"]
    assert state.c.jobs[col.J_AFTER, :3].tolist() == [-1, 0, 4]
    started = cycle(state, 9, [8, 8])
    assert started[started[:, 0] == col.K_STARTED, 2].tolist() == [4, 5]
    ended = cycle(state, 20, [], (col.K_ENDED, 20, 5, 1, col.COMPLETED))
    assert ended[ended[:, 0] == col.K_STARTED, 2].tolist() == [3]


def test_a_state_that_nobody_archives_keeps_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dure.core.state.FORGET_FROM", 4)
    keeps, (forgets, over) = State(small_pool(), Policy()), forgetful_state()
    for state in (keeps, forgets):
        for at_s in range(0, 200, 10):
            ends = [
                (col.K_ENDED, at_s, int(number), 1, col.COMPLETED)
                for number in np.sort(state.c.jobs[col.J_NUMBER, state.c.running[:1]])
                if state.c.scalars[col.S_RUNNING]
            ]
            cycle(state, at_s, [8], *ends)

    assert (len(keeps.job_names), keeps.jobs_listed) == (20, 20)
    assert forgets.jobs_listed == 20
    assert len(forgets.job_names) <= 2 * max(4, kept_jobs(forgets.c).size)
    assert sum(part.numbers.size for part in over) + len(forgets.job_names) == 20
