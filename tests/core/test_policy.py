"""Rules that a pool cannot have are refused before anything is planned by them."""

import pytest

from dure.core.columns import P_CLEANING_S, P_DECAY, P_START_S, POLICIES
from dure.core.errors import PolicyError
from dure.core.policy import Policy, policy_named


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("best", {}, "'best' is unknown"),
        ("dure", {"returns": 5}, "'returns' is unknown"),
        ("dure", {"return_s": -1}, "return_s is -1"),
        ("dure", {"return_s": "600"}, "a whole number"),
        ("dure", {"return_s": 600.0}, "a whole number"),
        ("dure", {"return_s": True}, "a whole number"),
        ("dure", {"lend": 1}, "true or false"),
        ("dure", {"half_life_days": 0}, "half_life_days is 0"),
        ("dure", {"return_s": 29}, "more than return_s"),
        ("dure", {"drain_s": 571}, "more than return_s"),
        ("dure", {"horizon_s": 1 << 63}, "horizon_s is"),
        ("dure", {"backoff_s": 1 << 62}, "backoff_s is"),
        ("dure", {"breaker_pct": 20, "breaker_s": 0}, "breaker_s must be 1 or more"),
        ("dure", {"spares_pct": 51}, "spares_pct is 51"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(
    name: str, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(PolicyError, match=said):
        policy_named(name, **changes)


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "dure"])
def test_baselines_take_no_time_to_clean_and_start_unless_told(name: str) -> None:
    assert policy_named(name).vector()[[P_CLEANING_S, P_START_S]].tolist() == [0, 0]
    assert policy_named(name, cleaning_s=7).vector()[P_CLEANING_S] == 7


def test_use_counts_half_after_the_half_life() -> None:
    decay = int(Policy(half_life_days=7).vector()[P_DECAY])

    assert decay == 9057  # 10,000 x 0.5 ** (1/7) = 9057.2
    assert (decay / 10_000) ** 7 == pytest.approx(0.5, abs=2e-4)
