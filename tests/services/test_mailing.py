"""The outbox against a real SMTP server: each notice once, again after an outage, once a day."""

from collections.abc import Iterator

import pytest

from dure.core.calendar import moment_s
from dure.core.events.notices import MailFailed, MailSent
from dure.core.mail import Mail
from dure.drivers.mail import SmtpPost, SmtpServer
from dure.ledger.codec import decode_events
from dure.services.mailing import AGE_S_MAX, Mailing
from dure.services.notice_desk import NoticeDesk
from tests.drivers.mail_server import Inbox, mail_server
from tests.portal.filled import FixedClock
from tests.portal.filled_programme import filled_people
from tests.services.programme_desk import OPENS_S, OPERATOR, REVIEWERS, Desk, applicant

SENDER = "dure@example.kr"
LEAD = applicant("seo.yun")


class Office:
    """A programme whose applicant has an address, and a mail server that can be stopped."""

    def __init__(self, port: int) -> None:
        self.desk = Desk()
        self.people = filled_people(FixedClock())
        self.people.change_email("seo.yun", "seo.yun@example.kr", by="test")
        self.port = port
        self.desk.publish()

    def mailing(self) -> Mailing:
        """Return an outbox that begins anew, as after a restart."""
        post = SmtpPost(SmtpServer("127.0.0.1", self.port), SENDER)
        return Mailing(self.desk.programme, self.people, post, sender=SENDER,
                       public_url="https://dure.example.kr/")  # fmt: skip

    def events(self, *kinds: type) -> list[object]:
        return [
            event
            for record in self.desk.ledger.read()
            for event in decode_events(record.payload)
            if isinstance(event, kinds)
        ]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def office(inbox: Inbox) -> Iterator[Office]:
    with mail_server(inbox) as port:
        yield Office(port)


def test_each_notice_is_mailed_once_also_after_a_restart(office: Office, inbox: Inbox) -> None:
    name = office.desk.apply("seo.yun", 8)
    office.desk.apply("lead1", 8)

    sent = [office.mailing().turn(OPENS_S + 5) for _ in range(3)]

    assert sent == [1, 0, 0]
    (mail,) = inbox.mails
    assert mail["Subject"] == f"[두레] 신청 {name}을 접수했습니다."
    text = mail.get_content()
    assert "서윤아 (시범) 님께" in text and f"Your application {name} was received." in text
    assert f"https://dure.example.kr/applications/{name}" in text
    assert [type(one) for one in office.events(MailSent, MailFailed)] == [MailSent]


def test_a_mail_that_was_taken_but_not_noted_is_the_same_mail_again(
    office: Office, inbox: Inbox
) -> None:
    office.desk.apply("seo.yun", 8)
    crashed = office.mailing()
    (due,) = crashed.due(OPENS_S)
    # The server said yes, and the process died before it was written down.
    crashed._post.send(due.mail)

    office.mailing().turn(OPENS_S + 60)

    assert len(inbox.ids) == 2 and len(set(inbox.ids)) == 1
    assert office.mailing().turn(OPENS_S + 120) == 0


def test_an_outage_is_waited_out_longer_each_time() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        office = Office(port)
    office.desk.apply("seo.yun", 8)
    mailing, tried = office.mailing(), []
    post = mailing._post
    assert isinstance(post, SmtpPost)

    class Counted:
        def send(self, mail: Mail) -> None:
            tried.append(mail.at_s - OPENS_S)
            post.send(mail)

    mailing._post = Counted()
    for second in range(0, 1200, 5):
        mailing.turn(OPENS_S + second)
    # The server is back on the same port, and so is a new process, which does not wait.
    with mail_server(inbox, port=port):
        office.mailing().turn(OPENS_S + 1200)

    assert tried == [0, 60, 180, 420, 900]
    assert len(inbox.mails) == 1 and office.events(MailFailed) == []


def test_who_is_refused_for_good_is_given_up_and_holds_nobody_up(
    office: Office, inbox: Inbox
) -> None:
    office.people.change_email("kang.min", "gone@example.kr", by="test")
    inbox.answers["gone@example.kr"] = "550 no such user"
    office.desk.programme.apply(
        applicant("seo.yun", "p-2026-1-0003"), "t",
        {"title_ko": "가", "organisation": "나", "group": "academia", "accelerator": "H200",
         "gpus": 8, "months": 3, "project": "p-2026-1-0003"},
    )  # fmt: skip

    first, second = office.mailing().turn(OPENS_S), office.mailing().turn(OPENS_S + 5)

    assert (first, second) == (1, 0)
    (failed,) = office.events(MailFailed)
    assert isinstance(failed, MailFailed)
    assert (failed.user, failed.cause) == ("kang.min", "550 no such user")


def test_a_digest_comes_once_a_day_with_all_of_the_day_before(office: Office, inbox: Inbox) -> None:
    NoticeDesk(office.desk.programme).choose_mail("daily", by=LEAD)
    office.desk.clock.at_s = moment_s("2026-01-06 10:00")
    names = [office.desk.apply("seo.yun", gpus) for gpus in (8, 16)]
    mailing = office.mailing()

    before = mailing.turn(moment_s("2026-01-07 07:59"))
    morning = mailing.turn(moment_s("2026-01-07 08:00"))
    office.desk.clock.at_s = moment_s("2026-01-07 09:00")
    office.desk.programme.withdraw(LEAD, names[1])
    later = mailing.turn(moment_s("2026-01-07 23:00"))
    next_day = mailing.turn(moment_s("2026-01-08 08:00"))

    assert (before, morning, later, next_day) == (0, 1, 0, 1)
    assert inbox.mails[0]["Subject"] == "[두레] 2026년 1월 7일(수) 알림 2건"
    assert all(name in inbox.mails[0].get_content() for name in names)
    assert "철회" in inbox.mails[1].get_content()


def test_nobody_gets_mail_who_wants_none_has_no_address_or_is_gone(
    office: Office, inbox: Inbox
) -> None:
    office.desk.apply("seo.yun", 8)
    NoticeDesk(office.desk.programme).choose_mail("none", by=LEAD)
    unwanted = office.mailing().turn(OPENS_S)
    NoticeDesk(office.desk.programme).choose_mail("each", by=LEAD)
    office.people.change_email("seo.yun", "", by="test")
    nowhere = office.mailing().turn(OPENS_S)
    office.people.change_email("seo.yun", "seo.yun@example.kr", by="test")
    old = office.mailing().turn(OPENS_S + AGE_S_MAX + 1)

    assert (unwanted, nowhere, old) == (0, 0, 0)
    assert office.mailing().turn(OPENS_S + AGE_S_MAX - 1) == 1
    assert len(inbox.mails) == 1


def test_the_office_hears_by_mail_what_it_must_decide(office: Office, inbox: Inbox) -> None:
    office.people.change_email("ha.eun", "office@example.kr", by="test")
    desk = office.desk
    name = desk.apply("lead0", 64)
    desk.clock.at_s = desk.call.closes_at_s
    desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS)
    desk.review_all(name, 90)
    desk.programme.decide(OPERATOR, "t")
    desk.programme.decline(applicant("lead0"), name, cause="other funding")

    office.mailing().turn(desk.clock.at_s + 1)

    (mail,) = inbox.mails
    assert (mail["To"], "64장" in mail.get_content()) == ("office@example.kr", True)
