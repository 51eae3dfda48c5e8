"""A year in parts is the year written whole: the same ledger, the same tables, less memory."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dure.app.runtime import recorded_ledger, twin_ledger
from dure.core import columns as col
from dure.core.calendar import DAY_S
from dure.services.replaying import replay
from dure.twin.chronicle import Chronicle
from dure.twin.endless import Endless
from dure.twin.parts import job_tables
from dure.twin.tally import faults_table, nodes_table, summary
from dure.twin.year import run_year, year_pool
from dure.twin.year_world import FROM_S, YearWorld, imagined_projects

# Asked for far more than there is: owners call back what they lent, and something breaks.
NODES, DAYS, LOAD = 100, 6, 2.5


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget often, and put the parts in order a few jobs at a time."""
    monkeypatch.setattr("dure.core.state.FORGET_FROM", 50)
    monkeypatch.setattr("dure.twin.parts.STRETCH", 64)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_year_in_parts_is_the_year_written_whole(seed: int, tmp_path: Path) -> None:
    world = YearWorld(NODES, DAYS, seed, LOAD)
    year = run_year(world, tmp_path, check_every=16)

    pool, chronicle = year_pool(world, ledger := twin_ledger(None)), Chronicle()
    pool.listeners.append(chronicle)
    Endless(pool, world, first_day_s=FROM_S, check_every=1 << 20).run_to(world.to_s - 1)
    state = pool.state
    state.stand_still_until(world.to_s)
    jobs, placements, reclaims = job_tables(chronicle, state, to_s=world.to_s)
    nodes = nodes_table(state)
    whole = {
        "jobs": jobs,
        "placements": placements,
        "reclaims": reclaims,
        "nodes": nodes,
        "faults": faults_table(world.faults_drawn, nodes, to_s=world.to_s),
    }
    figures = summary(
        state,
        jobs,
        reclaims,
        from_s=FROM_S,
        to_s=world.to_s,
        seed=seed,
        fragmented_pct=chronicle.fragmented_pct(state),
    )

    assert recorded_ledger(tmp_path / "ledger.db").head() == ledger.head()
    for name, table in whole.items():
        assert_frame_equal(pl.read_parquet(tmp_path / f"{name}.parquet"), table)
    assert year.summary == figures
    assert min(table.height for table in whole.values()) > 0
    assert len(list(tmp_path.iterdir())) == len((*whole, "summary", "timing", "ledger", "anchor"))


@pytest.mark.usefixtures("small_steps")
def test_the_ledger_of_a_year_is_decided_again(tmp_path: Path) -> None:
    year = run_year(YearWorld(NODES, DAYS, 3, LOAD), tmp_path)

    found = replay(recorded_ledger(tmp_path / "ledger.db"), 1, None)

    assert found.cycles == year.timing["cycles"]
    assert found.decisions > year.timing["cycles"]
    assert found.different == ()


@pytest.mark.usefixtures("small_steps")
def test_a_long_run_holds_only_what_is_under_way(tmp_path: Path) -> None:
    world = YearWorld(NODES, 20, 1)
    pool = year_pool(world, twin_ledger(None))
    pool.state.archive = lambda over: None
    loop = Endless(pool, world, first_day_s=FROM_S, check_every=1 << 20)
    most, table = 0, 0
    for day in range(1, world.days + 1):
        loop.run_to(FROM_S + day * DAY_S - 1)
        c = pool.state.c
        under_way = c.scalars[col.S_RUNNING] + c.scalars[col.S_Q_TAIL] - c.scalars[col.S_Q_HEAD]
        most, table = max(most, int(under_way)), max(table, c.jobs.shape[1])

    # So many stand at once; a table doubles before it is full, and forgets when it is half kept.
    assert table <= 8 * most
    assert pool.state.jobs_listed > 4 * table


@pytest.mark.parametrize("gpus", [128, 2_400, 300_000])
def test_projects_hold_about_nine_tenths_and_the_providers_the_rest(gpus: int) -> None:
    held = imagined_projects(gpus)["gpus"]

    assert 0.6 * gpus < held.sum() <= gpus
    assert held.max() <= max(8, gpus // 10)
