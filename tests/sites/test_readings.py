"""What sites measure: told once, in order, after a silent hour too; and what cannot be."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from dure.core.errors import DriverError
from dure.core.measured import METRICS, Aside, Measured, SetAside, Sieve, Signal, Unit
from dure.core.site_readings import measured_of, reading_of
from dure.drivers.remote.meter import HELD_S_MAX, LAG_S, RemoteMeter
from dure.drivers.sampler import Sampler
from dure.services.site_meter import KEPT_BYTES_MAX, SiteMeter
from tests.drivers.local_bench import four_slots
from tests.sites.line import AgentSide, CentreSide, HandClock, Line, node_named
from tests.sites.machines import Machines


def measured(at_s: int, *, node: str = "n1", samples: int = 1) -> Measured:
    values = np.full((len(METRICS), samples), float("nan"))
    values[0] = 990.0
    return Measured(
        [Unit(node, 0, "here-1")],
        np.zeros(samples, dtype=np.int64),
        np.full(samples, at_s, dtype=np.int64),
        values,
        ~np.isnan(values),
        at_s,
        [Signal(at_s, node, 0, 79, "here-1")],
        [SetAside(Aside.UNREADABLE, "nvidia-smi: '?'")],
    )


def same(one: Measured, other: Measured) -> bool:
    arrays = ("unit", "at_s", "values", "given")
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "values")
        for name in arrays
    ) and (list(one.units), list(one.signals), one.upto_s) == (
        list(other.units),
        list(other.signals),
        other.upto_s,
    )


class Script:
    """A meter that measures something each time, or does not answer."""

    def __init__(self) -> None:
        self.is_away, self.samples = False, 1

    def read(self, now_s: int) -> Measured:
        if self.is_away:
            raise DriverError("away")
        return measured(now_s, samples=self.samples)

    def close(self) -> None:
        """Nothing to close."""


def test_a_reading_is_the_same_at_both_ends_of_the_line() -> None:
    sent = msgspec.json.encode(reading_of(measured(100), number=1))
    came = measured_of(msgspec.json.decode(sent, type=type(reading_of(measured(1), number=1))),
                       prefix="seoul.")  # fmt: skip

    assert came is not None
    assert same(came, measured(100, node="seoul.n1"))


def test_what_this_machine_measures_can_be_believed_at_the_centre(tmp_path: Path) -> None:
    own = Sampler(tmp_path, four_slots()).read(1_000)
    came = measured_of(reading_of(own, number=1), prefix="seoul.")

    assert came is not None
    samples = Sieve({"seoul.here-0001": 4}).sift(came, now_s=1_000)
    assert [one.node for one in samples.units] == ["seoul.here-0001"]
    assert len(samples.at_s) == 1


@pytest.mark.parametrize(
    "change",
    [{"values": b"x"}, {"given": b""}, {"unit": [7]}, {"unit": [-1]}, {"unit": []},
     {"at_s": [1 << 70]}, {"at_s": [1, 2]}],
)  # fmt: skip
def test_parts_that_do_not_fit_are_no_reading(change: dict[str, object]) -> None:
    spoilt = msgspec.structs.replace(reading_of(measured(100), number=1), **change)

    assert measured_of(spoilt, prefix="") is None


def test_an_hour_without_a_line_is_told_afterwards_in_order_and_once(tmp_path: Path) -> None:
    centre, clock = CentreSide(tmp_path / "centre", {"n1": 4}), HandClock(10_000)
    meter = RemoteMeter()
    centre.hear = meter.take
    centre.begin()
    line = Line(centre, centre.key)
    own = SiteMeter(Script(), clock)
    agent = AgentSide(tmp_path / "site", line, Machines, [node_named("n1", 4)], meter=own)
    centre.driver.observe()
    centre.driver.observe()
    agent.agent.turn()
    agent.agent.turn()

    line.is_cut = True
    for _ in range(240):
        clock.at_s += 15
        own.turn()
        agent.agent.turn()
    line.is_cut, line.loses_answers = False, True
    agent.agent.turn()
    line.loses_answers = False
    for _ in range(3):
        agent.agent.turn()
    moments = [int(meter.read(clock.at_s).at_s[0]) for _ in range(240)]

    assert moments == [10_000 + 15 * step for step in range(1, 241)]
    assert len(meter.read(clock.at_s).at_s) == 0
    assert (own.waiting(1), own.lost) == ([], 0)


def test_what_waits_too_long_is_dropped_the_oldest_first() -> None:
    script, clock = Script(), HandClock(0)
    script.samples = 20_000
    own = SiteMeter(script, clock)

    for at_s in range(60):
        clock.at_s = at_s
        own.turn()
    waiting = own.waiting(KEPT_BYTES_MAX)

    assert own.lost > 0
    assert [one.number for one in waiting] == list(range(own.lost + 1, 61))


def test_a_reading_that_no_push_could_hold_is_dropped() -> None:
    script = Script()
    script.samples = 200_000
    own = SiteMeter(script, HandClock(0))

    own.turn()

    assert (own.waiting(1), own.lost) == ([], 1)


def test_a_meter_that_is_away_says_nothing_and_comes_back() -> None:
    script = Script()
    own = SiteMeter(script, HandClock(5))
    script.is_away = True
    own.turn()
    assert own.waiting(1) == []

    script.is_away = False
    own.turn()
    assert [one.number for one in own.waiting(1)] == [1]


def test_a_site_that_lags_makes_no_node_silent_for_two_hours() -> None:
    meter = RemoteMeter()
    assert meter.read(1_000).upto_s == 1_000
    meter.take("seoul", reading_of(measured(1_000), number=1))
    meter.take("busan", reading_of(measured(1_000), number=1))
    assert [meter.read(1_001).upto_s for _ in range(2)] == [1_001, 1_001]
    assert meter.read(1_000 + LAG_S).upto_s == 1_000 + LAG_S

    late_s = 1_000 + LAG_S + 30
    meter.take("busan", reading_of(measured(late_s), number=2))
    came = meter.read(late_s)
    with pytest.raises(DriverError, match=r"no measurements of seoul$"):
        meter.read(late_s)

    # What was once told is not taken back.
    assert (came.units[0].node, came.upto_s) == ("busan.n1", 1_000 + LAG_S)
    long_s = 1_000 + HELD_S_MAX
    meter.take("busan", reading_of(measured(long_s), number=3))
    assert meter.read(long_s).upto_s == long_s
    assert meter.read(long_s).upto_s == long_s
