"""The lottery near the line: checkable, and without a say beyond the band."""

import hashlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dure.core.awards import Candidate, award_by_rank
from dure.core.calls.model import Call, Lottery
from dure.core.lottery import drawn, in_band, lot_of
from tests.core.test_awards import CALL, calls, candidate, candidates

DRAWN = msgspec.structs.replace(CALL, shares={}, large_from={}, lottery=Lottery(within_milli=2000))


def with_lots(asked: list[Candidate], call: Call, number: str) -> list[Candidate]:
    band = in_band(asked, call)
    return drawn(asked, {name: (edge, lot_of(number, name)) for name, edge in band.items()})


def test_a_lot_can_be_checked_by_anybody() -> None:
    digest = hashlib.sha256(b"3 9 14 22 31 40:2026-1-0007").hexdigest()

    assert lot_of("3 9 14 22 31 40", "2026-1-0007") == int(digest[:15], 16)


def test_the_lot_decides_near_the_line_and_nowhere_else() -> None:
    # 80 GPUs: "a" is safe, "b" at 71 is the line; "c" at 70 and "d" at 69 are within two points.
    asked = [candidate("a", 90, 40), candidate("b", 71, 40), candidate("c", 70, 40),
             candidate("d", 69, 40), candidate("e", 68, 40)]  # fmt: skip
    winners = set()
    for number in range(40):
        awards = award_by_rank(with_lots(asked, DRAWN, str(number)), DRAWN)
        chosen = {one.application for one in awards if one.decision == "selected"}
        assert "a" in chosen and "e" not in chosen
        winners |= chosen - {"a"}

    assert in_band(asked, DRAWN) == {"b": 73_000, "c": 73_000, "d": 73_000}
    assert winners == {"b", "c", "d"}


@given(asked=candidates, call=calls, number=st.text(max_size=5))
def test_a_score_beyond_the_band_is_served_before_all_who_are_drawn_for(
    asked: list[Candidate], call: Call, number: str
) -> None:
    call = msgspec.structs.replace(call, large_from={}, lottery=Lottery(within_milli=3000))
    lots = with_lots(asked, call, number)
    for award in award_by_rank(lots, call):
        needed = award.numbers.get("score_needed_milli")
        if award.decision != "waitlisted" or needed is None:
            continue
        (itself,) = (one for one in lots if one.application == award.application)
        better = Candidate(*(getattr(itself, name) for name in itself.__slots__[:6]), needed)  # type: ignore[arg-type]
        others = [one for one in lots if one is not itself]
        again = {one.application: one for one in award_by_rank([*others, better], call)}
        assert again[award.application].decision == "selected"
