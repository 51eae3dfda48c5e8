"""The commands of measuring against a real server over a measured pool."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from dure.core.idle_held import IdlePolicy
from dure.core.measured import Signal
from dure.services.access import Role
from tests.api.test_care import TEAM, served
from tests.cli.serving import Shell, serving
from tests.services.care_bench import NODE, CareBench

RULE = IdlePolicy()


@pytest.fixture
def bench(tmp_path: Path) -> CareBench:
    found = CareBench(tmp_path / "telemetry")
    found.live.allocate("owner", 4)
    found.live.allocate(TEAM, 0)
    found.live.submit("gpus: 2, preemptible: true", project=TEAM)
    found.live.turn(1)
    found.meter.gpus = {0: 990, 1: 0}
    found.meter.signals = [Signal(found.live.clock.at_s, NODE, 2, 79)]
    found.measure(RULE.grace_s + RULE.window_s + 600)
    return found


@pytest.fixture
def cared(bench: CareBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    services = served(bench)
    with serving(services) as url:
        yield Shell(monkeypatch, tmp_path, url, services)


def test_a_job_and_its_notice_are_shown_and_answered(cared: Shell) -> None:
    cared.be(Role.MEMBER)

    use = cared("utilisation", "here-1")
    whole = json.loads(cared("utilisation", "here-1", "-o", "json").out)
    listed = cared("idle", "list")
    two = cared("idle", "answer", "here-1", "--extend", "--release")
    answered = cared("idle", "answer", "here-1", "--justify", "reads a tape")
    again = json.loads(cared("idle", "list", "-o", "json").out)

    assert (use.code, whole["busy_milli"]) == (0, 495)
    assert "49.5" in use.out
    assert "1/2" in listed.out and "told" in listed.out
    assert (two.code, two.out) == (2, "")
    assert answered.code == 0, answered.err
    assert [(one["state"], one["text"]) for one in again] == [("answered", "reads a tape")]


def test_repairs_are_listed_and_done(cared: Shell) -> None:
    cared.be(Role.OPERATOR)

    listed = cared("tickets")
    wrong = cared("repair", "t-1", "--done", "PRAY")
    done = cared("repair", "t-1", "--done", "RESTART_NODE", "--note", "ok")
    after = json.loads(cared("tickets", "-o", "json").out)
    breaker = cared("reset-breaker", "here")

    assert "restart the node" in listed.out and "XID 79, GPU 2" in listed.out
    assert (wrong.code, done.code) == (1, 0)
    assert [(one["state"], one["note"]) for one in after] == [("probation", "ok")]
    assert breaker.code == 1


def test_a_projects_rule_is_set_in_percent_and_minutes(cared: Shell, bench: CareBench) -> None:
    cared.be(Role.OPERATOR)

    assert (
        cared("idle", "rule", "--project", TEAM, "--threshold", "2.5", "--window", "30").code == 0
    )
    assert cared("idle", "rule", "--window", "7").code == 2

    policy = bench.desk.policy_of(TEAM)
    assert (policy.threshold_milli, policy.window_s, policy.grace_s) == (25, 1_800, 1_800)


def test_the_two_books_are_held_against_one_another(cared: Shell, bench: CareBench) -> None:
    cared.be(Role.OPERATOR)
    start_s, end_s = bench.live.clock.at_s - 7_200, bench.live.clock.at_s
    book = cared.home / "book.csv"
    ours = bench.live.publisher.used_at("here", "2026-09")[TEAM]

    def compared(gpu_s: int) -> int:
        rows = [f"a,{TEAM},1,{end_s - gpu_s},{end_s}", "b,x,one,0,1"]
        book.write_text("\n".join(["job,project,gpus,start_s,end_s", *rows]))
        done = cared("usage", "compare", "--accounting", "book.csv", "--month", "2026-09")
        assert TEAM in done.out and "1 lines" in done.err, done
        return done.code

    assert start_s < end_s
    assert compared(ours) == 0
    assert compared(ours * 98 // 100) == 1
    assert cared("usage", "compare").code == 2


def test_the_rule_is_tried_on_a_file_without_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(monkeypatch, tmp_path, "http://127.0.0.1:9", None)  # type: ignore[arg-type]
    at_s = list(range(0, 4 * 3_600, 15))
    table = pl.DataFrame({"job": "j", "at_s": at_s, "busy_milli": [0] * len(at_s)})
    table.write_parquet(tmp_path / "u.parquet")

    found = json.loads(shell("idle", "replay", "u.parquet", "-o", "json").out)
    shown = shell("idle", "replay", "u.parquet", "--window", "30")

    assert (found["notices"], found["takings"], found["notices_false"]) == (1, 1, 0)
    assert "idle_gpu_hours" in shown.out
    assert shell("idle", "replay", "absent.csv").code == 2
