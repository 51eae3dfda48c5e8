"""Where a gang can stand, against trying everything: in states that real runs left behind."""

from collections import Counter

import numpy as np
import pytest

from dure.core import columns as col
from dure.core.columns import Columns
from dure.core.fitting import could_ever_fit, fits_now
from dure.core.kernel import kernel
from dure.core.placement import find_place
from dure.core.state import State
from tests.core.brute import Look, least_gpus
from tests.core.driving import Drive
from tests.core.worlds import random_jobs, random_world


@kernel
def place(c: Columns, job: int, types: int) -> int:
    return int(find_place(c, job, types))


@kernel
def fits(c: Columns, job: int, types: int) -> bool:
    return bool(fits_now(c, job, types))


@kernel
def ever(c: Columns, job: int) -> bool:
    return bool(could_ever_fit(c, job))


def crowded(seed: int, policy: str = "dure") -> State:
    """Return a state in the middle of a run."""
    run = Drive(random_world(seed, policy), fold_too=False)
    for _ in range(20 + seed % 50):
        run.step(run.next_s())
    return run.state


def probes(state: State, seed: int, count: int = 40) -> np.ndarray:
    """Give the first jobs of the state new demands, so that a state serves many questions."""
    asked = random_jobs(state.pool, len(state.accounts), count, np.random.default_rng(seed))
    here = np.flatnonzero(state.c.jobs[col.J_ROWS, : len(state.job_names)] < 0)[:count]
    state.c.jobs[: asked.shape[0], here] = asked[:, : here.size]
    state.c.jobs[col.J_SIZE, here] = [least_gpus(state, job) for job in here.tolist()]
    state.c.jobs[col.J_SUBMIT, here] = state.now_s - asked[col.J_PATIENCE, : here.size] // 2 * 2
    return here


def picked(state: State, count: int) -> list[tuple[int, int, int]]:
    return [(int(a), int(b), int(c)) for a, b, c in state.c.picks[:count].tolist()]


@pytest.mark.parametrize("policy", ["dure", "siloed"])
@pytest.mark.parametrize("seed", range(25))
def test_a_place_is_found_where_trying_all_finds_one_and_no_wider(policy: str, seed: int) -> None:
    state = crowded(seed, policy)
    jobs = probes(state, seed)
    look = Look(state)

    for job in jobs.tolist():
        types = int(state.c.jobs[col.J_TYPES, job])
        rows = picked(state, place(state.c, job, types))
        best = look.narrowest(job, types, state.now_s)

        assert (best is None) == (rows == []), (seed, job)
        assert fits(state.c, job, types) == (best is not None), (seed, job)
        if best is not None:
            check_rows(look, job, rows, best, (seed, job))


@pytest.mark.parametrize("policy", ["dure", "siloed"])
@pytest.mark.parametrize("seed", range(1, 40, 3))
def test_segments_find_a_place_where_trying_all_finds_one(policy: str, seed: int) -> None:
    state = crowded(seed, policy)
    jobs = probes(state, seed)
    rng, asked = np.random.default_rng(seed), state.c.jobs
    # Little of a busy pool is left for gangs of several nodes: a third of the holes are widened.
    for node in rng.permutation(state.c.nodes.shape[1])[: state.c.nodes.shape[1] // 3]:
        clear(state, int(node))
    asked[col.J_MILLI, jobs] = col.WHOLE
    asked[col.J_SEGMENT, jobs] = rng.choice([2, 4, 6, 8, 16], jobs.size)
    asked[col.J_GPUS, jobs] = asked[col.J_SEGMENT, jobs] * rng.integers(1, 6, jobs.size)
    asked[col.J_NODES, jobs], asked[col.J_GPN, jobs] = 0, 0
    asked[col.J_SIZE, jobs] = asked[col.J_GPUS, jobs]
    look = Look(state)

    for job in jobs.tolist():
        types = int(asked[col.J_TYPES, job])
        rows = picked(state, place(state.c, job, types))
        best = look.narrowest(job, types, state.now_s)

        assert (best is None) == (rows == []), (seed, job)
        assert fits(state.c, job, types) == (best is not None), (seed, job)
        if best is not None:
            check_segments(look, job, rows, best, (seed, job))


def clear(state: State, node: int) -> None:
    """Make a node look empty, healthy and clean; its placements are not asked about."""
    c = state.c
    first, gpus = int(c.nodes[col.N_FIRST, node]), int(c.nodes[col.N_GPUS, node])
    part = slice(first, first + gpus)
    c.devices[col.D_FREE, part] = col.WHOLE
    for row in (col.D_DOWN, col.D_CLEANING, col.D_HOLD):
        c.devices[row, part] = 0
    c.nodes[col.N_CORDONED, node] = c.nodes[col.N_PROBATION, node] = 0
    shelf = c.nodes[col.N_SHELF, node]
    c.hist[shelf, c.nodes[col.N_FREE, node]] -= 1
    c.hist[shelf, gpus] += 1
    c.nodes[col.N_FREE, node], c.nodes[col.N_IDLE, node] = gpus, gpus * col.WHOLE


def check_segments(
    look: Look,
    job: int,
    rows: list[tuple[int, int, int]],
    best: tuple[tuple[int, int], int],
    said: tuple[int, int],
) -> None:
    """Each segment on a node, or whole ones on each shelf; the fullest domain that suffices."""
    (kind, gpus), level = best
    segment, parts = look.asked(col.J_SEGMENT, job), look.parts(job, gpus)
    sizes = sorted((mask.bit_count() for _, mask, _ in rows), reverse=True)
    assert sizes == parts and len({node for node, _, _ in rows}) == len(rows), said
    for node, mask, _ in rows:
        assert (look.nodes[node][col.N_TYPE], look.nodes[node][col.N_GPUS]) == (kind, gpus), said
        assert look.suits(job, node) and look.usable(job, node) >= mask.bit_count(), said
    assert len({look.domain(node, level) for node, _, _ in rows}) == 1, said
    if segment <= parts[0]:
        assert all(mask.bit_count() % segment == 0 for _, mask, _ in rows) or len(rows) == 1, said
        return
    span = segment // parts[0]
    taken = Counter(look.nodes[node][col.N_SHELF] for node, _, _ in rows)
    assert all(count % span == 0 for count in taken.values()), said
    rooms = Counter[int]()
    held = Counter[int]()
    for shelf, here in enumerate(look.shelves):
        nodes = range(here[col.H_FROM], here[col.H_TO])
        usable = [n for n in nodes if look.suits(job, n) and look.usable(job, n) >= parts[0]]
        if (here[col.H_TYPE], here[col.H_GPUS]) == (kind, gpus) and usable:
            held[shelf] = len(usable) // span
            rooms[look.domain(usable[0], level)] += held[shelf]
    home, need = look.domain(rows[0][0], level), len(parts) // span
    assert rooms[home] == min(count for count in rooms.values() if count >= need), said
    fewest = 0
    for shelf, count in held.most_common():
        if need > 0 and look.domain(look.shelves[shelf][col.H_FROM], level) == home:
            need, fewest = need - count, fewest + 1
    assert len(taken) == fewest, said


def check_rows(
    look: Look,
    job: int,
    rows: list[tuple[int, int, int]],
    best: tuple[tuple[int, int], int],
    said: tuple[int, int],
) -> None:
    (kind, gpus), level = best
    milli = look.asked(col.J_MILLI, job)
    nodes = [node for node, _, _ in rows]
    sizes = sorted((mask.bit_count() for _, mask, _ in rows), reverse=True)
    assert sizes == look.parts(job, gpus), said
    assert len(set(nodes)) == len(nodes), said
    for node, mask, share in rows:
        row = look.nodes[node]
        assert (row[col.N_TYPE], row[col.N_GPUS], share) == (kind, gpus, milli), said
        assert look.suits(job, node) and look.usable(job, node) >= mask.bit_count(), said
        assert all(look.free[node][d] >= milli for d in range(64) if mask >> d & 1), said
    assert len({look.domain(node, level) for node in nodes}) == 1, said
    if len(rows) == 1:
        check_tightest(look, job, rows[0], said)
    else:
        check_leaves(look, job, rows, best, said)


def check_tightest(look: Look, job: int, row: tuple[int, int, int], said: tuple[int, int]) -> None:
    """One node: no other that fits has less to spare; a shared device is the fullest that fits."""
    node, mask, milli = row
    same = [
        n
        for n in range(len(look.nodes))
        if look.nodes[n][col.N_TYPE] == look.nodes[node][col.N_TYPE]
        and look.nodes[n][col.N_GPUS] == look.nodes[node][col.N_GPUS]
        and look.suits(job, n)
        and look.usable(job, n) >= mask.bit_count()
    ]
    whole = [look.free[n].count(col.WHOLE) for n in range(len(look.nodes))]
    plain = milli == col.WHOLE and not look.asked(col.J_CPU, job) + look.asked(col.J_MEMORY, job)
    spare = whole if plain else [sum(free) for free in look.free]
    assert spare[node] == min(spare[n] for n in same), said
    taken = [free for d, free in enumerate(look.free[node]) if mask >> d & 1]
    left = [free for d, free in enumerate(look.free[node]) if not mask >> d & 1 and free >= milli]
    assert not left or max(taken) <= min(left), said


def check_leaves(
    look: Look,
    job: int,
    rows: list[tuple[int, int, int]],
    best: tuple[tuple[int, int], int],
    said: tuple[int, int],
) -> None:
    """Many nodes: the fullest domain of its level that suffices, and as few leaves as can be."""
    (kind, gpus), level = best
    parts = look.parts(job, gpus)
    full = [node for node, mask, _ in rows if mask.bit_count() == parts[0]]
    full = full[: len(parts) - (parts[-1] != parts[0])]
    fits = [
        node
        for node, row in enumerate(look.nodes)
        if (row[col.N_TYPE], row[col.N_GPUS]) == (kind, gpus)
        and look.suits(job, node)
        and look.usable(job, node) >= parts[0]
    ]
    here = look.domain(rows[0][0], level)
    domain = [node for node in fits if look.domain(node, level) == here]
    by_shelf = Counter(look.nodes[node][col.N_SHELF] for node in domain)
    need, fewest = len(full), 0
    for size in sorted(by_shelf.values(), reverse=True):
        if need > 0:
            need, fewest = need - size, fewest + 1
    if parts[-1] == parts[0]:
        rooms = Counter(look.domain(node, level) for node in fits)
        assert rooms[here] == min(n for n in rooms.values() if n >= len(parts)), said
        assert len({look.nodes[node][col.N_SHELF] for node in full}) == fewest, said


@pytest.mark.parametrize("seed", range(20))
def test_a_job_is_impossible_where_an_empty_healthy_pool_has_no_place(seed: int) -> None:
    state = crowded(seed)
    jobs = probes(state, seed + 1000)
    for row in (col.D_DOWN, col.D_CLEANING, col.D_HOLD):
        state.c.devices[row] = 0
    state.c.nodes[col.N_CORDONED] = 0
    state.c.jobs[col.J_PATIENCE] = 0
    look = Look(state, as_if_empty=True)

    for job in jobs.tolist():
        assert ever(state.c, job) == look.fits(job), (seed, job)
