"""Jobs that wait for more than one other: several, whole arrays, any end, so many at once."""

import random

import pytest

from dure.services.desks import CancelAnswer, Submission, Submitted, WorkForm
from dure.services.replaying import replay
from dure.services.views import Why
from tests.services.live_bench import ADMIN, LiveBench

SLURM_MAX_SETTLE = 4


def running(bench: LiveBench) -> list[str]:
    view = bench.desk.view()
    return [
        job for job, state in zip(view.jobs.ids, view.jobs.state, strict=True) if state == "RUNNING"
    ]


def test_so_many_of_an_array_are_at_work_at_a_time_however_they_end() -> None:
    bench = LiveBench(slots=8)
    array = bench.submit('array: "0-4%2"')
    other = bench.submit()
    bench.turn()

    names = [f"{array}_{index}" for index in range(5)]
    assert sorted(running(bench)) == sorted([other, *names[:2]])
    assert bench.why(names[2]) == Why("JobArrayTaskLimit", {"job": array, "at_once": 2})
    row = bench.story(names[4]).row
    assert (row.state, row.reason) == ("PENDING", "JobArrayTaskLimit")
    assert bench.desk.view().waiting_jobs == bench.desk.view().waiting_gpus == 3
    listed = bench.desk.view().jobs
    assert sorted(listed.ids) == sorted([other, *names])
    assert [listed.row(place).job for place in range(6)] == list(listed.ids)

    bench.end(names[1], exit_code=1)
    bench.turn(2)
    assert sorted(running(bench)) == sorted([other, names[0], names[2]])
    bench.end(names[0])
    bench.end(names[2])
    bench.turn(2)
    assert sorted(running(bench)) == sorted([other, *names[3:]])
    assert bench.desk.view().waiting_jobs == 0


def test_a_limited_array_goes_on_after_a_restart_and_its_cycles_replay() -> None:
    bench = LiveBench(slots=8)
    array = bench.submit('array: "0-3%1"')
    bench.turn(2)
    bench.keeper.keep()

    again = bench.again(at_s=bench.clock.at_s + 60)
    for index in range(4):
        again.turn(2)
        assert running(again) == [f"{array}_{index}"]
        again.end(f"{array}_{index}")
    again.turn(2)

    assert [one.job for one in again.machine.started] == [f"{array}_{i}" for i in range(4)]
    replayed = replay(again.ledger, 1, None)
    assert replayed.cycles > 4 and replayed.different == ()


def test_several_may_come_before_and_one_that_fails_fails_those_after_it() -> None:
    bench = LiveBench(slots=8)
    first, second, third = (bench.submit() for _ in range(3))
    strict = bench.submit(f"after: [{first}, {second}, {third}]")
    lenient = bench.submit(f"after_any: [{first}, {second}], after: {third}")
    last = bench.submit(f"after: {lenient}")
    bench.turn()
    bench.end(first)
    bench.end(second, exit_code=1)
    bench.turn(2)

    assert bench.state(strict) == "REFUSED"
    assert bench.story(strict).row.reason == "DependencyFailed"
    assert bench.why(lenient) == Why("WaitingForJob", {"job": third})
    assert bench.why(last) == Why("WaitingForJob", {"job": lenient})
    bench.end(third)
    bench.turn(2)
    assert running(bench) == [lenient]
    bench.end(lenient)
    bench.turn(3)
    assert running(bench) == [last]


def test_after_the_start_of_another() -> None:
    bench = LiveBench(slots=2)
    busy, first = bench.submit("gpus: 2"), bench.submit()
    follower = bench.submit(f"after_start: {first}")
    bench.turn(2)

    assert bench.why(follower) == Why("WaitingForJob", {"job": first})
    bench.end(busy)
    bench.turn(4)
    assert sorted(running(bench)) == sorted([first, follower])


def test_what_is_held_back_can_be_cancelled_and_fails_what_comes_after_it() -> None:
    bench = LiveBench(slots=4)
    array = bench.submit('array: "0-2%1"')
    after = bench.submit(f"after: {array}")
    bench.turn(2)

    assert bench.desk.cancel(f"{array}_1", by=ADMIN) is CancelAnswer.CANCELLED
    bench.turn(2)
    assert bench.state(f"{array}_1") == "CANCELLED"
    assert bench.state(after) == "REFUSED"
    assert bench.state(f"{array}_2") == "PENDING"
    bench.end(f"{array}_0")
    bench.turn(3)
    assert running(bench) == [f"{array}_2"]
    assert bench.desk.cancel(f"{array}_1", by=ADMIN) is CancelAnswer.ALREADY_ENDED


def test_a_script_for_slurm_may_name_several() -> None:
    bench = LiveBench(slots=4)
    first, second = bench.submit(), bench.submit()
    script = (
        "#!/bin/sh\n#SBATCH --gpus=1 --array=0-3%2\n"
        f"#SBATCH --dependency=afterok:{first},afterany:{second}\ntrain\n"
    )
    answer = bench.desk.submit(Submission(WorkForm.SBATCH, script, "", ""), by=ADMIN)
    assert isinstance(answer, Submitted)
    bench.turn()
    assert sorted(running(bench)) == sorted([first, second])

    bench.end(first)
    bench.end(second, exit_code=3)
    bench.turn(3)

    assert running(bench) == list(answer.jobs[:2])
    asked = bench.story(answer.jobs[3]).asked
    assert (asked["after"], asked["after_any"], asked["array"]) == (first, second, "0-3%2")


class Oracle:
    """The plainest reading: who may start, from what ended how."""

    def __init__(self) -> None:
        self.ended: dict[str, bool] = {}
        self.groups: list[tuple[list[str], list[str], list[str], int]] = []

    def check(self, bench: LiveBench) -> None:
        started = {one.job for one in bench.machine.started}
        for jobs, after, after_any, limit in self.groups:
            at_work = [job for job in jobs if job in started and job not in self.ended]
            assert not limit or len(at_work) <= limit
            if any(job in started for job in jobs):
                assert all(self.ended.get(job) for job in after)
                assert all(job in self.ended for job in after_any)


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_ends_breaks_a_condition_and_everything_comes_to_its_end(seed: int) -> None:
    chance, oracle = random.Random(seed), Oracle()
    bench = LiveBench(slots=6)
    names: list[str] = []
    for _ in range(12):
        limit, size = chance.choice([0, 1, 2]), chance.choice([1, 1, 3])
        before = chance.sample(names, min(len(names), chance.choice([0, 0, 1, 2])))
        any_end = chance.sample(names, min(len(names), chance.choice([0, 0, 1])))
        words = []
        if size > 1:
            words.append(f'array: "0-{size - 1}{f"%{limit}" if limit else ""}"')
        if before:
            words.append(f"after: [{', '.join(before)}]")
        if any_end:
            words.append(f"after_any: [{', '.join(any_end)}]")
        name = bench.submit(", ".join(words))
        jobs = list(bench.demand.jobs_of(name))
        spread = [
            [one for job in some for one in bench.demand.jobs_of(job)] for some in (before, any_end)
        ]
        oracle.groups.append((jobs, *spread, limit if size > 1 else 0))
        names.append(name)
        bench.turn(chance.choice([0, 1, 2]))
        oracle.check(bench)
    for _ in range(400):
        at_work = running(bench)
        if not at_work:
            break
        job = chance.choice(at_work)
        is_well = chance.random() < 0.85
        bench.end(job, exit_code=0 if is_well else 1)
        oracle.ended[job] = is_well
        bench.turn(chance.choice([1, 2]))
        if chance.random() < 0.1:
            bench = bench.again(at_s=bench.clock.at_s + 1)
        oracle.check(bench)
        bench.turn(SLURM_MAX_SETTLE)
    states = {job: bench.state(job) for job in bench.demand.jobs}

    assert set(states.values()) <= {"COMPLETED", "FAILED", "REFUSED"}
    for jobs, after, _, _ in oracle.groups:
        may_run = all(states[job] == "COMPLETED" for job in after)
        assert all((states[job] != "REFUSED") == may_run for job in jobs)
    assert replay(bench.ledger, 1, None).different == ()
