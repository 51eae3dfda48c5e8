"""When those who wait get their turn: worked cases, and what must hold of every interval."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dure.core.calendar import DAY_S
from dure.core.offers import Room, Waiting
from dure.core.waitlist import HORIZON_S, Coming, Flow, expect

NOTHING = Flow(0, 30, 8)
YEAR_S = 365 * DAY_S


def day(number: int) -> int:
    return number * DAY_S


def test_the_first_waits_for_the_first_term_that_is_large_enough() -> None:
    line = [Waiting("a", 32, 1), Waiting("b", 8, 2)]
    coming = [Coming(day(10), 16, "term"), Coming(day(20), 24, "term")]

    found = expect(line, Room(0), coming, NOTHING, term_s={"a": YEAR_S, "b": YEAR_S}, now_s=0)

    # After ten days 16 are too few for 32, and 8 of them go to the second; 8 + 24 are enough.
    assert (found["b"].at_s, found["b"].late_s, found["b"].early_s) == (day(10),) * 3
    assert (found["a"].at_s, found["a"].by_source) == (day(20), {"term": 40})
    assert (found["a"].before, found["a"].before_gpus) == (0, 0)
    assert (found["b"].before, found["b"].before_gpus) == (1, 32)


def test_recalls_are_expected_warnings_and_offers_only_hoped_for() -> None:
    line = [Waiting("a", 8, 1), Waiting("b", 8, 2), Waiting("c", 8, 3)]
    coming = [
        Coming(day(90), 24, "term"),
        Coming(day(7), 8, "recall"),
        Coming(day(30), 8, "warning"),
        Coming(day(3), 8, "offer"),
    ]
    terms = dict.fromkeys("abc", YEAR_S)

    found = expect(line, Room(0), coming, NOTHING, term_s=terms, now_s=0)

    # A recall may be accepted and an offer declined at once; the warning comes true in 30 days.
    assert [found[one].early_s for one in "abc"] == [0, 0, day(30)]
    assert [found[one].at_s for one in "abc"] == [day(7), day(90), day(90)]
    assert [found[one].late_s for one in "abc"] == [day(90)] * 3
    assert found["a"].by_source == {"recall": 8}


def test_the_flow_of_the_past_goes_on_until_nothing_is_left_of_what_is_held() -> None:
    line = [Waiting(name, 8, place) for place, name in enumerate("abcd", start=1)]
    coming = [Coming(day(300), 16, "term")]

    # 24 GPUs in 30 days: one server in ten.
    found = expect(line, Room(0), coming, Flow(24, 30, 8), term_s=dict.fromkeys("abcd", day(40)),
                   now_s=0)  # fmt: skip

    assert [found[one].at_s for one in "ab"] == [day(10), day(20)]
    assert [found[one].early_s for one in "ab"] == [day(5), day(10)]
    assert found["a"].late_s == found["b"].late_s == day(300)
    # What the two hold comes free too, at the rate at which everything does, or by its end.
    assert found["c"].at_s == day(30)


def test_what_was_recalled_does_not_come_free_again_at_its_term() -> None:
    line = [Waiting(name, 8, place) for place, name in enumerate("abcd", start=1)]
    coming = [Coming(day(100), 16, "term"), Coming(day(5), 8, "recall")]
    terms = {"a": day(150), "b": day(365), "c": day(365), "d": day(365)}

    found = expect(line, Room(0), coming, NOTHING, term_s=terms, now_s=0)

    # 8 of the 16 are recalled, the other 8 end; then only the end of a's own term is left, and b's.
    assert [found[one].at_s for one in "abcd"] == [day(5), day(100), day(155), day(465)]


def test_nobody_is_told_a_date_beyond_the_horizon() -> None:
    line = [Waiting("a", 64, 1)]

    found = expect(line, Room(0), [Coming(HORIZON_S + 1, 64, "term")], NOTHING,
                   term_s={"a": YEAR_S}, now_s=0)  # fmt: skip

    assert (found["a"].early_s, found["a"].at_s, found["a"].late_s) == (None, None, None)


def test_floors_and_caps_hold_in_the_walk() -> None:
    line = [Waiting("a", 16, 1, "public", "x"), Waiting("b", 16, 2, "industry", "y")]
    coming = [
        Coming(day(10), 16, "term", "industry", "z"),
        Coming(day(50), 16, "term", "public", "x"),
    ]
    room = Room(0, {"industry": 16, "public": 16}, {"industry": 16}, {"x": 16, "z": 16}, 32)

    found = expect(line, room, coming, NOTHING, term_s={"a": YEAR_S, "b": YEAR_S}, now_s=0)

    # What industry gives up is kept for industry.
    assert (found["b"].at_s, found["a"].at_s) == (day(10), day(50))


entries = st.lists(st.sampled_from([8, 16, 24, 32]), min_size=1, max_size=6)
comings = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.sampled_from([8, 16, 32]),
        st.sampled_from(["term", "term", "recall", "warning", "offer"]),
    ),
    max_size=10,
)


@given(sizes=entries, what=comings, flow=st.integers(0, 64))
def test_an_interval_holds_its_date_and_the_line_is_served_in_time(
    sizes: list[int], what: list[tuple[int, int, str]], flow: int
) -> None:
    line = [Waiting(f"w{place}", gpus, place) for place, gpus in enumerate(sizes, start=1)]
    coming = [Coming(day(at), gpus, source) for at, gpus, source in what]  # type: ignore[arg-type]
    terms = {one.application: day(120) for one in line}

    found = expect(line, Room(0), coming, Flow(flow, 30, 8), term_s=terms, now_s=day(1))

    for one in line:
        turn = found[one.application]
        if turn.at_s is not None:
            assert turn.early_s is not None and day(1) <= turn.early_s <= turn.at_s
            assert turn.late_s is None or turn.at_s <= turn.late_s
            assert sum(turn.by_source.values()) >= one.gpus
    # Of two of one size, the one before is served no later.
    for first, second in pairwise(line):
        before, after = found[first.application].at_s, found[second.application].at_s
        if first.gpus <= second.gpus and after is not None:
            assert before is not None and before <= after
