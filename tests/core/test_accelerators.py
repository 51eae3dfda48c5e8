"""A job that accepts several accelerators: which it takes, how long it runs, what a loan costs."""

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core import columns as col
from dure.core.columns import Columns
from dure.core.genesis import pack_pool, unpack_pool
from dure.core.kernel import kernel
from dure.core.pace import run_s_of, work_s_of
from dure.core.policy import Policy
from dure.core.pool import Pool, Rate
from dure.core.record import pack, unpack
from dure.core.state import CycleRecord, Jobs
from tests.core.bench import Bench
from tests.core.driving import Drive, pace_of
from tests.core.worlds import pool_of_rows, random_world

# B200 is the first that the pool lists; H200 and NPU are equally fast.
RATES = {"B200": Rate(2000, 8000), "L40S": Rate(500, 500)}


def mixed_pool(*types: str, rates: dict[str, Rate] | None = None) -> Pool:
    """Return a node of eight devices of each type."""
    rows = [("q", f"c{i}", "p", "l", kind, "C") for i, kind in enumerate(types)]
    pool = pool_of_rows(rows, [(8, 0, 0)] * len(rows))
    return replace(pool, rates=RATES if rates is None else rates)


POOL = mixed_pool("H200", "B200", "NPU", "L40S")


@pytest.mark.parametrize(
    ("accepted", "types", "preferred"),
    [
        ("", "H200 B200 NPU L40S", ""),
        ("NPU", "NPU", "NPU"),
        ("NPU|B200", "B200 NPU", "NPU B200"),
        ("NPU|B200|NPU", "B200 NPU", "NPU B200"),
        ("A100|L40S", "L40S", "L40S"),
        ("A100", "", ""),
        (">=A100", "", ""),
        (">=B200", "B200", "B200"),
        (">=H200", "H200 B200 NPU", "H200"),
        (">=L40S", "H200 B200 NPU L40S", "L40S"),
        ("L40S|>=B200", "B200 L40S", "L40S B200"),
    ],
)
def test_what_a_job_accepts_and_prefers(accepted: str, types: str, preferred: str) -> None:
    mask, packed = POOL.type_mask(accepted), POOL.preference(accepted)

    assert [kind for i, kind in enumerate(POOL.types) if mask >> i & 1] == types.split()
    order = [packed >> 6 * place & 63 for place in range(10)]
    assert [POOL.types[kind - 1] for kind in order if kind] == preferred.split()


@pytest.mark.parametrize(
    ("accepted", "went_to"),
    [
        ("", ["B200", "H200", "NPU", "L40S"]),
        ("L40S|NPU|H200", ["NPU", "H200", "L40S"]),
        ("H200|NPU", ["H200", "NPU"]),
        ("NPU|H200", ["NPU", "H200"]),
        (">=H200", ["B200", "H200", "NPU"]),
    ],
)
@pytest.mark.parametrize("policy", col.POLICIES)
def test_a_job_takes_the_type_that_ends_it_soonest_then_the_one_it_prefers(
    policy: str, accepted: str, went_to: list[str]
) -> None:
    bench = Bench(POOL, policy)
    wish = {"types": POOL.type_mask(accepted), "preferred": POOL.preference(accepted)}
    jobs = [bench.submit(gpus=8, **wish) for _ in went_to]

    bench.at(0)

    stand = [bench.number(col.J_PLACED_TYPE, job) for job in jobs]
    assert [POOL.types[kind] for kind in stand] == went_to


@kernel
def _run_s(c: Columns, job: int, work_s: int) -> int:
    return run_s_of(c, job, work_s)


@kernel
def _work_s(c: Columns, job: int, run_s: int) -> int:
    return work_s_of(c, job, run_s)


@given(
    speeds=st.lists(st.integers(50, 50_000), min_size=2, max_size=2),
    time_s=st.integers(0, 2**53),
    has_named=st.booleans(),
)
def test_time_and_work_are_what_fractions_say(
    speeds: list[int], time_s: int, has_named: bool
) -> None:
    bench = Bench(mixed_pool("H200", "B200", rates={}))
    job = bench.submit(preferred=2 if has_named else 0)
    bench.at(0)
    c = bench.state.c
    c.types[col.T_SPEED] = speeds
    pace = Fraction(speeds[int(c.jobs[col.J_PLACED_TYPE, job])], speeds[1] if has_named else 1000)

    assert _run_s(c, job, time_s) == ceil(time_s / pace)
    assert _work_s(c, job, time_s) == floor(time_s * pace)
    assert has_named or _work_s(c, job, _run_s(c, job, time_s)) >= time_s


@pytest.mark.parametrize("policy", ["dure", "srtf", "greedy"])
def test_what_is_kept_of_a_stopped_attempt_is_work_and_not_time(policy: str) -> None:
    stopped = moved = 0
    for seed in range(501, 521, 2):
        run = Drive(random_world(seed, policy, jobs=160), fold_too=False)
        began: dict[int, tuple[int, Fraction]] = {}
        kept: dict[int, int] = {}
        paces: dict[int, set[Fraction]] = {}
        for record in run.cycles():
            for kind, at_s, job, _, _, saved_s, lost, _ in record.decided.tolist():
                if kind == col.K_STARTED:
                    # The last start of a cycle is the one whose place the state shows.
                    began[job] = at_s, pace_of(run.state, job)
                    paces.setdefault(job, set()).add(began[job][1])
                elif kind == col.K_STOPPED:
                    if run.state.c.jobs[col.J_MIN_GPUS, job] > 0:
                        # An elastic gang's work goes with its size too: tests/core/test_elastic.py.
                        kept[job] = saved_s
                        continue
                    since_s, pace = began[job]
                    asked = run.state.c.jobs[[col.J_GPUS, col.J_MILLI], job]
                    spent_s = at_s - since_s - Fraction(lost, int(asked[0]) * int(asked[1]))
                    if at_s > since_s:
                        assert saved_s == kept.get(job, 0) + floor(spent_s * pace), run.said()
                    kept[job] = saved_s
                    stopped += saved_s > 0
        moved += sum(len(one) > 1 for one in paces.values())

    assert policy == "greedy" or (stopped > 0 and moved > 0)


def borrowed_and_lent(kind: str) -> tuple[int, int]:
    """Return what a guest owes and its lender earned after a minute of eight devices on loan."""
    bench = Bench(mixed_pool(kind))
    bench.entitle("owner", 8)
    guest = bench.submit("guest", gpus=8)
    bench.at(0)
    assert bench.kind(guest) == "loan"
    bench.submit("guest", gpus=1)
    bench.at(60)
    accounts = bench.state.c.accounts
    owner, borrower = bench.account("owner"), bench.account("guest")
    return int(accounts[col.A_TODAY, borrower]), int(accounts[col.A_CREDIT, owner])


@pytest.mark.parametrize(("kind", "units"), [("H200", 1000), ("B200", 8000), ("L40S", 500)])
def test_a_loan_costs_and_earns_what_its_accelerator_is_worth(kind: str, units: int) -> None:
    assert borrowed_and_lent(kind) == (8 * units * 60, 8 * units * 60)


def test_who_borrowed_the_dearer_type_waits_behind_who_borrowed_the_cheaper() -> None:
    pool = mixed_pool("B200", "L40S", "NPU")
    bench = Bench(pool)
    for index, kind in enumerate(pool.types):
        account = bench.account("owner")
        bench.observe(col.K_ALLOCATED, col.FOREVER_S, index, account, index, 8000, 0)
        assert kind == pool.types[index]
    bench.submit("dear", gpus=4, types=1)
    bench.submit("cheap", gpus=8, types=2)
    bench.at(0)
    filler = bench.submit("other", gpus=8, types=4)
    bench.at(1)
    dear, cheap = (bench.submit(name, gpus=8, types=4) for name in ("dear", "cheap"))
    bench.at(2)

    bench.end(filler)
    bench.at(100)
    bench.at(200)  # cleaned by then

    # By devices it would be the other way round: 8 are more than 4.
    assert (bench.is_(dear), bench.is_(cheap)) == ("PENDING", "RUNNING")


def test_a_pool_s_rates_are_founded_with_it_and_none_are_no_bytes() -> None:
    plain = replace(POOL, rates={})

    assert unpack_pool(pack_pool(POOL, Policy()))[0].rates == RATES
    assert unpack_pool(pack_pool(plain, Policy()))[0].rates == {}
    assert b"rates" not in pack_pool(plain, Policy())


def test_a_record_of_the_first_version_is_read_without_the_columns_that_came_later() -> None:
    columns = np.arange(2 * col.BROUGHT, dtype=np.int64).reshape(col.BROUGHT, 2)
    old = Jobs(["a", "b"], columns[:24].copy())

    payload = pack(CycleRecord(7, True, jobs=old))
    read = unpack(b"\x01" + payload[1:])

    assert read.jobs.names == ["a", "b"]
    assert np.array_equal(read.jobs.columns[:24], columns[:24])
    assert not read.jobs.columns[24:].any()
