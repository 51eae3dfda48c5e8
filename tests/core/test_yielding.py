"""An owner's long work makes room for its short work, saved, once, and at nobody else's cost."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.state import CycleRecord
from tests.core.bench import Bench, flat_pool
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import World, random_world

DAY_S = 86_400
LONG = {"gpus": 8, "estimate": DAY_S, "ckpt_every": 600, "work": DAY_S}


def two_of_one_owner(long: dict[str, int], short: dict[str, int], **rules: object) -> Bench:
    """Return a pool of one node at 100 s: job 0 runs as own since 0 s, job 1 waits beside it."""
    bench = Bench(flat_pool(8), **rules)
    bench.entitle("A", 8)
    bench.submit("A", **LONG | long)
    bench.at(0)
    bench.submit("A", **{"gpus": 8, "estimate": 3600} | short)
    bench.at(100)
    return bench


def test_the_long_gang_stops_at_its_checkpoint_and_the_short_one_has_its_place() -> None:
    bench = two_of_one_owner({}, {})

    due_s = 100 + 600
    assert bench.told(col.K_RECLASSED) == [[0, 2, col.LOAN, 0, 0, 0]]
    assert bench.told(col.K_CLAIMED) == [[1, due_s, 0, 0, 0, 0]]
    assert bench.told(col.K_NOTICED) == [[0, 1, 600, 1, 8 * col.WHOLE, due_s]]
    bench.at(600)
    assert bench.told(col.K_STOPPED) == [[0, 2, col.BY_RECLAIM, 600, 0, 0]]
    bench.at(610)
    bench.at(630)
    assert (bench.is_(1), bench.kind(1)) == ("RUNNING", "own")
    bench.end(1)
    bench.at(1000)
    bench.at(1010)
    assert (bench.is_(0), bench.kind(0)) == ("RUNNING", "own")


@pytest.mark.parametrize(
    ("long", "short", "rules"),
    [
        ({}, {}, {"yield_ratio": 0}),
        ({}, {"estimate": DAY_S // 4}, {}),  # it ran 100 s already: less than four times is left
        ({}, {"estimate": -1}, {}),
        ({"estimate": -1}, {}, {}),
        ({"ckpt_every": 0}, {}, {}),
        ({"ckpt_every": 3600}, {}, {}),  # its next checkpoint comes too late
        ({"preemptible": 0}, {}, {}),
        ({"class_asked": 1 + col.OWN}, {}, {}),
        ({}, {"class_asked": 1 + col.LOAN}, {}),
        ({"gpus": 4}, {}, {}),  # its part of the entitlement is not enough
    ],
)
def test_only_work_that_can_save_makes_room_for_work_that_is_soon_done(
    long: dict[str, int], short: dict[str, int], rules: dict[str, object]
) -> None:
    bench = two_of_one_owner(long, short, **rules)

    if "gpus" in long:
        bench.submit("A", gpus=4, preemptible=0)
        bench.at(101)

    assert bench.told(col.K_CLAIMED) == []
    assert [bench.is_(job) for job in (0, 1)] == ["RUNNING", "PENDING"]


def test_who_was_sent_away_once_gives_way_no_more() -> None:
    bench = two_of_one_owner({}, {})
    for now_s in (600, 610, 630):
        bench.at(now_s)
    bench.end(1)
    bench.at(1000)
    bench.at(1010)
    assert bench.is_(0) == "RUNNING"
    again = bench.submit("A", gpus=8, estimate=60)

    bench.at(1100)

    assert bench.told(col.K_CLAIMED) == []
    assert (bench.is_(0), bench.is_(again)) == ("RUNNING", "PENDING")


def test_nobody_gives_way_for_another_owner() -> None:
    bench = Bench(flat_pool(8))
    bench.entitle("A", 8)
    bench.submit("A", **LONG)
    bench.at(0)
    guest = bench.submit("B", gpus=8, estimate=60)

    bench.at(100)

    assert (bench.told(col.K_CLAIMED), bench.is_(guest)) == ([], "PENDING")


def test_the_smallest_that_is_enough_gives_way_and_of_equals_the_longest() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.entitle("A", 16)
    for gpus, days in ((8, 9), (2, 2), (2, 3), (4, 5)):
        bench.submit("A", **LONG | {"gpus": gpus, "estimate": days * DAY_S})
    bench.at(0)

    bench.submit("A", gpus=2, estimate=600)
    bench.at(100)

    assert [row[0] for row in bench.told(col.K_NOTICED)] == [2]


def test_who_may_not_borrow_starts_beside_long_work_without_stopping_it() -> None:
    bench = Bench(flat_pool(8, 8))
    bench.entitle("A", 8)
    bench.submit("A", **LONG)
    bench.at(0)
    firm = bench.submit("A", gpus=8, estimate=600, preemptible=0)

    bench.at(100)

    assert (bench.is_(firm), bench.kind(firm)) == ("RUNNING", "own")
    assert (bench.is_(0), bench.kind(0)) == ("RUNNING", "loan")


def test_one_gang_gives_way_once_to_all_who_start_beside_it_in_a_pass() -> None:
    bench = Bench(flat_pool(24))
    bench.entitle("A", 8)
    bench.submit("A", **LONG)
    bench.at(0)
    for _ in range(2):
        bench.submit("A", gpus=8, estimate=3600, preemptible=0)
    bench.at(100)

    assert bench.told(col.K_RECLASSED) == [[0, 2, col.LOAN, 0, 0, 0]]
    assert [bench.is_(job) for job in (1, 2)] == ["RUNNING", "PENDING"]


def test_a_claim_that_is_not_needed_any_more_leaves_the_long_gang_alone() -> None:
    bench = two_of_one_owner({}, {})
    bench.observe(col.K_CANCELLED, 1)

    bench.at(300)

    assert [row[0] for row in bench.told(col.K_WITHDRAWN)] == [0]
    assert (bench.is_(0), bench.kind(0)) == ("RUNNING", "own")


def _yields(record: CycleRecord) -> list[tuple[int, int]]:
    """Return (who gave way, who takes the place): the next decision claims, or starts as own.

    An exchange of classes is followed by the one that became own, and no right ever shrinks here.
    """
    return [
        (fact[2], after[2])
        for fact, after in pairwise(record.decided.tolist())
        if (fact[0], fact[4]) == (col.K_RECLASSED, col.LOAN)
        and (after[0] == col.K_CLAIMED or (after[0] == col.K_STARTED and after[4] == col.OWN))
    ]


def _with_lasting_rights(world: World) -> World:
    lasting = [
        (kind, at_s, col.FOREVER_S, *rest, 0) for kind, at_s, _, *rest, _ in world.allocations
    ]
    script = [step for step in world.script if step[1][0] != col.K_ALLOCATED]
    return replace(world, allocations=lasting, script=script)


def test_whoever_gives_way_has_long_to_run_saves_and_was_never_sent_away() -> None:
    yielded = 0
    for seed in range(900, 924):
        run = Drive(_with_lasting_rights(random_world(seed, jobs=160, yield_ratio=1)))
        promises = Promises(run.state)
        sent_away: set[int] = set()
        in_place: dict[int, int] = {}
        for record in run.cycles():
            promises.read(record)
            asked = run.state.c.jobs
            for other, job in _yields(record):
                yielded += 1
                in_place[other] = job
                assert asked[col.J_PREEMPTIBLE, other] == 1, run.said()
                assert asked[col.J_ESTIMATE, other] >= asked[col.J_ESTIMATE, job] >= 0, run.said()
                assert other not in sent_away, run.said()
            for kind, _, job, claimant, _, saves, _, _ in record.decided.tolist():
                if kind == col.K_NOTICED and in_place.get(job) == claimant:
                    assert saves & 1, run.said()
                if kind == col.K_STOPPED:
                    sent_away.add(job)
        promises.close(run.state.now_s)
        assert promises.broken == [], run.said()
    assert yielded > 0


def test_many_give_way_over_the_next_minutes() -> None:
    bench = Bench(flat_pool(*[8] * 40))
    bench.entitle("A", 320)
    for _ in range(40):
        bench.submit("A", **LONG)
    bench.at(0)
    for _ in range(40):
        bench.submit("A", gpus=8, estimate=600)
    seen = []
    for now_s in (100, 160, 220):
        bench.at(now_s)
        seen.append(len(bench.told(col.K_CLAIMED)))
        bench.observe(col.K_CANCELLED, bench.submit())

    assert np.cumsum(seen).tolist() == [16, 32, 40]
