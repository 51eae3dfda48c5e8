"""What is lent is filled up by groups of projects first, then inside each, as max-min has it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core import columns as col
from dure.core.errors import PolicyError
from dure.core.policy import policy_named
from dure.core.quota import hierarchical_shares
from dure.core.state import Account, State
from tests.core.bench import Bench, flat_pool

FLOORS = {"national": 50, "industry": 30, "academia": 20}
GROUPS = ("", *FLOORS)


class Grouped(Bench):
    """Projects with weights and groups, who own nothing and borrow all."""

    def __init__(self, projects: list[tuple[str, int]], nodes: int, **rules: object) -> None:
        super().__init__(flat_pool(*[8] * nodes), floors=FLOORS, **rules)
        self._accounts = [
            Account(f"P{i}", col.ACCOUNT_PROJECT, weight, group)
            for i, (group, weight) in enumerate(projects)
        ]
        # Someone owns everything and is away, so that all of it is lent.
        self.entitle("owner", 8 * nodes)

    def has(self, project: int) -> int:
        jobs = self.state.c.jobs[:, : len(self.state.job_names)]
        mine = jobs[col.J_OWNER] == self.account(f"P{project}")
        return int(jobs[col.J_USED, mine & (jobs[col.J_STATE] == col.RUNNING)].sum()) // col.WHOLE


projects_of = st.lists(
    st.tuples(st.sampled_from(GROUPS), st.integers(1, 3), st.integers(0, 20)),
    min_size=1,
    max_size=8,
)


@given(projects=projects_of, nodes=st.integers(1, 4))
def test_one_pass_gives_what_water_filling_gives(
    projects: list[tuple[str, int, int]], nodes: int
) -> None:
    bench = Grouped([(group, weight) for group, weight, _ in projects], nodes)
    for i, (_, _, wanted) in enumerate(projects):
        for _ in range(wanted):
            bench.submit(f"P{i}", gpus=1)
    bench.at(0)

    demand = np.array([wanted for *_, wanted in projects])
    weight = np.array([weight for _, weight, _ in projects])
    group = np.array([GROUPS.index(group) for group, *_ in projects])
    by_group = np.array([1, *FLOORS.values()])
    exact = hierarchical_shares(demand, weight, group, by_group, capacity=8 * nodes)
    found = np.array([bench.has(i) for i in range(len(projects))])
    assert found.sum() == exact.sum()
    # Whole GPUs, given one by one: a group and an account each may be one off.
    for one in range(len(GROUPS)):
        assert abs(found[group == one].sum() - exact[group == one].sum()) <= 1
    assert (np.abs(found - exact) <= 2).all(), (found, exact)


@pytest.mark.parametrize(("goes_on_s", "at_most"), [(0, 19), (600, 19), (30 * 86_400, 32)])
def test_a_group_that_comes_later_gets_its_floor_as_gpus_come_free(
    goes_on_s: int, at_most: int
) -> None:
    bench = Grouped([("industry", 1), ("academia", 1)], 4, goes_on_s=goes_on_s)
    for _ in range(32):
        bench.submit("P0", gpus=1)
    bench.at(0)
    for _ in range(32):
        bench.submit("P1", gpus=1)
        bench.submit("P0", gpus=1)
    bench.at(1)
    for job in range(32):
        bench.end(job)
        bench.at(60 * (1 + job))
    bench.at(60 * 40)

    # The first one's next jobs follow its last ones uncleaned, but only so long; then the late
    # group catches up with what it has not had: 30 of the 50 in a hundred would be 19 GPUs.
    assert bench.has(0) + bench.has(1) == 32
    assert bench.has(0) <= at_most
    assert bench.has(0) == 32 or at_most < 32


def test_what_a_group_does_not_ask_for_goes_to_the_others() -> None:
    bench = Grouped([("academia", 1), ("national", 1)], 2)
    for _ in range(16):
        bench.submit("P0", gpus=1)
    bench.at(0)

    assert bench.has(0) == 16


def test_a_group_without_a_floor_is_as_none() -> None:
    state = State(flat_pool(8), policy_named("dure", floors=FLOORS))
    known = state.add_account(Account("a", col.ACCOUNT_PROJECT, 1, "industry"))
    unknown = state.add_account(Account("b", col.ACCOUNT_PROJECT, 1, "elsewhere"))

    assert state.c.accounts[col.A_GROUP, [known, unknown]].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("floors", "said"),
    [
        ({"a": 0}, "must be 1..100"),
        ({"a": 60, "b": 41}, "101 percent"),
        ({"a": True}, "a group and its percent"),
        ({7: 10}, "a group and its percent"),
        ({f"g{i}": 1 for i in range(16)}, "at most 15"),
        ([1, 2], "groups and their percent"),
    ],
)
def test_floors_that_cannot_be_are_refused(floors: object, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        policy_named("dure", floors=floors)
