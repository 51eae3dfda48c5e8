"""Clocks go on, by whole seconds, and never back."""

from hypothesis import given
from hypothesis import strategies as st

from dure.drivers.clock import NS_PER_S, ScaledClock, SystemClock


@given(readings=st.lists(st.floats(0, 4e9), min_size=1))
def test_the_systems_clock_set_back_stands_still(readings: list[float]) -> None:
    source = iter([0.0, *readings])
    clock = SystemClock(lambda: next(source))

    shown = [clock.now_s() for _ in readings]

    highest = [max(int(one) for one in readings[: place + 1]) for place in range(len(readings))]
    assert shown == highest


def test_virtual_seconds_go_on_from_the_given_moment() -> None:
    passed_ns = 77

    def monotone_ns() -> int:
        return passed_ns

    clock = ScaledClock(1_000, speed=3_600, monotone_ns=monotone_ns)
    first = clock.now_s()
    passed_ns += NS_PER_S
    second = clock.now_s()
    passed_ns += 30 * 86_400 * NS_PER_S + NS_PER_S // 3_600
    third = clock.now_s()

    assert (first, second, third) == (1_000, 4_600, 4_600 + 30 * 86_400 * 3_600)


@given(
    steps_ns=st.lists(st.integers(-5 * NS_PER_S, 10**15)),
    speed=st.integers(0, 100_000),
)
def test_virtual_seconds_never_go_back(steps_ns: list[int], speed: int) -> None:
    at_ns = [0]
    clock = ScaledClock(50, speed=speed, monotone_ns=lambda: at_ns[0])
    shown = []
    for step_ns in steps_ns:
        at_ns[0] += step_ns
        shown.append(clock.now_s())

    assert shown == sorted(shown)
    assert all(one >= 50 for one in shown)
