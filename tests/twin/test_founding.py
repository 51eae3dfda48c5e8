"""The founding scenario: the published pool, whole books, equal files, the office."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from dure.core import columns as col
from dure.core.calendar import DAY_S, civil, moment_s
from dure.core.policy import policy_named
from dure.core.programme import Refusal
from dure.ledger.codec import decode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.ports import KIND_EVENTS
from dure.services.programme_tables import ProgrammeTables
from dure.services.replaying import replay
from dure.services.views import NEVER_S
from dure.services.waitlisting import Waitlist
from dure.twin.endless import Endless
from dure.twin.founding import run_founding
from dure.twin.founding_pool import (
    FOUNDING_TO_S,
    NATIONAL_POOL,
    OPERATION_S,
    Founding,
    read_names,
)
from dure.twin.tables import read_pool
from tests.twin.founding_play import after_days, played

DAYS = 2


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("founding")
    run_founding(seed=5, days=DAYS, out=folder)
    return folder


@pytest.fixture(scope="module")
def quarter() -> Founding:
    """Play the whole three months of the quiet world."""
    return played(91, seed=2)


def test_the_pool_is_the_published_one() -> None:
    pool = read_pool(NATIONAL_POOL)
    public = pool.filter(pl.col("use") == "public")["gpus"].sum()

    assert (pool.height, pool["gpus"].sum(), public) == (1_642, 13_136, 10_456)
    by_type = {
        (str(use), str(kind)): int(gpus)
        for use, kind, gpus in pool.group_by("use", "accelerator").agg(pl.col("gpus").sum()).rows()
    }
    assert by_type == {
        ("public", "H200"): 2_296,
        ("own", "H200"): 760,
        ("public", "B200"): 8_160,
        ("own", "B200"): 1_920,
    }
    assert set(read_names(NATIONAL_POOL)) == {*pool["provider"], *pool["cluster"]}


@pytest.mark.shared
def test_the_shipped_pool_unfolds_to_the_nodes_of_the_facts(shared_dir: Path) -> None:
    facts = read_pool(shared_dir / "facts" / "national-pool.yaml")

    assert read_pool(NATIONAL_POOL).equals(facts)


def test_operation_begins_and_ends_at_korean_midnights() -> None:
    assert (moment_s("2026-03-09"), moment_s("2026-06-08")) == (OPERATION_S, FOUNDING_TO_S)
    assert (civil(OPERATION_S).hour, civil(FOUNDING_TO_S).hour) == (0, 0)


def test_equal_seeds_give_equal_files_and_other_seeds_do_not(out: Path, tmp_path: Path) -> None:
    run_founding(seed=5, days=DAYS, out=tmp_path / "again")
    run_founding(seed=6, days=DAYS, out=tmp_path / "other")

    names = {path.name for path in out.iterdir()} - {"timing.json"}
    assert {path.name for path in (tmp_path / "again").iterdir()} - {"timing.json"} == names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name
    other = (tmp_path / "other" / "jobs.parquet").read_bytes()
    assert other != (out / "jobs.parquet").read_bytes()


@pytest.mark.shared
def test_the_audit_finds_nothing(out: Path, shared_dir: Path) -> None:
    command = [sys.executable, str(shared_dir / "checks" / "audit.py"), str(out)]
    command += ["--jobs", str(out / "jobs-in.parquet"), "--pool", str(out / "pool.parquet")]
    found = subprocess.run(
        [*command, "--work-conserving", "--tolerance", "0.02"], capture_output=True, text=True
    )

    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout)["violations"] == []


def test_every_gpu_second_of_a_month_is_accounted_for(out: Path) -> None:
    month = json.loads((out / "use-2026-03.json").read_text())
    summary = json.loads((out / "summary.json").read_text())

    assert month["is_balanced"] and not month["is_whole_month"] and month["is_synthetic"]
    assert month["to_s"] - month["from_s"] == DAYS * DAY_S
    assert month["total"]["capacity_gpu_s"] == 13_136 * DAYS * DAY_S
    for kind in col.KINDS:
        # Three providers' parts of a GPU-second are rounded down; what three kinds of use lose so
        # counts as idle.
        most = 9 if kind == "idle" else 3
        assert abs(month["total"][f"{kind}_gpu_s"] - summary[f"{kind}_gpu_s"]) <= most
    lines = pl.read_csv(out / "use-2026-03.csv")
    kinds = Counter(lines["kind"].to_list())
    assert kinds["provider"] == kinds["own_use"] == 3
    assert kinds["project"] == len(month["projects"]) > 150


def test_a_round_stands_beside_reality(out: Path) -> None:
    calls = {one["call"]: one for one in json.loads((out / "round.json").read_text())["calls"]}
    compared = {row["figure"]: row for row in calls["2026-1"]["compared"]}

    assert compared["gpus_asked"] == {"figure": "gpus_asked", "ours": 13_712, "published": 13_712}
    assert compared["selected"]["published"] == 159
    assert "compared" not in calls["national-2026"]
    assert len((out / "round.csv").read_text().splitlines()) == 1 + 514 + 5


def test_all_invariants_hold_after_every_cycle() -> None:
    founding = Founding(MemoryLedger(), seed=3, check_every=1)

    founding.run_to(after_days(1))

    # run_once raises at the first violation.
    assert founding.loop.cycles > 1_000


def test_every_plan_is_decided_again_the_same() -> None:
    founding = played(20)

    found = replay(founding.ledger, 1, None)

    assert found.different == ()
    assert found.cycles == founding.loop.cycles


@pytest.mark.parametrize("policy", ["fifo", "easy", "siloed"])
def test_a_baseline_plays_the_same_days(policy: str) -> None:
    dure = run_founding(seed=5, days=1)
    other = run_founding(seed=5, days=1, policy=policy_named(policy))

    assert other.jobs["job"].to_list() == dure.jobs["job"].to_list()
    assert other.summary["policy"] == policy


def test_use_is_checked_recalled_and_handed_over(quarter: Founding) -> None:
    programme = quarter.programme
    checks = programme.check_rows()
    recalls = programme.recall_rows()
    outcomes = Counter(str(row["outcome"]) for row in recalls)

    assert {row["month"] for row in checks} == {"2026-03", "2026-04", "2026-05"}
    assert {str(row["verdict"]) for row in checks if row["month"] == "2026-03"} <= {"ok", "warn"}
    assert outcomes["recalled"] > 10 and outcomes["withdrawn"] >= 1
    # Nothing is taken before the project could answer, and only what was noticed.
    assert {int(str(row["gpus"])) % 8 for row in recalls} == {0}
    handed = [one for one in programme.tables.handovers if one.at_s >= OPERATION_S]
    assert handed
    assert all(civil(one.at_s).hour == 0 for one in handed)


def test_whoever_signed_ahead_has_recalled_gpus_at_once_and_others_are_asked(
    quarter: Founding,
) -> None:
    tables = quarter.programme.tables
    handed = [one for one in tables.handovers if one.at_s >= OPERATION_S]
    waited_s = {True: set[int](), False: set[int]()}
    for one in handed:
        state = tables.applications[one.application]
        if state.status == "allocated":
            began_s = tables.allocations[one.allocation].granted.at_s
            waited_s[state.offer is None].add(began_s - one.at_s)
    recalled = {at_s for one in tables.recalls.values() if one.outcome == "recalled"
                for at_s, _ in tables.allocations[one.noticed.allocation].steps[1:]}  # fmt: skip

    # Capacity is with somebody else in the very moment of its recall; who is asked answers in days.
    assert waited_s[True] == {0}
    assert waited_s[False] and waited_s[False] <= {day * DAY_S for day in range(1, 6)}
    assert {one.at_s for one in handed} & recalled
    lapsed = [one for one in tables.applications.values() if one.status == "lapsed"]
    assert all(one.offer and one.lapsed_at_s == one.offer.due_at_s for one in lapsed)


def test_the_dates_told_to_those_who_wait_hold(quarter: Founding) -> None:
    turn_s = {one.application: one.at_s for one in quarter.programme.tables.handovers}
    tables, now_s = ProgrammeTables(), moment_s("2026-05-01")
    for record in quarter.ledger.read():
        if record.kind == KIND_EVENTS and record.at_s <= now_s:
            for event in decode_events(record.payload):
                tables.fold(event)

    rows = Waitlist(tables, quarter.programme.policy_of).rows(now_s)

    came = [row for row in rows if row.application in turn_s]
    kept = [row for row in came
            if row.expected_early_s <= turn_s[row.application] <= row.expected_late_s]  # fmt: skip
    # 0.84 to 0.97 with seeds 1 to 5; of those told a day before the end, 0.96 to 1 had their turn.
    assert len(came) > 10 and len(kept) >= 0.75 * len(came)
    told = [row for row in rows if NEVER_S < row.expected_s < FOUNDING_TO_S]
    assert sum(row.application in turn_s for row in told) >= 0.75 * len(told)


def test_whoever_gets_recalled_gpus_works_with_them_from_the_day_after(quarter: Founding) -> None:
    state = quarter.runtime.state
    names = {account.name: i for i, account in enumerate(state.accounts)}
    jobs = state.c.jobs[:, : len(state.job_names)]
    own = 0
    tables = quarter.programme.tables
    for handed in (one.granted for one in tables.allocations.values()):
        is_early = handed.at_s < FOUNDING_TO_S - 7 * DAY_S
        if handed.cause != "handover" or not (handed.at_s > OPERATION_S and is_early):
            continue
        mine = jobs[:, jobs[col.J_PROJECT] == names[handed.project]]
        since = mine[col.J_SUBMIT] >= handed.at_s
        assert (mine[col.J_SUBMIT, since] >= handed.at_s + DAY_S).all()
        # Before, it could only borrow; then it has a right.
        assert (mine[col.J_CLASS_ASKED, ~since] == 1 + col.LOAN).all()
        own += int((mine[col.J_CLASS_ASKED, since] == 0).sum())
        type_ = state.pool.types.index(handed.accelerator)
        held = state.c.rights[col.E_ENTITLED, names[handed.project], type_]
        assert held <= handed.gpus * col.WHOLE
    assert own > 0


def test_the_engine_knows_the_allocations_of_the_programme(quarter: Founding) -> None:
    state, now_s = quarter.runtime.state, quarter.now_s
    held: Counter[str] = Counter()
    for one in quarter.programme.tables.allocations.values():
        if one.is_active(now_s):
            held[one.granted.project] += one.gpus
    entitled = state.c.rights[col.E_ENTITLED].sum(axis=1)
    engine = {
        account.name: int(entitled[i]) // col.WHOLE
        for i, account in enumerate(state.accounts)
        if account.kind == col.ACCOUNT_PROJECT and entitled[i]
    }

    assert engine == {name: gpus for name, gpus in held.items() if gpus}


def test_the_meter_and_the_books_of_the_engine_agree(quarter: Founding) -> None:
    state, meter = quarter.runtime.state, quarter.meter
    months = [meter.month(month, state.now_s) for month in meter.months()]
    sums = state.c.scalars[col.S_SUM : col.S_SUM + 7]

    assert meter.months() == ["2026-03", "2026-04", "2026-05", "2026-06"]
    assert sum(int(one.own.sum()) for one in months) == sums[col.OWN]
    borrowed = sum(int(one.borrowed.sum()) for one in months)
    assert borrowed == sums[col.LOAN] + sums[col.SCAVENGE]
    stood = sum(one.stood.sum(axis=1) for one in months)
    assert list(stood) == [sums[col.RESERVED], sums[col.DRAINING], sums[col.DOWN]]


def test_what_a_person_writes_meanwhile_is_planned_at_once() -> None:
    founding = played(1.5)
    allocation = founding.programme.tables.allocations["a-national-2026-0001"]
    submitted = founding.programme.tables.applications[allocation.granted.application].submitted
    lead = Actor(submitted.lead, frozenset({Role.APPLICANT}))
    account = founding.runtime.state.account_index[col.ACCOUNT_PROJECT, submitted.project]
    before = founding.runtime.state.c.rights[col.E_ENTITLED, account].sum()

    answer = founding.programme.return_part(lead, "a-national-2026-0001", gpus=64)
    founding.run_to(founding.now_s + 1)

    assert not isinstance(answer, Refusal)
    assert founding.runtime.state.now_s == founding.now_s
    after = founding.runtime.state.c.rights[col.E_ENTITLED, account].sum()
    assert before - after == 64 * col.WHOLE


def test_time_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dure.twin.endless.TELL_EVERY", 16)
    founding, told = played(0.1), list[tuple[int, int]]()
    assert isinstance(founding.loop, Endless)

    founding.run_to(after_days(0.5), lambda at_s, jobs: told.append((at_s, jobs)))

    assert told == sorted(told) and told[-1][0] <= after_days(0.5)
