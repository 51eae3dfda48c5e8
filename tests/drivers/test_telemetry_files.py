"""Telemetry on disk: what a crash, a torn file, late samples and age do to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dure.drivers.telemetry_files import FLUSH_S, RAW_KEPT_S, SETTLED_S, TelemetryFiles
from dure.reports.rollups import DAY_S, FIVE_MIN_S, HOUR_S, SAMPLES, roll_on, roll_up

BEGIN_S = 1_790_002_800 // DAY_S * DAY_S - 9 * HOUR_S  # a Korean midnight


def samples(from_s: int, to_s: int, *, job: str = "j1", node: str = "n1") -> pl.DataFrame:
    """Return one sample each 15 s; its utilisation grows by one a sample."""
    moments = list(range(from_s, to_s, 15))
    rows = [
        (at_s, node, 0, job, 15, (at_s - BEGIN_S) // 15 % 1000, 7, None, None, None)
        for at_s in moments
    ]
    return pl.DataFrame(rows, schema=SAMPLES, orient="row")


def filled(root: Path, seconds: int) -> TelemetryFiles:
    """Return a store that took a minute's samples a minute."""
    store = TelemetryFiles(root)
    store.keep(BEGIN_S)
    for from_s in range(BEGIN_S, BEGIN_S + seconds, FLUSH_S):
        store.add(samples(from_s, from_s + FLUSH_S))
        store.keep(from_s + FLUSH_S)
    return store


def kept(root: Path, level: str) -> list[str]:
    return sorted(os.listdir(root / level))


def test_a_roll_up_appears_when_its_period_is_over_and_settled(tmp_path: Path) -> None:
    store = filled(tmp_path, HOUR_S)
    end_s = BEGIN_S + HOUR_S

    assert len(kept(tmp_path, "5min")) == 11
    assert kept(tmp_path, "hour") == []
    store.keep(end_s + max(SETTLED_S, FLUSH_S))

    assert len(kept(tmp_path, "5min")) == 12
    assert kept(tmp_path, "hour") == [f"{BEGIN_S}.parquet"]
    whole = samples(BEGIN_S, end_s)
    hour = store.rolled(BEGIN_S, end_s, length_s=HOUR_S)
    assert hour.equals(roll_on([roll_up(whole)], HOUR_S))
    assert hour["busy_milli_sum"].item() == sum(range(240))


def test_what_is_not_rolled_up_yet_is_answered_all_the_same(tmp_path: Path) -> None:
    store = filled(tmp_path, 17 * 60)
    store.add(samples(BEGIN_S + 17 * 60, BEGIN_S + 17 * 60 + 30))
    whole = samples(BEGIN_S, BEGIN_S + 17 * 60 + 30)

    for length_s in (FIVE_MIN_S, HOUR_S, DAY_S):
        found = store.rolled(BEGIN_S, BEGIN_S + DAY_S, length_s=length_s)
        assert found.equals(roll_on([roll_up(whole)], length_s)), length_s
    assert store.samples(BEGIN_S, BEGIN_S + DAY_S).sort("at_s").equals(whole)


def test_a_job_is_found_among_others(tmp_path: Path) -> None:
    store = filled(tmp_path, 600)
    store.add(samples(BEGIN_S + 600, BEGIN_S + 660, job="j2"))
    store.keep(BEGIN_S + 660)

    of_two = store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=FIVE_MIN_S, job="j2")

    assert of_two["samples"].to_list() == [4]
    assert store.samples(BEGIN_S, BEGIN_S + HOUR_S, job="j2").height == 4


def test_late_samples_are_rolled_up_where_they_belong(tmp_path: Path) -> None:
    store = filled(tmp_path, 2 * HOUR_S)
    late = samples(BEGIN_S + 600, BEGIN_S + 660, node="n2")
    store.keep(BEGIN_S + 2 * HOUR_S + 60)
    before = store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=HOUR_S)

    store.add(late)
    store.keep(BEGIN_S + 2 * HOUR_S + 120)

    after = store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=HOUR_S)
    assert after.filter(pl.col("node") == "n1").equals(before)
    assert after.filter(pl.col("node") == "n2")["samples"].to_list() == [4]
    assert kept(tmp_path, "hour") == [f"{BEGIN_S}.parquet", f"{BEGIN_S + HOUR_S}.parquet"]


def test_the_next_process_rolls_up_what_this_one_left(tmp_path: Path) -> None:
    filled(tmp_path, HOUR_S)
    for path in (tmp_path / "5min").iterdir():
        path.unlink()

    again = TelemetryFiles(tmp_path)
    again.keep(BEGIN_S + HOUR_S)
    again.keep(BEGIN_S + HOUR_S + FLUSH_S)

    whole = samples(BEGIN_S, BEGIN_S + HOUR_S)
    assert again.newest_s() == BEGIN_S + HOUR_S - 15
    hour = pl.read_parquet(tmp_path / "hour" / f"{BEGIN_S}.parquet")
    assert hour.equals(roll_on([roll_up(whole)], HOUR_S))


@pytest.mark.parametrize("cut", [0, 1, 4, 100, -1, -8])
def test_a_torn_file_costs_its_minute_at_most(tmp_path: Path, cut: int) -> None:
    filled(tmp_path, 240)
    folder = tmp_path / "samples" / str(BEGIN_S)
    torn = folder / "3.parquet"
    torn.write_bytes(torn.read_bytes()[:cut])

    again = TelemetryFiles(tmp_path)

    assert again.samples(BEGIN_S, BEGIN_S + HOUR_S).height == 12
    assert again.torn == 1
    assert (folder / "3.parquet.torn").exists()
    assert again.samples(BEGIN_S, BEGIN_S + HOUR_S).height == 12
    assert again.torn == 1


def test_a_torn_roll_up_is_made_anew(tmp_path: Path) -> None:
    store = filled(tmp_path, HOUR_S)
    store.keep(BEGIN_S + HOUR_S + FLUSH_S)
    for level in ("5min", "hour"):
        path = tmp_path / level / f"{BEGIN_S}.parquet"
        path.write_bytes(path.read_bytes()[:50])
    whole = roll_up(samples(BEGIN_S, BEGIN_S + HOUR_S))

    # Whoever meets the damage first goes without the file; the next one has it from the samples.
    for length_s in (FIVE_MIN_S, HOUR_S):
        store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=length_s)
    assert store.torn == 2
    for length_s in (FIVE_MIN_S, HOUR_S):
        found = store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=length_s)
        assert found.equals(roll_on([whole], length_s))
    store.keep(BEGIN_S + HOUR_S + 2 * FLUSH_S)

    assert pl.read_parquet(tmp_path / "5min" / f"{BEGIN_S}.parquet").equals(whole.head(1))
    assert (tmp_path / "hour" / f"{BEGIN_S}.parquet").exists()


def test_raw_samples_go_after_48_hours_and_their_roll_ups_stay(tmp_path: Path) -> None:
    store = filled(tmp_path, HOUR_S)
    store.keep(BEGIN_S + HOUR_S + FLUSH_S)
    hour = store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=HOUR_S)

    store.keep(BEGIN_S + HOUR_S + RAW_KEPT_S)

    assert kept(tmp_path, "samples") == []
    assert store.rolled(BEGIN_S, BEGIN_S + HOUR_S, length_s=HOUR_S).equals(hour)
    store.keep(BEGIN_S + 15 * DAY_S)
    assert (kept(tmp_path, "5min"), len(kept(tmp_path, "hour"))) == ([], 1)
    assert len(kept(tmp_path, "day")) == 1
    store.keep(BEGIN_S + 500 * DAY_S)
    assert (kept(tmp_path, "hour"), len(kept(tmp_path, "day"))) == ([], 1)


def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(tmp_path: Path) -> None:
    store = filled(tmp_path, 60)
    store.add(samples(BEGIN_S + 60, BEGIN_S + 400))
    blocked = tmp_path / "samples" / str(BEGIN_S + FIVE_MIN_S)
    # A file where a folder should be refuses like a disk without room, as root too.
    blocked.write_text("")

    with pytest.raises(OSError):
        store.keep(BEGIN_S + 400)
    blocked.unlink()
    store.keep(BEGIN_S + 400 + FLUSH_S)

    assert TelemetryFiles(tmp_path).samples(BEGIN_S, BEGIN_S + HOUR_S).height == 4 + 23
    assert store.lost == 0


KILLED = """
import sys
from pathlib import Path
from dure.drivers.telemetry_files import TelemetryFiles
from tests.drivers.test_telemetry_files import BEGIN_S, samples

store = TelemetryFiles(Path(sys.argv[1]))
store.keep(BEGIN_S)
for minute in range(100_000):
    from_s = BEGIN_S + 60 * minute
    store.add(samples(from_s, from_s + 60))
    store.keep(from_s + 60)
    print(minute, flush=True)
"""


@pytest.mark.parametrize("after", [2, 7, 13])
def test_a_killed_writer_loses_no_minute_that_it_had_kept(tmp_path: Path, after: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(after)]
    writer.send_signal(signal.SIGKILL)
    told += [int(line) for line in writer.stdout.read().split()]
    writer.wait()

    store = TelemetryFiles(tmp_path)
    end_s = BEGIN_S + 60 * (told[-1] + 1)
    assert store.samples(BEGIN_S, end_s).sort("at_s").equals(samples(BEGIN_S, end_s))
    assert store.torn == 0
