"""Any recorded plan is decided again byte for byte, from any record on; speed is no part of it."""

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.plan import replan
from dure.core.record import pack, unpack
from dure.core.state import CycleRecord, State
from tests.core.driving import END_S, Drive
from tests.core.worlds import World, random_world


def records_of(world: World) -> list[bytes]:
    run = Drive(world, fold_too=False)
    while (now_s := run.next_s()) < END_S:
        run.step(now_s)
    return [pack(record) for record in run.records]


def decided_again(world: World, records: list[bytes], *, first: int, count: int) -> list[int]:
    """Fold the records before ``first``, plan ``count`` anew; return the places that differ."""
    state = State(world.pool, world.policy)
    for payload in records[:first]:
        state.fold(unpack(payload))
    different = []
    for place in range(first, min(first + count, len(records))):
        record: CycleRecord = unpack(records[place])
        if replan(state, record).tobytes() != record.decided.tobytes():
            different.append(place)
    return different


@pytest.mark.parametrize("policy", col.POLICIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_whole_run_is_decided_again_byte_for_byte(policy: str, seed: int) -> None:
    world = random_world(seed, policy)
    records = records_of(world)

    assert decided_again(world, records, first=0, count=len(records)) == []


@pytest.mark.parametrize("policy", ["dure", "easy", "srsf"])
def test_a_state_folded_to_any_record_decides_on_as_the_run_did(policy: str) -> None:
    world = random_world(5, policy)
    records = records_of(world)

    for first in range(0, len(records), 17):
        assert decided_again(world, records, first=first, count=5) == []


EVERYTHING = 3  # whatever can become free: room, rights


def forget(state: State) -> None:
    """Make the next pass try everything, as if anything had just become free."""
    state.c.memo[col.M_FAILED], state.c.memo[col.M_UNCLAIMED] = 0, 0
    state.c.memo[col.M_LEAST] = 1 << 60
    state.c.scalars[col.S_FREED] = EVERYTHING


@pytest.mark.parametrize("policy", ["dure", "greedy", "sjf", "siloed", "easy", "fifo"])
@pytest.mark.parametrize("seed", range(300, 308))
def test_what_is_remembered_between_passes_changes_no_decision(policy: str, seed: int) -> None:
    world = random_world(seed, policy)
    records = records_of(world)

    state = State(world.pool, world.policy)
    for payload in records:
        record = unpack(payload)
        forget(state)
        assert np.array_equal(replan(state, record), record.decided), (seed, policy)


def test_a_clock_that_goes_back_counts_as_standing_still() -> None:
    world = random_world(9)
    run = Drive(world, fold_too=False)
    for _ in range(40):
        run.step(run.next_s())
    before = int(run.state.now_s)

    record = run.step(before - 1000)
    run.check(record)

    assert run.state.now_s == before
    assert (record.decided[:, 1] == before).all()
