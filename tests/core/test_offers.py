"""Offers: until when one may be accepted, and who is next in line."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calendar import moment_s
from dure.core.offers import Next, Room, Waiting, floor_gpus, next_in_line, offer_due_at_s
from dure.core.programme import Refusal
from tests.services.programme_desk import CALL

LINE = [Waiting("c", 8, 3), Waiting("a", 64, 1), Waiting("b", 16, 2)]


def test_an_offer_stands_to_the_end_of_its_last_day_in_korea() -> None:
    call = msgspec.structs.replace(CALL, answer_days=7)

    for at in ("2026-02-27", "2026-02-27 14:00", "2026-02-27 23:59"):
        assert offer_due_at_s(call, moment_s(at)) == moment_s("2026-03-07")
    assert offer_due_at_s(CALL, moment_s("2026-02-27")) == 0


def test_the_first_that_fits_is_next_and_the_others_are_named() -> None:
    assert next_in_line(LINE, Room(24)) == Next(Waiting("b", 16, 2), ("a",))
    assert next_in_line(LINE, Room(64)) == Next(Waiting("a", 64, 1), ())
    assert next_in_line(LINE, Room(7)) is Refusal.NOBODY_FITS
    assert next_in_line([], Room(64)) is Refusal.NOBODY_WAITS


def test_what_a_track_lacks_of_its_floor_is_kept_for_it() -> None:
    line = [Waiting("a", 16, 1, "public"), Waiting("b", 16, 2, "industry")]
    lacking = Room(16, {"industry": 8}, {"industry": 24})
    full = Room(16, {"industry": 24}, {"industry": 24})

    assert next_in_line(line, lacking) == Next(line[1], ("a",))
    assert next_in_line(line, full) == Next(line[0], ())


def test_a_floor_that_nobody_can_use_keeps_nothing_idle() -> None:
    line = [Waiting("a", 16, 1, "public"), Waiting("b", 64, 2, "industry")]

    assert next_in_line(line, Room(16, {}, {"industry": 64})) == Next(line[0], ())


def test_nobody_passes_the_cap_of_an_institution() -> None:
    line = [Waiting("a", 16, 1, organisation="x"), Waiting("b", 16, 2, organisation="y")]
    room = Room(64, organisation_gpus={"x": 24}, organisation_cap_gpus=32)

    assert next_in_line(line, room) == Next(line[1], ("a",))


def test_floors_are_whole_nodes() -> None:
    call = msgspec.structs.replace(CALL, capacity={"H200": 100}, shares={"public": 30})

    assert floor_gpus(call, "H200") == {"public": 24}


sizes = st.integers(1, 12).map(lambda nodes: 8 * nodes)
entries = st.lists(
    st.tuples(sizes, st.sampled_from(["p", "i"]), st.sampled_from(["x", "y", "z"])), max_size=8
)


@given(
    entries=entries,
    free=st.integers(0, 128),
    held=st.dictionaries(st.sampled_from(["p", "i"]), st.integers(0, 64)),
    floors=st.dictionaries(st.sampled_from(["p", "i"]), st.integers(0, 64)),
    own=st.dictionaries(st.sampled_from(["x", "y", "z"]), st.integers(0, 64)),
    cap=st.none() | st.integers(8, 96),
)
def test_whoever_is_next_fits_and_nobody_is_left_who_fits_better(
    entries: list[tuple[int, str, str]],
    free: int,
    held: dict[str, int],
    floors: dict[str, int],
    own: dict[str, int],
    cap: int | None,
) -> None:
    line = [
        Waiting(f"w{place}", gpus, place, track, home)
        for place, (gpus, track, home) in enumerate(entries, start=1)
    ]
    answer = next_in_line(line, Room(free, held, floors, own, cap))

    def may_have(one: Waiting) -> bool:
        return one.gpus <= free and (cap is None or own.get(one.organisation, 0) + one.gpus <= cap)

    if isinstance(answer, Refusal):
        assert not any(may_have(one) for one in line)
        return
    assert may_have(answer.waiting)
    before = [one for one in line if one.position < answer.waiting.position]
    assert answer.skipped == tuple(one.application for one in before)
    if not floors:
        assert not any(may_have(one) for one in before)
