"""The rule tried on recorded utilisation: what is counted as a false alarm."""

from pathlib import Path

import polars as pl
import pytest

from dure.core.errors import InputError
from dure.core.idle_held import IdlePolicy
from dure.services.idle_replay import COLUMNS, read_utilisation, replay_idle

RULE = IdlePolicy()
HOUR_S = 3_600


def record(job: str, *spells: tuple[int, int], device: int = 0) -> pl.DataFrame:
    """Return samples each 15 s: (seconds, thousandths) one after the other."""
    rows, at_s = [], 1_790_000_100
    for seconds, busy in spells:
        rows += [(job, at_s + after_s, busy, device) for after_s in range(0, seconds, 15)]
        at_s += seconds
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def test_who_works_is_left_alone_and_who_stays_idle_is_taken() -> None:
    works = record("works", (6 * HOUR_S, 900))
    # 30 min of grace, an hour of window, 30 min to answer.
    rests = record("rests", (1_800, 900), (4 * HOUR_S, 0))

    found = replay_idle(pl.concat([works, rests]), RULE)

    assert found["jobs"] == 2
    assert (found["notices"], found["notices_false"]) == (1, 0)
    assert (found["takings"], found["takings_false"]) == (1, 0)
    assert found["idle_gpu_hours"] == 2.5


def test_a_job_that_works_again_before_its_time_is_over_was_a_false_alarm() -> None:
    found = replay_idle(record("j", (1_800, 900), (HOUR_S + 600, 0), (HOUR_S, 900)), RULE)

    assert (found["notices"], found["notices_false"], found["takings"]) == (1, 1, 0)
    assert found["false_alarm_pct"] == 100


def test_a_job_that_would_have_worked_later_was_taken_for_nothing() -> None:
    found = replay_idle(record("j", (1_800, 900), (3 * HOUR_S, 0), (HOUR_S, 900)), RULE)

    assert (found["takings"], found["takings_false"]) == (1, 1)


def test_one_idle_gpu_is_enough_and_a_short_rest_is_none() -> None:
    busy, idle = (record("j", (4 * HOUR_S, milli), device=d) for d, milli in ((0, 900), (1, 0)))
    pause = record("k", (HOUR_S, 900), (3_300, 0), (HOUR_S, 900))

    assert replay_idle(pl.concat([busy, idle]), RULE)["notices"] == 1
    assert replay_idle(pause, RULE)["notices"] == 0


def test_csv_and_parquet_say_the_same_and_bad_rows_are_named(tmp_path: Path) -> None:
    samples = record("j", (600, 900))
    samples.write_parquet(tmp_path / "a.parquet")
    samples.drop("device").write_csv(tmp_path / "a.csv")
    (tmp_path / "bad.csv").write_text("job,at_s,busy_milli\nj,1,5\nj,2,1001\n")
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")

    assert read_utilisation(tmp_path / "a.csv").equals(read_utilisation(tmp_path / "a.parquet"))
    with pytest.raises(InputError, match="row 2: found busy_milli 1001"):
        read_utilisation(tmp_path / "bad.csv")
    for name in ("none.csv", "missing.parquet"):
        with pytest.raises(InputError):
            read_utilisation(tmp_path / name)
