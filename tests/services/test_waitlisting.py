"""The waitlist's rows: place, what stands before, the date expected and what it counts on."""

import msgspec

from dure.core.calendar import DAY_S, moment_s, months_later_s
from dure.core.recall import RecallPolicy
from dure.core.waitlist import Flow
from dure.services.programme_screen import ProgrammeScreen
from dure.services.waitlisting import flow_of
from tests.services.programme_desk import CALL, OPERATOR, STARTS_S, Desk, applicant
from tests.services.test_recalling import two_idle_months


def test_who_waits_sees_its_place_and_the_end_of_the_term_it_waits_for() -> None:
    desk = Desk()
    desk.award((90, 40), (80, 24), (75, 32), (70, 16))
    desk.grant()

    first, second = ProgrammeScreen(desk.programme).waitlist()

    assert (first.rank, first.application, first.before, first.before_gpus) == (1, "t-0003", 0, 0)
    assert (second.rank, second.application, second.before, second.before_gpus) == (
        2,
        "t-0004",
        1,
        32,
    )
    # All terms end in a year. Until then a server comes free every 240 days, as is assumed; at the
    # earliest every 120, and two are needed.
    assert second.expected_late_s == first.expected_late_s == months_later_s(STARTS_S, 12)
    assert second.expected_early_s == STARTS_S + 240 * DAY_S
    assert dict(first.counts_on) == {"term": 40, "flow": 8}
    assert first.is_signed and second.is_signed


def test_a_recall_brings_the_date_forward_and_what_came_free_is_a_rate() -> None:
    desk = two_idle_months()
    screen = ProgrammeScreen(desk.programme)
    before = {row.application: row.expected_early_s for row in screen.waitlist()}
    (notice,) = desk.programme.notify_recalls(OPERATOR)

    noticed = {row.application: row for row in screen.waitlist()}
    desk.clock.at_s = notice.due_at_s
    desk.programme.carry_out_recalls(OPERATOR)
    after = screen.waitlist()

    # 24 of 48 are recalled: for the one that wants 24, and not for the one before it.
    assert noticed["t-0004"].expected_s == notice.due_at_s
    assert noticed["t-0004"].expected_early_s == desk.clock.at_s - 7 * DAY_S < before["t-0004"]
    assert dict(noticed["t-0004"].counts_on) == {"recall": 24}
    assert [row.application for row in after] == ["t-0003"]
    # One GPU of the 64 is the assumption's, over 30 of the days.
    days = (notice.due_at_s - STARTS_S) // DAY_S + 30
    assert flow_of(desk.programme.tables, "t", "H200", notice.due_at_s) == Flow(
        25, days, 24, STARTS_S
    )


def test_a_warning_is_the_earliest_hope() -> None:
    desk = Desk()
    desk.award((90, 48), (80, 16), (75, 24))
    desk.grant()
    desk.clock.at_s = moment_s("2026-04-01")
    used = {"p-t-0001": 0, "p-t-0002": 16 * 31 * DAY_S}
    desk.programme.check_use(OPERATOR, "2026-03", used)

    (row,) = ProgrammeScreen(desk.programme).waitlist()

    notice_s = RecallPolicy().notice_s
    assert row.expected_early_s == moment_s("2026-05-01") + notice_s
    assert row.expected_late_s == months_later_s(STARTS_S, 12)


def test_an_offer_that_is_open_may_be_declined_any_time() -> None:
    desk = Desk(msgspec.structs.replace(CALL, answer_days=7))
    desk.award((90, 40), (80, 24), (75, 24))
    desk.clock.at_s += DAY_S

    (row,) = ProgrammeScreen(desk.programme).waitlist()

    assert row.expected_early_s == desk.clock.at_s


def test_the_dates_are_worked_out_anew_when_anything_happened() -> None:
    desk = Desk()
    names = desk.award((90, 40), (80, 24), (75, 24), (74, 8))
    desk.grant()
    screen = ProgrammeScreen(desk.programme)
    once, again = screen.waitlist(), screen.waitlist()

    desk.programme.return_part(applicant("lead0"), f"a-{names[0]}", gpus=8)

    assert once is again
    assert [row.application for row in screen.waitlist()] == ["t-0003"]
