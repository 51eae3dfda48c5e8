"""Rights that change by the minute: at the very second, with loans called back before they rise."""

import numpy as np
import pytest

from dure.core import columns as col
from tests.core.bench import Bench, flat_pool
from tests.core.driving import Drive
from tests.core.promises import Promises
from tests.core.worlds import FactRow, World, random_jobs, random_world

END_S = 1 << 40


def by_minute(owner: int, gpus: list[int], *, minute_s: int = 60) -> list[FactRow]:
    """Return an allocation a minute; what an index is called is not looked at."""
    return [
        (col.K_ALLOCATED, 0, (i + 1) * minute_s, -1, owner, 0, one * col.WHOLE, i * minute_s)
        for i, one in enumerate(gpus)
    ]


def edge_world(seed: int, **rules: object) -> World:
    """Return a world of one type whose owners' rights are drawn anew every minute or five."""
    world = random_world(seed, jobs=120, **rules)
    rng = np.random.default_rng(seed)
    capacity = int(world.pool.gpus.sum())
    world.pool = flat_pool(*world.pool.gpus.tolist(), leaves=3)
    owners = len(world.accounts) - 1
    minute_s = int(rng.choice([60, 300]))
    world.jobs = random_jobs(world.pool, len(world.accounts), 120, rng)
    world.jobs[col.J_PROVIDER] = -1
    world.allocations, world.script = [], []
    for owner in range(1, owners + 1):
        most = capacity // owners
        drawn = rng.integers(0, most + 1, 6_000 // minute_s).tolist()
        world.allocations += by_minute(owner, drawn, minute_s=minute_s)
    world.allocations = [(*row[:3], i, *row[4:]) for i, row in enumerate(world.allocations)]
    return world


def entitled(world: World, owner: int, at_s: int) -> int:
    """Add up what an owner has at a moment, from the allocations alone."""
    return sum(
        milli
        for _, _, to_s, _, account, _, milli, from_s in world.allocations
        if account == owner and from_s <= at_s < to_s
    )


@pytest.mark.parametrize("seed", range(600, 606))
def test_rights_change_at_the_very_second(seed: int) -> None:
    world = edge_world(seed)
    run, seen = Drive(world), set()
    for _ in run.cycles():
        now_s = run.state.now_s
        seen.add(now_s)
        for owner in range(1, len(world.accounts)):
            have = int(run.state.c.rights[col.E_ENTITLED, owner, 0])
            assert have == entitled(world, owner, now_s), run.said()

    begins_s = {row[7] for row in world.allocations}
    assert {at_s for at_s in begins_s if at_s <= max(seen)} <= seen


@pytest.mark.parametrize("seed", range(610, 622))
def test_promises_hold_while_rights_change_by_the_minute(seed: int) -> None:
    run = Drive(edge_world(seed, return_s=600 if seed % 2 else 60))
    promises = Promises(run.state)
    for record in run.cycles():
        promises.read(record)

    assert promises.broken == []
    assert promises.served > 0


def test_the_worlds_above_claim_before_a_right_begins() -> None:
    early = 0
    for seed in range(610, 614):
        run = Drive(edge_world(seed), fold_too=False)
        while (now_s := run.next_s()) < END_S:
            before = run.state.c.rights[col.E_ENTITLED].copy()
            for fact in run.step(now_s).decided.tolist():
                if fact[0] == col.K_CLAIMED:
                    job = fact[2]
                    owner = int(run.state.c.jobs[col.J_OWNER, job])
                    milli = int(run.state.c.jobs[col.J_SIZE, job] * col.WHOLE)
                    early += owner > 0 and milli > before[owner].max()

    assert early > 0


def lent_at_night(**borrower: int) -> tuple[Bench, int, int]:
    """Let a site with a right from 3,600 on lend its node; its own gang waits for the morning."""
    bench = Bench(flat_pool(8))
    bench.entitle("site", 8, from_s=3_600)
    guest = bench.submit("guest", gpus=8, work=90_000, **borrower)
    bench.at(0)
    owner = bench.submit("site", gpus=8, preemptible=0, class_asked=1 + col.OWN)
    bench.at(100)
    return bench, guest, owner


def until(bench: Bench, last_s: int) -> None:
    """Run every cycle that is due by itself up to a moment."""
    while bench.state.next_alarm_s is not None and bench.state.next_alarm_s <= last_s:
        bench.at(bench.state.next_alarm_s)


def test_a_gang_that_waits_for_its_right_starts_the_second_it_begins() -> None:
    bench, guest, owner = lent_at_night(ckpt_takes=30)

    until(bench, 3_599)
    assert (bench.is_(guest), bench.is_(owner)) == ("PENDING", "PENDING")
    until(bench, 3_600)

    assert bench.number(col.J_FIRST_START, owner) == 3_600
    # It ran until cleaning and the start were all that was left to do.
    assert bench.number(col.J_RUN_S, guest) == 3_570
    assert bench.number(col.J_LOST, guest) == 0


def test_a_borrower_leaves_at_its_last_checkpoint_before_the_right_begins() -> None:
    bench, guest, owner = lent_at_night(ckpt_every=400)

    until(bench, 3_600)

    assert bench.number(col.J_RUN_S, guest) == 3_200
    assert bench.number(col.J_FIRST_START, owner) == 3_600


def test_who_asks_at_the_edge_starts_within_the_promise() -> None:
    bench = Bench(flat_pool(8))
    bench.entitle("site", 8, from_s=3_600)
    bench.submit("guest", gpus=8, work=90_000, ckpt_every=500)
    until(bench, 3_599)
    bench.at(10)
    until(bench, 3_599)
    owner = bench.submit("site", gpus=8)
    bench.at(3_600)

    until(bench, 4_200)

    assert bench.is_(owner) == "RUNNING"
    assert bench.number(col.J_FIRST_START, owner) <= 4_200


def test_a_right_put_off_gives_back_what_was_claimed_for_it() -> None:
    bench, guest, owner = lent_at_night(ckpt_takes=30)
    until(bench, 3_000)
    assert bench.number(col.J_CLAIM_DUE, owner) == 3_600

    bench.entitle("site", 8, from_s=9_000)
    bench.at(3_100)

    assert bench.number(col.J_CLAIM_DUE, owner) == -1
    assert bench.number(col.J_STOP_AT, guest) == -1
    until(bench, 9_000)
    assert bench.number(col.J_FIRST_START, owner) == 9_000


def test_nobody_is_called_for_a_right_that_nobody_waits_for() -> None:
    bench = Bench(flat_pool(8))
    bench.entitle("site", 8, from_s=3_600)
    guest = bench.submit("guest", gpus=8, work=90_000, ckpt_every=500)
    bench.at(0)

    until(bench, 5_000)

    assert bench.number(col.J_ATTEMPT, guest) == 1
