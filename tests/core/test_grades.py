"""No job ever stands on, or is promised, a node of a site below the grade of its data.

The oracle knows nothing of the engine: it reads what was decided, and the pool as it was handed in.
"""

from collections import Counter

import pytest

from dure.core import columns as col
from dure.core.pool import Pool
from dure.core.state import CycleRecord
from tests.core.driving import Drive
from tests.core.worlds import World, random_world

RULES = ({}, {"reserve_s": 200}, {"return_s": 60}, {"instant_stop": False, "drain_s": 25})


class Reader:
    """Reads decisions; counts by path what stood where a lower site was near."""

    def __init__(self, world: World) -> None:
        pool: Pool = world.pool
        self.site = [col.GRADES.index(pool.grade[place]) for place in pool.order]
        self.grade = world.jobs[col.J_GRADE].tolist()
        self.broken: list[list[int]] = []
        self.seen: Counter[str] = Counter()
        self._path: dict[int, str] = {}

    def read(self, record: CycleRecord) -> None:
        facts = record.decided.tolist()
        swapped = {f[2] for f in facts if f[0] == col.K_STOPPED and f[4] == col.BY_SWAP}
        for fact in facts:
            kind, _, job, node = fact[:4]
            if kind == col.K_STARTED:
                held = "held" if fact[5] else col.KINDS[fact[4]]
                self._path[job] = "swapped" if job in swapped else held
            elif kind == col.K_CLAIMED:
                self._path[job] = "reserved" if fact[3] == col.FOREVER_S else "claimed"
            elif kind in (col.K_PLACED, col.K_HELD):
                if self.grade[job] > self.site[node]:
                    self.broken.append(fact)
                if self.grade[job] > min(self.site):
                    self.seen[self._path[job]] += 1


def read_to_end(seed: int, rules: dict[str, object]) -> Reader:
    run = Drive(random_world(seed, jobs=160, **rules), fold_too=False)
    reader = Reader(run.world)
    for record in run.cycles():
        reader.read(record)
    return reader


@pytest.mark.parametrize("rules", RULES, ids=["usual", "reserving", "prompt", "slow"])
def test_no_job_stands_below_its_grade_by_any_path(rules: dict[str, object]) -> None:
    seen: Counter[str] = Counter()
    for seed in range(400, 416):
        reader = read_to_end(seed, rules)
        assert reader.broken == [], f"random_world({seed}, {rules})"
        seen += reader.seen

    # Each path was walked by jobs that had a lower site to be tempted by.
    assert {"own", "loan", "claimed", "held"} <= set(seen), seen
    assert "swapped" in seen or "return_s" in rules, seen
    assert "reserved" in seen or "reserve_s" not in rules, seen


@pytest.mark.parametrize("policy", [name for name in col.POLICIES if name != "dure"])
def test_the_other_policies_keep_grades_too(policy: str) -> None:
    placed = 0
    for seed in range(3):
        run = Drive(random_world(seed, policy), fold_too=False)
        reader = Reader(run.world)
        for record in run.cycles():
            reader.read(record)
        assert reader.broken == []
        placed += reader.seen["own"]

    assert placed > 0
