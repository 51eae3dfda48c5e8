"""A pool of two sites as its engine lives with it: gangs, a silent hour, what follows."""

from pathlib import Path

import numpy as np
import pytest

from dure.core.pool import Pool
from tests.services.live_bench import START_S, LiveBench
from tests.sites.line import SITE, AgentSide, CentreSide, HandClock, Line, node_named
from tests.sites.machines import Machines

SITES = (SITE, "busan")


def two_sites(gpus: int) -> Pool:
    return Pool(
        node=[f"{site}.n1" for site in SITES],
        provider=list(SITES),
        cluster=[f"{site}.c" for site in SITES],
        leaf=["l"] * 2,
        pod=["p"] * 2,
        site=list(SITES),
        accelerator=["slot"] * 2,
        gpus=np.array([gpus] * 2),
        cpu_milli=np.array([8_000] * 2),
        memory_mib=np.array([16_000] * 2),
        grade=["C"] * 2,
        use=["public"] * 2,
        in_service_at_s=np.zeros(2, dtype=np.int64),
    )


class Nation:
    """An engine, and agents at both sites whose machines a test plays."""

    def __init__(self, folder: Path, *, gpus: int = 4) -> None:
        self.clock = HandClock(START_S)
        self.machines = {site: Machines() for site in SITES}
        self.centre = CentreSide(folder / "centre", {"n1": gpus}, clock=self.clock, sites=SITES)
        self.lines, self.agents = {}, {}
        for site in SITES:
            line = Line(self.centre, self.centre.keys[site], site=site)
            self.lines[site] = line
            self.agents[site] = AgentSide(
                folder / site, line, lambda site=site: self.machines[site], [node_named("n1", gpus)]
            )
        self.bench = LiveBench(
            machine=self.centre.driver,  # type: ignore[arg-type]
            at_s=START_S,
            pool=two_sites(gpus),
        )

    def turn(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.clock.at_s += 1
            self.bench.turn(1)
            for agent in self.agents.values():
                for _ in range(2):
                    agent.agent.turn()

    def head(self) -> int:
        return self.bench.ledger.head()[0]

    def where(self, job: str) -> set[str]:
        return {site for site in SITES if (job, 1) in self.machines[site].started}

    def closed(self) -> list[bool]:
        return [bool(one) for one in self.bench.desk.view().closed_by]


@pytest.fixture
def nation(tmp_path: Path) -> Nation:
    found = Nation(tmp_path)
    found.turn(2)
    return found


def test_a_gang_stands_at_one_site_whatever_locality_it_asked_for(nation: Nation) -> None:
    small = nation.bench.submit("gpus: 1")
    nation.turn(2)
    gangs = [
        nation.bench.submit("gpus: 4"),
        nation.bench.submit("gpus: 3, locality: 'preferred:leaf:1'"),
    ]
    nation.turn(3)

    assert [nation.bench.state(job) for job in (small, *gangs)] == ["RUNNING"] * 3
    assert [len(nation.where(job)) for job in (small, *gangs)] == [1, 1, 1]
    assert nation.where(gangs[0]) != nation.where(gangs[1])


def test_a_gang_that_no_site_could_hold_does_not_start_in_two_halves(nation: Nation) -> None:
    large = nation.bench.submit("gpus: 6")

    nation.turn(3)

    assert nation.bench.state(large) in ("PENDING", "REFUSED")
    assert nation.where(large) == set()


def test_a_silent_hour_costs_a_closed_site_and_three_cycles_afterwards(nation: Nation) -> None:
    fill = [nation.bench.submit("gpus: 4") for _ in SITES]
    nation.turn(3)
    at = {next(iter(nation.where(job))): job for job in fill}
    silent = nation.lines[SITE]

    silent.is_cut = True
    nation.turn(31)
    assert nation.closed() == [True, False]
    later = nation.bench.submit("gpus: 4")
    nation.machines["busan"].end(at["busan"], at_s=nation.clock.at_s)
    nation.turn(3)
    nation.machines[SITE].end(at[SITE], at_s=nation.clock.at_s)
    ended_s = nation.clock.at_s
    nation.turn(60)
    quiet = nation.head()
    nation.turn(60)
    # While nothing happens nothing is written, and what was told before goes on as it was.
    assert nation.head() == quiet
    assert nation.bench.state(at[SITE]) == "RUNNING"
    assert nation.where(later) == {"busan"}

    silent.is_cut = False
    nation.turn(3)

    assert nation.head() - quiet <= 3
    assert nation.closed() == [False, False]
    assert nation.bench.state(at[SITE]) == "COMPLETED"
    assert nation.bench.story(at[SITE]).row.end_at_s == ended_s
    assert nation.bench.attempts(at[SITE]) == [(1, "own", "done")]
    assert nation.agents[SITE].spooled() == 0


def test_what_was_placed_and_never_sent_runs_where_somebody_listens(nation: Nation) -> None:
    nation.lines[SITE].is_cut = True
    jobs = [nation.bench.submit("gpus: 4") for _ in SITES]
    nation.turn(3)
    waits = next(job for job in jobs if nation.where(job) == set())
    runs = next(job for job in jobs if job != waits)
    assert nation.bench.state(waits) == "RUNNING"

    nation.turn(31)
    assert nation.bench.state(waits) == "PENDING"
    nation.machines["busan"].end(runs, at_s=nation.clock.at_s)
    nation.turn(4)

    assert nation.bench.state(waits) == "RUNNING"
    assert nation.machines[SITE].started == []
    assert (waits, 2) in nation.machines["busan"].started
