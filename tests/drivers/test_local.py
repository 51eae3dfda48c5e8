"""The local backend with real processes: what a job sees, how it ends, what is left of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dure.core.errors import DriverError, InputError
from dure.core.orders import Receipt, StartOrder
from dure.drivers.local import LocalDriver
from dure.drivers.machine import NODE
from tests.drivers.local_bench import driver_at, end_all, end_of, order, said, until_it_says
from tests.drivers.polling import until


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LocalDriver]:
    made = driver_at(tmp_path)
    yield made
    end_all(made)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def numbers(driver: LocalDriver, job: str) -> list[int]:
    return [int(line) for line in said(driver, job).splitlines() if line.isdecimal()]


def test_output_is_kept_apart_by_attempt_and_stream(driver: LocalDriver) -> None:
    driver.start(order("talks", "echo out; echo err >&2; exit 1"))
    end_of(driver, "talks")
    driver.start(order("talks", "echo 다시", attempt=2))
    end_of(driver, "talks", attempt=2)

    assert said(driver, "talks") == "out\n"
    assert said(driver, "talks", stream="err") == "err\n"
    assert said(driver, "talks", attempt=2) == "다시\n"
    assert driver.output("talks", 1, from_byte=-2) == (b"t\n", 4)
    assert driver.output("talks", 3) == (b"", 0)


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)],
)
def test_exit_codes_are_those_a_shell_would_give(
    driver: LocalDriver, script: str, code: int
) -> None:
    driver.start(order("ends", script))

    assert end_of(driver, "ends").exit_code == code


def test_a_job_sees_its_own_variables_and_none_of_ours(
    driver: LocalDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURE_TOKEN", "secret")
    monkeypatch.setenv("SOME_PASSWORD", "secret")
    wanted = order("sees", "env; pwd", env={"MINE": "a b", "DURE_GPUS": "999", "TMPDIR": "/"})
    devices = ((NODE, 1), (NODE, 3))
    driver.start(
        StartOrder(
            wanted.action_id, "sees", 1, devices, 500, recipe=wanted.recipe, gang_class="loan"
        )
    )
    end_of(driver, "sees")
    lines = said(driver, "sees").splitlines()
    env = dict(line.split("=", 1) for line in lines if "=" in line)
    job_dir = tmp_path / "jobs" / "sees"

    ours = {name: value for name, value in env.items() if name.startswith(("DURE_", "CUDA_"))}
    assert ours == {
        "DURE_ACTION": "start-sees-1",
        "DURE_JOB": "sees",
        "DURE_JOB_NAME": "",
        "DURE_JOB_DIR": str(job_dir),
        "DURE_ATTEMPT": "1",
        "DURE_GPUS": "2",
        "DURE_GPU_MILLI": "500",
        "DURE_DEVICES": "here-0001:1,here-0001:3",
        "DURE_CLASS": "loan",
        "DURE_CHECKPOINT_DIR": str(job_dir / "checkpoint"),
        "DURE_NOTICE": str(job_dir / "attempt-1.notice"),
        "DURE_TMP": str(tmp_path / "scratch" / "sees~1"),
    }
    assert env["MINE"] == "a b"
    assert env["TMPDIR"] == env["DURE_TMP"]
    assert env["HOME"] == str(job_dir / "work") == lines[-1]
    assert "SOME_PASSWORD" not in env


def test_checkpoints_stay_over_attempts(driver: LocalDriver) -> None:
    driver.start(order("keeps", "echo 41 > $DURE_CHECKPOINT_DIR/step; exit 85"))
    first = end_of(driver, "keeps")
    driver.start(order("keeps", "cat $DURE_CHECKPOINT_DIR/step", attempt=2))
    end_of(driver, "keeps", attempt=2)

    assert (first.kind, first.saved) == ("ended", True)
    assert said(driver, "keeps", attempt=2) == "41\n"


def test_setup_runs_before_and_its_failure_is_the_end(driver: LocalDriver) -> None:
    driver.start(order("good", "cat ready", setup="echo yes > ready"))
    driver.start(order("bad", "echo never", setup="exit 4"))

    good, bad = end_of(driver, "good"), end_of(driver, "bad")

    assert (good.exit_code, said(driver, "good")) == (0, "yes\n")
    assert (bad.exit_code, bad.reason, said(driver, "bad")) == (4, "SetupFailed", "")


def test_a_script_may_name_its_interpreter(driver: LocalDriver) -> None:
    driver.start(order("perl", "#!/usr/bin/env -S cat\nshown by cat\n"))
    end_of(driver, "perl")

    assert said(driver, "perl") == "#!/usr/bin/env -S cat\nshown by cat\n"


def test_hostile_words_reach_the_program_as_they_are(driver: LocalDriver, tmp_path: Path) -> None:
    words = ("$(touch /tmp/x)", "`id`", "; rm -rf .", "--flag", "a\nb", "'", '"', "*", "가 나")
    driver.start(order("words", command=("printf", "%s\\0", *words), env={"X": "$(id)\n;`id`"}))
    driver.start(order("env", 'printf %s "$X"', env={"X": "$(id)\n;`id`"}))
    end_of(driver, "words")
    end_of(driver, "env")

    assert tuple(said(driver, "words").split("\0")[:-1]) == words
    assert said(driver, "env") == "$(id)\n;`id`"


def test_notice_reaches_the_trainer_behind_a_shell_that_would_die_of_it(
    driver: LocalDriver,
) -> None:
    trainer = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(85))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    driver.start(order("shell", f'python3 -c "{trainer}"\nexit $?\n'))
    until_it_says(driver, "shell", "ready")

    driver.notify("shell", 1, stop_by_s=1_900_000_000)
    left = end_of(driver, "shell")

    assert (left.kind, left.saved) == ("stopped", True)


def test_notice_also_reaches_who_begins_to_listen_later(driver: LocalDriver) -> None:
    script = "echo up; while [ ! -e go ]; do sleep 0.01; done; trap 'exit 85' USR1; sleep 0.1; "
    driver.start(order("late", script + "while true; do sleep 0.01; done"))
    until_it_says(driver, "late", "up")

    driver.notify("late", 1, stop_by_s=1_900_000_000)
    (driver.root / "jobs" / "late" / "work" / "go").touch()

    assert end_of(driver, "late").saved


def test_notice_for_the_first_process_alone_or_by_file_alone(driver: LocalDriver) -> None:
    child = "bash -c \"trap 'echo child' USR1; echo up; while true; do sleep 0.01; done\" &"
    first = f"trap 'exit 85' USR1; {child} while true; do sleep 0.01; done"
    by_file = "echo up; while [ ! -e $DURE_NOTICE ]; do sleep 0.01; done; cat $DURE_NOTICE; exit 85"
    driver.start(order("first", first, notice_signal="B:USR1"))
    driver.start(order("file", f"trap 'exit 1' USR1; {by_file}", notice_signal="none"))
    for job in ("first", "file"):
        until_it_says(driver, job, "up")
        driver.notify(job, 1, stop_by_s=1_900_000_000)

    assert end_of(driver, "first").saved
    assert end_of(driver, "file").saved
    assert "child" not in said(driver, "first")
    assert said(driver, "file") == "up\n1900000000\n"


def test_grandchildren_in_sessions_of_their_own_are_gone_before_the_receipt(
    driver: LocalDriver,
) -> None:
    defy = "trap '' TERM HUP INT; echo $$; while true; do sleep 0.05; done"
    # Within double quotes the inner shell shall say its own number.
    inner = defy.replace("$$", "\\$\\$")
    # One leaves its session, one its parent too, one its environment as well.
    driver.start(
        order(
            "family",
            f'setsid bash -c "{inner}" &\n'
            f'(setsid bash -c "{inner}" &)\n'
            f'(env -i setsid bash -c "{inner}" &)\n{defy}\n',
        )
    )
    until(lambda: driver.observe() or len(set(numbers(driver, "family"))) == 4)
    pids = numbers(driver, "family")
    assert all(is_alive(pid) for pid in pids)

    driver.stop("family", 1)
    stopped = end_of(driver, "family")

    assert [pid for pid in pids if is_alive(pid)] == []
    assert stopped.kind == "stopped"
    assert driver.clean("family", 1)["is_clean"]


def test_what_a_job_leaves_behind_ends_with_it(driver: LocalDriver) -> None:
    script = "(setsid bash -c 'trap \"\" TERM; echo $$; while true; do sleep 0.05; done' &); "
    driver.start(order("leaves", script + "while [ ! -s ../attempt-1.out ]; do sleep 0.01; done"))

    ended = end_of(driver, "leaves")

    assert (ended.kind, ended.exit_code) == ("ended", 0)
    assert [is_alive(pid) for pid in numbers(driver, "leaves")] == [False]


def test_a_job_that_kills_its_launcher_is_ended_and_named(driver: LocalDriver) -> None:
    script = "(setsid bash -c 'echo $$; sleep 600' &); echo $$; kill -KILL $PPID; sleep 600"
    driver.start(order("rebel", script))
    until(lambda: len(numbers(driver, "rebel")) == 2)

    ended = end_of(driver, "rebel")

    assert (ended.kind, ended.exit_code, ended.reason) == ("ended", 137, "LauncherVanished")
    assert not any(is_alive(pid) for pid in numbers(driver, "rebel"))


def test_no_job_runs_before_it_is_written_that_it_runs(driver: LocalDriver) -> None:
    control = "$DURE_JOB_DIR/../../control/$DURE_JOB"
    script = f"cat {control}/attempt-1.run; kill -KILL $PPID; sleep 600"
    for number in range(20):
        driver.start(order(f"quick-{number}", script))

    ends = [end_of(driver, f"quick-{number}") for number in range(20)]

    assert {(one.kind, one.reason) for one in ends} == {("ended", "LauncherVanished")}
    assert all("command" in said(driver, one.job) for one in ends)


def test_a_stop_gives_time_to_save(driver: LocalDriver) -> None:
    script = "trap 'echo saved > $DURE_CHECKPOINT_DIR/a; exit 85' TERM; echo up; "
    driver.start(order("polite", script + "while true; do sleep 0.01; done"))
    until_it_says(driver, "polite", "up")

    driver.stop("polite", 1)
    stopped = end_of(driver, "polite")

    assert (stopped.kind, stopped.saved) == ("stopped", True)


def test_stopping_at_once_after_starting_never_leaves_it_running(driver: LocalDriver) -> None:
    for number in range(20):
        driver.start(order(f"brief-{number}", "echo up; sleep 600"))
        driver.stop(f"brief-{number}", 1)

    ends = [end_of(driver, f"brief-{number}") for number in range(20)]

    assert {one.kind for one in ends} == {"stopped"}
    assert [driver.clean(one.job, 1)["processes"] for one in ends] == [[]] * 20


def test_cleaning_removes_the_scratch_and_says_what_was_there(driver: LocalDriver) -> None:
    script = 'cd "$TMPDIR"; mkdir -p a/b; printf 12345 > a/b/f; printf 1 > g; ln -s / l; chmod 0 a'
    driver.start(order("messy", script))
    with pytest.raises(DriverError, match="runs; stop it before"):
        driver.clean("messy", 1)
    ended = end_of(driver, "messy")

    evidence = driver.clean("messy", 1)
    driver.acknowledge([ended])
    again = driver.clean("messy", 1)

    assert {name: evidence[name] for name in ("processes", "scratch_files", "is_clean")} == {
        "processes": [],
        "scratch_files": 3,
        "is_clean": True,
    }
    assert (again["scratch_files"], again["is_clean"]) == (0, True)
    assert not (driver.root / "scratch" / "messy~1").exists()


def test_an_order_that_this_machine_cannot_carry_out_is_refused(driver: LocalDriver) -> None:
    fine = order("fine", "true")
    for devices, milli in (
        ((), 1000),
        (((NODE, 4),), 1000),
        ((("there-0001", 0),), 1000),
        (((NODE, 0), (NODE, 0)), 1000),
        (((NODE, 0),), 0),
    ):
        wrong = StartOrder("a", "fine", 1, devices, milli, recipe=fine.recipe)
        with pytest.raises(DriverError, match="job fine, attempt 1"):
            driver.start(wrong)
    with pytest.raises(DriverError, match="a script, a command or a session"):
        driver.start(order("fine"))

    assert driver.running() == []
    assert not (driver.root / "jobs" / "fine").exists()


@pytest.mark.parametrize("job", ["", ".", "..", "a/b", "-rf", "a b", "a\n", "가", "a" * 65, "a~1"])
def test_an_id_that_could_be_a_path_or_an_option_is_refused(driver: LocalDriver, job: str) -> None:
    with pytest.raises(InputError):
        driver.start(order(job, "true"))

    assert os.listdir(driver.root / "jobs") == []


def test_attempts_of_a_job_never_overlap(driver: LocalDriver) -> None:
    driver.start(order("once", "sleep 600"))

    with pytest.raises(DriverError, match="attempt 1 has not ended"):
        driver.start(order("once", "true", attempt=2))


def test_one_spoilt_file_stops_no_other_job(driver: LocalDriver) -> None:
    spoil = "for f in exit run lock; do echo '[nonsense' > $OURS.$f; done; sleep 600"
    ours = str(driver.root / "control" / "spoiler" / "attempt-1")
    driver.start(order("spoiler", spoil, env={"OURS": ours}))
    driver.start(order("honest", "exit 5"))

    honest, spoiler = end_of(driver, "honest"), end_of(driver, "spoiler")

    assert honest.exit_code == 5
    # The lock is spoilt last: when it began may have been read before.
    began_at_s = spoiler.began_at_s
    assert spoiler == Receipt(
        "ended", "spoiler", 1, spoiler.at_s, 137, False, "EndUnreadable", began_at_s
    )
    assert began_at_s == 0 or honest.at_s - 60 < began_at_s <= spoiler.at_s
    assert driver.clean("spoiler", 1)["is_clean"]


def test_a_batch_script_sees_the_variables_it_reads_most(driver: LocalDriver) -> None:
    script = '#!/bin/bash\necho "$SLURM_JOB_ID $SLURM_JOB_NAME $SLURM_RESTART_COUNT"\n'
    driver.start(order("b-1", script, dialect="sbatch", name="train it"))
    end_of(driver, "b-1")

    assert said(driver, "b-1") == "b-1 train it 0\n"


def test_a_folder_that_cannot_be_written_is_a_refused_start_and_can_be_tried_again(
    driver: LocalDriver,
) -> None:
    in_the_way = driver.root / "jobs" / "later"
    in_the_way.write_text("a file where a folder should be")
    with pytest.raises(DriverError, match="cannot be written"):
        driver.start(order("later", "true"))
    in_the_way.unlink()

    driver.start(order("later", "true"))

    assert end_of(driver, "later").kind == "ended"


def test_a_stop_is_carried_out_though_it_cannot_be_written_down(driver: LocalDriver) -> None:
    driver.start(order("full", "echo up; sleep 600"))
    until_it_says(driver, "full", "up")
    # Nobody can write into a folder that is gone from its place, as on a full disk.
    (driver.root / "control" / "full").rename(driver.root / "elsewhere")
    driver.stop("full", 1)

    assert end_of(driver, "full").kind == "stopped"


def test_a_spoilt_list_of_the_told_harms_nobody(driver: LocalDriver) -> None:
    spoil = 'echo \'{"told": [[1, "x"], 3]}\' > ../../../control/told/attempt-1.noticed; '
    listen = "trap 'exit 85' USR1; echo up; while true; do sleep 0.01; done"
    driver.start(order("told", spoil + listen))
    until_it_says(driver, "told", "up")

    driver.notify("told", 1, stop_by_s=1_900_000_000)

    assert end_of(driver, "told").saved


def test_a_job_that_clears_its_folder_ends_as_it_should_and_starts_once(
    driver: LocalDriver,
) -> None:
    driver.start(order("clears", "rm -rf ../* ; echo >> ../starts; exit 6"))

    ended = end_of(driver, "clears")
    again = driver_at(driver.root)

    assert (ended.kind, ended.exit_code) == ("ended", 6)
    assert list(again.observe()) == [ended]
    assert (driver.root / "jobs" / "clears" / "starts").read_text() == "\n"


def test_a_job_that_removes_its_own_lock_is_not_started_anew(driver: LocalDriver) -> None:
    script = "echo up; sleep 0.2; rm -rf ../../../control/rebel; echo once; exit 6"
    driver.start(order("rebel", script))
    until_it_says(driver, "rebel", "up")

    ended = end_of(driver, "rebel")

    assert (ended.kind, ended.exit_code) == ("ended", 6)
    assert said(driver, "rebel") == "up\nonce\n"
