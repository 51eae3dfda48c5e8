"""The programme's own engines: one does what only time decides, one sends notices by mail."""

from collections.abc import Callable, Iterator

from dure.app.engine import Engine
from dure.app.settings import Settings
from dure.core.mail import check_address
from dure.drivers.mail import SmtpPost, read_server
from dure.services.mailing import Mailing
from dure.services.people import People
from dure.services.programme import Programme

CALENDAR, MAIL = "calendar", "mail"
CALENDAR_S, MAIL_S = 60.0, 5.0


class CalendarTurns:
    """Lets offers lapse and terms end; what comes free goes to the next in line.

    Args:
        may_decide: whether this process leads; others only follow.
    """

    def __init__(self, programme: Programme, may_decide: Callable[[], bool]) -> None:
        self._programme, self._may_decide = programme, may_decide

    def turn(self) -> float:
        if self._may_decide():
            self._programme.pass_time()
        return CALENDAR_S

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: the next turn finds what is due still due."""


class MailTurns:
    """Sends what is due by mail; of several processes the one that leads."""

    def __init__(
        self, mailing: Mailing, programme: Programme, may_send: Callable[[], bool]
    ) -> None:
        self._mailing, self._programme, self._may_send = mailing, programme, may_send

    def turn(self) -> float:
        if self._may_send():
            self._programme.book.catch_up()
            self._mailing.turn(self._programme.clock.now_s())
        return MAIL_S

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: what was not sent is still due."""


def office_engines(
    settings: Settings,
    here: Programme,
    shown: Programme,
    people: People,
    leading: tuple[Callable[[], bool], Callable[[], bool]],
) -> Iterator[Engine]:
    """Yield the engines of the programme ``here``, and of the one that is shown, for its mail.

    Args:
        leading: whether this process leads the pools of the two.

    Raises:
        InputError: what is wrong with the settings of mail.
    """
    yield Engine(CALENDAR, CalendarTurns(here, leading[0]))
    if settings.smtp:
        sender = check_address(settings.mail_from, "--mail-from")
        post = SmtpPost(read_server(settings.smtp, settings.smtp_password_file), sender)
        mailing = Mailing(shown, people, post, sender=sender, public_url=settings.public_url)
        yield Engine(MAIL, MailTurns(mailing, shown, leading[1]))
