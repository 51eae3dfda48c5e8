"""The mailbox as screens use it, and letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from dure.core.events.notices import LetterIssued, MailWish
from dure.core.notices import Numbers
from dure.services.access import Actor, may
from dure.services.programme import Programme

MAIL_WISHES: tuple[MailWish, ...] = ("each", "daily", "none")
USUAL_WISH: MailWish = "each"


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A notice; ``notice.CODE`` is its sentence. ``application`` and ``letter`` lead on."""

    notice: str
    at_s: int
    code: str
    numbers: Numbers
    application: str
    letter: str
    is_read: bool


class NoticeDesk:
    """A person's own notices, and the letters that they may read."""

    def __init__(self, programme: Programme) -> None:
        self._programme, self._letters = programme, programme.letters

    def notices(self, by: Actor) -> Sequence[NoticeRow]:
        """Return what somebody was told, latest first."""
        read = self._letters.read.get(by.user, set())
        return [
            NoticeRow(
                one.notice,
                one.at_s,
                one.code,
                one.numbers,
                one.application,
                one.letter,
                one.notice in read,
            )
            for one in self._programme.mailbox(by)
        ]

    def unread(self, by: Actor) -> int:
        """Count what somebody has not read."""
        return sum(not one.is_read for one in self.notices(by)) if by.is_signed_in else 0

    def mark_read(self, notices: Sequence[str], *, by: Actor) -> int:
        """Mark notices read; return how many were not yet."""
        event = self._programme.mark_read(by, notices)
        return len(event.notices) if event else 0

    def mail_wish(self, by: Actor) -> MailWish:
        """Return how notices come to somebody by e-mail."""
        return self._letters.mail.get(by.user, USUAL_WISH)

    def choose_mail(self, mail: MailWish, *, by: Actor) -> MailWish:
        self._programme.choose_mail(by, mail)
        return mail

    def letter(self, letter: str, by: Actor) -> LetterIssued | None:
        """Return a letter to whom it was addressed, their project, the agency and the audit."""
        found = self._letters.letters.get(letter)
        if found is None:
            return None
        owners = (found.to, found.project)
        return found if any(may(by, "letter.read", owner=one) for one in owners) else None
