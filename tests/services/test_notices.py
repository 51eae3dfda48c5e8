"""Mailboxes: the right people are told, letters are numbered without gaps, read is one's own."""

import pytest

from dure.core.calendar import DAY_S, moment_s
from dure.core.conflicts import Reviewer
from dure.core.events.notices import LetterIssued
from dure.services.access import PUBLIC_ACTOR, Actor, Forbidden, Role
from dure.services.notice_desk import NoticeDesk
from tests.services.programme_desk import CLOSES_S, OPERATOR, Desk, applicant, reviewer_actor
from tests.services.test_recalling import two_idle_months

AUDITOR = Actor("audit", frozenset({Role.AUDITOR}))


def codes(desk: Desk, actor: Actor) -> list[str]:
    """Return what somebody was told, the first first."""
    return [one.code for one in reversed(desk.programme.mailbox(actor))]


def test_a_team_is_told_each_step_of_its_own_way() -> None:
    desk = Desk()
    names = desk.award((90, 40), (80, 24), (70, 16), (50, 8))
    desk.accept(names[0])
    desk.programme.decline(applicant("lead1"), names[1])

    assert codes(desk, applicant("lead0")) == ["received", "letter_award", "signed", "allocated"]
    assert codes(desk, applicant("lead1")) == ["received", "letter_award", "declined"]
    assert codes(desk, applicant("lead2")) == ["received", "letter_waitlist", "letter_award"]
    assert codes(desk, applicant("lead3")) == ["received", "letter_rejection"]
    assert codes(desk, applicant("stranger")) == []
    # Whoever belongs to the project is told what its lead is told.
    member = Actor("member", frozenset({Role.MEMBER}), frozenset({f"p-{names[0]}"}))
    assert codes(desk, member) == codes(desk, applicant("lead0"))


def test_the_office_is_told_what_needs_it() -> None:
    desk = two_idle_months()
    (notice,) = desk.programme.notify_recalls(OPERATOR)
    desk.programme.answer_recall(applicant("lead0"), notice.recall, "objected", text="late data")
    desk.programme.file_request(applicant("lead0"), "t-0001", "extension", months=2, cause="x")

    assert codes(desk, OPERATOR) == ["recall_objected", "request_filed"]
    assert codes(desk, AUDITOR) == []
    assert codes(desk, applicant("lead0"))[-2:] == ["letter_warning", "letter_recall"]


def test_reviewers_are_told_when_asked_and_when_somebody_else_steps_in() -> None:
    desk = Desk()
    desk.publish()
    name = desk.apply("lead0", 8)
    for place in range(4):
        desk.programme.register_reviewer(OPERATOR, Reviewer(f"r{place}", f"home {place}"))
    desk.clock.at_s = CLOSES_S
    desk.programme.assign_reviewers(OPERATOR, "t", due_at_s=CLOSES_S + DAY_S)
    first = desk.programme.tables.applications[name].asked[0][1]
    desk.programme.declare_conflict(reviewer_actor(first), name, first, "supervision")

    assert sorted(codes(desk, reviewer_actor(first))) == ["review_asked_by", "review_over"]
    asked = {who for _, who in desk.programme.tables.applications[name].asked}
    assert all(codes(desk, reviewer_actor(who)) == ["review_asked_by"] for who in asked)


def test_letters_are_numbered_without_gaps_and_stand_beside_what_they_tell() -> None:
    desk = two_idle_months()
    desk.programme.notify_recalls(OPERATOR)
    letters = list(desk.programme.letters.letters.values())

    assert [one.letter for one in letters] == [
        f"2026-{place:05d}" for place in range(1, len(letters) + 1)
    ]
    kinds = [one.kind for one in letters]
    assert kinds == ["waitlist", "waitlist", "award", "award", "warning", "recall"]
    recall = letters[-1]
    assert (recall.to, recall.project, recall.fields["gpus"]) == ("lead0", "p-t-0001", 24)
    # One record holds the notice of recall and its letter.
    with_both = [
        record
        for record in desk.ledger.read()
        if b"RecallNoticed" in record.payload and b"LetterIssued" in record.payload
    ]
    assert len(with_both) == 1


def test_what_is_read_is_read_for_oneself_and_stays_so() -> None:
    desk = Desk()
    names = desk.award((90, 40))
    lead, member = applicant("lead0"), applicant("friend", f"p-{names[0]}")
    notices = NoticeDesk(desk.programme)

    marked = notices.mark_read([one.notice for one in notices.notices(lead)], by=lead)
    again = notices.mark_read([one.notice for one in notices.notices(lead)], by=lead)
    foreign = notices.mark_read(["received:t-0001:1"], by=applicant("stranger"))

    assert (marked, again, foreign) == (2, 0, 0)
    assert (notices.unread(lead), notices.unread(member)) == (0, 2)
    folded = Desk(ledger=desk.ledger)
    folded.programme.book.catch_up()
    assert NoticeDesk(folded.programme).unread(lead) == 0
    assert NoticeDesk(folded.programme).notices(member) == notices.notices(member)


def test_a_letter_is_for_its_team_the_agency_and_the_audit() -> None:
    desk = Desk()
    names = desk.award((90, 40), (50, 8))
    notices = NoticeDesk(desk.programme)
    award = next(
        one.letter for one in desk.programme.letters.letters.values() if one.kind == "award"
    )

    readers = [applicant("lead0"), applicant("x", f"p-{names[0]}"), OPERATOR, AUDITOR]
    others = [applicant("lead1"), reviewer_actor("r0"), PUBLIC_ACTOR]

    assert all(isinstance(notices.letter(award, one), LetterIssued) for one in readers)
    assert [notices.letter(award, one) for one in others] == [None, None, None]
    assert notices.letter("2026-99999", OPERATOR) is None
    with pytest.raises(Forbidden):
        desk.programme.mailbox(PUBLIC_ACTOR)


def test_how_mail_comes_is_everyones_own_choice() -> None:
    desk = Desk()
    notices = NoticeDesk(desk.programme)
    lead = applicant("lead0")

    before = notices.mail_wish(lead)
    chosen = notices.choose_mail("daily", by=lead)

    assert (before, chosen, notices.mail_wish(lead)) == ("each", "daily", "daily")
    assert notices.mail_wish(applicant("other")) == "each"


def test_a_warning_goes_to_the_project_of_the_check() -> None:
    desk = Desk()
    desk.award((90, 48))
    desk.grant()
    desk.clock.at_s = moment_s("2026-04-01")

    desk.programme.check_use(OPERATOR, "2026-03", {})

    (warning,) = [one for one in desk.programme.letters.letters.values() if one.kind == "warning"]
    assert (warning.to, warning.fields["percent"], warning.fields["month"]) == (
        "lead0",
        0,
        "2026-03",
    )
