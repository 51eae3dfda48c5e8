"""A judging desk over a small real programme in memory, for tests of screens; all is invented."""

import msgspec

from dure.core.calendar import moment_s
from dure.services.judging_screen import JudgingScreen
from tests.services.programme_desk import CALL, CLOSES_S, OPERATOR, REVIEWERS, Desk

# (points, GPUs, months): the second and third can share a place that the first would break.
ASKED = ((84, 64, 9), (80, 64, 6), (79, 64, 6), (77, 16, 12), (50, 8, 12))


def filled_desk(call: str = "2026-2") -> Desk:
    """Return a call with the rule ``optimum`` whose reviews are all in."""
    rules = msgspec.structs.replace(
        CALL, call=call, rule="optimum", start_months=(0, 6), capacity={"H200": 80}
    )
    desk = Desk(rules)
    desk.publish()
    names = [
        desk.apply(f"lead{place}", gpus, months) for place, (_, gpus, months) in enumerate(ASKED)
    ]
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, call, REVIEWERS)
    for name, (points, *_) in zip(names, ASKED, strict=True):
        desk.review_all(name, points)
    desk.clock.at_s = moment_s("2026-02-27 14:00")
    return desk


def filled_judging() -> JudgingScreen:
    return JudgingScreen(filled_desk().programme)
