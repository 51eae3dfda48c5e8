"""Mailboxes: what was read, and how notices come by e-mail."""

from collections.abc import Sequence

from dure.core.events.notices import MailChosen, MailWish, NoticesRead
from dure.services.access import Actor, require
from dure.services.correspondence import Notice
from dure.services.office import Office

READ_MAX = 1000


class Noticing(Office):
    """The use cases of a person's own mailbox."""

    def mailbox(self, actor: Actor) -> list[Notice]:
        """Return what the actor was told, latest first."""
        require(actor, "notice.read", owner=actor.user)
        return self.letters.mailbox(actor)

    def mark_read(self, actor: Actor, notices: Sequence[str]) -> NoticesRead | None:
        """Mark notices of one's own mailbox read; those that are not there, or read, are left."""
        require(actor, "notice.read", owner=actor.user)
        with self._reading():
            mine = {one.notice for one in self.mailbox(actor)}
            fresh = [
                name
                for name in dict.fromkeys(notices)
                if name in mine and name not in self.letters.read[actor.user]
            ][:READ_MAX]
            if not fresh:
                return None
            event = NoticesRead(actor.user, tuple(fresh), at_s=self.clock.now_s(), by=actor.user)
            self._write([event])
            return event

    def choose_mail(self, actor: Actor, mail: MailWish) -> MailChosen | None:
        """Have notices come by e-mail each at once, in one mail a day, or not at all."""
        require(actor, "notice.read", owner=actor.user)
        with self._reading():
            if self.letters.mail.get(actor.user) == mail:
                return None
            event = MailChosen(actor.user, mail, at_s=self.clock.now_s(), by=actor.user)
            self._write([event])
            return event
