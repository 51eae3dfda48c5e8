"""Named events of what people are told: letters with numbers, notices read, mail sent."""

from typing import Any, Literal

from dure.core.events.base import Event

LetterKind = Literal["award", "waitlist", "rejection", "lapse", "warning", "recall", "recalled"]
MailWish = Literal["each", "daily", "none"]


class LetterIssued(Event, frozen=True):
    """An official letter was issued beside the event that it tells of.

    Attributes:
        letter: its document number, ``2026-00012``: the year in Korea, counted from 1.
        to: the user whom it is addressed to.
        fields: all that its text needs, so that it reads the same years later.
    """

    letter: str
    kind: LetterKind
    to: str
    application: str
    call: str
    project: str
    fields: dict[str, Any]


class NoticesRead(Event, frozen=True):
    """A person read these notices of their mailbox."""

    user: str
    notices: tuple[str, ...]


class MailChosen(Event, frozen=True):
    """A person chose how notices come by e-mail: each at once, one mail a day, or none."""

    user: str
    mail: MailWish


class MailSent(Event, frozen=True):
    """A mail server took a mail; ``message_id`` would be the same if it were sent again."""

    message_id: str
    user: str
    notices: tuple[str, ...]


class MailFailed(Event, frozen=True):
    """A mail was refused for good; ``cause`` is the server's answer."""

    message_id: str
    user: str
    notices: tuple[str, ...]
    cause: str


EVENTS: tuple[type[Event], ...] = (
    LetterIssued,
    NoticesRead,
    MailChosen,
    MailSent,
    MailFailed,
)
