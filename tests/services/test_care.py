"""Measuring a live pool: whose GPUs they are, who is closed, who is told, who may see it."""

from pathlib import Path

import pytest

from dure.core.calendar import month_of
from dure.core.errors import PolicyError
from dure.core.events.idle import IdleAnswered
from dure.core.idle_held import AnswerRefusal, IdlePolicy
from dure.core.measured import Signal
from dure.services.access import Actor, Forbidden, Role
from dure.services.care_desk import CareAnswer
from dure.services.views import closers
from tests.services.care_bench import NODE, CareBench

OPERATOR = Actor("noh", frozenset({Role.OPERATOR}))
PROVIDER = Actor("park", frozenset({Role.PROVIDER}), provider="here")
STRANGER = Actor("lim", frozenset({Role.PROVIDER}), provider="elsewhere")
MEMBER = Actor("kim", frozenset({Role.MEMBER}), projects=frozenset({"team"}))
OTHER = Actor("choi", frozenset({Role.MEMBER}), projects=frozenset({"others"}))
RULE = IdlePolicy()


def closed_by(bench: CareBench) -> list[str]:
    return closers(int(bench.live.desk.view().closed_by[0]))


def test_a_gpu_is_its_jobs_only_from_the_jobs_start(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    bench.meter.gpus = {0: 900, 1: 10}
    bench.measure(60)
    job = bench.live.submit("gpus: 1")
    bench.live.turn(1)
    bench.measure(60)

    use = bench.desk.job_use(
        job, from_s=bench.live.clock.at_s - 600, to_s=bench.live.clock.at_s + 1
    )

    assert (use.busy_milli, use.busy_milli_min, use.cpu_milli) == (900, 900, None)
    now_s = bench.live.clock.at_s
    of_job = bench.store.samples(now_s - 600, now_s + 1, job=job)
    assert of_job["at_s"].sort().to_list() == [now_s - 45, now_s - 30, now_s - 15, now_s]
    assert set(bench.store.samples(now_s - 600, now_s + 1)["job"]) == {"", job}


def test_a_gpu_that_the_pool_does_not_have_is_set_aside_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    bench = CareBench(tmp_path)
    bench.meter.gpus = {0: 900, 9: 900}
    bench.measure()

    assert bench.desk.figures().set_aside == {"UnknownDevice": 1}
    now_s = bench.live.clock.at_s
    assert sorted(bench.store.samples(now_s, now_s + 1)["device"]) == [-1, 0]


def test_a_slot_is_measured_by_its_processes(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    job = bench.live.submit("gpus: 1")
    bench.live.turn(1)
    for turn in range(5):
        bench.meter.cpu_ms = {job: 7_500 * turn}
        bench.measure()

    now_s = bench.live.clock.at_s
    use = bench.desk.job_use(job, from_s=now_s - 600, to_s=now_s + 1)

    assert (use.busy_milli, use.cpu_milli) == (None, 500)


def test_a_sick_node_is_closed_and_its_ticket_leads_to_its_repair(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    runs = bench.live.submit()
    bench.measure()
    bench.meter.signals = [Signal(bench.live.clock.at_s, NODE, 2, 95, runs)]
    bench.measure()
    waits = bench.live.submit()
    bench.measure()

    assert closed_by(bench) == ["health"]
    assert (bench.live.state(runs), bench.live.state(waits)) == ("RUNNING", "PENDING")
    (ticket,) = bench.desk.tickets(by=PROVIDER)
    assert (ticket.node, ticket.action, ticket.state) == (NODE, "RESET_GPU", "open")
    assert bench.desk.tickets(by=STRANGER) == []

    bench.live.desk.drain(NODE, reason="mine", by=OPERATOR)
    done = bench.desk.repair(ticket.ticket, done="RESET_GPU", note="reset", by=PROVIDER)
    bench.measure()
    assert done is CareAnswer.DONE
    assert closed_by(bench) == ["operator"], "what a person closed is not the rule's to open"
    bench.live.desk.resume(NODE, by=OPERATOR)
    bench.measure()
    assert bench.live.state(waits) == "RUNNING"
    again = bench.desk.repair(ticket.ticket, done="RESET_GPU", note="", by=PROVIDER)
    assert again is CareAnswer.NOT_OPEN


def test_a_ticket_is_its_providers_alone(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    bench.meter.signals = [Signal(bench.live.clock.at_s, NODE, 2, 79)]
    bench.measure()

    for who in (STRANGER, MEMBER):
        found = bench.desk.repair("t-1", done="INSPECT", note="", by=who)
        assert found is CareAnswer.NOT_FOUND
    with pytest.raises(Forbidden):
        bench.desk.reset_breaker("here", by=PROVIDER)
    assert bench.desk.reset_breaker("here", by=OPERATOR) is CareAnswer.NOT_FOUND


def test_a_meter_that_is_away_closes_nothing_and_is_counted(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    bench.measure()
    bench.meter.is_away = True
    bench.measure(600)

    figures = bench.desk.figures()
    assert (closed_by(bench), figures.troubles, figures.lag_s) == ([], 40, 600)
    bench.meter.is_away = False
    bench.measure()
    assert bench.desk.figures().lag_s == 0


def test_a_meter_that_never_answered_is_no_less_behind_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = CareBench(tmp_path)
    bench.meter.is_away = True
    bench.measure(150)

    assert bench.desk.figures().lag_s == 150
    assert caplog.text.count("the meter is away") == 1


def idle_bench(tmp_path: Path) -> tuple[CareBench, str]:
    """Return a pool in which a job of a team has been told that it holds GPUs idle."""
    bench = CareBench(tmp_path)
    bench.live.allocate("owner", 4)
    bench.live.allocate("team", 0)
    job = bench.live.submit("gpus: 2, preemptible: true", project="team")
    bench.live.turn(1)
    bench.meter.gpus = {0: 990, 1: 0}
    bench.measure(RULE.grace_s + RULE.window_s + 600)
    return bench, job


def test_idle_gpus_lead_from_notice_to_stop_with_the_evidence_kept(tmp_path: Path) -> None:
    bench, job = idle_bench(tmp_path)
    (case,) = bench.desk.cases(by=MEMBER)
    evidence = case.noticed
    assert (case.state, evidence.device, evidence.busy_milli_max, evidence.gpus) == (
        "noticed", 1, 0, 1,
    )  # fmt: skip
    assert evidence.samples == 240
    assert bench.desk.cases(by=OTHER) == []

    bench.measure(RULE.notice_s)
    assert bench.live.machine.notices.keys() == {(job, 1)}
    bench.measure(RULE.save_s + 15)
    assert bench.live.machine.stopped == {(job, 1)}
    bench.live.end(job, kind="stopped", exit_code=85)
    bench.live.turn(2)

    assert bench.live.state(job) == "PENDING"
    assert bench.desk.figures().idle_cases == {"noticed": 0, "answered": 0, "taken": 0}


def test_the_jobs_people_answer_and_nobody_else(tmp_path: Path) -> None:
    bench, job = idle_bench(tmp_path)

    with pytest.raises(Forbidden):
        bench.desk.answer(job, "justified", text="x", by=OTHER)
    assert (
        bench.desk.answer("nothing", "extended", text="", by=MEMBER) is AnswerRefusal.NO_OPEN_CASE
    )
    taken = bench.desk.answer(job, "justified", text="reads a tape", by=MEMBER)
    bench.measure(RULE.notice_s + 600)

    assert isinstance(taken, IdleAnswered)
    assert bench.live.machine.notices == {}
    assert bench.live.state(job) == "RUNNING"


def test_a_rule_is_the_offices_to_set_and_must_mean_something(tmp_path: Path) -> None:
    bench = CareBench(tmp_path)
    numbers = {"threshold_milli": 0, "window_s": 300, "grace_s": 0, "notice_s": 0}

    with pytest.raises(Forbidden):
        bench.desk.set_rule("team", **numbers, by=MEMBER)
    with pytest.raises(PolicyError):
        bench.desk.set_rule("team", **{**numbers, "window_s": 7}, by=OPERATOR)
    bench.desk.set_rule("team", **numbers, by=OPERATOR)

    assert bench.desk.policy_of("team").threshold_milli == 0
    assert bench.desk.policy_of("others") == RULE


def test_a_month_is_measured_by_project(tmp_path: Path) -> None:
    bench, _ = idle_bench(tmp_path)

    measured = bench.desk.measured(month_of(bench.live.clock.at_s))

    busy_milli, covers_s = measured["team"]
    assert busy_milli == 495
    assert 2 * 5_900 < covers_s < 2 * 6_100
