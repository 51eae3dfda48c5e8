"""What of a meter's records is believed; every kind of bad record costs that record alone."""

import numpy as np
import pytest

from dure.core import measured as module
from dure.core.measured import (
    BUSY,
    CPU,
    ENERGY,
    HOST,
    MEMORY,
    METRICS,
    NOT_MEASURED,
    POWER,
    Aside,
    Measured,
    SetAside,
    Sieve,
    Signal,
    Unit,
)

NOW_S = 1_790_000_000
NAN = float("nan")


def measured(
    *rows: tuple[Unit, int, dict[int, float]],
    signals: tuple[Signal, ...] = (),
    aside: tuple[SetAside, ...] = (),
) -> Measured:
    """Return rows of (unit, seconds after ``NOW_S``, values) as a meter brings them."""
    units = list(dict.fromkeys(unit for unit, _, _ in rows))
    values = np.zeros((len(METRICS), len(rows)))
    given = np.zeros((len(METRICS), len(rows)), dtype=np.bool_)
    for place, (_, _, found) in enumerate(rows):
        for row, value in found.items():
            values[row, place], given[row, place] = value, True
    unit = np.array([units.index(unit) for unit, _, _ in rows], dtype=np.int64)
    at_s = np.array([NOW_S + after_s for _, after_s, _ in rows], dtype=np.int64)
    return Measured(units, unit, at_s, values, given, NOW_S, signals, aside)


GPU = Unit("n1", 0, "j1")


def test_gauges_pass_as_they_are_and_counters_as_their_growth() -> None:
    sieve = Sieve({"n1": 8})
    first = measured((GPU, -30, {BUSY: 910, MEMORY: 1000.4, POWER: 650_000, ENERGY: 5_000}))
    second = measured((GPU, -15, {BUSY: 20, ENERGY: 14_000}), (GPU, 0, {ENERGY: 24_500}))

    assert sieve.sift(first, now_s=NOW_S).values[:, 0].tolist() == [
        910, 1000, 650_000, NOT_MEASURED, NOT_MEASURED,
    ]  # fmt: skip
    samples = sieve.sift(second, now_s=NOW_S)

    assert samples.covers_s.tolist() == [15, 15]
    assert samples.values[ENERGY].tolist() == [9_000, 10_500]
    assert samples.values[BUSY].tolist() == [20, NOT_MEASURED]
    assert not sieve.aside


def test_each_bad_record_is_set_aside_with_its_reason_and_the_rest_goes_on() -> None:
    sieve = Sieve({"n1": 8})
    host = Unit("n1", HOST, "j2")
    sieve.sift(measured((host, -15, {CPU: 9_000})), now_s=NOW_S)

    samples = sieve.sift(
        measured(
            (Unit("n9", 0), 0, {BUSY: 1}),
            (Unit("n1", 8), 0, {BUSY: 1}),
            (Unit("n1", 1), 3_600, {BUSY: 1}),
            (Unit("n1", 2), -172_800, {BUSY: 1}),
            (host, -15, {CPU: 9_500}),
            (host, 0, {CPU: 100, MEMORY: 7}),
            (Unit("n1", 3), 0, {BUSY: NAN, MEMORY: 5}),
            (Unit("n1", 4), 0, {BUSY: -1, MEMORY: 5}),
            (Unit("n1", 5), 0, {BUSY: 1_001, MEMORY: 5}),
            (Unit("n1", 6), 0, {BUSY: 1_000}),
            signals=(Signal(NOW_S, "n9", 0, 79), Signal(NOW_S, "n1", 0, 79)),
            aside=(SetAside(Aside.UNREADABLE, "no gpu"),),
        ),
        now_s=NOW_S,
    )

    assert dict(sieve.aside) == {
        Aside.UNREADABLE: 1,
        Aside.UNKNOWN_NODE: 2,
        Aside.UNKNOWN_DEVICE: 1,
        Aside.FUTURE_TIME: 1,
        Aside.TOO_OLD: 1,
        Aside.REPEATED: 1,
        Aside.NOT_A_NUMBER: 1,
        Aside.NEGATIVE: 1,
        Aside.TOO_LARGE: 1,
        Aside.COUNTER_RESET: 1,
    }
    rows = {
        samples.units[unit]: samples.values[:, place].tolist()
        for place, unit in enumerate(samples.unit.tolist())
    }
    nothing = [NOT_MEASURED] * len(METRICS)
    with_memory = [NOT_MEASURED, 5, *nothing[2:]]
    assert rows == {
        host: [NOT_MEASURED, 7, *nothing[2:]],
        Unit("n1", 3): with_memory,
        Unit("n1", 4): with_memory,
        Unit("n1", 5): with_memory,
        Unit("n1", 6): [1_000, *nothing[1:]],
    }
    assert samples.signals == [Signal(NOW_S, "n1", 0, 79)]
    assert "n9 gpu 0" in [what for _, what in sieve.examples]


def test_after_a_reset_a_counter_counts_from_where_it_began_anew() -> None:
    sieve = Sieve({"n1": 8})
    counts = [5_000, 9_000, 40, 1_040]
    rows = [(GPU, 15 * place, {ENERGY: float(count)}) for place, count in enumerate(counts)]

    samples = sieve.sift(measured(*rows), now_s=NOW_S + 60)

    assert samples.values[ENERGY].tolist() == [NOT_MEASURED, 4_000, NOT_MEASURED, 1_000]
    assert dict(sieve.aside) == {Aside.COUNTER_RESET: 1}


def test_jobs_that_are_long_over_are_forgotten_and_who_is_measured_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "UNITS_KEPT", 10)
    sieve = Sieve({"n1": 8})
    for turn in range(600):
        at_s = 15 * turn
        rows = [(GPU, at_s, {ENERGY: 100.0 * at_s}), (Unit("n1", HOST, f"j{turn}"), at_s, {CPU: 1})]
        samples = sieve.sift(measured(*rows), now_s=NOW_S + at_s)  # type: ignore[arg-type]

    assert samples.values[ENERGY].tolist() == [1_500, NOT_MEASURED]
    assert len(sieve._slots) < 600
    again = measured((GPU, 15 * 599, {BUSY: 1}))
    assert sieve.sift(again, now_s=NOW_S + 15 * 599).unit.size == 0
    assert dict(sieve.aside) == {Aside.REPEATED: 1}


def test_a_gap_covers_nothing_since_nobody_looked() -> None:
    sieve = Sieve({"n1": 8})
    rows = [(GPU, after_s, {BUSY: 500.0, ENERGY: 100.0 * after_s}) for after_s in (0, 15, 900)]

    samples = sieve.sift(measured(*rows), now_s=NOW_S + 900)

    assert samples.covers_s.tolist() == [0, 15, 0]
    assert samples.values[ENERGY].tolist() == [NOT_MEASURED, 1_500, NOT_MEASURED]
