"""Notices by e-mail: an outbox that follows the mailboxes, one mail each or one a day.

A mail's Message-ID follows from whom it is for and what it tells, so sending it again (after a
crash between the server's yes and our note of it) brings the same mail, which servers and readers
know by that.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dure.core.calendar import DAY_S, civil, moment_s
from dure.core.errors import DriverError
from dure.core.events.notices import MailFailed, MailSent
from dure.core.mail import Mail, MailRefused
from dure.reports.formats import LANGS, Lang, day
from dure.reports.messages import text
from dure.services.correspondence import Notice
from dure.services.notice_desk import USUAL_WISH
from dure.services.people import People
from dure.services.people_view import Account
from dure.services.ports import Post
from dure.services.programme import Programme

log = logging.getLogger("dure.mail")

BY = "rule:mail"
# What is older is not news: a platform that gets a mail server does not send its past.
AGE_S_MAX = 3 * DAY_S
DIGEST_HOUR = 8
MAILS_A_TURN = 100
RETRY_S_FIRST, RETRY_S_MAX = 60, 3600


@dataclass(frozen=True, slots=True)
class Due:
    """A mail that is due, and what it tells."""

    mail: Mail
    user: str
    notices: tuple[str, ...]


@dataclass(slots=True)
class _Retry:
    count: int = 0
    at_s: int = 0


class Mailing:
    """Sends what is due, and writes down what was sent.

    Args:
        people: whose accounts have addresses.
        sender: the domain of the Message-ID is that of its address.
        public_url: where the pages are, for the readers' links; "" for none.
    """

    def __init__(
        self,
        programme: Programme,
        people: People,
        post: Post,
        *,
        sender: str,
        public_url: str = "",
    ) -> None:
        self._programme, self._people, self._post = programme, people, post
        self._domain, self._public_url = sender.rpartition("@")[2], public_url.rstrip("/")
        self._retries: dict[str, _Retry] = {}

    def turn(self, now_s: int) -> int:
        """Send what is due; return how many mails were taken.

        A server that does not answer ends the turn: all the others would wait for it as well.
        """
        sent = 0
        for due in self.due(now_s):
            retry = self._retries.get(due.mail.message_id, _Retry())
            if now_s < retry.at_s:
                continue
            if sent == MAILS_A_TURN:
                break
            try:
                self._post.send(due.mail)
            except MailRefused as refused:
                self._note(MailFailed, due, now_s, cause=str(refused)[:200])
                log.warning("a mail to %s is given up: %s", due.user, refused)
            except DriverError as wrong:
                self._wait(due, retry, now_s)
                log.warning("mail waits: %s", wrong)
                break
            else:
                self._note(MailSent, due, now_s)
                sent += 1
        return sent

    def due(self, now_s: int) -> Iterator[Due]:
        """Yield the mails that are due, by user, the oldest notice first."""
        letters = self._programme.letters
        for user, account in sorted(self._people.view.accounts.items()):
            wish = letters.mail.get(user, USUAL_WISH)
            if wish == "none" or account.is_disabled or not account.email:
                continue
            fresh = self._fresh(account, now_s)
            if wish == "each":
                for one in fresh:
                    yield self._due(account, [one], "each", now_s)
                continue
            # Everything up to this morning's hour, in one mail.
            morning_s = moment_s(str(civil(now_s).date())) + DIGEST_HOUR * 3600
            until_s = morning_s if now_s >= morning_s else morning_s - DAY_S
            told = [one for one in fresh if one.at_s < until_s]
            if told:
                yield self._due(account, told, "daily", now_s)

    def _fresh(self, account: Account, now_s: int) -> list[Notice]:
        """Return what somebody was told lately and was not mailed, the first first."""
        letters, actor = self._programme.letters, account.actor()
        mailed = letters.mailed.get(account.user, set())
        box = letters.mailbox(actor)
        return [
            one
            for one in reversed(box)
            if one.notice not in mailed and one.at_s > now_s - AGE_S_MAX
        ]

    def _due(self, account: Account, told: Sequence[Notice], kind: str, now_s: int) -> Due:
        names = tuple(one.notice for one in told)
        whole = "\n".join((account.user, *names))
        name = hashlib.sha256(whole.encode()).hexdigest()[:32]
        mail = Mail(
            f"<{name}@{self._domain}>",
            account.email,
            self._subject(told, kind, now_s),
            self._body(account, told),
            now_s,
        )
        return Due(mail, account.user, names)

    def _subject(self, told: Sequence[Notice], kind: str, now_s: int) -> str:
        if kind == "each":
            return text("ko", "mail.subject_each", sentence=_sentence("ko", told[0]))
        return text("ko", "mail.subject_daily", day=day("ko", now_s), count=len(told))

    def _body(self, account: Account, told: Sequence[Notice]) -> str:
        """Write Korean first, then English: an account does not say which is read."""
        parts = []
        for lang in LANGS:
            lines = [f"- {_sentence(lang, one)}{self._link(one)}" for one in told]
            greeting = text(lang, "mail.greeting", name=account.display_name)
            parts.append("\n".join([greeting, "", *lines, "", text(lang, "mail.footer")]))
        return "\n\n".join(parts) + "\n"

    def _link(self, one: Notice) -> str:
        if not self._public_url or not (one.letter or one.application):
            return ""
        path = f"letters/{one.letter}" if one.letter else f"applications/{one.application}"
        return f"\n  {self._public_url}/{path}"

    def _note(
        self, kind: Callable[..., MailSent | MailFailed], due: Due, now_s: int, **more: str
    ) -> None:
        self._retries.pop(due.mail.message_id, None)
        event = kind(
            message_id=due.mail.message_id, user=due.user, notices=due.notices, at_s=now_s, by=BY,
            **more,
        )  # fmt: skip
        with self._programme.book.lock:
            self._programme.book.append([event])

    def _wait(self, due: Due, retry: _Retry, now_s: int) -> None:
        wait_s = min(RETRY_S_FIRST << min(retry.count, 10), RETRY_S_MAX)
        self._retries[due.mail.message_id] = _Retry(retry.count + 1, now_s + wait_s)


def _sentence(lang: Lang, one: Notice) -> str:
    return text(lang, f"notice.{one.code}", **one.numbers)
