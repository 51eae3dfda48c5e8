"""Rolling up loses nothing: sums of parts are the sums of the whole, on any level."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calendar import civil
from dure.reports.rollups import (
    DAY_S,
    FIVE_MIN_S,
    HOUR_S,
    ROLLED,
    SAMPLES,
    period_of,
    roll_on,
    roll_up,
)

NOON_S = 1_790_000_100  # in the middle of a day, whatever the level
value = st.none() | st.integers(0, 1_000)
rows = st.lists(
    st.tuples(
        st.integers(NOON_S, NOON_S + 2 * DAY_S),
        st.sampled_from(["n1", "n2"]),
        st.integers(-1, 1),
        st.sampled_from(["", "j1", "j2"]),
        st.sampled_from([0, 15]),
        *[value] * 5,
    ),
    max_size=60,
)


def table(found: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=SAMPLES, orient="row")


def dumbest(found: list[tuple[object, ...]], length_s: int) -> list[tuple[object, ...]]:
    """Add every group up by hand."""
    groups: dict[tuple[object, ...], list[tuple[object, ...]]] = {}
    for row in found:
        at_s, node, device, job = row[:4]
        assert isinstance(at_s, int)
        key = (period_of(at_s, length_s), job, node, device)
        groups.setdefault(key, []).append(row)
    out = []
    for key, members in groups.items():
        columns = list(zip(*members, strict=True))
        busy, memory, power, energy, cpu = (
            [one for one in column if one is not None] for column in columns[5:]
        )
        sums = [sum(part) if part else None for part in (busy, power, energy, cpu)]  # type: ignore[arg-type]
        counts = [len(members), sum(columns[4]), len(busy), len(power)]  # type: ignore[arg-type]
        most = [max(part) if part else None for part in (busy, memory)]  # type: ignore[type-var]
        out.append((*key, *counts, *sums, min(busy) if busy else None, *most))  # type: ignore[type-var]
    return sorted(out, key=repr)


@given(rows)
def test_a_level_is_what_adding_up_by_hand_gives(found: list[tuple[object, ...]]) -> None:
    five = roll_up(table(found))
    hour = roll_on([five], HOUR_S)

    assert sorted(five.rows(), key=repr) == dumbest(found, FIVE_MIN_S)
    assert sorted(hour.rows(), key=repr) == dumbest(found, HOUR_S)
    assert sorted(roll_on([hour], DAY_S).rows(), key=repr) == dumbest(found, DAY_S)


@given(rows, st.integers(0, 60))
def test_parts_rolled_up_apart_give_the_same_as_the_whole(
    found: list[tuple[object, ...]], cut: int
) -> None:
    parts = [roll_up(table(found[:cut])), roll_up(table(found[cut:]))]

    assert roll_on(parts, FIVE_MIN_S).equals(roll_up(table(found)))


def test_a_day_is_a_korean_day() -> None:
    begin = civil(period_of(NOON_S, DAY_S))

    assert (begin.hour, begin.minute) == (0, 0)
    assert begin.date() == civil(NOON_S).date()


def test_nothing_rolls_up_to_nothing() -> None:
    assert roll_up(table([])).schema == ROLLED
    assert roll_on([], HOUR_S).schema == ROLLED
