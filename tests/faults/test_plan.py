"""Each fault of the plan, a few times here, as often as the plan says at night."""

from pathlib import Path

import pytest

from tests.faults.plan import Fault, do, every_fault


@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.name)
def test_everything_holds(fault: Fault, tmp_path: Path) -> None:
    if fault.needs:
        pytest.skip(fault.needs)

    assert do(fault, fault.seldom, tmp_path).broken == ()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.name)
def test_everything_holds_as_often_as_the_plan_says(fault: Fault, tmp_path: Path) -> None:
    if fault.needs:
        pytest.skip(fault.needs)

    assert do(fault, fault.often, tmp_path, seed=10_000).broken == ()
