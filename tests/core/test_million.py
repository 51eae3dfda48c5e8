"""The invariants hold over a million random events here, over ten million in ``make nightly``.

An event is a fact that was observed or decided. Each block is a row of random worlds under rules of
its own; all that must always hold is looked at after every cycle, and in every eighth world the
fold of the records must equal the plan's own state too. A failing block names the line that
repeats it.
"""

from itertools import count

import pytest

from dure.core.columns import POLICIES
from tests.core.driving import Drive
from tests.core.worlds import random_world

JOBS = 200
FOLD_EVERY = 8
# What each block is about; a block has a sixteenth of all events.
RULES: dict[str, dict[str, object]] = {
    "plain": {"swap": False, "lemon_faults": 0},
    "as in the founding pool": {},
    "real machines": {"instant_stop": False, "drain_s": 25},
    "early reservations": {"reserve_s": 300},
    "everyone is watched": {"lemon_faults": 1, "probation_s": 900, "lemons_pct": 100},
    "a minute's promise": {"return_s": 60},
    "no lending": {"lend": False},
}
RULES["all of these"] = RULES["real machines"] | RULES["early reservations"]
RULES["all of these"] |= RULES["everyone is watched"]
BLOCKS = [("dure", name) for name in RULES] + [
    (policy, "as in the founding pool") for policy in POLICIES if policy != "dure"
]
EVENTS = 1_000_000


def go_through(policy: str, rules: dict[str, object], first_seed: int, events: int) -> int:
    """Run worlds until so many events were seen; return how many were."""
    seen = 0
    for number in count():
        world = random_world(first_seed + number, policy, jobs=JOBS, **rules)
        run = Drive(world, fold_too=number % FOLD_EVERY == 0)
        for _ in run.cycles():
            pass
        seen += run.events
        if seen >= events:
            return seen
    raise AssertionError


@pytest.mark.parametrize(("policy", "name"), BLOCKS)
def test_invariants_hold_over_a_million_events(policy: str, name: str) -> None:
    block = BLOCKS.index((policy, name))
    share = -(-EVENTS // len(BLOCKS))

    assert go_through(policy, RULES[name], 1_000_000 * (1 + block), share) >= share


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("policy", "name"), BLOCKS)
def test_invariants_hold_over_ten_million_events(policy: str, name: str) -> None:
    block = BLOCKS.index((policy, name))
    share = -(-10 * EVENTS // len(BLOCKS))

    assert go_through(policy, RULES[name], 100_000_000 * (1 + block), share) >= share
