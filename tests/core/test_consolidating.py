"""Small gangs move together for one whose room is only scattered: on a budget, in nobody's way."""

from collections import Counter

import pytest

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool
from tests.core.brute import waits_in_vain
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import random_world

COST_GPU_S = 80  # two devices: ten seconds not saved, ten of cleaning, twenty of starting


def scattered(budget: int, *, relocate: bool = False, **of_mover: int) -> tuple[Bench, int, int]:
    """Return a pool of two nodes with 4 and 6 free, at 160 s: the one who moves, and who waits."""
    bench = Bench(flat_pool(8, 8), consolidate_gpu_s_per_h=budget, relocate=relocate)
    bench.entitle("small", 10, index=0)
    bench.entitle("large", 8, index=1)
    bench.submit("small", gpus=4, preemptible=0)
    ends = bench.submit(gpus=4, preemptible=0)
    mover = bench.submit("small", gpus=2, **{"ckpt_every": 100} | of_mover)
    bench.at(0)
    bench.end(ends)
    bench.at(150)
    bench.at(160)
    assert sorted(bench.state.c.nodes[col.N_FREE].tolist()) == [4, 6]
    gang = bench.submit("large", gpus=8, preemptible=0)
    return bench, mover, gang


def test_a_gang_that_just_saved_moves_and_the_waiting_one_starts() -> None:
    bench, mover, gang = scattered(COST_GPU_S)
    bench.at(161)
    assert bench.told(col.K_STOPPED) == []  # its checkpoint is a minute and more ago
    node = bench.nodes(mover)

    bench.observe(col.K_CANCELLED, bench.submit())
    bench.at(210)

    assert bench.told(col.K_STOPPED) == [[mover, 1, col.BY_MOVE, 200, 10 * 2 * col.WHOLE, 0]]
    assert (bench.is_(mover), bench.kind(mover)) == ("RUNNING", "own")
    assert bench.nodes(mover) != node
    bench.at(220)
    assert (bench.is_(gang), bench.kind(gang), bench.nodes(gang)) == ("RUNNING", "own", node)


@pytest.mark.parametrize(
    ("budget", "of_mover"),
    [
        (0, {}),
        (COST_GPU_S - 1, {}),
        (COST_GPU_S, {"preemptible": 0}),
        (COST_GPU_S, {"ckpt_every": 0}),
        (COST_GPU_S, {"ckpt_every": 140}),
    ],
)
def test_nobody_moves_beyond_the_budget_or_with_work_at_stake(
    budget: int, of_mover: dict[str, int]
) -> None:
    bench, mover, gang = scattered(budget, **of_mover)

    bench.at(210)

    assert bench.told(col.K_STOPPED) == []
    assert (bench.is_(mover), bench.is_(gang)) == ("RUNNING", "PENDING")


@pytest.mark.parametrize("budget", [0, 1_000])
def test_who_can_move_on_the_budget_gets_no_notice_to_move(budget: int) -> None:
    bench, mover, gang = scattered(budget, relocate=True, ckpt_every=101)
    node = bench.nodes(mover)

    bench.at(161)

    due_s = 161 + 600
    notice = [[mover, gang, 202, 1 + 2, 2 * col.WHOLE, due_s]]
    assert bench.told(col.K_NOTICED) == ([] if budget > 0 else notice)
    bench.at(202)
    assert (bench.is_(mover), bench.kind(mover)) == ("RUNNING", "own")
    assert bench.nodes(mover) != node


@pytest.mark.parametrize(("budget", "lend"), [(200, False), (40_000, False), (40_000, True)])
def test_moves_stay_within_the_budget_and_nobody_waits_because_of_one(
    budget: int, lend: bool
) -> None:
    moved = 0
    for seed in range(800, 824):
        world = random_world(
            seed, jobs=160, consolidate_gpu_s_per_h=budget, lend=lend, relocate=False
        )
        run = Drive(world)
        promises, spent, movers = Promises(run.state), Counter[int](), Counter[int]()
        kind_of: dict[int, int] = {}
        for record in run.cycles():
            promises.read(record)
            facts = record.decided.tolist()
            for at, (kind, at_s, job, _, cause, _, lost, _) in enumerate(facts):
                if kind == col.K_STOPPED and cause == col.BY_MOVE:
                    gpus = int(world.jobs[col.J_GPUS, job])
                    spent[at_s // 3600] += lost + 30 * gpus * col.WHOLE
                    movers[job] += 1
                    # It stands elsewhere in the very next decisions, in the class it had.
                    follows = facts[at + 1]
                    assert (follows[0], follows[2]) == (col.K_STARTED, job), run.said()
                    assert follows[4] == kind_of[job], run.said()
                if kind in (col.K_STARTED, col.K_RECLASSED):
                    kind_of[job] = cause
            if len(run.records) % 23 == 0:
                assert not lend or waits_in_vain(run.state) == [], run.said()
        promises.close(run.state.now_s)
        assert promises.broken == [], run.said()
        assert max(spent.values(), default=0) <= budget * col.WHOLE, run.said()
        # A run is shorter than the four hours between two moves of a job.
        assert max(movers.values(), default=0) <= 1, run.said()
        moved += movers.total()

    # Where GPUs are lent, calling a borrower back mostly comes first.
    assert moved > 0 or lend or budget == 200
