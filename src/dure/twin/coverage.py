"""How often gangs started within the intervals that were foreseen for them, over a whole run."""

from pathlib import Path

from dure.app.runtime import twin_ledger
from dure.core.errors import InputError
from dure.core.gates import GATES
from dure.core.policy import Policy
from dure.services.forecasts import Coverage, Forecasts
from dure.twin.founding import FOUNDING_TO_S, OPERATION_S, Founding
from dure.twin.requests import read_inputs
from dure.twin.run import Run

DAY_S = 86_400
ALL_GATES = "all"


def coverage_of_founding(*, seed: int, days: int | None, policy: Policy) -> Forecasts:
    """Play the founding scenario and return what was learned."""
    forecasts = Forecasts()
    ledger = twin_ledger(None)
    founding = Founding(ledger, seed=seed, policy=policy)
    founding.runtime.listeners.append(forecasts.listen)
    founding.run_to((FOUNDING_TO_S if days is None else OPERATION_S + days * DAY_S) - 1, None)
    ledger.close()
    return forecasts


def coverage_of_tables(
    jobs: Path, pool: Path, *, seed: int, days: int | None, policy: Policy
) -> Forecasts:
    """Run jobs through a pool and return what was learned."""
    forecasts = Forecasts()
    run = Run(read_inputs(jobs, pool, policy=policy, seed=seed, days=days))
    run.runtime.listeners.append(forecasts.listen)
    run.clockwork.run(run.horizon_s)
    return forecasts


def rows_of(forecasts: Forecasts) -> list[dict[str, int | str]]:
    """Return a row for each gate, the most frequent first, after one for all.

    Raises:
        InputError: if nobody waited.
    """
    total = Coverage()
    for one in forecasts.covered.values():
        total = total.plus(one)
    if total.looks == 0:
        raise InputError("jobs", found="none that waited", expected="some, to compare")
    by_gate = sorted(forecasts.covered.items(), key=lambda row: (-row[1].looks, row[0]))
    named = [(ALL_GATES, total), *((GATES[gate], one) for gate, one in by_gate)]
    return [
        {
            "gate": name,
            "starts": one.looks,
            "half_per_mille": 1000 * one.within_half // one.looks,
            "most_per_mille": 1000 * one.within_most // one.looks,
        }
        for name, one in named
    ]
