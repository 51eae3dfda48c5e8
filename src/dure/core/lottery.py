"""The lottery near the line: who is too close to call is ordered by a number nobody could choose.

Anyone can check it: a lot is the first 15 hexadecimal digits of SHA-256 of ``NUMBER:APPLICATION``,
where NUMBER was published by somebody else after the scores were fixed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dure.core.awards import Candidate, award_by_rank
from dure.core.calls.model import Call

DIGITS = 15


def lot_of(number: str, application: str) -> int:
    """Return an application's lot for a published number; the lowest is served first."""
    return int(hashlib.sha256(f"{number}:{application}".encode()).hexdigest()[:DIGITS], 16)


def lines_milli(candidates: Sequence[Candidate], call: Call) -> dict[tuple[str, str], int]:
    """Return the lowest score that the plain walk selects, by track and accelerator."""
    scores = {one.application: one for one in candidates}
    lines: dict[tuple[str, str], int] = {}
    for award in award_by_rank(candidates, call):
        one = scores[award.application]
        if award.decision == "selected" and not one.is_pinned:
            group = one.track, one.accelerator
            lines[group] = min(one.score_milli, lines.get(group, one.score_milli))
    return lines


def in_band(candidates: Sequence[Candidate], call: Call) -> dict[str, int]:
    """Return who is drawn for, and the upper edge of their band: the score they are all served by.

    A group in which somebody waits has a line; whoever is within the call's band of it, and not
    below the score line, is drawn for.
    """
    assert call.lottery is not None
    lines, band = lines_milli(candidates, call), call.lottery.within_milli
    return {
        one.application: lines[group] + band
        for one in candidates
        if (group := (one.track, one.accelerator)) in lines
        and abs(one.score_milli - lines[group]) <= band
        and one.score_milli >= call.score_min_milli
    }


def drawn(candidates: Sequence[Candidate], lots: Mapping[str, tuple[int, int]]) -> list[Candidate]:
    """Return the candidates with their lots. ``lots``: application -> (upper edge, lot)."""
    return [
        replace(one, order_milli=lots[one.application][0], lot=lots[one.application][1])
        if one.application in lots
        else one
        for one in candidates
    ]
