"""Seeded runs of the engine: random pools, jobs, rights and faults; everything checked always.

After every cycle: all invariants, and the fold of the records equals the plan's own state. During
and after a run: promises kept, nobody waits beside room, nobody is left without a reason. A failing
run names the line that repeats it: ``random_world(SEED, POLICY, ...)``.
"""

import pytest

from dure.core import columns as col
from dure.core.columns import POLICIES
from tests.core.brute import Look, startable_types, waiting, waits_in_vain
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import World, random_world

# Policies that leave nothing free beside a job that could use it.
CONSERVING = {"greedy", "sjf", "siloed", "dure"}
LOOK_EVERY = 23
LIVE = {"instant_stop": False, "drain_s": 25}
# Every node that fails is a lemon for a while.
WATCHED = {"lemon_faults": 1, "probation_s": 900, "lemons_pct": 100}


def run_and_judge(world: World) -> Drive:
    """Run a world to its end; return it when nothing is wrong."""
    run = Drive(world)
    promises = Promises(run.state)
    for record in run.cycles():
        promises.read(record)
        if world.policy.name in CONSERVING and len(run.records) % LOOK_EVERY == 0:
            vain = waits_in_vain(run.state)
            assert vain == [], f"{run.said()}: {vain} could start and wait"
    promises.close(run.state.now_s)
    assert promises.broken == [], run.said()
    assert stranded(run) == [], run.said()
    return run


def stranded(run: Drive) -> list[int]:
    """Return jobs that still run when nothing moves, or wait though an empty pool has room."""
    state = run.state
    running = state.c.running[: state.c.scalars[col.S_RUNNING]].tolist()
    look = Look(state, as_if_empty=True)
    return running + [job for job in waiting(state) if look.fits(job, startable_types(state, job))]


@pytest.mark.parametrize("seed", range(32))
def test_dure_keeps_every_invariant_and_promise(seed: int) -> None:
    run_and_judge(random_world(seed, jobs=160))


@pytest.mark.parametrize("seed", range(100, 110))
def test_machines_that_take_their_time_break_nothing(seed: int) -> None:
    run_and_judge(random_world(seed, jobs=160, **LIVE))


@pytest.mark.parametrize("seed", range(300, 312))
def test_reservations_break_nothing(seed: int) -> None:
    run_and_judge(random_world(seed, jobs=160, reserve_s=300, large_pct=seed % 4 * 15))


@pytest.mark.parametrize("seed", range(120, 132))
def test_nodes_on_probation_break_nothing(seed: int) -> None:
    run_and_judge(random_world(seed, jobs=160, **WATCHED, **(LIVE if seed % 2 else {})))


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "dure"])
@pytest.mark.parametrize("seed", range(200, 206))
def test_every_other_policy_keeps_every_invariant(policy: str, seed: int) -> None:
    run_and_judge(random_world(seed, policy, jobs=160))


def test_the_runs_above_meet_what_they_are_about() -> None:
    # They would prove nothing if nobody lent, claimed, failed or shrank in them.
    kinds: set[int] = set()
    outcomes: set[int] = set()
    causes: set[tuple[int, bool]] = set()
    for seed in range(32):
        run = Drive(random_world(seed, jobs=160), fold_too=False)
        while (now_s := run.next_s()) < 1 << 40:
            for kind, _, _, a, b, _, d, _ in run.step(now_s).decided.tolist():
                kinds.add(kind)
                if kind == col.K_CLAIM_ENDED:
                    outcomes.add(a)
                elif kind == col.K_STOPPED:
                    causes.add((b, d > 0))

    assert outcomes == {
        col.CLAIM_SERVED,
        col.CLAIM_ELSEWHERE,
        col.CLAIM_FAULT,
        col.CLAIM_CANCELLED,
    }
    assert {(col.BY_RECLAIM, False), (col.BY_RECLAIM, True), (col.BY_FAULT, True)} <= causes
    assert (col.BY_SWAP, True) in causes
    assert {col.K_WITHDRAWN, col.K_RECLASSED, col.K_REFUSED, col.K_CLEANED} <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("block", range(10))
def test_many_more_worlds(policy: str, block: int) -> None:
    for seed in range(10_000 + 30 * block, 10_030 + 30 * block):
        run_and_judge(random_world(seed, policy, jobs=200))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_many_more_worlds_of_slow_machines(block: int) -> None:
    for seed in range(20_000 + 30 * block, 20_030 + 30 * block):
        run_and_judge(random_world(seed, jobs=200, **LIVE))
